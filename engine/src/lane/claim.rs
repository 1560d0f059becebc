//! A claim: bytes of a lane that are written in place, then committed or aborted.
//!
//! One of the two files with pointer work (through [`SlabView`](crate::slab::SlabView)).

use super::Lane;
use crate::ClaimError;
use crate::lane_shared::ACTIVE;
use crate::order::PUBLISH;
use crate::position::Position;
use crate::segments::{NIL, Taken};
use crate::sync::light_barrier;
use std::sync::atomic::Ordering::Relaxed;

/// What the commit of a claim needs that goes beyond the open stretch, as [`Lane::prepare_slow`] has it.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Where its first byte goes.
    pub(super) segment: u32,
    /// Segments beyond the open stretch that it goes into.
    pub(super) wanted: u32,
    /// Its first bytes fill the rest of the open stretch.
    pub(super) here: bool,
    /// Where the first of the `wanted` segments begins, and which it is.
    pub(super) beyond: Position,
    pub(super) from: u32,
    /// Segments taken for it: its last ones, and any on top.
    pub(super) taken: Taken,
    pub(super) end: Position,
}

impl Span {
    pub(super) const NOTHING: Span = Span {
        segment: NIL,
        wanted: 0,
        here: false,
        beyond: Position::START,
        from: NIL,
        taken: Taken::NOTHING,
        end: Position::START,
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
    /// Where the next byte goes, if the claim went `beyond` the open stretch.
    pub(super) segment: u32,
    /// A position in the open stretch, or beyond it an offset in `segment`.
    pub(super) at: u64,
    /// End of the claim in the open stretch or in this segment, counted as `at` is.
    pub(super) limit: u64,
    /// Bytes not written yet.
    pub(super) left: usize,
    /// Where the claim ends.
    pub(super) end: Position,
    /// The lane's `span` has what its commit needs.
    pub(super) beyond: bool,
    pub(super) lane: &'a mut Lane,
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
        let len = (self.limit - self.at) as usize;
        self.lane.witness_write(self.segment, self.at, len as u32, self.beyond);
        let origin = if self.beyond { self.lane.view().segment(self.segment) } else { self.lane.origin };
        debug_assert!(
            self.beyond || self.limit <= self.lane.limit.raw(),
            "a claim's chunk stays inside the open stretch"
        );
        // SAFETY: I2: bytes from the committed position to the claim's end belong to the lane's one producer, whose
        // `&mut` this claim holds; both lie in the segment of `origin`, or in the segments that follow it in memory and in the
        // lane's chain; `at` is counted from `origin`.
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
            self.limit = u64::from(self.lane.view().segment_size()).min(self.left as u64);
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
        let shared = &*lane.shared;
        // P1. `reserved` has this value already: no claim is in progress any more.
        shared.producer.committed.store(this.end.raw(), PUBLISH);
        if !mutant!("commit_barrier_missing") {
            light_barrier();
        }
        if shared.claim.state.load(Relaxed) == ACTIVE || mutant!("a_commit_ignores_the_state") {
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

/// What a claim does to its lane, out of its own way.
impl Lane {
    /// Takes back the claim in progress, and the segments taken for it if it went `beyond` the open one.
    #[cold]
    #[inline(never)]
    fn abort(&mut self, beyond: bool) {
        if beyond && self.rare.span.taken.chain.count > 0 {
            self.rare.engine.give_back(self.rare.span.taken.chain);
        }
        self.unreserve();
    }

    /// Where the claim in progress goes on behind `segment`.
    #[cold]
    #[inline(never)]
    fn segment_after(&self, segment: u32) -> u32 {
        let span = &self.rare.span;
        if span.here && segment == span.segment { span.from } else { self.follower(segment, span.taken.chain) }
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

    /// Tells the model checker which bytes a claim is about to write; nothing outside loom.
    #[inline(always)]
    fn witness_write(&self, segment: u32, at: u64, len: u32, beyond: bool) {
        if cfg!(loom) {
            let (segment, start) = if beyond {
                (segment, at as u32)
            } else {
                let (open, start) = self.rare.chain.segment_at(self.position, self.view().shift());
                (open, start.distance(self.position) as u32)
            };
            self.rare.engine.slab.witness_write(segment, start, len);
        }
    }
}
