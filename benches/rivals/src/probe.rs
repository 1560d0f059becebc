//! Where the two threads of a shot sat, and what else the machine did meanwhile.
//!
//! A host may move its virtual processors: the same two of them are siblings of one core now and sit under different L3
//! caches a minute later, and the same code runs several times apart between the two. A cache line sent there and back says
//! which it is.

use crate::shot::Patience;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A cache line that two threads send to and fro.
#[derive(Default)]
pub(crate) struct PingPong {
    ping: CachePadded<AtomicU64>,
    pong: CachePadded<AtomicU64>,
}

impl PingPong {
    /// The sender's part; answers the time of a round trip in nanoseconds. Each probe of a shot has its `number`, from 0.
    pub(crate) fn ping(&self, number: u64, trips: u64) -> f64 {
        let base = number * trips;
        let start = Instant::now();
        for trip in base + 1..=base + trips {
            self.ping.store(trip, Ordering::Release);
            let mut patience = Patience::default();
            while self.pong.load(Ordering::Acquire) != trip {
                patience.wait();
            }
        }
        start.elapsed().as_nanos() as f64 / trips as f64
    }

    /// The consumer's part.
    pub(crate) fn pong(&self, number: u64, trips: u64) {
        let base = number * trips;
        for trip in base + 1..=base + trips {
            let mut patience = Patience::default();
            while self.ping.load(Ordering::Acquire) != trip {
                patience.wait();
            }
            self.pong.store(trip, Ordering::Release);
        }
    }
}

/// How near to each other two processors are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Distance {
    /// Two threads of one core: under 75 ns there and back.
    Siblings,
    /// Two cores under one L3.
    OneL3,
    /// From 300 ns: two L3 caches.
    TwoL3,
}

impl Distance {
    pub(crate) fn of(round_trip_ns: f64) -> Self {
        if round_trip_ns < 75.0 {
            Distance::Siblings
        } else if round_trip_ns < 300.0 {
            Distance::OneL3
        } else {
            Distance::TwoL3
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Distance::Siblings => "siblings",
            Distance::OneL3 => "one L3",
            Distance::TwoL3 => "two L3s",
        }
    }
}

/// Nanoseconds that this thread was ready and another had its processor, since it began. `None` where the system does not say.
pub(crate) fn waited_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Keeps this thread on one processor, and answers where it is.
pub(crate) fn settle_on(processor: Option<usize>) -> usize {
    if let Some(processor) = processor {
        let mut set = rustix::thread::CpuSet::new();
        set.set(processor);
        if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
            eprintln!("processor {processor}: {error}; the thread goes where it likes");
        }
    }
    rustix::thread::sched_getcpu()
}
