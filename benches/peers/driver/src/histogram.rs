//! Counts by size, within 1.6 %, the same in every driver: 64 steps between two powers of two.

use std::fmt::Write as _;

const STEPS: usize = 64;

/// A histogram of whole numbers; its exact maximum beside it.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let place = place(value);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.max = self.max.max(value);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max = self.max.max(other.max);
    }

    /// `{"max":N,"counts":[[least value, count],…]}`, without the empty ones.
    pub fn json(&self) -> String {
        let mut text = format!("{{\"max\":{},\"counts\":[", self.max);
        let mut comma = "";
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let _ = write!(text, "{comma}[{},{count}]", least(place));
            comma = ",";
        }
        text + "]}"
    }
}

/// 0 to 127 as they are; above, the highest seven bits.
fn place(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(7) as usize;
    shift * STEPS + (value >> shift) as usize
}

fn least(place: usize) -> u64 {
    let shift = (place / STEPS).saturating_sub(1);
    ((place - shift * STEPS) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::{Histogram, least, place};

    #[test]
    fn places_rise_with_values_and_are_within_two_percent() {
        let mut before = 0;
        for value in (0..100_000).chain((17..40).map(|bits| (1_u64 << bits) + 12_345)) {
            let place = place(value);
            assert!(place >= before && place <= before + 2_000, "{value}");
            let least = least(place);
            assert!(least <= value && value - least <= value / 60, "{value} in {least}");
            before = place;
        }
    }

    #[test]
    fn counts_add_up() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(5);
        other.record(5);
        other.record(1_000);
        one.add(&other);
        assert_eq!(one.json(), "{\"max\":1000,\"counts\":[[5,2],[1000,1]]}");
    }
}
