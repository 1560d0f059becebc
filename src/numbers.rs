//! Numbers that are unique in this process, so that nothing of one producer is taken for another's.

use std::sync::atomic::{AtomicU32, Ordering};

/// Of one kind of thing. Begins anew after 2³².
pub(crate) struct Numbers(AtomicU32);

/// Of producers: topics carry theirs.
pub(crate) static PRODUCERS: Numbers = Numbers(AtomicU32::new(0));
/// Of senders: receipts carry theirs.
pub(crate) static SENDERS: Numbers = Numbers(AtomicU32::new(0));

impl Numbers {
    pub(crate) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
