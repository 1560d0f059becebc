//! The part of a claim's way that is rare: more segments, a lane that was retired, the end of the engine.

use super::claim::Span;
use super::{Ahead, Lane, LaneChain, pairs_of};
use crate::lane_shared::{ACTIVE, RETIRED, RETIRING};
use crate::position::Position;
use crate::segments::{Chain, NIL, Taken};
use crate::slab::{LINE, prefetch_write};
use crate::sync::light_barrier;
use crate::{ClaimError, Grant};
use std::sync::atomic::Ordering::Relaxed;

/// Where the claim goes for which [`Lane::prepare_slow`] has found room.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// All of it into the open stretch.
    Here,
    /// Beyond that: its first part from `offset` to `limit`, in a segment and those that follow it in memory; all of it up to `end`. The
    /// lane's [`Span`] says what its commit needs.
    Beyond { segment: u32, offset: u32, limit: u32, end: Position },
}

impl Lane {
    /// Makes `span` the claim, or finds that there is room for it in the open stretch all the same. What the lane holds stays as it is
    /// until the commit.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare_slow(&mut self, len: usize, head: usize, grant: Option<Grant>) -> Result<Way, ClaimError> {
        let size = self.view().segment_size();
        assert!(head <= len && head <= size as usize, "the head of a claim must fit in it and in a segment");
        let most = self.rare.engine.segments_for(len);
        // In another slab the numbers of its segments are somebody else's memory.
        let ours = grant.as_ref().is_none_or(|grant| grant.is_of(&self.rare.engine));
        assert!(ours, "a grant is used with the engine that it came from");
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

