//! The requests that are written: a Metadata request that makes the broker create the topic, and Produce requests.

use bytes::Bytes;
use forebay_mock_broker::produce_request;
use forebay_peer_driver::{Job, Values};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use std::error::Error;

/// A Metadata version with flexible headers.
const METADATA: i16 = 9;
/// Bytes of a record beside its value, about.
const RECORD_OVERHEAD: usize = 12;
/// How many bytes at the ends of a Produce request are framing, or may be: what lies between them is records.
const HEAD: usize = 128;
const TAIL: usize = 16;
/// So many different records are enough.
const DIFFERENT: usize = 64;

/// A Produce request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// How many records it holds.
    pub(crate) records: u64,
    /// Bytes of each record, about.
    pub(crate) record: usize,
}

impl Request {
    /// A request of about so many bytes: one batch for each partition or, where these would be smaller than forebay's smallest, for as
    /// many partitions as fit.
    pub(crate) fn filled(job: &Job, bytes: usize) -> Result<Self, Box<dyn Error>> {
        let partitions = (job.partitions as usize).min(bytes / 4_096).max(1);
        Self::new(job, partitions, (bytes / partitions / (job.size + RECORD_OVERHEAD)).max(1))
    }

    /// A request with a batch of so many records for each of so many partitions.
    pub(crate) fn new(job: &Job, partitions: usize, in_batch: usize) -> Result<Self, Box<dyn Error>> {
        let mut values = Values::new(0, job.size, job.text);
        let mut batch = || (0..in_batch).map(|_| Bytes::copy_from_slice(values.stamp().1)).collect();
        let bytes = produce_request(&job.topic, (0..partitions).map(|_| batch()))?;
        Ok(Self { bytes, records: (partitions * in_batch) as u64, record: job.size + RECORD_OVERHEAD })
    }

    /// Where to take records from that are written instead of its own: a broker reads no further than a batch's header. Without an end.
    ///
    /// # Panics
    /// If it holds no record.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let body = &self.bytes[HEAD..self.bytes.len() - TAIL];
        assert!(body.len() >= self.record, "a request holds a record");
        body.chunks_exact(self.record).take(DIFFERENT).cycle()
    }

    /// Bytes of records.
    pub(crate) fn body(&self) -> usize {
        self.bytes.len().saturating_sub(HEAD + TAIL)
    }

    /// What stands before its records.
    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes[..HEAD]
    }

    /// What may stand behind them.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - TAIL..]
    }
}

/// Makes the broker create the topic.
pub(crate) fn metadata(job: &Job) -> Result<Vec<u8>, Box<dyn Error>> {
    let name = TopicName(StrBytes::from_string(job.topic.clone()));
    let topic = MetadataRequestTopic::default().with_name(Some(name));
    let body = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    let mut frame = vec![0; 4];
    let header = RequestHeader::default().with_request_api_key(3).with_request_api_version(METADATA);
    header.encode(&mut frame, 2)?;
    body.encode(&mut frame, METADATA)?;
    let length = (frame.len() - 4) as u32;
    if let Some(size) = frame.first_chunk_mut::<4>() {
        *size = length.to_be_bytes();
    }
    Ok(frame)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{HEAD, Request, TAIL};

    /// So many records, each of `record` bytes that are its number.
    pub(crate) fn numbered(records: usize, record: usize) -> Request {
        let mut bytes = vec![0; HEAD + records * record + TAIL];
        for (at, record) in bytes[HEAD..HEAD + records * record].chunks_exact_mut(record).enumerate() {
            record.fill(at as u8);
        }
        Request { bytes, records: records as u64, record }
    }

    /// What was written between a request's ends.
    pub(crate) fn records(written: &[u8]) -> &[u8] {
        &written[HEAD..written.len() - TAIL]
    }

    #[test]
    fn values_are_a_requests_own_again_and_again() {
        let request = numbered(3, 4);
        let firsts: Vec<_> = request.values().map(|value| value[0]).take(7).collect();
        assert_eq!((firsts, request.body()), (vec![0, 1, 2, 0, 1, 2, 0], 12));
    }
}
