//! Records: any bytes walked, and encoded ones read back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::records::walk(data));
