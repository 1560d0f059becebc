//! Flushes: woken when they are through, or by the end; a deadline gives one up and disturbs no other.
#![cfg(loom)]

use forebay::model::{Outcomes, deadline_comes};
use forebay_io::core::Flushed;
use forebay_loom_tests::explore;
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

/// Two flushes that wait at once are both woken, each by its own word.
#[test]
fn a_flush_that_is_through_wakes_its_waiter() {
    explore("a_flush_that_is_through_wakes_its_waiter", None, || {
        let outcomes = Arc::new(Outcomes::new());
        let tokens = [outcomes.begin_flush(), outcomes.begin_flush()];
        let waiters = tokens.map(|token| {
            let outcomes = outcomes.clone();
            thread::spawn(move || outcomes.wait_flush(token, false))
        });
        for token in tokens {
            outcomes.flushed(Flushed { token, failed: 0 });
        }
        for waiter in waiters {
            assert_eq!(waiter.join().expect("a waiter"), Some(true));
        }
    });
}

/// The I/O thread ends while one flush is through and another is not.
#[test]
fn the_end_wakes_every_flush() {
    explore("the_end_wakes_every_flush", None, || {
        let outcomes = Arc::new(Outcomes::new());
        let tokens = [outcomes.begin_flush(), outcomes.begin_flush()];
        let waiters = tokens.map(|token| {
            let outcomes = outcomes.clone();
            thread::spawn(move || outcomes.wait_flush(token, false))
        });
        outcomes.flushed(Flushed { token: tokens[0], failed: 0 });
        outcomes.end();
        let ends = waiters.map(|waiter| waiter.join().expect("a waiter"));
        assert_eq!(ends, [Some(true), Some(false)]);
    });
}

/// With several I/O threads a flush is through when each of them has said so, whichever is the last.
#[test]
fn a_flush_is_through_when_every_thread_is() {
    explore("a_flush_is_through_when_every_thread_is", None, || {
        let outcomes = Arc::new(Outcomes::of_threads(2));
        let said = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let token = outcomes.begin_flush();
        let threads = [0, 1].map(|number: usize| {
            let (outcomes, said) = (outcomes.clone(), said.clone());
            thread::spawn(move || {
                said[number].store(true, Relaxed);
                outcomes.flushed(Flushed { token, failed: 0 });
            })
        });
        assert_eq!(outcomes.wait_flush(token, false), Some(true));
        assert!(said.iter().all(|said| said.load(Relaxed)), "a thread had records of the flush on their way");
        for thread in threads {
            thread.join().expect("an I/O thread");
        }
        assert_eq!(outcomes.open_flushes(), 0);
    });
}

/// The clock races the flush: it ends with the one or the other, and the word that comes too late is no trouble.
#[test]
fn a_deadline_or_its_word_ends_a_flush() {
    explore("a_deadline_or_its_word_ends_a_flush", None, || {
        let outcomes = Arc::new(Outcomes::new());
        let token = outcomes.begin_flush();
        let waiter = thread::spawn({
            let outcomes = outcomes.clone();
            move || outcomes.wait_flush(token, true)
        });
        let clock = thread::spawn(deadline_comes);
        outcomes.flushed(Flushed { token, failed: 0 });
        assert_ne!(waiter.join().expect("the waiter"), Some(false), "nothing has ended");
        clock.join().expect("the clock");
        outcomes.flushed(Flushed { token, failed: 0 });
        assert_eq!(outcomes.open_flushes(), 0, "a flush that nobody waits for is remembered");
    });
}

/// A flush that is through before its deadline is a success, though both came during the wait.
#[test]
fn a_flush_before_its_deadline_is_a_success() {
    explore("a_flush_before_its_deadline_is_a_success", None, || {
        let outcomes = Arc::new(Outcomes::new());
        let token = outcomes.begin_flush();
        let waiter = thread::spawn({
            let outcomes = outcomes.clone();
            move || outcomes.wait_flush(token, true)
        });
        outcomes.flushed(Flushed { token, failed: 0 });
        deadline_comes();
        assert_eq!(waiter.join().expect("the waiter"), Some(true));
    });
}
