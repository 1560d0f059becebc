//! Which partition a record goes to, if its sender does not say.

use crate::Record;
use forebay_io::shares::Shares;
use forebay_io::wire::murmur2::partition_for_key;
use std::num::NonZeroU32;

/// Chooses partitions. Each sender has one of its own, so it may keep state without a lock.
///
/// Set with [`ProducerBuilder::partitioner`](crate::ProducerBuilder::partitioner); without one, keyed records go where
/// Java's producer sends them (murmur2 of the key) and others stick to a partition until `batch.size` bytes have
/// gone there, and then to one that is drawn by what waits for each (KIP-794).
pub trait Partitioner: Send {
    /// The partition of `record`, less than `partitions`. A larger answer fails the send with
    /// [`SendErrorKind::UnknownPartition`](crate::SendErrorKind::UnknownPartition).
    fn partition(&mut self, record: &Record<'_>, partitions: u32) -> u32;
}

/// Where unkeyed records of one topic go now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sticky {
    partition: u32,
    /// Bytes until the next switch; the first switch happens at once.
    left: usize,
}

impl Sticky {
    /// The partition for a record of `size` bytes, if that is where the last one went; then [`Sticky::took`] counts it.
    #[inline(always)]
    pub(crate) fn same(&self, size: usize) -> Option<u32> {
        (self.left > size).then_some(self.partition)
    }

    /// A record of `size` bytes went to [`Sticky::same`].
    #[inline(always)]
    pub(crate) fn took(&mut self, size: usize) {
        self.left -= size;
    }

    /// The partition for a record of about `size` bytes. Moves on after `batch_size` bytes, to one by lot (KIP-794: partitions
    /// get bytes by their shares, whatever the size of the records).
    #[inline]
    pub(crate) fn next(&mut self, size: usize, batch_size: usize, partitions: NonZeroU32, shares: &Shares) -> u32 {
        if self.left <= size || self.partition >= partitions.get() {
            self.partition = shares.draw(partitions);
            self.left = batch_size.max(1) + size;
        }
        self.left -= size;
        self.partition
    }
}

/// The partition of a keyed record: as Java's, `toPositive(murmur2(key)) % partitions`.
#[inline]
pub(crate) fn keyed(key: &[u8], partitions: NonZeroU32) -> u32 {
    partition_for_key(key, partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unkeyed_records_stick_for_a_batch_and_reach_every_partition() {
        let four = NonZeroU32::new(4).expect("not zero");
        let (mut sticky, even) = (Sticky::default(), Shares::default());
        let chosen: Vec<u32> = (0..10_000).map(|_| sticky.next(100, 1_000, four, &even)).collect();
        for run in chosen.chunk_by(|a, b| a == b) {
            assert!(run.len() >= 10, "a partition is left before a batch is full: {run:?}");
        }
        for partition in 0..4 {
            let share = chosen.iter().filter(|p| **p == partition).count();
            assert!((1_500..3_500).contains(&share), "partition {partition} got {share} of 10,000");
        }
    }

    #[test]
    fn a_shrunken_count_is_respected() {
        let mut sticky = Sticky { partition: 7, left: 1 << 20 };
        assert_eq!(sticky.next(10, 100, NonZeroU32::MIN, &Shares::default()), 0);
    }
}
