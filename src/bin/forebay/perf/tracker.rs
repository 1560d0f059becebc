//! Counts outcomes and measures send-to-ack latency from samples.
//!
//! Outcomes come per batch and sender on the producer's I/O thread. A sampled record leaves its ordinal and the time before its send
//! in the queue of its (sender, partition); the outcome that covers the ordinal takes it out again.

use super::usage;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

struct Sample {
    ordinal: u64,
    at: Instant,
}

/// Where the run ended: when the last record had its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) at: Instant,
    pub(super) cpu: Duration,
}

/// Shared by the sending threads, the I/O thread that reports outcomes, and the thread that watches.
pub(super) struct Tracker {
    expected: u64,
    acked: AtomicU64,
    failed: AtomicU64,
    lanes: Vec<Mutex<VecDeque<Sample>>>,
    latency: Mutex<Histogram<u64>>,
    /// What was taken from `latency` before.
    earlier: Mutex<Histogram<u64>>,
    first_error: Mutex<Option<String>>,
    end: Mutex<Option<End>>,
    ended: Condvar,
}

impl Tracker {
    /// For `expected` records on `lanes` pairs of sender and partition.
    pub(super) fn new(expected: u64, lanes: usize) -> Self {
        Self {
            expected,
            acked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lanes: (0..lanes).map(|_| Mutex::new(VecDeque::with_capacity(64))).collect(),
            latency: Mutex::new(nanosecond_histogram()),
            earlier: Mutex::new(nanosecond_histogram()),
            first_error: Mutex::new(None),
            end: Mutex::new(None),
            ended: Condvar::new(),
        }
    }

    /// The record with this ordinal in the lane is about to be sent.
    pub(super) fn sample(&self, lane: usize, ordinal: u64, at: Instant) {
        if let Some(queue) = self.lanes.get(lane) {
            lock(queue).push_back(Sample { ordinal, at });
        }
    }

    /// Outcome of `count` records of a lane, from ordinal `first` on. Outcomes of a lane come in the order of its records.
    pub(super) fn outcome(&self, lane: usize, first: u64, count: u64, error: Option<&dyn std::fmt::Display>) {
        let now = Instant::now();
        if let Some(queue) = self.lanes.get(lane) {
            let mut queue = lock(queue);
            let mut latency = lock(&self.latency);
            while queue.front().is_some_and(|sample| sample.ordinal < first + count) {
                if let (Some(sample), None) = (queue.pop_front(), error) {
                    latency.saturating_record(nanoseconds(now - sample.at));
                }
            }
        }
        match error {
            None => self.settle(&self.acked, count),
            Some(error) => self.fail(count, error),
        }
    }

    /// `count` records will never have another outcome than this error.
    pub(super) fn fail(&self, count: u64, error: &dyn std::fmt::Display) {
        lock(&self.first_error).get_or_insert_with(|| error.to_string());
        self.settle(&self.failed, count);
    }

    fn settle(&self, counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::SeqCst);
        // Whoever brings the last outcome sees all the others' counts: the additions and these loads have one total order.
        if count > 0 && self.settled() >= self.expected {
            lock(&self.end).get_or_insert_with(|| End { at: Instant::now(), cpu: usage::cpu_time() });
            self.ended.notify_all();
        }
    }

    /// Records with an outcome.
    pub(super) fn settled(&self) -> u64 {
        self.acked() + self.failed()
    }

    pub(super) fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    pub(super) fn first_error(&self) -> Option<String> {
        lock(&self.first_error).clone()
    }

    /// Send-to-ack latencies of the acknowledged samples, in nanoseconds.
    pub(super) fn latency(&self) -> Histogram<u64> {
        let mut all = lock(&self.earlier).clone();
        let _ = all.add(&*lock(&self.latency)); // equal bounds: cannot fail
        all
    }

    /// Those since the last call, into a histogram of the same bounds. The lock that outcomes need is held for two assignments.
    pub(super) fn take_latency(&self, into: &mut Histogram<u64>) {
        into.reset(); // `clear` would keep the maximum
        std::mem::swap(into, &mut *lock(&self.latency));
        let _ = lock(&self.earlier).add(&*into); // as above
    }

    /// Waits until every record has its outcome, at most so long.
    pub(super) fn wait(&self, timeout: Duration) -> Option<End> {
        let end = lock(&self.end);
        *self.ended.wait_timeout_while(end, timeout, |end| end.is_none()).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Up to an hour with three significant digits.
pub(super) fn nanosecond_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are valid")
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The counts stay right whoever panicked while holding a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Tracker, lock, nanosecond_histogram};
    use std::time::{Duration, Instant};

    #[test]
    fn an_outcome_takes_the_samples_it_covers() {
        let tracker = Tracker::new(100, 2);
        for ordinal in [0, 9, 10] {
            tracker.sample(1, ordinal, Instant::now());
        }
        tracker.outcome(0, 0, 50, None);
        assert_eq!(tracker.latency().len(), 0, "another lane");
        tracker.outcome(1, 0, 10, None);
        assert_eq!(tracker.latency().len(), 2);
        tracker.outcome(1, 10, 1, Some(&"gone"));
        assert_eq!(tracker.latency().len(), 2, "a failed record has no latency");
        assert_eq!((tracker.acked(), tracker.failed()), (60, 1));
    }

    #[test]
    fn what_was_taken_is_not_taken_again_and_not_lost() {
        let tracker = Tracker::new(100, 1);
        let mut taken = nanosecond_histogram();
        lock(&tracker.latency).saturating_record(5_000_000);
        tracker.take_latency(&mut taken);
        assert!(taken.len() == 1 && taken.max() >= 5_000_000);
        for _ in 0..2 {
            lock(&tracker.latency).saturating_record(300);
            tracker.take_latency(&mut taken);
            assert!(taken.len() == 1 && taken.max() < 1_000, "{}", taken.max());
        }
        tracker.take_latency(&mut taken);
        assert!(taken.is_empty());
        assert!(tracker.latency().len() == 3 && tracker.latency().max() >= 5_000_000);
    }

    #[test]
    fn the_run_ends_with_the_last_outcome_of_any_kind() {
        let tracker = Tracker::new(10, 1);
        tracker.outcome(0, 0, 8, None);
        tracker.fail(1, &"first");
        assert!(tracker.wait(Duration::ZERO).is_none());
        tracker.fail(1, &"second");
        assert!(tracker.wait(Duration::ZERO).is_some());
        assert_eq!(tracker.first_error().as_deref(), Some("first"));
    }
}
