//! Errors, one family per call, sorted by what the caller can do next.

use crate::Record;
use crate::config::ConfigError;
use forebay_engine::SlabError;
use forebay_io::wire::ErrorCode;
use std::sync::Arc;
use std::time::Duration;

pub use forebay_io::core::{DeliveryFailure, FailureKind};

/// Why a record was not accepted, with the record.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct SendError<'a> {
    /// The record, as it was given.
    pub record: Record<'a>,
    /// Why.
    pub kind: SendErrorKind,
}

impl SendError<'_> {
    /// Whether the same call may succeed later, without anybody's help: see [`SendErrorKind::is_retriable`].
    pub fn is_retriable(&self) -> bool {
        self.kind.is_retriable()
    }
}

/// For `?` where the record may not be kept: it is borrowed, and the reason is not.
impl From<SendError<'_>> for SendErrorKind {
    fn from(error: SendError<'_>) -> Self {
        error.kind
    }
}

/// Why a record was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// Full now ([`try_send`](crate::Sender::try_send)). Try later, or use `send`, which waits.
    #[error("the buffer is full now (buffer.memory)")]
    Full,
    /// Still full after waiting (`max.block.ms`, or the call's own deadline): the cluster takes records more slowly than they come.
    #[error(
        "the buffer stayed full for {waited:?} (max.block.ms or the call's deadline); the cluster takes records more slowly than they come"
    )]
    TimedOut {
        /// How long the call waited.
        waited: Duration,
    },
    /// Can never be sent under these settings. Make the record smaller or raise the setting that is named, `max.request.size` or
    /// `buffer.memory` (and, for the former, `message.max.bytes` at the broker).
    #[error("a record of {size} bytes never fits: the limit is {limit} bytes ({setting})")]
    TooLarge {
        /// Bytes of the record with its batch header.
        size: usize,
        /// The smallest limit that it breaks.
        limit: usize,
        /// The setting behind the limit.
        setting: &'static str,
    },
    /// The producer was closed, or its I/O thread has failed.
    #[error("the producer is closed")]
    Closed,
    /// Nothing is known of the topic: the metadata did not come in time, or the cluster refused it. `code` tells which.
    #[error("topic {topic}: {} after {waited:?}", if code.0 == 0 { "no metadata".to_owned() } else { code.to_string() })]
    UnknownTopic {
        /// Its name.
        topic: String,
        /// The cluster's last word on it; 0 if it has said nothing yet.
        code: ErrorCode,
        /// How long the call waited.
        waited: Duration,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has {partitions} partitions, there is no partition {partition}")]
    UnknownPartition {
        /// The topic's name.
        topic: String,
        /// The partition that was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// A partitioner sends through the producer that is asking it, on the same thread. Give it a [`Sender`](crate::Sender)
    /// of its own.
    #[error("a partitioner cannot send through the producer that is asking it")]
    WithinSend,
    /// No broker accepts this producer's credentials, or it trusts none of them: a password, a certificate, a host name. It is
    /// tried again in the background, so sending goes on once that is put right.
    #[error("authentication failed: {reason}")]
    Authentication {
        /// What was said; no secret is in it.
        reason: Arc<str>,
    },
    /// The topic handle was made by another producer.
    #[error("the topic belongs to another producer; make it with this producer's `topic`")]
    ForeignTopic,
    /// The record's create time is negative, which Kafka keeps for "none" (−1) and its own clients refuse.
    #[error("the timestamp {timestamp} is negative: give milliseconds since 1970, or none for the time of the send")]
    InvalidTimestamp {
        /// As it was given.
        timestamp: i64,
    },
}

impl SendErrorKind {
    /// Whether the same call may succeed later, without anybody's help. [`Authentication`](Self::Authentication) is not among them, nor
    /// is a topic that the cluster refuses for good (its name, a right that is missing).
    pub fn is_retriable(&self) -> bool {
        match self {
            SendErrorKind::Full | SendErrorKind::TimedOut { .. } | SendErrorKind::UnknownPartition { .. } => true,
            SendErrorKind::UnknownTopic { code, .. } => !code.refuses_topic(),
            _ => false,
        }
    }
}

/// The outcome of a receipt that is not a delivery.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// No outcome yet: the record is still on its way. Ask again.
    #[error("no outcome yet")]
    Pending,
    /// The record was not delivered, or that is not known; this is final.
    #[error(transparent)]
    Failed(#[from] DeliveryFailure),
    /// The outcome came so long ago that only "some records of that stretch failed" is still known (see
    /// [`Receipt`](crate::Receipt)); this one may be among them.
    #[error("the outcome is no longer kept; records sent around this one have failed")]
    Forgotten,
    /// Nothing is known of the receipt: another producer made it, or its sender was dropped before 64 others were.
    #[error(
        "nothing is known of the receipt: another producer made it, or its sender was dropped before 64 others were"
    )]
    Foreign,
}

/// Why a flush is not a success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// All records have an outcome, and some of them have failed since the last flush.
    #[error("{failed} records were not delivered, the first because: {first}")]
    Failed {
        /// How many.
        failed: u64,
        /// Why the first one failed.
        first: DeliveryFailure,
    },
    /// Records are still on their way. They stay so; flush again to go on waiting.
    #[error("not everything was delivered in time")]
    TimedOut,
    /// The producer was closed, or its I/O thread has failed, before the flush was through.
    #[error("the producer is closed")]
    Closed,
    /// Called in a delivery callback: the I/O thread would wait for itself.
    #[error("a delivery callback cannot wait for a flush: it runs on the thread that does the work")]
    InCallback,
}

/// Why a close is not a success. The producer is closed all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// Records were not delivered: they had failed since the last flush, or the deadline came first.
    #[error("{failed} records were not delivered, the first because: {first}")]
    Failed {
        /// How many.
        failed: u64,
        /// Why the first one failed.
        first: DeliveryFailure,
    },
    /// The I/O thread had failed (a panic, in it or in a delivery callback); the fate of what was on its way is unknown.
    #[error("the I/O thread has failed: {0}")]
    Poisoned(String),
}

/// Why no producer could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The configuration is wrong; all that is wrong is listed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The buffer memory can't be had.
    #[error(transparent)]
    Memory(#[from] SlabError),
    /// TLS cannot be set up: a file, a certificate or a key that cannot be read or used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Tokens cannot be fetched: a file of certificates that cannot be read or used.
    #[error("tokens cannot be fetched: {0}")]
    TokenEndpoint(String),
    /// OAUTHBEARER without a token: set `sasl.oauthbearer.token.endpoint.url`, or give the builder a token source.
    #[error(
        "sasl.mechanism=OAUTHBEARER needs a token: set sasl.oauthbearer.token.endpoint.url to a file: or https: URL, or call ProducerBuilder::oauth_token"
    )]
    NoToken,
    /// The I/O thread could not be started.
    #[error("the I/O thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}
