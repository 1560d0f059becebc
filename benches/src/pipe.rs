//! The I/O core on a memory pipe: a broker that answers what it is asked, at once and without a socket.

use crate::{Bell, layout};
use bytes::{Bytes, BytesMut};
use forebay_engine::{Lane, ProducerEnd};
use forebay_io::core::{Command, ConnId, Core, CoreConfig};
use forebay_io::time::Time;
use forebay_io::topics::TopicTable;
use forebay_io::wire::record::{HEAD_MAX, Shape, encode_to};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, ProducerId, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What each record carries.
pub const VALUE: [u8; 100] = [7; 100];
/// Records of one turn: about `batch.size`, by default.
pub const RECORDS: usize = 144;
/// The version of Produce that the broker offers.
const PRODUCE: i16 = 9;

/// A core, its lanes, and a broker that answers at once.
#[allow(missing_debug_implementations)]
pub struct Pipe {
    core: Core,
    lanes: Vec<Lane>,
    _end: ProducerEnd,
    conns: Vec<ConnId>,
    now: Time,
    /// What was written and not answered yet.
    wire: Vec<u8>,
    /// The answer to a Produce request with all partitions in it; only its correlation id changes.
    answer: Vec<u8>,
    /// How long such a request is: others are answered for what is in them.
    usual: usize,
    /// Partitions that records are published to; the topic may have more.
    partitions: usize,
    delivered: u64,
}

/// Idle lanes that hold a record at the same time while they come and go.
const AT_ONCE: usize = 100;

impl Pipe {
    /// With so many partitions, after the first requests: metadata, an identity and the connection are there.
    ///
    /// # Panics
    /// If what is published is not delivered.
    pub fn new(partitions: usize) -> Self {
        Self::among(partitions, 0)
    }

    /// The same with so many partitions more, each of which had a record once and has been idle since.
    ///
    /// # Panics
    /// If what is published is not delivered.
    pub fn among(partitions: usize, idle: usize) -> Self {
        let config =
            CoreConfig { bootstrap: vec!["node0:9092".into()], linger: Duration::ZERO, ..CoreConfig::default() };
        let (engine, io) = forebay_engine::new(layout(1024), Arc::new(Bell::default())).expect("a small slab");
        let topics = Arc::new(TopicTable::new());
        let topic = topics.intern("orders").expect("a legal name");
        let end = engine.producer_end();
        let lanes = (0..partitions + idle).map(|at| end.lane(topic.lane_tag(at as u32)).expect("open")).collect();
        let core = Core::new(config, io, topics, 7, Time::ZERO);
        let mut pipe = Pipe {
            core,
            lanes,
            _end: end,
            conns: Vec::new(),
            now: Time::ZERO,
            wire: Vec::new(),
            answer: Vec::new(),
            usual: 0,
            partitions,
            delivered: 0,
        };
        // Until metadata, an identity and the connection are there, and the answer's template fits.
        for _ in 0..40 {
            pipe.publish();
            pipe.turn();
            pipe.turn();
        }
        assert_eq!(pipe.delivered, 40 * RECORDS as u64, "what is published is delivered");
        assert!(!pipe.answer.is_empty(), "Produce was answered");
        for from in (partitions..partitions + idle).step_by(AT_ONCE) {
            pipe.wake_up(from..(from + AT_ONCE).min(partitions + idle));
        }
        pipe
    }

    /// A record for each of these lanes, delivered; then they are idle and hold no memory.
    fn wake_up(&mut self, lanes: Range<usize>) {
        let before = self.delivered;
        for lane in lanes.clone() {
            self.publish_to(lane, &shape());
        }
        self.turn();
        self.turn();
        assert_eq!(self.delivered - before, lanes.len() as u64, "what is published is delivered");
        // Beyond `io.spin.us`, so that they are retired.
        self.now = self.now + Duration::from_millis(10);
        self.core.turn(self.now);
        self.core.rest(self.now);
    }

    /// The records of one turn, spread over all partitions.
    ///
    /// # Panics
    /// If there is no room: what was published before has to be sent first.
    pub fn publish(&mut self) {
        let shape = shape();
        for number in 0..RECORDS {
            self.publish_to(number % self.partitions, &shape);
        }
    }

    fn publish_to(&mut self, lane: usize, shape: &Shape) {
        let lane = &mut self.lanes[lane];
        lane.set_window(8192);
        let mut claim = lane.claim(shape.total_len, HEAD_MAX.min(shape.total_len)).expect("there is room");
        encode_to(shape, 5, None, Some(black_box(&VALUE)), &[], &mut |bytes: &[u8]| claim.put(bytes));
        claim.commit().expect("open");
    }

