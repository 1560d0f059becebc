//! Which partition a line goes to.
//!
//! The same rules as the producer's own (Java's hash for keys, one partition for a stretch of lines without), applied here because the
//! partition must be known before the send: an outcome may come before `send` has returned.

use forebay_io::wire::murmur2::partition_for_key;
use std::num::NonZeroU32;

pub(super) struct Placement {
    partitions: NonZeroU32,
    ignore_keys: bool,
    /// Bytes without a key that a partition gets in a row.
    stretch: usize,
    current: u32,
    left: usize,
}

impl Placement {
    pub(super) fn new(partitions: NonZeroU32, ignore_keys: bool, stretch: usize) -> Self {
        Self { partitions, ignore_keys, stretch, current: fastrand::u32(0..partitions.get()), left: stretch }
    }

    /// The partition of a record with this key, or of one without, from a line of `bytes` bytes.
    pub(super) fn choose(&mut self, key: Option<&[u8]>, bytes: usize) -> u32 {
        if let (Some(key), false) = (key, self.ignore_keys) {
            return partition_for_key(key, self.partitions);
        }
        if self.left == 0 {
            self.current = (self.current + 1) % self.partitions;
            self.left = self.stretch;
        }
        self.left = self.left.saturating_sub(bytes);
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::Placement;
    use std::num::NonZeroU32;

    #[test]
    fn keys_hash_as_in_java_unless_they_are_to_be_ignored() {
        let three = NonZeroU32::new(3).expect("not zero");
        // murmur2("21") is -973932308 in Java, and 1173551340 % 3 is 0.
        assert!((0..100).all(|_| Placement::new(three, false, 10).choose(Some(b"21"), 5) == 0));
        let mut ignoring = Placement::new(three, true, 10);
        let chosen: Vec<u32> = (0..6).map(|_| ignoring.choose(Some(b"21"), 5)).collect();
        assert!((0..3).all(|partition| chosen.contains(&partition)), "{chosen:?}");
    }

    #[test]
    fn lines_without_a_key_stay_together_for_a_stretch() {
        let mut placement = Placement::new(NonZeroU32::new(4).expect("not zero"), false, 1_000);
        let chosen: Vec<u32> = (0..400).map(|_| placement.choose(None, 100)).collect();
        assert!(chosen.chunk_by(|a, b| a == b).all(|run| run.len() == 10), "{chosen:?}");
        assert!((0..4).all(|partition| chosen.contains(&partition)));
    }
}
