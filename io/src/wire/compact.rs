//! The short way through the record encoder: records with a value and without headers whose lengths take one byte or two, which
//! is nearly all of them. Its only branches on a length are those on how to copy, of which 64 bytes is the one that also decides how many
//! bytes the lengths take; the head is one word. What it writes is what [`record::encode`](super::record::encode) writes.

use super::copy::{copy, copy_few};
use super::varint::{spread14, two_bytes};

/// The longest key, in bytes: its length takes one byte.
pub const KEY_MAX: usize = 63;
/// The longest value, in bytes: the record's length then takes two bytes at most.
pub const VALUE_MAX: usize = 8_000;
/// The most bytes that a record has besides key and value: length 2, attributes 1, timestamp delta 2, offset delta 2, key length 1,
/// value length 2, header count 1.
pub const OVERHEAD_MAX: usize = 11;

/// From so many bytes on a value's length takes two bytes, and so does that of a record with it.
const TWO: usize = 0x40;

/// Attributes, timestamp delta and offset delta (unstamped) as they stand in a record's head: the same for all records of a tick of
/// the clock.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    bytes: u64,
    len: u32,
    /// Where a key's length stands behind a length of two bytes and this, in bits.
    key_at: u32,
}

impl Moment {
    /// The start of a window.
    pub const START: Moment = Moment::of_small(0);

    /// Of a record that is `delta` milliseconds after the start of its window. None if that takes more than two bytes: it is before
    /// the window or behind it.
    #[inline]
    pub const fn of(delta: i64) -> Option<Moment> {
        if delta >= 0 && delta < 1 << 13 { Some(Self::of_small(delta)) } else { None }
    }

    const fn of_small(delta: i64) -> Moment {
        let (timestamp, n) = spread14((delta as u32) << 1);
        // attributes 0, timestamp delta, offset delta 0 padded to two bytes
        let len = 3 + n as u32;
        Moment { bytes: (timestamp as u64) << 8 | 0x80 << (8 * (1 + n)), len, key_at: 8 * (2 + len) }
    }
}

/// A record that goes the short way, measured.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Compact {
    /// Everything up to the key's length.
    head: u64,
    head_len: usize,
    total_len: usize,
}

impl Compact {
    /// Measures a record without headers. None if it has to go the long way.
    #[inline(always)]
    pub fn measure(moment: Moment, key_len: Option<usize>, value: usize) -> Option<Compact> {
        let key = key_len.unwrap_or(0);
        if key > KEY_MAX || value > VALUE_MAX {
            return None;
        }
        // Body: moment, key length and key, value length and value, header count.
        let moment_len = moment.len as usize;
        let zkey = key_len.map_or(1, |len| (len as u64) << 1);
        if value >= TWO {
            let body = moment_len + 4 + key + value;
            let head = u64::from(two_bytes((body as u32) << 1)) | moment.bytes << 16 | zkey << moment.key_at;
            return Some(Compact { head, head_len: moment_len + 3, total_len: 2 + body });
        }
        let body = moment_len + 3 + key + value;
        let (length, n) = spread14((body as u32) << 1);
        let head = u64::from(length) | moment.bytes << (8 * n) | zkey << (8 * (n as u32 + moment.len));
        Some(Compact { head, head_len: n + moment_len + 1, total_len: n + body })
    }

    /// All bytes of the record.
    #[inline(always)]
    pub fn total_len(&self) -> usize {
        self.total_len
    }

    /// Encodes the record that was measured.
    ///
    /// # Panics
    /// If `out` is not [`Compact::total_len`] bytes long, or another record was measured.
    #[inline(always)]
    pub fn encode(&self, key: Option<&[u8]>, value: &[u8], out: &mut [u8]) {
        if out.len() != self.total_len || self.put(key, value, out).is_none() {
            mismeasured();
        }
    }

    /// As [`Compact::encode`], handed over piece by piece. The first piece is the record's head and more.
    #[inline]
    pub fn encode_to(&self, key: Option<&[u8]>, value: &[u8], put: &mut impl FnMut(&[u8])) {
        put(&self.head.to_le_bytes()[..self.head_len]);
        if let Some(key) = key {
            put(key);
        }
        let zvalue = (value.len() as u32) << 1;
        if value.len() >= TWO {
            put(&two_bytes(zvalue).to_le_bytes());
        } else {
            put(&[zvalue as u8]);
        }
        put(value);
        put(&[0]);
    }

