//! Authentication with a peer that answers as it likes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::authentication::exchange(data));
