//! Kafka's variable-length integers: seven bits a byte, least significant group first, top bit set on all but the last.
//! Signed ones are zigzag-coded first.

/// The most bytes of a 32-bit varint.
pub const MAX_LEN_32: usize = 5;
/// The most bytes of a 64-bit varint.
pub const MAX_LEN_64: usize = 10;

/// Zigzag: 0, −1, 1, −2 … become 0, 1, 2, 3 …
#[inline(always)]
pub const fn zigzag32(v: i32) -> u32 {
    ((v << 1) ^ (v >> 31)) as u32
}

/// Zigzag of 64 bits.
#[inline(always)]
pub const fn zigzag64(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// The inverse of [`zigzag32`].
#[inline(always)]
pub const fn unzigzag32(v: u32) -> i32 {
    (v >> 1).cast_signed() ^ -((v & 1).cast_signed())
}

/// The inverse of [`zigzag64`].
#[inline(always)]
pub const fn unzigzag64(v: u64) -> i64 {
    (v >> 1).cast_signed() ^ -((v & 1).cast_signed())
}

/// Bytes of the varint of `v`.
///
/// Compares instead of counting leading zeros: `lzcnt` is not in the x86-64 baseline, and `bsr` is slow on AMD.
#[inline(always)]
pub const fn len32(v: u32) -> usize {
    1 + (v >= 1 << 7) as usize + (v >= 1 << 14) as usize + (v >= 1 << 21) as usize + (v >= 1 << 28) as usize
}

/// Bytes of the varint of `v`.
#[inline(always)]
pub const fn len64(v: u64) -> usize {
    if v < 1 << 28 {
        return len32(v as u32);
    }
    // (bits * 9 + 64) / 64 equals ceil(bits / 7) for every bits in 1..=64.
    ((640 - v.leading_zeros() * 9) / 64) as usize
}

/// The varint of `v` (below 2^14) as the low bytes of a word, and its length in bytes (1 or 2), without a branch.
#[inline(always)]
pub(crate) const fn spread14(v: u32) -> (u32, usize) {
    debug_assert!(v < 1 << 14);
    let two = (v >= 0x80) as u32;
    ((v & 0x7f) | (two << 7) | ((v & 0x3f80) << 1), 1 + two as usize)
}

/// The varint of `v` (2^7 to below 2^14), which has two bytes.
#[inline(always)]
pub(crate) const fn two_bytes(v: u32) -> u16 {
    debug_assert!(v >= 1 << 7 && v < 1 << 14);
    ((v & 0x7f) | 0x80 | ((v & 0x3f80) << 1)) as u16
}

/// The varint of `v` (below 2^28) as the low bytes of a word, and its length in bytes (1 to 4).
///
/// No branch depends on the value, so a mix of lengths costs no mispredictions.
#[inline(always)]
pub(crate) const fn spread28(v: u32) -> (u32, usize) {
    debug_assert!(v < 1 << 28);
    let (two, three, four) = ((v >= 1 << 7) as u32, (v >= 1 << 14) as u32, (v >= 1 << 21) as u32);
    let groups = (v & 0x7f) | ((v << 1) & 0x7f00) | ((v << 2) & 0x7f_0000) | ((v << 3) & 0x7f00_0000);
    let more = two << 7 | three << 15 | four << 23;
    (groups | more, 1 + (two + three + four) as usize)
}

/// Writes the varint of `v` and returns its length.
#[inline]
pub fn put64(out: &mut [u8; MAX_LEN_64], mut v: u64) -> usize {
    let mut n = 0;
    for byte in out.iter_mut() {
        n += 1;
        if v < 0x80 {
            *byte = v as u8;
            break;
        }
        *byte = v as u8 | 0x80;
        v >>= 7;
    }
    n
}

/// Reads a varint of at most 32 bits from the front of `bytes`: the value and its length.
///
/// `None` if the bytes end inside it or it is longer than five bytes. Bits above the 32nd are dropped, as Kafka's
/// own readers do.
#[inline]
pub fn read32(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut v = 0u32;
    for (i, &b) in bytes.iter().take(MAX_LEN_32).enumerate() {
        v |= u32::from(b & 0x7f).wrapping_shl(7 * i as u32);
        if b < 0x80 {
            return Some((v, i + 1));
        }
    }
    None
}

/// Reads a varint of at most 64 bits from the front of `bytes`: the value and its length. See [`read32`].
#[inline]
pub fn read64(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut v = 0u64;
    for (i, &b) in bytes.iter().take(MAX_LEN_64).enumerate() {
        v |= u64::from(b & 0x7f).wrapping_shl(7 * i as u32);
        if b < 0x80 {
            return Some((v, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges() -> Vec<u64> {
        (0..64).flat_map(|s| [(1u64 << s) - 1, 1 << s, (1 << s) + 1]).chain([u64::MAX]).collect()
    }

    #[test]
    fn lengths_and_values_survive_a_round_trip_at_every_group_border() {
        for v in edges() {
            let mut out = [0; MAX_LEN_64];
            let n = put64(&mut out, v);
            assert_eq!(n, len64(v), "{v:#x}");
            assert_eq!(read64(&out), Some((v, n)));
            assert_eq!(read64(&out[..n - 1]), None, "cut short");
            if let Ok(w) = u32::try_from(v) {
                assert_eq!(len32(w), n);
                assert_eq!(read32(&out), Some((w, n)));
                if w < 1 << 14 {
                    let (word, len) = spread14(w);
                    assert_eq!((&word.to_le_bytes()[..len], len), (&out[..n], n));
                    assert_eq!(word >> (8 * len), 0, "nothing above the varint");
                    if len == 2 {
                        assert_eq!(u32::from(two_bytes(w)), word);
                    }
                }
                if w < 1 << 28 {
                    let (word, len) = spread28(w);
                    assert_eq!((&word.to_le_bytes()[..len], len), (&out[..n], n));
                    assert_eq!(u64::from(word) >> (8 * len), 0, "nothing above the varint");
                }
            }
        }
    }

    #[test]
    fn a_varint_without_an_end_is_refused() {
        assert_eq!(read32(&[0x80; 6]), None);
        assert_eq!(read64(&[0xff; 11]), None);
        assert_eq!(read32(&[]), None);
    }

    proptest! {
        #[test]
        fn zigzag_is_a_bijection_and_keeps_small_numbers_small(v: i64, w: i32) {
            prop_assert_eq!(unzigzag64(zigzag64(v)), v);
            prop_assert_eq!(unzigzag32(zigzag32(w)), w);
            prop_assert!(zigzag32(w) <= 2u32.saturating_mul(w.unsigned_abs()).max(1));
        }
    }
}
