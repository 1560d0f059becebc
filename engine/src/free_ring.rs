//! A queue of free segments: one thread puts, any thread takes, first in first out.
//!
//! Positions only grow (`u64`, they do not wrap in the life of a process), so a compare-exchange on `head` cannot
//! confuse two moments (no ABA), and a chain of up to 32 segments is one compare-exchange. The ring has a place for every
//! segment of the slab, so it never overflows, and a place cannot be overwritten before `head` has passed it.

use crate::order::{FREE_HEAD_PUT, FREE_HEAD_SEE, FREE_KNOWN_PUT, FREE_KNOWN_SEE, FREE_PUT, FREE_TAKE};
use crate::segments::{Chain, NIL, SegmentTable};
use crate::sync::{AtomicU32, AtomicU64};
use crossbeam_utils::CachePadded;
use std::sync::atomic::Ordering::Relaxed;

/// Segments taken by one exchange at most. Few under loom, so that a model's chain can be longer.
const AT_ONCE: usize = if cfg!(loom) { 2 } else { 32 };

pub(crate) struct FreeRing {
    taken: CachePadded<TakerLine>,
    tail: CachePadded<AtomicU64>,
    places: Box<[AtomicU32]>,
    mask: u64,
}

/// What takers write. While they find in `known` what they need, they leave the putter's line alone: fetching it again after each
/// put was most of what a new segment cost a sender on a far core.
struct TakerLine {
    head: AtomicU64,
    /// A tail that some taker has seen: at most the real one; behind `head` if a slow taker wrote it last.
    known: AtomicU64,
}

impl FreeRing {
    /// A ring with room for `segments`, empty.
    pub(crate) fn new(segments: usize) -> Self {
        let places = segments.next_power_of_two();
        FreeRing {
            taken: CachePadded::new(TakerLine { head: AtomicU64::new(0), known: AtomicU64::new(0) }),
            tail: CachePadded::new(AtomicU64::new(0)),
            places: (0..places).map(|_| AtomicU32::new(NIL)).collect(),
            mask: places as u64 - 1,
        }
    }

    #[inline]
    fn place(&self, position: u64) -> &AtomicU32 {
        &self.places[(position & self.mask) as usize]
    }

    /// Puts segments. Only the I/O side calls this.
    pub(crate) fn put(&self, segments: &[u32]) {
        if segments.is_empty() {
            return;
        }
        let tail = self.tail.load(Relaxed); // ours alone
        for (i, segment) in segments.iter().enumerate() {
            self.place(tail + i as u64).store(*segment, Relaxed);
        }
        self.tail.store(tail + segments.len() as u64, FREE_PUT); // P3
    }

    /// Takes `count` segments as a chain, all or none. A chain of more than [`AT_ONCE`] is several exchanges: if the ring
    /// runs dry between them, what was taken goes to `give_back`.
    pub(crate) fn take(&self, count: u32, table: &SegmentTable, give_back: impl FnOnce(Chain)) -> Option<Chain> {
        let mut taken = [NIL; AT_ONCE];
        let mut chain = Chain::EMPTY;
        let mut last = NIL;
        while chain.count < count {
            let missing = (count - chain.count) as usize;
            let now = missing.min(AT_ONCE);
            if !self.advance(missing as u64, &mut taken[..now]) {
                give_back(chain);
                return None;
            }
            for segment in &taken[..now] {
                if last == NIL {
                    chain.first = *segment;
                } else {
                    table.set_next(last, *segment);
                }
                last = *segment;
            }
            chain.count += now as u32;
        }
        Some(chain)
    }

    /// Takes up to `count` segments into `out`; used by the I/O side to gather for a waiter.
    pub(crate) fn drain(&self, count: usize, out: &mut Vec<u32>) {
        for _ in 0..count {
            let mut taken = [NIL];
            if !self.advance(1, &mut taken) {
                return;
            }
            out.extend(taken);
        }
    }

