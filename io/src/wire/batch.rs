//! The header of a record batch (message format v2, KIP-98).

use super::crc::{combine, crc32c};

/// Bytes of the header.
pub const BATCH_HEADER_LEN: usize = 61;
/// Bytes before those that `batchLength` counts: base offset and the length itself.
const BEFORE_LENGTH: usize = 12;
/// Where the bytes that the checksum covers begin: at the attributes.
const CRC_FROM: usize = 21;
/// The `producer_id` of a producer that has none.
pub const NO_PRODUCER_ID: i64 = -1;
/// The `producer_epoch` of a producer that has none.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The `base_sequence` of a producer that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;

/// What a batch header says. Timestamps are milliseconds since the epoch of 1970.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Bytes of the records, without this header; at most `i32::MAX − 61`.
    pub records_len: usize,
    /// Number of records, at least 1.
    pub count: u32,
    /// What the records' timestamp deltas count from.
    pub base_timestamp: i64,
    /// The largest timestamp of the records.
    pub max_timestamp: i64,
    /// From `InitProducerId`, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// From `InitProducerId`, or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// The first record's sequence number in its partition, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Bits 0–2 codec, 3 timestamp type, 4 transactional, 5 control.
    pub attributes: i16,
    /// CRC-32C of the records' bytes ([`Walker::crc`](super::walk::Walker::crc)).
    pub records_crc: u32,
}

impl BatchHeader {
    /// The header's bytes. The checksum of header and records is made from the records' own, so they are not read again:
    /// a new epoch or sequence costs the same whatever the size of the batch.
    pub fn encode(&self) -> [u8; BATCH_HEADER_LEN] {
        debug_assert!(self.count > 0, "an empty batch");
        debug_assert!(self.records_len <= i32::MAX as usize - BATCH_HEADER_LEN, "a batch the protocol cannot express");
        let mut out = [0; BATCH_HEADER_LEN];
        let length = (self.records_len + BATCH_HEADER_LEN - BEFORE_LENGTH) as i32;
        // base offset 0: the broker assigns it
        out[8..12].copy_from_slice(&length.to_be_bytes());
        // partition leader epoch: the broker's, outside the checksum
        out[12..16].copy_from_slice(&(-1i32).to_be_bytes());
        out[16] = 2; // magic
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&(self.count as i32 - 1).to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = combine(crc32c(&out[CRC_FROM..]), self.records_crc, self.records_len as u32);
        out[17..21].copy_from_slice(&crc.to_be_bytes());
        out
    }
}
