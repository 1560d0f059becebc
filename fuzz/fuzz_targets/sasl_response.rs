//! `SaslHandshake` and `SaslAuthenticate` responses of any peer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::authentication::responses(data));
