//! `SaslHandshake` (KIP-43) and `SaslAuthenticate` (KIP-152, KIP-368): who we are, in messages of the protocol.

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::control::{RequestId, encode, list};
use super::error::WireError;
use super::error_code::ErrorCode;
use super::reader::Reader;
use super::versions::{ApiKey, check, is_flexible};

/// A broker's answer to `SaslHandshake`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslHandshake {
    /// 33 if the broker has not the mechanism.
    pub error: ErrorCode,
    /// What it has.
    pub mechanisms: Vec<String>,
}

/// A broker's answer to `SaslAuthenticate`. Its `Debug` output leaves the mechanism's bytes out.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslAuthenticate {
    /// 58 if it does not believe us.
    pub error: ErrorCode,
    /// The broker's words on that.
    pub message: Option<String>,
    /// What the mechanism has to say.
    pub bytes: Vec<u8>,
    /// How long it believes us, in milliseconds; 0 for good. From v1 on.
    pub session_lifetime_ms: i64,
}

impl std::fmt::Debug for SaslAuthenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SaslAuthenticate")
            .field("error", &self.error)
            .field("message", &self.message)
            .field("session_lifetime_ms", &self.session_lifetime_ms)
            .finish_non_exhaustive()
    }
}

/// Appends a `SaslHandshake` request (v1: what follows is `SaslAuthenticate`, and not bare bytes) to `buf`, as a whole
/// frame.
///
/// # Errors
/// A version that this codec does not speak, or a string that does not fit.
pub fn encode_sasl_handshake(buf: &mut Vec<u8>, id: RequestId<'_>, mechanism: &str) -> Result<(), WireError> {
    let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_string(mechanism.to_owned()));
    encode(buf, ApiKey::SaslHandshake, id, &request)
}

/// Appends a `SaslAuthenticate` request (v0 to v2) to `buf`, as a whole frame.
///
/// # Errors
/// A version that this codec does not speak, or a string that does not fit.
pub fn encode_sasl_authenticate(buf: &mut Vec<u8>, id: RequestId<'_>, bytes: Vec<u8>) -> Result<(), WireError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(bytes));
    encode(buf, ApiKey::SaslAuthenticate, id, &request)
}

/// Reads a `SaslHandshake` response (what follows the correlation id).
///
/// # Errors
/// The first violation of the protocol that was found.
pub fn parse_sasl_handshake(version: i16, body: &[u8]) -> Result<SaslHandshake, WireError> {
    check(ApiKey::SaslHandshake, version)?;
    let mut r = Reader::new(body, false);
    let error = ErrorCode(r.i16("error code")?);
    let mechanisms = list(&mut r, "mechanisms", 2, |r| Ok(r.string("mechanism")?.to_owned()))?;
    Ok(SaslHandshake { error, mechanisms })
}

/// Reads a `SaslAuthenticate` response (what follows the correlation id).
///
/// # Errors
/// The first violation of the protocol that was found.
pub fn parse_sasl_authenticate(version: i16, body: &[u8]) -> Result<SaslAuthenticate, WireError> {
    check(ApiKey::SaslAuthenticate, version)?;
    let mut r = Reader::new(body, is_flexible(ApiKey::SaslAuthenticate, version));
    r.skip_tags()?; // of the response header
    let error = ErrorCode(r.i16("error code")?);
    let message = r.nullable_string("error message")?.map(str::to_owned);
    // Bytes have a length of four bytes where strings have one of two: that of a count.
    let len = r.nullable_count("auth bytes")?.unwrap_or(0);
    let bytes = r.bytes(len, "auth bytes")?.to_vec();
    let session_lifetime_ms = if version >= 1 { r.i64("session lifetime")? } else { 0 };
    r.skip_tags()?;
    Ok(SaslAuthenticate { error, message, bytes, session_lifetime_ms })
}
