//! A backlog of many lanes: what one look at all of them has found ready serves several turns.
//!
//! Ten thousand lanes are ten thousand cache lines that their senders write, and each look takes them away. While every broker that
//! could be sent something has partitions waiting for their turn, another look would only put more of them in line.

use std::time::Duration;

use super::Core;
use crate::time::Time;

/// For so long at most a look at all lanes is good enough. A record of a partition that was not in line then, behind a backlog that is longer
/// than this, gets there so much later than its `linger.ms` says.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Backlog {
    /// When all lanes were last looked at.
    looked_at: Time,
    /// When the first of the partitions that were gathering then becomes due.
    gathered_at: Time,
    /// Something has changed since that more than progress on the ready partitions can tell.
    news: bool,
    /// The last turn went on with what an earlier one had found.
    serves: bool,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { looked_at: Time::ZERO, gathered_at: Time::MAX, news: false, serves: false }
    }
}

impl Core {
    /// What was found ready may not be so any more, or others may be: the next turn looks at all lanes.
    pub(super) fn news(&mut self) {
        self.backlog.news = true;
    }

    /// Sends what is due: of what an earlier turn has found, or after another look at all lanes.
    pub(super) fn schedule(&mut self, now: Time) {
        self.backlog.serves = self.io.live_lanes() >= self.cfg.many_lanes
            && self.has_backlog()
            && now < self.look_due()
            && now < self.due_at;
        if self.is_on_backlog() {
            self.go_on(now);
        } else {
            self.backlog = Backlog { looked_at: now, ..Backlog::default() };
            self.look_for_ready(now);
        }
    }

    /// A partition holds records that are due then.
    pub(super) fn gathers_until(&mut self, due: Time) {
        self.backlog.gathered_at = self.backlog.gathered_at.min(due);
    }

    /// When the next turn has something to do, as far as the last one knows. Behind a backlog nobody wakes up for what becomes due: it gets
    /// in line at the next look, which comes for other reasons.
    pub(super) fn next_due(&self) -> Time {
        if self.is_on_backlog() { self.due_at } else { self.due_at.min(self.backlog.gathered_at) }
    }

    /// Whether the last turn did without a look at all lanes.
    pub(super) fn is_on_backlog(&self) -> bool {
        self.backlog.serves
    }

    /// When the next look must come, whatever is known.
    pub(super) fn look_due(&self) -> Time {
        self.backlog.looked_at + LOOK_EVERY
    }

    /// Whether what is known keeps every broker busy.
    pub(super) fn has_backlog(&self) -> bool {
        let (mut any, mut idle) = (false, false);
        for (index, broker) in self.brokers.iter() {
            any |= !broker.ready.is_empty();
            idle |= broker.ready.is_empty() && self.ready_connection(index).is_some_and(|conn| self.has_slot(conn));
        }
        any && !idle && !self.backlog.news && !self.packs_elsewhere()
    }

    /// A partition's turn comes later than the look that found it ready.
    pub(super) fn look_again(&mut self, number: u32, now: Time) {
        if self.is_on_backlog() {
            self.look_at_lanes(number, now);
        }
    }
}
