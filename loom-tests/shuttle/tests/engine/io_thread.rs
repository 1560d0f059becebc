//! The I/O thread: turns as a driver makes them, with answers in any order, sleeps, and the end.

use crate::outcomes::Outcomes;
use crate::sender::{Sent, words};
use crate::{Bell, End, Happened, WORD, count};
use forebay_engine::{IoSide, LaneId, Run, Sleep};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;
use std::collections::BTreeMap;

struct Held {
    lane: LaneId,
    tag: u64,
    run: Run,
    bytes: Vec<u8>,
}

pub(crate) struct IoThread {
    io: IoSide,
    bell: std::sync::Arc<Bell>,
    outcomes: Arc<Outcomes>,
    happened: &'static Happened,
    /// Lanes to watch.
    active: Vec<LaneId>,
    held: Vec<Held>,
    /// Reported gone, with runs still held.
    gone: Vec<LaneId>,
    /// Every byte taken, by lane tag, in order.
    seen: BTreeMap<u64, Vec<u8>>,
}

impl IoThread {
    pub(crate) fn new(
        io: IoSide,
        bell: std::sync::Arc<Bell>,
        outcomes: Arc<Outcomes>,
        happened: &'static Happened,
    ) -> Self {
        let (active, held, gone) = (Vec::new(), Vec::new(), Vec::new());
        IoThread { io, bell, outcomes, happened, active, held, gone, seen: BTreeMap::new() }
    }

    /// Turns until the end, however it comes.
    pub(crate) fn run(&mut self, end: End, running: &AtomicUsize) {
        for turn in 0.. {
            match end {
                End::Close(at) if at == turn => {
                    count(&self.happened.closes);
                    let mut pending = Vec::new();
                    self.io.close(&mut pending);
                    self.activate(&pending);
                }
                End::Finish(at) if at == turn => {
                    let mut pending = Vec::new();
                    self.io.finish(&mut pending);
                    self.activate(&pending);
                }
                End::Drop(at) if at == turn => return,
                _ => {}
            }
            self.turn();
            let none_left = running.load(Ordering::SeqCst) == 0;
            if none_left {
                // What they did last came before that.
                self.turn();
                while self.take(usize::MAX) {}
                self.answer(|| true);
                self.retire();
                if self.active.is_empty() {
                    return;
                }
            } else {
                self.rest();
            }
        }
    }

    fn turn(&mut self) {
        let mut random = thread_rng();
        self.io.awake();
        let mut ready = Vec::new();
        self.io.collect_ready(&mut ready);
        self.activate(&ready);
        let most = if random.gen_range(0..3) == 0 { random.gen_range(1..64) } else { usize::MAX };
        self.take(most);
        let pressure = self.io.waiting_senders() > 0;
        self.answer(|| thread_rng().gen_range(0..3) > 0);
        if pressure || random.gen_range(0..2) == 0 {
            self.retire();
        }
        self.io.settle();
        self.audit();
    }

    /// No segment has two owners, whatever the senders do meanwhile.
    fn audit(&mut self) {
        let account = self.io.account();
        let touched: usize = self.held.iter().map(|held| self.io.segments_of(&held.run)).sum();
        assert_eq!(account.runs, touched, "{account:?}");
        assert!(account.open <= self.active.len(), "{account:?}");
    }

    fn activate(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            assert!(!self.active.contains(lane), "a lane is listed once until it is retired");
            self.active.push(*lane);
        }
    }

    /// Takes up to so many bytes of each lane. True if there were any.
    fn take(&mut self, most: usize) -> bool {
        let mut any = false;
        for &lane in &self.active {
            self.io.observe(lane);
            let (mut runs, mut taken, mut left) = (Vec::new(), Vec::new(), most);
            self.io.take(lane, &mut runs, |slice| {
                let accepted = slice.len().min(left);
                left -= accepted;
                taken.extend_from_slice(&slice[..accepted]);
                accepted
            });
            any |= !taken.is_empty();
            let tag = self.io.lane_tag(lane);
            self.seen.entry(tag).or_default().extend_from_slice(&taken);
            let mut rest = &taken[..];
            for run in runs {
                let (bytes, after) = rest.split_at(run.len());
                rest = after;
                self.held.push(Held { lane, tag, run, bytes: bytes.to_vec() });
            }
        }
        any
    }

    /// Some of the runs are answered, in any order; their bytes are still what they were.
    fn answer(&mut self, mut answered: impl FnMut() -> bool) {
        let mut at = 0;
        while at < self.held.len() {
            if !answered() {
                at += 1;
                continue;
            }
            let Held { tag, run, bytes, .. } = self.held.swap_remove(at);
            assert_eq!(self.io.bytes(&run), bytes, "memory was reused before it was released");
            self.io.release(run);
            self.outcomes.answer(tag, bytes.len());
        }
        self.forget();
    }

    fn retire(&mut self) {
        let before = self.active.len();
        self.io.retire(&mut self.active, &mut self.gone);
        for _ in self.active.len()..before {
            count(&self.happened.retired);
        }
        self.forget();
    }

    fn forget(&mut self) {
        let Self { io, gone, held, active, happened, .. } = self;
        gone.retain(|lane| {
            assert!(!active.contains(lane), "gone and active");
            if held.iter().any(|held| held.lane == *lane) {
                return true;
            }
            count(&happened.gone);
            io.forget(*lane);
            false
        });
    }

    /// Between two turns: runs in flight are answered by themselves, and naps end; nothing ends a deep sleep but the bell.
    fn rest(&mut self) {
        if !self.held.is_empty() {
            if self.io.prepare_sleep(Sleep::Blocked) {
                thread::yield_now();
            }
        } else if self.io.is_closed() {
            self.retire();
            if self.active.is_empty() {
                self.outcomes.end();
            }
            // What is still active without any bytes has a claim in progress, and its end rings.
            let Self { active, io, .. } = self;
            if active.iter().all(|lane| io.observe(*lane) == 0) && io.prepare_sleep(Sleep::Deep) {
                self.bell.wait();
            }
        } else if self.active.is_empty() {
            if self.io.prepare_sleep(Sleep::Deep) {
                count(&self.happened.deep_sleeps);
                self.bell.wait();
            }
        } else if self.io.prepare_sleep(Sleep::Nap) {
            thread::yield_now();
        }
    }

    /// After the end: what arrived is what was accepted, and every segment is free.
    pub(crate) fn verify(mut self, end: End, sent: &[Sent]) {
        for (tag, records) in sent.iter().flat_map(|sent| &sent.accepted) {
            let expected: Vec<u8> = records
                .iter()
                .flat_map(|(number, count)| words(*tag, *number, *count))
                .flat_map(u64::to_le_bytes)
                .collect();
            let seen = self.seen.remove(tag).unwrap_or_default();
            assert_eq!(seen.len() % WORD, 0);
            assert_eq!(seen, expected, "lane {tag}: {records:?}");
        }
        assert!(self.seen.values().all(Vec::is_empty), "nothing arrives that was not accepted");
        self.io.settle();
        let account = self.io.account();
        // What a claim held at the last word, or asked for then, goes with the engine: nobody takes it back any more. A close waits.
        let left = if let End::Finish(_) = end { account.with_senders + account.left } else { 0 };
        assert_eq!(account.free + left, self.io.total_segments(), "{account:?}");
        assert_eq!(self.io.waiting_senders(), 0);
    }
}
