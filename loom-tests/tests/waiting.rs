//! Waiting for memory: grant, deadline and close race; the order of waiters; what nobody may keep. A deadline is an event here: time never passes by
//! itself under loom.
#![cfg(loom)]

use forebay_engine::{ClaimError, Grant, IoSide, ProducerEnd};
use forebay_loom_tests::{
    Bell, Ringer, Turns, assert_at_rest, block_on, engine, explore, publish, publish_patiently, publish_with, take,
    wait_for_memory,
};
use loom::sync::atomic::AtomicBool;
use loom::thread;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long does not matter: the clock is an event.
const MAX_BLOCK: Duration = Duration::from_secs(1);

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Granted,
    TimedOut,
    Closed,
}

/// The deadline of a wait has come.
fn give_up(end: &mut ProducerEnd) -> Result<Ended, ClaimError> {
    match end.poll_wait()? {
        Some(grant) => drop(grant),
        None => match end.cancel_wait() {
            Some(grant) => drop(grant),
            None => return Ok(Ended::TimedOut),
        },
    }
    Ok(Ended::Granted)
}

fn give_up_or_closed(end: &mut ProducerEnd) -> Ended {
    give_up(end).unwrap_or(Ended::Closed)
}

fn rest(io: &mut IoSide) {
    assert_at_rest(&mut Turns::default(), io);
    assert_eq!(io.waiting_senders(), 0, "nobody is counted as waiting any more");
}

/// P4: the granted segments come with their links, and after the I/O side's last reads of their bytes.
#[test]
fn a_grant_brings_its_segments() {
    explore("a_grant_brings_its_segments", None, || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1, 2, 3, 4]).expect("room");
        drop(lane);
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        let mut other = engine.producer_end();
        let mut lane = other.lane(1).expect("open");
        other.begin_wait(2).expect("open");
        // Looks without parking: nothing but the mailbox word orders the two sides.
        let sender = thread::spawn(move || match other.poll_wait().expect("open") {
            Some(grant) => publish_with(grant, &mut lane, &[5, 6, 7, 8]).is_ok(),
            None => other.cancel_wait().is_some_and(|grant| publish_with(grant, &mut lane, &[5, 6, 7, 8]).is_ok()),
        });
        take(&mut io, turns.active[0], &mut runs);
        for run in runs {
            io.release(run);
        }
        turns.retire(&mut io);
        io.settle();
        let granted = sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1), if granted { &[5, 6, 7, 8][..] } else { &[] });
    });
}

/// A grant and a deadline race: exactly one wins, and what the loser would have had goes to the next in line.
#[test]
fn grant_or_deadline_and_the_next_waiter_is_served() {
    explore("grant_or_deadline_and_the_next_waiter_is_served", None, || {
        let (engine, mut io) = engine(1);
        let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
        first.begin_wait(1).expect("open");
        second.begin_wait(1).expect("open");
        let deadline = thread::spawn(move || give_up_or_closed(&mut first));
        io.settle();
        let ended = deadline.join().expect("the first");
        assert_ne!(ended, Ended::Closed);
        // Whatever became of the first, one turn later the second has it.
        let mut lanes = Vec::new();
        io.collect_ready(&mut lanes);
        io.settle();
        let grant: Option<Grant> = second.poll_wait().expect("open");
        assert!(grant.is_some(), "the loser's segment did not reach the next waiter ({ended:?})");
        drop(grant);
        rest(&mut io);
    });
}

/// Who waits is counted by both sides at once: a deadline here, a grant there, and nobody is left over.
#[test]
fn two_waits_that_end_at_once_are_both_counted() {
    explore("two_waits_that_end_at_once_are_both_counted", None, || {
        let (engine, mut io) = engine(2);
        let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
        first.begin_wait(1).expect("open");
        second.begin_wait(2).expect("open");
        // The first is granted; the second, which cannot be served with what is left, gives up meanwhile.
        let deadline = thread::spawn(move || assert_eq!(give_up(&mut second), Ok(Ended::TimedOut)));
        io.settle();
        deadline.join().expect("the second");
        assert!(first.poll_wait().expect("open").is_some());
        rest(&mut io);
    });
}

/// The same with one that begins while another ends.
#[test]
fn a_wait_that_begins_as_another_ends_is_counted() {
    explore("a_wait_that_begins_as_another_ends_is_counted", None, || {
        let (engine, mut io) = engine(1);
        let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
        first.begin_wait(1).expect("open");
        let beginner = thread::spawn(move || {
            second.begin_wait(1).expect("open");
            second
        });
        io.settle();
        let mut second = beginner.join().expect("the second");
        let grant = first.poll_wait().expect("open");
        assert!(grant.is_some(), "there was a segment for the first");
        assert_eq!(io.waiting_senders(), 1, "the second waits");
        assert!(second.cancel_wait().is_none(), "there was none for the second");
        drop(grant);
        rest(&mut io);
    });
}

