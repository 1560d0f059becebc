//! Memory on its way round: taken from the free rings, given back, and granted to senders that wait.

use criterion::{Criterion, criterion_group, criterion_main};
use forebay_benches::{SEGMENT, engine, publish, release, take};
use forebay_engine::ClaimError;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A segment filled, read and freed: what the free ring costs a segment, beside the same bytes copied.
fn recycle(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory/recycle");
    for segments in [1, 16] {
        let record = vec![7u8; SEGMENT * segments];
        group.bench_function(format!("{segments}_segments"), |b| {
            let (engine, mut io, _) = engine(64);
            let end = engine.producer_end();
            let mut lane = end.lane(1).expect("open");
            let mut runs = Vec::new();
            publish(&mut lane, &record).expect("there is room");
            io.collect_ready(&mut Vec::new());
            let mut seen = Vec::new();
            take(&mut io, lane.id(), &mut runs, |slice| seen.extend_from_slice(slice));
            assert_eq!(seen, record);
            release(&mut io, &mut runs);
            b.iter(|| {
                publish(&mut lane, black_box(&record)).expect("there is room");
                take(&mut io, lane.id(), &mut runs, |slice| _ = black_box(slice));
                release(&mut io, &mut runs);
            });
        });
        group.bench_function(format!("{segments}_segments_empty_loop"), |b| {
            let mut out = record.clone();
            b.iter(|| out.copy_from_slice(black_box(&record)));
        });
    }
    group.finish();
}

/// A sender that finds nothing free, queues, is granted what was just released, and uses it. One thread does both parts, so
/// this is the work without the sleep.
fn grant(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory/grant");
    group.bench_function("wait_release_settle_poll", |b| {
        let (engine, mut io, bell) = engine(4);
        let mut end = engine.producer_end();
        let mut lane = end.lane(1).expect("open");
        let mut ready = Vec::new();
        for byte in 0..4u8 {
            publish(&mut lane, &[byte; SEGMENT]).expect("there is room");
        }
        io.collect_ready(&mut ready);
        let mut runs = Vec::new();
        let mut expected = 0u8;
        let mut next = 4u8;
        let before = bell.rings();
        let mut turn = || {
            let refused = lane.claim(SEGMENT, 18).map(drop);
            let Err(ClaimError::Full { segments }) = refused else { panic!("the slab is full") };
            end.begin_wait(segments).expect("open");
            // Whole segments come one a turn: the oldest is taken and given back.
            io.observe(lane.id());
            let mut seen = None;
            let taken = io.take(lane.id(), &mut runs, |slice| {
                if seen.is_some() {
                    return 0;
                }
                seen = slice.first().copied();
                slice.len().min(SEGMENT) // segments that follow in memory come as one slice
            });
            assert_eq!((taken, seen), (SEGMENT, Some(expected)), "first in, first out");
            expected = expected.wrapping_add(1);
            release(&mut io, &mut runs);
            io.peek_window(lane.id()); // moves on to the next segment, and lets go of the one before
            io.settle();
            let grant = end.poll_wait().expect("open").expect("a segment is free");
            let mut claim = lane.claim_with(grant, SEGMENT, 18).expect("granted");
            claim.put(&[next; SEGMENT]);
            claim.commit().expect("open");
            next = next.wrapping_add(1);
        };
        for _ in 0..300 {
            turn();
        }
        b.iter(turn);
        assert_eq!(bell.rings(), before, "an I/O thread that is awake is not rung");
    });
    group.bench_function("empty_loop", |b| {
        let mut out = vec![0u8; SEGMENT];
        b.iter(|| out.copy_from_slice(black_box(&[7; SEGMENT])));
    });
    group.finish();
}

/// A lane that falls idle and comes back: two heavy barriers' worth of work a turn of the I/O thread.
fn retire(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory/retire");
    group.bench_function("publish_take_retire", |b| {
        let (engine, mut io, _) = engine(4);
        let end = engine.producer_end();
        let mut lane = end.lane(1).expect("open");
        let (mut runs, mut ready, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        b.iter(|| {
            publish(&mut lane, b"seldom").expect("there is room");
            io.collect_ready(&mut ready);
            assert_eq!(ready, [lane.id()]);
            assert_eq!(take(&mut io, lane.id(), &mut runs, |slice| assert_eq!(slice, b"seldom")), 6);
            io.retire(&mut ready, &mut gone);
            assert!(ready.is_empty() && gone.is_empty());
            release(&mut io, &mut runs);
        });
        assert_eq!(io.free_segments(), 4, "an idle lane holds no memory");
    });
    group.bench_function("empty_loop", |b| {
        let mut out = [0u8; 6];
        b.iter(|| out.copy_from_slice(black_box(b"seldom")));
    });
    group.finish();
}

/// `count` segments taken by each of `senders` threads from the same free rings, while this thread drains their lanes and puts the
/// segments back. Every record fills a segment, so each costs one take.
fn contend(senders: usize, count: u64) -> Duration {
    let (engine, mut io, _) = engine(256);
    let (ready_to_go, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for sender in 0..senders {
            let end = engine.producer_end();
            let (ready_to_go, done) = (&ready_to_go, &done);
            scope.spawn(move || {
                let mut lane = end.lane(sender as u64).expect("open");
                while !ready_to_go.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                for number in 0..count {
                    loop {
                        match lane.claim(SEGMENT, 18) {
                            Ok(mut claim) => {
                                // The first bytes are enough: it is the take that is measured.
                                claim.chunk()[..8].copy_from_slice(&number.to_le_bytes());
                                claim.advance(SEGMENT);
                                claim.commit().expect("open");
                                break;
                            }
                            Err(ClaimError::Full { .. }) => thread::yield_now(),
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
                done.fetch_add(1, Ordering::Release);
            });
        }
        let (mut runs, mut lanes) = (Vec::new(), Vec::new());
        let mut next = vec![0u64; senders];
        let start = Instant::now();
        ready_to_go.store(true, Ordering::Release);
        while next.iter().any(|next| *next < count) {
            io.collect_ready(&mut lanes);
            for lane in &lanes {
                let expected = &mut next[io.lane_tag(*lane) as usize];
                take(&mut io, *lane, &mut runs, |slice| {
                    let number = slice.first_chunk().map(|number| u64::from_le_bytes(*number));
                    assert_eq!(number, Some(*expected), "in order, none lost, none twice");
                    *expected += 1;
                });
            }
            if runs.is_empty() {
                spin_loop();
                thread::yield_now();
            }
            release(&mut io, &mut runs);
        }
        let elapsed = start.elapsed();
        while done.load(Ordering::Acquire) < senders as u64 {
            thread::yield_now();
        }
        elapsed
    })
}

fn contention(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory/free_list");
    for senders in [1, 2, 4] {
        group.bench_function(format!("{senders}_senders_take_one_puts"), |b| {
            b.iter_custom(|count| contend(senders, count));
        });
    }
    group.bench_function("empty_loop", |b| {
        b.iter_custom(|count| {
            let mut segment = vec![0u8; SEGMENT];
            let start = Instant::now();
            for number in 0..count {
                segment[..8].copy_from_slice(&number.to_le_bytes());
                black_box(&mut segment);
            }
            start.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, recycle, grant, retire, contention);
criterion_main!(benches);
