//! How long send calls took: all of them, and by how long the thread had been awake.

use crate::histogram::Histogram;

/// So many sends after a sleep a thread has what it needs in its caches again: two for each of four partitions.
const SETTLED: u32 = 8;

/// Nanoseconds of the calls that were timed.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) all: Histogram,
    /// Of those the ones that came first after a sleep of the thread.
    pub(crate) first: Histogram,
    /// And the ones that came when it had sent some since it last slept.
    pub(crate) settled: Histogram,
}

impl Calls {
    /// A call took so long, and came after `since_sleep` others since the thread last slept.
    pub(crate) fn record(&mut self, ns: u64, since_sleep: u32) {
        self.all.record(ns);
        if since_sleep == 0 {
            self.first.record(ns);
        }
        if since_sleep >= SETTLED {
            self.settled.record(ns);
        }
    }

    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: &Calls) {
        self.all.add(&other.all);
        self.first.add(&other.first);
        self.settled.add(&other.settled);
    }
}