        let shift = self.view().shift();
        let mut here = self.room_here(len, head);
        if here == len {
            let end = self.position.advance(len);
            self.shared.claim.reserved.store(end.raw(), Relaxed);
            self.look_and_go_on(end);
            return Ok(Way::Here);
        }
        // I8, in spirit: nobody begins a segment while an older sender waits for one, not even of those that it holds.
        let others = grant.is_none() && self.rare.engine.inbox.waiting() > 0;
        if others && !mutant!("segments_ahead_are_kept_from_who_waits") {
            self.return_ahead();
            here = self.room_here(len, head);
        }
        let wanted = self.rare.engine.segments_for(len - here);
        // Where the lane leaves what it is in.
        let left = if here > 0 { self.rare.chain.end } else { self.position };
        let taken = match self.take(wanted.saturating_sub(self.rare.chain.ahead(left, shift)), most, grant) {
            Ok(chain) => chain,
            Err(error) => {
                self.unreserve();
                return Err(error);
            }
        };
        let chain = &self.rare.chain;
        // Where the part of the claim begins that lies beyond the open stretch, and its first segment.
        let (beyond, from) = if chain.segment == NIL {
            (self.position.next_segment(shift), taken.chain.first)
        } else {
            (left.next_segment(shift), self.follower(chain.segment_at(left, shift).0, taken.chain))
        };
        let end = beyond.advance(len - here);
        let (segment, offset, limit) = if here > 0 {
            let (open, start) = chain.segment_at(self.position, shift);
            let offset = start.distance(self.position) as u32;
            // A full segment is left for the one that follows it in memory.
            let (open, offset) = if offset == size { (open + 1, 0) } else { (open, offset) };
            (open, offset, offset + here as u32)
        } else {
            (from, 0, len.min(size as usize) as u32)
        };
        if mutant!("an_abort_keeps_its_links") && taken.chain.count > 0 && chain.segment != NIL {
            self.rare.engine.table.set_next(chain.last, taken.chain.first);
        }
        self.rare.span = Span { segment, wanted, here: here > 0, beyond, from, taken, end };
        self.shared.claim.reserved.store(end.raw(), Relaxed);
        let coming = (Ahead::Stream.bytes() as usize).max(len - here);
        self.view().segment(from).prefetch_write(0, pairs_of(coming));
        self.look_at_due();
        Ok(Way::Beyond { segment, offset, limit, end })
    }

    /// Lets claims go on in the open stretch if they stopped only for a look whether the lane is due. False: it has no room for `len`
    /// bytes. Small, and on a way of its own: of all that [`Lane::prepare_slow`] runs through, once in a hundred records, little is in a
    /// cache.
    #[cold]
    #[inline(never)]
    pub(super) fn go_on(&mut self, len: usize) -> bool {
        // Its first line is looked at here; what most likely comes next, a claim beyond the stretch, needs both.
        prefetch_write((&raw const *self.rare).cast::<u8>().wrapping_add(LINE));
        if len == 0 || self.room_here(len, len) < len {
            return false;
        }
        self.look_and_go_on(self.position.advance(len));
        true
    }

    /// Looks whether the lane is due, and lets claims behind `end` go on in the open stretch until the next look.
    #[inline]
    fn look_and_go_on(&mut self, end: Position) {
        self.limit = self.limit_behind(end);
        self.look_at_due();
    }

    /// Rings for a napping I/O thread if the lane holds enough for a batch.
    fn look_at_due(&self) {
        // What the I/O side has taken is its own line: looked at only for a sleeper.
        if self.rare.engine.doorbell.is_napping() {
            let consumed = Position::from_raw(self.shared.consumed.load(Relaxed));
            self.rare.engine.look_at_due(consumed.distance(self.position));
        }
    }

    /// How far claims behind `from` may go in the open stretch before the lane looks again whether it is due.
    fn limit_behind(&self, from: Position) -> Position {
        self.rare.chain.end.min(from.advance(self.rare.engine.due() as usize))
    }

    /// How much of a claim goes into the rest of the open stretch: nothing if its head would not fit there, or if the window is another.
    fn room_here(&self, len: usize, head: usize) -> usize {
        let chain = &self.rare.chain;
        let room = self.position.distance(chain.end) as usize;
        let begins_here = chain.segment != NIL && chain.window == self.window && room >= head.max(1);
        if begins_here { len.min(room) } else { 0 }
    }

    /// Takes as many segments as are missing, and more if the lane fills fast.
    fn take(&mut self, missing: u32, most: u32, grant: Option<Grant>) -> Result<Taken, ClaimError> {
        let at_once = if missing == 0 || self.rare.engine.pace.is_one() {
            missing
        } else {
            let taken = self.rare.engine.taken();
            self.rare.pace.step(self.rare.engine.pace, taken, self.rare.engine.block())
        };
        self.rare.engine.supply(missing, at_once, most, grant, self.window)
    }

    /// Gives back what the lane holds and has not begun.
    fn return_ahead(&mut self) {
        let shift = self.view().shift();
        let ahead = self.rare.chain.ahead(self.position, shift);
        if ahead == 0 {
            return;
        }
        let (open, start) = self.rare.chain.segment_at(self.position, shift);
        let first = self.rare.engine.table.next(open);
        self.rare.engine.table.set_next(open, NIL);
        let chain = &mut self.rare.chain;
        chain.last = open;
        chain.end = start.skip(1, shift);
        self.limit = self.limit.min(chain.end);
        self.rare.engine.give_back(Chain { first, count: ahead });
    }

    /// Which segment of the claim in progress follows one that the lane holds or has taken.
    pub(super) fn follower(&self, segment: u32, taken: Chain) -> u32 {
        if segment == self.rare.chain.last { taken.first } else { self.rare.engine.table.next(segment) }
    }

    /// Whether the segments of a chain follow each other in memory. What a claim wants need not, but it ends in the last of that, and what
    /// is taken on top does.
    fn is_stretch(&self, chain: LaneChain) -> bool {
        let behind = chain.start.segments_to(chain.end, self.view().shift()) - 1;
        (chain.segment..).take(behind as usize).all(|segment| self.rare.engine.table.next(segment) == segment + 1)
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
                    // The I/O side took everything away. Back to life with the commit.
                    self.rare.chain = LaneChain::NOTHING;
                    self.rare.pace.reset();
                    self.limit = self.position;
                    self.rare.revive = true;
                    return Ok(());
                }
                _ => return Err(ClaimError::Closed),
            }
        }
    }

    /// The lane's chain is what the claim in `span` makes of it: where it ends is where the next one begins. Visible with the commit (P1).
    #[cold]
    #[inline(never)]
    pub(super) fn move_to_end(&mut self) {
        let shift = self.view().shift();
        let Span { wanted, here, beyond, from, taken, end, .. } = self.rare.span;
        let table = &self.rare.engine.table;
        let chain = &self.rare.chain;
        let mut next = LaneChain { window: self.window, ..*chain };
        if chain.segment == NIL {
            self.shared.claim.first.store(taken.chain.first, Relaxed);
        } else {
            if taken.chain.count > 0 && !mutant!("chain_is_not_linked") {
                table.set_next(chain.last, taken.chain.first);
            }
            if !here {
                let (open, start) = chain.segment_at(self.position, shift);
                table.set_end(open, start.distance(self.position) as u32);
                // What was ahead under another window.
                let mut segment = if chain.window == self.window { chain.last } else { open };
                while segment != chain.last {
                    segment = table.next(segment);
                    table.set_window(segment, self.window);
                }
            }
        }
        if taken.chain.count > 0 {
            table.set_next(taken.last, NIL);
            next.last = taken.last;
            next.end = if chain.segment == NIL { beyond } else { chain.end }.skip(taken.chain.count, shift);
        }
        next.segment = (1..wanted).fold(from, |segment, _| table.next(segment));
        next.start = beyond.skip(wanted - 1, shift);
        self.origin = self.view().origin(next.segment, next.start);
        debug_assert!(self.is_stretch(next), "more than is wanted is taken only of what follows in memory");
        self.rare.chain = next;
        self.limit = self.limit_behind(end);
    }
}
