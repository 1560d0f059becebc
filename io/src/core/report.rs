//! Outcomes of records, as the core reports them.

use std::sync::Arc;

use forebay_engine::LaneId;

use crate::wire::ErrorCode;

/// The outcome of `count` consecutive records of one lane.
///
/// Every record committed to a lane is covered by exactly one report, and the reports of a lane come in the order of
/// its records.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The lane.
    pub lane: LaneId,
    /// The lane's tag: topic and partition.
    pub lane_tag: u64,
    /// The first record, counted from 0 over the lane's life.
    pub first_ordinal: u64,
    /// How many records.
    pub count: u32,
    /// What became of them.
    pub result: Result<Delivered, DeliveryFailure>,
}

/// Where records went.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Delivered {
    /// Offset of the first record of the report, the others follow; −1 if not known (acks=0, or the broker found that
    /// it had the batch already).
    pub base_offset: i64,
    /// The broker's timestamp in ms since 1970 if the topic uses log append time, else −1: the records keep theirs.
    pub log_append_time: i64,
}

/// Why records were not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// What happened.
    pub kind: FailureKind,
    /// True if the records may be in the log nevertheless: they were sent, and no answer excludes it.
    pub possibly_appended: bool,
}

/// The kinds of [`DeliveryFailure`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// `delivery.timeout.ms` is over.
    #[error("not delivered in time ({})", if *.sent { "sent, not acknowledged" } else { "not sent" })]
    TimedOut {
        /// True if the records were written to a broker at least once.
        sent: bool,
    },
    /// The broker refused the batch, or retries are exhausted and this was the last error.
    #[error("refused by the broker: {code}{}", text(.message.as_deref()))]
    Broker {
        /// Kafka's error code; 13 (`NETWORK_EXCEPTION`) if the connection was lost and no retry is left.
        code: ErrorCode,
        /// The broker's words, if it sent any.
        message: Option<Arc<str>>,
    },
    /// The broker refused another record of the same batch, and this one with it (KIP-467).
    #[error("part of a batch with a record that the broker refused: {code}")]
    BatchMate {
        /// Kafka's error code for the batch.
        code: ErrorCode,
    },
    /// A single record is larger than the broker accepts: than `max.message.bytes` of the topic, or `message.max.bytes` of
    /// the broker where the topic has no limit of its own. The protocol does not say the limit; it lies between the two
    /// sizes.
    #[error(
        "a batch of this one record has {size} bytes, and the limit is below that (max.message.bytes of the topic, \
         message.max.bytes of the broker); the largest batch that the topic has taken so far has {accepted}{}",
        text(.message.as_deref())
    )]
    TooLarge {
        /// Bytes of the batch that holds only this record.
        size: usize,
        /// Bytes of the largest batch that the topic has accepted from this producer; 0 if none yet.
        accepted: usize,
        /// The broker's words, if it sent any.
        message: Option<Arc<str>>,
    },
    /// The broker and this client do not believe each other: a password, a certificate, a host name.
    #[error("authentication failed: {message}")]
    Authentication {
        /// What was said; no secret is in it.
        message: Arc<str>,
    },
    /// The producer was closed before the records could be delivered.
    #[error("the producer was closed")]
    Closed,
    /// The I/O thread has failed; the records' fate is not known.
    #[error("the I/O thread has failed")]
    Poisoned,
}

fn text(message: Option<&str>) -> String {
    message.map_or_else(String::new, |m| format!(": {m}"))
}

impl std::fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind.fmt(f)?;
        if self.possibly_appended {
            f.write_str("; the records may have been appended")?;
        }
        Ok(())
    }
}

impl std::error::Error for DeliveryFailure {}
