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
    if let [first, rest @ ..] = tail {
        h ^= u32::from(*first);
        if let [second, rest @ ..] = rest {
            h ^= u32::from(*second) << 8;
            if let [third, ..] = rest {
                h ^= u32::from(*third) << 16;
            }
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)).cast_signed()
}

/// The partition, 0 to `partitions` − 1, that Kafka's default partitioner gives to a record with this key.
#[inline]
pub fn partition_for_key(key: &[u8], partitions: NonZeroU32) -> u32 {
    // Java's `toPositive` clears the sign bit; it is not an absolute value.
    let hash = murmur2(key).cast_unsigned() & 0x7fff_ffff;
    // All that a send does waits for this, and a division takes ten cycles.
    if partitions.is_power_of_two() { hash & (partitions.get() - 1) } else { hash % partitions }
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

    /// As Java has it, a byte at a time.
    fn plain(data: &[u8]) -> u32 {
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let mut hash = SEED ^ data.len() as u32;
        let words = data.len() / 4 * 4;
        for at in (0..words).step_by(4) {
            let k = word(&data[at..at + 4]).wrapping_mul(M);
            hash = hash.wrapping_mul(M) ^ (k ^ k >> R).wrapping_mul(M);
        }
        if words < data.len() {
            hash = (hash ^ word(&data[words..])).wrapping_mul(M);
        }
        let hash = (hash ^ hash >> 13).wrapping_mul(M);
        hash ^ hash >> 15
    }

    #[test]
    fn keys_of_every_length_go_where_the_plain_hash_says_of_any_number_of_partitions() {
        let bytes: Vec<u8> = (0..70_u32).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        let counts = (1..=130).chain([255, 256, 1_000, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX]);
        let counts: Vec<_> = counts.map(|count| NonZeroU32::new(count).expect("not zero")).collect();
        for key in (0..=bytes.len()).map(|len| &bytes[bytes.len() - len..]) {
            let hash = plain(key);
            assert_eq!(murmur2(key).cast_unsigned(), hash, "{key:?}");
            for count in &counts {
                assert_eq!(partition_for_key(key, *count), (hash & 0x7fff_ffff) % *count, "{key:?} of {count}");
            }
        }
    }
}
