//! Ready-made requests, for whoever measures a broker, or the kernel, without a client between.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use std::io;

/// The last version that names topics by name alone, with flexible headers.
const VERSION: i16 = 9;

/// A Produce request (v9, `acks=all`), complete with its size: one uncompressed batch for each partition from 0 on, of these values,
/// without keys and without a producer id. Correlation id and client id are empty, so every answer to it looks the same.
///
/// # Errors
/// Something is longer than the protocol can say.
pub fn produce_request(topic: &str, partitions: impl IntoIterator<Item = Vec<Bytes>>) -> io::Result<Vec<u8>> {
    let data = partitions.into_iter().enumerate().map(|(partition, values)| {
        let data = PartitionProduceData::default().with_index(partition as i32);
        Ok(data.with_records(Some(batch(values)?)))
    });
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let topic = TopicProduceData::default().with_name(name).with_partition_data(data.collect::<io::Result<_>>()?);
    let mut frame = vec![0; 4];
    let header = RequestHeader::default().with_request_api_version(VERSION);
    header.encode(&mut frame, 2).map_err(io::Error::other)?;
    let body = ProduceRequest::default().with_transactional_id(None).with_acks(-1).with_timeout_ms(30_000);
    body.with_topic_data(vec![topic]).encode(&mut frame, VERSION).map_err(io::Error::other)?;
    let size = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Ok(frame)
}

fn batch(values: Vec<Bytes>) -> io::Result<Bytes> {
    let records = values.into_iter().enumerate().map(|(offset, value)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: offset as i64,
        // The encoder begins another batch where sequences do not rise with offsets, producer id or not.
        sequence: offset as i32 - 1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(value),
        headers: IndexMap::new(),
    });
    let records: Vec<Record> = records.collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).map_err(io::Error::other)?;
    Ok(bytes.freeze())
}
