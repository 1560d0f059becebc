//! Monotonic positions in a lane's stream of bytes.

/// A place in a lane: the bytes before it, the unused ends of its segments included. So segments begin at multiples of their size, and
/// the end of a full one is also the start of the next, begun or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Position(u64);

impl Position {
    /// The start of a lane.
    pub(crate) const START: Position = Position(0);

    #[inline]
    pub(crate) fn from_raw(raw: u64) -> Position {
        Position(raw)
    }

    #[inline]
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    /// Where the first segment begins that has no byte before this.
    #[inline]
    pub(crate) fn next_segment(self, shift: u32) -> Position {
        Position((self.0 + ((1 << shift) - 1)) >> shift << shift)
    }

    /// Where the segment begins that has the byte before this.
    #[inline]
    pub(crate) fn segment_before(self, shift: u32) -> Position {
        Position((self.0 - 1) >> shift << shift)
    }

    /// Where so many segments more begin.
    #[inline]
    pub(crate) fn skip(self, segments: u32, shift: u32) -> Position {
        Position(self.0 + (u64::from(segments) << shift))
    }

    /// Segments from the one that begins here to the last one with a byte before `end`.
    #[inline]
    pub(crate) fn segments_to(self, end: Position, shift: u32) -> u32 {
        ((end.0.saturating_sub(self.0) + ((1 << shift) - 1)) >> shift) as u32
    }

    /// Bytes further, in the same segment or in those that follow it in memory.
    #[inline]
    pub(crate) fn advance(self, bytes: usize) -> Position {
        Position(self.0 + bytes as u64)
    }

    /// Bytes from `self` to `later`, the unused ends of segments included; zero only if the two are equal.
    #[inline]
    pub(crate) fn distance(self, later: Position) -> u64 {
        later.0.wrapping_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_begin_at_multiples_of_their_size() {
        let at = Position::from_raw;
        let next = [0, 1, 15, 16, 17].map(|raw| at(raw).next_segment(4).raw());
        assert_eq!(next, [0, 16, 16, 16, 32]);
        let before = [1, 15, 16, 17].map(|raw| at(raw).segment_before(4).raw());
        assert_eq!(before, [0, 0, 0, 16]);
        let begun = [0, 16, 17, 32, 33, 48].map(|raw| at(16).segments_to(at(raw), 4));
        assert_eq!(begun, [0, 0, 1, 1, 2, 2]);
        assert_eq!(at(16).skip(2, 4), at(48));
        assert_eq!(at(3).distance(at(3).advance(38)), 38);
    }
}
