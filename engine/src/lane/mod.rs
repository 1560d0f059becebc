//! A lane's producer end: where its claims come from, and its life beside the I/O side.

mod claim;

pub use claim::Claim;
use claim::{Place, Span};

use crate::engine::Shared;
use crate::lane_shared::{ACTIVE, CLOSED, DEAD, LaneShared, RETIRED, RETIRING};
use crate::order::ABORT;
use crate::position::Position;
use crate::segments::NIL;
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
