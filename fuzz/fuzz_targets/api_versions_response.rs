//! `ApiVersions` responses of any peer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_fuzz::responses::api_versions(data));
