//! Brokers that reject us, or that we do not trust: what that means for the records meant for them.
//!
//! A wrong password does not become right by waiting for `delivery.timeout.ms`, and an expired certificate neither. So
//! records that could go to nobody else fail at once, with the reason, and whoever waits for metadata is told. That holds
//! for the usual backoff: records that come later wait for another attempt, for the cluster's side may be what is put right.
//! With the first connection that works, all is well again.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::ports::ConnId;
use super::report::{DeliveryFailure, FailureKind};
use crate::time::Time;

/// What is there fails for that long at least, also where connections are tried again at once.
const LEAST: Duration = Duration::from_millis(10);

/// That one side did not trust the other.
#[derive(Clone)]
pub(crate) struct Denial {
    why: Arc<str>,
    /// Until then that is why records fail.
    until: Time,
}

impl Core {
    /// One side of a connection did not trust the other: a certificate, a password. To be followed by
    /// [`Core::closed`]. `why` is for people, and holds no secret.
    pub fn untrusted(&mut self, conn: ConnId, why: &str) {
        let Some(connection) = self.connection(conn) else { return };
        let index = connection.broker;
        let broker = self.brokers.get_mut(index);
        tracing::error!(target: "forebay::connection", node = broker.node, host = %broker.host, port = broker.port, why, "no authentication");
        // Until the connection is closed; then it is known when it may be tried again.
        let denial = Denial { why: Arc::from(why), until: Time::MAX };
        broker.denied = Some(denial.clone());
        self.meter_authentication(false);
        if self.ready_connections().next().is_none() {
            self.topics.deny(Some(denial.why.clone()));
            self.denied = Some(denial);
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

    /// A broker's connection is closed: if it was denied, that holds until another may be tried.
    pub(super) fn denied_for_now(&mut self, broker: usize, now: Time) {
        let Self { brokers, denied, .. } = self;
        let broker = brokers.get_mut(broker);
        let until = broker.retry_at.max(now + LEAST);
        let Some(denial) = broker.denied.as_mut().filter(|denial| denial.until == Time::MAX) else { return };
        denial.until = until;
        if let Some(denial) = denied {
            denial.until = until;
        }
    }

    /// Why a partition's records can go nowhere, if that is so. What was so once need not be so for ever: what comes later waits for
    /// another attempt.
    pub(super) fn denial(&self, number: u32, now: Time) -> Option<DeliveryFailure> {
        let partition = &self.partitions[number as usize];
        let leader = self.brokers.find(self.metadata.leader(partition.topic, partition.index).node);
        let denied = leader.map_or(&self.denied, |broker| &self.brokers.get(broker).denied);
        let message = denied.as_ref().filter(|denial| now < denial.until)?.why.clone();
        Some(DeliveryFailure { kind: FailureKind::Authentication { message }, possibly_appended: false })
    }
}