/// `max.block.ms`: a sender that looks, parks and looks again, as `send` does, races the clock and a grant. One of them ends
/// its wait, and what it did not take goes to who waits behind it.
#[test]
fn max_block_or_a_grant_ends_a_wait() {
    explore("max_block_or_a_grant_ends_a_wait", Some(3), || {
        let (engine, mut io) = engine(1);
        let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
        first.begin_wait(1).expect("open");
        second.begin_wait(1).expect("open");
        let over = Arc::new(AtomicBool::new(false));
        let waiter = thread::spawn({
            let over = over.clone();
            move || {
                loop {
                    match first.poll_wait() {
                        Ok(Some(grant)) => break Some(grant),
                        Ok(None) if over.load(Acquire) => break first.cancel_wait(),
                        Ok(None) => first.park(Some(MAX_BLOCK)),
                        Err(_) => break None,
                    }
                }
                .is_some()
            }
        });
        let clock = thread::spawn(move || over.store(true, Release));
        io.settle();
        clock.join().expect("the clock");
        let granted = waiter.join().expect("the first");
        io.collect_ready(&mut Vec::new());
        io.settle();
        let next = second.poll_wait().expect("open");
        assert!(next.is_some(), "the segment did not reach the next waiter (granted: {granted})");
        drop(next);
        rest(&mut io);
    });
}

/// Grant, deadline and close race: exactly one wins, nothing is lost.
#[test]
fn grant_deadline_or_close() {
    explore("grant_deadline_or_close", None, || {
        let (engine, mut io) = engine(1);
        let mut end = engine.producer_end();
        end.begin_wait(1).expect("open");
        let waiter = thread::spawn(move || {
            let ended = give_up_or_closed(&mut end);
            (ended, end)
        });
        io.settle();
        io.close(&mut Vec::new());
        let (_, mut end) = waiter.join().expect("the waiter");
        assert_eq!(end.begin_wait(1), Err(ClaimError::Closed));
        rest(&mut io);
    });
}

/// A waiter that parks is woken by the grant, or by the close.
#[test]
fn a_parked_waiter_is_always_woken() {
    explore("a_parked_waiter_is_always_woken", None, || {
        let (engine, mut io) = engine(1);
        let mut end = engine.producer_end();
        let waiter = thread::spawn(move || match wait_for_memory(&mut end, 1) {
            Ok(grant) => drop(grant),
            Err(error) => assert_eq!(error, ClaimError::Closed),
        });
        io.settle();
        io.close(&mut Vec::new());
        waiter.join().expect("the waiter");
        rest(&mut io);
    });
}

/// I8: waiters are served in the order in which they came, whatever comes back when.
#[test]
fn waiters_are_served_first_in_first_out() {
    explore("waiters_are_served_first_in_first_out", None, || {
        let (engine, mut io) = engine(1);
        let (mut first, mut second) = (engine.producer_end(), engine.producer_end());
        first.begin_wait(1).expect("open");
        second.begin_wait(1).expect("open");
        let waiters = thread::spawn(move || {
            // Looks at the second first: if that has its grant, the first had one before.
            let (late, early) = (second.poll_wait().expect("open"), first.poll_wait().expect("open"));
            assert!(late.is_none() || early.is_some(), "the second was served before the first");
            drop((late, early));
            (first, second)
        });
        io.settle();
        let mut lanes = Vec::new();
        io.collect_ready(&mut lanes);
        io.settle();
        drop(waiters.join().expect("the waiters"));
        rest(&mut io);
    });
}

/// I8: who comes after a waiter does not get memory before it.
#[test]
fn a_newcomer_never_overtakes() {
    explore("a_newcomer_never_overtakes", None, || {
        let (engine, mut io) = engine(1);
        let mut first = engine.producer_end();
        first.begin_wait(1).expect("open");
        let end = engine.producer_end();
        let newcomer = thread::spawn(move || {
            // This thread began after the wait did.
            let mut lane = end.lane(1).expect("open");
            publish(&mut lane, &[1]).is_ok()
        });
        io.settle();
        let grant = first.poll_wait().expect("open");
        assert!(grant.is_some(), "a newcomer took the memory that the first waits for");
        let overtook = newcomer.join().expect("the newcomer");
        assert!(!overtook, "the only segment was granted");
        drop(grant);
        rest(&mut io);
    });
}

