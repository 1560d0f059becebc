//! CRC-32C, and joining the checksums of two stretches without reading either again.
//!
//! The batch header changes when a producer id, an epoch or a sequence does, and it stands *before* the records that
//! the same checksum covers. So the records are summed once, while they are hot, and the header's checksum is combined
//! with theirs.

use crc_fast::{CrcAlgorithm, checksum};

/// The Castagnoli polynomial, bit-reversed.
const POLY: u32 = 0x82f6_3b78;
/// Digits of a length in base 256 that the table covers: every length a Kafka message can have.
const DIGITS: usize = 4;
/// `SHIFT[d][i]` is x^(8 · i · 256^d) modulo the polynomial: "append i · 256^d zero bytes".
static SHIFT: [[u32; 256]; DIGITS] = shift_table();
/// `REMAINDER[n][i]` is what the byte i leaves modulo the polynomial if n other bytes stand behind it.
static REMAINDER: [[u32; 256]; 4] = remainder_table();

/// CRC-32C (Castagnoli) of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The CRC-32C of `a ++ b` from those of `a` and `b` and the length of `b`.
///
/// Mark Adler's method (zlib's `crc32_combine`): one multiplication per byte of the length instead of one matrix
/// squaring per bit. `crc_fast::checksum_combine` builds its matrices anew each time and takes many times as long, which
/// a batch of 16 KiB would notice.
pub fn combine(a: u32, b: u32, b_len: u32) -> u32 {
    let mut crc = a;
    for (table, digit) in SHIFT.iter().zip(b_len.to_le_bytes()) {
        if digit != 0 {
            crc = multiply(table[usize::from(digit)], crc);
        }
    }
    crc ^ b
}

/// `a · b` modulo the polynomial, all bit-reversed (bit 31 is x^0): the product without carries, and what it leaves by the tables.
///
/// Once for each batch, so a batch of twenty records feels it: bit by bit it takes three times as long.
fn multiply(a: u32, b: u32) -> u32 {
    let product = product(a, b) << 1; // bit 63 is x^0
    let beyond = (product as u32).to_le_bytes();
    (product >> 32) as u32
        ^ REMAINDER[3][usize::from(beyond[0])]
        ^ REMAINDER[2][usize::from(beyond[1])]
        ^ REMAINDER[1][usize::from(beyond[2])]
        ^ REMAINDER[0][usize::from(beyond[3])]
}

/// The product of two polynomials over GF(2), of whose coefficients each is a bit.
///
/// Each factor is taken apart into four, with every fourth of its bits. Where two such parts are multiplied as numbers, at most
/// eight ones come together in a place: that fits the three empty places beside it, and no carry reaches the next (Thomas
/// Pornin, `BearSSL`).
fn product(a: u32, b: u32) -> u64 {
    const PARTS: [u64; 4] =
        [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x4444_4444_4444_4444, 0x8888_8888_8888_8888];
    let (a, b) = (PARTS.map(|part| u64::from(a) & part), PARTS.map(|part| u64::from(b) & part));
    let sum = |n: usize| (0..4).fold(0, |sum, i| sum ^ a[i].wrapping_mul(b[(n + 4 - i) % 4]));
    (0..4).fold(0, |all, n| all | sum(n) & PARTS[n])
}

/// As [`multiply`], bit by bit: for the tables, which are made at compile time.
const fn multiply_by_bits(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut i = 0;
    while i < 32 {
        product ^= b & (0u32.wrapping_sub(a >> 31));
        a <<= 1;
        b = append_bit(b);
        i += 1;
    }
    product
}

/// `a · x` modulo the polynomial.
const fn append_bit(a: u32) -> u32 {
    (a >> 1) ^ (POLY & 0u32.wrapping_sub(a & 1))
}

const fn shift_table() -> [[u32; 256]; DIGITS] {
    let mut table = [[1u32 << 31; 256]; DIGITS];
    let mut step = 1u32 << 23; // x^8: one zero byte
    let mut d = 0;
    while d < DIGITS {
        let mut i = 1;
        while i < 256 {
            table[d][i] = multiply_by_bits(table[d][i - 1], step);
            i += 1;
        }
        step = multiply_by_bits(table[d][255], step);
        d += 1;
    }
    table
}

const fn remainder_table() -> [[u32; 256]; 4] {
    let mut table = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bits = 0;
        while bits < 32 {
            rest = append_bit(rest);
            bits += 1;
            if bits % 8 == 0 {
                table[bits / 8 - 1][byte] = rest;
            }
        }
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn multiplied_at_once_or_bit_by_bit() {
        let numbers = || (0..600u32).map(|n| n.wrapping_mul(0x9e37_79b9) ^ n).chain([1, 1 << 31, u32::MAX]);
        for a in numbers() {
            for b in numbers() {
                assert_eq!(multiply(a, b), multiply_by_bits(a, b), "{a:#x} times {b:#x}");
            }
        }
    }

    #[test]
    fn combining_equals_summing_the_whole_and_the_library_agrees() {
        let data: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let whole = crc32c(&data);
        for cut in [0, 1, 40, 255, 256, 257, 65_535, 65_536, 134_464, 199_999, 200_000] {
            let (a, b) = data.split_at(cut);
            assert_eq!(combine(crc32c(a), crc32c(b), b.len() as u32), whole, "cut at {cut}");
        }
        for len in [0u32, 1, 0xffff, 0x0100_0000, 0x7fff_ffff] {
            let theirs = crc_fast::checksum_combine(CrcAlgorithm::Crc32Iscsi, 0x1234_5678, 0x9abc_def0, u64::from(len));
            assert_eq!(combine(0x1234_5678, 0x9abc_def0, len), theirs as u32, "length {len}");
        }
    }
}
