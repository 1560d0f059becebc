//! One measurement: so many records from one thread to another through a fresh queue.

use crate::probe::{Distance, PingPong, settle_on, waited_ns};
use crate::queue::{Queue, Receiver, Sender};
use crate::records::{Look, Reader, Records};
use crossbeam_utils::CachePadded;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// What a consumer does between two looks. All queues get the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Consumer {
    /// Looks again at once, and so finds a record or two.
    Eager,
    /// Looks when the sender has said that so many bytes more are there, as a lane's I/O thread does (`batch.size`). The
    /// sender says so in a word beside the queue, the same for all.
    Patient {
        /// Bytes between two announcements.
        bytes: usize,
    },
}

impl Consumer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Consumer::Eager => "eager",
            Consumer::Patient { .. } => "patient",
        }
    }
}

/// How both ends wait: the processor's pause at first, then the scheduler's, for a machine on which others work too.
#[derive(Default)]
pub(crate) struct Patience(u32);

impl Patience {
    #[inline]
    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        if self.0 < 2_000 {
            spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// What is measured.
pub(crate) struct Workload {
    pub(crate) mean: usize,
    pub(crate) capacity: usize,
    pub(crate) consumer: Consumer,
    pub(crate) look: Look,
    /// Records of one shot, beside those that go through first to warm the memory.
    pub(crate) count: u64,
    pub(crate) records: Records,
    /// Round trips of each of a shot's two probes.
    pub(crate) probe_trips: u64,
    /// Where sender and consumer run.
    pub(crate) processors: Option<[usize; 2]>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    /// Nanoseconds per record, from the first send to the last record seen.
    pub(crate) ns: f64,
    /// Of a cache line between the two threads, before and after.
    pub(crate) round_trips: [f64; 2],
    pub(crate) processors: [usize; 2],
    /// Share of the time in which either thread was ready and had no processor.
    pub(crate) disturbed: f64,
}

impl Shot {
    /// The class of both probes, if they agree and nobody else had the processors for long.
    pub(crate) fn distance(&self) -> Option<Distance> {
        let [before, after] = self.round_trips.map(Distance::of);
        (before == after && self.disturbed < 0.02 && self.processors[0] != self.processors[1]).then_some(before)
    }
}

/// What both threads see beside the queue.
#[derive(Default)]
struct Side {
    /// Records that a patient consumer may go and fetch.
    announced: CachePadded<AtomicU64>,
    /// Records seen when a phase ended.
    done: CachePadded<AtomicU64>,
    ping: PingPong,
}

/// Sends the workload through a queue.
///
/// # Panics
/// If a byte is missing, changed or out of order.
pub(crate) fn run<Q: Queue>(work: &Workload) -> Shot {
    let (mut sender, mut receiver) = Q::open(work.capacity, Records::longest(work.mean));
    // Twice round the memory: no page is new in what is measured.
    let warm = (2 * work.capacity / work.mean) as u64;
    let end = warm + work.count;
    let side = Side::default();
    let mut shot = thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            let at = settle_on(work.processors.map(|two| two[1]));
            let mut reader = Reader::new(work.look);
            consume(work, &mut receiver, &mut reader, warm, &side);
            side.done.store(warm, Ordering::Release);
            side.ping.pong(0, work.probe_trips);
            let waited = waited_ns();
            consume(work, &mut receiver, &mut reader, end, &side);
            let finished = Instant::now();
            let waited = waited_ns().zip(waited).map_or(0, |(after, before)| after - before);
            side.ping.pong(1, work.probe_trips);
            assert_eq!(reader.seen(), work.records.expected(0, end, work.look), "every byte, in order");
            (at, finished, waited)
        });
        let at = settle_on(work.processors.map(|two| two[0]));
        produce(work, &mut sender, 0, warm, &side);
        let mut patience = Patience::default();
        while side.done.load(Ordering::Acquire) < warm {
            assert!(!consumer.is_finished(), "the consumer is there until the end");
            patience.wait();
        }
        let before = side.ping.ping(0, work.probe_trips);
        let waited = waited_ns();
        let start = Instant::now();
        produce(work, &mut sender, warm, end, &side);
        let waited = waited_ns().zip(waited).map_or(0, |(after, before)| after - before);
        let after = side.ping.ping(1, work.probe_trips);
        let (other, finished, other_waited) = match consumer.join() {
            Ok(seen) => seen,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let elapsed = finished.duration_since(start).as_nanos() as f64;
        Shot {
            ns: elapsed / work.count as f64,
            round_trips: [before, after],
            processors: [at, other],
            disturbed: waited.max(other_waited) as f64 / elapsed,
        }
    });
    if work.processors.is_none() {
        // Threads that go where they like say nothing by where they began.
        shot.processors = [0, 1];
    }
    shot
}

fn produce<S: Sender>(work: &Workload, sender: &mut S, from: u64, end: u64, side: &Side) {
    let Consumer::Patient { bytes: step } = work.consumer else {
        for number in from..end {
            let record = work.records.get(number);
            let mut patience = Patience::default();
            while !sender.send(record) {
                patience.wait();
            }
        }
        return;
    };
    let mut unannounced = 0;
    for number in from..end {
        let record = work.records.get(number);
        if !sender.send(record) {
            // The consumer must come now, or nobody moves any more.
            side.announced.store(number, Ordering::Release);
            let mut patience = Patience::default();
            while !sender.send(record) {
                patience.wait();
            }
        }
        unannounced += record.len();
        if unannounced >= step {
            unannounced = 0;
            side.announced.store(number + 1, Ordering::Release);
        }
    }
    side.announced.store(end, Ordering::Release);
}

fn consume<R: Receiver>(work: &Workload, receiver: &mut R, reader: &mut Reader, end: u64, side: &Side) {
    let mut patience = Patience::default();
    while reader.records() < end {
        let enough = match work.consumer {
            Consumer::Eager => u64::MAX,
            Consumer::Patient { .. } => side.announced.load(Ordering::Acquire).saturating_sub(reader.records()),
        };
        if enough > 0 && receiver.drain(enough, reader) {
            patience = Patience::default();
        } else {
            patience.wait();
        }
    }
}

/// The floor: one thread copies the same records into a ring of the same size, and nobody reads them.
pub(crate) fn copy(work: &Workload) -> Shot {
    let at = settle_on(work.processors.map(|two| two[0]));
    let mut ring = vec![0u8; work.capacity];
    let mut place = 0;
    let mut lay = |from: u64, end: u64| {
        for number in from..end {
            let record = work.records.get(number);
            if place + record.len() > ring.len() {
                place = 0;
            }
            ring[place..place + record.len()].copy_from_slice(record);
            place += record.len();
        }
        std::hint::black_box(&mut ring);
    };
    let warm = (2 * work.capacity / work.mean) as u64;
    lay(0, warm);
    let waited = waited_ns();
    let start = Instant::now();
    lay(warm, warm + work.count);
    let elapsed = start.elapsed().as_nanos() as f64;
    let waited = waited_ns().zip(waited).map_or(0, |(after, before)| after - before);
    Shot {
        ns: elapsed / work.count as f64,
        round_trips: [0.0; 2],
        processors: [at, at],
        disturbed: waited as f64 / elapsed,
    }
}
