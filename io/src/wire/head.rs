//! The heads of records that are already encoded, as [`walk`](super::walk) reads them: length, attributes, timestamp delta and
//! offset delta.

use super::varint::{read32, read64, unzigzag32, unzigzag64};

/// A record's head as parsed.
#[derive(Copy, Clone)]
pub(super) struct Head {
    /// Bytes of the whole record.
    pub(super) total: usize,
    /// Where in the record its offset delta stands.
    pub(super) offset_at: usize,
    pub(super) ts_delta: i64,
}

/// Reads one head after the other, for a block of records, and remembers the last: records of one size and one millisecond have
/// the same. Then nothing is parsed, and the place of the next record does not wait until this one's length is read.
pub(super) struct Heads {
    /// The bits of the last head that must be the same, in the record's first word: all but the number in the offset delta.
    mask: u64,
    word: u64,
    head: Head,
    /// Records in a row whose head was another. After [`MISSES`] nothing is compared any more.
    misses: u32,
}

/// Records of many sizes cost a comparison each, which is seldom worth its while: after so many in a row the rest of a block goes
/// without.
const MISSES: u32 = 4;

impl Heads {
    /// No head was read yet.
    pub(super) const NONE: Self =
        Self { mask: 0, word: 1, head: Head { total: 0, offset_at: 0, ts_delta: 0 }, misses: 0 };

    /// The head at the front of `bytes`. `None` if it is not one that the record encoder writes.
    #[inline(always)]
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<Head> {
        self.last_again(bytes).or_else(|| self.parse(bytes))
    }

    #[inline(always)]
    fn last_again(&mut self, bytes: &[u8]) -> Option<Head> {
        if self.misses >= MISSES || u64::from_le_bytes(*bytes.first_chunk::<8>()?) & self.mask != self.word {
            return None;
        }
        self.misses = 0;
        Some(self.head)
    }

    #[inline(always)]
    fn parse(&mut self, bytes: &[u8]) -> Option<Head> {
        if let Some(word) = bytes.first_chunk::<8>().map(|word| u64::from_le_bytes(*word))
            && let Some(head) = parse_word(word)
        {
            if self.misses < MISSES {
                let at = 8 * head.offset_at;
                let mask = ((1 << at) - 1) | (0x8080 << at);
                *self = Self { mask, word: word & mask, head, misses: self.misses + 1 };
            }
            return Some(head);
        }
        parse_plainly(bytes)
    }
}

/// The usual head, which fits eight bytes: a length of one or two bytes or three, a delta of one or two.
///
/// The branches predict well, and so the next record's address does not wait for arithmetic over the lengths' lengths.
#[inline(always)]
fn parse_word(word: u64) -> Option<Head> {
    let (zlen, n) = if word & 0x80 == 0 {
        (word & 0x7f, 1)
    } else if word & 0x8000 == 0 {
        ((word & 0x7f) | ((word >> 1) & 0x3f80), 2)
    } else if word & 0x80_0000 == 0 {
        ((word & 0x7f) | ((word >> 1) & 0x3f80) | ((word >> 2) & 0x1f_c000), 3)
    } else {
        return None;
    };
    let rest = word >> (8 * n);
    let (zts, m) = if rest & 0x8000 == 0 {
        ((rest >> 8) & 0x7f, 1)
    } else if rest & 0x80_0000 == 0 {
        (((rest >> 8) & 0x7f) | ((rest >> 9) & 0x3f80), 2)
    } else {
        return None;
    };
    // attributes 0; first byte of the offset delta continues, second ends; length not negative and not too small
    let offset = rest >> (8 + 8 * m);
    let body = zlen >> 1;
    if rest & 0xff != 0 || offset & 0x8080 != 0x0080 || zlen & 1 != 0 || body < min_body(m) {
        return None;
    }
    let ts_delta = unzigzag64(zts);
    Some(Head { total: n + body as usize, offset_at: n + 1 + m as usize, ts_delta })
}

#[cold]
#[inline(never)]
fn parse_plainly(bytes: &[u8]) -> Option<Head> {
    let (zlen, n) = read32(bytes)?;
    let (&attributes, rest) = bytes.get(n..)?.split_first()?;
    let (zts, m) = read64(rest)?;
    let offset = rest.get(m..)?.first_chunk::<2>()?;
    let body = u64::try_from(unzigzag32(zlen)).ok()?;
    if attributes != 0 || offset[0] < 0x80 || offset[1] >= 0x80 || body < min_body(m as u64) {
        return None;
    }
    let total = n.checked_add(usize::try_from(body).ok()?)?;
    Some(Head { total, offset_at: n + 1 + m, ts_delta: unzigzag64(zts) })
}

/// The smallest body with a timestamp delta of `ts_len` bytes: attributes, offset delta, and three lengths of one byte.
#[inline(always)]
const fn min_body(ts_len: u64) -> u64 {
    1 + ts_len + 2 + 3
}
