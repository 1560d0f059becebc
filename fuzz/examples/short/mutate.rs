//! Inputs made of others: what a fuzzer does without seeing what it reaches.

/// The numbers that lengths and counts go wrong at.
const INTERESTING: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const LONGEST: usize = 4096;

/// Makes inputs from seeds; the same number and name make the same inputs.
pub(crate) struct Mutator(u64);

impl Mutator {
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a; an xorshift generator must not begin at zero
        let hash =
            name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(hash | 1)
    }

    pub(crate) fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let len = 1 + self.below(8);
        let end = (at + len).min(input.len());
        match self.below(10) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let new: Vec<u8> = (0..len).map(|_| self.random() as u8).collect();
                input.splice(at..at, new);
            }
            3 => {
                let again = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, again);
            }
            4 => {
                let number = INTERESTING[self.below(INTERESTING.len())];
                let bytes = if self.below(2) == 0 { number.to_be_bytes() } else { number.to_le_bytes() };
                input[at..].iter_mut().zip(bytes).for_each(|(old, new)| *old = new);
            }
            5 => {
                // from another seed, in place of the rest
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let until = (from + self.below(32)).min(other.len());
                input.splice(at..at, other[from..until].iter().copied());
            }
            7 => self.at(input, at, |_, byte| byte.wrapping_add(1)),
            8 => self.at(input, at, |rng, byte| byte ^ 1 << rng.below(8)),
            _ => self.at(input, at, |rng, _| rng.random() as u8),
        }
    }

    fn at(&mut self, input: &mut [u8], at: usize, change: impl FnOnce(&mut Self, u8) -> u8) {
        if let Some(byte) = input.get_mut(at) {
            *byte = change(self, *byte);
        }
    }

    fn random(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random() >> 16) as usize % limit
    }
}