/// A record of the whole slab and small ones wait together, and all of them get through.
#[test]
fn large_and_small_records_wait_together_without_a_deadlock() {
    explore("large_and_small_records_wait_together_without_a_deadlock", Some(2), || {
        let (engine, mut io) = engine(2);
        let senders: Vec<_> = [1u64, 2]
            .into_iter()
            .map(|tag| {
                let mut end = engine.producer_end();
                let record: Vec<u64> = (0..if tag == 1 { 4 } else { 2 }).collect();
                thread::spawn(move || {
                    let mut lane = end.lane(tag).expect("open");
                    publish_patiently(&mut end, &mut lane, &record).expect("open");
                })
            })
            .collect();
        let mut turns = Turns::default();
        while turns.of(1).is_empty() || turns.of(2).is_empty() {
            turns.turn(&mut io);
            thread::yield_now();
        }
        for sender in senders {
            sender.join().expect("a sender");
        }
        assert_at_rest(&mut turns, &mut io);
        assert_eq!((turns.of(1), turns.of(2)), (&[0, 1, 2, 3][..], &[0, 1][..]));
    });
}

/// A sender that goes away while it waits, or with a grant that it never looked at, keeps nothing.
#[test]
fn a_sender_dropped_while_it_waits_keeps_nothing() {
    explore("a_sender_dropped_while_it_waits_keeps_nothing", None, || {
        let (engine, mut io) = engine(1);
        let mut end = engine.producer_end();
        end.begin_wait(1).expect("open");
        let sender = thread::spawn(move || drop(end));
        io.settle();
        sender.join().expect("the sender");
        rest(&mut io);
    });
}

/// A task that waits is called for its grant, or finds it, whichever of its wakers was the last.
#[test]
fn a_waiting_task_is_called_through_its_last_waker() {
    explore("a_waiting_task_is_called_through_its_last_waker", None, || {
        let (engine, mut io) = engine(1);
        let mut end = engine.producer_end();
        end.begin_wait(1).expect("open");
        let task = thread::spawn(move || {
            // Another task looked first; that one is not called any more.
            let other: Waker = Arc::new(Ringer(Arc::new(Bell::default()))).into();
            let grant = match end.poll_wait_with(&mut Context::from_waker(&other)) {
                Poll::Ready(grant) => grant,
                Poll::Pending => block_on(pin!(poll_fn(|context| end.poll_wait_with(context)))),
            };
            drop(grant.expect("open"));
        });
        io.settle();
        task.join().expect("the task");
        rest(&mut io);
    });
}

/// The end calls tasks too.
#[test]
fn the_end_calls_a_waiting_task() {
    explore("the_end_calls_a_waiting_task", None, || {
        let (engine, io) = engine(1);
        let mut end = engine.producer_end();
        end.begin_wait(1).expect("open");
        let task = thread::spawn(move || block_on(pin!(poll_fn(|context| end.poll_wait_with(context)))).map(drop));
        drop(io);
        assert_eq!(task.join().expect("the task"), Err(ClaimError::Closed));
    });
}

/// A task that gives up leaves no waker behind, though its mailbox stays in line.
#[test]
fn a_task_that_gives_up_leaves_no_waker() {
    explore("a_task_that_gives_up_leaves_no_waker", None, || {
        let (engine, mut io) = engine(1);
        let (mut holder, mut end) = (engine.producer_end(), engine.producer_end());
        holder.begin_wait(1).expect("open");
        io.settle();
        let held = holder.poll_wait().expect("open").expect("there is one");
        let ringer = Arc::new(Ringer(Arc::new(Bell::default())));
        end.begin_wait(1).expect("open");
        let task = thread::spawn({
            let waker = Waker::from(ringer.clone());
            move || {
                let _ = end.poll_wait_with(&mut Context::from_waker(&waker)).map(drop);
                assert!(end.cancel_wait().is_none(), "there is none");
            }
        });
        io.settle();
        task.join().expect("the task");
        assert_eq!(Arc::strong_count(&ringer), 1, "a mailbox holds a waker of nobody");
        drop(held);
        rest(&mut io);
    });
}

/// A task that was served leaves no waker behind either, in the mailbox with which it waits the next time.
#[test]
fn a_task_that_was_served_leaves_no_waker() {
    explore("a_task_that_was_served_leaves_no_waker", None, || {
        let (engine, mut io) = engine(1);
        let ringer = Arc::new(Ringer(Arc::new(Bell::default())));
        let mut end = engine.producer_end();
        end.begin_wait(1).expect("open");
        let task = thread::spawn({
            let waker = Waker::from(ringer.clone());
            move || {
                let decided = end.poll_wait_with(&mut Context::from_waker(&waker)).map(drop);
                (end, decided.is_ready())
            }
        });
        io.settle();
        let (end, served) = task.join().expect("the task");
        // What was pending is told by now, or will be found at the next look.
        assert!(!served || Arc::strong_count(&ringer) == 1, "a mailbox holds a waker of nobody");
        drop(end);
        rest(&mut io);
    });
}