    /// Takes as many segments as `out` has places, if the ring holds at least `wanted`.
    fn advance(&self, wanted: u64, out: &mut [u32]) -> bool {
        let count = out.len() as u64;
        let mut head = self.taken.head.load(FREE_HEAD_SEE);
        loop {
            // P3: what the putter did to these segments comes before what we do; by way of the taker who saw that tail first (P10).
            if self.taken.known.load(FREE_KNOWN_SEE) < head + wanted {
                // P9: whoever moved `head` here had seen a tail at least as far, so we do too and the difference is never
                // negative. It may be stale, and the exchange says so.
                let tail = self.tail.load(FREE_TAKE);
                debug_assert!(tail >= head, "a free ring's head never passes its tail");
                if tail.wrapping_sub(head) < wanted {
                    return false;
                }
                self.taken.known.store(tail, FREE_KNOWN_PUT);
            }
            // Read before the exchange: while `head` stands here, these places cannot be overwritten. After it they can,
            // as soon as others have sent a ring's worth of segments round.
            for (position, place) in (head..).zip(out.iter_mut()) {
                *place = self.place(position).load(Relaxed);
            }
            if mutant!("free_take_without_exchange") {
                self.taken.head.store(head + count, FREE_HEAD_PUT);
                return true;
            }
            match self.taken.head.compare_exchange_weak(head, head + count, FREE_HEAD_PUT, FREE_HEAD_SEE) {
                Ok(_) => {
                    if mutant!("free_places_read_after_the_exchange") {
                        (head..).zip(out).for_each(|(position, place)| *place = self.place(position).load(Relaxed));
                    }
                    return true;
                }
                Err(now) => head = now,
            }
        }
    }

    /// Visits every segment that was free at one moment. Only the I/O side calls this: while it does not put, a place cannot
    /// be overwritten.
    pub(crate) fn each(&self, mut visit: impl FnMut(u32)) {
        let head = self.taken.head.load(FREE_HEAD_SEE);
        for position in head..self.tail.load(Relaxed) {
            visit(self.place(position).load(Relaxed));
        }
    }

    /// How many are free; a snapshot. Relaxed: nothing is read on the strength of it, and a tail that is seen behind the head
    /// counts as none.
    pub(crate) fn len(&self) -> usize {
        let head = self.taken.head.load(Relaxed);
        self.tail.load(Relaxed).saturating_sub(head) as usize
    }

    /// How many of `wanted` segments may be put until the ring holds `target`. `head` is the putter's last look at the takers'
    /// line, which it leaves alone while that says enough. Only the I/O side calls this: its own tail is exact, and a
    /// head that is too old makes it put too few, never too many.
    pub(crate) fn room(&self, target: usize, wanted: usize, head: &mut u64) -> usize {
        let tail = self.tail.load(Relaxed);
        if tail - *head + wanted as u64 > target as u64 {
            *head = self.taken.head.load(Relaxed);
        }
        target.saturating_sub((tail - *head) as usize).min(wanted)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_taken_whole_or_not_at_all() {
        let table = SegmentTable::new(4);
        let ring = FreeRing::new(4);
        ring.put(&[2, 0, 3]);
        assert_eq!(ring.take(4, &table, |_| ()), None);
        let chain = ring.take(3, &table, |_| ()).expect("three are there");
        assert_eq!((chain.first, table.next(2), table.next(0)), (2, 0, 3));
        assert_eq!(ring.len(), 0);
        assert_eq!(ring.take(1, &table, |_| ()), None);
    }

    #[test]
    fn there_is_room_up_to_the_target_and_again_for_what_was_taken() {
        let table = SegmentTable::new(4);
        let ring = FreeRing::new(4);
        let mut head = 0;
        assert_eq!(ring.room(2, 3, &mut head), 2);
        ring.put(&[0, 1]);
        assert_eq!(ring.room(2, 1, &mut head), 0);
        ring.take(2, &table, |_| ()).expect("two are there");
        assert_eq!((ring.room(2, 1, &mut head), head), (1, 2));
    }
}
