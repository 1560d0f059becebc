//! What the wire tests share: damaging messages.

use std::fmt::Write;

/// Lower-case hex without separators.
#[allow(dead_code, reason = "not every test binary prints bytes")]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _infallible = write!(out, "{b:02x}");
        out
    })
}

/// The message cut after each of its bytes but the last.
pub(crate) fn truncations(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..message.len()).map(|n| message[..n].to_vec())
}

/// A few thousand random damages: bytes changed, runs of 0xff and 0x7f (large lengths), pieces removed and repeated.
/// Prints its seed; `FOREBAY_TEST_SEED` sets it.
pub(crate) fn mutations(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let seed =
        std::env::var("FOREBAY_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("FOREBAY_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    (0..3000).map(move |_| {
        let mut bytes = message.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..=bytes.len());
            let len = random.usize(0..9).min(bytes.len() - at);
            match random.u8(0..5) {
                0 => bytes[at..at + len].fill(0xff),
                1 => bytes[at..at + len].fill(0x7f),
                2 => drop(bytes.drain(at..at + len)),
                3 => bytes.splice(at..at, message[..len.min(message.len())].iter().copied()).for_each(drop),
                _ => bytes[at..at + len].iter_mut().for_each(|b| *b = random.u8(..)),
            }
        }
        bytes
    })
}
