//! A lane's producer end: claim, write in place, commit or abort.
//!
//! One of the two files with pointer work (through [`SlabView`]).

use crate::engine::Shared;
use crate::order::{ABORT, FINAL_SEE, OBSERVE, PUBLISH};
use crate::position::Position;
use crate::segments::{Chain, NIL};
use crate::slab::{LINE, SlabView};
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicU64, fence, light_barrier, spin_loop};
use crate::{ClaimError, Grant, LaneId};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// How far ahead of a commit the lines of later records are asked for, in bytes: a sender of many lanes comes back to each one
/// too seldom for the processor to see a stream in it.
const AHEAD: u32 = 256;

/// In the I/O side's active set, or in the ready list on the way there.
pub(crate) const ACTIVE: u32 = 0;
/// The I/O side wants to take the open segment; whoever exchanges first wins.
pub(crate) const RETIRING: u32 = 1;
/// Holds no memory and is in no list; the next commit brings it back.
pub(crate) const RETIRED: u32 = 2;
/// No new claims; those under way may still commit.
pub(crate) const CLOSED: u32 = 3;
/// The I/O side is gone or going; a commit waits for its last word.
pub(crate) const DEAD: u32 = 4;
/// The last word (`final_position`) is there.
pub(crate) const DEAD_FINAL: u32 = 5;
/// Retired after its producer end was dropped: in no list, and never again.
pub(crate) const GONE: u32 = 6;

/// What both ends of a lane see: two cache lines.
pub(crate) struct LaneShared {
    producer: ProducerLine,
    io: IoLine,
    /// Link of the ready list; valid while listed.
    pub(crate) next_ready: AtomicU32,
    pub(crate) index: u32,
    pub(crate) tag: u64,
}

/// Written by the producer.
#[repr(align(64))]
struct ProducerLine {
    /// Where the claim in progress will end; equals `committed` while there is none.
    reserved: AtomicU64,
    /// Everything before this is published.
    committed: AtomicU64,
    /// First segment after a retirement; published with `committed`.
    first: AtomicU32,
    dropped: AtomicBool,
}

/// Written by the I/O side, seldom.
#[repr(align(64))]
struct IoLine {
    state: AtomicU32,
    /// How far the I/O side has taken; read by the producer once a segment.
    consumed: AtomicU64,
    /// The last word: records committed up to here were seen.
    final_position: AtomicU64,
}

impl LaneShared {
    pub(crate) fn new(index: u32, tag: u64) -> Self {
        LaneShared {
            producer: ProducerLine {
                reserved: AtomicU64::new(0),
                committed: AtomicU64::new(0),
                first: AtomicU32::new(NIL),
                dropped: AtomicBool::new(false),
            },
            io: IoLine {
                state: AtomicU32::new(RETIRED),
                consumed: AtomicU64::new(0),
                final_position: AtomicU64::new(0),
            },
            next_ready: AtomicU32::new(crate::ready::END),
            index,
            tag,
        }
    }

    /// P1: everything before the answer may be read.
    #[inline]
    pub(crate) fn observe(&self) -> Position {
        Position::from_raw(self.producer.committed.load(OBSERVE))
    }

    /// P2: where a claim in progress would end.
    pub(crate) fn reserved(&self) -> Position {
        Position::from_raw(self.producer.reserved.load(crate::order::RECLAIM_LOOK))
    }

    pub(crate) fn first(&self) -> u32 {
        self.producer.first.load(Relaxed)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.producer.dropped.load(Relaxed)
    }

    pub(crate) fn set_consumed(&self, position: Position) {
        self.io.consumed.store(position.raw(), Relaxed);
    }

    pub(crate) fn state(&self) -> u32 {
        self.io.state.load(FINAL_SEE)
    }

