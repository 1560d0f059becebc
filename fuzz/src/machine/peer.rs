//! The other end of a connection: it reads requests strictly, and answers as it is told.

use crate::input::Input;
use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest,
    MetadataResponse, ProduceRequest, ProduceResponse, ProducerId, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable, StrBytes};
use kafka_protocol::records::RecordBatchDecoder;
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// What brokers answer, the harmless and the rare.
const PRODUCE_ERRORS: [i16; 24] =
    [0, 0, 0, 6, 7, 2, 3, 5, 10, 13, 19, 20, 29, 45, 46, 47, 56, 59, 74, 87, 90, 100, -1, 999];
const TOPIC_ERRORS: [i16; 8] = [0, 0, 3, 5, 17, 29, 100, -1];
/// The last for an answer in v0 to a version that the broker does not know.
const GREETING_ERRORS: [i16; 4] = [0, 0, 42, 35];
const IDENTITY_ERRORS: [i16; 8] = [0, 0, 14, 15, 16, 31, 90, -1];

/// What a client may say on any connection: flexible versions begin where these say.
const FLEXIBLE_FROM: [(i16, i16); 4] = [(0, 9), (3, 9), (18, 3), (22, 2)];

pub(super) enum Body {
    ApiVersions,
    Metadata(MetadataRequest),
    InitProducerId,
    /// With the records of its partitions, in order.
    Produce(ProduceRequest, Vec<Vec<u64>>),
}

/// A request that waits for its answer.
pub(super) struct Asked {
    version: i16,
    correlation: i32,
    flexible_header: bool,
    body: Body,
}

impl Asked {
    pub(super) fn is_answered(&self) -> bool {
        !matches!(&self.body, Body::Produce(request, _) if request.acks == 0)
    }
}

/// What all peers together know: they are one cluster.
#[derive(Default)]
pub(super) struct Cluster {
    pub(super) topic_id: Uuid,
    /// Offsets that were told for each record; −1 where a broker said that it has it already.
    pub(super) told: BTreeMap<u64, Vec<i64>>,
    next_offset: i64,
    /// A peer said that a batch is out of order, and so not in its log, whatever is told elsewhere.
    pub(super) denied: bool,
    /// A peer answered well-formed nonsense.
    pub(super) lied: bool,
}

/// One connection's peer.
#[derive(Default)]
pub(super) struct Peer {
    inbox: Vec<u8>,
    pub(super) asked: VecDeque<Asked>,
    /// Answers on their way.
    pub(super) outbox: Vec<u8>,
}

/// Where the partition stands in a record's id.
pub(super) const PARTITION: u32 = 56;

/// A record's value: its id, repeated.
pub(super) fn value_of(id: u64, size: usize) -> Vec<u8> {
    id.to_be_bytes().into_iter().cycle().take(size.max(8)).collect()
}

/// The ids of a batch, which must be whole and unharmed.
fn ids_of(partition: i32, mut records: Bytes) -> Vec<u64> {
    let set = RecordBatchDecoder::decode(&mut records).expect("a batch with its checksum");
    assert!(records.is_empty(), "one batch for a partition");
    let ids = set.records.into_iter().enumerate().map(|(at, record)| {
        assert_eq!(record.offset, at as i64);
        let value = record.value.expect("a value");
        let id = u64::from_be_bytes(value[..8].try_into().expect("eight bytes"));
        assert_eq!(id >> PARTITION, partition as u64, "a record of another partition");
        assert_eq!(value, value_of(id, value.len()), "a record's bytes are another's");
        id
    });
    ids.collect()
}

