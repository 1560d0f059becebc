//! Real threads: several senders on a small slab against one I/O side that releases out of order.
#![cfg(not(loom))]

use forebay_engine::{Claim, ClaimError, EngineConfig, LaneId, Ring, Run};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

/// Each record is its length (u32), its sequence (u64) and a filling that follows from both.
fn record(sequence: u64, len: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend((out.len()..len).map(|i| (i as u64 ^ sequence) as u8));
}

#[test]
fn four_senders_share_a_small_slab_and_nothing_is_lost_or_torn() {
    const RECORDS: u64 = 20_000;
    let config = EngineConfig { memory: 64 * 256, segment_size: 256, due_bytes: 1024, ahead_bytes: 1024 };
    let (engine, io) = forebay_engine::new(config, Arc::new(Silent)).expect("a small slab");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4u64)
            .map(|tag| {
                let mut end = engine.producer_end();
                scope.spawn(move || {
                    let mut lane = end.lane(tag).expect("open");
                    let mut random = fastrand(tag + 1);
                    let mut bytes = Vec::new();
                    for sequence in 0..RECORDS {
                        let len = 12 + (random() % if sequence.is_multiple_of(50) { 3000 } else { 120 }) as usize;
                        record(sequence, len, &mut bytes);
                        // Some claims are aborted half-way; their record is sent again at once.
                        let aborted = sequence.is_multiple_of(97);
                        for commit in [!aborted, aborted] {
                            let write = |mut claim: Claim<'_>| {
                                claim.put(&bytes);
                                if commit {
                                    claim.commit().expect("open");
                                }
                            };
                            match lane.claim(len, 12).map(write) {
                                Ok(()) => {}
                                Err(ClaimError::Full { segments }) => {
                                    end.begin_wait(segments).expect("open");
                                    let grant = loop {
                                        if let Some(grant) = end.poll_wait().expect("open") {
                                            break grant;
                                        }
                                        end.park(None);
                                    };
                                    lane.claim_with(grant, len, 12).map(write).expect("granted");
                                }
                                Err(error) => panic!("{error}"),
                            }
                            if commit {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut io = io; // dropped by a panic here, so that no sender waits for ever
            let mut random = fastrand(99);
            let mut active: Vec<LaneId> = Vec::new();
            let mut streams: HashMap<u64, (u64, Vec<u8>)> = HashMap::new();
            let mut in_flight: Vec<(u64, Run)> = Vec::new();
            let mut gone = Vec::new();
            let mut expected = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                io.collect_ready(&mut active);
                for lane in &active {
                    io.observe(*lane);
                    let tag = io.lane_tag(*lane);
                    let mut runs = Vec::new();
                    let (next, stream) = streams.entry(tag).or_default();
                    io.take(*lane, &mut runs, |slice| {
                        stream.extend_from_slice(slice);
                        slice.len()
                    });
                    let mut at = 0;
                    while let Some(head) = stream.get(at..at + 4) {
                        let len = u32::from_le_bytes(head.try_into().expect("four")) as usize;
                        let Some(whole) = stream.get(at..at + len) else { break };
                        record(*next, len, &mut expected);
                        assert_eq!(whole, expected, "record {next} of sender {tag}");
                        *next += 1;
                        at += len;
                    }
                    stream.drain(..at);
                    in_flight.extend(runs.into_iter().map(|run| (tag, run)));
                }
                // "Acks" come in any order; bytes in flight must still be what they were.
                while !in_flight.is_empty() && (!random().is_multiple_of(3) || io.waiting_senders() > 0) {
                    let (_, run) = in_flight.swap_remove(random() as usize % in_flight.len());
                    std::hint::black_box(io.bytes(&run)[0]);
                    io.release(run);
                }
                if random().is_multiple_of(4) || io.waiting_senders() > 0 {
                    io.retire(&mut active, &mut gone);
                    for lane in gone.drain(..) {
                        io.forget(lane);
                    }
                }
                io.settle();
                // Senders run on: no segment has two owners, and what is found nowhere is theirs.
                let account = io.account();
                let touched = in_flight.iter().map(|(_, run)| io.segments_of(run)).sum::<usize>();
                assert_eq!((account.total(), account.runs), (io.total_segments(), touched), "{account:?}");
                if last && active.is_empty() && in_flight.is_empty() {
                    io.collect_ready(&mut active);
                    if active.is_empty() {
                        break;
                    }
                }
            }
            io.settle();
            assert_eq!(io.free_segments(), io.total_segments(), "all memory is back");
            assert_eq!(io.held_segments(), 0);
            assert_eq!(io.account().free, io.total_segments(), "no sender has any either");
            streams
        });
        for sender in senders {
            sender.join().expect("a sender");
        }
        done.store(true, Ordering::SeqCst);
        let streams = reader.join().expect("the reader");
        for tag in 0..4 {
            assert_eq!(streams[&tag].0, RECORDS);
            assert!(streams[&tag].1.is_empty());
        }
    });
}

/// xorshift: the schedule is the random part here, not the numbers.
fn fastrand(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn a_run_is_written_on_the_thread_that_it_was_handed_to() {
    let config = EngineConfig { memory: 8 * 64, segment_size: 64, due_bytes: 1 << 20, ahead_bytes: 0 };
    let (engine, mut io) = forebay_engine::new(config, Arc::new(Silent)).expect("a small slab");
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    let mut claim = lane.claim(150, 1).expect("room");
    claim.put(&[1; 150]);
    claim.commit().expect("open");
    let (mut lanes, mut runs) = (Vec::new(), Vec::new());
    io.collect_ready(&mut lanes);
    io.observe(lanes[0]);
    assert_eq!(io.take(lanes[0], &mut runs, |slice| slice.len()), 150);
    let bytes = io.run_bytes();
    let worker = std::thread::spawn(move || {
        for run in &mut runs {
            assert!(bytes.get(run).iter().all(|byte| *byte == 1));
            bytes.get_mut(run).fill(2);
        }
        (runs, bytes)
    });
    let (runs, bytes) = worker.join().expect("no panic");
    assert!(runs.iter().all(|run| io.bytes(run).iter().all(|byte| *byte == 2)));
    let (_, other) = forebay_engine::new(config, Arc::new(Silent)).expect("a small slab");
    let strange = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.run_bytes().get(&runs[0]).len()));
    assert!(strange.is_err(), "a run of another engine");
    // The slab lives as long as somebody may look into it.
    drop((lane, end, engine, io));
    assert_eq!(bytes.get(&runs[0])[0], 2);
}
