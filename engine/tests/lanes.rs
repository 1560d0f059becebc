//! Lanes, runs and memory through the public API, one thread at a time.
#![cfg(not(loom))]

mod support;

use forebay_engine::{Ahead, ClaimError, Engine, EngineConfig, IoSide, Lane, LaneId, Run, Sleep};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use support::Bell;

fn engine(segments: usize, segment_size: usize) -> (Engine, IoSide, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let config = EngineConfig { memory: segments * segment_size, segment_size, due_bytes: 1 << 20, ahead_bytes: 0 };
    let (engine, io) = forebay_engine::new(config, bell.clone()).expect("a small slab");
    (engine, io, bell)
}

fn publish(lane: &mut Lane, bytes: &[u8]) -> Result<(), ClaimError> {
    let mut claim = lane.claim(bytes.len(), 1)?;
    claim.put(bytes);
    claim.commit()
}

fn ready(io: &mut IoSide) -> Vec<LaneId> {
    let mut lanes = Vec::new();
    io.collect_ready(&mut lanes);
    lanes
}

/// Takes everything published in a lane; the runs are appended.
fn take_all(io: &mut IoSide, lane: LaneId, runs: &mut Vec<Run>) -> Vec<u8> {
    let mut seen = Vec::new();
    io.observe(lane);
    loop {
        let taken = io.take(lane, runs, |slice| {
            seen.extend_from_slice(slice);
            slice.len()
        });
        if taken == 0 {
            return seen;
        }
    }
}

/// Runs that cross segments, taken apart where the segments meet.
fn take_apart(io: &mut IoSide, runs: &mut Vec<Run>, segment: usize) {
    for mut run in std::mem::take(runs) {
        while io.segments_of(&run) > 1 {
            let (first, rest) = io.split_run(run, segment);
            runs.push(first);
            run = rest;
        }
        runs.push(run);
    }
}

fn release_all(io: &mut IoSide, runs: &mut Vec<Run>) {
    for run in runs.drain(..) {
        io.release(run);
    }
    io.settle();
}

