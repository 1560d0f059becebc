//! A model cluster: real log semantics for idempotent producers, answers as scripted.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use forebay_io::core::ConnId;
use forebay_io::wire::crc::crc32c;
use kafka_protocol::compression::{Decompressor, Gzip, Lz4, Snappy, Zstd};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, ProducerId, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

/// A batch as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) node: usize,
    pub(crate) conn: ConnId,
    /// Counts Produce requests from 0.
    pub(crate) request: usize,
    pub(crate) partition: i32,
    pub(crate) producer: (i64, i16),
    pub(crate) sequence: i32,
    pub(crate) ids: Vec<u64>,
    pub(crate) bytes: Bytes,
}

/// What the broker does about one batch.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// What a broker does.
    Normal,
    /// Refuses it.
    Refuse(i16),
    /// Appends it and answers with an error.
    AppendRefuse(i16),
    /// Refuses it, naming records.
    RefuseRecords(i16, Vec<i32>),
    /// Refuses it and names another leader and epoch.
    Hint(i32, i32),
    /// Refuses it and names the log's first offset.
    RefuseFrom(i16, i64),
    /// The whole request stays unanswered; nothing is appended.
    Silent,
    /// The whole request stays unanswered, after it was appended.
    AppendSilent,
    /// Closes the connection; nothing is appended.
    Reset,
    /// Appends and closes the connection.
    AppendReset,
    /// Answers with these bytes in place of a response.
    Garbage(Vec<u8>),
}

#[derive(Default)]
struct ProducerState {
    epoch: i16,
    /// (base sequence, last sequence, offset) of the last five batches.
    batches: VecDeque<(i32, i32, i64)>,
}

#[derive(Default)]
pub(crate) struct Partition {
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
    pub(crate) log: Vec<u64>,
    producers: BTreeMap<i64, ProducerState>,
}

pub(crate) struct Cluster {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) seen: Vec<Seen>,
    /// Decides about each batch.
    pub(crate) act: Box<dyn FnMut(&Seen) -> Act>,
    pub(crate) nodes: usize,
    pub(crate) produce_max: i16,
    pub(crate) throttle_ms: i32,
    pub(crate) topic_error: i16,
    pub(crate) init_errors: VecDeque<i16>,
    pub(crate) next_producer: i64,
    pub(crate) first_epoch: i16,
    /// Largest batch that a broker takes.
    pub(crate) max_batch: usize,
    pub(crate) requests: usize,
    pub(crate) metadata_requests: usize,
    pub(crate) largest_request: usize,
    /// The topic's id; zeros for none.
    pub(crate) topic_id: [u8; 16],
    pub(crate) metadata_max: i16,
    /// Errors of whole metadata answers (v13).
    pub(crate) metadata_errors: VecDeque<i16>,
    pub(crate) metadata_throttle_ms: i32,
    /// Nodes that never answer a metadata request.
    pub(crate) no_metadata_from: Vec<usize>,
    /// Node, host and port as the metadata names them, in place of `nodes`.
    pub(crate) brokers: Option<Vec<(i32, String, i32)>>,
    /// Nodes with ports other than 9092 and up.
    pub(crate) ports: BTreeMap<u16, usize>,
    /// Addresses in Produce answers (KIP-951).
    pub(crate) endpoints: Vec<(i32, String, i32)>,
    /// Version of each Produce request.
    pub(crate) produce_versions: Vec<i16>,
    /// Partitions are answered in the order of a hash table, as by Kafka, and not in that of the request.
    pub(crate) hashes: bool,
    /// Who asked for metadata: nodes.
    pub(crate) metadata_from: Vec<usize>,
}

impl Cluster {
    /// The node that listens on a port.
    pub(crate) fn node_at(&self, port: u16) -> usize {
        self.ports.get(&port).copied().unwrap_or_else(|| usize::from(port) - 9092)
    }

    /// The topic is deleted, and created again under another id.
    pub(crate) fn recreate(&mut self, id: [u8; 16]) {
        self.topic_id = id;
        for partition in &mut self.partitions {
            *partition = Partition::default();
        }
    }

