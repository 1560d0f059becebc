//! Exponential backoff: doubles from a first delay to a largest one, each ±20 % (KIP-580).

use std::time::Duration;

/// How much a delay may deviate from its nominal length, both ways.
const JITTER: f64 = 0.2;

/// The delay before attempt number `failures + 1`.
pub(crate) fn delay(first: Duration, largest: Duration, failures: u32, rng: &mut fastrand::Rng) -> Duration {
    if failures == 0 || first.is_zero() {
        return Duration::ZERO;
    }
    let doubled = first.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX).max(1));
    let nominal = doubled.min(largest.max(first));
    let factor = 1.0 - JITTER + 2.0 * JITTER * rng.f64();
    Duration::try_from_secs_f64(nominal.as_secs_f64() * factor).unwrap_or(nominal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_jitter_by_a_fifth() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (first, largest) = (Duration::from_millis(100), Duration::from_secs(1));
        for (failures, nominal) in [(1, 100.0), (2, 200.0), (3, 400.0), (4, 800.0), (5, 1_000.0), (40, 1_000.0)] {
            for _ in 0..100 {
                let ms = delay(first, largest, failures, &mut rng).as_secs_f64() * 1e3;
                assert!(ms >= nominal * 0.799 && ms <= nominal * 1.201, "{failures} failures: {ms} ms");
            }
        }
        assert_eq!(delay(first, largest, 0, &mut rng), Duration::ZERO);
    }
}