#[test]
fn published_bytes_arrive_in_order_and_memory_comes_back() {
    let (engine, mut io, _) = engine(8, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(7).expect("open");
    let mut runs = Vec::new();
    let mut wrote = Vec::new();
    let mut read = Vec::new();
    for round in 0..100u32 {
        for size in [1usize, 7, 30, 64, 100, 200] {
            let record: Vec<u8> = (0..size).map(|i| (i as u32 + round) as u8).collect();
            publish(&mut lane, &record).expect("there is room");
            wrote.extend_from_slice(&record);
            let lanes = ready(&mut io);
            if round == 0 && size == 1 {
                assert_eq!(lanes, [lane.id()]);
                assert_eq!(io.lane_tag(lane.id()), 7);
            } else {
                assert!(lanes.is_empty(), "a lane is listed once until it is retired");
            }
            read.extend(take_all(&mut io, lane.id(), &mut runs));
            release_all(&mut io, &mut runs);
        }
    }
    assert_eq!(wrote, read);
    let mut lanes = vec![lane.id()];
    io.retire(&mut lanes, &mut Vec::new());
    io.settle();
    assert!(lanes.is_empty());
    assert_eq!(io.free_segments(), 8, "an idle lane holds no memory");
    publish(&mut lane, b"again").expect("a retired lane comes back");
    assert_eq!(ready(&mut io), [lane.id()]);
    assert_eq!(take_all(&mut io, lane.id(), &mut runs), b"again");
}

#[test]
fn an_aborted_claim_leaves_no_hole_and_no_leak() {
    let (engine, mut io, _) = engine(4, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    publish(&mut lane, b"first").expect("room");
    let mut claim = lane.claim(150, 1).expect("room");
    claim.put(&[9; 90]);
    drop(claim);
    publish(&mut lane, b"second").expect("room");
    ready(&mut io);
    let mut runs = Vec::new();
    assert_eq!(take_all(&mut io, lane.id(), &mut runs), b"firstsecond");
    release_all(&mut io, &mut runs);
    io.retire(&mut vec![lane.id()], &mut Vec::new());
    ready(&mut io);
    io.settle();
    assert_eq!(io.free_segments(), 4);
}

#[test]
fn the_head_of_a_claim_never_straddles() {
    let (engine, mut io, _) = engine(8, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    publish(&mut lane, &[1; 50]).expect("room");
    let mut claim = lane.claim(30, 18).expect("room");
    assert_eq!(claim.chunk().len(), 30, "14 bytes are left: the record begins in the next segment");
    claim.put(&[2; 30]);
    claim.commit().expect("open");
    let mut claim = lane.claim(50, 18).expect("room");
    assert_eq!(claim.chunk().len(), 34, "34 bytes hold the head: it begins here");
    claim.put(&[3; 50]);
    claim.commit().expect("open");
    ready(&mut io);
    io.observe(lane.id());
    let mut sizes = Vec::new();
    let mut runs = Vec::new();
    io.take(lane.id(), &mut runs, |slice| {
        sizes.push(slice.len());
        slice.len()
    });
    assert_eq!(sizes, [50, 80], "a slice ends where bytes were left out, and not where segments meet");
    assert_eq!((runs.len(), io.segments_of(&runs[0]), io.segments_of(&runs[1])), (2, 1, 2));
}

#[test]
fn a_new_window_begins_a_new_segment_and_ends_a_take() {
    let (engine, mut io, _) = engine(8, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    lane.set_window(8192);
    publish(&mut lane, b"a").expect("room");
    lane.set_window(16384);
    publish(&mut lane, b"b").expect("room");
    ready(&mut io);
    io.observe(lane.id());
    let mut runs = Vec::new();
    assert_eq!(io.peek_window(lane.id()), Some(8192));
    assert_eq!(io.take(lane.id(), &mut runs, |slice| slice.len()), 1);
    assert_eq!(io.peek_window(lane.id()), Some(16384));
    assert_eq!(io.take(lane.id(), &mut runs, |slice| slice.len()), 1);
    assert_eq!(io.peek_window(lane.id()), None);
}

#[test]
fn memory_is_not_reused_before_release() {
    let (engine, mut io, _) = engine(2, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    publish(&mut lane, &[1; 64]).expect("room");
    publish(&mut lane, &[2; 64]).expect("room");
    assert_eq!(publish(&mut lane, &[3; 64]), Err(ClaimError::Full { segments: 1 }));
    ready(&mut io);
    let mut runs = Vec::new();
    take_all(&mut io, lane.id(), &mut runs);
    take_apart(&mut io, &mut runs, 64);
    io.settle();
    assert_eq!(publish(&mut lane, &[3; 64]), Err(ClaimError::Full { segments: 1 }), "taken is not released");
    assert_eq!(io.bytes(&runs[0])[0], 1);
    io.release(runs.remove(0));
    io.settle();
    publish(&mut lane, &[3; 64]).expect("one segment was released");
    assert_eq!(io.bytes(&runs[0])[0], 2, "the other is untouched");
}

#[test]
fn a_waiter_is_granted_whole_and_in_turn() {
    let (engine, mut io, bell) = engine(4, 64);
    let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
    let mut big = first.lane(1).expect("open");
    let mut small = second.lane(2).expect("open");
    for _ in 0..4 {
        publish(&mut small, &[0; 64]).expect("room");
    }
    let Err(ClaimError::Full { segments }) = big.claim(180, 1).map(drop) else { panic!("full") };
    assert_eq!(segments, 3);
    assert!(io.prepare_sleep(Sleep::Nap), "nothing to do for a napping I/O thread");
    first.begin_wait(segments).expect("open");
    assert_eq!(bell.rings(), 1, "wanting memory wakes the I/O thread");
    second.begin_wait(1).expect("open");
    assert_eq!(bell.rings(), 1, "one ring a sleep");
    io.awake();
    ready(&mut io);
    let mut runs = Vec::new();
    take_all(&mut io, small.id(), &mut runs);
    take_apart(&mut io, &mut runs, 64);
    for freed in 1..=2 {
        io.release(runs.remove(0));
        io.settle();
        assert!(first.poll_wait().expect("open").is_none(), "{freed} segments are not three");
        assert!(second.poll_wait().expect("open").is_none(), "the younger waits behind the older");
    }
    assert_eq!(publish(&mut small, &[0; 64]), Err(ClaimError::Full { segments: 1 }), "no newcomer overtakes");
    io.release(runs.remove(0));
    io.settle();
    let grant = first.poll_wait().expect("open").expect("three segments are there");
    let mut claim = big.claim_with(grant, 180, 1).expect("granted");
    claim.put(&[5; 180]);
    claim.commit().expect("open");
    assert!(second.poll_wait().expect("open").is_none());
    assert!(second.cancel_wait().is_none(), "the deadline comes first");
    io.settle();
    assert_eq!(io.waiting_senders(), 0);
}

#[test]
fn a_grant_of_another_engine_is_refused_and_goes_back() {
    let (ours, _io, _bell) = engine(4, 64);
    let (theirs, mut io, _other_bell) = engine(4, 64);
    let mut lane = ours.producer_end().lane(1).expect("open");
    let mut stranger = theirs.producer_end();
    stranger.begin_wait(2).expect("open");
    io.settle();
    let grant = stranger.poll_wait().expect("open").expect("two segments are there");
    let misused = catch_unwind(AssertUnwindSafe(|| lane.claim_with(grant, 100, 1).map(drop)));
    assert!(misused.is_err(), "its numbers are other segments here");
    ready(&mut io);
    io.settle();
    assert_eq!((theirs.available_bytes(), ours.available_bytes()), (4 * 64, 4 * 64));
    publish(&mut lane, &[1; 64]).expect("the lane is as it was");
}

#[test]
fn a_lane_goes_on_in_its_stretch_after_a_look_whether_it_is_due() {
    let bell = Arc::new(Bell::default());
    let config = EngineConfig { memory: 64 * 256, segment_size: 64, due_bytes: 128, ahead_bytes: 2048 };
    let (engine, mut io) = forebay_engine::new(config, bell.clone()).expect("a small slab");
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    // Until it takes sixteen segments at once, nearly all of which are ahead of it then.
    while lane.segments_ahead() < 15 {
        publish(&mut lane, &[1; 32]).expect("room");
    }
    let id = ready(&mut io)[0];
    let mut runs = Vec::new();
    take_all(&mut io, id, &mut runs);
    for nap in 1..=2 {
        assert!(io.prepare_sleep(Sleep::Nap), "nothing to do for a napping I/O thread");
        let rung = bell.rings();
        let mut expected = Vec::new();
        for record in 0..9 {
            let mut claim = lane.claim_here(32, Ahead::Stream).expect("fifteen segments are ahead");
            claim.put(&[nap * 10 + record; 32]);
            claim.commit().expect("open");
            expected.extend([nap * 10 + record; 32]);
        }
        assert_eq!(bell.rings(), rung + 1, "a lane that holds enough for a batch rings, once a nap");
        io.awake();
        assert_eq!(take_all(&mut io, id, &mut runs), expected);
    }
    assert!(lane.claim_here(0, Ahead::Stream).is_none(), "a claim has a byte or more");
    lane.set_window(1);
    assert!(lane.claim_here(32, Ahead::Stream).is_none(), "another window does not go on in the stretch");
    for run in runs {
        io.release(run);
    }
}

#[test]
fn a_cancelled_waiter_does_not_hold_up_the_next() {
    let (engine, mut io, _) = engine(2, 64);
    let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
    let mut lane = first.lane(1).expect("open");
    publish(&mut lane, &[0; 128]).expect("room");
    first.begin_wait(2).expect("open");
    second.begin_wait(1).expect("open");
    ready(&mut io);
    let mut runs = Vec::new();
    take_all(&mut io, lane.id(), &mut runs);
    take_apart(&mut io, &mut runs, 64);
    io.release(runs.remove(0));
    io.settle();
    assert!(second.poll_wait().expect("open").is_none());
    assert!(first.cancel_wait().is_none());
    io.settle();
    let grant = second.poll_wait().expect("open").expect("the oldest has given up");
    drop(grant);
    io.release(runs.remove(0));
    io.retire(&mut vec![lane.id()], &mut Vec::new());
    ready(&mut io);
    io.settle();
    assert_eq!(io.free_segments(), 2);
}

#[test]
fn closing_ends_every_wait_and_every_claim() {
    let (engine, mut io, _) = engine(2, 64);
    let mut end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    publish(&mut lane, b"kept").expect("room");
    end.begin_wait(2).expect("open");
    let mut pending = Vec::new();
    io.close(&mut pending);
    assert_eq!(pending, [lane.id()], "what was published is still to be drained");
    assert_eq!(end.poll_wait().map(|_| ()), Err(ClaimError::Closed));
    assert_eq!(end.begin_wait(1), Err(ClaimError::Closed));
    assert_eq!(publish(&mut lane, b"late"), Err(ClaimError::Closed));
    assert!(matches!(end.lane(3), Err(ClaimError::Closed)));
    let mut runs = Vec::new();
    assert_eq!(take_all(&mut io, lane.id(), &mut runs), b"kept");
}

#[test]
fn a_claim_held_over_the_close_is_drained_or_refused_but_never_lost() {
    let (engine, mut io, _) = engine(4, 64);
    let end = engine.producer_end();
    let (mut quick, mut slow) = (end.lane(1).expect("open"), end.lane(2).expect("open"));
    let (quick_id, slow_id) = (quick.id(), slow.id());
    let mut in_time = quick.claim(4, 1).expect("room");
    let mut too_late = slow.claim(4, 1).expect("room");
    let mut pending = Vec::new();
    io.close(&mut pending);
    pending.sort();
    assert_eq!(pending, [quick_id, slow_id], "claims in progress may still commit");
    in_time.put(b"fast");
    in_time.commit().expect("closing still drains");
    io.finish(&mut Vec::new());
    too_late.put(b"slow");
    assert_eq!(too_late.commit(), Err(ClaimError::Closed));
    let mut runs = Vec::new();
    assert_eq!(take_all(&mut io, quick_id, &mut runs), b"fast");
    assert_eq!(take_all(&mut io, slow_id, &mut runs), b"");
}

#[test]
fn a_dropped_lane_is_drained_then_forgotten_and_its_number_reused() {
    let (engine, mut io, _) = engine(4, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    let id = lane.id();
    publish(&mut lane, b"last words").expect("room");
    drop(lane);
    assert_eq!(ready(&mut io), [id]);
    let (mut active, mut gone) = (vec![id], Vec::new());
    io.retire(&mut active, &mut gone);
    assert_eq!((active.len(), gone.len()), (1, 0), "not drained yet");
    let mut runs = Vec::new();
    assert_eq!(take_all(&mut io, id, &mut runs), b"last words");
    io.retire(&mut active, &mut gone);
    assert_eq!(gone, [id]);
    release_all(&mut io, &mut runs);
    io.forget(id);
    let again = end.lane(9).expect("open");
    assert_eq!(again.id(), id);
    assert_eq!(io.free_segments(), 4);
}

#[test]
fn a_lane_that_was_never_used_is_forgotten_too() {
    let (engine, mut io, _) = engine(4, 64);
    let end = engine.producer_end();
    let lane = end.lane(1).expect("open");
    let id = lane.id();
    drop(lane);
    assert_eq!(ready(&mut io), [id]);
    let mut gone = Vec::new();
    io.retire(&mut vec![id], &mut gone);
    assert_eq!(gone, [id]);
}

#[test]
fn deep_sleep_is_ended_by_the_first_record_of_a_lane_and_not_by_the_second() {
    let (engine, mut io, bell) = engine(4, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    assert!(io.prepare_sleep(Sleep::Deep));
    publish(&mut lane, b"1").expect("room");
    assert_eq!(bell.rings(), 1);
    publish(&mut lane, b"2").expect("room");
    assert_eq!(bell.rings(), 1);
    assert!(!io.prepare_sleep(Sleep::Deep), "a lane is ready: don't sleep");
}

#[test]
fn what_never_fits_is_said_at_once() {
    let (engine, _io, _) = engine(4, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    assert_eq!(lane.claim(257, 1).map(drop), Err(ClaimError::NeverFits { limit: 256 }));
    assert_eq!(lane.claim(usize::MAX, 1).map(drop), Err(ClaimError::NeverFits { limit: 256 }));
    assert_eq!(lane.claim(0, 0).map(drop), Err(ClaimError::NeverFits { limit: 256 }), "a claim has a byte or more");
    lane.claim(256, 1).map(drop).expect("the whole slab fits");
    let (engine, _io, _) = self::engine(4, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    publish(&mut lane, b"begun").expect("room");
    for len in [0, 257, usize::MAX] {
        assert!(lane.claim_here(len, Ahead::Stream).is_none(), "{len}");
        assert_eq!(lane.claim(len, 0).map(drop), Err(ClaimError::NeverFits { limit: 256 }), "{len}");
    }
}

#[test]
fn two_engines_do_not_mix_their_runs() {
    let (engine_a, mut a, _) = engine(4, 64);
    let (_engine_b, b, _) = engine(4, 64);
    let end = engine_a.producer_end();
    let mut lane = end.lane(1).expect("open");
    publish(&mut lane, b"mine").expect("room");
    ready(&mut a);
    let mut runs = Vec::new();
    take_all(&mut a, lane.id(), &mut runs);
    let foreign = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| b.bytes(&runs[0]).len()));
    assert!(foreign.is_err());
}

#[test]
fn handles_cross_threads_as_documented() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Lane>();
    send::<IoSide>();
    send::<forebay_engine::ProducerEnd>();
    send::<Engine>();
    sync::<Engine>();
}

#[test]
fn free_memory_can_be_leased_whole_or_not_at_all_and_not_past_a_waiting_sender() {
    let (engine, mut io, _) = engine(4, 64);
    let mut end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    publish(&mut lane, &[7; 64]).expect("there is room");
    let mut runs = Vec::new();
    assert!(!io.lease(4 * 64, &mut runs), "one segment is the lane's");
    assert!(runs.is_empty());
    assert!(io.lease(2 * 64 + 1, &mut runs));
    assert_eq!(runs.iter().map(Run::len).sum::<usize>(), 3 * 64);
    for (number, run) in runs.iter_mut().enumerate() {
        io.bytes_mut(run).fill(number as u8);
    }
    assert!(io.bytes(&runs[2]).iter().all(|byte| *byte == 2));
    assert!(!io.lease(1, &mut runs), "nothing is left");
    assert!(io.lease(0, &mut runs), "nothing is asked");
    io.release(runs.pop().expect("a run"));
    end.begin_wait(2).expect("open");
    io.settle();
    assert!(!io.lease(1, &mut runs), "what is free is set aside for the sender that waits");
    release_all(&mut io, &mut runs);
    let grant = end.poll_wait().expect("open").expect("granted");
    drop(grant);
    ready(&mut io);
    io.settle();
    assert_eq!(io.free_segments(), 3);
}

#[test]
fn what_a_lane_holds_is_known_to_the_byte() {
    // Records of every size, new windows and retirements: unused ends of segments are not counted.
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let (engine, mut io, _) = engine(64, 64);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    let (id, mut held, mut window) = (lane.id(), 0, 0);
    let mut runs = Vec::new();
    let mut crossed = 0;
    for _ in 0..20_000 {
        match next(10) {
            0 => {
                window += 1;
                lane.set_window(window);
            }
            1 => {
                ready(&mut io);
                io.observe(id);
                let mut limit = next(200);
                held -= io.take(id, &mut runs, |slice| {
                    let taken = slice.len().min(limit);
                    limit -= taken;
                    taken
                });
                release_all(&mut io, &mut runs);
            }
            2 => {
                ready(&mut io);
                io.retire(&mut vec![id], &mut Vec::new());
            }
            _ => {
                let len = 1 + next(150);
                let head = len.min(1 + next(30));
                if let Ok(mut claim) = lane.claim(len, head) {
                    claim.put(&vec![0; len]);
                    claim.commit().expect("open");
                    held += len;
                }
            }
        }
        ready(&mut io);
        let at_most = io.observe(id);
        assert_eq!(io.untaken(id), held as u64);
        assert!(at_most >= held);
        crossed += usize::from(at_most > held);
    }
    assert!(crossed > 1_000, "unused ends of segments were there to be counted");
}
