//! A lane's producer end: where its claims come from, and its life beside the I/O side.

mod claim;
mod pace;
mod prepare;

pub use claim::Claim;
use claim::Span;
use pace::Pace;
pub(crate) use pace::PaceLimits;
use prepare::Way;

use crate::engine::Shared;
use crate::lane_shared::{ACTIVE, CLOSED, DEAD, DEAD_FINAL, GONE, LaneShared, RETIRED, RETIRING};
use crate::order::ABORT;
use crate::position::Position;
use crate::segments::NIL;
use crate::slab::{Origin, PAIR, SlabView, prefetch_write};
use crate::sync::{Arc, fence, light_barrier, spin_loop};
use crate::{ClaimError, Grant, LaneId};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Of a long record's lines not more than these: a longer copy is a stream that the processor sees by itself.
const MOST_PAIRS: usize = 16;

/// How far behind the end of a claim the lines of later records are asked for: a sender of several lanes comes back to each one too
/// seldom for the processor to see a stream in it. Advice only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// By 512 bytes: the lines are there when their turn comes, even if the other core has them now. Of claims of more than 128 bytes all
    /// lines of the next one, if it is as long.
    Stream,
    /// By 128 bytes. With so many lanes that none is in a cache when its turn comes, what is asked for earlier has left the caches by
    /// then and is fetched twice. Of claims of more than 128 bytes all their own lines, before any is written.
    Next,
}

/// What to ask for at once for so many bytes.
fn pairs_of(len: usize) -> usize {
    (len / PAIR + 1).min(MOST_PAIRS)
}

impl Ahead {
    const fn bytes(self) -> u64 {
        match self {
            Ahead::Stream => 512,
            Ahead::Next => 128,
        }
    }
}

/// The producer end of one lane: the single producer, checked by the compiler (`&mut self`; `Send`, not `Sync`).
///
/// Records are claimed, written in place and committed; what is committed is visible to the I/O side as a whole.
/// Dropping a lane publishes nothing and takes nothing back: what was committed is still sent.
///
/// A send changes one word of it, `position`: stores that wait for a far core's cache lines are few at a time, and each that is spared
/// is a byte of a record that does not wait (`benches/rivals`).
#[repr(C)] // What a send touches is 48 bytes, so that it and its owner's own notes can share a cache line.
pub struct Lane {
    /// Published so far; always in sync with `shared.committed`.
    position: Position,
    /// Where claims end that go into the open stretch: at its end, or where the lane is to look whether it is due. `position` if
    /// there is no stretch, or if claims may not begin in it.
    limit: Position,
    window: i64,
    /// Where position 0 would be if all positions lay where those of the open stretch do.
    origin: Origin,
    shared: Arc<LaneShared>,
    rare: Box<Rare>,
    /// Keeps `Lane` from being `Sync`: two threads must not even look at one lane.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

/// What a lane needs once a segment or less.
#[repr(align(64))] // two cache lines: of ten thousand lanes, none is in a cache when its turn comes
struct Rare {
    chain: LaneChain,
    pace: Pace,
    /// The last claim found the lane retired: its commit brings it back to life.
    revive: bool,
    /// The claim in progress, if it goes beyond the open stretch; stale otherwise.
    span: Span,
    engine: Arc<Shared>,
}

#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Rare>() <= 128);

/// The open stretch: segments that a lane holds and that follow each other in memory, from one that it is in or was in lately to the last
/// one that it has not begun. Claims do not change it, commits do: an abort leaves it as it was.
#[derive(Clone, Copy)]
struct LaneChain {
    /// Begun, or full; NIL: the lane holds nothing.
    segment: u32,
    /// Where that one begins.
    start: Position,
    /// The last segment. Nothing is linked behind it.
    last: u32,
    /// Where that one ends.
    end: Position,
    /// The tag of all of them that may still be written to.
    window: i64,
}

impl LaneChain {
    const NOTHING: LaneChain =
        LaneChain { segment: NIL, start: Position::START, last: NIL, end: Position::START, window: 0 };

    /// The segment with the byte before `position`, or the one that begins the stretch, and where it begins.
    fn segment_at(&self, position: Position, shift: u32) -> (u32, Position) {
        let before = self.start.segments_to(position, shift).saturating_sub(1);
        (self.segment + before, self.start.skip(before, shift))
    }

