//! Freed memory is put in order before it is used again, and is there all the same for whoever needs it.
#![cfg(not(loom))]

use forebay_engine::{ClaimError, Engine, EngineConfig, IoSide, Lane, LaneId, Ring, Run};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const SEGMENT: usize = 2048;
const MEMORY: usize = 16 << 20;

struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

fn engine() -> (Engine, IoSide) {
    let config = EngineConfig { memory: MEMORY, segment_size: SEGMENT, due_bytes: 16 * 1024, ahead_bytes: 64 * 1024 };
    forebay_engine::new(config, Arc::new(Silent)).expect("a small slab")
}

fn publish(lane: &mut Lane, bytes: &[u8]) -> Result<(), ClaimError> {
    let mut claim = lane.claim(bytes.len(), 1)?;
    claim.put(bytes);
    claim.commit()
}

fn take(io: &mut IoSide, lane: LaneId) -> Vec<Run> {
    let mut runs = Vec::new();
    io.observe(lane);
    while io.take(lane, &mut runs, |slice| slice.len()) > 0 {}
    runs
}

fn release(io: &mut IoSide, runs: Vec<Run>) {
    for run in runs {
        io.release(run);
    }
    io.settle();
}

/// Four lanes as a paced producer has them: a batch of each in every round, acknowledged one by one some time later.
#[test]
fn lanes_find_long_stretches_however_often_memory_went_round() {
    const ROUNDS: usize = 4_000;
    let (engine, mut io) = engine();
    let end = engine.producer_end();
    let mut lanes: Vec<_> = (0..4).map(|tag| end.lane(tag).expect("open")).collect();
    let mut random = 7_u32;
    let mut under_way = VecDeque::new();
    let mut slices = 0;
    for round in 0..ROUNDS {
        for lane in &mut lanes {
            // 100 to 163 records.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for _ in 0..100 + (random >> 26) {
                publish(lane, &[1; 110]).expect("there is room");
            }
        }
        io.collect_ready(&mut Vec::new());
        for lane in &lanes {
            let runs = take(&mut io, lane.id());
            if round >= ROUNDS - 400 {
                slices += runs.len();
            }
            under_way.push_back(runs);
        }
        while under_way.len() > 8 {
            let runs = under_way.pop_front().expect("more than eight");
            release(&mut io, runs);
        }
    }
    // A batch has seven segments. Where each of them lay alone, these were 11,484 runs.
    assert!(slices < 400 * 4 * 4, "{slices} runs in 1,600 batches");
}

/// Senders end when the I/O side did, in whatever way.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The hot ring is emptied, put in order and filled again while senders take from it: what they find missing comes from the reserve, and each
/// segment is one owner's at a time.
#[test]
fn senders_take_while_the_ring_is_put_in_order() {
    const RECORDS: u64 = 200_000;
    /// Records that a sender is ahead of the I/O side at most: so few that there is always much in the reserve.
    const AHEAD: u64 = 1_000;
    const LEN: usize = 96;
    let (engine, mut io) = engine();
    let seen: [AtomicU64; 3] = Default::default();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ended = Ended(&ended);
        for (tag, seen) in seen.iter().enumerate() {
            let (end, ended) = (engine.producer_end(), &ended);
            scope.spawn(move || {
                let mut lane = end.lane(tag as u64).expect("open");
                for sequence in 0..RECORDS {
                    while sequence - seen.load(Ordering::Acquire) > AHEAD {
                        if ended.load(Ordering::Acquire) {
                            return;
                        }
                        thread::yield_now();
                    }
                    let mut record = [tag as u8; LEN];
                    record[..8].copy_from_slice(&sequence.to_le_bytes());
                    publish(&mut lane, &record).expect("there is room");
                }
            });
        }
        let mut lanes = Vec::new();
        let mut under_way: VecDeque<(Vec<Run>, Vec<u8>)> = VecDeque::new();
        while seen.iter().any(|seen| seen.load(Ordering::Relaxed) < RECORDS) {
            io.collect_ready(&mut lanes);
            for &lane in &lanes {
                let tag = io.lane_tag(lane) as usize;
                let mut next = seen[tag].load(Ordering::Relaxed);
                let runs = take(&mut io, lane);
                let bytes = runs.iter().flat_map(|run| io.bytes(run)).copied().collect::<Vec<_>>();
                for record in bytes.chunks(LEN) {
                    assert_eq!(record[..8], next.to_le_bytes(), "each record once and in order");
                    assert!(record[8..].iter().all(|byte| *byte == tag as u8), "and whole");
                    next += 1;
                }
                seen[tag].store(next, Ordering::Release);
                under_way.push_back((runs, bytes));
            }
            while under_way.len() > 6 {
                let (runs, bytes) = under_way.pop_front().expect("more than six");
                assert!(runs.iter().flat_map(|run| io.bytes(run)).eq(&bytes), "nobody writes what is not released");
                release(&mut io, runs);
            }
        }
        for (runs, _) in under_way {
            release(&mut io, runs);
        }
        while !lanes.is_empty() {
            io.retire(&mut lanes, &mut Vec::new());
        }
        io.settle();
        assert_eq!(io.account().free, io.total_segments(), "at rest everything is free");
    });
}
