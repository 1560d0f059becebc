//! The wire codec: bytes in, bytes out. No sockets, no clock, no threads.
//!
//! | module | what it owns |
//! |---|---|
//! | [`record`], [`compact`] | the record encoder of the send path; its short way for usual records |
//! | [`walk`] | finding, counting and stamping records that are already encoded |
//! | [`batch`] | the 61-byte record batch header |
//! | [`produce`] | framing of Produce requests around bytes that stay where they are, and reading of the responses |
//! | [`control`] | `ApiVersions`, Metadata and `InitProducerId` |
//! | [`sasl`] | `SaslHandshake` and `SaslAuthenticate` |
//! | [`versions`] | which API versions we speak and which one a broker gets |
//! | [`frame`] | cutting a byte stream into response frames |
//! | [`error_code`] | the broker's error codes and what a producer does about them |
//! | [`murmur2`] | Kafka's hash of record keys |
//! | [`crc`], [`varint`], [`error`] | small shared parts |
//!
//! Everything that reads a peer's bytes is bounds-checked, never panics and never allocates by a length that the peer
//! merely states.

pub mod batch;
pub mod compact;
pub mod control;
mod copy;
pub mod crc;
pub mod error;
pub mod error_code;
pub mod frame;
mod head;
pub mod murmur2;
pub mod produce;
mod reader;
pub mod record;
pub mod sasl;
pub mod varint;
pub mod versions;
pub mod walk;

pub use error::WireError;
pub use error_code::{ErrorClass, ErrorCode};
