//! A lane's producer end: claim, write in place, commit or abort.
//!
//! One of the two files with pointer work (through [`SlabView`]).

use crate::engine::Shared;
use crate::lane_shared::{ACTIVE, CLOSED, DEAD, LaneShared, RETIRED, RETIRING};
use crate::order::{ABORT, PUBLISH};
use crate::position::Position;
use crate::segments::{Chain, NIL};
use crate::slab::{LINE, Origin, SlabView};
use crate::sync::{Arc, fence, light_barrier, spin_loop};
use crate::{ClaimError, Grant, LaneId};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// How far ahead of a commit the lines of later records are asked for, in bytes: a sender of many lanes comes back to each one
/// too seldom for the processor to see a stream in it.
const AHEAD: u64 = 512;

/// The producer end of one lane: the single producer, checked by the compiler (`&mut self`; `Send`, not `Sync`).
///
/// Records are claimed, written in place and committed; what is committed is visible to the I/O side as a whole.
/// Dropping a lane publishes nothing and takes nothing back: what was committed is still sent.
///
/// A send changes one word of it, `position`: stores that wait for a far core's cache lines are few at a time, and each that is spared
/// is a byte of a record that does not wait (`benches/rivals`).
#[repr(C)] // What a send touches is 48 bytes, so that it and its owner's own notes can share a cache line.
pub struct Lane {
    /// Published so far; always in sync with `shared.committed`. Its offset is that in the open segment, if there is one.
    position: Position,
    /// Where the open segment ends; `position` if there is none, or if claims may not begin in it.
    limit: Position,
    window: i64,
    /// Where position 0 would be if all positions lay where those of the open segment do.
    origin: Origin,
    shared: Arc<LaneShared>,
    rare: Box<Rare>,
    /// Keeps `Lane` from being `Sync`: two threads must not even look at one lane.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

/// What a lane needs once a segment or less.
struct Rare {
    view: SlabView,
    /// The open segment, or NIL.
    segment: u32,
    /// The last claim found the lane retired: its commit brings it back to life.
    revive: bool,
    /// The claim in progress, if it goes beyond the open segment; stale otherwise.
    span: Span,
    engine: Arc<Shared>,
}

impl Lane {
    pub(crate) fn new(shared: Arc<LaneShared>, engine: Arc<Shared>) -> Self {
        let view = engine.slab.view();
        Lane {
            position: Position::START,
            limit: Position::START,
            window: 0,
            origin: view.origin(0, Position::START),
            shared,
            rare: Box::new(Rare { view, segment: NIL, revive: false, span: Span::NOTHING, engine }),
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
            self.limit = self.position;
        }
    }

    /// The tag that claims now carry.
    #[inline]
    pub fn window(&self) -> i64 {
        self.window
    }

    /// Bytes left for claims that begin in the open segment.
    #[inline(always)]
    fn room(&self) -> usize {
        (self.limit.raw() - self.position.raw()) as usize
    }

    /// Claims `len` bytes, the first `head` of which will not straddle two segments (`head <= len` and
    /// `head <= segment_size`). Never blocks.
    ///
    /// # Errors
    /// [`ClaimError::Full`] with the number of segments to wait for; [`ClaimError::NeverFits`];
    /// [`ClaimError::Closed`]. The lane is as it was before.
    #[inline]
    pub fn claim(&mut self, len: usize, head: usize) -> Result<Claim<'_>, ClaimError> {
        if self.announce(len) {
            return Ok(self.claim_announced(len));
        }
        self.prepare_slow(len, head, None)?;
        Ok(self.claim_beyond())
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
        if self.announce(len) {
            return Ok(self.claim_announced(len));
        }
        if let Err(refused) = self.prepare_slow(len, head, None) {
            self.prepare_slow(len, head, Some(supply(refused)?))?;
        }
        Ok(self.claim_beyond())
    }

