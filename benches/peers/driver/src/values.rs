//! Values that a verifying broker recognises, as `forebay_mock_broker::payload` makes them, or such as compress like text.
//!
//! Written again here, so that a driver outside the workspace does not build a broker; a test holds the two together.

use std::fmt::Write as _;

/// Bytes that carry the sender and the sequence.
const HEAD: usize = 12;
const FILLINGS: u64 = 64;
const TABLE: usize = 64 * 1024;
const STRIDE: usize = 499;
/// Different values of text: more than any codec's window, or it would find each value whole.
const TEXT_BYTES: usize = 2 << 20;

/// The values of one sender: made beforehand, and only the sequence is written into the next one.
#[derive(Debug)]
pub struct Values {
    size: usize,
    prepared: Vec<u8>,
    fillings: u64,
    sequence: u64,
}

/// The generator `SplitMix64`.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}

impl Values {
    /// Values of `size` bytes, 16 or more. Holds 64 of them, or 2 MiB of text.
    pub fn new(sender: u32, size: usize, text: bool) -> Self {
        let fillings = if text { (TEXT_BYTES / size.max(1)).max(8) as u64 } else { FILLINGS };
        let mut prepared = vec![0; size * fillings as usize];
        if text {
            fill_text(&mut prepared, sender);
        } else {
            let table = table();
            for (at, value) in prepared.chunks_exact_mut(size).enumerate() {
                let mut source = table.iter().skip(at * STRIDE).chain(table.iter().cycle());
                value.iter_mut().skip(HEAD).for_each(|byte| *byte = source.next().copied().unwrap_or(0));
            }
        }
        for value in prepared.chunks_exact_mut(size) {
            if let Some(head) = value.first_chunk_mut::<4>() {
                *head = sender.to_le_bytes();
            }
        }
        Self { size, prepared, fillings, sequence: 0 }
    }

    /// The next value and its sequence.
    #[inline]
    pub fn stamp(&mut self) -> (u64, &[u8]) {
        let sequence = self.sequence;
        self.sequence += 1;
        let start = (sequence % self.fillings) as usize * self.size;
        let value = self.prepared.get_mut(start..start + self.size).unwrap_or_default();
        if let Some(field) = value.get_mut(4..HEAD) {
            field.copy_from_slice(&sequence.to_le_bytes());
        }
        (sequence, value)
    }
}

/// The same on every machine and in every language.
fn table() -> Vec<u8> {
    let mut words = Words(0x9E37_79B9_7F4A_7C15);
    let mut table = Vec::with_capacity(TABLE);
    while table.len() < TABLE {
        table.extend_from_slice(&words.next().to_le_bytes());
    }
    table
}

/// Lines such as services log: names that come again, numbers that don't.
fn fill_text(bytes: &mut [u8], sender: u32) {
    const NAMES: [&str; 16] = [
        "checkout",
        "payment",
        "inventory",
        "search",
        "session",
        "profile",
        "catalogue",
        "shipping",
        "refund",
        "recommend",
        "gateway",
        "audit",
        "pricing",
        "coupon",
        "address",
        "invoice",
    ];
    let mut words = Words(u64::from(sender) + 1);
    let mut text = String::new();
    let name = |word: u64| NAMES[(word % 16) as usize];
    while text.len() < bytes.len() {
        let word = words.next();
        let _ = writeln!(
            text,
            "{{\"service\":\"{}\",\"event\":\"{}-{}\",\"id\":{},\"user\":{},\"ms\":{},\"ok\":{}}}",
            name(word),
            name(word >> 4),
            word >> 8 & 7,
            word >> 20,
            words.next() % 100_000,
            word >> 12 & 255,
            word >> 11 & 15 != 0,
        );
    }
    bytes.copy_from_slice(&text.as_bytes()[..bytes.len()]);
}

#[cfg(test)]
mod tests {
    use super::Values;
    use forebay_mock_broker::payload;

    #[test]
    fn values_are_those_that_the_broker_verifies() {
        for size in [16, 100, 1_024, 70_000] {
            let mut values = Values::new(3, size, false);
            let mut expected = vec![0; size];
            for sequence in 0..200 {
                payload::fill(&mut expected, 3, sequence);
                assert_eq!(values.stamp(), (sequence, expected.as_slice()));
            }
        }
    }

    #[test]
    fn text_differs_from_value_to_value() {
        let mut values = Values::new(0, 100, true);
        let first = values.stamp().1[12..].to_vec();
        assert!((0..10_000).all(|_| values.stamp().1[12..] != first));
    }
}
