//! What waits for each partition and node, for the senders' draw (KIP-794): looked at every few milliseconds, and only
//! for topics of which somebody has drawn a partition meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::brokers::Brokers;
use super::metadata::Metadata;
use crate::deal::Hand;
use crate::time::Time;
use crate::topics::{TopicEntry, TopicId, TopicTable};

/// How often, at most.
const EVERY: Duration = Duration::from_millis(5);
/// For each lane and partition looked at, the pause before the next look: a look takes some 50 ns of the I/O thread.
const PAUSE: Duration = Duration::from_micros(10);

#[derive(Default)]
pub(super) struct Loads {
    /// By topic id.
    topics: Vec<Option<Topic>>,
    /// Topics looked at this time.
    seen: Vec<TopicId>,
    /// Those of them whose shares are uneven: looked at next time also if nothing of theirs is active then.
    uneven: Vec<TopicId>,
    round: u64,
    next: Time,
}

struct Topic {
    entry: Arc<TopicEntry>,
    /// By partition, in batches; empty while nobody draws.
    waiting: Vec<Option<u32>>,
    round: u64,
    wanted: bool,
}

impl Loads {
    /// A partition of this topic has been sent to.
    pub(super) fn know(&mut self, id: TopicId, table: &TopicTable) {
        if self.topics.len() <= id.index() {
            self.topics.resize_with(id.index() + 1, || None);
        }
        let place = &mut self.topics[id.index()];
        if place.is_none()
            && let Some(entry) = table.entry(id)
        {
            *place = Some(Topic { entry, waiting: Vec::new(), round: 0, wanted: false });
        }
    }

    /// Whether there is a topic to be looked at: else ten thousand partitions would be looked through for none.
    fn is_anyone_drawing(&self, hand: Hand) -> bool {
        self.topics
            .iter()
            .flatten()
            .map(|topic| topic.entry.shares())
            .any(|shares| shares.is_asked(hand) || shares.are_uneven())
    }

    /// A topic that is looked at this time, or None. Asked for each active partition, so the answer is kept for the round.
    fn topic(&mut self, id: TopicId, hand: Hand) -> Option<&mut Topic> {
        let topic = self.topics.get_mut(id.index())?.as_mut()?;
        if topic.round != self.round {
            topic.round = self.round;
            let partitions = topic.entry.partitions() as usize;
            // Shares that are in force must be put right also when nobody draws any more.
            topic.wanted = partitions > 1 && (topic.entry.shares().was_asked(hand) | topic.entry.shares().are_uneven());
            if topic.wanted {
                topic.waiting.clear();
                topic.waiting.resize(partitions, Some(0));
                self.seen.push(id);
            }
        }
        Some(topic).filter(|topic| topic.wanted)
    }
}

