//! Memory on its way round: taken from the free rings, given back, and granted to senders that wait.

use criterion::{Criterion, criterion_group, criterion_main};
use forebay_benches::{SEGMENT, engine, publish, release, take};
use forebay_engine::ClaimError;
use std::hint::black_box;

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
                slice.len()
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
    group.finish();
}

criterion_group!(benches, recycle, grant, retire);
criterion_main!(benches);
