//! Idempotence: the producer id, its epochs, and gaps in the sequence numbers (KIP-98, KIP-360).

use forebay_engine::mutant;

use super::Core;
use super::backoff::delay;
use super::batch::Identity;
use super::ports::ConnId;
use super::report::{DeliveryFailure, FailureKind};
use super::requests::Kind;
use crate::time::Time;
use crate::wire::control::{InitProducerId, encode_init_producer_id};
use crate::wire::error_code::ErrorClass;

pub(crate) struct Idempotence {
    enabled: bool,
    identity: Identity,
    /// The connection on which an id was asked for.
    asked: Option<ConnId>,
    failures: u32,
    not_before: Time,
}

impl Idempotence {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, identity: Identity::NONE, asked: None, failures: 0, not_before: Time::ZERO }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn has_identity(&self) -> bool {
        self.identity != Identity::NONE
    }

    /// An id is needed.
    pub(crate) fn is_wanted(&self) -> bool {
        self.enabled && !self.has_identity()
    }

    /// When the next request for an id may be made, if one is to be made.
    pub(crate) fn due(&self) -> Time {
        if self.is_wanted() && self.asked.is_none() { self.not_before } else { Time::MAX }
    }

    pub(crate) fn lost(&mut self, conn: ConnId) {
        if self.asked == Some(conn) {
            self.asked = None;
        }
    }
}

impl Core {
    pub(super) fn identity_turn(&mut self, now: Time) {
        if self.idempotence.due() > now || self.closing.is_over() {
            return;
        }
        let Some(conn) = self.any_ready_connection(now) else {
            if let Some(at) = self.connect_anywhere(now) {
                self.due_at = self.due_at.min(at);
            }
            return;
        };
        let versions = self.connection(conn).and_then(|c| c.versions);
        let Some(version) = versions.and_then(|v| v.init_producer_id) else {
            tracing::error!(target: "forebay::identity", "the broker does not know producer ids: turn enable.idempotence off");
            self.idempotence.failures = self.idempotence.failures.saturating_add(1);
            self.pause_identity(now);
            return;
        };
        let timeout = i32::try_from(self.cfg.request_timeout.as_millis()).unwrap_or(i32::MAX);
        if self.ask(conn, Kind::InitProducerId, version, now, |_, buf, header| {
            encode_init_producer_id(buf, header, timeout)
        }) {
            self.idempotence.asked = Some(conn);
        }
    }

    pub(super) fn identified(&mut self, answer: InitProducerId, now: Time) {
        self.idempotence.asked = None;
        let producer = answer.producer;
        if answer.error.is_none() && producer.producer_id >= 0 && producer.epoch >= 0 {
            tracing::debug!(target: "forebay::identity", id = producer.producer_id, epoch = producer.epoch, "producer id");
            self.idempotence.identity = Identity { id: producer.producer_id, epoch: producer.epoch };
            self.idempotence.failures = 0;
            return;
        }
        tracing::warn!(target: "forebay::identity", error = %answer.error, "no producer id");
        self.idempotence.failures = self.idempotence.failures.saturating_add(1);
        self.pause_identity(now);
        if !matches!(answer.error.class(), ErrorClass::None | ErrorClass::Retriable | ErrorClass::RetriableRefresh) {
            // Nothing can be sent without an id, and waiting does not help: what is there fails, what comes may fare better.
            let kind = FailureKind::Broker { code: answer.error, message: None };
            self.fail_uncut(&DeliveryFailure { kind, possibly_appended: false }, now);
        }
    }

    fn pause_identity(&mut self, now: Time) {
        let pause = delay(self.cfg.retry_backoff, self.cfg.retry_backoff_max, self.idempotence.failures, &mut self.rng);
        self.idempotence.not_before = now + pause;
    }

    /// Fails everything that is buffered and not in a batch.
    pub(super) fn fail_uncut(&mut self, failure: &DeliveryFailure, now: Time) {
        self.look_at_everything(now);
        for at in 0..self.active.len() {
            let number = self.active[at] as usize;
            for lane in 0..self.partitions[number].lanes.len() {
                let lane = self.partitions[number].lanes[lane];
                self.fail_lane(lane, usize::MAX, failure, now);
            }
            self.fail_packing(number as u32, failure);
        }
    }

    /// Closes a gap in a partition's sequence numbers by a new epoch, in which it begins at 0. Only this partition is
    /// renumbered; others follow when nothing of theirs is under way. The epoch is the producer's own to raise (Java's
    /// rule since KIP-360); after the last one a new id is needed. Answers whether the partition can go on now.
    ///
    /// Only with nothing in flight, and with a first batch to be sent again that is certainly not in the log: then none
    /// after it is either, because the broker takes sequence numbers in order only.
    pub(super) fn bump_epoch(&mut self, number: u32) -> bool {
        let partition = &mut self.partitions[number as usize];
        if partition.identity == Identity::NONE {
            partition.gap = None;
            return true;
        }
        if mutant!("a_gap_without_a_new_epoch") {
            partition.gap = None;
            return true;
        }
        let current = self.idempotence.identity;
        if current == Identity::NONE {
            return false;
        }
        if partition.identity == current {
            if current.epoch == i16::MAX {
                tracing::info!(target: "forebay::identity", "epochs of the producer id are used up");
                self.idempotence.identity = Identity::NONE;
                return false;
            }
            self.idempotence.identity.epoch += 1;
        }
        let (identity, batches) = (self.idempotence.identity, &mut self.batches);
        tracing::info!(target: "forebay::identity", partition = partition.index, epoch = identity.epoch, "sequence numbers have a gap: new epoch");
        partition.renumber(identity, |id, identity, sequence| {
            let batch = batches.get_mut(id);
            batch.identity = identity;
            batch.base_sequence = sequence;
            batch.maybe_appended = false;
            batch.count
        });
        true
    }
}
