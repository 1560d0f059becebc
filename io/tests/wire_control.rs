//! Control requests against an independent decoder; responses from an independent encoder, whole and damaged, and what
//! hostile ones may allocate.

mod wire_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use forebay_io::wire::control::{
    ApiRange, PartitionMeta, ProducerIdAndEpoch, RequestId, encode_api_versions, encode_init_producer_id,
    encode_metadata, parse_api_versions, parse_init_producer_id, parse_metadata,
};
use forebay_io::wire::{ErrorCode, WireError};
use kafka_protocol::messages::api_versions_response::{ApiVersion, SupportedFeatureKey};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest,
    MetadataResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use wire_support::{mutations, truncations};

fn id(version: i16) -> RequestId<'static> {
    RequestId { version, correlation_id: 99, client_id: "forebay-1" }
}

/// Checks size and header of a frame and returns the body.
fn body_of<T: Decodable>(frame: Vec<u8>, api_key: i16, version: i16, flexible_from: i16) -> T {
    assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
    let mut bytes = Bytes::from(frame).slice(4..);
    let header = RequestHeader::decode(&mut bytes, if version >= flexible_from { 2 } else { 1 }).expect("header");
    assert_eq!((header.request_api_key, header.request_api_version, header.correlation_id), (api_key, version, 99));
    assert_eq!(header.client_id.as_deref(), Some("forebay-1"));
    let body = T::decode(&mut bytes, version).expect("body");
    assert!(bytes.is_empty());
    body
}

/// A response as the frame reader hands it on: without the correlation id.
fn respond(response: &impl Encodable, version: i16, header_version: i16) -> Vec<u8> {
    let mut buf = BytesMut::new();
    ResponseHeader::default().encode(&mut buf, header_version).expect("header");
    response.encode(&mut buf, version).expect("response");
    buf[4..].to_vec()
}

