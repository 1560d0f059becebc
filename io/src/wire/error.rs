//! What can be wrong with bytes that came from a peer, or with a request that cannot be written.

use super::versions::{ApiKey, VersionRange};

/// A peer's bytes do not follow the protocol, or a request does not fit it.
///
/// After any of these the connection that the bytes came from is out of step: close it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends before the field that was being read.
    #[error("message ends inside {field}")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
    },
    /// A length or count is negative, or null where the protocol allows no null.
    #[error("invalid length {length} for {field}")]
    InvalidLength {
        /// The field that was being read.
        field: &'static str,
        /// The length as stated.
        length: i64,
    },
    /// A varint is longer than its type allows.
    #[error("overlong varint in {field}")]
    InvalidVarint {
        /// The field that was being read.
        field: &'static str,
    },
    /// A string is not UTF-8.
    #[error("{field} is not UTF-8")]
    InvalidUtf8 {
        /// The field that was being read.
        field: &'static str,
    },
    /// A frame states a size below 4 bytes or above the limit of the reader.
    #[error("frame of {size} bytes, allowed are 4 to {max}")]
    FrameSize {
        /// The size as stated.
        size: i32,
        /// The largest frame that the reader accepts.
        max: usize,
    },
    /// A request would not fit the protocol's 31-bit sizes.
    #[error("request of {len} bytes is larger than the protocol allows")]
    RequestTooLarge {
        /// Bytes of the whole request.
        len: usize,
    },
    /// A request cannot be written in this version.
    #[error("cannot encode {api:?} v{version}: {why}")]
    Encode {
        /// The API of the request.
        api: ApiKey,
        /// The version that was asked for.
        version: i16,
        /// Which field does not fit and why.
        why: String,
    },
    /// A version that this codec does not speak.
    #[error("{api:?} v{version} is not supported")]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version that was asked for.
        version: i16,
    },
    /// The broker and this client have no version of an API in common.
    #[error("no common version of {api:?}: this client speaks {ours}, the broker {}", theirs.map_or_else(|| "none".to_owned(), |r| r.to_string()))]
    NoCommonVersion {
        /// The API.
        api: ApiKey,
        /// What this client speaks.
        ours: VersionRange,
        /// What the broker advertised; `None` if it does not know the API.
        theirs: Option<VersionRange>,
    },
}
