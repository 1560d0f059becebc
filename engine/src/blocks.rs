//! Free segments that wait for their neighbours. No atomics: the I/O side's alone.
//!
//! A lane that fills takes several segments at once where they follow each other in memory. They are freed one by one, as their records
//! are acknowledged; given out again like that, soon no two neighbours are free at once, and each lane takes one at a time. So they are
//! given out by the block, an aligned power of two of them, once all of a block is free.

/// So few are sorted.
const FEW: usize = 16;
/// With more words than this to look at for each segment, sorting is cheaper.
const SPARSE: usize = 8;

/// A set of segments.
pub(crate) struct Blocks {
    /// A bit for each segment that waits.
    bits: Box<[u64]>,
    total: usize,
    /// Segments of a block: a power of two, 64 at most. One: none waits.
    size: u32,
    waiting: usize,
    /// The word in which [`Blocks::take`] goes on.
    next: usize,
}

impl Blocks {
    /// Of a slab of `total` segments.
    pub(crate) fn new(total: usize) -> Self {
        let bits = vec![0; total.div_ceil(64)].into_boxed_slice();
        Blocks { bits, total, size: 1, waiting: 0, next: 0 }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// From now on so many segments are a block. What is whole by that goes to `out`.
    pub(crate) fn resize(&mut self, size: u32, out: &mut Vec<u32>) {
        debug_assert!(size.is_power_of_two() && size <= 64, "a block lies in one word");
        let smaller = size < self.size;
        self.size = size;
        if smaller && self.waiting > 0 {
            self.give_whole(0..self.bits.len(), out);
        }
    }

    /// Of `freed` and of what waits leaves what may go, in the order of the addresses; the rest waits.
    pub(crate) fn pass(&mut self, freed: &mut Vec<u32>) {
        if self.size == 1 && freed.len() <= FEW {
            return freed.sort_unstable();
        }
        let (mut first, mut last) = (usize::MAX, 0);
        for segment in freed.iter() {
            let at = *segment as usize / 64;
            (first, last) = (first.min(at), last.max(at));
        }
        let words = first..last + 1;
        if self.size == 1 && words.len() > SPARSE * freed.len() {
            return freed.sort_unstable();
        }
        self.waiting += freed.len();
        for segment in freed.drain(..) {
            self.bits[segment as usize / 64] |= 1 << (segment % 64);
        }
        self.give_whole(words, freed);
    }

    /// Up to `count` of those that wait, whole blocks or not.
    pub(crate) fn take(&mut self, count: usize, out: &mut Vec<u32>) {
        let mut left = count.min(self.waiting);
        self.waiting -= left;
        while left > 0 {
            let word = &mut self.bits[self.next];
            if *word == 0 {
                self.next = (self.next + 1) % self.bits.len();
                continue;
            }
            out.push(self.next as u32 * 64 + word.trailing_zeros());
            *word &= *word - 1;
            left -= 1;
        }
    }

    /// Visits those that wait.
    pub(crate) fn each(&self, mut visit: impl FnMut(u32)) {
        for (at, word) in self.bits.iter().enumerate() {
            each_segment(at, *word, &mut visit);
        }
    }

    /// The blocks of these words of which all waits.
    fn give_whole(&mut self, words: std::ops::Range<usize>, out: &mut Vec<u32>) {
        for at in words {
            if self.bits[at] == 0 {
                continue;
            }
            let valid = u64::MAX >> 64_usize.saturating_sub(self.total - at * 64);
            let whole = whole(self.bits[at] | !valid, self.size) & valid;
            self.bits[at] &= !whole;
            self.waiting -= whole.count_ones() as usize;
            each_segment(at, whole, |segment| out.push(segment));
        }
    }
}

/// Visits the segments whose bits are ones in the word at this place.
#[inline]
fn each_segment(at: usize, mut word: u64, mut visit: impl FnMut(u32)) {
    while word != 0 {
        visit(at as u32 * 64 + word.trailing_zeros());
        word &= word - 1;
    }
}

/// The bits of `word` that lie in aligned groups of `size` ones.
fn whole(word: u64, size: u32) -> u64 {
    let ones = u64::MAX >> (64 - size);
    // A one where `size` ones begin; then only those that begin a group, and each of these `size` times.
    let (mut begins, mut known) = (word, 1);
    while known < size {
        begins &= begins >> known;
        known *= 2;
    }
    (begins & (u64::MAX / ones)) * ones
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(blocks: &mut Blocks, freed: &[u32]) -> Vec<u32> {
        let mut freed = freed.to_vec();
        blocks.pass(&mut freed);
        freed
    }

    fn waiting(blocks: &Blocks) -> Vec<u32> {
        let mut all = Vec::new();
        blocks.each(|segment| all.push(segment));
        assert_eq!(all.len(), blocks.waiting());
        all
    }

    #[test]
    fn groups_of_ones_are_found_where_they_are_aligned() {
        for size in [1, 2, 4, 8, 16, 32, 64] {
            let mut random = 0x1234_5678_9abc_def1_u64;
            for round in 0..2_000_u32 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Of few zeros too: long groups are rare.
                let word = (0..round % 4).fold(random, |word, by| word | random.rotate_left(7 + 13 * by));
                let mut expected = 0;
                for start in (0..64).step_by(size as usize) {
                    let group = (u64::MAX >> (64 - size)) << start;
                    expected |= if word & group == group { group } else { 0 };
                }
                assert_eq!(whole(word, size), expected, "{word:x}, {size}");
            }
            assert_eq!((whole(u64::MAX, size), whole(0, size)), (u64::MAX, 0));
        }
    }

