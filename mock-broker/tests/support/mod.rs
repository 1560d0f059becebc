//! A client made of `kafka-protocol`'s encoders, so that the broker is not tested against its own reading of the wire.
#![allow(dead_code)] // every test file uses a part of it

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use forebay_mock_broker::MockBroker;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kafka_protocol::messages::{
    MetadataRequest, MetadataResponse, ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// Connects to the n-th node (from 0) of this broker.
    pub(crate) fn connect(broker: &MockBroker, node: usize) -> Self {
        Self::try_connect(broker, node).unwrap()
    }

    pub(crate) fn try_connect(broker: &MockBroker, node: usize) -> io::Result<Self> {
        let bootstrap = broker.bootstrap();
        let stream = TcpStream::connect(bootstrap.split(',').nth(node).unwrap())?;
        // Far above anything that a passing test waits for: it turns a hang into a failure.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.correlation_id += 1;
        let mut frame = BytesMut::from(&[0; 4][..]);
        RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("test")))
            .encode(&mut frame, R::header_version(version))
            .unwrap();
        request.encode(&mut frame, version).unwrap();
        let size = frame.len() as u32 - 4;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&frame)
    }

    /// The next answer: its correlation id and what follows.
    pub(crate) fn receive(&mut self) -> io::Result<(i32, Bytes)> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok((i32::from_be_bytes(frame[..4].try_into().unwrap()), frame.into()))
    }

    pub(crate) fn try_call<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.send(version, request)?;
        let (correlation_id, mut frame) = self.receive()?;
        assert_eq!(correlation_id, self.correlation_id);
        let whole = frame.clone();
        ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        let response = R::Response::decode(&mut frame, version)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        assert!(frame.is_empty(), "{} bytes after the answer", frame.len());
        // The decoder forgives a wrong size of a tagged field; another client would not.
        let header_version = R::Response::header_version(version);
        let mut again = BytesMut::new();
        ResponseHeader::default().with_correlation_id(correlation_id).encode(&mut again, header_version).unwrap();
        response.encode(&mut again, version).unwrap();
        assert_eq!(again, whole, "version {version} is encoded otherwise by kafka-protocol");
        Ok(response)
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).unwrap()
    }

    pub(crate) fn metadata(&mut self, topic: &str) -> MetadataResponse {
        let topic = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(topic_name(topic)));
        self.call(12, &MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true))
    }

    pub(crate) fn try_produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> io::Result<ProduceResponse> {
        self.try_call(12, &produce(topic, partition, -1, batch))
    }

    /// The answer for the one partition.
    pub(crate) fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> PartitionProduceResponse {
        only(self.try_produce(topic, partition, batch).unwrap())
    }

    /// Whether the broker closes the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silent = matches!(self.stream.peek(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        silent
    }
}

pub(crate) fn only(response: ProduceResponse) -> PartitionProduceResponse {
    let topic = response.responses.into_iter().next().unwrap();
    topic.partition_responses.into_iter().next().unwrap()
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn produce(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1000).with_topic_data(vec![topic])
}

pub(crate) fn record(value: &[u8]) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: IndexMap::new(),
    }
}

/// A batch of these records as they are, but for their offsets.
pub(crate) fn batch_of(mut records: Vec<Record>) -> Bytes {
    for (offset, record) in records.iter_mut().enumerate() {
        record.offset = offset as i64;
        // The encoder begins another batch where sequences do not rise with offsets, producer id or not.
        record.sequence = record.sequence.wrapping_add(offset as i32);
    }
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

/// A batch without a producer id.
pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    batch_of(values.iter().map(|value| record(value)).collect())
}

/// A batch of `count` records of an idempotent producer, each `value`.
pub(crate) fn idempotent(producer_id: i64, epoch: i16, sequence: i32, count: usize, value: &[u8]) -> Bytes {
    let mut one = record(value);
    one.producer_id = producer_id;
    one.producer_epoch = epoch;
    one.sequence = sequence;
    batch_of(vec![one; count])
}

pub(crate) fn values(broker: &MockBroker, topic: &str, partition: i32) -> Vec<Vec<u8>> {
    broker.records(topic, partition).into_iter().map(|record| record.value.unwrap()).collect()
}
