//! The broker's error codes, and what each one asks of a producer.

use std::fmt;

/// An error code as it stands in a response; 0 is no error.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i16);

/// What a producer does about an error.
///
/// The classes follow the exception classes of Kafka's Java client (4.2); where a comment says "special" the core
/// decides by the state of the partition's sequences.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// No error.
    None,
    /// The same request may succeed later: retry after the backoff.
    Retriable,
    /// As [`Retriable`](Self::Retriable), and the metadata is out of date: refresh it first.
    RetriableRefresh,
    /// The broker has the batch already: a success whose offset is not known.
    DuplicateSequence,
    /// The broker expected another sequence number: special.
    OutOfOrderSequence,
    /// The broker has forgotten the producer id (or never knew it): special.
    UnknownProducerId,
    /// The producer epoch is not the partition's: an idempotent producer takes a new epoch.
    InvalidProducerEpoch,
    /// A newer producer has taken over: this one ends.
    ProducerFenced,
    /// Split the batch if it holds more than one record, else fail it.
    MessageTooLarge,
    /// This batch fails; the producer goes on.
    FatalBatch,
    /// The producer cannot go on.
    FatalProducer,
    /// Forget all known brokers and start from the bootstrap list (KIP-1102).
    Rebootstrap,
}

impl ErrorCode {
    /// No error.
    pub const NONE: Self = Self(0);
    /// The topic or the partition does not exist (yet).
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// The partition has no leader at the moment.
    pub const LEADER_NOT_AVAILABLE: Self = Self(5);
    /// The broker does not lead the partition.
    pub const NOT_LEADER_OR_FOLLOWER: Self = Self(6);
    /// The broker ran out of time waiting for replicas; the records may have been appended.
    pub const REQUEST_TIMED_OUT: Self = Self(7);
    /// The batch is larger than the broker or the topic allows.
    pub const MESSAGE_TOO_LARGE: Self = Self(10);
    /// Client side only: the connection went away.
    pub const NETWORK_EXCEPTION: Self = Self(13);
    /// The topic's name is not a legal one.
    pub const INVALID_TOPIC_EXCEPTION: Self = Self(17);
    /// The principal may not write to the topic.
    pub const TOPIC_AUTHORIZATION_FAILED: Self = Self(29);
    /// The broker does not speak this version of the API.
    pub const UNSUPPORTED_VERSION: Self = Self(35);
    /// The sequence number is not the next one.
    pub const OUT_OF_ORDER_SEQUENCE_NUMBER: Self = Self(45);
    /// The broker has this sequence number already.
    pub const DUPLICATE_SEQUENCE_NUMBER: Self = Self(46);
    /// The producer's epoch is older than the partition's.
    pub const INVALID_PRODUCER_EPOCH: Self = Self(47);
    /// The broker does not know the producer id.
    pub const UNKNOWN_PRODUCER_ID: Self = Self(59);
    /// A newer producer with the same transactional id exists.
    pub const PRODUCER_FENCED: Self = Self(90);
    /// The topic id is not (or no longer) known: the topic may have been re-created.
    pub const UNKNOWN_TOPIC_ID: Self = Self(100);
    /// Metadata only: start again from the bootstrap list.
    pub const REBOOTSTRAP_REQUIRED: Self = Self(129);

    /// True for code 0.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Kafka's name of the code; a code that is not in the table is `UNKNOWN`.
    pub fn name(self) -> &'static str {
        self.row().map_or("UNKNOWN", |row| row.1)
    }

    /// Whether a cluster that says this of a topic will not take it, however often it is asked: its name, or a right that is missing.
    /// Everything else passes, or is taken for something that does, as Java's producer has it.
    pub fn refuses_topic(self) -> bool {
        matches!(self, Self::INVALID_TOPIC_EXCEPTION | Self::TOPIC_AUTHORIZATION_FAILED)
    }

    /// What a producer does about it.
    ///
    /// A code that is not in the table is [`ErrorClass::FatalBatch`]: Kafka's own clients read an unknown code as
    /// `UNKNOWN_SERVER_ERROR`, which is not retriable and fails the batch.
    #[inline]
    pub fn class(self) -> ErrorClass {
        if self.is_none() {
            return ErrorClass::None; // asked for each batch and each answer
        }
        self.row().map_or(ErrorClass::FatalBatch, |row| row.2)
    }

    /// True if the batch may have been appended although the answer is an error.
    pub const fn outcome_unknown(self) -> bool {
        matches!(self.0, 7 | 13 | 20)
    }

    fn row(self) -> Option<&'static (i16, &'static str, ErrorClass)> {
        TABLE.binary_search_by_key(&self.0, |row| row.0).ok().and_then(|i| TABLE.get(i))
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        Self(code)
    }
}

use ErrorClass as C;

