//! The I/O side's book of segments: which it holds, which are free, and who waits for some.

use crate::blocks::Blocks;
use crate::engine::Shared;
use crate::mailbox::Mailbox;
use crate::rounds::Rounds;
use crate::run::{Run, last_segment, place};
use crate::segments::Chain;
use crate::sync::Arc;
use std::collections::VecDeque;
/// What the hot ring holds at most, a few times a common L2 (DESIGN.md, "Memory").
const HOT_BYTES: usize = 4 << 20;
/// The hot ring is put in order only while the reserve holds so much of all segments, one in so many: for a moment senders find none in the
/// hot one.
const RESERVE_PART: usize = 4;
/// A sender that has waited is forgotten when senders have taken so many slabs since.
const CALM_AFTER: u64 = 16;
/// While senders come to wait for memory, at most so much of the slab waits for its neighbours: one part in so many.
const BLOCKS_PART: usize = 8;
/// With fewer free segments in the rings than this nothing waits for its neighbours until there are so many. What senders take in a
/// turn of the I/O thread would be more; but a saturated producer comes to the end of the rings in each turn, and nothing would ever
/// wait.
const ENOUGH: usize = 32;

pub(crate) struct Memory {
    /// Which slab our runs are of.
    slab: u32,
    shift: u32,
    /// Per segment: runs not released, plus one while a lane is being read in it.
    holds: Box<[u32]>,
    held: usize,
    /// Open segments of claims that are still held after the last word: the claims', until the engine goes.
    left: Vec<u32>,
    /// Freed since the last settle.
    freed: Vec<u32>,
    /// Freed, and not given out before their neighbours.
    blocks: Blocks,
    /// Senders come to wait for memory until they have taken so many segments; 0: they do not.
    scarce_until: u64,
    /// Set aside for the oldest waiter.
    gathered: Vec<u32>,
    /// Waiting senders, oldest first.
    waiters: VecDeque<Arc<Mailbox>>,
    hot_target: usize,
    /// The hot ring's head when it was last looked at.
    hot_head: u64,
    rounds: Rounds,
}

