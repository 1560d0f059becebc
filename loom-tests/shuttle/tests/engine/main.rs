//! Several senders and the I/O side, everything they may do to each other, under schedules drawn at random.
//!
//! Whatever is accepted arrives once, whole and in order; whoever waits is served, or told that the engine has ended, and
//! nobody sleeps for ever (shuttle reports a deadlock); no segment ever has two owners, and at the end every one is free.
#![cfg(shuttle)]

mod io_thread;
mod outcomes;
mod sender;

use forebay_engine::{EngineConfig, Ring};
use forebay_shuttle_tests::{Choice, explore};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use std::sync::atomic::AtomicU64;

/// Bytes of a segment: four words.
const SEGMENT: usize = 32;
/// Bytes of a word.
const WORD: usize = 8;

/// What waits for the I/O thread: rung, it wakes. A ring before the wait counts, as with an eventfd.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Ring for Bell {
    fn ring(&self) {
        *self.rung.lock().expect("nothing panics under this lock") = true;
        self.changed.notify_one();
    }
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.rung.lock().expect("nothing panics under this lock");
        while !*rung {
            rung = self.changed.wait(rung).expect("nothing panics under this lock");
        }
        *rung = false;
    }
}

/// How often each thing happened: schedules in which nothing happens prove nothing.
#[derive(Debug)]
struct Happened {
    records: AtomicU64,
    aborts: AtomicU64,
    waits: AtomicU64,
    grants: AtomicU64,
    flushes: AtomicU64,
    left: AtomicU64,
    deadlines: AtomicU64,
    refused: AtomicU64,
    retired: AtomicU64,
    gone: AtomicU64,
    deep_sleeps: AtomicU64,
    closes: AtomicU64,
}

impl Happened {
    const fn new() -> Self {
        Happened {
            records: AtomicU64::new(0),
            aborts: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            grants: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            left: AtomicU64::new(0),
            deadlines: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            deep_sleeps: AtomicU64::new(0),
            closes: AtomicU64::new(0),
        }
    }

    fn all(&self) -> [&AtomicU64; 12] {
        let Happened {
            records,
            aborts,
            waits,
            grants,
            flushes,
            left,
            deadlines,
            refused,
            retired,
            gone,
            deep_sleeps,
            closes,
        } = self;
        [records, aborts, waits, grants, flushes, left, deadlines, refused, retired, gone, deep_sleeps, closes]
    }
}

/// Counts for the figures printed at the end; no part of the schedule.
fn count(what: &AtomicU64) {
    what.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// How a run of the engine ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The senders have gone.
    Senders,
    /// The I/O side closes in this turn, and drains.
    Close(usize),
    /// The I/O side has its last word in this turn, with claims in progress.
    Finish(usize),
    /// The I/O side is dropped in this turn.
    Drop(usize),
}

fn scenario(happened: &'static Happened) {
    let mut random = thread_rng();
    let senders = random.gen_range(2..=3);
    let segments = random.gen_range(2..=6);
    let records = random.gen_range(2..=5);
    let turn = random.gen_range(0..12);
    let end = match random.gen_range(0..8) {
        0 | 1 => End::Close(turn),
        2 => End::Finish(turn),
        3 => End::Drop(turn),
        _ => End::Senders,
    };
    let config = EngineConfig {
        memory: segments * SEGMENT,
        segment_size: SEGMENT,
        due_bytes: 2 * SEGMENT as u32,
        ahead_bytes: 4 * SEGMENT as u32,
    };
    let bell = std::sync::Arc::new(Bell::default());
    let (engine, io) = forebay_engine::new(config, bell.clone()).expect("a small slab");
    let outcomes = Arc::new(outcomes::Outcomes::default());
    let running = Arc::new(AtomicUsize::new(senders));
    let handles: Vec<_> = (0..senders)
        .map(|number| {
            let (engine, running, outcomes) = (engine.clone(), running.clone(), outcomes.clone());
            thread::spawn(move || {
                let accepted = sender::run(&engine, number as u64, records, &outcomes, happened);
                running.fetch_sub(1, Ordering::SeqCst);
                engine.nudge(); // as an application's request does
                accepted
            })
        })
        .collect();
    let mut io_thread = io_thread::IoThread::new(io, bell, outcomes.clone(), happened);
    io_thread.run(end, &running);
    let io_thread = if matches!(end, End::Drop(_)) {
        drop(io_thread); // while the senders run
        outcomes.end();
        None
    } else {
        Some(io_thread)
    };
    let sent: Vec<sender::Sent> = handles.into_iter().map(|handle| handle.join().expect("a sender")).collect();
    if let Some(io_thread) = io_thread {
        io_thread.verify(end, &sent);
    }
}

fn run(choice: Choice, happened: &'static Happened) {
    let schedules = explore(choice, move || scenario(happened));
    println!("{choice:?}: {happened:?}");
    if schedules < 1000 {
        return; // a replay; so few prove nothing
    }
    for (at, count) in happened.all().into_iter().enumerate() {
        assert!(count.load(std::sync::atomic::Ordering::Relaxed) > 0, "number {at} of {happened:?} never happened");
    }
}

#[test]
fn the_whole_engine_under_random_schedules() {
    static HAPPENED: Happened = Happened::new();
    run(Choice::Random, &HAPPENED);
}

#[test]
fn the_whole_engine_under_random_priorities() {
    static HAPPENED: Happened = Happened::new();
    run(Choice::Priorities(3), &HAPPENED);
}
