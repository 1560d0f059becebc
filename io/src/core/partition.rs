//! One partition: its lanes, its batches in order, its sequence numbers.

use std::collections::VecDeque;

use forebay_engine::{LaneId, mutant};
use smallvec::SmallVec;

use super::batch::{Batch, BatchId, Identity};
use super::ports::ConnId;
use crate::time::Time;
use crate::topics::TopicId;

/// Who leads a partition, and since which election.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Leader {
    /// Node id; −1 if there is none.
    pub(crate) node: i32,
    /// Leader epoch; −1 if the cluster does not say.
    pub(crate) epoch: i32,
}

impl Leader {
    pub(crate) const NONE: Self = Self { node: -1, epoch: -1 };
}

#[allow(clippy::struct_excessive_bools)] // independent facts, not states: each pairing of them occurs
pub(crate) struct Partition {
    pub(crate) topic: TopicId,
    pub(crate) index: i32,
    /// Its active lanes, a few of them in place: of ten thousand partitions each place elsewhere is one more that is in no cache. The
    /// next batch begins with number `next_lane`.
    pub(crate) lanes: SmallVec<[LaneId; 4]>,
    pub(crate) next_lane: usize,
    /// In the core's list of partitions to look at.
    pub(crate) listed: bool,
    /// Waits for the cluster: new records change nothing.
    pub(crate) blocked: bool,
    /// In requests, by order.
    pub(crate) in_flight: VecDeque<BatchId>,
    /// The connection that carries `in_flight`.
    pub(crate) conn: Option<ConnId>,
    /// What is in flight was sent before: nothing follows it until it is answered. A broker remembers the last five
    /// batches of a producer; with more sent behind a batch in doubt, its duplicate would not be known as one.
    pub(crate) resending: bool,
    /// To be sent again, by order.
    pub(crate) retry: VecDeque<(u64, BatchId)>,
    /// Taken out of the lanes to be compressed elsewhere, by order, and not yet numbered: see `jobs`.
    pub(crate) packing: VecDeque<BatchId>,
    /// Records cut so far: a batch's order is the number of its first record, so the parts of a split keep theirs.
    pub(crate) next_order: u64,
    pub(crate) identity: Identity,
    pub(crate) next_sequence: i32,
    /// The cluster has acknowledged a batch of this identity. Until then one batch at a time: a broker that knows nothing
    /// of a producer takes any sequence number as its first, so a second batch could be taken without the first.
    pub(crate) proven: bool,
    /// Order of the last batch whose sequence numbers may be missing in the log: nothing new is cut until a later batch
    /// succeeds (they were there) or the epoch is bumped.
    pub(crate) gap: Option<u64>,
    pub(crate) last_acked_offset: i64,
    /// The head of `retry` waits until then, unless the leader is not `failed_leader` any more.
    pub(crate) retry_at: Time,
    pub(crate) failed_leader: Leader,
    /// Who got the last request.
    pub(crate) leader_used: Leader,
}

impl Partition {
    pub(crate) fn new(topic: TopicId, index: i32) -> Self {
        Self {
            topic,
            index,
            lanes: SmallVec::new(),
            next_lane: 0,
            listed: false,
            blocked: false,
            in_flight: VecDeque::new(),
            conn: None,
            resending: false,
            retry: VecDeque::new(),
            packing: VecDeque::new(),
            next_order: 0,
            identity: Identity::NONE,
            next_sequence: 0,
            proven: false,
            gap: None,
            last_acked_offset: -1,
            retry_at: Time::ZERO,
            failed_leader: Leader::NONE,
            leader_used: Leader::NONE,
        }
    }

    /// Nothing of it waits for an answer or for another attempt.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.retry.is_empty()
    }

    /// Puts a batch back in its place among those to be sent again.
    pub(crate) fn requeue(&mut self, order: u64, id: BatchId) {
        let at = if mutant!("retries_in_the_order_of_their_failures") {
            self.retry.len()
        } else {
            self.retry.partition_point(|entry| entry.0 < order)
        };
        self.retry.insert(at, (order, id));
    }

    /// How many batches may be in flight where `most` is the setting.
    pub(crate) fn in_flight_limit(&self, most: usize, idempotent: bool) -> usize {
        if self.resending || (idempotent && !self.proven && !mutant!("two_batches_before_the_first_is_known")) {
            1
        } else {
            most
        }
    }

    pub(crate) fn remove_in_flight(&mut self, id: BatchId) {
        if let Some(at) = self.in_flight.iter().position(|other| *other == id) {
            self.in_flight.remove(at);
        }
        if self.in_flight.is_empty() {
            self.conn = None;
            self.resending = false;
        }
    }

    pub(crate) fn remove_retry(&mut self, id: BatchId) {
        self.retry.retain(|entry| entry.1 != id);
    }

    /// Gives a new batch its place, and its sequence numbers if there is an identity.
    pub(crate) fn number(&mut self, batch: &mut Batch) {
        batch.order = self.next_order;
        self.next_order += u64::from(batch.count);
        batch.identity = self.identity;
        if self.identity == Identity::NONE {
            batch.base_sequence = -1;
        } else {
            batch.base_sequence = self.next_sequence;
            self.next_sequence = add_sequence(self.next_sequence, batch.count);
        }
    }

    /// Takes a new identity: numbers begin at 0 again, and what waits to be sent again is numbered anew.
    pub(crate) fn renumber(&mut self, identity: Identity, mut batch_of: impl FnMut(BatchId, Identity, i32) -> u32) {
        debug_assert!(self.in_flight.is_empty(), "sequence numbers in flight are not changed");
        self.identity = identity;
        self.proven = false;
        self.gap = None;
        self.last_acked_offset = -1;
        let mut sequence = 0;
        for (_, id) in &self.retry {
            sequence = add_sequence(sequence, batch_of(*id, identity, sequence));
        }
        self.next_sequence = sequence;
    }

    /// A batch will not reach the log, and maybe is not there. Its sequence numbers are taken back if no later batch
    /// used the following ones and the log cannot have them, else they leave a gap.
    pub(crate) fn abandon(&mut self, batch: &Batch) {
        if batch.identity == Identity::NONE || batch.identity != self.identity {
            return;
        }
        let follows = add_sequence(batch.base_sequence, batch.count) == self.next_sequence;
        if follows && !batch.possibly_appended() && !batch.in_request && self.gap.is_none() {
            self.next_sequence = batch.base_sequence;
        } else {
            self.gap = Some(self.gap.map_or(batch.order, |gap| gap.max(batch.order)));
        }
    }

    /// A batch is in the log, and so is everything before it: the broker takes sequence numbers in order only.
    pub(crate) fn appended(&mut self, order: u64) {
        self.proven = true;
        // The batch of the gap itself may succeed too: one that expired in flight.
        if self.gap.is_some_and(|gap| gap <= order) {
            self.gap = None;
        }
    }
}

/// Sequence numbers wrap from 2³¹−1 to 0.
pub(crate) fn add_sequence(sequence: i32, count: u32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) & i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(add_sequence(i32::MAX, 1), 0);
        assert_eq!(add_sequence(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(add_sequence(i32::MAX - 9, 20), 10);
        assert_eq!(add_sequence(0, 8_192), 8_192);
    }

    #[test]
    fn retries_keep_the_order_of_their_batches() {
        let mut partition = Partition::new(TopicId(0), 0);
        for order in [3, 1, 2] {
            partition.requeue(order, BatchId(order as u32));
        }
        let orders: Vec<_> = partition.retry.iter().map(|entry| entry.0).collect();
        assert_eq!(orders, [1, 2, 3]);
    }
}
