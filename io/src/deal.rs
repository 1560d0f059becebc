//! How a producer's partitions are dealt out among its I/O threads (`io.threads`).
//!
//! A partition belongs to one thread for good, whoever leads it: its lanes, its batches and its sequence numbers never
//! change hands, so threads share no state that a record touches. In turn, as Kafka places leaders: where the number of
//! brokers is a multiple of that of the threads, each thread has brokers of its own.

use crate::topics::TopicId;

/// The most I/O threads of a producer: a topic keeps a bit for each.
pub const MOST_THREADS: usize = 64;

/// Among how many threads.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Deal(u32);

impl Deal {
    /// Among so many threads: at least one, at most [`MOST_THREADS`].
    pub fn among(threads: usize) -> Self {
        Self(threads.clamp(1, MOST_THREADS) as u32)
    }

    /// How many threads there are.
    pub fn threads(self) -> usize {
        self.0 as usize
    }

    /// The number of the thread that a partition belongs to. Topics begin one thread apart, so that topics of one partition
    /// are dealt out as well.
    pub fn thread(self, topic: TopicId, partition: u32) -> usize {
        ((u64::from(topic.0) + u64::from(partition)) % u64::from(self.0)) as usize
    }

    /// What one of the threads has.
    pub fn hand(self, thread: usize) -> Hand {
        Hand { deal: self, thread: thread.min(self.threads() - 1) }
    }
}

/// The partitions of one thread.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Hand {
    deal: Deal,
    thread: usize,
}

impl Hand {
    /// Those of the only thread: all.
    pub const ALL: Self = Self { deal: Deal(1), thread: 0 };

    /// Whether a partition is among them.
    pub fn holds(self, topic: TopicId, partition: u32) -> bool {
        self.deal.thread(topic, partition) == self.thread
    }

    /// The thread's bit in a set of threads.
    pub(crate) fn bit(self) -> u64 {
        1 << self.thread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_one_thread_and_each_thread_its_part() {
        let deal = Deal::among(3);
        let mut parts = [0; 3];
        for topic in 0..5 {
            for partition in 0..9 {
                let holders: Vec<_> = (0..3).filter(|t| deal.hand(*t).holds(TopicId(topic), partition)).collect();
                assert_eq!(holders, [deal.thread(TopicId(topic), partition)]);
                parts[holders[0]] += 1;
            }
        }
        assert_eq!(parts, [15; 3]);
    }

    #[test]
    fn topics_of_one_partition_are_dealt_out_too() {
        let threads: Vec<_> = (0..4).map(|topic| Deal::among(2).thread(TopicId(topic), 0)).collect();
        assert_eq!(threads, [0, 1, 0, 1]);
    }

    #[test]
    fn the_ends_of_the_ranges_are_no_trouble() {
        assert_eq!(Deal::among(0), Deal::among(1));
        assert_eq!(Deal::among(usize::MAX).threads(), MOST_THREADS);
        assert!(Hand::ALL.holds(TopicId(u32::MAX), u32::MAX));
        assert!(Deal::among(64).thread(TopicId(u32::MAX), u32::MAX) < 64);
        assert_eq!(Deal::among(64).hand(63).bit(), 1 << 63);
        assert_eq!(Deal::among(2).hand(7), Deal::among(2).hand(1));
    }
}
