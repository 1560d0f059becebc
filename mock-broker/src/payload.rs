//! Record values that prove their own order and content.
//!
//! A value of 12 bytes or more begins with the sender (`u32`) and its sequence in the partition (`u64`), both little
//! endian; the rest is a slice of a fixed pseudo-random table, chosen by the sequence. Smaller values are table bytes
//! alone. Making one costs an eight-byte write ([`Stamper`]), checking one costs a `memcmp` ([`matches()`]).

use std::sync::LazyLock;

/// Bytes that carry the sender and the sequence.
pub const HEAD: usize = 12;

/// How many different fillings there are: a sequence uses filling `sequence % FILLINGS`.
pub const FILLINGS: u64 = 64;

const TABLE: usize = 64 * 1024;
/// Odd, so that fillings do not share alignment, and small enough for the last one to begin in the first half.
const STRIDE: usize = 499;

static PSEUDO_RANDOM: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut table = Vec::with_capacity(TABLE);
    while table.len() < TABLE {
        // SplitMix64: the same table on every machine and in every version of this crate.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        table.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    table.into_boxed_slice()
});

/// The table's bytes for a sequence: a first stretch, then the whole table as often as it takes.
fn stretches(sequence: u64) -> impl Iterator<Item = &'static [u8]> {
    let start = (sequence % FILLINGS) as usize * STRIDE;
    let table: &'static [u8] = &PSEUDO_RANDOM;
    std::iter::once(table.get(start..).unwrap_or(table)).chain(std::iter::repeat(table))
}

fn fill_body(mut body: &mut [u8], sequence: u64) {
    for stretch in stretches(sequence) {
        let length = body.len().min(stretch.len());
        let (now, later) = body.split_at_mut(length);
        now.copy_from_slice(&stretch[..length]);
        if later.is_empty() {
            return;
        }
        body = later;
    }
}

fn body_matches(mut body: &[u8], sequence: u64) -> bool {
    for stretch in stretches(sequence) {
        let length = body.len().min(stretch.len());
        let (now, later) = body.split_at(length);
        if now != &stretch[..length] {
            return false;
        }
        if later.is_empty() {
            return true;
        }
        body = later;
    }
    true
}

/// Fills `value` for this sender and sequence; below [`HEAD`] bytes the sender leaves no trace in it.
pub fn fill(value: &mut [u8], sender: u32, sequence: u64) {
    if let Some((head, body)) = value.split_first_chunk_mut::<HEAD>() {
        *head = head_of(sender, sequence);
        fill_body(body, sequence);
    } else {
        fill_body(value, sequence);
    }
}

fn head_of(sender: u32, sequence: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&sender.to_le_bytes());
    head[4..].copy_from_slice(&sequence.to_le_bytes());
    head
}

/// The sender and sequence at the front of a value; `None` if it is smaller than [`HEAD`].
pub fn head(value: &[u8]) -> Option<(u32, u64)> {
    let (head, _) = value.split_first_chunk::<HEAD>()?;
    let (sender, sequence) = head.split_first_chunk::<4>()?;
    let sequence = sequence.first_chunk::<8>()?;
    Some((u32::from_le_bytes(*sender), u64::from_le_bytes(*sequence)))
}

/// Whether everything after the head (or all of a value too small for one) is what [`fill`] writes for `sequence`.
pub fn matches(value: &[u8], sequence: u64) -> bool {
    body_matches(value.get(HEAD..).unwrap_or(value), sequence)
}

