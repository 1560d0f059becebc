//! Brokers that reject us, or that we do not trust: what that means for the records meant for them.
//!
//! A wrong password does not become right by waiting for `delivery.timeout.ms`, and an expired certificate neither. So
//! records that could go to nobody else fail at once, with the reason, and whoever waits for metadata is told. That holds
//! for the usual backoff: records that come later wait for another attempt, for the cluster's side may be what is put right.
//! With the first connection that works, all is well again.

use std::sync::Arc;

use super::Core;
use super::connections::Phase;
use super::ports::ConnId;
use super::report::{DeliveryFailure, FailureKind};
use crate::time::Time;

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
        self.meter_authentication(false);
        if !self.connections.iter().flatten().any(|c| c.phase == Phase::Ready) {
            self.topics.deny(Some(why.clone()));
            self.denied = Some(why);
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

    /// Why a partition's records can go nowhere, if that is so. What was so once need not be so for ever: where the leader may be
    /// tried again, or is being tried, that comes first.
    pub(super) fn denial(&self, number: u32, now: Time) -> Option<DeliveryFailure> {
        let partition = &self.partitions[number as usize];
        let leader = self.brokers.find(self.metadata.leader(partition.topic, partition.index).node);
        let why = match leader {
            Some(broker) => {
                let broker = self.brokers.get(broker);
                let closing =
                    broker.conn.and_then(|conn| self.connection(conn)).is_some_and(|c| c.phase == Phase::Closing);
                let tried = broker.conn.is_some() && !closing;
                broker.denied.as_ref().filter(|_| !tried && (closing || now < broker.retry_at))
            }
            None => self.denied.as_ref(),
        };
        let message = why?.clone();
        Some(DeliveryFailure { kind: FailureKind::Authentication { message }, possibly_appended: false })
    }
}
