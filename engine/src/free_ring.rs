//! A queue of free segments: one thread puts, any thread takes, first in first out.
//!
//! Positions only grow (`u64`, they do not wrap in the life of a process), so a compare-exchange on `head` cannot
//! confuse two moments (no ABA), and a chain of up to 32 segments is one compare-exchange. The ring has a place for every
//! segment of the slab, so it never overflows, and a place cannot be overwritten before `head` has passed it.

use crate::order::{FREE_HEAD_PUT, FREE_HEAD_SEE, FREE_KNOWN_PUT, FREE_KNOWN_SEE, FREE_PUT, FREE_TAKE};
use crate::segments::{Chain, NIL, SegmentTable, Taken};
use crate::sync::{AtomicU32, AtomicU64};
use crossbeam_utils::CachePadded;
use std::sync::atomic::Ordering::Relaxed;

/// Segments taken by one exchange at most. Few under loom, so that a model's chain can be longer.
pub(crate) const AT_ONCE: usize = if cfg!(loom) { 2 } else { 32 };

/// What a lane wants of a ring.
#[derive(Clone, Copy)]
pub(crate) struct Want {
    /// Segments that it needs.
    pub(crate) count: u32,
    /// Segments that it takes where they follow in memory.
    pub(crate) most: u32,
    /// They are given out in blocks.
    pub(crate) blocks: bool,
}

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

    /// Takes the segments that are wanted as a chain, all or none, and up to `most` of those that follow each other in memory. A
    /// chain of more than [`AT_ONCE`] is several exchanges: if the ring runs dry between them, what was taken goes to `give_back`.
    /// Their notes are written too, as [`SegmentTable::begin`] has them.
    pub(crate) fn take(
        &self,
        want: Want,
        table: &SegmentTable,
        window: i64,
        end: u32,
        give_back: impl FnOnce(Chain),
    ) -> Option<Taken> {
        let Want { count, most, blocks } = want;
        let mut places = [NIL; AT_ONCE];
        let mut taken = Taken::NOTHING;
        while taken.chain.count < count {
            let most = (most.max(count) - taken.chain.count).min(AT_ONCE as u32);
            let now = self.advance((count - taken.chain.count).into(), blocks, &mut places[..most as usize]);
            if now == 0 {
                give_back(taken.chain);
                return None;
            }
            let places = &places[..now];
            table.prefetch(places);
            taken.append(places, table);
            for (at, segment) in places.iter().enumerate() {
                table.begin(*segment, places.get(at + 1).copied().unwrap_or(NIL), window, end);
            }
        }
        Some(taken)
    }

    /// Takes up to `count` segments into `out`; used by the I/O side, for a waiter or to put them in order.
    pub(crate) fn drain(&self, count: usize, out: &mut Vec<u32>) {
        let mut taken = [NIL; AT_ONCE];
        let mut left = count;
        while left > 0 {
            let most = left.min(AT_ONCE);
            let now = match self.advance(most as u64, false, &mut taken[..most]) {
                0 => self.advance(1, false, &mut taken[..1]),
                all => all,
            };
            if now == 0 {
                return;
            }
            out.extend(&taken[..now]);
            left -= now;
        }
    }

    /// Takes `wanted` segments if the ring holds so many, or else none; with more places in `out`, those on top that follow in memory;
    /// with fewer, only so many of them. Answers how many it took.
    fn advance(&self, wanted: u64, blocks: bool, out: &mut [u32]) -> usize {
        let places = out.len() as u64;
        let block = out.len().next_power_of_two() as u32;
        let mut head = self.taken.head.load(FREE_HEAD_SEE);
        loop {
            // P3: what the putter did to these segments comes before what we do; by way of the taker who saw that tail first (P10).
            let mut known = self.taken.known.load(FREE_KNOWN_SEE);
            if known < head + wanted {
                // P9: whoever moved `head` here had seen a tail at least as far, so we do too and the difference is never
                // negative. It may be stale, and the exchange says so.
                let tail = self.tail.load(FREE_TAKE);
                debug_assert!(tail >= head, "a free ring's head never passes its tail");
                if tail.wrapping_sub(head) < wanted {
                    return 0;
                }
                self.taken.known.store(tail, FREE_KNOWN_PUT);
                known = tail;
            }
            let mut count = (known - head).min(places);
            // Read before the exchange: while `head` stands here, these places cannot be overwritten. After it they can,
            // as soon as others have sent a ring's worth of segments round.
            let mut before = NIL;
            for at in 0..count {
                let segment = self.place(head + at).load(Relaxed);
                // On top only what follows in memory; of blocks only to the end of one: the next taker finds whole ones again.
                if at >= wanted && (segment != before + 1 || (blocks && segment.is_multiple_of(block))) {
                    count = at;
                    break;
                }
                out[at as usize] = segment;
                before = segment;
            }
            let out = &mut out[..count as usize];
            if mutant!("free_take_without_exchange") {
                self.taken.head.store(head + count, FREE_HEAD_PUT);
                return out.len();
            }
            match self.taken.head.compare_exchange_weak(head, head + count, FREE_HEAD_PUT, FREE_HEAD_SEE) {
                Ok(_) => {
                    if mutant!("free_places_read_after_the_exchange") {
                        (head..).zip(&mut *out).for_each(|(at, place)| *place = self.place(at).load(Relaxed));
                    }
                    return out.len();
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

    /// How many were ever taken; a snapshot.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.head.load(Relaxed)
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

    fn want(count: u32, most: u32) -> Want {
        Want { count, most, blocks: false }
    }

    /// The first segment, and how many.
    fn take(ring: &FreeRing, table: &SegmentTable, want: Want) -> Option<(u32, u32)> {
        ring.take(want, table, 0, 0, |_| ()).map(|taken| (taken.chain.first, taken.chain.count))
    }

    #[test]
    fn a_chain_is_taken_whole_or_not_at_all() {
        let table = SegmentTable::new(4);
        let ring = FreeRing::new(4);
        ring.put(&[2, 0, 3]);
        assert_eq!(ring.take(want(4, 4), &table, 0, 0, |_| ()), None);
        let taken = ring.take(want(3, 3), &table, 0, 0, |_| ()).expect("three are there");
        assert_eq!((taken.chain.first, table.next(2), table.next(0), taken.last), (2, 0, 3, 3));
        assert_eq!(ring.len(), 0);
        assert_eq!(ring.take(want(1, 1), &table, 0, 0, |_| ()), None);
    }

    #[test]
    fn more_is_taken_only_of_what_follows_in_memory() {
        let table = SegmentTable::new(64);
        let ring = FreeRing::new(64);
        ring.put(&(0..64).collect::<Vec<_>>());
        let take = |count, most| take(&ring, &table, want(count, most));
        assert_eq!(take(1, 16), Some((0, 16)));
        assert_eq!(take(2, 3), Some((16, 3)));
        assert_eq!(take(33, 36), Some((19, 36)), "two exchanges");
        assert!((19..54).all(|segment| table.next(segment) == segment + 1), "linked from end to end");
        assert_eq!(take(10, 64), None, "all that are wanted or none");
        ring.put(&[7, 3, 4, 5, 9, 10, 11, 12]);
        assert_eq!(take(1, 64), Some((55, 9)), "not 7");
        assert_eq!(take(2, 8), Some((7, 4)), "those that are wanted, whatever they are, and what follows the last");
        assert_eq!(take(1, 3), Some((9, 3)));
        assert_eq!(take(1, 3), Some((12, 1)));
    }

    #[test]
    fn who_finds_a_block_begun_leaves_the_next_one_whole() {
        let table = SegmentTable::new(64);
        let ring = FreeRing::new(64);
        ring.put(&(0..64).collect::<Vec<_>>());
        let take = |count, most| take(&ring, &table, Want { blocks: true, ..want(count, most) });
        assert_eq!([take(1, 1), take(1, 2), take(1, 2)], [Some((0, 1)), Some((1, 1)), Some((2, 2))]);
        assert_eq!(
            [take(1, 8), take(1, 8), take(3, 2)],
            [Some((4, 4)), Some((8, 8)), Some((16, 3))],
            "what is wanted goes on"
        );
        assert_eq!([take(1, 3), take(1, 3)], [Some((19, 1)), Some((20, 3))]);
    }

    #[test]
    fn all_of_it_can_be_drained_or_a_part() {
        let ring = FreeRing::new(64);
        ring.put(&(0..50).rev().collect::<Vec<_>>());
        let mut out = Vec::new();
        ring.drain(3, &mut out);
        assert_eq!(out, [49, 48, 47]);
        ring.drain(40, &mut out);
        assert_eq!((out.len(), ring.len()), (43, 7));
        ring.drain(usize::MAX, &mut out);
        assert_eq!(out, (0..50).rev().collect::<Vec<_>>());
        ring.drain(1, &mut out);
        assert_eq!(out.len(), 50);
    }

    #[test]
    fn there_is_room_up_to_the_target_and_again_for_what_was_taken() {
        let table = SegmentTable::new(4);
        let ring = FreeRing::new(4);
        let mut head = 0;
        assert_eq!(ring.room(2, 3, &mut head), 2);
        ring.put(&[0, 1]);
        assert_eq!(ring.room(2, 1, &mut head), 0);
        ring.take(want(2, 2), &table, 0, 0, |_| ()).expect("two are there");
        assert_eq!((ring.room(2, 1, &mut head), head), (1, 2));
    }
}