impl Core {
    /// Looks at what waits where a look is due, and publishes the shares that follow. To be called when everything that can
    /// be sent was: what is left waits for its broker.
    pub(super) fn weigh_loads(&mut self, now: Time) {
        if now < self.loads.next {
            return;
        }
        // Without it only who leads counts: what has no leader is not drawn (Java's `availablePartitionsForTopic`).
        let adaptive = self.cfg.adaptive_partitioning;
        let timeout = if adaptive { self.cfg.availability_timeout } else { Duration::ZERO };
        let hand = self.cfg.hand;
        let mut loads = std::mem::take(&mut self.loads);
        loads.round += 1;
        loads.seen.clear();
        for at in 0..loads.uneven.len() {
            loads.topic(loads.uneven[at], hand);
        }
        let mut looks = 0_u32;
        let pressure = self.io.waiting_senders() > 0;
        for broker in 0..self.brokers.len() {
            self.brokers.get_mut(broker).owed = false;
        }
        let active = if loads.is_anyone_drawing(hand) { self.active.len() } else { 0 };
        for at in 0..active {
            let number = self.active[at];
            let (topic, index) = (self.partitions[number as usize].topic, self.partitions[number as usize].index);
            if loads.topic(topic, hand).is_none() || !adaptive {
                continue;
            }
            let (waiting, due) = self.waiting(number, pressure, now);
            looks += 1 + self.partitions[number as usize].lanes.len() as u32;
            if due && let Some(broker) = self.brokers.find(self.metadata.leader(topic, index).node) {
                self.brokers.get_mut(broker).owed = true;
            }
            let place = loads.topic(topic, hand).and_then(|t| t.waiting.get_mut(usize::try_from(index).ok()?));
            if let Some(place) = place {
                *place = Some(batches(waiting, self.cfg.batch_size));
            }
        }
        for broker in 0..self.brokers.len() {
            let broker = self.brokers.get_mut(broker);
            broker.owed_since = if broker.owed { broker.owed_since.or(Some(now)) } else { None };
        }
        loads.uneven.clear();
        for id in &loads.seen {
            let Some(Some(topic)) = loads.topics.get_mut(id.index()) else { continue };
            for (index, place) in topic.waiting.iter_mut().enumerate() {
                if !is_available(&self.metadata, &self.brokers, timeout, *id, index, now) {
                    *place = None;
                }
            }
            looks += topic.waiting.len() as u32;
            // Where a reader or another core is in the way, the next round puts it right.
            topic.entry.shares().publish(&topic.waiting, |partition| hand.holds(*id, partition));
            if topic.entry.shares().are_uneven() {
                loads.uneven.push(*id);
            }
        }
        loads.next = now + EVERY.max(PAUSE * looks);
        self.loads = loads;
    }

    /// When to look again though nothing happens here. A draw is heard of in the turn that its record gives rise to: with several
    /// cores that is another's turn, and what waits here would be told as it was once.
    pub(super) fn loads_due(&self) -> Time {
        let alone = self.cfg.hand == Hand::ALL;
        if alone || self.active.is_empty() { Time::MAX } else { self.loads.next }
    }

    /// Bytes that wait for a partition's broker, and whether they could be sent if that took them.
    fn waiting(&mut self, number: u32, pressure: bool, now: Time) -> (usize, bool) {
        let mut due = self.due(number, pressure, now).is_some_and(|due| due <= now);
        let partition = &self.partitions[number as usize];
        let lanes = partition.lanes.iter().filter_map(|id| self.ledger.lane(*id)).map(|lane| lane.pending);
        let cut = partition.retry.iter().map(|entry| entry.1).chain(partition.packing.iter().copied());
        let waiting = lanes.sum::<usize>() + cut.map(|id| self.batches.get(id).wire_len()).sum::<usize>();
        if !partition.retry.is_empty() {
            // What goes again has to wait for its own sake.
            due = partition.retry_at <= now;
        }
        (waiting, due)
    }
}

/// Bytes in batches, to the nearest: a batch that is only gathering does not count.
fn batches(bytes: usize, batch_size: usize) -> u32 {
    let size = batch_size.max(1);
    u32::try_from(bytes.saturating_add(size / 2) / size).unwrap_or(u32::MAX)
}

/// Whether a partition has a leader that takes what is there for it (`partitioner.availability.timeout.ms`).
fn is_available(
    metadata: &Metadata,
    brokers: &Brokers,
    timeout: Duration,
    topic: TopicId,
    index: usize,
    now: Time,
) -> bool {
    let leader = metadata.leader(topic, index as i32);
    let Some(broker) = brokers.find(leader.node) else { return false };
    let owed_since = brokers.get(broker).owed_since;
    timeout.is_zero() || owed_since.is_none_or(|since| now.since(since) <= timeout)
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn bytes_count_in_batches_to_the_nearest() {
        assert_eq!([0, 7, 8, 23, 24, 160].map(|bytes| batches(bytes, 16)), [0, 0, 1, 1, 2, 10]);
        assert_eq!(batches(3, 0), 3);
        assert_eq!(batches(usize::MAX, 1), u32::MAX);
    }
}
