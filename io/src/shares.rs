//! How much of a topic's traffic each partition should get where nobody says which one a record goes to (KIP-794).
//!
//! The core knows what waits for each partition; senders draw. Between them lies one small table for each topic: nobody
//! waits for it. A sender that meets the core's pen, and a core that meets a reader, go on without it. Of several cores
//! each writes what it knows: of its own partitions.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{RwLock, TryLockError};

use crate::deal::Hand;

/// The word of a sender to every core.
const ALL_CORES: u64 = u64::MAX;

/// The shares of one topic's partitions.
#[derive(Debug, Default)]
pub struct Shares {
    /// A bit for each core: somebody has drawn since it looked last. Topics of which nobody draws cost nothing.
    asked: AtomicU64,
    /// There is a table. Without one all partitions are alike.
    uneven: AtomicBool,
    table: RwLock<Table>,
}

/// Both by partition.
#[derive(Debug, Default)]
struct Table {
    /// What waits; `None` is not to be drawn.
    waiting: Vec<Option<u32>>,
    /// Running sums of the weights that follow; empty while all partitions are alike.
    sums: Vec<u32>,
}

impl Shares {
    /// A partition by lot, less than `partitions`. To be called once for each stretch of records, not for each record.
    pub fn draw(&self, partitions: NonZeroU32) -> u32 {
        if self.asked.load(Ordering::Relaxed) != ALL_CORES {
            self.asked.store(ALL_CORES, Ordering::Relaxed);
        }
        if self.uneven.load(Ordering::Relaxed)
            && let Ok(table) = self.table.try_read()
            && let Some(drawn) = pick(&table.sums, |total| fastrand::u32(0..total))
            // A topic that was made anew may have fewer.
            && drawn < partitions.get()
        {
            return drawn;
        }
        fastrand::u32(0..partitions.get())
    }

    /// Whether somebody has drawn since this core's last [`Shares::was_asked`].
    pub(crate) fn is_asked(&self, hand: Hand) -> bool {
        self.asked.load(Ordering::Relaxed) & hand.bit() != 0
    }

    /// Whether somebody has drawn since this core's last call.
    pub(crate) fn was_asked(&self, hand: Hand) -> bool {
        self.is_asked(hand) && self.asked.fetch_and(!hand.bit(), Ordering::Relaxed) & hand.bit() != 0
    }

