//! Which partition gets the next record.

use forebay_peer_driver::{Job, next_random};

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    /// The partition after this one.
    After(usize),
    /// Any: the state of a generator.
    Random(u64),
}

impl Turn {
    /// For this sender of a job: any partition where keys choose, else one after the other.
    pub(crate) fn of(job: &Job, sender: u32) -> Self {
        if job.keys == 0 { Turn::After(0) } else { Turn::Random(u64::from(sender) + 1) }
    }

    pub(crate) fn next(&mut self, partitions: usize) -> usize {
        match self {
            Turn::After(last) => {
                *last = after(*last, partitions);
                *last
            }
            Turn::Random(state) => {
                *state = next_random(*state);
                (*state >> 33) as usize % partitions
            }
        }
    }
}

/// The one after this, of so many.
pub(crate) fn after(at: usize, count: usize) -> usize {
    if at + 1 < count { at + 1 } else { 0 }
}
