//! Kafka's murmur2, by which every Java client since 0.8.2 places keyed records.

use std::num::NonZeroU32;

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The hash of `org.apache.kafka.common.utils.Utils.murmur2`, as the signed number Java prints.
#[inline]
pub fn murmur2(data: &[u8]) -> i32 {
    // A key of 4 GiB cannot exist on the wire; Java's length is 32 bits as well.
    let mut h = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = match *tail {
        [a] => u32::from(a),
        [a, b] => u32::from(a) | u32::from(b) << 8,
        [a, b, c] => u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16,
        _ => 0,
    };
    if !tail.is_empty() {
        h = (h ^ rest).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)).cast_signed()
}

/// The partition, 0 to `partitions` − 1, that Kafka's default partitioner gives to a record with this key.
#[inline]
pub fn partition_for_key(key: &[u8], partitions: NonZeroU32) -> u32 {
    // Java's `toPositive` clears the sign bit; it is not an absolute value.
    (murmur2(key).cast_unsigned() & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_kafkas_own_unit_test() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_loses_its_sign_bit_and_nothing_else() {
        let n = NonZeroU32::new(10).expect("not zero");
        // -973932308 & 0x7fffffff = 1173551340
        assert_eq!(partition_for_key(b"21", n), 0);
        assert_eq!(partition_for_key(b"21", NonZeroU32::new(1_000_003).expect("not zero")), 1_173_551_340 % 1_000_003);
        assert_eq!(partition_for_key(b"", NonZeroU32::MIN), 0);
    }
}