impl Peer {
    /// Takes bytes of the client; calls `on_request` with each whole frame. Whatever was answered before, the client
    /// speaks correctly.
    pub(super) fn read(&mut self, bytes: &[u8], mut on_request: impl FnMut(&[u8])) {
        self.inbox.extend_from_slice(bytes);
        while let Some(size) = self.inbox.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize) {
            if self.inbox.len() < 4 + size {
                return;
            }
            let frame: Vec<u8> = self.inbox.drain(..4 + size).skip(4).collect();
            on_request(&frame);
            let asked = understand(Bytes::from(frame));
            if asked.is_answered() {
                self.asked.push_back(asked);
            }
        }
    }

    /// Answers the oldest request, as the input says. True if there was one.
    pub(super) fn answer(&mut self, cluster: &mut Cluster, how: &mut Input<'_>) -> bool {
        let Some(asked) = self.asked.pop_front() else { return false };
        let mut body = BytesMut::new();
        respond(&asked, cluster, how, &mut body);
        self.send(&asked, &body);
        true
    }

    /// Answers the oldest request with any bytes.
    pub(super) fn answer_with(&mut self, body: &[u8]) {
        if let Some(asked) = self.asked.pop_front() {
            self.send(&asked, body);
        }
    }

    fn send(&mut self, asked: &Asked, body: &[u8]) {
        let mut head = BytesMut::new();
        ResponseHeader::default()
            .with_correlation_id(asked.correlation)
            .encode(&mut head, i16::from(asked.flexible_header))
            .expect("encodes");
        self.outbox.extend_from_slice(&((head.len() + body.len()) as u32).to_be_bytes());
        self.outbox.extend_from_slice(&head);
        self.outbox.extend_from_slice(body);
    }
}

fn understand(mut frame: Bytes) -> Asked {
    let (api, version) = (i16::from_be_bytes([frame[0], frame[1]]), i16::from_be_bytes([frame[2], frame[3]]));
    let from = FLEXIBLE_FROM.iter().find(|known| known.0 == api).expect("an API that we speak").1;
    let flexible = version >= from;
    let header = RequestHeader::decode(&mut frame, if flexible { 2 } else { 1 }).expect("a header");
    let body = match api {
        18 => {
            ApiVersionsRequest::decode(&mut frame, version).expect("ApiVersions");
            Body::ApiVersions
        }
        3 => Body::Metadata(MetadataRequest::decode(&mut frame, version).expect("Metadata")),
        22 => {
            InitProducerIdRequest::decode(&mut frame, version).expect("InitProducerId");
            Body::InitProducerId
        }
        _ => {
            let request = ProduceRequest::decode(&mut frame, version).expect("Produce");
            let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
            let records = partitions.map(|data| ids_of(data.index, data.records.clone().expect("records"))).collect();
            Body::Produce(request, records)
        }
    };
    assert!(!frame.has_remaining(), "something follows the request");
    // The header of an ApiVersions response has no tagged fields (KIP-511).
    Asked { version, correlation: header.correlation_id, flexible_header: flexible && api != 18, body }
}

/// An input of zeros is the good answer.
fn respond(asked: &Asked, cluster: &mut Cluster, how: &mut Input<'_>, out: &mut BytesMut) {
    match &asked.body {
        Body::ApiVersions => api_versions(asked.version, how, out),
        Body::Metadata(request) => metadata(request, asked.version, cluster, how, out),
        Body::InitProducerId => {
            let error = IDENTITY_ERRORS[how.below(IDENTITY_ERRORS.len())];
            let response = InitProducerIdResponse::default()
                .with_error_code(error)
                .with_producer_id(ProducerId(100 + i64::from(how.byte())))
                .with_producer_epoch(if how.byte() == 255 { i16::MAX } else { 0 });
            response.encode(out, asked.version).expect("encodes");
        }
        Body::Produce(request, records) => produce(request, records, asked.version, cluster, how, out),
    }
}

fn api_versions(version: i16, how: &mut Input<'_>, out: &mut BytesMut) {
    let error = GREETING_ERRORS[how.below(GREETING_ERRORS.len())];
    let choice = how.byte();
    let produce = 13 - i16::from(choice % 12);
    let keys = [(0, 0, produce), (3, 0, 13 - i16::from(choice / 16)), (18, 0, 3), (22, 0, 5)]
        .map(|(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max));
    let keys = if choice == 255 { Vec::new() } else { keys.to_vec() };
    let response = ApiVersionsResponse::default().with_api_keys(keys).with_error_code(error);
    response.encode(out, if error == 35 { 0 } else { version }).expect("encodes");
}

