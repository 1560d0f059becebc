//! Receipts: one per accepted record, free to make, free to ignore.

use std::sync::Arc;

/// What `send` gives for an accepted record: 24 bytes to be copied, kept or ignored.
///
/// Ask [`Producer::wait`](crate::Producer::wait), [`Producer::poll`](crate::Producer::poll) or
/// [`Producer::delivery`](crate::Producer::delivery) for the outcome, from any thread.
///
/// A receipt reserves nothing, so memory does not grow with receipts that nobody asks about. The price: outcomes are
/// kept in a log of fixed size per sender (1,024 stretches; a stretch of successes with consecutive offsets is one,
/// however long). Of a success that has left the log, only the offset is forgotten. A failure that has left it is still
/// remembered, exactly for the last ones and then as the stretch it lies in: a record is never reported as delivered
/// that was not.
///
/// Of a sender that was dropped the log is kept until 64 others were dropped after it; then its receipts are
/// [`Foreign`](crate::DeliveryError::Foreign).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Receipt {
    pub(crate) sender: u32,
    pub(crate) lane: u32,
    pub(crate) ordinal: u64,
    pub(crate) timestamp: i64,
}

impl Receipt {
    /// The number of the sender that accepted the record, unique in this process.
    pub fn sender(&self) -> u32 {
        self.sender
    }

    /// Which of the sender's lanes the record is in, from 0: there is one for each topic and partition that the sender has sent to.
    /// With [`Receipt::sender`] and [`Receipt::ordinal`] it names the record, as the same three of a [`DeliveryReport`] do.
    ///
    /// [`DeliveryReport`]: crate::DeliveryReport
    pub fn lane(&self) -> u32 {
        self.lane
    }

    /// Counts the records of this sender to this partition, from 0.
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// The record's timestamp, in milliseconds since 1970.
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The offset. None if it is not known: `acks=0`, the broker found that it had the record already, or the outcome is
    /// too old to be kept whole.
    pub offset: Option<i64>,
    /// The record's timestamp in milliseconds since 1970: its own, or the broker's where the topic has
    /// `message.timestamp.type=LogAppendTime`.
    pub timestamp: i64,
}
