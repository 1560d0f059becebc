//! What is handed over: records of about one size, and a reader that proves that every byte came, in order.

/// Bytes of a record's own length at its start, little-endian; the length counts itself.
const PREFIX: usize = 4;
/// What the reader looks at in a record that it only touches: its length and the eight bytes behind.
const TOUCHED: usize = PREFIX + 8;
/// The senders' source stays in a first-level cache, so that it is the queue that is measured.
const SOURCE_BYTES: usize = 16 * 1024;

/// Records as a sender has them: random bytes, lengths within a quarter of the mean.
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// A power of two of them.
    ranges: Vec<(usize, usize)>,
}

impl Records {
    pub(crate) fn new(mean: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = (SOURCE_BYTES / mean).next_power_of_two();
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let len = random.usize(mean - mean / 4..=mean + mean / 4).max(TOUCHED);
            let from = bytes.len();
            bytes.extend_from_slice(&(len as u32).to_le_bytes());
            bytes.resize_with(from + len, || random.u8(..));
            ranges.push((from, bytes.len()));
        }
        Records { bytes, ranges }
    }

    #[inline]
    pub(crate) fn get(&self, number: u64) -> &[u8] {
        let (from, to) = self.ranges[number as usize & (self.ranges.len() - 1)];
        &self.bytes[from..to]
    }

    /// The length that no record exceeds.
    pub(crate) fn longest(mean: usize) -> usize {
        mean + mean / 4
    }

    pub(crate) fn mean_len(&self) -> f64 {
        self.bytes.len() as f64 / self.ranges.len() as f64
    }

    /// What a reader has seen that saw the records from `first` to `end`.
    pub(crate) fn expected(&self, first: u64, end: u64, look: Look) -> Seen {
        let mut reader = Reader::new(look);
        for number in first..end {
            reader.record(self.get(number));
        }
        reader.seen()
    }
}

/// How closely the consumer looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// The length of each record and the eight bytes behind it.
    Touch,
    /// Every byte.
    Whole,
}

impl Look {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Look::Touch => "touched",
            Look::Whole => "read whole",
        }
    }
}

/// What passed through a reader; depends on the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) digest: u64,
}

/// The consumer's eye: finds records in whatever pieces a queue shows them.
pub(crate) struct Reader {
    look: Look,
    seen: Seen,
    /// Bytes of the record under way that have no further part in the digest.
    skip: usize,
    /// The start of a record whose rest is in the next slice.
    carried: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(look: Look) -> Self {
        Reader { look, seen: Seen::default(), skip: 0, carried: Vec::with_capacity(64 * 1024) }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }

    #[inline]
    pub(crate) fn records(&self) -> u64 {
        self.seen.records
    }

    /// One whole record, its length in front.
    #[inline]
    pub(crate) fn record(&mut self, record: &[u8]) {
        let first = word(record, PREFIX);
        let digest = match self.look {
            Look::Touch => first,
            Look::Whole => sum(record),
        };
        self.count(digest, record.len());
    }

    #[inline]
    fn count(&mut self, digest: u64, len: usize) {
        self.seen.records += 1;
        self.seen.bytes += len as u64;
        self.seen.digest = self.seen.digest.rotate_left(5).wrapping_add(digest ^ len as u64);
    }

    /// The next bytes of a stream of records; records may begin and end anywhere.
    #[inline]
    pub(crate) fn stream(&mut self, mut slice: &[u8]) {
        if self.skip > 0 || !self.carried.is_empty() {
            slice = self.resume(slice);
        }
        while let Some(len) = length(slice) {
            let enough = if self.look == Look::Touch { TOUCHED } else { len };
            if slice.len() < enough {
                break;
            }
            if let Some((record, rest)) = slice.split_at_checked(len) {
                self.record(record);
                slice = rest;
            } else {
                self.count(word(slice, PREFIX), len);
                self.skip = len - slice.len();
                slice = &[];
            }
        }
        self.carried.extend_from_slice(slice);
    }

    /// Ends the record that the slice before left unfinished.
    #[cold]
    #[inline(never)]
    fn resume<'a>(&mut self, slice: &'a [u8]) -> &'a [u8] {
        let skipped = self.skip.min(slice.len());
        self.skip -= skipped;
        let mut slice = &slice[skipped..];
        while !self.carried.is_empty() && !slice.is_empty() {
            let known = length(&self.carried);
            let enough = match (known, self.look) {
                (None, _) => PREFIX,
                (Some(_), Look::Touch) => TOUCHED,
                (Some(len), Look::Whole) => len,
            };
            let (now, later) = slice.split_at((enough - self.carried.len()).min(slice.len()));
            self.carried.extend_from_slice(now);
            slice = later;
            if let (Some(len), true) = (known, self.carried.len() == enough) {
                let carried = std::mem::take(&mut self.carried);
                if self.look == Look::Whole {
                    self.record(&carried);
                } else {
                    self.count(word(&carried, PREFIX), len);
                    let rest = len - TOUCHED;
                    let skipped = rest.min(slice.len());
                    self.skip = rest - skipped;
                    slice = &slice[skipped..];
                }
                self.carried = carried;
                self.carried.clear();
            }
        }
        slice
    }
}

#[inline]
fn length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|len| u32::from_le_bytes(*len) as usize)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// All bytes, at the price of little more than fetching them: a reader that computes for longer than its queue takes is what is measured.
#[inline]
fn sum(record: &[u8]) -> u64 {
    let (blocks, rest) = record.as_chunks::<64>();
    let mut sums = [0u64; 4];
    for block in blocks {
        add(&mut sums, block);
    }
    if !rest.is_empty() {
        if let Some(last) = record.last_chunk() {
            // Some bytes count twice, in another place of another word.
            add(&mut sums, last);
        } else {
            let words = rest.as_chunks::<8>().0;
            sums[0] = words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word)));
            sums[1] = record.last_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        }
    }
    let [a, b, c, d] = sums;
    (a ^ b.rotate_left(16)).wrapping_add(c.rotate_left(32) ^ d.rotate_left(48))
}

#[inline]
fn add(sums: &mut [u64; 4], block: &[u8; 64]) {
    let (words, _) = block.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = sum.wrapping_add(word(at)).wrapping_add(word(at + 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_show_the_same_records() {
        let mut random = fastrand::Rng::with_seed(4);
        for look in [Look::Touch, Look::Whole] {
            for mean in [16, 100, 1024] {
                let records = Records::new(mean, 1);
                let all: Vec<u8> = (0..200).flat_map(|number| records.get(number).to_vec()).collect();
                let mut reader = Reader::new(look);
                let mut rest = &all[..];
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(random.usize(1..=rest.len().min(mean * 3)));
                    reader.stream(now);
                    rest = later;
                }
                assert_eq!(reader.seen(), records.expected(0, 200, look));
            }
        }
    }

    #[test]
    fn a_byte_that_changed_and_records_that_changed_places_show() {
        let records = Records::new(100, 1);
        let expected = records.expected(0, 2, Look::Whole);
        let mut reader = Reader::new(Look::Whole);
        reader.record(records.get(1));
        reader.record(records.get(0));
        assert_ne!(reader.seen(), expected);
        let mut reader = Reader::new(Look::Whole);
        let mut damaged = records.get(0).to_vec();
        damaged[99.min(records.get(0).len() - 1)] ^= 1;
        reader.record(&damaged);
        reader.record(records.get(1));
        assert_ne!(reader.seen(), expected);
    }
}