fn metadata(request: &MetadataRequest, version: i16, cluster: &mut Cluster, how: &mut Input<'_>, out: &mut BytesMut) {
    let nodes = 1 + how.below(3) as i32;
    let brokers = (0..nodes).map(|node| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(node))
            .with_host(StrBytes::from_string(format!("node{node}")))
            .with_port(if how.byte() < 240 { 9092 + node } else { 0 })
    });
    let brokers = brokers.collect();
    let topics = request.topics.iter().flatten().map(|topic| {
        let error = TOPIC_ERRORS[how.below(TOPIC_ERRORS.len())];
        let partitions = (0..3 - how.below(4) as i32).map(|index| {
            let choice = how.byte();
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(if choice >= 240 { 5 } else { 0 })
                .with_leader_id(BrokerId(if choice >= 240 { -1 } else { i32::from(choice) % nodes }))
                .with_leader_epoch(if version >= 7 { i32::from(choice) } else { -1 })
        });
        let partitions = partitions.collect();
        if how.byte() >= 200 {
            cluster.topic_id = Uuid::from_u128(cluster.topic_id.as_u128() + 1);
        }
        MetadataResponseTopic::default()
            .with_error_code(error)
            .with_name(topic.name.clone())
            .with_topic_id(if version >= 10 { cluster.topic_id } else { Uuid::nil() })
            .with_partitions(partitions)
    });
    let topics = topics.collect();
    MetadataResponse::default().with_brokers(brokers).with_topics(topics).encode(out, version).expect("encodes");
}

fn produce(
    request: &ProduceRequest,
    records: &[Vec<u64>],
    version: i16,
    cluster: &mut Cluster,
    how: &mut Input<'_>,
    out: &mut BytesMut,
) {
    let mut records = records.iter();
    let mut topics = Vec::new();
    for topic in &request.topic_data {
        let mut partitions = Vec::new();
        for data in &topic.partition_data {
            let ids = records.next().expect("as many as partitions");
            let error = PRODUCE_ERRORS[how.below(PRODUCE_ERRORS.len())];
            let details = if error == 0 { 0 } else { how.byte() };
            cluster.denied |= error == 45;
            let offset = if error == 0 { cluster.next_offset } else { -1 };
            if matches!(error, 0 | 46) {
                cluster.next_offset += ids.len() as i64;
                for (at, id) in ids.iter().enumerate() {
                    cluster.told.entry(*id).or_default().push(if error == 0 { offset + at as i64 } else { -1 });
                }
            }
            let mut answer = PartitionProduceResponse::default()
                .with_index(data.index)
                .with_error_code(error)
                .with_base_offset(offset);
            if version >= 10 && details & 1 != 0 {
                let node = i32::from(details >> 1 & 3);
                let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(node)).with_leader_epoch(node + 5);
                answer = answer.with_current_leader(leader);
            }
            if version >= 8 && details & 8 != 0 {
                let wrong = BatchIndexAndErrorMessage::default()
                    .with_batch_index(i32::from(details >> 4))
                    .with_batch_index_error_message(Some(StrBytes::from_static_str("bad")));
                answer = answer.with_record_errors(vec![wrong]);
            }
            partitions.push(answer);
        }
        cluster.lied |= lie(how.byte(), &mut partitions);
        let answer = TopicProduceResponse::default().with_partition_responses(partitions);
        let name: TopicName = topic.name.clone();
        topics.push(if version >= 13 { answer.with_topic_id(topic.topic_id) } else { answer.with_name(name) });
    }
    let mut response =
        ProduceResponse::default().with_responses(topics).with_throttle_time_ms(i32::from(how.byte()) * 8);
    if version >= 10 && how.byte() >= 128 {
        let node = NodeEndpoint::default().with_node_id(BrokerId(1)).with_host(StrBytes::from_static_str("moved"));
        response = response.with_node_endpoints(vec![node.with_port(9099)]);
    }
    response.encode(out, version).expect("encodes");
}

/// Answers that no request asked for, or none for one that did. True if it came to that.
fn lie(how: u8, partitions: &mut Vec<PartitionProduceResponse>) -> bool {
    match (how, partitions.first().cloned()) {
        (250, Some(_)) => drop(partitions.pop()),
        (251, Some(first)) => partitions.push(first),
        (252, Some(first)) => partitions[0].index = first.index + 1,
        (253, Some(first)) => partitions.push(first.with_index(77)),
        (254, Some(_)) => partitions.clear(),
        _ => return false,
    }
    true
}
