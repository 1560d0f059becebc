//! What the producer says of itself at a moment.

use forebay::Producer;

#[derive(Clone, Debug, Default)]
pub(super) struct Gauges {
    /// Bytes of the buffer, and those in use.
    pub(super) buffer_total: u64,
    pub(super) buffer_used: u64,
    /// Requests without an answer.
    pub(super) in_flight: u64,
    /// Senders that wait for memory.
    pub(super) waiting: u64,
}

impl Gauges {
    pub(super) fn read(producer: &Producer) -> Self {
        let (free, total) = producer.buffer_bytes();
        Self {
            buffer_total: total as u64,
            buffer_used: total.saturating_sub(free) as u64,
            in_flight: 0,
            waiting: producer.waiting_senders() as u64,
        }
    }
}