    /// Segments that have no byte before `position` yet.
    fn ahead(&self, position: Position, shift: u32) -> u32 {
        if self.segment == NIL { 0 } else { position.next_segment(shift).segments_to(self.end, shift) }
    }
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
            rare: Box::new(Rare {
                chain: LaneChain::NOTHING,
                pace: Pace::default(),
                revive: false,
                span: Span::NOTHING,
                engine,
            }),
            _not_sync: std::marker::PhantomData,
        }
    }

    /// Where the bytes are.
    #[inline]
    fn view(&self) -> SlabView {
        self.rare.engine.slab.view()
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

    /// Segments that the lane holds and has not begun. They are retired with it, or go back when somebody waits for memory.
    pub fn segments_ahead(&self) -> usize {
        // The I/O side may have taken them meanwhile.
        if matches!(self.shared.state(), RETIRED | GONE | DEAD_FINAL) {
            0
        } else {
            self.rare.chain.ahead(self.position, self.view().shift()) as usize
        }
    }

    /// Whether a claim fits the open stretch. One of no bytes does not.
    #[inline(always)]
    fn fits(&self, len: usize) -> bool {
        len.wrapping_sub(1) < (self.limit.raw() - self.position.raw()) as usize
    }

    /// Asks for the cache lines that the next claim writes first, all at once. For senders with so many lanes that none is in a cache
    /// when its turn comes: stores reach the cache in order, and would wait for one line after the other. Advice only.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch_write(&raw const self.shared.producer);
        prefetch_write(&raw const self.shared.claim);
        self.origin.prefetch_write(self.position.raw(), 1);
    }

    /// Claims `len` bytes, the first `head` of which will not straddle two segments (`head <= len` and
    /// `head <= segment_size`). Never blocks.
    ///
    /// # Errors
    /// [`ClaimError::Full`] with the number of segments to wait for; [`ClaimError::NeverFits`], also for no bytes;
    /// [`ClaimError::Closed`]. The lane is as it was before.
    ///
    /// # Panics
    /// If the first `head` bytes are more than `len` or than a segment has.
    #[inline]
    pub fn claim(&mut self, len: usize, head: usize) -> Result<Claim<'_>, ClaimError> {
        self.claim_or(len, head, Err)
    }

    /// As [`Lane::claim`], and if that is refused, asks `supply` for the segments: it may wait for them, or say no.
    ///
    /// # Errors
    /// Those of `supply`, and those of [`Lane::claim`] after a supply.
    ///
    /// # Panics
    /// As [`Lane::claim`], and if the grant is another engine's.
    #[inline]
    pub fn claim_or<E: From<ClaimError>>(
        &mut self,
        len: usize,
        head: usize,
        supply: impl FnOnce(ClaimError) -> Result<Grant, E>,
    ) -> Result<Claim<'_>, E> {
        if let Some(here) = self.announce(len) {
            return Ok(self.claim_announced(len, here, Ahead::Stream));
        }
        let way = match self.prepare_slow(len, head, None) {
            Ok(way) => way,
            Err(refused) => self.prepare_slow(len, head, Some(supply(refused)?))?,
        };
        Ok(self.claim_prepared(way, len))
    }

    /// As [`Lane::claim`], if the open stretch has room for all of it; otherwise None, and whoever asks goes on with
    /// [`Lane::claim`]. For hot paths: small enough to be inlined, and without a way that needs memory to return. The memory of later
    /// records is asked for as far `ahead` as told.
    #[inline(always)]
    pub fn claim_here(&mut self, len: usize, ahead: Ahead) -> Option<Claim<'_>> {
        if !self.fits(len) && !self.go_on(len) {
            return None;
        }
        if let Some(here) = self.announce_here(len) {
            return Some(self.claim_announced(len, here, ahead));
        }
        self.unreserve();
        None
    }

    /// Announces a claim that fits the open stretch, and says where it begins and ends. None: it doesn't fit, or the I/O side wants the
    /// segments.
    #[inline]
    fn announce(&mut self, len: usize) -> Option<[Position; 2]> {
        if self.fits(len) { self.announce_here(len) } else { None }
    }

    /// As [`Lane::announce`], of a claim that is known to fit.
    #[inline(always)]
    fn announce_here(&mut self, len: usize) -> Option<[Position; 2]> {
        // Behind the barrier the compiler would fetch each word of the lane anew.
        let (here, shared) = ([self.position, self.position.advance(len)], &*self.shared);
        // The claim is announced before it writes (I5): either the I/O side sees `reserved` move, or we see
        // that it wants the segment.
        if !mutant!("a_claim_is_not_announced") {
            shared.claim.reserved.store(here[1].raw(), Relaxed);
        }
        if !mutant!("claim_barrier_missing") {
            light_barrier();
        }
        (shared.claim.state.load(Relaxed) == ACTIVE || mutant!("a_claim_ignores_the_state")).then_some(here)
    }

    /// The claim that was announced, in the open stretch.
    #[inline(always)]
    fn claim_announced(&mut self, len: usize, [at, end]: [Position; 2], ahead: Ahead) -> Claim<'_> {
        if len <= PAIR {
            self.origin.prefetch_write(end.raw() + ahead.bytes(), 1);
        } else {
            // All at once: the stores of a copy wait for a far core's lines one after the other.
            let from = if ahead == Ahead::Stream { end } else { at };
            self.origin.prefetch_write(from.raw(), pairs_of(len));
        }
        Claim { segment: NIL, at: at.raw(), limit: end.raw(), left: len, end, beyond: false, lane: self }
    }

    /// The claim that [`Lane::prepare_slow`] has made room for.
    #[inline]
    fn claim_prepared(&mut self, way: Way, len: usize) -> Claim<'_> {
        let Way::Beyond { segment, offset, limit, end } = way else {
            return self.claim_announced(len, [self.position, self.position.advance(len)], Ahead::Stream);
        };
        Claim { segment, at: offset.into(), limit: limit.into(), left: len, end, beyond: true, lane: self }
    }

    /// As [`Lane::claim`], with segments that were waited for; those not needed go back.
    ///
    /// # Errors
    /// As [`Lane::claim`]; the grant is given back in every case.
    ///
    /// # Panics
    /// As [`Lane::claim`], and if the grant is another engine's.
    pub fn claim_with(&mut self, grant: Grant, len: usize, head: usize) -> Result<Claim<'_>, ClaimError> {
        let way = self.prepare_slow(len, head, Some(grant))?;
        Ok(self.claim_prepared(way, len))
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
