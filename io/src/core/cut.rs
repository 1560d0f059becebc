//! Taking records out of lanes: into a batch, or to fail them unsent.

use forebay_engine::LaneId;

use super::Core;
use super::batch::{BatchId, HEADER, Identity, Part};
use super::lane::Lane;
use super::report::DeliveryFailure;
use crate::time::Time;
use crate::wire::record::MAX_RECORDS;
use crate::wire::walk::Walker;

/// What was taken from a partition's lanes.
#[derive(Copy, Clone)]
pub(super) struct Cut {
    pub(super) batch: BatchId,
    /// Records that belong in it found no room.
    pub(super) full: bool,
}

/// The records of a batch differ in age by at most one part in so many of the delivery timeout.
const BATCH_AGES: u32 = 16;

impl Core {
    /// Takes what a partition's lanes hold into one batch of at most `limit` bytes before compression, header included (a
    /// first record that is larger goes alone). Lanes take turns to be first. None if there is nothing.
    pub(super) fn cut(&mut self, number: u32, limit: usize, now: Time) -> Option<Cut> {
        // Another partition may have used up the last epoch in this very turn.
        if !self.has_identity(number) {
            return None;
        }
        let cut = self.gather(number, limit, now)?;
        self.number(number, cut.batch);
        self.pack(cut.batch);
        Some(cut)
    }

    /// Gives a batch its place in the partition's order, and its sequence numbers.
    pub(super) fn number(&mut self, number: u32, id: BatchId) {
        let partition = &mut self.partitions[number as usize];
        if partition.identity != self.idempotence.identity() && partition.is_settled() {
            partition.renumber(self.idempotence.identity(), |_, _, _| 0);
        }
        partition.number(self.batches.get_mut(id));
    }

    /// Takes what a partition's lanes hold: [`Core::cut`] without numbers, and not compressed.
    pub(super) fn gather(&mut self, number: u32, limit: usize, now: Time) -> Option<Cut> {
        let partition = &mut self.partitions[number as usize];
        let lanes = std::mem::take(&mut partition.lanes);
        let first = if lanes.is_empty() { 0 } else { partition.next_lane % lanes.len() };
        let cutoff = self.cutoff(&lanes, now);
        let limit = limit.saturating_sub(HEADER);
        let id = self.batches.add();
        let mut walker = Walker::new(MAX_RECORDS, limit);
        let mut window = None;
        let mut oldest = Time::MAX;
        let mut next = first + 1;
        let mut full = false;
        for (at, lane_id) in lanes[first..].iter().chain(&lanes[..first]).enumerate() {
            if self.ledger.lane(*lane_id).is_none_or(|lane| lane.pending == 0) {
                continue;
            }
            let aged = cutoff.and_then(|cutoff| self.ledger.lane(*lane_id)?.until(cutoff));
            if aged == Some(0) {
                continue;
            }
            walker.set_max_bytes(aged.map_or(limit, |bytes| limit.min(walker.bytes() + bytes)));
            let Some(tag) = self.io.peek_window(*lane_id) else { continue };
            if *window.get_or_insert(tag) != tag {
                continue;
            }
            let batch = self.batches.get_mut(id);
            let before = walker.count();
            let taken = self.io.take(*lane_id, &mut batch.runs, |slice| walker.walk(slice));
            let count = walker.count() - before;
            let left = self.io.peek_window(*lane_id);
            if let Some(lane) = self.ledger.lane(*lane_id)
                && count > 0
            {
                oldest = oldest.min(lane.oldest());
            }
            self.ledger.took(*lane_id, taken, left.is_none(), now);
            if count > 0
                && let Some(span) = self.ledger.open_span(*lane_id, count, taken as u64)
            {
                let part = Part { lane: *lane_id, span, count, bytes: taken as u64 };
                self.batches.get_mut(id).parts.push(part);
                if let Some(lane) = self.ledger.lane_mut(*lane_id) {
                    lane.held += 1;
                }
            }
            if left == Some(tag) && aged.is_none_or(|aged| taken < aged) {
                next = first + at + 1;
                full = true;
                break;
            }
        }
        self.poisoned |= walker.poisoned() || walker.pending() > 0;
        let partition = &mut self.partitions[number as usize];
        partition.next_lane = if lanes.is_empty() { 0 } else { next % lanes.len() };
        partition.lanes = lanes;
        let batch = self.batches.get_mut(id);
        if walker.count() == 0 {
            batch.done = true;
            self.batches.release(id, &mut self.io, &mut self.ledger);
            return None;
        }
        batch.partition = number;
        batch.count = walker.count();
        batch.records_len = walker.bytes();
        batch.plain_len = walker.bytes();
        batch.records_crc = walker.crc();
        batch.base_timestamp = window.unwrap_or(0);
        batch.max_timestamp = batch.base_timestamp.saturating_add(walker.max_ts_delta());
        batch.deadline = oldest + self.cfg.delivery_timeout;
        self.next_deadline = self.next_deadline.min(batch.deadline);
        Some(Cut { batch: id, full })
    }

    /// A batch has one deadline, that of its oldest record. After an outage records of very different age wait together:
    /// this is the moment before which those of the next batch must have been sent, so that none loses more than a small
    /// part of its time to an older one. None if nothing waits that long, as usual.
    fn cutoff(&self, lanes: &[LaneId], now: Time) -> Option<Time> {
        let waiting = lanes.iter().filter_map(|id| self.ledger.lane(*id)).filter(|lane| lane.pending > 0);
        let oldest = waiting.map(Lane::oldest).min()?;
        let cutoff = oldest + self.cfg.delivery_timeout / BATCH_AGES;
        (cutoff <= now).then_some(cutoff)
    }

    /// Fails the first `limit` bytes of a lane, as far as whole records go, without sending them.
    pub(super) fn fail_lane(&mut self, id: LaneId, mut limit: usize, failure: &DeliveryFailure, now: Time) {
        while limit > 0 && self.ledger.lane(id).is_some_and(|lane| lane.pending > 0) {
            let mut walker = Walker::new(MAX_RECORDS, limit);
            let taken = self.io.take(id, &mut self.scratch.runs, |slice| walker.walk(slice));
            for run in self.scratch.runs.drain(..) {
                self.io.release(run);
            }
            let drained = self.io.peek_window(id).is_none();
            let span = self.ledger.open_span(id, walker.count(), taken as u64);
            self.ledger.took(id, taken, drained, now);
            if let Some(span) = span {
                self.ledger.resolve(span, Err(failure.clone()));
            }
            self.poisoned |= walker.poisoned() || walker.pending() > 0;
            limit = limit.saturating_sub(taken);
            if taken == 0 {
                break;
            }
        }
    }

    /// Whether a partition may cut: with idempotence there must be a producer id.
    pub(super) fn has_identity(&self, number: u32) -> bool {
        if !self.cfg.enable_idempotence {
            return true;
        }
        let partition = &self.partitions[number as usize];
        // An old identity serves until the last batch that carries it is answered.
        (partition.identity != Identity::NONE && !partition.is_settled()) || self.idempotence.has_identity()
    }
}
