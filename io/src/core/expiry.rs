//! `delivery.timeout.ms`: every record has its outcome by then.
//!
//! Counted from the moment a batch's oldest record may have been published at the earliest. What was never cut expires
//! for free; what a socket may still be writing keeps its memory until that is over.

use forebay_engine::mutant;

use super::Core;
use super::batch::BatchId;
use super::lane::AGE_PARTS;
use super::report::{DeliveryFailure, FailureKind};
use crate::time::Time;

impl Core {
    pub(super) fn expire(&mut self, now: Time) {
        if self.next_deadline <= now {
            self.expire_batches(now);
        }
        if self.next_sweep <= now && !mutant!("what_was_never_cut_never_expires") {
            self.sweep(now);
        }
    }

    /// Fails all batches whose deadline has come, in order.
    fn expire_batches(&mut self, now: Time) {
        let mut late = std::mem::take(&mut self.scratch.batches);
        self.next_deadline = Time::MAX;
        for (id, batch) in self.batches.iter().filter(|(_, batch)| !batch.done) {
            if batch.deadline <= now {
                late.push(id);
            } else {
                self.next_deadline = self.next_deadline.min(batch.deadline);
            }
        }
        if !late.is_empty() {
            tracing::warn!(target: "forebay::delivery", batches = late.len(), "batches were not delivered in time");
        }
        for id in late.drain(..) {
            let batch = self.batches.get(id);
            let sent = batch.attempts > 0 || batch.in_request;
            self.give_up(id, FailureKind::TimedOut { sent });
        }
        self.scratch.batches = late;
    }

    /// Fails a batch wherever it is. Its memory goes back now if nothing can write it any more, else when that is so.
    pub(super) fn give_up(&mut self, id: BatchId, kind: FailureKind) {
        let batch = self.batches.get(id);
        // A request that is half written may still be written to its end.
        let possibly_appended = batch.possibly_appended() || batch.in_request;
        let (in_request, lent) = (batch.in_request, batch.lent > 0);
        let partition = &mut self.partitions[batch.partition as usize];
        partition.remove_retry(id);
        partition.packing.retain(|other| *other != id);
        partition.abandon(batch);
        self.batches.resolve(id, &mut self.ledger, &Err(DeliveryFailure { kind, possibly_appended }));
        self.news();
        if in_request && mutant!("memory_freed_by_the_timeout") {
            for run in self.batches.get_mut(id).runs.drain(..) {
                self.io.release(run);
            }
        }
        if !in_request && !lent {
            self.batches.release(id, &mut self.io, &mut self.ledger);
        }
    }

    /// Looks at every active lane, also of partitions that cannot send, and fails what has waited too long.
    fn sweep(&mut self, now: Time) {
        let timeout = self.cfg.delivery_timeout;
        let failure = DeliveryFailure { kind: FailureKind::TimedOut { sent: false }, possibly_appended: false };
        let mut next = Time::MAX;
        for at in 0..self.active.len() {
            let number = self.active[at] as usize;
            for lane in 0..self.partitions[number].lanes.len() {
                let id = self.partitions[number].lanes[lane];
                self.look(id, now);
                // Stretch by stretch: after a pause of the I/O thread several may be too old at once.
                while let Some(old) =
                    self.ledger.lane_mut(id).map(|lane| lane.expired(now, timeout)).filter(|old| *old > 0)
                {
                    let before = self.ledger.lane(id).map(|lane| lane.taken);
                    self.fail_lane(id, old, &failure, now);
                    if self.ledger.lane(id).map(|lane| lane.taken) == before {
                        break;
                    }
                }
                next = next.min(now + timeout / AGE_PARTS);
                if let Some(lane) = self.ledger.lane(id)
                    && lane.pending > 0
                {
                    next = next.min((lane.oldest() + timeout).max(now + std::time::Duration::from_millis(1)));
                }
            }
        }
        self.next_sweep = next;
    }
}
