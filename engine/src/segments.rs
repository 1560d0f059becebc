//! What is known of each segment beside its bytes, and chains of segments that change owner.

use crate::slab::{LINE, prefetch_write};
use crate::sync::{AtomicI64, AtomicU32};
use std::sync::atomic::Ordering::Relaxed;

/// "No segment."
pub(crate) const NIL: u32 = u32::MAX;

/// Notes on one segment. Written only by the segment's owner; they travel with the publish, grant, free or return
/// that makes somebody else the owner, so that relaxed accesses are enough.
pub(crate) struct Notes {
    /// The next segment of the chain: of a lane, of a grant, of a returned chain.
    next: AtomicU32,
    /// Where the lane left this segment: bytes past it hold nothing. Valid once a later segment is published.
    end: AtomicU32,
    /// Tag that the lane's records in this segment share (the start of their time window).
    window: AtomicI64,
}

/// The notes of all segments.
pub(crate) struct SegmentTable(Box<[Notes]>);

impl SegmentTable {
    pub(crate) fn new(segments: usize) -> Self {
        SegmentTable(
            (0..segments)
                .map(|_| Notes { next: AtomicU32::new(NIL), end: AtomicU32::new(0), window: AtomicI64::new(0) })
                .collect(),
        )
    }

    #[inline]
    pub(crate) fn next(&self, segment: u32) -> u32 {
        self.0[segment as usize].next.load(Relaxed)
    }

    /// Notes of a segment that a lane takes.
    #[inline]
    pub(crate) fn begin(&self, segment: u32, next: u32, window: i64, end: u32) {
        let notes = &self.0[segment as usize];
        notes.next.store(next, Relaxed);
        notes.window.store(window, Relaxed);
        notes.end.store(end, Relaxed);
    }

    /// Asks for the notes of these segments, to write them soon: they lie in cache lines that another thread has written.
    pub(crate) fn prefetch(&self, segments: &[u32]) {
        let in_a_line = (LINE / size_of::<Notes>()).max(1); // a model checker's atomics may be larger than a line
        for segment in segments.iter().step_by(in_a_line) {
            prefetch_write(self.0.as_ptr().wrapping_add(*segment as usize));
        }
    }

    #[inline]
    pub(crate) fn set_next(&self, segment: u32, next: u32) {
        self.0[segment as usize].next.store(next, Relaxed);
    }

    #[inline]
    pub(crate) fn end(&self, segment: u32) -> u32 {
        let end = self.0[segment as usize].end.load(Relaxed);
        if mutant!("the_end_of_a_segment_is_ignored") { end.next_power_of_two().max(16) } else { end }
    }

    #[inline]
    pub(crate) fn set_end(&self, segment: u32, end: u32) {
        self.0[segment as usize].end.store(end, Relaxed);
    }

    #[inline]
    pub(crate) fn window(&self, segment: u32) -> i64 {
        self.0[segment as usize].window.load(Relaxed)
    }

    #[inline]
    pub(crate) fn set_window(&self, segment: u32, window: i64) {
        self.0[segment as usize].window.store(window, Relaxed);
    }
}

/// `count` segments linked through their notes, owned by whoever holds this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

impl Chain {
    pub(crate) const EMPTY: Chain = Chain { first: NIL, count: 0 };
}

/// A chain for a lane, begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) chain: Chain,
    pub(crate) last: u32,
}

impl Taken {
    pub(crate) const NOTHING: Taken = Taken { chain: Chain::EMPTY, last: NIL };

    /// More segments, which are linked with each other, or are about to be.
    #[inline]
    pub(crate) fn append(&mut self, segments: &[u32], table: &SegmentTable) {
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return };
        if self.chain.count == 0 {
            self.chain.first = *first;
        } else {
            table.set_next(self.last, *first);
        }
        self.last = *last;
        self.chain.count += segments.len() as u32;
    }
}