    #[inline(always)]
    fn put(&self, key: Option<&[u8]>, value: &[u8], out: &mut [u8]) -> Option<()> {
        // The head has 6 to 8 bytes and the record 8 or more: what is written too much is overwritten.
        *out.first_chunk_mut::<8>()? = self.head.to_le_bytes();
        let mut rest = out.get_mut(self.head_len..)?;
        if let Some(key) = key {
            let (dest, behind) = rest.split_at_mut_checked(key.len())?;
            copy_few(key, dest);
            rest = behind;
        }
        let zvalue = (value.len() as u32) << 1;
        let rest = if value.len() >= TWO {
            *rest.first_chunk_mut::<2>()? = two_bytes(zvalue).to_le_bytes();
            rest.get_mut(2..)?
        } else {
            *rest.first_mut()? = zvalue as u8;
            rest.get_mut(1..)?
        };
        let (dest, count) = rest.split_at_mut_checked(value.len())?;
        *count.first_mut()? = 0;
        copy(value, dest);
        Some(())
    }
}

#[cold]
#[inline(never)]
fn mismeasured() -> ! {
    panic!("the slice is not the size of the record that was measured");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::{Shape, encode};
    use proptest::prelude::*;

    /// What the long way writes.
    fn long(delta: i64, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
        let shape = Shape::measure(delta, key.map(<[u8]>::len), Some(value.len()), &[]).expect("small");
        let mut out = vec![0xee; shape.total_len];
        encode(&shape, delta, key, Some(value), &[], &mut out);
        out
    }

    fn short(delta: i64, key: Option<&[u8]>, value: &[u8]) -> Option<Vec<u8>> {
        let record = Compact::measure(Moment::of(delta)?, key.map(<[u8]>::len), value.len())?;
        let mut out = vec![0xee; record.total_len()];
        record.encode(key, value, &mut out);
        let mut pieces = Vec::new();
        record.encode_to(key, value, &mut |piece| pieces.extend_from_slice(piece));
        assert_eq!(pieces, out, "at once or piece by piece");
        Some(out)
    }

    #[test]
    fn both_ways_write_the_same_at_every_border() {
        let bytes: Vec<u8> = (0..VALUE_MAX + 3).map(|i| i as u8).collect();
        for delta in [0, 1, 63, 64, 127, 4_095, 8_191] {
            for key in [None, Some(0), Some(1), Some(15), Some(16), Some(62), Some(KEY_MAX)] {
                let key = key.map(|len| &bytes[..len]);
                for value in (0..200).chain([4_000, VALUE_MAX]) {
                    let value = &bytes[3..][..value];
                    let record = short(delta, key, value).expect("short");
                    assert_eq!(record, long(delta, key, value), "{delta} {key:?} {value:?}");
                    let content = key.map_or(0, <[u8]>::len) + value.len();
                    assert!(record.len() <= content + OVERHEAD_MAX);
                }
            }
        }
    }

    #[test]
    fn what_is_not_short_is_refused() {
        assert_eq!(Moment::of(-1), None);
        assert_eq!(Moment::of(8_192), None);
        assert_eq!(Compact::measure(Moment::START, Some(KEY_MAX + 1), 0), None);
        assert_eq!(Compact::measure(Moment::START, None, VALUE_MAX + 1), None);
        assert_eq!(Compact::measure(Moment::START, None, usize::MAX), None);
    }

    #[test]
    #[should_panic(expected = "the slice is not the size")]
    fn another_records_slice_is_noticed() {
        let record = Compact::measure(Moment::START, None, 10).expect("short");
        let mut out = vec![0; record.total_len()];
        record.encode(None, &[0; 12], &mut out);
    }

    proptest! {
        #[test]
        fn both_ways_write_the_same(
            delta in 0..8_192i64,
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=KEY_MAX)),
            value in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            prop_assert_eq!(short(delta, key.as_deref(), &value), Some(long(delta, key.as_deref(), &value)));
        }
    }
}