    pub(crate) fn new(partitions: i32) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            seen: Vec::new(),
            act: Box::new(|_| Act::Normal),
            nodes: 1,
            produce_max: 11,
            throttle_ms: 0,
            topic_error: 0,
            init_errors: VecDeque::new(),
            next_producer: 100,
            first_epoch: 0,
            max_batch: usize::MAX,
            requests: 0,
            metadata_requests: 0,
            largest_request: 0,
            topic_id: [0; 16],
            metadata_max: 12,
            metadata_errors: VecDeque::new(),
            metadata_throttle_ms: 0,
            no_metadata_from: Vec::new(),
            brokers: None,
            ports: BTreeMap::new(),
            endpoints: Vec::new(),
            produce_versions: Vec::new(),
            hashes: false,
            metadata_from: Vec::new(),
        }
    }

    /// Takes whole requests from `inbox`; answers the response bytes and whether the connection stays open.
    pub(crate) fn serve(&mut self, node: usize, conn: ConnId, inbox: &mut Vec<u8>) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        while let Some(size) = inbox.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize) {
            if inbox.len() < 4 + size {
                break;
            }
            let frame: Vec<u8> = inbox.drain(..4 + size).skip(4).collect();
            let mut frame = Bytes::from(frame);
            let api = i16::from_be_bytes([frame[0], frame[1]]);
            let version = i16::from_be_bytes([frame[2], frame[3]]);
            let flexible = version >= [(0, 9), (3, 9), (18, 3), (22, 2)].iter().find(|a| a.0 == api).expect("known").1;
            let header = RequestHeader::decode(&mut frame, if flexible { 2 } else { 1 }).expect("a header");
            let mut body = BytesMut::new();
            let head = ResponseHeader::default().with_correlation_id(header.correlation_id);
            head.encode(&mut body, i16::from(flexible && api != 18)).expect("encodes");
            match api {
                18 => self.api_versions(version, &mut body),
                3 => {
                    let request = MetadataRequest::decode(&mut frame, version).expect("metadata");
                    self.metadata_from.push(node);
                    if self.no_metadata_from.contains(&node) {
                        continue;
                    }
                    self.metadata(&request, version, &mut body);
                }
                22 => self.init_producer_id(version, &mut body),
                _ => {
                    self.largest_request = self.largest_request.max(size + 4);
                    let request = ProduceRequest::decode(&mut frame, version).expect("produce");
                    assert!(!frame.has_remaining(), "nothing after the request");
                    match self.produce(node, conn, &request, version, &mut body) {
                        Some(true) => {}
                        Some(false) => return (out, false),
                        None => continue,
                    }
                }
            }
            out.extend_from_slice(&(body.len() as i32).to_be_bytes());
            out.extend_from_slice(&body);
        }
        (out, true)
    }

    fn api_versions(&mut self, version: i16, body: &mut BytesMut) {
        let keys = [(0, 3, self.produce_max), (3, 0, self.metadata_max), (18, 0, 3), (22, 0, 4)]
            .map(|(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max));
        let response = ApiVersionsResponse::default().with_api_keys(keys.to_vec());
        if version > 3 {
            response.with_error_code(35).encode(body, 0).expect("encodes");
        } else {
            response.encode(body, version).expect("encodes");
        }
    }

    fn metadata(&mut self, request: &MetadataRequest, version: i16, body: &mut BytesMut) {
        self.metadata_requests += 1;
        let all = || (0..self.nodes as i32).map(|node| (node, format!("node{node}"), 9092 + node)).collect();
        let brokers = self.brokers.clone().unwrap_or_else(all).into_iter().map(|(node, host, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node))
                .with_host(StrBytes::from_string(host))
                .with_port(port)
        });
        let topics = request.topics.iter().flatten().map(|topic| {
            let partitions = self.partitions.iter().enumerate().map(|(index, p)| {
                MetadataResponsePartition::default()
                    .with_partition_index(index as i32)
                    .with_leader_id(BrokerId(p.leader))
                    .with_leader_epoch(p.epoch)
            });
            MetadataResponseTopic::default()
                .with_error_code(self.topic_error)
                .with_name(topic.name.clone())
                .with_topic_id(uuid::Uuid::from_bytes(self.topic_id))
                .with_partitions(if self.topic_error == 0 { partitions.collect() } else { Vec::new() })
        });
        let response = MetadataResponse::default().with_brokers(brokers.collect()).with_topics(topics.collect());
        let throttle = if version >= 3 { self.metadata_throttle_ms } else { 0 };
        let error = if version >= 13 { self.metadata_errors.pop_front().unwrap_or(0) } else { 0 };
        let response = response.with_throttle_time_ms(throttle).with_error_code(error);
        response.encode(body, version).expect("encodes");
    }

    fn init_producer_id(&mut self, version: i16, body: &mut BytesMut) {
        let error = self.init_errors.pop_front().unwrap_or(0);
        self.next_producer += 1;
        InitProducerIdResponse::default()
            .with_error_code(error)
            .with_producer_id(ProducerId(if error == 0 { self.next_producer } else { -1 }))
            .with_producer_epoch(self.first_epoch)
            .encode(body, version)
            .expect("encodes");
        self.first_epoch = 0;
    }

    /// None: no answer. False: the connection is closed.
    fn produce(
        &mut self,
        node: usize,
        conn: ConnId,
        request: &ProduceRequest,
        version: i16,
        body: &mut BytesMut,
    ) -> Option<bool> {
        let number = self.requests;
        self.requests += 1;
        self.produce_versions.push(version);
        let (mut answer, mut open) = (request.acks != 0, true);
        let mut garbage = None;
        let mut topics = Vec::new();
        for topic in &request.topic_data {
            let mut partitions = Vec::new();
            for data in &topic.partition_data {
                let bytes = data.records.clone().expect("records");
                let seen = see(node, conn, number, data.index, bytes);
                let known = version < 13 || *topic.topic_id.as_bytes() == self.topic_id;
                let act = if known { (self.act)(&seen) } else { Act::Refuse(100) };
                let mut response = PartitionProduceResponse::default().with_index(data.index).with_base_offset(-1);
                let append = |cluster: &mut Self| cluster.append(node, &seen);
                match act {
                    Act::Normal => {
                        let (code, offset) = append(self);
                        response = response.with_error_code(code).with_base_offset(offset);
                    }
                    Act::Refuse(code) => response = response.with_error_code(code),
                    Act::AppendRefuse(code) => {
                        append(self);
                        response = response.with_error_code(code);
                    }
                    Act::RefuseRecords(code, records) => {
                        let errors = records.into_iter().map(|at| {
                            BatchIndexAndErrorMessage::default()
                                .with_batch_index(at)
                                .with_batch_index_error_message(Some(StrBytes::from_static_str("bad")))
                        });
                        response = response.with_error_code(code).with_record_errors(errors.collect());
                    }
                    Act::Hint(leader, epoch) => {
                        let hint =
                            LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
                        response = response.with_error_code(6).with_current_leader(hint);
                    }
                    Act::RefuseFrom(code, first) => {
                        response = response.with_error_code(code).with_log_start_offset(first);
                    }
                    Act::Silent => answer = false,
                    Act::AppendSilent => {
                        append(self);
                        answer = false;
                    }
                    Act::Reset => open = false,
                    Act::AppendReset => {
                        append(self);
                        open = false;
                    }
                    Act::Garbage(bytes) => garbage = Some(bytes),
                }
                self.seen.push(seen);
                partitions.push(response);
            }
            if self.hashes {
                partitions.sort_by_key(|partition| (partition.index as u32).wrapping_mul(0x9e37_79b1));
            }
            let name: TopicName = topic.name.clone();
            let response = TopicProduceResponse::default().with_topic_id(topic.topic_id).with_name(name);
            topics.push(response.with_partition_responses(partitions));
        }
        if !open {
            return Some(false);
        }
        if !answer {
            return None;
        }
        if let Some(garbage) = garbage {
            body.clear();
            body.extend_from_slice(&garbage);
            return Some(true);
        }
        let endpoints = self.endpoints.iter().filter(|_| version >= 10).map(|(node, host, port)| {
            let host = StrBytes::from_string(host.clone());
            NodeEndpoint::default().with_node_id(BrokerId(*node)).with_host(host).with_port(*port)
        });
        let response = ProduceResponse::default().with_responses(topics).with_throttle_time_ms(self.throttle_ms);
        let response = response.with_node_endpoints(endpoints.collect());
        response.encode(body, version).expect("encodes");
        Some(true)
    }

    /// As a broker appends: code and offset.
    fn append(&mut self, node: usize, seen: &Seen) -> (i16, i64) {
        let Some(partition) = self.partitions.get_mut(seen.partition as usize) else { return (3, -1) };
        if partition.leader != node as i32 {
            return (6, -1);
        }
        if seen.bytes.len() > self.max_batch {
            return (10, -1);
        }
        let offset = partition.log.len() as i64;
        let (id, epoch) = seen.producer;
        if id >= 0 {
            let last = ((i64::from(seen.sequence) + seen.ids.len() as i64 - 1) & i64::from(i32::MAX)) as i32;
            let state = partition.producers.entry(id).or_insert(ProducerState { epoch, batches: VecDeque::new() });
            if epoch < state.epoch {
                return (47, -1);
            }
            if let Some(known) = state.batches.iter().find(|b| b.0 == seen.sequence && b.1 == last)
                && epoch == state.epoch
            {
                return (0, known.2);
            }
            let expected = if epoch > state.epoch {
                0
            } else {
                state.batches.back().map_or(seen.sequence, |b| if b.1 == i32::MAX { 0 } else { b.1 + 1 })
            };
            if seen.sequence != expected {
                return (45, -1);
            }
            if epoch > state.epoch {
                state.batches.clear();
                state.epoch = epoch;
            }
            state.batches.push_back((seen.sequence, last, offset));
            if state.batches.len() > 5 {
                state.batches.pop_front();
            }
        }
        partition.log.extend_from_slice(&seen.ids);
        (0, offset)
    }

    /// Forgets what a partition knows of producers, as after their expiry.
    pub(crate) fn forget_producers(&mut self, partition: usize) {
        self.partitions[partition].producers.clear();
    }
}

