//! The end: close, the last word, and either side gone. Every record is drained or refused, exactly one of the two.
#![cfg(loom)]

use forebay_engine::{ClaimError, Sleep};
use forebay_loom_tests::{Bell, Turns, abandon, engine, engine_with, explore, publish, wait_for_memory};
use loom::thread;
use std::sync::Arc;

/// What a sender says of its records, against what was drained.
fn exactly_one(result: Result<(), ClaimError>, drained: &[u64], record: &[u64]) {
    match result {
        Ok(()) => assert_eq!(drained, record, "accepted and not drained"),
        Err(ClaimError::Closed) => assert_eq!(drained, [0u64; 0], "refused and drained"),
        Err(error) => panic!("{error}"),
    }
}

/// Close races the first record of a lane: drained or refused.
#[test]
fn close_drains_or_refuses_a_first_record() {
    explore("close_drains_or_refuses_a_first_record", None, || {
        let (engine, mut io) = engine(1);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || {
            let result = publish(&mut lane, &[1]);
            (result, lane)
        });
        let mut turns = Turns::default();
        io.close(&mut turns.active);
        turns.turn(&mut io);
        let (result, _lane) = sender.join().expect("the sender");
        turns.turn(&mut io);
        turns.turn(&mut io);
        exactly_one(result, turns.of(0), &[1]);
        assert!(turns.active.is_empty());
        assert_eq!(io.free_segments(), 1);
    });
}

/// Close races a record of a lane that is active, retired just then, or has a claim in progress.
#[test]
fn close_drains_or_refuses_a_later_record() {
    explore("close_drains_or_refuses_a_later_record", None, || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || {
            let result = publish(&mut lane, &[2]);
            (result, lane)
        });
        io.close(&mut turns.active);
        turns.turn(&mut io);
        let (result, _lane) = sender.join().expect("the sender");
        turns.turn(&mut io);
        turns.turn(&mut io);
        exactly_one(result, &turns.of(0)[1..], &[2]);
        assert!(turns.active.is_empty());
        assert_eq!(io.free_segments(), 2);
    });
}

/// Close races a sender that publishes its first record and goes: the lane is listed and gone once, in whatever order.
#[test]
fn close_meets_a_lane_that_comes_to_life_and_goes() {
    explore("close_meets_a_lane_that_comes_to_life_and_goes", Some(4), || {
        let (engine, mut io) = engine(1);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || publish(&mut lane, &[1]));
        let mut turns = Turns::default();
        io.close(&mut turns.active);
        turns.drain(&mut io);
        turns.retire(&mut io);
        turns.turn(&mut io);
        let result = sender.join().expect("the sender");
        for _ in 0..2 {
            turns.turn(&mut io);
        }
        exactly_one(result, turns.of(0), &[1]);
        assert!(turns.active.is_empty());
        assert!(turns.gone.len() <= 1, "gone twice");
        assert_eq!(io.free_segments(), 1);
    });
}

/// A closing I/O thread that waits for claims in progress hears of their end, commit or abort.
#[test]
fn the_end_of_a_claim_wakes_a_closing_sleeper() {
    for commit in [true, false] {
        let name = if commit {
            "the_end_of_a_claim_wakes_a_closing_sleeper (commit)"
        } else {
            "the_end_of_a_claim_wakes_a_closing_sleeper (abort)"
        };
        explore(name, None, move || {
            let bell = Arc::new(Bell::default());
            let (engine, mut io) = engine_with(2, bell.clone());
            let end = engine.producer_end();
            let mut lane = end.lane(0).expect("open");
            publish(&mut lane, &[1]).expect("room");
            let mut turns = Turns::default();
            turns.collect(&mut io);
            turns.drain(&mut io);
            let sender = thread::spawn(move || {
                let _ = if commit { publish(&mut lane, &[2]) } else { abandon(&mut lane, 1) };
                lane
            });
            io.close(&mut turns.active);
            turns.turn(&mut io);
            while !turns.active.is_empty() {
                if io.prepare_sleep(Sleep::Nap) {
                    bell.wait();
                    io.awake();
                }
                turns.turn(&mut io);
            }
            let _lane = sender.join().expect("the sender");
            assert_eq!(io.free_segments(), 2);
        });
    }
}

/// P8: the last word races a commit: its record is seen and accepted, or neither.
#[test]
fn the_last_word_sees_a_commit_or_refuses_it() {
    explore("the_last_word_sees_a_commit_or_refuses_it", None, || {
        let (engine, mut io) = engine(1);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || {
            let result = publish(&mut lane, &[2]);
            (result, lane)
        });
        io.finish(&mut turns.active);
        turns.drain(&mut io);
        let (result, _lane) = sender.join().expect("the sender");
        turns.drain(&mut io);
        exactly_one(result, &turns.of(0)[1..], &[2]);
    });
}

/// The last word races the first record of a lane: it is listed if it holds something.
#[test]
fn the_last_word_lists_a_lane_that_just_came_to_life() {
    explore("the_last_word_lists_a_lane_that_just_came_to_life", Some(4), || {
        let (engine, mut io) = engine(1);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || publish(&mut lane, &[1]));
        let mut turns = Turns::default();
        io.finish(&mut turns.active);
        turns.drain(&mut io);
        let seen = turns.of(0).to_vec();
        turns.retire(&mut io);
        let result = sender.join().expect("the sender");
        turns.turn(&mut io);
        turns.turn(&mut io);
        exactly_one(result, turns.of(0), &[1]);
        assert_eq!(turns.of(0), seen, "there was more after the last word");
        assert!(turns.gone.len() <= 1, "gone twice");
    });
}

/// The I/O side is dropped under senders: a claim, a commit and a wait all end.
#[test]
fn a_dropped_io_side_refuses_and_wakes_everybody() {
    explore("a_dropped_io_side_refuses_and_wakes_everybody", Some(3), || {
        let (engine, io) = engine(1);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let sender = thread::spawn(move || {
            let _ = publish(&mut lane, &[2]);
            assert_eq!(publish(&mut lane, &[3]).is_ok(), false, "the only segment is full, and nobody empties it");
        });
        let mut other = engine.producer_end();
        let waiter = thread::spawn(move || {
            assert_eq!(wait_for_memory(&mut other, 1).map(drop), Err(ClaimError::Closed));
        });
        drop(io);
        sender.join().expect("the sender");
        waiter.join().expect("the waiter");
        assert_eq!(end.lane(9).map(|_| ()), Err(ClaimError::Closed));
    });
}

/// Both sides are dropped at once: nothing hangs, nothing is freed under the other.
#[test]
fn both_sides_go_at_once() {
    explore("both_sides_go_at_once", Some(4), || {
        let (engine, mut io) = engine(1);
        let mut end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        end.begin_wait(1).expect("open");
        drop(engine);
        let mut turns = Turns::default();
        turns.collect(&mut io);
        let sender = thread::spawn(move || {
            drop(lane);
            drop(end);
        });
        turns.drain(&mut io);
        assert_eq!(turns.of(0), [1]);
        turns.retire(&mut io);
        io.settle();
        drop(io);
        sender.join().expect("the sender");
    });
}
