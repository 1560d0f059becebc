//! An idle lane gives its segment back: the handshake with a claim in progress.
#![cfg(loom)]

use forebay_loom_tests::{Turns, assert_at_rest, engine, explore, publish};
use loom::thread;

/// I5: the open segment is never taken from under a claim that fits into it.
#[test]
fn a_claim_in_progress_keeps_its_segment() {
    explore("a_claim_in_progress_keeps_its_segment", Some(4), || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || publish(&mut lane, &[2]).expect("room"));
        turns.retire(&mut io);
        io.settle();
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(0), [1, 2], "nothing is lost, whoever came first");
    });
}

/// I5, on the way of a claim that needs more segments: the open one must not go either.
#[test]
fn a_growing_claim_keeps_its_segment() {
    explore("a_growing_claim_keeps_its_segment", Some(4), || {
        let (engine, mut io) = engine(3);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || publish(&mut lane, &[2, 3, 4]).expect("room"));
        turns.retire(&mut io);
        io.settle();
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(0), [1, 2, 3, 4]);
    });
}

/// P2: a segment that is retired behind an aborted claim goes to its next owner after the aborted writes. Everybody lets the others go
/// first where it matters, so that few preemptions reach the one order that shows it: claim; the retirement's barrier; the next owner's
/// barrier; write and abort; the retirement's look; the next owner's write.
#[test]
fn a_segment_moves_on_after_the_aborted_writes() {
    explore("a_segment_moves_on_after_the_aborted_writes", Some(3), || {
        let (engine, mut io) = engine(1);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let mut other = end.lane(1).expect("open");
        let aborter = thread::spawn(move || {
            if let Ok(mut claim) = lane.claim(8, 8) {
                thread::yield_now();
                claim.put(&[0xEE; 8]);
            }
            lane
        });
        let taker = thread::spawn(move || publish(&mut other, &[7, 8]).is_ok());
        thread::yield_now();
        turns.retire(&mut io);
        io.settle();
        let got = taker.join().expect("the taker");
        drop(aborter.join().expect("the aborter"));
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1).len(), if got { 2 } else { 0 });
    });
}

/// I9: a commit that races a retirement is drained; the lane is in the ready list or in the active set, never in both or neither.
#[test]
fn a_lane_that_races_its_retirement_is_listed_once() {
    explore("a_lane_that_races_its_retirement_is_listed_once", Some(3), || {
        let (engine, mut io) = engine(3);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || {
            publish(&mut lane, &[2]).expect("room");
            publish(&mut lane, &[3]).expect("room");
        });
        for _ in 0..2 {
            turns.retire(&mut io);
            turns.collect(&mut io);
            turns.drain(&mut io);
        }
        sender.join().expect("the sender");
        turns.collect(&mut io);
        turns.drain(&mut io);
        assert_eq!(turns.of(0), [1, 2, 3], "a lane was forgotten");
        assert_at_rest(&mut turns, &mut io);
    });
}

/// P5: lanes that come to life at once are all in the list, with their links.
#[test]
fn lanes_that_come_to_life_at_once_are_all_listed() {
    explore("lanes_that_come_to_life_at_once_are_all_listed", Some(4), || {
        let (engine, mut io) = engine(2);
        let senders: Vec<_> = [1, 2]
            .map(|tag| {
                let end = engine.producer_end();
                let mut lane = end.lane(tag).expect("open");
                thread::spawn(move || publish(&mut lane, &[tag]).expect("room"))
            })
            .into_iter()
            .collect();
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        for sender in senders {
            sender.join().expect("a sender");
        }
        turns.collect(&mut io);
        turns.drain(&mut io);
        assert_eq!((turns.of(1), turns.of(2)), (&[1][..], &[2][..]));
        assert_at_rest(&mut turns, &mut io);
    });
}

/// A lane dropped while it is retired is reported gone exactly once, and its number is not in any list by then.
#[test]
fn a_dropped_lane_is_gone_exactly_once() {
    explore("a_dropped_lane_is_gone_exactly_once", None, || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || drop(lane));
        turns.retire(&mut io);
        turns.collect(&mut io);
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.gone.len(), 1);
        // The number is free: a new lane has it, and works.
        let mut lane = end.lane(5).expect("open");
        assert_eq!(lane.id(), turns.gone[0]);
        publish(&mut lane, &[9]).expect("room");
        turns.collect(&mut io);
        turns.drain(&mut io);
        assert_eq!(turns.of(5), [9]);
    });
}
