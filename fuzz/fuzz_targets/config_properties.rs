//! Configuration files of any content.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::settings::properties(data));