    #[test]
    fn what_goes_is_in_order() {
        for size in [1, 4] {
            for count in [0, 1, 4, 20, 40, 400] {
                let mut blocks = Blocks::new(100_000);
                blocks.resize(size, &mut Vec::new());
                let mut freed: Vec<u32> = (0..count).map(|at| (count - at) * 7_919 % 100_000).collect();
                let gone = pass(&mut blocks, &freed);
                freed.sort_unstable();
                assert!(gone.is_sorted() && (size > 1 || gone == freed), "{gone:?}");
                let mut all = [gone, waiting(&blocks)].concat();
                all.sort_unstable();
                assert_eq!(all, freed);
            }
        }
    }

    #[test]
    fn a_block_goes_when_all_of_it_is_free() {
        let mut blocks = Blocks::new(1_000);
        assert_eq!(pass(&mut blocks, &[3, 4, 9]), [3, 4, 9], "blocks of one");
        blocks.resize(4, &mut Vec::new());
        assert_eq!(pass(&mut blocks, &[0, 1, 3, 4, 5, 6, 7, 9, 62, 63, 64]), [4, 5, 6, 7]);
        assert_eq!(waiting(&blocks), [0, 1, 3, 9, 62, 63, 64]);
        assert_eq!(
            pass(&mut blocks, &[2, 60, 61, 65]),
            [0, 1, 2, 3, 60, 61, 62, 63],
            "in the order of their addresses"
        );
        assert_eq!(waiting(&blocks), [9, 64, 65]);
        assert!(pass(&mut blocks, &[]).is_empty());
    }

    #[test]
    fn the_last_block_may_be_shorter() {
        for size in [2, 4, 8, 16, 32, 64] {
            let mut blocks = Blocks::new(67);
            blocks.resize(size, &mut Vec::new());
            let last = 67 / size * size;
            assert_eq!(pass(&mut blocks, &(last..67).collect::<Vec<_>>()), (last..67).collect::<Vec<_>>(), "{size}");
            assert_eq!(pass(&mut blocks, &(0..64).collect::<Vec<_>>()), (0..64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn smaller_blocks_are_whole_sooner() {
        let mut blocks = Blocks::new(128);
        blocks.resize(8, &mut Vec::new());
        assert!(pass(&mut blocks, &[1, 8, 9, 64, 65, 66, 67]).is_empty());
        let mut out = Vec::new();
        blocks.resize(16, &mut out);
        assert!(out.is_empty());
        blocks.resize(2, &mut out);
        assert_eq!((out, waiting(&blocks)), (vec![8, 9, 64, 65, 66, 67], vec![1]));
        let mut out = Vec::new();
        blocks.resize(1, &mut out);
        assert_eq!((out, blocks.waiting()), (vec![1], 0));
    }

    #[test]
    fn what_waits_can_be_taken_all_the_same() {
        let mut blocks = Blocks::new(200);
        blocks.resize(16, &mut Vec::new());
        assert!(pass(&mut blocks, &[5, 70, 71, 199]).is_empty());
        let mut out = Vec::new();
        blocks.take(2, &mut out);
        assert_eq!((&out[..], waiting(&blocks)), (&[5, 70][..], vec![71, 199]));
        assert!(pass(&mut blocks, &[6]).is_empty());
        blocks.take(9, &mut out);
        assert_eq!((&out[..], blocks.waiting()), (&[5, 70, 71, 199, 6][..], 0), "round the slab");
        blocks.take(1, &mut out);
        assert_eq!(out.len(), 5);
    }
}
