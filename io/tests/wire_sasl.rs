//! SASL's messages against the kafka-protocol crate, and against bytes that nobody should send.

use bytes::Bytes;
use forebay_io::wire::control::RequestId;
use forebay_io::wire::sasl::{
    encode_sasl_authenticate, encode_sasl_handshake, parse_sasl_authenticate, parse_sasl_handshake,
};
use forebay_io::wire::{ErrorCode, WireError};
use kafka_protocol::messages::{
    RequestHeader, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use proptest::prelude::*;

const fn id(version: i16) -> RequestId<'static> {
    RequestId { version, correlation_id: 7, client_id: "me" }
}

#[test]
fn requests_are_what_the_protocol_says() {
    let mut frame = Vec::new();
    encode_sasl_handshake(&mut frame, id(1), "PLAIN").expect("encodes");
    let mut bytes = Bytes::from(frame.split_off(4));
    let header = RequestHeader::decode(&mut bytes, 1).expect("a header");
    assert_eq!((header.request_api_key, header.request_api_version, header.correlation_id), (17, 1, 7));
    assert_eq!(&*SaslHandshakeRequest::decode(&mut bytes, 1).expect("a request").mechanism, "PLAIN");
    for version in 0..=2 {
        let mut frame = Vec::new();
        encode_sasl_authenticate(&mut frame, id(version), vec![0, 1, 2]).expect("encodes");
        let mut bytes = Bytes::from(frame.split_off(4));
        let header = RequestHeader::decode(&mut bytes, if version == 2 { 2 } else { 1 }).expect("a header");
        assert_eq!((header.request_api_key, header.request_api_version), (36, version));
        let request = SaslAuthenticateRequest::decode(&mut bytes, version).expect("a request");
        assert_eq!(&request.auth_bytes[..], [0, 1, 2]);
        assert!(bytes.is_empty());
    }
    assert!(encode_sasl_handshake(&mut Vec::new(), id(0), "PLAIN").is_err(), "v0 is followed by bare bytes");
}

#[test]
fn answers_are_read_as_the_crate_writes_them() {
    let mechanisms = ["PLAIN", "GSSAPI"].map(StrBytes::from_static_str).to_vec();
    let answer = SaslHandshakeResponse::default().with_error_code(33).with_mechanisms(mechanisms);
    let mut body = Vec::new();
    answer.encode(&mut body, 1).expect("encodes");
    let read = parse_sasl_handshake(1, &body).expect("parses");
    assert_eq!((read.error, read.mechanisms), (ErrorCode(33), vec!["PLAIN".to_owned(), "GSSAPI".to_owned()]));
    for version in 0..=2 {
        let mut answer = SaslAuthenticateResponse::default()
            .with_error_code(58)
            .with_error_message(Some(StrBytes::from_static_str("no")))
            .with_auth_bytes(Bytes::from_static(b"v=hunter2"));
        answer.session_lifetime_ms = if version >= 1 { 3_600_000 } else { 0 };
        let mut body = Vec::new();
        if version == 2 {
            body.push(0); // the tags of the response header
        }
        answer.encode(&mut body, version).expect("encodes");
        let read = parse_sasl_authenticate(version, &body).expect("parses");
        assert_eq!(
            (read.error, read.message.as_deref(), &read.bytes[..]),
            (ErrorCode(58), Some("no"), &b"v=hunter2"[..])
        );
        assert_eq!(read.session_lifetime_ms, if version >= 1 { 3_600_000 } else { 0 });
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}

#[test]
fn stated_lengths_of_billions_are_errors() {
    assert!(parse_sasl_handshake(1, &[0, 0, 0x7f, 0xff, 0xff, 0xff]).is_err());
    let body = [0, 0, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff];
    assert!(matches!(parse_sasl_authenticate(0, &body), Err(WireError::Truncated { .. })));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(body in prop::collection::vec(any::<u8>(), 0..80), version in 0_i16..=2) {
        let _ = parse_sasl_handshake(1, &body);
        let _ = parse_sasl_authenticate(version, &body);
    }
}
