//! Segments that a lane that fills fast takes ahead: they are the lane's until it is retired, or until somebody waits for memory.
#![cfg(loom)]

use forebay_engine::{ClaimError, Engine, IoSide, Lane, ProducerEnd};
use forebay_loom_tests::{
    Silent, Turns, abandon, assert_at_rest, engine, engine_ahead, explore, publish, publish_patiently,
};
use loom::thread;
use std::sync::Arc;

/// A lane in its second segment, with room for a word, that holds the third, which follows in memory and is not begun. All it has
/// published is drained.
fn a_lane_ahead(segments: usize) -> (Engine, IoSide, ProducerEnd, Lane, Turns) {
    let (engine, mut io) = engine_ahead(segments, 2, Arc::new(Silent));
    let end = engine.producer_end();
    let mut lane = end.lane(0).expect("open");
    publish(&mut lane, &[1, 2]).expect("room");
    publish(&mut lane, &[3]).expect("room");
    assert_eq!(lane.segments_ahead(), 1);
    let mut turns = Turns::default();
    turns.collect(&mut io);
    turns.drain(&mut io);
    io.settle();
    (engine, io, end, lane, turns)
}

/// Retires the lane while its sender goes on: in the end all words have arrived, and every segment is back.
fn retire_beside(turns: &mut Turns, io: &mut IoSide, sender: thread::JoinHandle<()>, words: &[u64]) {
    turns.retire(io);
    io.settle();
    turns.collect(io);
    turns.drain(io);
    sender.join().expect("the sender");
    assert_at_rest(turns, io);
    assert_eq!(turns.of(0), words);
}

/// I5: a record that goes into the next segment, without a look at the free rings, keeps it; or it was retired with the lane.
#[test]
fn a_retired_lane_gives_back_what_it_holds_ahead() {
    explore("a_retired_lane_gives_back_what_it_holds_ahead", Some(4), || {
        let (_engine, mut io, _end, mut lane, mut turns) = a_lane_ahead(4);
        let sender = thread::spawn(move || publish(&mut lane, &[4, 5]).expect("room"));
        retire_beside(&mut turns, &mut io, sender, &[1, 2, 3, 4, 5]);
    });
}

/// The same for a claim that goes on beyond what the lane holds, and is aborted or committed: what it takes is linked with the commit,
/// and only then.
#[test]
fn a_claim_beyond_what_is_held_ahead_is_whole_or_leaves_no_trace() {
    explore("a_claim_beyond_what_is_held_ahead_is_whole_or_leaves_no_trace", Some(3), || {
        let (_engine, mut io, _end, mut lane, mut turns) = a_lane_ahead(8);
        let sender = thread::spawn(move || {
            abandon(&mut lane, 4).expect("room");
            publish(&mut lane, &[4, 5, 6, 7]).expect("room");
        });
        retire_beside(&mut turns, &mut io, sender, &[1, 2, 3, 4, 5, 6, 7]);
    });
}

/// I8: who waits gets what lanes hold ahead as soon as they want more.
#[test]
fn what_is_held_ahead_goes_to_who_waits() {
    explore("what_is_held_ahead_goes_to_who_waits", Some(3), || {
        let (engine, mut io, _end, mut lane, mut turns) = a_lane_ahead(4);
        let mut other = engine.producer_end();
        // Three segments: two are free, the third is ahead of the lane, or was used by then, drained and freed.
        let waiter = thread::spawn(move || {
            let mut lane = other.lane(1).expect("open");
            publish_patiently(&mut other, &mut lane, &[11, 12, 13, 14, 15, 16]).expect("open");
        });
        // The lane wants one more than it holds: it has it, or is told that somebody waits.
        let more = publish(&mut lane, &[4, 5, 6, 7]);
        assert!(matches!(more, Ok(()) | Err(ClaimError::Full { .. })), "{more:?}");
        while turns.of(1).is_empty() {
            if io.waiting_senders() > 0 {
                _ = publish(&mut lane, &[4, 5, 6, 7]).map(|()| unreachable!("a newcomer overtakes"));
            }
            turns.collect(&mut io);
            turns.drain(&mut io);
            io.settle();
            thread::yield_now();
        }
        waiter.join().expect("the waiter");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1), [11, 12, 13, 14, 15, 16]);
    });
}

/// A claim that is still held when the engine has ended changes the lane's links as it is refused: nobody reads them then.
#[test]
fn the_links_of_a_claim_beyond_the_end_are_not_read() {
    explore("the_links_of_a_claim_beyond_the_end_are_not_read", Some(3), || {
        let (_engine, mut io, _end, mut lane, mut turns) = a_lane_ahead(8);
        let sender = thread::spawn(move || {
            let result = publish(&mut lane, &[4, 5, 6, 7, 8, 9]);
            (result, lane)
        });
        io.finish(&mut turns.active);
        turns.drain(&mut io);
        turns.retire(&mut io);
        io.settle();
        // Walks every segment: none has two owners.
        io.account();
        let (result, lane) = sender.join().expect("the sender");
        match result {
            Ok(()) => assert_eq!(turns.of(0), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
            Err(error) => assert_eq!((error, turns.of(0)), (ClaimError::Closed, &[1, 2, 3][..])),
        }
        drop(lane);
        io.account();
    });
}

/// The open segment as well, where a claim that is still held writes after the end: another sender that was about to take a segment must
/// not get that one.
#[test]
fn the_segment_of_a_claim_that_outlives_the_engine_is_nobody_elses() {
    explore("the_segment_of_a_claim_that_outlives_the_engine_is_nobody_elses", Some(3), || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let (mut held, mut other) = (end.lane(0).expect("open"), end.lane(1).expect("open"));
        let mut turns = Turns::default();
        publish(&mut held, &[1]).expect("room");
        turns.collect(&mut io);
        turns.drain(&mut io);
        publish(&mut other, &[10, 11]).expect("room");
        io.settle();
        let mut claim = held.claim(8, 8).expect("room in the open segment");
        // Nothing is free, until the lane of the claim is retired.
        let sender = thread::spawn(move || {
            let refused = publish(&mut other, &[12, 13]).expect_err("never room");
            assert!(matches!(refused, ClaimError::Full { .. } | ClaimError::Closed), "{refused:?}");
        });
        io.finish(&mut turns.active);
        turns.retire(&mut io);
        io.settle();
        claim.put(&2_u64.to_le_bytes());
        assert_eq!(claim.commit(), Err(ClaimError::Closed));
        sender.join().expect("the sender");
        io.account();
    });
}