/// A hash of one value. Added up with wrapping addition over many values, it does not depend on their order.
pub fn checksum(value: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64 ^ value.len() as u64;
    for byte in value {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash ^ (hash >> 29)
}

/// Makes the values of one sender, a few nanoseconds each: [`FILLINGS`] values are prepared when it is made, and only
/// the sequence is written into the next one.
///
/// ```
/// use forebay_mock_broker::payload::{self, Stamper};
/// let mut stamper = Stamper::new(7, 100, 2);
/// assert_eq!(payload::head(stamper.next(1)), Some((7, 0)));
/// let value = stamper.next(1);
/// assert_eq!(payload::head(value), Some((7, 1)));
/// assert!(payload::matches(value, 1));
/// ```
#[derive(Debug, Clone)]
pub struct Stamper {
    size: usize,
    /// `FILLINGS` values of `size` bytes, one after the other.
    prepared: Box<[u8]>,
    next: Vec<u64>,
}

impl Stamper {
    /// Values of `size` bytes from `sender`, each of `partitions` partitions with a sequence of its own from 0.
    /// For one sequence over all partitions say 1 and always stamp partition 0.
    ///
    /// Holds 64 × `size` bytes.
    pub fn new(sender: u32, size: usize, partitions: usize) -> Self {
        let mut prepared = vec![0; size * FILLINGS as usize].into_boxed_slice();
        if size > 0 {
            for (sequence, value) in prepared.chunks_exact_mut(size).enumerate() {
                fill(value, sender, sequence as u64);
            }
        }
        Self { size, prepared, next: vec![0; partitions.max(1)] }
    }

    /// The next value for this partition.
    ///
    /// # Panics
    /// If there are not so many partitions.
    #[inline]
    pub fn next(&mut self, partition: usize) -> &[u8] {
        let sequence = self.next[partition];
        self.next[partition] = sequence + 1;
        self.stamp(sequence)
    }

    /// The value of this sequence, for callers that count themselves: one whose send was refused stamps it again.
    #[inline]
    pub fn stamp(&mut self, sequence: u64) -> &[u8] {
        let start = (sequence % FILLINGS) as usize * self.size;
        let value = &mut self.prepared[start..start + self.size];
        if let Some(field) = value.get_mut(4..HEAD) {
            field.copy_from_slice(&sequence.to_le_bytes());
        }
        value
    }

    /// Takes back the last value of this partition, if it was not sent.
    ///
    /// # Panics
    /// If there are not so many partitions, or none was made.
    pub fn undo(&mut self, partition: usize) {
        self.next[partition] = self.next[partition].checked_sub(1).expect("no value was made for this partition");
    }

    /// How many values were made for this partition: the sequence of its next one.
    pub fn made(&self, partition: usize) -> u64 {
        self.next.get(partition).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_value_is_what_fill_makes() {
        for size in [0, 1, 11, 12, 13, 100, 1024, 70_000, 200_000] {
            let mut stamper = Stamper::new(3, size, 1);
            let mut expected = vec![0; size];
            for sequence in 0..200 {
                fill(&mut expected, 3, sequence);
                assert_eq!(stamper.next(0), expected, "size {size}, sequence {sequence}");
            }
        }
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        for size in [1_usize, 11, 40, 66_000] {
            let mut value = vec![0; size];
            fill(&mut value, 9, 77);
            assert!(matches(&value, 77));
            let first = if size >= HEAD { HEAD } else { 0 };
            for at in [first, size / 2 + first / 2, size - 1] {
                value[at] ^= 1;
                assert!(!matches(&value, 77), "size {size}, byte {at}");
                value[at] ^= 1;
            }
        }
    }

    #[test]
    fn an_unsent_value_is_made_again() {
        let mut stamper = Stamper::new(1, 20, 2);
        stamper.next(1);
        let second = stamper.next(1).to_vec();
        stamper.undo(1);
        assert_eq!(stamper.made(1), 1);
        assert_eq!(stamper.next(1), second);
        assert_eq!(stamper.made(0), 0);
    }

    #[test]
    fn the_checksum_tells_values_apart_and_ignores_order() {
        let (a, b) = (checksum(b"one"), checksum(b"two"));
        assert_ne!(a, b);
        assert_eq!(a.wrapping_add(b), checksum(b"two").wrapping_add(checksum(b"one")));
        assert_ne!(checksum(b""), checksum(b"\0"));
    }
}
