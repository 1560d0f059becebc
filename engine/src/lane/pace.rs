//! How many segments a lane takes at once: one while it fills slowly, more while it fills fast. No memory, no atomics.

/// What lanes take at once is at most about this part of the slab, if all of them do that.
const SPREAD: u32 = 8;
/// The same while each takes no more than [`FEW`].
const SPREAD_OF_FEW: u32 = 2;
/// A second segment costs little memory and spares half of the exchanges.
const FEW: u32 = 2;

/// What is the same for all lanes of an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaceLimits {
    /// Segments that a lane takes at once, at most.
    at_once: u32,
    /// Segments of the slab.
    total: u32,
}

impl PaceLimits {
    /// Of a slab of `total` segments.
    pub(crate) fn new(at_once: u32, total: usize) -> Self {
        PaceLimits { at_once: at_once.max(1), total: total as u32 }
    }

    /// How many segments each of so many lanes takes that fill equally fast: a power of two, `most` or less.
    pub(crate) fn block(self, lanes: usize, most: usize) -> u32 {
        let mut block = 1 << self.at_once.min(most.max(1) as u32).ilog2();
        while block > 1 && !self.allows(lanes as u64, block) {
            block /= 2;
        }
        block
    }

    /// Whether each of so many lanes may take so many segments at once.
    fn allows(self, lanes: u64, most: u32) -> bool {
        let part = if most <= FEW { SPREAD_OF_FEW } else { SPREAD };
        lanes * u64::from(most) <= u64::from(self.total / part)
    }

    /// No lane ever takes more than it needs.
    pub(super) fn is_one(self) -> bool {
        self.at_once == 1
    }
}

/// How fast a lane fills, measured in the segments that all lanes take meanwhile.
///
/// If each of N lanes takes `most` at a time and equally often, N × `most` segments are taken between two takes of one of them, and
/// about half as many are held and not begun. So a lane takes more only while not too many go that way: a few lanes that
/// carry everything take many, ten thousand take one each.
#[derive(Debug, Default)]
pub(super) struct Pace {
    most: u32,
    /// Segments that all lanes had taken when this one last did, wrapping.
    seen: u32,
}

impl Pace {
    /// The lane takes segments, and all lanes have taken so many by now: how many it may take at once. `block` are given out together,
    /// as many as there are lanes for ([`PaceLimits::block`]): what this lane has seen may be chance, two of them are not.
    pub(super) fn step(&mut self, limits: PaceLimits, taken: u64, block: u32) -> u32 {
        let meanwhile = (taken as u32).wrapping_sub(std::mem::replace(&mut self.seen, taken as u32));
        let lanes = u64::from((meanwhile / self.most.max(1)).max(1));
        let allowed = |most: u32| limits.allows(lanes, most);
        let most = if self.most == 0 {
            1
        } else if allowed(2 * self.most) {
            2 * self.most
        } else if allowed(self.most) {
            self.most
        } else {
            (self.most / 2).max(block.min(FEW))
        };
        self.most = most.clamp(1, limits.at_once);
        self.most
    }

    /// The lane was idle.
    pub(super) fn reset(&mut self) {
        self.most = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many lanes that take in turn, each as much as it may: what all of them take in one turn in the end.
    fn settled(lanes: usize, at_once: u32, total: usize) -> u32 {
        let limits = PaceLimits::new(at_once, total);
        let mut paces: Vec<_> = (0..lanes).map(|_| Pace::default()).collect();
        let mut taken = 0;
        for round in 0..20 {
            for pace in &mut paces {
                let most = pace.step(limits, taken, 1);
                taken += u64::from(most);
                assert!(round > 0 || most == 1, "slowly at first");
            }
        }
        paces.iter().map(|pace| pace.most).sum()
    }

    #[test]
    fn few_lanes_take_many_and_many_lanes_take_few() {
        assert_eq!([1, 4, 64].map(|lanes| settled(lanes, 16, 16_384)), [16, 4 * 16, 64 * 16]);
        for lanes in [150, 200, 300, 500] {
            let all = settled(lanes, 16, 16_384);
            assert!((1024..=3 * 1024).contains(&all), "{lanes} lanes take {all}: about an eighth");
        }
        for lanes in [1_500, 2_000, 4_000] {
            let all = settled(lanes, 16, 16_384) as usize;
            assert!((lanes + 1..=2 * lanes).contains(&all), "{lanes} lanes take {all}: two each, or nearly");
        }
        assert_eq!(settled(10_000, 16, 16_384), 10_000);
        assert_eq!(settled(1, 1, 16_384), 1);
    }

    #[test]
    fn a_small_slab_is_not_held_by_lanes() {
        assert_eq!([16, 8, 4, 2].map(|total| settled(1, 16, total)), [2, 2, 2, 1]);
        assert_eq!(settled(4, 16, 8), 4);
    }

    #[test]
    fn chance_does_not_break_blocks() {
        let limits = PaceLimits::new(16, 1_000);
        for (block, least) in [(1, 1), (2, 2), (16, 2)] {
            let mut pace = Pace::default();
            // Far more lanes than there are, again and again.
            let steps: Vec<_> = (0..6).map(|take| pace.step(limits, take * 100_000, block)).collect();
            assert_eq!(steps, [1, least, least, least, least, least]);
        }
    }

    #[test]
    fn a_block_is_what_many_lanes_can_have() {
        let limits = PaceLimits::new(32, 16_384);
        let blocks = [0, 1, 64, 65, 256, 1_000, 4_096, 4_097, 10_000].map(|lanes| limits.block(lanes, 2_048));
        assert_eq!(blocks, [32, 32, 32, 16, 8, 2, 2, 1, 1]);
        assert_eq!([0, 1, 3, 4, 100].map(|most| limits.block(1, most)), [1, 1, 2, 4, 32]);
        assert_eq!(PaceLimits::new(12, 16_384).block(1, 2_048), 8, "a power of two");
    }

    #[test]
    fn a_lane_that_was_idle_begins_with_one_again() {
        let limits = PaceLimits::new(16, 1_000);
        let mut pace = Pace::default();
        (0..5).for_each(|take| _ = pace.step(limits, 16 * take, 1));
        assert_eq!(pace.most, 16);
        pace.reset();
        assert_eq!(pace.step(limits, 10_000, 1), 1);
        assert_eq!(pace.step(limits, 10_001, 1), 2);
    }
}