    /// Publishes the shares that follow from what waits for each partition: `None` is not to be drawn, and those that are not
    /// this core's (`is_mine`) stay as they were. False if a reader or another core was in the way, and nothing has changed.
    pub(crate) fn publish(&self, waiting: &[Option<u32>], is_mine: impl Fn(u32) -> bool) -> bool {
        let mut table = match self.table.try_write() {
            Ok(table) => table,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let table = &mut *table;
        table.waiting.resize(waiting.len(), Some(0));
        for (partition, (known, new)) in (0..).zip(table.waiting.iter_mut().zip(waiting)) {
            if is_mine(partition) {
                *known = *new;
            }
        }
        let uneven = weigh(&table.waiting, &mut table.sums);
        self.uneven.store(uneven, Ordering::Relaxed);
        true
    }

    /// Whether some partitions get more than others.
    pub fn are_uneven(&self) -> bool {
        self.uneven.load(Ordering::Relaxed)
    }

    /// The share of each partition, out of the sum of all; empty while all are alike. For tests and tools.
    pub fn weights(&self) -> Vec<u32> {
        let Ok(table) = self.table.read() else { return Vec::new() };
        let before = std::iter::once(0).chain(table.sums.iter().copied());
        table.sums.iter().zip(before).map(|(sum, before)| sum - before).collect()
    }
}

/// The running sums of the partitions' weights, as Java's `BuiltInPartitioner` has them: the longest queue plus one, less
/// the partition's own. False, and no sums, where all are alike or none is to be drawn.
fn weigh(waiting: &[Option<u32>], sums: &mut Vec<u32>) -> bool {
    sums.clear();
    let known = waiting.iter().flatten();
    let Some(longest) = known.clone().max().copied() else { return false };
    if waiting.iter().all(|queue| *queue == Some(longest)) {
        return false;
    }
    // The sum of all weights stays below 2³².
    let limit = u32::MAX / u32::try_from(waiting.len()).unwrap_or(u32::MAX).saturating_add(1);
    let mut sum = 0;
    sums.extend(waiting.iter().map(|queue| {
        sum += queue.map_or(0, |queue| (longest - queue).min(limit - 1) + 1);
        sum
    }));
    true
}

/// The first partition whose running sum is above a number drawn below the last.
fn pick(sums: &[u32], draw: impl FnOnce(u32) -> u32) -> Option<u32> {
    let drawn = draw(*sums.last().filter(|total| **total > 0)?);
    u32::try_from(sums.partition_point(|sum| *sum <= drawn)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal::Deal;
    use crate::topics::TopicId;

    /// The only core's.
    const ALL: fn(u32) -> bool = |_| true;

    /// How often each partition is picked if every number is drawn once.
    fn frequencies(waiting: &[Option<u32>]) -> Option<Vec<usize>> {
        let mut sums = vec![9, 9];
        let uneven = weigh(waiting, &mut sums);
        assert_eq!(uneven, !sums.is_empty());
        let mut counts = vec![0; waiting.len()];
        for drawn in 0..*sums.last()? {
            counts[pick(&sums, |_| drawn)? as usize] += 1;
        }
        Some(counts)
    }

    // The queues of Java's BuiltInPartitionerTest.adaptivePartitionsTest.
    #[test]
    fn a_partition_is_drawn_as_often_as_the_longest_queue_plus_one_less_its_own() {
        let queues = [5, 0, 3, 0, 1].map(Some);
        assert_eq!(frequencies(&queues), Some(vec![1, 6, 3, 6, 5]));
        assert_eq!(frequencies(&[0, 3, 1].map(Some)), Some(vec![4, 1, 3]));
    }

    #[test]
    fn what_is_not_to_be_drawn_is_not_unless_nothing_is() {
        assert_eq!(frequencies(&[None, Some(2), Some(0)]), Some(vec![0, 1, 3]));
        assert_eq!(frequencies(&[Some(7), None]), Some(vec![1, 0]));
        assert_eq!(frequencies(&[None, Some(4), Some(4), None]), Some(vec![0, 1, 1, 0]));
        assert_eq!(frequencies(&[None, None]), None);
    }

    #[test]
    fn equal_queues_need_no_table() {
        assert_eq!(frequencies(&[]), None);
        assert_eq!(frequencies(&[Some(0)]), None);
        assert_eq!(frequencies(&[4, 4, 4].map(Some)), None);
    }

    #[test]
    fn weights_of_many_long_queues_do_not_overflow() {
        let mut queues = vec![Some(0); 100_000];
        queues[7] = Some(u32::MAX);
        let mut sums = Vec::new();
        assert!(weigh(&queues, &mut sums));
        assert!(sums.is_sorted(), "a sum has wrapped");
        assert_eq!(sums[7] - sums[6], 1);
        assert!(sums[8] - sums[7] > 1);
    }

    #[test]
    fn a_draw_follows_the_table_and_says_that_it_was_made() {
        let (shares, three) = (Shares::default(), NonZeroU32::new(3).expect("not zero"));
        assert!(!shares.was_asked(Hand::ALL));
        assert!(shares.publish(&[None, Some(1), None], ALL));
        assert!((0..100).all(|_| shares.draw(three) == 1));
        assert!(shares.was_asked(Hand::ALL) && !shares.was_asked(Hand::ALL));
        assert_eq!(shares.weights(), [0, 1, 0]);
        assert!((0..100).all(|_| shares.draw(NonZeroU32::MIN) == 0), "the topic has shrunk");
        assert!(shares.publish(&[Some(1); 3], ALL));
        assert!(!shares.are_uneven() && shares.weights().is_empty());
        let drawn: Vec<_> = (0..1_000).map(|_| shares.draw(three)).collect();
        assert!((0..3).all(|partition| drawn.contains(&partition)));
    }

    #[test]
    fn nobody_waits_for_the_table() {
        let (shares, two) = (Shares::default(), NonZeroU32::new(2).expect("not zero"));
        assert!(shares.publish(&[None, Some(0)], ALL));
        let reader = shares.table.read().expect("not poisoned");
        assert!(!shares.publish(&[Some(0), None], ALL), "the core waits for a reader");
        drop(reader);
        let writer = shares.table.write().expect("not poisoned");
        let drawn: Vec<_> = (0..1_000).map(|_| shares.draw(two)).collect();
        drop(writer);
        assert!((0..2).all(|partition| drawn.contains(&partition)), "a sender goes on without the table");
    }

    #[test]
    fn each_core_tells_of_its_own_partitions_and_hears_of_each_draw() {
        let (shares, four) = (Shares::default(), NonZeroU32::new(4).expect("not zero"));
        let hands = [0, 1].map(|thread| Deal::among(2).hand(thread));
        let publish = |core: usize, queue| {
            shares.publish(&[queue; 4], |partition| hands[core].holds(TopicId(0), partition));
        };
        publish(0, Some(2));
        assert_eq!(shares.weights(), [1, 3, 1, 3], "of the second core's nothing is known");
        publish(1, Some(4));
        assert_eq!(shares.weights(), [3, 1, 3, 1]);
        publish(0, None);
        assert_eq!(shares.weights(), [0, 1, 0, 1]);
        shares.draw(four);
        assert!(shares.was_asked(hands[0]) && !shares.was_asked(hands[0]));
        assert!(shares.was_asked(hands[1]), "one core's look hides the draw from the other");
    }
}
