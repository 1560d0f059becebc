//! Stretches of slab bytes that the I/O side has taken from a lane.

/// A contiguous stretch of bytes inside one segment. Not `Clone`: whoever holds it owns the bytes (I4). It goes back with
/// [`IoSide::release`](crate::IoSide::release); a run that is merely dropped leaks its segment until the engine goes.
#[derive(Debug)]
#[must_use = "a run must be released, or its segment is lost to the engine"]
pub struct Run {
    /// Which slab: a run of one engine is never looked up in another.
    pub(crate) slab: u32,
    pub(crate) segment: u32,
    pub(crate) start: u32,
    pub(crate) len: u32,
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
