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

/// `a · b` modulo the polynomial, both bit-reversed (bit 31 is x^0).
const fn multiply(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut i = 0;
    while i < 32 {
        product ^= b & (0u32.wrapping_sub(a >> 31));
        a <<= 1;
        b = (b >> 1) ^ (POLY & 0u32.wrapping_sub(b & 1));
        i += 1;
    }
    product
}

const fn shift_table() -> [[u32; 256]; DIGITS] {
    let mut table = [[1u32 << 31; 256]; DIGITS];
    let mut step = 1u32 << 23; // x^8: one zero byte
    let mut d = 0;
    while d < DIGITS {
        let mut i = 1;
        while i < 256 {
            table[d][i] = multiply(table[d][i - 1], step);
            i += 1;
        }
        step = multiply(table[d][255], step);
        d += 1;
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