    /// As [`Lane::claim`], if the open segment has room for all of it; otherwise None, and whoever asks goes on with
    /// [`Lane::claim`]. For hot paths: small enough to be inlined, and without a way that needs memory to return.
    #[inline(always)]
    pub fn claim_here(&mut self, len: usize) -> Option<Claim<'_>> {
        if len.wrapping_sub(1) >= self.room() {
            return None;
        }
        if self.announce_here(len) {
            return Some(self.claim_announced(len));
        }
        self.unreserve();
        None
    }

    /// Announces a claim that fits the open segment. False: it doesn't, or the I/O side wants the segment.
    #[inline]
    fn announce(&mut self, len: usize) -> bool {
        len <= self.room() && self.announce_here(len)
    }

    /// As [`Lane::announce`], of a claim that is known to fit.
    #[inline(always)]
    fn announce_here(&mut self, len: usize) -> bool {
        // The claim is announced before it writes (I5): either the I/O side sees `reserved` move, or we see
        // that it wants the segment.
        if !mutant!("a_claim_is_not_announced") {
            self.shared.claim.reserved.store(self.position.advance(len as u32).raw(), Relaxed);
        }
        if !mutant!("claim_barrier_missing") {
            light_barrier();
        }
        self.shared.claim.state.load(Relaxed) == ACTIVE || mutant!("a_claim_ignores_the_state")
    }

    /// The claim that was announced, in the open segment.
    #[inline(always)]
    fn claim_announced(&mut self, len: usize) -> Claim<'_> {
        let at = self.position.raw();
        let end = self.position.advance(len as u32);
        Claim { segment: NIL, at, limit: end.raw(), left: len, end, beyond: false, lane: self }
    }

    /// The claim that [`Lane::prepare_slow`] left in `span`.
    #[inline]
    fn claim_beyond(&mut self) -> Claim<'_> {
        let Span { segment, offset, limit, left, end, .. } = self.rare.span;
        Claim { segment, at: offset.into(), limit: limit.into(), left, end: end.position, beyond: true, lane: self }
    }

    /// As [`Lane::claim`], with segments that were waited for; those not needed go back.
    ///
    /// # Errors
    /// As [`Lane::claim`]; the grant is given back in every case.
    pub fn claim_with(&mut self, grant: Grant, len: usize, head: usize) -> Result<Claim<'_>, ClaimError> {
        self.prepare_slow(len, head, Some(grant))?;
        Ok(self.claim_beyond())
    }

    /// Makes `span` the claim. The part of a claim's way that is rare: a new segment, a lane that was retired, the end of the engine.
    #[cold]
    #[inline(never)]
    fn prepare_slow(&mut self, len: usize, head: usize, grant: Option<Grant>) -> Result<(), ClaimError> {
        let size = self.rare.view.segment_size();
        assert!(head <= len && head <= size as usize, "the head of a claim must fit in it and in a segment");
        let most = self.rare.engine.segments_for(len);
        if len == 0 || most as usize > self.rare.engine.total() {
            return Err(ClaimError::NeverFits { limit: self.rare.engine.largest_claim() });
        }
        // Any value but `committed` says "a claim is in progress"; the true end follows below.
        self.shared.claim.reserved.store(self.position.raw() + 1, Relaxed);
        if !mutant!("slow_claim_barrier_missing") {
            light_barrier();
        }
        if let Err(error) = self.settle_state() {
            self.unreserve();
            return Err(error);
        }

        let shift = self.rare.view.shift();
        let at = self.position.offset(shift);
        let begins_here = self.rare.segment != NIL && self.room() >= head.max(1);
        let here = if begins_here { len.min(self.room()) } else { 0 };
        let wanted = self.rare.engine.segments_for(len - here);
        let taken = match self.rare.engine.supply(wanted, most, grant) {
            Ok(chain) => chain,
            Err(error) => {
                self.unreserve();
                return Err(error);
            }
        };

        // Link and tag what was taken. All of it becomes visible with the commit (P1), or is forgotten with the abort.
        let table = &self.rare.engine.table;
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
            if self.rare.segment == NIL {
                self.shared.claim.first.store(taken.first, Relaxed);
            } else {
                table.set_end(self.rare.segment, at + here as u32);
                if !mutant!("chain_is_not_linked") {
                    table.set_next(self.rare.segment, taken.first);
                }
            }
        }
        let end = if taken.count == 0 {
            Place { segment: self.rare.segment, position: self.position.advance(here as u32) }
        } else {
            let in_last = (len - here) as u32 - (taken.count - 1) * size;
            Place { segment: last, position: Position::new(ordinal + u64::from(taken.count), in_last, shift) }
        };
        self.shared.claim.reserved.store(end.position.raw(), Relaxed);
        if taken.count > 0 {
            self.rare.view.segment(taken.first).prefetch_write(0, AHEAD as usize / LINE + 2);
            // What the I/O side has taken is its own line: looked at only for a sleeper.
            if self.rare.engine.doorbell.is_napping() {
                self.rare.engine.look_at_due(self.consumed().distance(self.position, shift));
            }
        }
        let (segment, offset, limit) = if begins_here {
            (self.rare.segment, at, at + here as u32)
        } else {
            (taken.first, 0, size.min(len as u32))
        };
        self.rare.span = Span { end, segment, offset, limit, left: len, taken };
        Ok(())
    }

    /// Brings the lane into a state in which a claim may go on, `reserved` being announced already.
    fn settle_state(&mut self) -> Result<(), ClaimError> {
        loop {
            match self.shared.state() {
                ACTIVE => return Ok(()),
                RETIRING => {
                    if mutant!("a_claim_leaves_its_lane_retiring") || self.shared.exchange(RETIRING, ACTIVE).is_ok() {
                        return Ok(());
                    }
                }
                RETIRED => {
                    // The I/O side took the open segment away. Back to life with the commit.
                    self.rare.segment = NIL;
                    self.limit = self.position;
                    self.rare.revive = true;
                    return Ok(());
                }
                _ => return Err(ClaimError::Closed),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn unreserve(&mut self) {
        self.shared.claim.reserved.store(self.position.raw(), ABORT); // P2
        if !mutant!("abort_barrier_missing") {
            light_barrier(); // meets the heavy barrier of the close: it sees no claim, or we see that it waits for this one
        }
        if self.shared.state() == CLOSED && !mutant!("abort_is_silent_at_the_close") {
            self.rare.engine.doorbell.always();
        }
    }

    /// Takes back the claim in progress, and the segments taken for it if it went `beyond` the open one.
    #[cold]
    #[inline(never)]
    fn abort(&mut self, beyond: bool) {
        if beyond && self.rare.span.taken.count > 0 {
            self.rare.engine.give_back(self.rare.span.taken);
        }
        self.unreserve();
    }

    /// Where the claim in progress goes on behind `segment`.
    #[cold]
    #[inline(never)]
    fn segment_after(&self, segment: u32) -> u32 {
        if segment == self.rare.segment { self.rare.span.taken.first } else { self.rare.engine.table.next(segment) }
    }

    /// Writes more bytes than the segment under way has place for.
    #[cold]
    #[inline(never)]
    fn put_across(&mut self, at: Aside, mut bytes: &[u8]) -> Aside {
        // Taken apart into a claim that is neither committed nor aborted here: both are the business of the one it stands for.
        let Aside { segment, at, limit, left } = at;
        let claim = Claim { segment, at, limit, left, end: Position::START, beyond: true, lane: self };
        let mut claim = std::mem::ManuallyDrop::new(claim);
        while !bytes.is_empty() {
            let chunk = claim.chunk();
            let (now, later) = bytes.split_at(chunk.len().min(bytes.len()));
            chunk[..now.len()].copy_from_slice(now);
            claim.advance(now.len());
            bytes = later;
        }
        Aside { segment: claim.segment, at: claim.at, limit: claim.limit, left: claim.left }
    }

    /// The open segment is the one in which the claim in `span` ends.
    #[cold]
    #[inline(never)]
    fn move_to_end(&mut self) {
        let Place { segment, position } = self.rare.span.end;
        let shift = self.rare.view.shift();
        let start = Position::new(position.ordinal(shift), 0, shift);
        self.rare.segment = segment;
        self.origin = self.rare.view.origin(segment, start);
        self.limit = start.advance(self.rare.view.segment_size());
    }

    /// Tells the model checker which bytes a claim is about to write; nothing outside loom.
    #[inline(always)]
    fn witness_write(&self, segment: u32, at: u64, len: u32, beyond: bool) {
        if cfg!(loom) {
            let (segment, start) = if beyond {
                (segment, at as u32)
            } else {
                (self.rare.segment, self.position.offset(self.rare.view.shift()))
            };
            self.rare.engine.slab.witness_write(segment, start, len);
        }
    }

    fn consumed(&self) -> Position {
        Position::from_raw(self.shared.consumed.load(Relaxed))
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
                RETIRED if !self.rare.revive && !mutant!("commit_revives_a_drained_lane") => return Ok(()),
                RETIRED => {
                    if self.shared.exchange(RETIRED, ACTIVE).is_ok() {
                        self.rare.revive = false;
                        self.rare.engine.ready.push(&self.shared);
                        self.rare.engine.doorbell.lane_ready();
                        return Ok(());
                    }
                }
                // Closing: claims under way at that moment are still drained.
                CLOSED => {
                    // Whatever the I/O thread is doing: between its look at this claim and its sleep no other word says so.
                    if !mutant!("commit_is_silent_at_the_close") {
                        self.rare.engine.doorbell.always();
                    }
                    return Ok(());
                }
                DEAD => spin_loop_once(),
                _ => {
                    let last = Position::from_raw(self.shared.claim.final_position.load(Relaxed));
                    return if self.position <= last || mutant!("last_word_accepts_everything") {
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
        self.shared.claim.dropped.store(true, Relaxed);
        if !mutant!("drop_fence_missing") {
            fence(SeqCst); // meets the heavy barrier of a retirement: it sees `dropped`, or we see RETIRING or RETIRED
        }
        loop {
            match self.shared.state() {
                RETIRED => {
                    if mutant!("a_dropped_lane_is_not_listed") {
                        return;
                    }
                    if self.shared.exchange(RETIRED, ACTIVE).is_ok() {
                        self.rare.engine.ready.push(&self.shared);
                        if !mutant!("a_dropped_lane_is_silent") {
                            self.rare.engine.doorbell.lane_ready();
                        }
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
    position: Position,
}

/// A claim that takes segments, as [`Lane::prepare_slow`] has it.
#[derive(Clone, Copy)]
struct Span {
    /// Where its first byte goes.
    segment: u32,
    offset: u32,
    /// Its end in that segment.
    limit: u32,
    left: usize,
    /// Segments taken for it.
    taken: Chain,
    end: Place,
}

impl Span {
    const NOTHING: Span = Span {
        segment: NIL,
        offset: 0,
        limit: 0,
        left: 0,
        taken: Chain::EMPTY,
        end: Place { segment: NIL, position: Position::START },
    };
}

/// Where the writing of a claim has got to.
#[derive(Clone, Copy)]
struct Aside {
    segment: u32,
    at: u64,
    limit: u64,
    left: usize,
}

/// Claimed bytes, to be written from first to last and committed. Dropped without commit, it leaves no trace.
///
/// It is made to live in registers. As a larger value it was moved through memory, and a wide load behind narrow stores waits until
/// all stores before it have reached the cache, those of the record before included: most of the time of a hand-off
/// (`benches/rivals`). So what is rare is called by value and lies in the lane.
#[must_use = "a claim that is not committed is aborted"]
pub struct Claim<'a> {
    /// Where the next byte goes, if the claim went `beyond` the open segment.
    segment: u32,
    /// A position in the open segment, or beyond it an offset in `segment`.
    at: u64,
    /// End of the claim in this segment, counted as `at` is.
    limit: u64,
    /// Bytes not written yet.
    left: usize,
    /// Where the claim ends.
    end: Position,
    /// More of it is in the lane's `span`.
    beyond: bool,
    lane: &'a mut Lane,
}

impl Claim<'_> {
    /// Bytes still to be written.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.left
    }

    /// The rest of the claim that lies in the present segment, to be written in place; [`Claim::advance`] moves on.
    /// For a claim that fits its segment this is all of it.
    #[inline(always)]
    pub fn chunk(&mut self) -> &mut [u8] {
        let len = (self.limit - self.at) as u32;
        self.lane.witness_write(self.segment, self.at, len, self.beyond);
        let origin = if self.beyond { self.lane.rare.view.segment(self.segment) } else { self.lane.origin };
        debug_assert!(
            self.limit <= if self.beyond { self.lane.rare.view.segment_size().into() } else { self.lane.limit.raw() },
            "a claim's chunk stays inside its segment"
        );
        // SAFETY: I2: bytes from the committed position to the claim's end belong to the lane's one producer, whose
        // `&mut` this claim holds; both lie in the segment of `origin`, from which `at` is counted.
        unsafe { origin.slice_mut(self.at, len) }
    }

    /// Says that the next `count` bytes of the present [`Claim::chunk`] are written.
    ///
    /// # Panics
    /// If `count` is more than that chunk has.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= (self.limit - self.at) as usize, "a claim is advanced within its chunk");
        self.at += count as u64;
        self.left -= count;
        if self.at == self.limit && self.left > 0 {
            self.segment = self.lane.segment_after(self.segment);
            self.at = 0;
            self.limit = u64::from(self.lane.rare.view.segment_size().min(self.left as u32));
        }
    }

    /// Writes the next bytes, across segments where need be.
    ///
    /// # Panics
    /// If `bytes` is longer than what remains of the claim.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.left, "a claim holds no more than was claimed");
        if bytes.len() <= (self.limit - self.at) as usize {
            self.chunk()[..bytes.len()].copy_from_slice(bytes);
            self.advance(bytes.len());
        } else {
            // By value, there and back: a claim whose address were taken would live in memory.
            let aside = Aside { segment: self.segment, at: self.at, limit: self.limit, left: self.left };
            Aside { segment: self.segment, at: self.at, limit: self.limit, left: self.left } =
                self.lane.put_across(aside, bytes);
        }
    }

    /// Publishes the claim as one record: the I/O side sees all of it or nothing. All bytes must have been written
    /// (bytes never written hold what an earlier record left there).
    ///
    /// # Errors
    /// [`ClaimError::Closed`] if the I/O side ended while the claim was held; nothing was published then.
    #[inline(always)] // where it is not, the claim and the answer come through memory
    pub fn commit(self) -> Result<(), ClaimError> {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped after; reading out its `lane` reference ends the claim's borrow.
        let lane: &mut Lane = unsafe { std::ptr::read(&raw const this.lane) };
        if this.beyond {
            lane.move_to_end();
        }
        lane.position = this.end;
        // P1. `reserved` has this value already: no claim is in progress any more.
        lane.shared.producer.committed.store(this.end.raw(), PUBLISH);
        lane.origin.prefetch_write(this.end.raw() + AHEAD, 2);
        if !mutant!("commit_barrier_missing") {
            light_barrier();
        }
        if lane.shared.claim.state.load(Relaxed) == ACTIVE || mutant!("a_commit_ignores_the_state") {
            Ok(())
        } else {
            lane.commit_slow()
        }
    }
}

impl Drop for Claim<'_> {
    /// Aborts: no hole stays, and segments taken for the claim go back.
    #[inline]
    fn drop(&mut self) {
        self.lane.abort(self.beyond);
    }
}
