//! Stretches of slab bytes that the I/O side has taken from a lane.

use crate::engine::Shared;
use crate::sync::Arc;

/// A contiguous stretch of bytes, in one segment or in several that follow each other in memory. Not `Clone`: whoever holds it owns the bytes (I4). It goes back with
/// [`IoSide::release`](crate::IoSide::release); a run that is merely dropped leaks its segments until the engine goes.
#[derive(Debug)]
#[must_use = "a run must be released, or its segments are lost to the engine"]
pub struct Run {
    /// Which slab: a run of one engine is never looked up in another.
    pub(crate) slab: u32,
    pub(crate) segment: u32,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// Where a byte lies in the slab.
#[inline]
pub(crate) fn place(segment: u32, start: u32, shift: u32) -> u64 {
    (u64::from(segment) << shift) + u64::from(start)
}

/// The last segment that a stretch touches.
#[inline]
pub(crate) fn last_segment(segment: u32, start: u32, len: u32, shift: u32) -> u32 {
    segment + ((u64::from(start) + u64::from(len) - 1) >> shift) as u32
}

impl Run {
    /// Bytes in the run.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Reads and writes the bytes of runs away from the [`IoSide`](crate::IoSide): a run that was moved to another thread is
/// that thread's until it moves back (I4). It holds the slab alive; the run's segments come back only by
/// [`IoSide::release`](crate::IoSide::release).
///
/// The hand-over there and back must order what the two sides do with the bytes, as any channel does.
#[derive(Clone)]
pub struct RunBytes {
    pub(crate) shared: Arc<Shared>,
    /// Whose runs these are.
    pub(crate) slab: u32,
}

impl std::fmt::Debug for RunBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunBytes").field("slab", &self.slab).finish_non_exhaustive()
    }
}

impl RunBytes {
    fn check(&self, run: &Run) {
        assert!(run.slab == self.slab, "a run is used with the engine that it came from");
    }

    /// The bytes of a run.
    ///
    /// # Panics
    /// If the run is another engine's.
    pub fn get<'a>(&'a self, run: &'a Run) -> &'a [u8] {
        self.check(run);
        self.shared.slab.run(run)
    }

    /// The bytes of a run, to be written: only while nothing else, such as a socket, may still read them.
    ///
    /// # Panics
    /// If the run is another engine's.
    pub fn get_mut<'a>(&'a self, run: &'a mut Run) -> &'a mut [u8] {
        self.check(run);
        self.shared.slab.run_mut(run)
    }
}
