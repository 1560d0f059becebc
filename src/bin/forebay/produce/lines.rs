//! Which line is which record, for as long as a record has no outcome.
//!
//! Outcomes come per partition and in order, as counts. So each partition keeps the lines of its records in a queue, as distances
//! from the line before: one byte a record in most files, so that the memory this takes stays far below that of the records.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared by the sending thread and the I/O thread that reports outcomes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: Vec<Partition>,
    acknowledged: u64,
    /// The lowest line known to have failed, with its error.
    first_failure: Option<(u64, String)>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Distances between lines, 7 bits a byte, the lowest first; the top bit says that more follow.
    distances: VecDeque<u8>,
    last_in: u64,
    last_out: u64,
}

impl Lines {
    /// The record of this line is about to go to this partition. Lines come in rising order.
    pub(super) fn sending(&self, partition: u32, line: u64) {
        let mut inner = self.lock();
        let entry = inner.partition(partition);
        let mut distance = line.wrapping_sub(entry.last_in);
        entry.last_in = line;
        while distance >= 0x80 {
            entry.distances.push_back(distance as u8 | 0x80);
            distance >>= 7;
        }
        entry.distances.push_back(distance as u8);
    }

    /// The next `count` records of this partition have their outcome.
    pub(super) fn outcome(&self, partition: u32, count: u64, error: Option<String>) {
        let mut inner = self.lock();
        let entry = inner.partition(partition);
        let mut lines = std::iter::from_fn(|| entry.next());
        let first = lines.next();
        // `count` is at least 1, and whoever sends notes the line before.
        let others = lines.take(count.saturating_sub(1) as usize).count() as u64;
        match (first, error) {
            (Some(_), None) => inner.acknowledged += 1 + others,
            (Some(line), Some(error)) if inner.first_failure.as_ref().is_none_or(|(first, _)| line < *first) => {
                inner.first_failure = Some((line, error));
            }
            _ => {}
        }
    }

    /// Records that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.lock().acknowledged
    }

    /// Whether a record has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().first_failure.is_some()
    }

    /// The lowest line that was not acknowledged, and why: its own error, or none where it has no outcome.
    pub(super) fn first_unacknowledged(&self) -> Option<(u64, Option<String>)> {
        let inner = self.lock();
        let failed = inner.first_failure.iter().map(|(line, error)| (*line, Some(error.clone())));
        let pending = inner.partitions.iter().filter_map(Partition::front).map(|line| (line, None));
        failed.chain(pending).min_by_key(|(line, _)| *line)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn partition(&mut self, partition: u32) -> &mut Partition {
        let index = partition as usize;
        if self.partitions.len() <= index {
            self.partitions.resize_with(index + 1, Partition::default);
        }
        &mut self.partitions[index]
    }
}

impl Partition {
    /// The line of the oldest record without an outcome.
    fn front(&self) -> Option<u64> {
        let length = self.distances.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let distance = self.distances.iter().take(length).rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
        Some(self.last_out.wrapping_add(distance))
    }

    /// Takes the line of the oldest record.
    fn next(&mut self) -> Option<u64> {
        let mut distance = 0;
        let mut shift = 0;
        loop {
            let byte = self.distances.pop_front()?;
            distance |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                self.last_out = self.last_out.wrapping_add(distance);
                return Some(self.last_out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use proptest::prelude::*;

    #[test]
    fn a_failure_names_its_line() {
        let lines = Lines::default();
        for line in 1..=1_000 {
            lines.sending(u32::from(line % 3 == 0), line);
        }
        lines.outcome(1, 333, None);
        assert_eq!(lines.first_unacknowledged(), Some((1, None)));
        lines.outcome(0, 600, None);
        assert!(!lines.has_failed());
        lines.outcome(0, 2, Some("too late".to_owned()));
        lines.outcome(0, 65, Some("later".to_owned()));
        // Partition 0 holds 1, 2, 4, 5, 7, …: its 601st is line 901.
        assert_eq!(lines.first_unacknowledged(), Some((901, Some("too late".to_owned()))));
        assert_eq!(lines.acknowledged(), 933);
        assert!(lines.has_failed());
    }

    #[test]
    fn a_lower_line_without_outcome_comes_before_a_failure() {
        let lines = Lines::default();
        lines.sending(0, 5_000_000_000);
        lines.sending(1, 5_000_070_000);
        lines.outcome(1, 1, Some("no".to_owned()));
        assert_eq!(lines.first_unacknowledged(), Some((5_000_000_000, None)));
        lines.outcome(0, 1, None);
        assert_eq!(lines.first_unacknowledged(), Some((5_000_070_000, Some("no".to_owned()))));
    }

    proptest! {
        #[test]
        fn lines_come_out_as_they_went_in(steps in prop::collection::vec((1_u64..100_000, 0_u32..4), 1..300), fails in 0_usize..300) {
            let lines = Lines::default();
            let mut line = 0;
            let mut sent = Vec::new();
            for (step, partition) in steps {
                line += step;
                lines.sending(partition, line);
                sent.push((partition, line));
            }
            prop_assert_eq!(lines.first_unacknowledged(), Some((sent[0].1, None)));
            let fails = fails % sent.len();
            for (index, (partition, _)) in sent.iter().enumerate() {
                lines.outcome(*partition, 1, (index == fails).then(|| "x".to_owned()));
            }
            prop_assert_eq!(lines.first_unacknowledged(), Some((sent[fails].1, Some("x".to_owned()))));
            prop_assert_eq!(lines.acknowledged(), sent.len() as u64 - 1);
        }
    }
}
