//! Requests without records, and the framing of all.

use bytes::{Bytes, BytesMut};
use forebay_io::time::Time;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProducerId,
    RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use super::{Cluster, Pending, Topic};
use crate::plan::Trouble;

const ANSWERS: &str = "an answer that the library can write";

impl Cluster {
    /// What a broker does about a whole request.
    ///
    /// # Panics
    /// If the request is not well formed.
    pub(crate) fn request(&mut self, node: usize, mut frame: Bytes, now: Time) -> Pending {
        self.requests += 1;
        let api = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let flexible = version >= [(0, 9), (3, 9), (18, 3), (22, 2)].iter().find(|a| a.0 == api).expect("known").1;
        let header = RequestHeader::decode(&mut frame, if flexible { 2 } else { 1 }).expect("a request header");
        let mut body = BytesMut::new();
        let head = ResponseHeader::default().with_correlation_id(header.correlation_id);
        head.encode(&mut body, i16::from(flexible && api != 18)).expect(ANSWERS);
        match api {
            18 => self.api_versions(node, version, &mut body),
            3 => {
                let request = MetadataRequest::decode(&mut frame, version).expect("a Metadata request");
                self.metadata(node, &request, version, now, &mut body);
            }
            22 => self.init_producer_id(version, &mut body),
            _ => return self.produce(node, &mut frame, version, body, now),
        }
        assert!(frame.is_empty() || api == 18 || api == 22, "nothing after the request");
        Pending::Ready(framed(&body))
    }

    fn api_versions(&mut self, node: usize, version: i16, body: &mut BytesMut) {
        let produce = self.plan.produce_max[node];
        let own = if produce >= 13 { 4 } else { 3 };
        let keys = [(0, 0, produce), (3, 0, self.plan.metadata_max), (18, 0, own), (22, 0, 4)]
            .map(|(key, min, max)| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max));
        let response = ApiVersionsResponse::default().with_api_keys(keys.to_vec());
        if version > own {
            response.with_error_code(35).encode(body, 0).expect(ANSWERS);
        } else {
            response.encode(body, version).expect(ANSWERS);
        }
    }

    fn metadata(&mut self, node: usize, request: &MetadataRequest, version: i16, now: Time, body: &mut BytesMut) {
        let trouble = self.has(Trouble::Control) && self.percent(20);
        self.faults += u64::from(trouble);
        if trouble && version >= 13 && self.percent(30) {
            return MetadataResponse::default().with_error_code(129).encode(body, version).expect(ANSWERS);
        }
        let brokers = self.nodes.iter().enumerate().filter(|(_, n)| n.up).map(|(number, n)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(number as i32))
                .with_host(StrBytes::from_string(format!("b{number}")))
                .with_port(n.port.into())
        });
        let brokers: Vec<_> = if trouble && self.rng.u32(..10) == 0 { Vec::new() } else { brokers.collect() };
        let mut topics = Vec::new();
        for asked in request.topics.iter().flatten() {
            let name = asked.name.clone().expect("topics are asked about by name");
            let Some(number) = self.topics.iter().position(|t| t.name == **name) else { continue };
            if !self.topics[number].exists && request.allow_auto_topic_creation && self.rng.bool() {
                let partitions = self.plan.topics[number];
                self.recreate(number, partitions);
            }
            let topic = &self.topics[number];
            let mut error = if topic.exists { topic.error } else { 3 };
            if trouble && self.rng.u32(..10) == 0 {
                error = [5, 29, 3][self.rng.usize(..3)];
            }
            let partitions = if error == 0 { self.partitions(node, topic, now) } else { Vec::new() };
            let id = if error == 0 { topic.id } else { Uuid::nil() };
            topics.push(
                MetadataResponseTopic::default()
                    .with_error_code(error)
                    .with_name(Some(name))
                    .with_topic_id(if version >= 10 { id } else { Uuid::nil() })
                    .with_partitions(partitions),
            );
        }
        MetadataResponse::default().with_brokers(brokers).with_topics(topics).encode(body, version).expect(ANSWERS);
    }

    fn partitions(&self, node: usize, topic: &Topic, now: Time) -> Vec<MetadataResponsePartition> {
        let describe = |(index, partition)| {
            let (leader, epoch) = self.view(node, partition, now);
            MetadataResponsePartition::default()
                .with_error_code(if leader < 0 { 5 } else { 0 })
                .with_partition_index(index as i32)
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(epoch)
        };
        topic.partitions.iter().enumerate().map(describe).collect()
    }

    fn init_producer_id(&mut self, version: i16, body: &mut BytesMut) {
        let mut error = 0;
        if self.has(Trouble::Control) && self.percent(30) {
            self.faults += 1;
            error = [14, 15, 7, 51, 31, -1][self.rng.usize(..6)];
        }
        self.next_producer += 1;
        InitProducerIdResponse::default()
            .with_error_code(error)
            .with_producer_id(ProducerId(if error == 0 { self.next_producer } else { -1 }))
            .with_producer_epoch(if error == 0 { self.first_epoch } else { -1 })
            .encode(body, version)
            .expect(ANSWERS);
        if error == 0 {
            self.first_epoch = 0;
        }
    }
}

/// A response with its length.
pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as i32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}
