//! A record's way through the memory: claimed, written, committed, taken and released.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::{engine, publish, release, take};
use forebay_engine::{ClaimError, LaneId};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Records published before they are taken together: as in a batch, so that the I/O side's part is shared.
const BURST: usize = 64;
const SEGMENTS: usize = 256;

/// What is taken is what was published, whatever the size and wherever segments end.
fn check(size: usize) {
    let (engine, mut io, _) = engine(8);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    let (mut runs, mut ready) = (Vec::new(), Vec::new());
    for round in 0..64u8 {
        let record = vec![round; size];
        for _ in 0..5 {
            publish(&mut lane, &record).expect("there is room");
        }
        io.collect_ready(&mut ready);
        let mut seen = Vec::new();
        take(&mut io, lane.id(), &mut runs, |slice| seen.extend_from_slice(slice));
        assert_eq!(seen, record.repeat(5));
        release(&mut io, &mut runs);
    }
    assert_eq!(ready, [lane.id()]);
}

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("lane/one_thread");
    group.throughput(Throughput::Elements(BURST as u64));
    for size in [16, 100, 1024] {
        check(size);
        let record = vec![7u8; size];
        group.bench_with_input(BenchmarkId::new("publish_take_release", size), &record, |b, record| {
            let (engine, mut io, _) = engine(SEGMENTS);
            let end = engine.producer_end();
            let mut lane = end.lane(1).expect("open");
            let mut runs = Vec::with_capacity(BURST);
            publish(&mut lane, record).expect("there is room");
            io.collect_ready(&mut Vec::new());
            take(&mut io, lane.id(), &mut runs, |_| ());
            release(&mut io, &mut runs);
            b.iter(|| {
                for _ in 0..BURST {
                    publish(&mut lane, black_box(record)).expect("there is room");
                }
                let taken = take(&mut io, lane.id(), &mut runs, |slice| _ = black_box(slice));
                assert_eq!(taken, BURST * record.len());
                release(&mut io, &mut runs);
            });
        });
        group.bench_with_input(BenchmarkId::new("publish", size), &record, |b, record| {
            let (engine, mut io, _) = engine(SEGMENTS);
            let end = engine.producer_end();
            let mut lane = end.lane(1).expect("open");
            publish(&mut lane, record).expect("there is room");
            io.collect_ready(&mut Vec::new());
            let mut runs = Vec::with_capacity(BURST);
            // The setup of each iteration drains the one before.
            let lane = std::cell::RefCell::new(&mut lane);
            b.iter_batched(
                || {
                    take(&mut io, lane.borrow().id(), &mut runs, |_| ());
                    release(&mut io, &mut runs);
                },
                |()| {
                    let mut lane = lane.borrow_mut();
                    for _ in 0..BURST {
                        publish(&mut lane, black_box(record)).expect("there is room");
                    }
                },
                BatchSize::PerIteration,
            );
        });
        // The same loop with nothing but the copy.
        group.bench_with_input(BenchmarkId::new("empty_loop", size), &record, |b, record| {
            let mut out = vec![0u8; record.len()];
            b.iter(|| {
                for _ in 0..BURST {
                    out.copy_from_slice(black_box(record));
                    black_box(&mut out);
                }
            });
        });
    }
    group.finish();
}

/// `count` numbered records from this thread to another, which checks each; with a pause after every `burst` if not 0.
fn hand_off(count: u64, burst: u64) -> Duration {
    const SIZE: usize = 100;
    let (engine, mut io, _) = engine(SEGMENTS);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    let taken = &AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut runs, mut ready): (Vec<_>, Vec<LaneId>) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            let mut next = 0u64;
            while next < count {
                io.collect_ready(&mut ready);
                let Some(&lane) = ready.first() else {
                    thread::yield_now();
                    continue;
                };
                let got = take(&mut io, lane, &mut runs, |slice| {
                    // A number never straddles: it is in the record's head.
                    let mut at = (SIZE - bytes % SIZE) % SIZE;
                    bytes += slice.len();
                    while at < slice.len() {
                        let number = slice[at..].first_chunk().map(|number| u64::from_le_bytes(*number));
                        assert_eq!(number, Some(next), "in order, none lost");
                        next += 1;
                        at += SIZE;
                    }
                });
                release(&mut io, &mut runs);
                taken.store(next, Ordering::Relaxed);
                if got == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut record = [7u8; SIZE];
        let start = Instant::now();
        for number in 0..count {
            record[..8].copy_from_slice(&number.to_le_bytes());
            while let Err(error) = publish(&mut lane, &record) {
                assert!(matches!(error, ClaimError::Full { .. }), "{error}");
                thread::yield_now();
            }
            if burst > 0 && (number + 1) % burst == 0 {
                while taken.load(Ordering::Relaxed) <= number {
                    spin_loop();
                    thread::yield_now();
                }
            }
        }
        while taken.load(Ordering::Relaxed) < count {
            thread::yield_now();
        }
        start.elapsed()
    })
}

fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("lane/hand_off_100_bytes");
    group.throughput(Throughput::Elements(1));
    hand_off(100_000, 0);
    for (name, burst) in [("flowing", 0), ("bursts_of_64", 64), ("one_by_one", 1)] {
        group.bench_function(name, |b| b.iter_custom(|count| hand_off(count, burst)));
    }
    group.bench_function("empty_loop", |b| {
        b.iter_custom(|count| {
            let mut record = [7u8; 100];
            let start = Instant::now();
            for number in 0..count {
                record[..8].copy_from_slice(&number.to_le_bytes());
                black_box(&mut record);
            }
            start.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
