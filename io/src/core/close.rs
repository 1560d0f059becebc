//! The end: take no more, deliver what is there, fail the rest at the deadline.

use forebay_engine::{IoSide, mutant};

use super::Core;
use super::connections::Phase;
use super::report::{DeliveryFailure, FailureKind};
use super::rest::Which;
use crate::time::Time;

/// How far the close has come.
#[derive(Default)]
pub(crate) struct Closing {
    deadline: Option<Time>,
    /// Every record has its outcome, and no connection is wanted any more.
    over: bool,
    /// The deadline has passed: nothing is waited for any more.
    late: bool,
}

impl Closing {
    pub(crate) fn is_begun(&self) -> bool {
        self.deadline.is_some()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn due(&self) -> Time {
        self.deadline.filter(|_| !self.late).unwrap_or(Time::MAX)
    }
}

impl Core {
    pub(super) fn begin_close(&mut self, deadline: Time, now: Time) {
        let earlier = self.closing.deadline.map_or(deadline, |known| known.min(deadline));
        self.closing.deadline = Some(earlier);
        self.topics.close();
        self.take_in(IoSide::close, now);
    }

    /// Looks whether everything is delivered, and gives up when it is time.
    pub(super) fn close_turn(&mut self, now: Time) {
        let Some(deadline) = self.closing.deadline else { return };
        self.closing.late = deadline <= now;
        if !self.closing.over && (self.closing.late || self.is_drained(now)) {
            self.last_word(now);
        }
        if self.closing.over {
            for slot in 0..self.connections.len() {
                if let Some(conn) = self.connections[slot].as_ref().map(|c| c.id) {
                    self.close_quietly(conn);
                }
            }
        }
    }

    /// Nothing is buffered, being written into a lane, or under way.
    fn is_drained(&mut self, now: Time) -> bool {
        if self.ledger.has_open_spans() {
            return false;
        }
        self.look_at_everything(now);
        self.retire(now, Which::All);
        self.active.iter().all(|number| {
            let partition = &self.partitions[*number as usize];
            partition.lanes.is_empty() && partition.is_settled()
        })
    }

    /// After this no record can be committed; whatever has no outcome fails.
    fn last_word(&mut self, now: Time) {
        self.take_in(IoSide::finish, now);
        let mut left = std::mem::take(&mut self.scratch.batches);
        left.extend(self.batches.iter().filter(|(_, batch)| !batch.done).map(|(id, _)| id));
        if !left.is_empty() {
            tracing::warn!(target: "forebay::delivery", batches = left.len(), "closed before everything was delivered");
        }
        for id in left.drain(..) {
            if !mutant!("a_close_forgets_what_is_under_way") {
                self.give_up(id, FailureKind::Closed);
            }
        }
        self.scratch.batches = left;
        if !mutant!("the_last_word_forgets_what_was_not_cut") {
            self.fail_uncut(&DeliveryFailure { kind: FailureKind::Closed, possibly_appended: false }, now);
        }
        self.retire(now, Which::All);
        self.closing.over = true;
    }

    /// Whether the core is done: every record has its outcome, every connection is closed, and all memory is back. After the deadline
    /// of the close jobs may still be out: who has one has its memory, and keeps the slab alive by [`Core::run_bytes`]. One that is
    /// brought back even then gives its memory back.
    pub fn is_closed(&self) -> bool {
        let jobs_are_back = self.lent_jobs == 0 || self.closing.late;
        self.closing.over && jobs_are_back && self.connections.iter().all(Option::is_none)
    }

    /// Whether a connection is on its way out.
    pub fn is_closing(&self, conn: super::ConnId) -> bool {
        self.connection(conn).is_none_or(|c| c.phase == Phase::Closing)
    }
}