    /// Moves the state if it is `from`: exactly one end does. Relaxed: what the ends owe each other besides is ordered by the
    /// barriers of I5 and by P1, P2 and P5; no model can tell a stronger ordering from this one.
    pub(crate) fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        if cfg!(mutant = "lane_state_without_exchange") && self.state() == from {
            self.io.state.store(to, Relaxed);
            return Ok(from);
        }
        self.io.state.compare_exchange(from, to, Relaxed, Relaxed)
    }

    /// No claim may begin any more. Answers the state before.
    pub(crate) fn set_state(&self, to: u32) -> u32 {
        if cfg!(mutant = "close_without_exchange") {
            let before = self.state();
            self.io.state.store(to, Relaxed);
            return before;
        }
        self.io.state.swap(to, Relaxed)
    }

    /// P8: the I/O side's last word: commits up to `position` were seen, later ones were not.
    pub(crate) fn finish(&self, position: Position) {
        self.io.final_position.store(position.raw(), Relaxed);
        self.io.state.store(DEAD_FINAL, crate::order::FINAL_PUT);
    }
}

/// The producer end of one lane: the single producer, checked by the compiler (`&mut self`; `Send`, not `Sync`).
///
/// Records are claimed, written in place and committed; what is committed is visible to the I/O side as a whole.
/// Dropping a lane publishes nothing and takes nothing back: what was committed is still sent.
pub struct Lane {
    view: SlabView,
    /// Bytes left in the open segment. `room == 0` also means "no open segment".
    room: u32,
    /// Offset of the next byte in the open segment.
    offset: u32,
    /// The open segment, or NIL.
    segment: u32,
    /// Published so far; always in sync with `shared.committed`.
    position: Position,
    /// The last claim found the lane retired: its commit brings it back to life.
    revive: bool,
    window: i64,
    shared: Arc<LaneShared>,
    engine: Arc<Shared>,
    /// Keeps `Lane` from being `Sync`: two threads must not even look at one lane.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl Lane {
    pub(crate) fn new(shared: Arc<LaneShared>, engine: Arc<Shared>) -> Self {
        Lane {
            view: engine.slab.view(),
            room: 0,
            offset: 0,
            segment: NIL,
            position: Position::START,
            revive: false,
            window: 0,
            shared,
            engine,
            _not_sync: std::marker::PhantomData,
        }
    }

    /// The lane's number, as the I/O side knows it.
    pub fn id(&self) -> LaneId {
        LaneId(self.shared.index)
    }

    /// Records claimed from now on belong to `window`, an opaque tag that the I/O side sees with their bytes.
    /// A change of window begins a new segment.
    #[inline]
    pub fn set_window(&mut self, window: i64) {
        if window != self.window {
            self.window = window;
            self.room = 0;
        }
    }

    /// The tag that claims now carry.
    #[inline]
    pub fn window(&self) -> i64 {
        self.window
    }