/// Reads a batch as a broker does: header, checksum, every record.
fn see(node: usize, conn: ConnId, request: usize, partition: i32, bytes: Bytes) -> Seen {
    let at = |from: usize, len: usize| bytes[from..from + len].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    assert_eq!(at(8, 4) as usize + 12, bytes.len(), "batch length");
    assert_eq!(at(17, 4) as u32, crc32c(&bytes[21..]), "checksum");
    let count = at(57, 4) as usize;
    assert_eq!(at(23, 4) as usize + 1, count, "last offset delta");
    let mut ids = Vec::new();
    let plain = plain(at(21, 2) as u16 & 7, bytes.slice(61..));
    let mut rest = &plain[..];
    while !rest.is_empty() {
        let len = varint(&mut rest) as usize;
        let (mut record, after) = rest.split_at(len);
        rest = after;
        assert_eq!(record.get_u8(), 0, "attributes");
        assert_eq!(varint(&mut record), 5, "timestamp delta");
        assert_eq!(varint(&mut record), ids.len() as i64, "offset delta");
        assert_eq!(varint(&mut record), -1, "no key");
        assert!(varint(&mut record) >= 8, "a value");
        ids.push(record.get_u64());
    }
    assert_eq!(ids.len(), count, "records");
    let producer = (at(43, 8) as i64, at(51, 2) as i16);
    Seen { node, conn, request, partition, producer, sequence: at(53, 4) as i32, ids, bytes }
}

/// A batch's records, decompressed by the kafka-protocol crate.
fn plain(codec: u16, mut packed: Bytes) -> Bytes {
    let copy = |plain: &mut Bytes| Ok(Bytes::copy_from_slice(plain));
    match codec {
        0 => Ok(packed),
        1 => Gzip::decompress(&mut packed, copy),
        2 => Snappy::decompress(&mut packed, |plain: &mut Bytes| Ok(Bytes::copy_from_slice(plain))),
        3 => Lz4::decompress(&mut packed, copy),
        _ => Zstd::decompress(&mut packed, copy),
    }
    .expect("a codec's own format")
}

fn varint(bytes: &mut &[u8]) -> i64 {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (value >> 1) as i64 ^ -((value & 1) as i64);
        }
    }
}
