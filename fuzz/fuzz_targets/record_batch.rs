//! Records in straddling slices, their batch and its request, read back by another implementation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::batches::round_trip(data));