    /// Claims `len` bytes, the first `head` of which will not straddle two segments (`head <= len` and
    /// `head <= segment_size`). Never blocks.
    ///
    /// # Errors
    /// [`ClaimError::Full`] with the number of segments to wait for; [`ClaimError::NeverFits`];
    /// [`ClaimError::Closed`]. The lane is as it was before.
    #[inline]
    pub fn claim(&mut self, len: usize, head: usize) -> Result<Claim<'_>, ClaimError> {
        let span = self.prepare(len, head)?;
        Ok(Claim { span, lane: self })
    }

    /// As [`Lane::claim`], and if that is refused, asks `supply` for the segments: it may wait for them, or say no.
    ///
    /// # Errors
    /// Those of `supply`, and those of [`Lane::claim`] after a supply.
    #[inline]
    pub fn claim_or<E: From<ClaimError>>(
        &mut self,
        len: usize,
        head: usize,
        supply: impl FnOnce(ClaimError) -> Result<Grant, E>,
    ) -> Result<Claim<'_>, E> {
        let span = match self.prepare(len, head) {
            Ok(span) => span,
            Err(refused) => self.prepare_slow(len, head, Some(supply(refused)?))?,
        };
        Ok(Claim { span, lane: self })
    }

    /// As [`Lane::claim`], if the open segment has room for all of it; otherwise None, and whoever asks goes on with
    /// [`Lane::claim`]. For hot paths: small enough to be inlined, and without a way that needs memory to return.
    #[inline(always)]
    pub fn claim_here(&mut self, len: usize) -> Option<Claim<'_>> {
        let span = self.prepare_here(len)?;
        Some(Claim { span, lane: self })
    }

    #[inline]
    fn prepare(&mut self, len: usize, head: usize) -> Result<Span, ClaimError> {
        match self.prepare_here(len) {
            Some(span) => Ok(span),
            None => self.prepare_slow(len, head, None),
        }
    }

    #[inline(always)]
    fn prepare_here(&mut self, len: usize) -> Option<Span> {
        if len.wrapping_sub(1) < self.room as usize {
            let len = len as u32;
            // The claim is announced before it writes (I5): either the I/O side sees `reserved` move, or we see
            // that it wants the segment.
            let end = self.position.advance(len);
            self.shared.producer.reserved.store(end.raw(), Relaxed);
            if !cfg!(mutant = "claim_barrier_missing") {
                light_barrier();
            }
            if self.shared.io.state.load(Relaxed) == ACTIVE {
                let (segment, offset) = (self.segment, self.offset);
                return Some(Span {
                    end: Place { segment, offset: offset + len, position: end },
                    segment,
                    offset,
                    limit: offset + len,
                    left: len as usize,
                    taken: Chain::EMPTY,
                });
            }
            self.unreserve();
        }
        None
    }

    /// As [`Lane::claim`], with segments that were waited for; those not needed go back.
    ///
    /// # Errors
    /// As [`Lane::claim`]; the grant is given back in every case.
    pub fn claim_with(&mut self, grant: Grant, len: usize, head: usize) -> Result<Claim<'_>, ClaimError> {
        let span = self.prepare_slow(len, head, Some(grant))?;
        Ok(Claim { span, lane: self })
    }

    /// Takes part of the claim's way that is rare: a new segment, a lane that was retired, the end of the engine.
    #[cold]
    #[inline(never)]
    fn prepare_slow(&mut self, len: usize, head: usize, grant: Option<Grant>) -> Result<Span, ClaimError> {
        let size = self.view.segment_size();
        assert!(head <= len && head <= size as usize, "the head of a claim must fit in it and in a segment");
        let most = self.engine.segments_for(len);
        if len == 0 || most as usize > self.engine.total() {
            return Err(ClaimError::NeverFits { limit: self.engine.largest_claim() });
        }
        // Any value but `committed` says "a claim is in progress"; the true end follows below.
        self.shared.producer.reserved.store(self.position.raw() + 1, Relaxed);
        if !cfg!(mutant = "slow_claim_barrier_missing") {
            light_barrier();
        }
        if let Err(error) = self.settle_state() {
            self.unreserve();
            return Err(error);
        }

        let shift = self.view.shift();
        let begins_here = self.segment != NIL && self.room as usize >= head.max(1);
        let here = if begins_here { len.min(self.room as usize) } else { 0 };
        let wanted = self.engine.segments_for(len - here);
        let taken = match self.engine.supply(wanted, most, grant) {
            Ok(chain) => chain,
            Err(error) => {
                self.unreserve();
                return Err(error);
            }
        };

        // Link and tag what was taken. All of it becomes visible with the commit (P1), or is forgotten with the abort.
        let table = &self.engine.table;
        let ordinal = self.position.ordinal(shift);
        let mut last = taken.first;
        for i in 0..taken.count {
            table.set_window(last, self.window);
            // Every segment of the chain but the last is written to its end.
            table.set_end(last, size);
            if i + 1 < taken.count {
                last = table.next(last);
            }
        }
        if taken.count > 0 {
            if self.segment == NIL {
                self.shared.producer.first.store(taken.first, Relaxed);
            } else {
                table.set_end(self.segment, self.offset + here as u32);
                if !cfg!(mutant = "chain_is_not_linked") {
                    table.set_next(self.segment, taken.first);
                }
            }
        }
        let end = if taken.count == 0 {
            Place {
                segment: self.segment,
                offset: self.offset + here as u32,
                position: self.position.advance(here as u32),
            }
        } else {
            let in_last = (len - here) as u32 - (taken.count - 1) * size;
            Place {
                segment: last,
                offset: in_last,
                position: Position::new(ordinal + u64::from(taken.count), in_last, shift),
            }
        };
        self.shared.producer.reserved.store(end.position.raw(), Relaxed);
        if taken.count > 0 {
            self.view.prefetch_write(taken.first, 0, AHEAD + 2 * LINE as u32);
            self.engine.look_at_due(self.consumed().distance(self.position, shift));
        }
        let (segment, offset, limit) = if begins_here {
            (self.segment, self.offset, self.offset + here as u32)
        } else {
            (taken.first, 0, size.min(len as u32))
        };
        Ok(Span { end, segment, offset, limit, left: len, taken })
    }

    /// Brings the lane into a state in which a claim may go on, `reserved` being announced already.
    fn settle_state(&mut self) -> Result<(), ClaimError> {
        loop {
            match self.shared.state() {
                ACTIVE => return Ok(()),
                RETIRING => {
                    if self.shared.exchange(RETIRING, ACTIVE).is_ok() {
                        return Ok(());
                    }
                }
                RETIRED => {
                    // The I/O side took the open segment away. Back to life with the commit.
                    self.segment = NIL;
                    self.room = 0;
                    self.offset = 0;
                    self.revive = true;
                    return Ok(());
                }
                _ => return Err(ClaimError::Closed),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn unreserve(&mut self) {
        self.shared.producer.reserved.store(self.position.raw(), ABORT); // P2
        if !cfg!(mutant = "abort_barrier_missing") {
            light_barrier(); // meets the heavy barrier of the close: it sees no claim, or we see that it waits for this one
        }
        if self.shared.state() == CLOSED && !cfg!(mutant = "abort_is_silent_at_the_close") {
            self.engine.doorbell.always();
        }
    }

    fn consumed(&self) -> Position {
        Position::from_raw(self.shared.io.consumed.load(Relaxed))
    }

    /// The rare rest of a commit: the lane comes back to life, or the engine has ended meanwhile.
    #[cold]
    #[inline(never)]
    fn commit_slow(&mut self) -> Result<(), ClaimError> {
        loop {
            match self.shared.state() {
                // RETIRING: the I/O side will see the commit and let go.
                ACTIVE | RETIRING => return Ok(()),
                // Retired since the claim began: the record was taken before that, and the open segment is gone. Brought back
                // to life here, the lane would go on writing into it.
                RETIRED if !self.revive && !cfg!(mutant = "commit_revives_a_drained_lane") => return Ok(()),
                RETIRED => {
                    if self.shared.exchange(RETIRED, ACTIVE).is_ok() {
                        self.revive = false;
                        self.engine.ready.push(&self.shared);
                        self.engine.doorbell.lane_ready();
                        return Ok(());
                    }
                }
                // Closing: claims under way at that moment are still drained.
                CLOSED => {
                    // Whatever the I/O thread is doing: between its look at this claim and its sleep no other word says so.
                    if !cfg!(mutant = "commit_is_silent_at_the_close") {
                        self.engine.doorbell.always();
                    }
                    return Ok(());
                }
                DEAD => spin_loop_once(),
                _ => {
                    let last = Position::from_raw(self.shared.io.final_position.load(Relaxed));
                    return if self.position <= last || cfg!(mutant = "last_word_accepts_everything") {
                        Ok(())
                    } else {
                        Err(ClaimError::Closed)
                    };
                }
            }
        }
    }
}

/// Waits for the I/O side, which is between two instructions.
fn spin_loop_once() {
    spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.producer.dropped.store(true, Relaxed);
        if !cfg!(mutant = "drop_fence_missing") {
            fence(SeqCst); // meets the heavy barrier of a retirement: it sees `dropped`, or we see RETIRING or RETIRED
        }
        loop {
            match self.shared.state() {
                RETIRED => {
                    if self.shared.exchange(RETIRED, ACTIVE).is_ok() {
                        self.engine.ready.push(&self.shared);
                        self.engine.doorbell.lane_ready();
                        return;
                    }
                }
                RETIRING => {
                    if self.shared.exchange(RETIRING, ACTIVE).is_ok() {
                        return;
                    }
                }
                // ACTIVE: the I/O side finds `dropped` when it next retires the lane. Closed: at its end.
                _ => return,
            }
        }
    }
}

/// Where a claim ends.
#[derive(Clone, Copy)]
struct Place {
    segment: u32,
    offset: u32,
    position: Position,
}

/// What a claim covers.
#[derive(Clone, Copy)]
struct Span {
    /// Where the next byte goes.
    segment: u32,
    offset: u32,
    /// End of the claim in this segment.
    limit: u32,
    /// Bytes not written yet.
    left: usize,
    /// Segments taken for this claim.
    taken: Chain,
    end: Place,
}

/// Claimed bytes, to be written from first to last and committed. Dropped without commit, it leaves no trace.
#[must_use = "a claim that is not committed is aborted"]
pub struct Claim<'a> {
    span: Span,
    lane: &'a mut Lane,
}

