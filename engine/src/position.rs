//! Monotonic positions in a lane's stream of bytes.

/// A place in a lane: the how-manieth segment of the lane, and an offset in it that may equal the segment's size
/// ("full, the next not begun"). Ordered as the bytes are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Position(u64);

impl Position {
    /// The start of a lane that has no segment yet.
    pub(crate) const START: Position = Position(0);

    #[inline]
    pub(crate) fn new(ordinal: u64, offset: u32, shift: u32) -> Position {
        debug_assert!(u64::from(offset) <= 1 << shift);
        Position((ordinal << (shift + 1)) | u64::from(offset))
    }

    #[inline]
    pub(crate) fn from_raw(raw: u64) -> Position {
        Position(raw)
    }

    #[inline]
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    /// How many segments of the lane came before.
    #[inline]
    pub(crate) fn ordinal(self, shift: u32) -> u64 {
        self.0 >> (shift + 1)
    }

    /// Offset in the segment, `0..=segment_size`.
    #[inline]
    pub(crate) fn offset(self, shift: u32) -> u32 {
        (self.0 & ((1 << (shift + 1)) - 1)) as u32
    }

    /// Bytes further in the same segment.
    #[inline]
    pub(crate) fn advance(self, bytes: u32) -> Position {
        Position(self.0 + u64::from(bytes))
    }

    /// Bytes from `self` to `later`, counting the unused end of a segment as bytes: exact within one segment,
    /// zero only if the two are equal, at most one segment too many otherwise per segment crossed.
    #[inline]
    pub(crate) fn distance(self, later: Position, shift: u32) -> u64 {
        let segments = later.ordinal(shift).wrapping_sub(self.ordinal(shift));
        (segments << shift).wrapping_add(u64::from(later.offset(shift))).wrapping_sub(u64::from(self.offset(shift)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_distance_follow_the_bytes() {
        let shift = 4;
        let full = Position::new(0, 16, shift);
        let next = Position::new(1, 0, shift);
        assert!(full < next);
        assert_eq!(full.ordinal(shift), 0);
        assert_eq!(full.offset(shift), 16);
        assert_eq!(Position::new(0, 3, shift).distance(Position::new(0, 9, shift), shift), 6);
        assert_eq!(Position::new(0, 3, shift).distance(Position::new(2, 9, shift), shift), 38);
        assert_eq!(Position::new(0, 9, shift).advance(7), full);
    }
}
