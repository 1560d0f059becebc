//! Brokers that do not let us in, or that we do not believe: what that means for the records meant for them.
//!
//! A wrong password does not become right by waiting for `delivery.timeout.ms`, and an expired certificate neither. So
//! records that could go to nobody else fail at once, with the reason, and whoever waits for metadata is told. The
//! connection is tried again all the same, with the usual backoff, for the cluster's side may be what is put right: with
//! the first connection that works, all is well again.

use std::sync::Arc;

use super::Core;
use super::ports::ConnId;
use super::report::{DeliveryFailure, FailureKind};
use crate::time::Time;

impl Core {
    /// One side of a connection did not believe the other: a certificate, a password. To be followed by
    /// [`Core::closed`]. `why` is for people, and holds no secret.
    pub fn untrusted(&mut self, conn: ConnId, why: &str) {
        let Some(connection) = self.connection(conn) else { return };
        let index = connection.broker;
        let broker = self.brokers.get_mut(index);
        tracing::error!(target: "forebay::connection", node = broker.node, host = %broker.host, port = broker.port, why, "no authentication");
        let why = Arc::<str>::from(why);
        broker.denied = Some(why.clone());
        self.meter_authentication(false);
        if self.any_ready_connection().is_none() {
            self.topics.deny(Some(why.clone()));
            self.denied = Some(why);
        }
        self.stirred = true;
    }

    /// A broker has let us in.
    pub(super) fn trusted(&mut self, broker: usize) {
        self.brokers.get_mut(broker).denied = None;
        if self.denied.take().is_some() {
            self.topics.deny(None);
        }
    }

    /// Tries again to be let in by a partition's leader, when the backoff allows.
    pub(super) fn knock(&mut self, number: u32, now: Time) {
        let partition = &self.partitions[number as usize];
        let leader = self.brokers.find(self.metadata.leader(partition.topic, partition.index).node);
        if let Some(broker) = leader {
            self.connect(broker, now);
        }
    }

    /// Why a partition's records can go nowhere, if that is so.
    pub(super) fn denial(&self, number: u32) -> Option<DeliveryFailure> {
        let partition = &self.partitions[number as usize];
        let leader = self.brokers.find(self.metadata.leader(partition.topic, partition.index).node);
        let why = match leader {
            Some(broker) => self.brokers.get(broker).denied.as_ref(),
            None => self.denied.as_ref(),
        };
        let message = why?.clone();
        Some(DeliveryFailure { kind: FailureKind::Authentication { message }, possibly_appended: false })
    }
}
