//! Going to sleep: idle lanes give their memory back, and senders learn how to wake us.

use std::time::Duration;

use forebay_engine::Sleep;

use super::Core;
use super::ports::Wake;
use crate::time::Time;

/// A lane that is empty for so long gives its segment back; if nobody waits for memory not before `linger.ms`.
const RETIRE_AFTER: Duration = Duration::from_millis(10);
/// How often to look at a lane whose sender is in the middle of a claim, when nothing else is going on.
const CLAIM_CHECK: Duration = Duration::from_millis(1);

/// Which drained lanes are retired.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Which {
    /// Those that have been for a while.
    Idle,
    /// Somebody waits for memory: also those of which nothing is under way. With something under way a lane's segment would not be free
    /// yet, and its next record would need another one: of many lanes each would then have two, and batches a few records.
    Wanted,
    /// It is the end.
    All,
}

/// Lanes that were not retired.
pub(super) struct Stayed {
    /// Some turned out to hold new records.
    pub(super) records: bool,
    /// Some turned out to have a claim in progress.
    pub(super) claims: bool,
    /// When the first of those that are drained, and were spared, will have been for long enough; the end of time if there is none.
    pub(super) idle_at: Time,
}

impl Stayed {
    const NONE: Self = Self { records: false, claims: false, idle_at: Time::MAX };
}

impl Core {
    /// Prepares for sleep and says how long it may be. Call it when everything that [`Core::turn`] gave rise to is done;
    /// after the sleep call [`Core::turn`].
    pub fn rest(&mut self, now: Time) -> Wake {
        if self.ledger.reports.is_empty() {
            // Not before: a new lane with the same number would be taken for the one that the reports mean.
            for id in self.ledger.gone.drain(..) {
                self.io.forget(id);
            }
        }
        if self.stirred
            || !self.commands.is_empty()
            || !self.jobs.is_empty()
            || !self.ledger.reports.is_empty()
            || !self.ledger.flushed.is_empty()
            || self.connections.iter().flatten().any(|c| c.wanted && self.has_slot(c.id))
        {
            return Wake::Now;
        }
        let on_backlog = self.is_on_backlog();
        if on_backlog && !self.has_backlog() {
            return Wake::Now; // its end was reached: time for another look
        }
        let instant = self.cfg.linger.is_zero();
        if instant && self.listening && self.is_anything_fresh(now) {
            return Wake::Spin;
        }
        let stayed = if self.listening && !on_backlog { self.retire(now, Which::Idle) } else { Stayed::NONE };
        if stayed.records {
            return Wake::Now;
        }
        self.io.settle();
        let (mut watched, mut active) = (on_backlog, on_backlog);
        if !on_backlog {
            for partition in self.active.iter().map(|number| &self.partitions[*number as usize]) {
                active |= !partition.lanes.is_empty();
                watched |= !partition.lanes.is_empty() && !partition.blocked;
                if watched {
                    break;
                }
            }
        }
        if !active {
            self.next_sweep = Time::MAX;
        }
        if self.batches.live() == 0 {
            self.next_deadline = Time::MAX;
        }
        let mut until = self.timers(now);
        if on_backlog {
            until = until.min(self.look_due());
        }
        // Records of watched lanes ring nobody: with a linger they are found by the nap's end, which is what pays for
        // the wake-up. Without one, watched lanes hold a claim in progress, or records that wait for an answer.
        let how = if watched && !instant { Sleep::Nap } else { Sleep::Deep };
        if how == Sleep::Nap {
            until = until.min(now + self.cfg.linger);
        } else if stayed.claims {
            until = until.min(now + CLAIM_CHECK);
        }
        if until <= now || !self.io.prepare_sleep(how) {
            return Wake::Now;
        }
        self.slept_deep = how == Sleep::Deep;
        if until == Time::MAX { Wake::Never } else { Wake::At(until) }
    }

    /// The next moment at which something happens by itself.
    fn timers(&self, now: Time) -> Time {
        let mut until = self.next_due().min(self.next_deadline).min(self.next_sweep).min(self.closing.due());
        until = until.min(self.reclaim_at).min(self.loads_due());
        for connection in self.connections.iter().flatten() {
            until = until.min(self.connection_due(connection));
        }
        if !self.closing.is_over() {
            // What is due already waits for a connection, which has a timer of its own.
            let dues = [
                self.idempotence.due(),
                self.metadata.due(self.cfg.metadata_max_age),
                self.metadata.rebootstrap_due(self.cfg.rebootstrap),
            ];
            until = dues.into_iter().filter(|due| *due > now).fold(until, Time::min);
        }
        until
    }

    /// Whether a lane held bytes within the last `io.spin.us`.
    fn is_anything_fresh(&self, now: Time) -> bool {
        let lanes = self.active.iter().flat_map(|number| &self.partitions[*number as usize].lanes);
        lanes.filter_map(|id| self.ledger.lane(*id)).any(|lane| lane.drained_at + self.cfg.spin > now)
    }

    /// Retires lanes that are drained, all with one barrier.
    pub(super) fn retire(&mut self, now: Time, which: Which) -> Stayed {
        let patience = match self.cfg.linger {
            Duration::ZERO => Duration::ZERO,
            linger if which == Which::Idle => linger.max(RETIRE_AFTER),
            _ => RETIRE_AFTER,
        };
        let mut lanes = std::mem::take(&mut self.scratch.lanes);
        let mut of = std::mem::take(&mut self.scratch.again);
        let mut stayed = Stayed::NONE;
        for number in &self.active {
            let partition = &self.partitions[*number as usize];
            if partition.blocked && which == Which::Idle {
                continue;
            }
            let before = lanes.len();
            for id in &partition.lanes {
                let Some(lane) = self.ledger.lane_mut(*id) else { continue };
                if lane.pending > 0 {
                    continue;
                }
                let idle_at = lane.drained_at + patience;
                let now_already = match which {
                    Which::Idle => false,
                    Which::Wanted => lane.held == 0,
                    Which::All => true,
                };
                if now_already || idle_at <= now {
                    lane.listed = false;
                    lanes.push(*id);
                } else {
                    stayed.idle_at = stayed.idle_at.min(idle_at);
                }
            }
            if lanes.len() > before {
                of.push(*number);
            }
        }
        if !lanes.is_empty() {
            let mut gone = std::mem::take(&mut self.scratch.gone);
            self.io.retire(&mut lanes, &mut gone);
            for id in lanes.drain(..) {
                if self.io.observe(id) > 0 {
                    stayed.records = true;
                } else {
                    stayed.claims = true;
                }
                if let Some(lane) = self.ledger.lane_mut(id) {
                    lane.listed = true;
                }
            }
            for number in of.drain(..) {
                let ledger = &self.ledger;
                self.partitions[number as usize].lanes.retain(|id| ledger.lane(*id).is_some_and(|lane| lane.listed));
            }
            for id in gone.drain(..) {
                let Some(lane) = self.ledger.lane_mut(id) else { continue };
                lane.gone = true;
                if lane.is_unused() {
                    self.ledger.remove_lane(id);
                }
            }
            self.scratch.gone = gone;
        }
        self.scratch.lanes = lanes;
        self.scratch.again = of;
        stayed
    }
}
