//! The buckets of a distribution: eight to each power of two, so that a bucket is an eighth of its value wide.

/// Values from 0 to 2³⁶ and beyond, which all count as the last.
pub(super) const BUCKETS: usize = (36 - 2) * 8;
/// The first power of two that has eight buckets of its own.
const FIRST: u32 = 3;

/// The bucket of a value.
pub(super) fn of(value: u64) -> usize {
    let power = (value | 1).ilog2();
    if power < FIRST {
        return value as usize;
    }
    let eighth = (value >> (power - FIRST)) & 7;
    ((power - FIRST + 1) as usize * 8 + eighth as usize).min(BUCKETS - 1)
}

/// The value in the middle of a bucket.
fn middle(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let shift = (bucket / 8 - 1) as u32;
    let lowest = (8 + (bucket % 8) as u64) << shift;
    lowest + ((1_u64 << shift) - 1) / 2
}

/// The value below which a part `q` of what was counted lies. 0 if nothing was.
pub(super) fn quantile(counts: &[u32], q: f64) -> u64 {
    let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if all == 0 {
        return 0;
    }
    let rank = ((all as f64 * q.clamp(0.0, 1.0)).ceil() as u64).clamp(1, all);
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += u64::from(*count);
        if seen >= rank {
            return middle(bucket);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_an_eighth_of_its_values_wide() {
        let mut last = 0;
        for value in
            (0..4096_u64).chain((12..36).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 12_345]))
        {
            let bucket = of(value);
            if value < 4096 {
                assert!(bucket == last || bucket == last + 1, "no bucket is left out at {value}");
                last = bucket;
            }
            let off = middle(bucket).abs_diff(value);
            assert!(off * 16 <= value, "{value} is told as {}", middle(bucket));
        }
        assert_eq!(of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_near_the_sorted_values() {
        let mut counts = vec![0; BUCKETS];
        (1..=10_000_u64).for_each(|value| counts[of(value)] += 1);
        for (q, exact) in [(0.0, 1_u64), (0.5, 5_000), (0.99, 9_900), (1.0, 10_000)] {
            let told = quantile(&counts, q);
            assert!(told.abs_diff(exact) * 16 <= exact.max(16), "{q}: {told} is not near {exact}");
        }
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