impl Memory {
    pub(crate) fn new(shared: &Shared) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT_SLAB: AtomicU32 = AtomicU32::new(0);
        let total = shared.total();
        Memory {
            slab: NEXT_SLAB.fetch_add(1, Ordering::Relaxed),
            shift: shared.slab.view().shift(),
            holds: vec![0; total].into_boxed_slice(),
            held: 0,
            left: Vec::new(),
            freed: Vec::with_capacity(total),
            blocks: Blocks::new(total),
            scarce_until: 0,
            gathered: Vec::with_capacity(total),
            waiters: VecDeque::with_capacity(64),
            hot_target: (HOT_BYTES / shared.slab.view().segment_size() as usize).max(1),
            hot_head: 0,
            rounds: Rounds::default(),
        }
    }

    pub(crate) fn slab(&self) -> u32 {
        self.slab
    }

    #[inline]
    pub(crate) fn check(&self, run: &Run) {
        assert!(run.slab == self.slab, "a run is used with the engine that it came from");
    }

    /// A lane begins to be read in this segment.
    pub(crate) fn hold(&mut self, segment: u32) {
        debug_assert!(self.holds[segment as usize] == 0, "a segment has one owner at a time");
        self.hold_more(segment);
    }

    /// One more holds this segment: a run, or the reader of a lane, which a run may have come before.
    #[inline]
    pub(crate) fn hold_more(&mut self, segment: u32) {
        let holds = &mut self.holds[segment as usize];
        self.held += usize::from(*holds == 0);
        *holds += 1;
    }

    /// A lane leaves this segment, or one of its runs is released.
    #[inline]
    pub(crate) fn let_go(&mut self, segment: u32) {
        let holds = &mut self.holds[segment as usize];
        assert!(*holds > 0, "a segment is let go once by each that holds it");
        *holds -= 1;
        if *holds == 0 || mutant!("free_while_held") {
            if self.left.contains(&segment) {
                return;
            }
            self.held -= 1;
            self.freed.push(segment);
        }
    }

    /// A lane leaves this segment to a claim that outlives it: it is never free again, whatever else holds it.
    pub(crate) fn leave(&mut self, segment: u32) {
        self.holds[segment as usize] -= 1;
        self.held -= 1;
        self.left.push(segment);
    }

    /// The segments that claims were left with.
    pub(crate) fn left(&self) -> &[u32] {
        &self.left
    }

    /// A lane gives back a segment that it has not begun.
    pub(crate) fn take_back(&mut self, segment: u32) {
        debug_assert!(self.holds[segment as usize] == 0, "a segment that was not begun is not read");
        self.freed.push(segment);
    }

    /// Makes a run of bytes just taken, or lengthens the last one: each of the segments that it touches is held once more.
    #[inline]
    pub(crate) fn mint(&mut self, segment: u32, start: u32, len: u32, out: &mut Vec<Run>) {
        let mut first = segment;
        match out.last_mut() {
            Some(last)
                if last.slab == self.slab
                    && place(last.segment, last.start, self.shift) + u64::from(last.len)
                        == place(segment, start, self.shift)
                    && last.len.checked_add(len).is_some() =>
            {
                if start > 0 {
                    first += 1; // the last run holds this one already
                }
                last.len += len;
            }
            _ => out.push(Run { slab: self.slab, segment, start, len }),
        }
        for segment in first..=last_segment(segment, start, len, self.shift) {
            self.hold_more(segment);
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the run is used up: whoever gives it owns its bytes no more")]
    pub(crate) fn split(&mut self, run: Run, at: usize) -> (Run, Run) {
        assert!(at < run.len() && at > 0, "a run is divided inside");
        let cut = u64::from(run.start) + at as u64;
        let (segment, start) = (run.segment + (cut >> self.shift) as u32, (cut & ((1 << self.shift) - 1)) as u32);
        if start > 0 {
            self.hold_more(segment);
        }
        let at = at as u32;
        let second = Run { slab: run.slab, segment, start, len: run.len - at };
        (Run { len: at, ..run }, second)
    }

    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "the run is used up: its bytes are nobody's after this")]
    pub(crate) fn release(&mut self, run: Run) {
        for segment in run.segment..=last_segment(run.segment, run.start, run.len, self.shift) {
            self.let_go(segment);
        }
    }

    /// How many segments a run touches.
    pub(crate) fn touches(&self, run: &Run) -> usize {
        (last_segment(run.segment, run.start, run.len, self.shift) - run.segment + 1) as usize
    }

    /// Whole segments as runs, all `count` or none. What was freed since the last settle is nobody's yet; the rings are the
    /// waiting senders' while there are any.
    pub(crate) fn lease(&mut self, count: usize, segment_size: u32, shared: &Shared, out: &mut Vec<Run>) -> bool {
        if shared.inbox.waiting() == 0 && self.waiters.is_empty() {
            self.blocks.take(count.saturating_sub(self.freed.len()), &mut self.freed);
            for ring in [&shared.hot, &shared.reserve] {
                ring.drain(count.saturating_sub(self.freed.len()), &mut self.freed);
            }
        }
        let Some(from) = self.freed.len().checked_sub(count) else { return false };
        for _ in from..self.freed.len() {
            let Some(segment) = self.freed.pop() else { break };
            self.hold(segment);
            out.push(Run { slab: self.slab, segment, start: 0, len: segment_size });
        }
        true
    }

    pub(crate) fn collect_returns(&mut self, shared: &Shared) {
        shared.returns.take_all(&shared.table, &mut self.freed);
    }

    /// Serves waiters with what is free, oldest first, each whole or not at all; the rest goes to the free rings, for so many lanes.
    pub(crate) fn settle(&mut self, shared: &Shared, lanes: usize) {
        if shared.inbox.waiting() > 0 || !self.waiters.is_empty() {
            self.scarce_until = shared.taken() + CALM_AFTER * self.holds.len() as u64;
            self.serve(shared);
        }
        if self.waiters.is_empty() {
            self.freed.append(&mut self.gathered);
        }
        self.give_out(shared, lanes);
        if shared.kept() != self.blocks.waiting() {
            shared.set_kept(self.blocks.waiting());
        }
    }

    /// What was freed goes to the free rings, in blocks of as many segments as so many lanes take at a time.
    fn give_out(&mut self, shared: &Shared, lanes: usize) {
        if self.freed.is_empty() && self.blocks.waiting() == 0 {
            return;
        }
        if self.scarce_until > 0 && self.scarce_until <= shared.taken() {
            self.scarce_until = 0;
        }
        let most = if self.scarce_until > 0 { self.holds.len() / BLOCKS_PART } else { 0 };
        let block = if most > 0 { shared.pace.block(lanes, most) } else { 1 };
        if block != shared.block() {
            shared.set_block(block);
            self.blocks.resize(block, &mut self.freed);
        }
        if self.waiters.is_empty()
            && self.rounds.is_over(self.freed.len(), || shared.hot.len())
            && shared.reserve.len() >= self.holds.len() / RESERVE_PART
        {
            shared.hot.drain(usize::MAX, &mut self.freed);
        }
        self.blocks.pass(&mut self.freed);
        let too_many = self.blocks.waiting().saturating_sub(most);
        self.blocks.take(too_many, &mut self.freed);
        self.blocks.take(self.missing(shared), &mut self.freed);
        let room = shared.hot.room(self.hot_target, self.freed.len(), &mut self.hot_head);
        let (hot, rest) = self.freed.split_at(room);
        shared.hot.put(hot);
        shared.reserve.put(rest);
        self.freed.clear();
    }

    /// How many of those that wait for their neighbours are wanted in the rings now.
    fn missing(&self, shared: &Shared) -> usize {
        let known = self.freed.len();
        if self.blocks.waiting() == 0 || known >= ENOUGH {
            return 0;
        }
        ENOUGH.saturating_sub(known + shared.hot.len() + shared.reserve.len())
    }

    fn serve(&mut self, shared: &Shared) {
        self.collect_returns(shared);
        shared.inbox.pick_up(&mut self.waiters);
        shared.inbox.thin_out(&mut self.waiters);
        loop {
            let next = if mutant!("waiters_served_last_first") { self.waiters.back() } else { self.waiters.front() };
            let Some(waiter) = next.cloned() else { return };
            if waiter.is_waiting() {
                let need = waiter.need() as usize;
                self.blocks.take(need.saturating_sub(self.gathered.len()), &mut self.gathered);
                while self.gathered.len() < need {
                    let Some(segment) = self.freed.pop() else { break };
                    self.gathered.push(segment);
                }
                for ring in [&shared.hot, &shared.reserve] {
                    let missing = need.saturating_sub(self.gathered.len());
                    ring.drain(missing, &mut self.gathered);
                }
                if self.gathered.len() < need {
                    return; // what is gathered stays his: a large record is not starved by small ones
                }
                let chain = self.link(need, shared);
                if waiter.grant(chain) || mutant!("a_refused_grant_leaks") {
                    self.gathered.truncate(self.gathered.len() - need);
                    shared.inbox.leave();
                }
                // Not granted: he gave up first, and the segments are the next one's.
            }
            if mutant!("waiters_served_last_first") {
                self.waiters.pop_back()
            } else {
                self.waiters.pop_front()
            };
        }
    }

    /// Links the last `need` gathered segments.
    fn link(&self, need: usize, shared: &Shared) -> Chain {
        let chosen = &self.gathered[self.gathered.len() - need..];
        for pair in chosen.windows(2) {
            shared.table.set_next(pair[0], pair[1]);
        }
        Chain { first: chosen[0], count: need as u32 }
    }

    /// Whether a sender came for memory, or gave some back, or stopped waiting for what is set aside, since the last settle.
    pub(crate) fn has_new_work(&mut self, shared: &Shared) -> bool {
        // Also with nobody waiting: a sender that only tries never rings, and would find nothing free for ever.
        if self.missing(shared) > 0
            || (!shared.returns.is_empty() && !mutant!("returned_memory_is_slept_on"))
            || (self.waiters.front().is_some_and(|oldest| !oldest.is_waiting())
                && !mutant!("memory_set_aside_is_slept_on"))
        {
            return true;
        }
        if shared.inbox.waiting() == 0 || mutant!("a_wait_is_slept_on") {
            return false;
        }
        let known = self.waiters.len();
        shared.inbox.pick_up(&mut self.waiters);
        self.waiters.len() > known
    }

    pub(crate) fn close(&mut self, shared: &Shared) {
        shared.inbox.close();
        shared.inbox.pick_up(&mut self.waiters);
        for waiter in self.waiters.drain(..) {
            if waiter.close() {
                shared.inbox.leave();
            }
        }
    }

    pub(crate) fn free(&self, shared: &Shared) -> usize {
        shared.hot.len() + shared.reserve.len() + self.freed.len() + self.blocks.waiting() + self.gathered.len()
    }

    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Who holds this segment: runs not released, and a lane's reader.
    pub(crate) fn holds(&self, segment: u32) -> u32 {
        self.holds[segment as usize]
    }

    /// Visits what is freed and not in the rings.
    pub(crate) fn each_freed(&self, mut visit: impl FnMut(u32)) {
        self.freed.iter().copied().for_each(&mut visit);
        self.blocks.each(visit);
    }

    /// Visits what is set aside for the oldest waiter.
    pub(crate) fn each_set_aside(&self, visit: impl FnMut(u32)) {
        self.gathered.iter().copied().for_each(visit);
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use crate::mailbox::GIVEN_UP;
    use crate::{Engine, EngineConfig, Ring};

    struct Silent;

    impl Ring for Silent {
        fn ring(&self) {}
    }

    /// Four segments, all of them held.
    fn full() -> (Arc<Shared>, Memory, Engine, Vec<Run>) {
        let config = EngineConfig { memory: 8_192, segment_size: 2_048, due_bytes: 2_048, ahead_bytes: 0 };
        let shared = Arc::new(Shared::new(&config, std::sync::Arc::new(Silent)).expect("memory"));
        let (mut memory, engine, mut held) = (Memory::new(&shared), Engine::new(shared.clone()), Vec::new());
        assert!(memory.lease(4, 2_048, &shared, &mut held), "all of it");
        (shared, memory, engine, held)
    }

    /// Tasks that try without patience, again and again.
    #[test]
    fn those_who_gave_up_do_not_gather_where_nobody_waits() {
        let (shared, mut memory, engine, held) = full();
        for _ in 0..1_000 {
            let mut other = engine.producer_end();
            other.begin_wait(1).expect("open");
            assert!(other.cancel_wait().is_none(), "there is none");
            memory.settle(&shared, 1);
            let gathered = shared.inbox.not_picked_up() + memory.waiters.len();
            assert!(gathered <= GIVEN_UP + 3, "{gathered} stand in line");
        }
        for run in held {
            memory.release(run);
        }
    }

    /// The same while somebody waits before them.
    #[test]
    fn those_who_gave_up_do_not_gather_behind_one_who_waits() {
        let (shared, mut memory, engine, held) = full();
        let (mut first, mut last) = (engine.producer_end(), engine.producer_end());
        first.begin_wait(1).expect("open");
        for _ in 0..1_000 {
            let mut other = engine.producer_end();
            other.begin_wait(1).expect("open");
            assert!(other.cancel_wait().is_none(), "there is none");
            memory.settle(&shared, 1);
            assert!(memory.waiters.len() <= GIVEN_UP + 3, "{} stand in line", memory.waiters.len());
        }
        last.begin_wait(1).expect("open");
        for run in held {
            memory.release(run);
        }
        memory.settle(&shared, 1);
        assert!(first.poll_wait().expect("open").is_some() && last.poll_wait().expect("open").is_some());
        assert_eq!(memory.waiters.len(), 0);
    }
}
