//! Sleeping and waking. The bell is a condition variable: a wake-up that is lost is a deadlock, which loom reports.
#![cfg(loom)]

use forebay_engine::{ClaimError, Sleep};
use forebay_loom_tests::{
    Bell, Turns, abandon, assert_at_rest, engine_with, explore, publish, publish_patiently, take,
};
use loom::thread;
use std::sync::Arc;

/// D1: a lane that comes to life wakes an I/O thread that sleeps for good.
#[test]
fn a_first_record_wakes_a_deep_sleeper() {
    explore("a_first_record_wakes_a_deep_sleeper", None, || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(1, bell.clone());
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || {
            publish(&mut lane, &[1]).expect("room");
            lane // or its end would list it too
        });
        let mut turns = Turns::default();
        turns.collect(&mut io);
        while turns.active.is_empty() {
            if io.prepare_sleep(Sleep::Deep) {
                bell.wait();
                io.awake();
            }
            turns.collect(&mut io);
        }
        turns.drain(&mut io);
        assert_eq!(turns.of(0), [1]);
        drop(sender.join().expect("the sender"));
    });
}

/// Retire, then sleep for good: a record that races both is not slept through.
#[test]
fn a_record_is_not_slept_through_behind_a_retirement() {
    explore("a_record_is_not_slept_through_behind_a_retirement", Some(4), || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(2, bell.clone());
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || publish(&mut lane, &[2]).expect("room"));
        while turns.of(0).len() < 2 {
            turns.turn(&mut io);
            if turns.active.is_empty() && turns.of(0).len() < 2 && io.prepare_sleep(Sleep::Deep) {
                bell.wait();
                io.awake();
            } else {
                thread::yield_now();
            }
        }
        sender.join().expect("the sender");
        assert_eq!(turns.of(0), [1, 2]);
    });
}

/// A lane that is dropped after its retirement wakes an I/O thread that sleeps for good, so that its number comes free.
#[test]
fn a_dropped_lane_wakes_a_deep_sleeper() {
    explore("a_dropped_lane_wakes_a_deep_sleeper", Some(3), || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(1, bell.clone());
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let sender = thread::spawn(move || drop(lane));
        while turns.gone.is_empty() {
            turns.turn(&mut io);
            if turns.active.is_empty() && turns.gone.is_empty() && io.prepare_sleep(Sleep::Deep) {
                bell.wait();
                io.awake();
            } else {
                thread::yield_now();
            }
        }
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.gone.len(), 1);
    });
}

/// Two lanes come to life during one sleep: one ring.
#[test]
fn one_sleep_is_rung_once() {
    explore("one_sleep_is_rung_once", Some(4), || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(2, bell.clone());
        assert!(io.prepare_sleep(Sleep::Deep), "there is nothing yet");
        let senders: Vec<_> = [1, 2]
            .map(|tag| {
                let end = engine.producer_end();
                let mut lane = end.lane(tag).expect("open");
                thread::spawn(move || publish(&mut lane, &[tag]).expect("room"))
            })
            .into_iter()
            .collect();
        bell.wait();
        for sender in senders {
            sender.join().expect("a sender");
        }
        assert_eq!(bell.rings(), 1, "more than one system call for one sleep");
        io.awake();
        let mut turns = Turns::default();
        assert_at_rest(&mut turns, &mut io);
        assert_eq!((turns.of(1), turns.of(2)), (&[1][..], &[2][..]));
    });
}

/// A sender that wants memory wakes an I/O thread that could not send anything (`Blocked`), and so gets what is free.
#[test]
fn a_sender_that_wants_memory_wakes_a_blocked_sleeper() {
    explore("a_sender_that_wants_memory_wakes_a_blocked_sleeper", Some(4), || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(1, bell.clone());
        let end = engine.producer_end();
        let mut idle = end.lane(0).expect("open");
        publish(&mut idle, &[1]).expect("room");
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        let mut other = engine.producer_end();
        // The only segment is open in an idle lane: it comes back when the I/O side hears of the wait.
        let sender = thread::spawn(move || {
            let mut lane = other.lane(1).expect("open");
            publish_patiently(&mut other, &mut lane, &[2]).expect("open");
        });
        while io.waiting_senders() == 0 {
            if io.prepare_sleep(Sleep::Blocked) {
                bell.wait();
                io.awake();
            }
        }
        turns.retire(&mut io);
        io.settle();
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1), [2]);
    });
}

/// The same while memory is in flight: the wait is seen at the latest when the release is settled.
#[test]
fn a_wait_that_races_a_release_is_served() {
    explore("a_wait_that_races_a_release_is_served", Some(4), || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(1, bell.clone());
        let mut end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1, 2]).expect("room");
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        take(&mut io, turns.active[0], &mut runs);
        turns.retire(&mut io);
        let sender = thread::spawn(move || publish_patiently(&mut end, &mut lane, &[3]).expect("open"));
        for run in runs {
            io.release(run);
        }
        io.settle();
        while turns.of(0).is_empty() {
            if io.prepare_sleep(Sleep::Deep) {
                bell.wait();
                io.awake();
            }
            turns.collect(&mut io);
            turns.drain(&mut io);
            io.settle();
        }
        sender.join().expect("the sender");
        assert_eq!(turns.of(0), [3]);
        assert_at_rest(&mut turns, &mut io);
    });
}

/// What an aborted claim took is free again before the I/O thread sleeps for good: a sender that only tries would never ring.
#[test]
fn returned_memory_is_not_slept_on() {
    explore("returned_memory_is_not_slept_on", Some(4), || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(2, bell.clone());
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || {
            abandon(&mut lane, 4).expect("all is free");
            lane // or its end would ring too
        });
        let mut lanes = Vec::new();
        // Sleeps until something is heard; nothing but the abort will ever happen.
        while engine.available_bytes() == engine.total_bytes() {
            thread::yield_now();
        }
        while engine.available_bytes() < engine.total_bytes() {
            io.collect_ready(&mut lanes);
            io.settle();
            if engine.available_bytes() < engine.total_bytes() && io.prepare_sleep(Sleep::Deep) {
                bell.wait();
                io.awake();
            }
        }
        drop(sender.join().expect("the sender"));
        assert_at_rest(&mut Turns::default(), &mut io);
    });
}

/// What was set aside for a waiter that gave up is free again before the I/O thread sleeps for good.
#[test]
fn memory_set_aside_for_a_waiter_that_gave_up_is_not_slept_on() {
    explore("memory_set_aside_for_a_waiter_that_gave_up_is_not_slept_on", None, || {
        let bell = Arc::new(Bell::default());
        let (engine, mut io) = engine_with(2, bell.clone());
        let end = engine.producer_end();
        let mut holder = end.lane(0).expect("open");
        publish(&mut holder, &[1, 2]).expect("room");
        let mut waiter = engine.producer_end();
        waiter.begin_wait(2).expect("open");
        io.settle(); // one segment is set aside, the other is in use
        let mut lane = end.lane(1).expect("open");
        assert_eq!(publish(&mut lane, &[3]), Err(ClaimError::Full { segments: 1 }));
        let deadline = thread::spawn(move || assert!(waiter.cancel_wait().is_none()));
        let mut turns = Turns::default();
        turns.collect(&mut io);
        while engine.available_bytes() == 0 {
            if io.prepare_sleep(Sleep::Blocked) {
                bell.wait();
                io.awake();
            }
            io.settle();
        }
        deadline.join().expect("the waiter");
        publish(&mut lane, &[3]).expect("nobody waits any more");
    });
}