    /// Records delivered so far.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// A turn, all that it wants written, and the answers to that. Answers how many bytes were written.
    ///
    /// # Panics
    /// If a record fails.
    pub fn turn(&mut self) -> usize {
        self.now = self.now + Duration::from_micros(100);
        self.core.turn(self.now);
        while let Some(command) = self.core.next_command() {
            match command {
                Command::Connect { conn, .. } => {
                    self.conns.push(conn);
                    self.core.connected(conn, self.now);
                }
                Command::Credentials { .. } => unreachable!("nobody asks who we are"),
                // The bootstrap's, once the broker is known by its number.
                Command::Close { conn } => {
                    self.conns.retain(|open| *open != conn);
                    self.core.closed(conn, "asked for", self.now);
                }
            }
        }
        let mut written = self.write();
        while self.core.go_on(self.now) {
            written += self.write();
        }
        for report in self.core.reports().drain(..) {
            assert!(report.result.is_ok(), "{report:?}");
            self.delivered += u64::from(report.count);
        }
        written
    }

    /// Everything that the core wants written, and the answers to it.
    fn write(&mut self) -> usize {
        let mut written = 0;
        for at in 0..self.conns.len() {
            let conn = self.conns[at];
            self.wire.clear();
            let wire = &mut self.wire;
            self.core.transmit(conn, |slice| {
                wire.extend_from_slice(slice);
                true
            });
            if self.wire.is_empty() {
                continue;
            }
            written += self.wire.len();
            self.core.written(conn, self.wire.len(), self.now);
            self.answer_all(conn);
        }
        written
    }

    fn answer_all(&mut self, conn: ConnId) {
        let mut from = 0;
        while let Some(size) = self.wire[from..].first_chunk().map(|size| u32::from_be_bytes(*size) as usize) {
            let frame = &self.wire[from + 4..from + 4 + size];
            from += 4 + size;
            let produce = frame[..2] == [0, 0];
            if produce && !self.answer.is_empty() && frame.len() == self.usual {
                self.answer[4..8].copy_from_slice(&frame[4..8]);
                self.core.received(conn, &self.answer, self.now);
                continue;
            }
            let (answer, partitions) = answer(frame, self.lanes.len());
            if produce && partitions == self.partitions {
                self.answer.clone_from(&answer);
                self.usual = frame.len();
            }
            self.core.received(conn, &answer, self.now);
        }
    }
}

/// The shape of each record.
fn shape() -> Shape {
    Shape::measure(5, None, Some(VALUE.len()), &[]).expect("a small record")
}

/// What a broker answers to a request, and the partitions in it.
fn answer(frame: &[u8], partitions: usize) -> (Vec<u8>, usize) {
    let mut frame = Bytes::copy_from_slice(frame);
    let api = i16::from_be_bytes([frame[0], frame[1]]);
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let flexible = version >= [(0, 9), (3, 9), (18, 3), (22, 2)].iter().find(|known| known.0 == api).expect("known").1;
    let header = RequestHeader::decode(&mut frame, if flexible { 2 } else { 1 }).expect("a header");
    let mut body = BytesMut::new();
    let head = ResponseHeader::default().with_correlation_id(header.correlation_id);
    head.encode(&mut body, i16::from(flexible && api != 18)).expect("encodes");
    let mut answered = 0;
    match api {
        18 => {
            let keys = [(0, 3, PRODUCE), (3, 0, 12), (18, 0, 3), (22, 0, 4)].map(|(key, min, max)| {
                ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
            });
            let response = ApiVersionsResponse::default();
            if version > 3 {
                response.with_error_code(35).encode(&mut body, 0).expect("encodes");
            } else {
                response.with_api_keys(keys.to_vec()).encode(&mut body, version).expect("encodes");
            }
        }
        3 => {
            let request = MetadataRequest::decode(&mut frame, version).expect("metadata");
            let broker = MetadataResponseBroker::default()
                .with_node_id(BrokerId(0))
                .with_host(StrBytes::from_static_str("node0"))
                .with_port(9092);
            let topics = request.topics.iter().flatten().map(|topic| {
                let led = |index: usize| {
                    MetadataResponsePartition::default().with_partition_index(index as i32).with_leader_id(BrokerId(0))
                };
                MetadataResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions((0..partitions).map(led).collect())
            });
            let response = MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics.collect());
            response.encode(&mut body, version).expect("encodes");
        }
        22 => {
            let response = InitProducerIdResponse::default().with_producer_id(ProducerId(100)).with_producer_epoch(0);
            response.encode(&mut body, version).expect("encodes");
        }
        _ => {
            let request = ProduceRequest::decode(&mut frame, version).expect("produce");
            let topics = request.topic_data.iter().map(|topic| {
                let done = topic.partition_data.iter().map(|data| {
                    answered += 1;
                    PartitionProduceResponse::default().with_index(data.index)
                });
                TopicProduceResponse::default().with_name(topic.name.clone()).with_partition_responses(done.collect())
            });
            let response = ProduceResponse::default().with_responses(topics.collect());
            response.encode(&mut body, version).expect("encodes");
        }
    }
    ([&(body.len() as u32).to_be_bytes()[..], &body].concat(), answered)
}
