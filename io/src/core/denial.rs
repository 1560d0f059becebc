//! Brokers that reject us, or that we do not trust: what that means for the records meant for them.
//!
//! A wrong password does not become right by waiting for `delivery.timeout.ms`, and an expired certificate neither. So
//! records that could go to nobody else fail at once, with the reason, and whoever waits for metadata is told. That holds
//! for the usual backoff: records that come later wait for another attempt, for the cluster's side may be what is put right.
//! With the first connection that works, all is well again.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::connections::Phase;
use super::ports::ConnId;
use super::report::{DeliveryFailure, FailureKind};
use crate::time::Time;

/// What is there fails for that long at least, also where connections are tried again at once.
const LEAST: Duration = Duration::from_millis(10);

impl Core {
    /// One side of a connection did not trust the other: a certificate, a password. To be followed by
    /// [`Core::closed`]. `why` is for people, and holds no secret.
    pub fn untrusted(&mut self, conn: ConnId, why: &str) {
        let Some(connection) = self.connection(conn) else { return };
        let index = connection.broker;
        let broker = self.brokers.get_mut(index);
        tracing::error!(target: "forebay::connection", node = broker.node, host = %broker.host, port = broker.port, why, "no authentication");
        let why = Arc::<str>::from(why);
        broker.denied = Some(why.clone());
        // Until the connection is closed; then it is known when it may be tried again.
        broker.denied_until = Time::MAX;
        self.meter_authentication(false);
        if !self.connections.iter().flatten().any(|c| c.phase == Phase::Ready) {
            self.topics.deny(Some(why.clone()));
            self.denied = Some((why, Time::MAX));
        }
        self.stirred = true;
    }

    /// A broker has accepted us.
    pub(super) fn trusted(&mut self, broker: usize) {
        self.brokers.get_mut(broker).denied = None;
        if self.denied.take().is_some() {
            self.topics.deny(None);
        }
    }

    /// A connection that was denied is closed, and another may be tried from `retry_at` on.
    pub(super) fn denied_for_now(&mut self, broker: usize, retry_at: Time, now: Time) {
        let until = retry_at.max(now + LEAST);
        self.brokers.get_mut(broker).denied_until = until;
        if let Some((_, denied_until)) = &mut self.denied {
            *denied_until = until;
        }
    }

    /// Why a partition's records can go nowhere, if that is so. What was so once need not be so for ever: what comes later waits for
    /// another attempt.
    pub(super) fn denial(&self, number: u32, now: Time) -> Option<DeliveryFailure> {
        let partition = &self.partitions[number as usize];
        let leader = self.brokers.find(self.metadata.leader(partition.topic, partition.index).node);
        let (why, until) = match leader.map(|broker| self.brokers.get(broker)) {
            Some(broker) => (broker.denied.as_ref(), broker.denied_until),
            None => (
                self.denied.as_ref().map(|denied| &denied.0),
                self.denied.as_ref().map_or(Time::ZERO, |denied| denied.1),
            ),
        };
        let message = why.filter(|_| now < until)?.clone();
        Some(DeliveryFailure { kind: FailureKind::Authentication { message }, possibly_appended: false })
    }
}
