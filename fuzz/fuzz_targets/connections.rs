//! The whole core between arbitrary peers: bytes, splits, order and time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::machine::play(data));