impl Claim<'_> {
    /// Bytes still to be written.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.span.left
    }

    /// The rest of the claim that lies in the present segment, to be written in place; [`Claim::advance`] moves on.
    /// For a claim that fits its segment this is all of it.
    #[inline]
    pub fn chunk(&mut self) -> &mut [u8] {
        let len = self.span.limit - self.span.offset;
        self.lane.engine.slab.witness_write(self.span.segment, self.span.offset, len);
        // SAFETY: I2: bytes from the committed position to the claim's end belong to the lane's one producer, whose
        // `&mut` this claim holds.
        unsafe { self.lane.view.slice_mut(self.span.segment, self.span.offset, len) }
    }

    /// Says that the next `count` bytes of the present [`Claim::chunk`] are written.
    ///
    /// # Panics
    /// If `count` is more than that chunk has.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= (self.span.limit - self.span.offset) as usize, "a claim is advanced within its chunk");
        self.span.offset += count as u32;
        self.span.left -= count;
        if self.span.offset == self.span.limit && self.span.left > 0 {
            self.span.segment = if self.span.segment == self.lane.segment {
                self.span.taken.first
            } else {
                self.lane.engine.table.next(self.span.segment)
            };
            self.span.offset = 0;
            self.span.limit = self.lane.view.segment_size().min(self.span.left as u32);
        }
    }

    /// Writes the next bytes, across segments where need be.
    ///
    /// # Panics
    /// If `bytes` is longer than what remains of the claim.
    pub fn put(&mut self, mut bytes: &[u8]) {
        assert!(bytes.len() <= self.span.left, "a claim holds no more than was claimed");
        while !bytes.is_empty() {
            let chunk = self.chunk();
            let n = chunk.len().min(bytes.len());
            let (now, later) = bytes.split_at(n);
            chunk[..n].copy_from_slice(now);
            self.advance(n);
            bytes = later;
        }
    }

    /// Publishes the claim as one record: the I/O side sees all of it or nothing. All bytes must have been written
    /// (bytes never written hold what an earlier record left there).
    ///
    /// # Errors
    /// [`ClaimError::Closed`] if the I/O side ended while the claim was held; nothing was published then.
    #[inline]
    pub fn commit(self) -> Result<(), ClaimError> {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped after; reading out its `lane` reference ends the claim's borrow.
        let lane: &mut Lane = unsafe { std::ptr::read(&raw const this.lane) };
        let end = this.span.end;
        lane.segment = end.segment;
        lane.offset = end.offset;
        lane.room = lane.view.segment_size() - end.offset;
        lane.position = end.position;
        // P1. `reserved` has this value already: no claim is in progress any more.
        lane.shared.producer.committed.store(end.position.raw(), PUBLISH);
        lane.view.prefetch_write(end.segment, end.offset + AHEAD, 2 * LINE as u32);
        if !cfg!(mutant = "commit_barrier_missing") {
            light_barrier();
        }
        if lane.shared.io.state.load(Relaxed) == ACTIVE { Ok(()) } else { lane.commit_slow() }
    }
}

impl Drop for Claim<'_> {
    /// Aborts: no hole stays, and segments taken for the claim go back.
    fn drop(&mut self) {
        if self.span.taken.count > 0 {
            self.lane.engine.give_back(self.span.taken);
        }
        self.lane.unreserve();
    }
}