fn string(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn api_versions(version: i16) -> Vec<u8> {
    let range = |k, min, max| ApiVersion::default().with_api_key(k).with_min_version(min).with_max_version(max);
    let mut response = ApiVersionsResponse::default().with_api_keys(vec![range(0, 0, 13), range(3, 0, 13)]);
    if version >= 1 {
        response = response.with_throttle_time_ms(5);
    }
    if version >= 3 {
        let feature = SupportedFeatureKey::default().with_name(string("transaction.version")).with_max_version(2);
        response = response.with_supported_features(vec![feature]);
    }
    respond(&response, version, 0)
}

fn metadata(version: i16) -> Vec<u8> {
    let broker = |n: i32, rack| {
        let host = string(&format!("kafka-{n}.example"));
        MetadataResponseBroker::default().with_node_id(n.into()).with_host(host).with_port(9092 + n).with_rack(rack)
    };
    let partition = |index, leader: i32, error| {
        let mut p = MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(leader.into())
            .with_error_code(error)
            .with_replica_nodes(vec![1.into(), 2.into()])
            .with_isr_nodes(vec![2.into()]);
        if version >= 5 {
            p = p.with_offline_replicas(vec![1.into()]);
        }
        if version >= 7 {
            p = p.with_leader_epoch(40 + index);
        }
        p
    };
    let topic = |name: &str, error, id: u8| {
        let topic = MetadataResponseTopic::default().with_name(Some(TopicName(string(name)))).with_error_code(error);
        if version >= 10 { topic.with_topic_id(uuid::Uuid::from_bytes([id; 16])) } else { topic }
    };
    let mut response = MetadataResponse::default()
        .with_throttle_time_ms(11)
        .with_brokers(vec![broker(1, None), broker(2, Some(string("rack-b")))])
        .with_cluster_id(Some(string("MkU3OEVBNTcwNTJENDM2Qk")))
        .with_controller_id(2.into())
        .with_topics(vec![
            topic("orders", 0, 7).with_partitions(vec![partition(1, 2, 0), partition(0, -1, 5)]),
            topic("missing", 3, 0),
        ]);
    if version >= 13 {
        response = response.with_error_code(129);
    }
    respond(&response, version, i16::from(version >= 9))
}

fn init_producer_id(version: i16) -> Vec<u8> {
    let response = InitProducerIdResponse::default()
        .with_throttle_time_ms(3)
        .with_producer_id(4_000_000_001.into())
        .with_producer_epoch(6);
    respond(&response, version, i16::from(version >= 2))
}

#[test]
fn api_versions_requests_are_read_by_an_independent_decoder() {
    for version in 0..=4 {
        let mut frame = b"x".to_vec();
        encode_api_versions(&mut frame, id(version)).expect("encodes");
        let request: ApiVersionsRequest = body_of(frame.split_off(1), 18, version, 3);
        assert_eq!(frame, b"x", "appended");
        let (name, known) = (request.client_software_name.as_str(), request.client_software_version.as_str());
        let expect = if version >= 3 { ("forebay", env!("CARGO_PKG_VERSION")) } else { ("", "") };
        assert_eq!((name, known), expect);
    }
}

#[test]
fn metadata_requests_are_read_by_an_independent_decoder() {
    for version in 4..=13 {
        for names in [&["orders", "clicks"][..], &[]] {
            let mut frame = Vec::new();
            encode_metadata(&mut frame, id(version), names.iter().copied(), version % 2 == 0).expect("encodes");
            let request: MetadataRequest = body_of(frame, 3, version, 9);
            let topics = request.topics.expect("a list: null would ask for all topics");
            let read: Vec<_> = topics.iter().map(|t| t.name.as_ref().expect("by name").as_str()).collect();
            assert_eq!((&read[..], request.allow_auto_topic_creation), (names, version % 2 == 0));
        }
    }
}

#[test]
fn init_producer_id_requests_are_read_by_an_independent_decoder() {
    for version in 0..=5 {
        let mut frame = Vec::new();
        encode_init_producer_id(&mut frame, id(version), i32::MAX).expect("encodes");
        let request: InitProducerIdRequest = body_of(frame, 22, version, 2);
        assert_eq!((request.transactional_id, request.transaction_timeout_ms), (None, i32::MAX));
        assert_eq!((request.producer_id.0, request.producer_epoch), (-1, -1));
    }
}

#[test]
fn what_cannot_be_encoded_leaves_the_buffer_as_it_was() {
    let mut buf = b"x".to_vec();
    assert!(matches!(encode_api_versions(&mut buf, id(5)), Err(WireError::UnsupportedVersion { .. })));
    assert!(matches!(encode_metadata(&mut buf, id(3), [], true), Err(WireError::UnsupportedVersion { .. })));
    assert!(matches!(encode_init_producer_id(&mut buf, id(-1), 0), Err(WireError::UnsupportedVersion { .. })));
    let long = "t".repeat(40_000);
    let error = encode_metadata(&mut buf, id(4), ["fits", &long], true).expect_err("too long a name");
    assert!(matches!(error, WireError::Encode { version: 4, .. }), "{error}");
    assert_eq!(buf, b"x");
}

#[test]
fn api_versions_responses_of_every_version_are_read() {
    for version in 0..=4 {
        let read = parse_api_versions(version, &api_versions(version)).expect("well-formed");
        assert_eq!(read.error, ErrorCode::NONE);
        assert_eq!(
            read.ranges,
            [ApiRange { api_key: 0, min: 0, max: 13 }, ApiRange { api_key: 3, min: 0, max: 13 }],
            "v{version}"
        );
        assert_eq!(read.throttle_ms, if version >= 1 { 5 } else { 0 });
    }
}

#[test]
fn a_broker_that_refuses_the_version_is_read_in_the_shape_of_version_0() {
    let range = ApiVersion::default().with_api_key(18).with_min_version(0).with_max_version(2);
    let refusal = ApiVersionsResponse::default().with_error_code(35).with_api_keys(vec![range]);
    for version in [3, 4] {
        let read = parse_api_versions(version, &respond(&refusal, 0, 0)).expect("well-formed");
        assert_eq!(read.error, ErrorCode::UNSUPPORTED_VERSION);
        assert_eq!(read.ranges, [ApiRange { api_key: 18, min: 0, max: 2 }]);
    }
}

#[test]
fn a_refusal_whose_ranges_make_no_sense_is_a_refusal_still() {
    // As librdkafka's mock broker (2.16) answers version 4: a compact array of one byte's length where version 0 has four.
    let refusal = [0x00, 0x23, 0x01, 0x00, 0x12, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00];
    for body in [&refusal[..], &refusal[..2]] {
        let read = parse_api_versions(4, body).expect("a refusal");
        assert_eq!((read.error, read.ranges), (ErrorCode::UNSUPPORTED_VERSION, vec![]));
    }
    assert!(parse_api_versions(4, &refusal[..1]).is_err());
}

#[test]
fn metadata_responses_of_every_version_are_read() {
    for version in 4..=13 {
        let read = parse_metadata(version, &metadata(version)).expect("well-formed");
        assert_eq!(read.error.0, if version >= 13 { 129 } else { 0 });
        let brokers: Vec<_> = read.brokers.iter().map(|b| (b.node_id, b.host.as_str(), b.port)).collect();
        assert_eq!(brokers, [(1, "kafka-1.example", 9093), (2, "kafka-2.example", 9094)]);
        assert_eq!((read.cluster_id.as_deref(), read.controller), (Some("MkU3OEVBNTcwNTJENDM2Qk"), 2));
        assert_eq!(read.throttle_ms, 11);
        let [orders, missing] = &read.topics[..] else { panic!("two topics, v{version}") };
        assert_eq!((orders.name.as_deref(), orders.error), (Some("orders"), ErrorCode::NONE));
        assert_eq!(orders.id, if version >= 10 { [7; 16] } else { [0; 16] });
        let epoch = |n| if version >= 7 { n } else { -1 };
        let expect = [
            PartitionMeta { error: ErrorCode::NONE, index: 1, leader: 2, leader_epoch: epoch(41) },
            PartitionMeta { error: ErrorCode::LEADER_NOT_AVAILABLE, index: 0, leader: -1, leader_epoch: epoch(40) },
        ];
        assert_eq!(orders.partitions, expect, "v{version}");
        assert_eq!(missing.error, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert!(missing.partitions.is_empty());
    }
}

#[test]
fn init_producer_id_responses_of_every_version_are_read() {
    for version in 0..=5 {
        let read = parse_init_producer_id(version, &init_producer_id(version)).expect("well-formed");
        assert_eq!((read.error, read.throttle_ms), (ErrorCode::NONE, 3));
        assert_eq!(read.producer, ProducerIdAndEpoch { producer_id: 4_000_000_001, epoch: 6 });
    }
}

/// A message's name, the message, and whether its parser takes some bytes.
type Case = (String, Vec<u8>, Box<dyn Fn(&[u8]) -> bool>);

/// Every response of every version, with its parser.
fn all() -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    for v in 0..=4 {
        all.push((format!("ApiVersions v{v}"), api_versions(v), Box::new(move |b| parse_api_versions(v, b).is_ok())));
    }
    for v in 4..=13 {
        all.push((format!("Metadata v{v}"), metadata(v), Box::new(move |b| parse_metadata(v, b).is_ok())));
    }
    for v in 0..=5 {
        let parse = move |b: &[u8]| parse_init_producer_id(v, b).is_ok();
        all.push((format!("InitProducerId v{v}"), init_producer_id(v), Box::new(parse)));
    }
    all
}

#[test]
fn a_response_cut_anywhere_is_an_error() {
    for (name, message, parse) in all() {
        assert!(parse(&message), "{name}");
        for cut in truncations(&message) {
            assert!(!parse(&cut), "{name} cut to {} of {} bytes", cut.len(), message.len());
        }
    }
}

#[test]
fn damaged_responses_neither_panic_nor_allocate_by_what_they_state() {
    for (name, message, parse) in all() {
        for damaged in mutations(&message) {
            LARGEST.set(0);
            parse(&damaged);
            // 96 bytes, the largest element, for every 6 bytes that could be one
            assert!(LARGEST.get() <= 16 * damaged.len() + 64, "{name}: {} for {} bytes", LARGEST.get(), damaged.len());
        }
    }
}

#[test]
fn a_stated_count_of_billions_is_an_error_and_costs_nothing() {
    LARGEST.set(0);
    assert!(parse_api_versions(0, &[0, 0, 0x7f, 0xff, 0xff, 0xff]).is_err());
    assert!(parse_api_versions(0, &[0, 0, 0x80, 0, 0, 0]).is_err());
    assert!(parse_api_versions(3, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(parse_metadata(4, &[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]).is_err());
    assert!(parse_metadata(12, &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(parse_init_producer_id(4, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert_eq!(LARGEST.get(), 0);
}

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Notes the largest allocation of each thread.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _gone = LARGEST.try_with(|l| l.set(l.get().max(layout.size())));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `ptr` came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}
