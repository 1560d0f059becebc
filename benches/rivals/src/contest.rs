//! Who takes part, in what, and in which order: rounds, in each of which everybody has one shot at each workload.

use crate::options::Options;
use crate::probe::Distance;
use crate::queues::{bytes, items, lane};
use crate::records::{Look, Records};
use crate::shot::{self, Consumer, Shot, Workload};
use std::collections::BTreeMap;
use std::thread;

/// The lane: what all others are compared with.
pub(crate) const LANE: &str = "forebay lane";
/// The floor: no queue at all.
pub(crate) const COPY: &str = "memcpy, one thread";
/// A disturbed shot is taken again so often.
const TRIES: usize = 4;

type Run = fn(&Workload) -> Shot;

/// All that take part, with places for records of `N` bytes in queues of fixed elements.
fn contestants<const N: usize>() -> Vec<(&'static str, Run)> {
    vec![
        (COPY, shot::copy),
        (LANE, shot::run::<lane::OneLane<2048, { 64 << 10 }>>),
        ("forebay lane, one segment at a time", shot::run::<lane::OneLane<2048, 0>>),
        ("forebay lane, 64 KiB segments", shot::run::<lane::OneLane<{ 64 << 10 }, 0>>),
        ("rtrb, bytes", shot::run::<bytes::Rtrb>),
        ("ringbuf, bytes", shot::run::<bytes::Ringbuf>),
        ("bbqueue, stream", shot::run::<bytes::BbStream>),
        ("bbqueue, framed", shot::run::<bytes::BbFramed>),
        ("disruptor, in place", shot::run::<items::Disruptor<N>>),
        ("crossbeam ArrayQueue, inline", shot::run::<items::Array<items::Inline<N>>>),
        ("crossbeam ArrayQueue, boxed", shot::run::<items::Array<Box<[u8]>>>),
        ("crossbeam channel, inline", shot::run::<items::Channel<items::Inline<N>>>),
        ("crossbeam channel, boxed", shot::run::<items::Channel<Box<[u8]>>>),
        ("std sync_channel, inline", shot::run::<items::Mpsc<items::Inline<N>>>),
        ("std sync_channel, boxed", shot::run::<items::Mpsc<Box<[u8]>>>),
    ]
}

/// One workload and all its shots.
pub(crate) struct Event {
    pub(crate) work: Workload,
    pub(crate) entries: Vec<Entry>,
}

/// One contestant's shots at a workload.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    run: Run,
    /// One a round.
    pub(crate) shots: Vec<Shot>,
}

impl Event {
    fn new(options: &Options, mean: usize, capacity: usize, consumer: Consumer, look: Look) -> Self {
        let all = match mean {
            16 => contestants::<24>(),
            100 => contestants::<128>(),
            _ => contestants::<1280>(),
        };
        let wanted =
            |name: &str| options.only.is_empty() || options.only.iter().any(|part| name.contains(part.as_str()));
        let entries = all.into_iter().filter(|(name, _)| wanted(name));
        Event {
            work: Workload {
                mean,
                capacity,
                consumer,
                look,
                count: (options.bytes_per_shot / mean.max(40)) as u64,
                records: Records::new(mean, options.seed),
                probe_trips: options.probe_trips,
                processors: options.processors,
            },
            entries: entries.map(|(name, run)| Entry { name, run, shots: Vec::new() }).collect(),
        }
    }

    /// In a few words, for people and file names.
    pub(crate) fn title(&self) -> String {
        let Workload { mean, capacity, consumer, look, .. } = &self.work;
        format!("{mean} bytes, {} KiB, {} consumer, {}", capacity >> 10, consumer.name(), look.name())
    }

    /// Shots of the lane by distance of the two processors: the most frequent first.
    pub(crate) fn distances(&self) -> Vec<(Distance, usize)> {
        let mut counts = BTreeMap::new();
        for shot in self.entries.iter().flat_map(|entry| &entry.shots) {
            if let Some(distance) = shot.distance() {
                *counts.entry(distance).or_insert(0) += 1;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

impl Entry {
    /// Nanoseconds per record of the shots of one distance, ascending. The copy has one thread and any distance.
    pub(crate) fn times(&self, distance: Distance) -> Vec<f64> {
        let mut times: Vec<f64> =
            self.shots.iter().filter(|shot| self.counts(shot, distance)).map(|shot| shot.ns).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    fn counts(&self, shot: &Shot, distance: Distance) -> bool {
        if self.name == COPY { shot.disturbed < 0.02 } else { shot.distance() == Some(distance) }
    }

    /// The median, over the rounds in which both had a shot that counts, of this one's time by the other's.
    pub(crate) fn ratio_to(&self, other: &Entry, distance: Distance) -> Option<(f64, usize)> {
        let both = self.shots.iter().zip(&other.shots);
        let mut ratios: Vec<f64> = both
            .filter(|(ours, theirs)| self.counts(ours, distance) && other.counts(theirs, distance))
            .map(|(ours, theirs)| ours.ns / theirs.ns)
            .collect();
        ratios.sort_by(f64::total_cmp);
        Some((median(&ratios)?, ratios.len()))
    }
}

/// The middle of sorted values.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// Takes all shots.
pub(crate) fn hold(options: &Options) -> Vec<Event> {
    let mut events = Vec::new();
    for &capacity in &options.capacities {
        for &mean in &options.sizes {
            for consumer in [Consumer::Patient { bytes: options.patience(capacity) }, Consumer::Eager] {
                for &look in &options.looks {
                    if options.consumers.iter().any(|name| name == consumer.name()) {
                        events.push(Event::new(options, mean, capacity, consumer, look));
                    }
                }
            }
        }
    }
    let mut random = fastrand::Rng::with_seed(options.seed);
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        for event in &mut events {
            let mut order: Vec<usize> = (0..event.entries.len()).collect();
            random.shuffle(&mut order);
            for at in order {
                let entry = &mut event.entries[at];
                let mut shot = (entry.run)(&event.work);
                for _ in 1..TRIES {
                    thread::sleep(options.rest);
                    if shot.disturbed < 0.02 || options.smoke {
                        break;
                    }
                    shot = (entry.run)(&event.work);
                }
                entry.shots.push(shot);
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
    }
}
