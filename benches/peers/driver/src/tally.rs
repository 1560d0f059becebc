//! Counts outcomes and knows when the last one came.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::usage;

/// A moment, and the CPU time that the process had used by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) cpu: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), cpu: usage::cpu_time() }
    }
}

/// Shared by the sending threads and the one thread on which the client tells outcomes.
#[derive(Debug, Default)]
pub struct Tally {
    expected: AtomicU64,
    /// Written by the outcomes' thread alone: no read-modify-write for each record.
    told: AtomicU64,
    failed: AtomicU64,
    /// Records that the client did not take.
    refused: AtomicU64,
    latency: Mutex<Histogram>,
    first_error: Mutex<Option<String>>,
    end: Mutex<Option<Moment>>,
    ended: Condvar,
}

impl Tally {
    /// From here on so many outcomes are expected. The ones before have all come.
    pub(crate) fn begin(&self, expected: u64) {
        for counter in [&self.told, &self.failed, &self.refused] {
            counter.store(0, Ordering::SeqCst);
        }
        *lock(&self.latency) = Histogram::default();
        *lock(&self.end) = None;
        self.expected.store(expected, Ordering::SeqCst);
    }

    /// Outcomes of `count` records; on one thread only.
    #[inline]
    pub fn told(&self, count: u64, error: Option<&dyn std::fmt::Display>) {
        if let Some(error) = error {
            self.failed.fetch_add(count, Ordering::SeqCst);
            lock(&self.first_error).get_or_insert_with(|| error.to_string());
        }
        let told = self.told.load(Ordering::Relaxed) + count;
        self.told.store(told, Ordering::Release);
        if told + self.refused.load(Ordering::Relaxed) >= self.expected.load(Ordering::Relaxed) {
            self.finish();
        }
    }

    /// A record that the client did not take: it has no other outcome.
    pub(crate) fn refused(&self, count: u64, error: &str) {
        lock(&self.first_error).get_or_insert_with(|| error.to_owned());
        let refused = self.refused.fetch_add(count, Ordering::SeqCst) + count;
        if refused + self.told.load(Ordering::Acquire) >= self.expected.load(Ordering::Relaxed) {
            self.finish();
        }
    }

    /// The time from before a record's send to its outcome.
    pub fn latency(&self, time: Duration) {
        lock(&self.latency).record(time.as_nanos() as u64);
    }

    fn finish(&self) {
        lock(&self.end).get_or_insert_with(Moment::now);
        self.ended.notify_all();
    }

    /// Waits until every record has its outcome, or none has come for `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Moment> {
        let mut seen = u64::MAX;
        loop {
            let end = lock(&self.end);
            let (end, _) = self
                .ended
                .wait_timeout_while(end, patience, |end| end.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            let told = self.told.load(Ordering::SeqCst);
            if end.is_some() || told == seen {
                return *end;
            }
            seen = told;
        }
    }

    /// Records acknowledged, and failed or never taken.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let failed = self.failed.load(Ordering::SeqCst);
        (self.told.load(Ordering::SeqCst) - failed, failed + self.refused.load(Ordering::SeqCst))
    }

    pub(crate) fn latencies(&self) -> Histogram {
        lock(&self.latency).clone()
    }

    pub(crate) fn first_error(&self) -> Option<String> {
        lock(&self.first_error).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