/// Sorted by code: `row` searches it by halves.
#[rustfmt::skip]
static TABLE: &[(i16, &str, ErrorClass)] = &[
    (-1, "UNKNOWN_SERVER_ERROR", C::FatalBatch),
    (0, "NONE", C::None),
    (2, "CORRUPT_MESSAGE", C::Retriable),
    (3, "UNKNOWN_TOPIC_OR_PARTITION", C::RetriableRefresh),
    (5, "LEADER_NOT_AVAILABLE", C::RetriableRefresh),
    (6, "NOT_LEADER_OR_FOLLOWER", C::RetriableRefresh),
    (7, "REQUEST_TIMED_OUT", C::Retriable),
    (8, "BROKER_NOT_AVAILABLE", C::FatalBatch),
    (9, "REPLICA_NOT_AVAILABLE", C::RetriableRefresh),
    (10, "MESSAGE_TOO_LARGE", C::MessageTooLarge),
    (13, "NETWORK_EXCEPTION", C::RetriableRefresh),
    (14, "COORDINATOR_LOAD_IN_PROGRESS", C::Retriable),
    (15, "COORDINATOR_NOT_AVAILABLE", C::Retriable),
    (16, "NOT_COORDINATOR", C::Retriable),
    (17, "INVALID_TOPIC_EXCEPTION", C::FatalBatch),
    (18, "RECORD_LIST_TOO_LARGE", C::FatalBatch),
    (19, "NOT_ENOUGH_REPLICAS", C::Retriable),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", C::Retriable),
    (21, "INVALID_REQUIRED_ACKS", C::FatalBatch),
    (29, "TOPIC_AUTHORIZATION_FAILED", C::FatalBatch),
    (31, "CLUSTER_AUTHORIZATION_FAILED", C::FatalProducer),
    (32, "INVALID_TIMESTAMP", C::FatalBatch),
    (33, "UNSUPPORTED_SASL_MECHANISM", C::FatalProducer),
    (34, "ILLEGAL_SASL_STATE", C::FatalProducer),
    (35, "UNSUPPORTED_VERSION", C::FatalProducer),
    (41, "NOT_CONTROLLER", C::Retriable),
    (42, "INVALID_REQUEST", C::FatalBatch),
    (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", C::FatalBatch),
    (44, "POLICY_VIOLATION", C::FatalBatch),
    (45, "OUT_OF_ORDER_SEQUENCE_NUMBER", C::OutOfOrderSequence),
    (46, "DUPLICATE_SEQUENCE_NUMBER", C::DuplicateSequence),
    (47, "INVALID_PRODUCER_EPOCH", C::InvalidProducerEpoch),
    (48, "INVALID_TXN_STATE", C::FatalProducer),
    (49, "INVALID_PRODUCER_ID_MAPPING", C::FatalProducer),
    (51, "CONCURRENT_TRANSACTIONS", C::Retriable),
    (53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", C::FatalProducer),
    (54, "SECURITY_DISABLED", C::FatalBatch),
    (56, "KAFKA_STORAGE_ERROR", C::RetriableRefresh),
    (58, "SASL_AUTHENTICATION_FAILED", C::FatalProducer),
    (59, "UNKNOWN_PRODUCER_ID", C::UnknownProducerId),
    (72, "LISTENER_NOT_FOUND", C::RetriableRefresh),
    (74, "FENCED_LEADER_EPOCH", C::RetriableRefresh),
    (75, "UNKNOWN_LEADER_EPOCH", C::Retriable),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", C::FatalBatch),
    (87, "INVALID_RECORD", C::FatalBatch),
    (89, "THROTTLING_QUOTA_EXCEEDED", C::Retriable),
    (90, "PRODUCER_FENCED", C::ProducerFenced),
    (100, "UNKNOWN_TOPIC_ID", C::RetriableRefresh),
    (103, "INCONSISTENT_TOPIC_ID", C::RetriableRefresh),
    (120, "TRANSACTION_ABORTABLE", C::FatalBatch),
    (129, "REBOOTSTRAP_REQUIRED", C::Rebootstrap),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_row_is_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        for row in TABLE {
            assert_eq!((ErrorCode(row.0).name(), ErrorCode(row.0).class()), (row.1, row.2));
        }
    }

    #[test]
    fn an_unknown_code_fails_the_batch_and_prints_its_number() {
        for code in [i16::MIN, -2, 1_000, i16::MAX] {
            assert_eq!(ErrorCode(code).class(), ErrorClass::FatalBatch);
            assert_eq!(ErrorCode(code).to_string(), format!("UNKNOWN ({code})"));
        }
    }

    #[test]
    fn only_a_record_set_too_large_as_a_message_is_split() {
        assert_eq!(ErrorCode::MESSAGE_TOO_LARGE.class(), ErrorClass::MessageTooLarge);
        assert_eq!(ErrorCode(18).class(), ErrorClass::FatalBatch);
        assert!(ErrorCode::REQUEST_TIMED_OUT.outcome_unknown() && !ErrorCode(19).outcome_unknown());
    }
}
