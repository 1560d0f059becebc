//! A queue of free segments: one thread puts, any thread takes, first in first out.
//!
//! Positions only grow (`u64`, they do not wrap in the life of a process), so a compare-exchange on `head` cannot
//! confuse two moments (no ABA), and a chain of any length is one compare-exchange. The ring has a place for every
//! segment of the slab, so it never overflows; and places `head..head + k` can't be overwritten while the taker
//! still holds the `k` segments that stood there, so they are read after the exchange.

use crate::order::{FREE_HEAD_PUT, FREE_HEAD_SEE, FREE_PUT, FREE_TAKE};
use crate::segments::{Chain, SegmentTable};
use crate::sync::{AtomicU32, AtomicU64};
use crossbeam_utils::CachePadded;
use std::sync::atomic::Ordering::Relaxed;

pub(crate) struct FreeRing {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    places: Box<[AtomicU32]>,
    mask: u64,
}

impl FreeRing {
    /// A ring with room for `segments`, empty.
    pub(crate) fn new(segments: usize) -> Self {
        let places = segments.next_power_of_two();
        FreeRing {
            head: CachePadded::new(AtomicU64::new(0)),
            tail: CachePadded::new(AtomicU64::new(0)),
            places: (0..places).map(|_| AtomicU32::new(crate::segments::NIL)).collect(),
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

    /// Takes `count` segments as a chain, all or none.
    pub(crate) fn take(&self, count: u32, table: &SegmentTable) -> Option<Chain> {
        let from = self.advance(u64::from(count))?;
        let first = self.place(from).load(Relaxed);
        let mut last = first;
        for i in 1..u64::from(count) {
            let segment = self.place(from + i).load(Relaxed);
            table.set_next(last, segment);
            last = segment;
        }
        Some(Chain { first, count })
    }

    /// Takes up to `count` segments into `out`; used by the I/O side to gather for a waiter.
    pub(crate) fn drain(&self, count: usize, out: &mut Vec<u32>) {
        for _ in 0..count {
            let Some(from) = self.advance(1) else { return };
            out.push(self.place(from).load(Relaxed));
        }
    }

    fn advance(&self, count: u64) -> Option<u64> {
        let mut head = self.head.load(FREE_HEAD_SEE);
        loop {
            // P3: what the putter did to these segments comes before what we do. P9: whoever moved `head` here had
            // seen a tail at least as far, so we do too and the difference is never negative. It may be stale, and
            // the exchange says so.
            let tail = self.tail.load(FREE_TAKE);
            debug_assert!(tail >= head, "a free ring's head never passes its tail");
            if tail.wrapping_sub(head) < count {
                return None;
            }
            if cfg!(mutant = "free_take_without_exchange") {
                self.head.store(head + count, FREE_HEAD_PUT);
                return Some(head);
            }
            match self.head.compare_exchange_weak(head, head + count, FREE_HEAD_PUT, FREE_HEAD_SEE) {
                Ok(_) => return Some(head),
                Err(now) => head = now,
            }
        }
    }

    /// How many are free; a snapshot.
    pub(crate) fn len(&self) -> usize {
        let head = self.head.load(FREE_HEAD_SEE);
        self.tail.load(Relaxed).saturating_sub(head) as usize
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
        assert_eq!(ring.take(4, &table), None);
        let chain = ring.take(3, &table).expect("three are there");
        assert_eq!((chain.first, table.next(2), table.next(0)), (2, 0, 3));
        assert_eq!(ring.len(), 0);
        assert_eq!(ring.take(1, &table), None);
    }
}
