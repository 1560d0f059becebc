//! Writes the committed seeds: `cargo run --example seeds` in this folder. Responses come from the kafka-protocol crate, so
//! they are an opinion other than ours on what a valid one looks like.

use bytes::BytesMut;
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, InitProducerIdResponse, MetadataResponse, ProduceResponse, ResponseHeader,
    TopicName,
    api_versions_response::ApiVersion,
    metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    produce_response::{
        BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
    },
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use std::path::Path;
use std::{fs, io};
use uuid::Uuid;

fn main() -> io::Result<()> {
    produce()?;
    metadata()?;
    api_versions()?;
    init_producer_id()?;
    sasl()?;
    frames()?;
    records()?;
    batches()?;
    connections()?;
    engine()?;
    properties()
}

fn seed(target: &str, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// A response as a target takes it: the choice of the version, then what follows the correlation id.
/// `floor` is the lowest version we speak, `flexible` the first with tagged fields in the header.
fn response(message: &impl Encodable, version: i16, floor: i16, flexible: i16) -> Vec<u8> {
    let mut buf = BytesMut::new();
    buf.extend_from_slice(&[(version - floor + 1) as u8]);
    let mut header = BytesMut::new();
    ResponseHeader::default().encode(&mut header, i16::from(version >= flexible)).expect("encodes");
    buf.extend_from_slice(&header[4..]);
    message.encode(&mut buf, version).expect("encodes");
    buf.to_vec()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn produce() -> io::Result<()> {
    let topic = |version: i16, partitions| {
        let topic = TopicProduceResponse::default().with_partition_responses(partitions);
        if version >= 13 {
            topic.with_topic_id(Uuid::from_bytes([7; 16]))
        } else {
            topic.with_name(TopicName(text("orders")))
        }
    };
    let good = |index, offset| PartitionProduceResponse::default().with_index(index).with_base_offset(offset);
    for version in [3, 5, 8, 9, 12, 13] {
        let body = ProduceResponse::default().with_responses(vec![topic(version, vec![good(0, 42), good(1, 43)])]);
        seed("produce_response", &format!("two_partitions_v{version}"), response(&body, version, 3, 9))?;
    }
    for version in [8, 11] {
        let errors = vec![
            BatchIndexAndErrorMessage::default()
                .with_batch_index(3)
                .with_batch_index_error_message(Some(text("null key"))),
            BatchIndexAndErrorMessage::default().with_batch_index(5).with_batch_index_error_message(None),
        ];
        let refused =
            good(0, -1).with_error_code(87).with_record_errors(errors).with_error_message(Some(text("invalid")));
        let body =
            ProduceResponse::default().with_responses(vec![topic(version, vec![refused])]).with_throttle_time_ms(9);
        seed("produce_response", &format!("record_errors_v{version}"), response(&body, version, 3, 9))?;
    }
    for version in [10, 13] {
        let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(11);
        let moved = good(0, -1).with_error_code(6).with_current_leader(leader);
        let node = NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(text("b2.example")).with_port(9092);
        let body = ProduceResponse::default()
            .with_responses(vec![topic(version, vec![moved])])
            .with_node_endpoints(vec![node.with_rack(Some(text("r1")))]);
        seed("produce_response", &format!("leader_moved_v{version}"), response(&body, version, 3, 9))?;
    }
    // A count of 2^31 - 1 topics, and nothing behind it.
    seed("produce_response", "hostile_count_v3", [1, 0x7f, 0xff, 0xff, 0xff])?;
    seed("produce_response", "hostile_count_v9", [7, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])
}

fn metadata() -> io::Result<()> {
    for version in [4, 5, 7, 8, 9, 10, 12, 13] {
        let broker = |id, host| {
            MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_host(text(host)).with_port(9092)
        };
        let partition = |index, leader| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(leader))
                .with_leader_epoch(if version >= 7 { 3 } else { -1 })
                .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
                .with_isr_nodes(vec![BrokerId(1)])
        };
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(text("orders"))))
            .with_topic_id(if version >= 10 { Uuid::from_bytes([7; 16]) } else { Uuid::nil() })
            .with_partitions(vec![partition(0, 1), partition(1, -1).with_error_code(5)]);
        let unknown = MetadataResponseTopic::default().with_name(Some(TopicName(text("nope")))).with_error_code(3);
        let body = MetadataResponse::default()
            .with_brokers(vec![broker(1, "b1.example"), broker(2, "b2.example")])
            .with_cluster_id(Some(text("kZ1")))
            .with_controller_id(BrokerId(1))
            .with_topics(vec![topic, unknown]);
        seed("metadata_response", &format!("two_topics_v{version}"), response(&body, version, 4, 9))?;
    }
    let empty = MetadataResponse::default();
    seed("metadata_response", "empty_v12", response(&empty, 12, 4, 9))?;
    seed("metadata_response", "hostile_brokers_v4", [1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff])
}

fn api_versions() -> io::Result<()> {
    let range = |key, min, max| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max);
    for (name, ranges) in [
        ("kafka_2_1", vec![range(0, 0, 7), range(3, 0, 7), range(18, 0, 2), range(22, 0, 1)]),
        ("kafka_4", vec![range(0, 3, 13), range(3, 0, 13), range(18, 0, 4), range(22, 0, 6)]),
        ("reversed", vec![range(0, 9, 3), range(3, 0, 13)]),
        ("none_in_common", vec![range(0, 0, 2), range(3, 0, 3)]),
    ] {
        for version in [0, 3] {
            let body = ApiVersionsResponse::default().with_api_keys(ranges.clone());
            // The header of this response never has tagged fields (KIP-511).
            seed("api_versions_response", &format!("{name}_v{version}"), response(&body, version, 0, i16::MAX))?;
        }
    }
    let old = ApiVersionsResponse::default().with_error_code(35).with_api_keys(vec![range(18, 0, 2)]);
    let mut answered_in_v0 = response(&old, 0, 0, i16::MAX);
    answered_in_v0[0] = 5; // asked in v4
    seed("api_versions_response", "unsupported_version", answered_in_v0)
}

fn init_producer_id() -> io::Result<()> {
    for version in 0..=5 {
        let body = InitProducerIdResponse::default().with_producer_id(4711.into()).with_producer_epoch(2);
        seed("init_producer_id_response", &format!("good_v{version}"), response(&body, version, 0, 2))?;
    }
    let refused = InitProducerIdResponse::default().with_error_code(31);
    seed("init_producer_id_response", "refused_v4", response(&refused, 4, 0, 2))
}

/// Answers are `how, length, bytes`; how 0: the bytes alone; 1: in their frame, behind our nonce; 2: in their frame.
fn sasl() -> io::Result<()> {
    let first = b"3rfcNHYJY1ZVvWVs7j,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let said = |how: u8, bytes: &[u8]| [&[how, bytes.len() as u8][..], bytes].concat();
    let greeted = [2, 0, 2, 0];
    let script = |name: &str, mechanism: u8, answers: &[Vec<u8>]| {
        seed("sasl_exchange", name, [&[mechanism][..], &greeted, &answers.concat()].concat())
    };
    script("plain", 0, &[said(2, b""), said(2, b"")])?;
    script("plain_refused", 0, &[said(0, &[0, 0, 58, 0, 0])])?;
    script("scram", 1, &[said(1, first), said(2, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")])?;
    script("scram_512", 2, &[said(1, first), said(2, b"e=invalid-proof")])?;
    script("scram_iterations", 1, &[said(1, b"x,s=AAAA,i=4000000000")])?;
    script("scram_other_nonce", 1, &[said(2, first)])?;
    script("bearer", 3, &[said(2, b"")])?;
    script("bearer_refused", 3, &[said(2, b"{\"status\":\"invalid_token\"}"), said(2, b"")])?;
    script("silence", 1, &[vec![255, 200, 255, 200], said(2, b"")])?;
    seed("sasl_response", "handshake_v1", [4, 0, 0, 0, 0, 0, 1, 0, 5, b'P', b'L', b'A', b'I', b'N'])?;
    seed("sasl_response", "handshake_hostile", [4, 0, 33, 0x7f, 0xff, 0xff, 0xff])?;
    seed("sasl_response", "authenticate_v0", [3, 0, 0, 0xff, 0xff, 0, 0, 0, 1, b'x'])?;
    seed("sasl_response", "authenticate_v1", [5, 0, 58, 0, 2, b'n', b'o', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 232])?;
    seed("sasl_response", "authenticate_v2", [7, 0, 0, 0, 0, 2, b'x', 0, 0, 0, 0, 0, 0, 3, 232, 0])?;
    seed("sasl_response", "authenticate_hostile", [7, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f])
}

fn frames() -> io::Result<()> {
    let frame = |id: i32, body: &[u8]| {
        let mut bytes = (body.len() as i32 + 4).to_be_bytes().to_vec();
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    };
    let stream = [frame(1, b"first"), frame(2, b""), frame(3, &[9; 300])].concat();
    let cut = |max: u16, cuts: &[u8], stream: &[u8]| {
        let mut bytes = max.to_le_bytes().to_vec();
        bytes.push(cuts.len() as u8);
        bytes.extend_from_slice(cuts);
        bytes.extend_from_slice(stream);
        bytes
    };
    seed("frame_reader", "whole", cut(1000, &[], &stream))?;
    seed("frame_reader", "byte_by_byte", cut(1000, &[1; 31], &stream))?;
    seed("frame_reader", "inside_the_size", cut(1000, &[2, 9, 4, 3], &stream))?;
    seed("frame_reader", "between_frames", cut(1000, &[13, 8], &stream))?;
    seed("frame_reader", "empty_reads", cut(1000, &[0, 5, 0, 0, 7], &stream))?;
    seed("frame_reader", "too_large", cut(200, &[20], &stream))?;
    seed("frame_reader", "negative", cut(1000, &[3], &[frame(1, b"x"), vec![0xff; 8]].concat()))?;
    seed("frame_reader", "too_small", cut(1000, &[], &[0, 0, 0, 3, 1, 2, 3]))?;
    seed("frame_reader", "unfinished", cut(1000, &[6], &stream[..40]))
}

fn records() -> io::Result<()> {
    // attributes 0, delta 1, offset delta unstamped, key "k", value "abc", no headers
    let record = [22, 0, 2, 0x80, 0, 2, b'k', 6, b'a', b'b', b'c', 0];
    let walked = |max_records: u16, max_bytes: u16, lengths: &[u8], bytes: &[u8]| {
        let mut seed = vec![0];
        seed.extend_from_slice(&max_records.to_le_bytes());
        seed.extend_from_slice(&max_bytes.to_le_bytes());
        seed.push(lengths.len() as u8);
        seed.extend_from_slice(lengths);
        seed.extend_from_slice(bytes);
        seed
    };
    let five = record.repeat(5);
    seed("record_walk", "walk_five", walked(100, 1000, &[], &five))?;
    seed("record_walk", "walk_straddling", walked(100, 1000, &[12, 7, 5, 20], &five))?;
    seed("record_walk", "walk_full_by_count", walked(2, 1000, &[], &five))?;
    seed("record_walk", "walk_full_by_bytes", walked(100, 30, &[], &five))?;
    seed("record_walk", "walk_garbage", walked(100, 1000, &[3], &[0xff; 40]))?;
    seed(
        "record_walk",
        "walk_hostile_length",
        walked(100, 1000, &[], &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0x80, 0, 0]),
    )?;
    seed("record_walk", "encode_plain", [&[1, 0, 12, 5, 1, b'k', 3][..], b"abc"].concat())?;
    seed("record_walk", "encode_nulls", [1, 0, 0, 1, 0, 2])?;
    let with_headers =
        [&[1, 9, 0x9d, 0x34, 0x12, 2][..], b"id", &[4], b"wide", &[2], b"h1", &[1], b"x", &[2], b"h2", &[0]];
    seed("record_walk", "encode_headers", with_headers.concat())?;
    let far = [&[1, 3, 0x0b][..], &i64::MIN.to_le_bytes(), &[200], &[b'v'; 200]].concat();
    seed("record_walk", "encode_far_timestamp", far)
}

/// The order is that of `batches::round_trip`; records are as in `encode_plain`.
fn batches() -> io::Result<()> {
    let batch = |version: u8, segment: u8, max_records: u8, max_bytes: u16, base: i64, records: &[u8]| {
        let mut bytes = vec![version - 3, segment, max_records - 1];
        bytes.extend_from_slice(&max_bytes.to_le_bytes());
        bytes.extend_from_slice(&base.to_le_bytes());
        bytes.extend_from_slice(&4711i64.to_le_bytes());
        bytes.extend_from_slice(&[3, 0, 0xff, 0x7f, 0xfe, 0xff]); // the epoch, and a sequence that is about to wrap
        bytes.extend_from_slice(records);
        bytes
    };
    let plain = [&[12, 5, 1, b'k', 3][..], b"abc"].concat();
    let wide = [&[9, 1, 2, 180][..], &[b'v'; 180]].concat();
    let headers =
        [&[0x9d, 0x34, 0x12, 2][..], b"id", &[4], b"wide", &[2], b"h1", &[1], b"x", &[2], b"h2", &[0]].concat();
    let nulls = [0, 0, 1, 9];
    let far = [&[0x0b][..], &i64::MIN.to_le_bytes(), &[3], b"far"].concat();
    let now = 1_700_000_000_000;
    for version in [3, 8, 9, 12, 13] {
        seed("record_batch", &format!("plain_v{version}"), batch(version, 4, 100, 9999, now, &plain.repeat(3)))?;
    }
    let mixed = [&wide[..], &plain, &wide, &headers, &nulls, &wide].concat();
    seed("record_batch", "straddling", batch(9, 0, 100, 9999, now, &mixed))?;
    seed("record_batch", "cut_by_count", batch(3, 1, 2, 9999, now, &mixed))?;
    seed("record_batch", "cut_by_bytes", batch(12, 2, 100, 90, now, &mixed))?;
    seed("record_batch", "far_timestamps", batch(13, 1, 100, 9999, 5, &[&far[..], &plain, &far].concat()))?;
    let smallest = [8, 1, 0].repeat(190); // offset deltas of two whole bytes
    seed("record_batch", "many", batch(9, 1, 200, 9999, now, &smallest))?;
    seed("record_batch", "no_records", batch(7, 1, 1, 1, -1, &[]))
}

/// Operations are `which << 4 | kind`; the kinds are those of `machine::step`.
fn connections() -> io::Result<()> {
    // acks, batch.max.bytes, in flight, linger, batch.size, max.request.size, segments
    const ALL: [u8; 7] = [0, 20, 4, 5, 10, 3, 3];
    const LEADER: [u8; 7] = [2, 20, 0, 0, 10, 0, 1];
    const NONE: [u8; 7] = [3, 20, 2, 5, 10, 3, 3];
    const SILENT: [u8; 7] = [0x20, 20, 4, 5, 10, 3, 3];
    const REFUSED: [u8; 7] = [0x38, 20, 4, 5, 10, 3, 3];
    const FEW_RETRIES: [u8; 7] = [0xc6, 20, 4, 0, 0, 3, 3];
    /// Records, then everything until they are answered.
    const GREETED: [u8; 9] = [0x00, 30, 0x11, 9, 5, 3, 5, 3, 5];
    let script = |name: &str, settings: [u8; 7], operations: &[u8]| {
        seed("connections", name, [&settings[..], operations].concat())
    };
    let more = [0x00, 90, 0x11, 31, 0x21, 20, 3, 5];
    let written = [0x21, 12, 0x11, 12, 3, 2, 0xc7, 0xff];
    script("delivered", ALL, &[&GREETED[..], &more, &more].concat())?;
    script("leader_alone", LEADER, &[&GREETED[..], &more, &more].concat())?;
    script("no_answers", NONE, &[&GREETED[..], &more, &more].concat())?;
    script("silent_at_the_end", SILENT, &[&GREETED[..], &more, &[0x11, 31, 2]].concat())?;
    script("refused_at_the_end", REFUSED, &[&GREETED[..], &more, &[12, 0x11, 31, 2]].concat())?;
    script("never_reached", REFUSED, &[0x11, 31, 2, 0xa6, 3, 0xa6, 3, 0xf6, 3, 3])?;
    script(
        "short_writes",
        ALL,
        &[&GREETED[..], &[1, 31, 3, 2, 7, 1, 7, 3, 7, 60, 7, 1, 7, 255, 8, 0, 9, 1, 9, 3, 9, 255]].concat(),
    )?;
    script("refused_batches", ALL, &[&GREETED[..], &written, &[8, 3, 3, 0, 9, 0xc9, 255, 3, 5, 3, 5]].concat())?;
    script("leader_moved", ALL, &[&GREETED[..], &written, &[8, 2, 3, 3, 0xc9, 255, 3, 5, 3, 5]].concat())?;
    script("records_refused", ALL, &[&GREETED[..], &written, &[8, 2, 19, 0x28, 0xc9, 255, 3, 5]].concat())?;
    script("too_large", FEW_RETRIES, &[&GREETED[..], &written, &[8, 2, 8, 0, 0xc9, 255, 3, 5]].concat())?;
    script("throttled", ALL, &[&GREETED[..], &written, &[8, 2, 0, 90, 0xc9, 255, 0x11, 9, 3, 5, 3, 5]].concat())?;
    script("reset_with_requests", ALL, &[&GREETED[..], &written, &[12, 3, 5, 3, 5]].concat())?;
    script("reset_after_append", ALL, &[&GREETED[..], &written, &[8, 0, 12, 3, 5, 3, 5]].concat())?;
    script("half_an_answer", ALL, &[&GREETED[..], &written, &[8, 0, 9, 6, 12, 3, 5]].concat())?;
    script(
        "garbage",
        ALL,
        &[&GREETED[..], &written, &[11, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xc9, 255, 2, 6, 3, 5]].concat(),
    )?;
    script(
        "hostile_size",
        ALL,
        &[&GREETED[..], &written, &[10, 1, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff, 0xc9, 255, 2, 6, 3]].concat(),
    )?;
    script("wrong_order", ALL, &[&GREETED[..], &written, &written, &[13, 8, 0, 8, 0, 0xc9, 255, 2, 6, 3, 5]].concat())?;
    script("flushed", ALL, &[&GREETED[..], &[0x11, 5, 14, 5, 14, 3, 5]].concat())?;
    script("lanes_dropped", ALL, &[&GREETED[..], &[0x1e, 0, 0x1e, 1, 3, 5, 3, 0x11, 4, 0, 9, 3, 5]].concat())?;
    script("memory_wanted", LEADER, &[&GREETED[..], &[1, 31, 0x2e, 39, 3, 5, 3, 5]].concat())?;
    script(
        "old_broker",
        ALL,
        &[0, 30, 2, 6, 2, 7, 255, 8, 2, 3, 60, 0xc9, 255, 3, 7, 255, 8, 2, 0, 9, 0xc9, 255, 5, 3, 5, 3],
    )?;
    script("asleep_for_long", ALL, &[&GREETED[..], &[0x34, 30, 2, 6, 3, 0x11, 9, 5, 3, 5]].concat())?;
    const SHORT_LIVED: [u8; 7] = [2, 20, 4, 0x80, 10, 3, 3];
    // 100 ms pass before the connection is there, so that the records end 80 ms before their request does.
    let greeting = [2, 0xc7, 255, 8, 0, 0xc9, 255];
    let late = [&[0x21, 12, 2, 0x14, 100, 6][..], &greeting, &greeting, &[2, 6, 6], &greeting];
    let answered_late = [2, 0xc7, 255, 0x24, 21, 2, 8, 0, 0xc9, 255, 2, 3, 5];
    script("answered_after_its_end", SHORT_LIVED, &[&late.concat()[..], &answered_late].concat())?;
    script("partition_left_out", ALL, &[&GREETED[..], &written, &[8, 3, 0, 0, 250, 0xc9, 255, 2, 6, 3, 5]].concat())?;
    script("partition_twice", ALL, &[&GREETED[..], &written, &[8, 3, 0, 0, 251, 0xc9, 255, 2, 6, 3, 5]].concat())?;
    script("another_partition", ALL, &[&GREETED[..], &written, &[8, 3, 0, 0, 253, 0xc9, 255, 2, 6, 3, 5]].concat())?;
    script("closed_early", ALL, &[&GREETED[..], &[0x11, 20, 2, 0xff, 2, 2, 7, 90, 3, 3, 5]].concat())
}

/// Operations are `sender << 4 | kind`; the kinds are those of `World::step`.
fn engine() -> io::Result<()> {
    let fill = [0x00u8, 0, 60, 0].repeat(12);
    let drain = [0x04u8, 0, 255, 0x06, 0, 0x07].repeat(6);
    seed("engine_ops", "fill_and_drain", [&[7][..], &fill, &drain, &fill, &drain].concat())?;
    seed("engine_ops", "abort", [&[7][..], &[0, 0, 40, 0, 3, 0, 200, 0, 90, 0, 0, 50, 0, 4, 0, 255, 8, 7]].concat())?;
    seed(
        "engine_ops",
        "release_out_of_order",
        [&[15][..], &fill, &[4, 0, 50, 14, 0, 9, 6, 1, 6, 0, 6, 2, 7, 7]].concat(),
    )?;
    let queue = [0x0a, 9, 0x1a, 0, 0x2a, 1, 0x07, 0x04, 0, 255, 0x06, 0, 0x07, 0x06, 0, 0x07, 0x00, 1, 255, 1];
    seed("engine_ops", "waiters_in_turn", [&[9][..], &fill, &queue, &drain].concat())?;
    let cancelled = [0x0a, 9, 0x1a, 0, 0x0b, 0x07, 0x04, 0, 255, 0x06, 0, 0x07, 0x10, 0, 9, 0, 0x1c, 0x2f, 1];
    seed("engine_ops", "cancelled_waiter", [&[9][..], &fill, &cancelled].concat())?;
    seed(
        "engine_ops",
        "retire_and_return",
        [&[5][..], &[0, 0, 9, 0, 4, 0, 255, 8, 0, 0, 9, 0, 4, 0, 255, 6, 0, 8, 7]].concat(),
    )?;
    seed(
        "engine_ops",
        "windows",
        [&[9][..], &[9, 0, 1, 0, 0, 30, 0, 9, 0, 2, 0, 0, 30, 0, 4, 0, 255, 4, 0, 255]].concat(),
    )?;
    seed(
        "engine_ops",
        "dropped_lane",
        [&[9][..], &[0, 0, 30, 0, 0x0d, 0, 4, 0, 255, 8, 6, 0, 0x10, 0, 30, 0, 8]].concat(),
    )?;
    seed(
        "engine_ops",
        "closed_with_bytes",
        [&[9][..], &fill, &[0x0a, 20, 0x0f, 0, 0x00, 0, 1, 0, 0x07], &drain].concat(),
    )?;
    // A sender waits for more than is free, another claims; then the first goes with a grant that it has not seen.
    let newcomer = [0x0a, 9, 0x10, 0, 90, 0, 4, 0, 255, 6, 0, 0x0f, 3, 0x0f, 1];
    seed("engine_ops", "newcomer", [&[9][..], &fill[..16], &newcomer, &drain].concat())?;
    seed(
        "engine_ops",
        "dropped_and_listed",
        [&[9][..], &[0, 0, 30, 0, 4, 0, 255, 0x0d, 0, 0x18, 6, 0, 7, 8]].concat(),
    )?;
    seed(
        "engine_ops",
        "three_senders",
        [&[12][..], &[0, 0, 80, 0, 0x10, 1, 90, 1, 0x20, 2, 70, 0, 4, 0, 20, 4, 1, 20, 4, 2, 9]].concat(),
    )
}

fn properties() -> io::Result<()> {
    for (name, text) in [
        ("plain", "bootstrap.servers=localhost:9092\nlinger.ms=5\nacks=all\n"),
        ("separators", "linger.ms: 5\nacks 1\nclient.id\t=\tme\n"),
        ("continued", "bootstrap.servers=a:1,\\\n    b:2,\\\r\n    c:3\n"),
        ("comments", "# one\n  ! two\n\nacks=1 # no comment\n"),
        ("escapes", "client.id=\\u0041\\t\\:\\=\\\\ \\ud83d\\ude00\n"),
        (
            "to_be_escaped",
            "client.id= a\\b\t=:#! \u{e9}\u{1f600}\u{c}\n spaced key = v \n:=\n#not a comment=1\nlinger.ms=7",
        ),
        ("bad_escapes", "client.id=\\u12\nacks=\\ud800x\n"),
        ("wrong_values", "linger.ms=soon\nacks=7\nbuffer.memory=-1\nlinger.millis=5\n"),
        ("sizes", "buffer.memory=8388608\nbatch.size=16384\nmax.request.size=1048576\n"),
        ("open_end", "bootstrap.servers=a:1\\"),
        ("byte_order_mark", "\u{feff}acks=0\r\renable.idempotence=false"),
    ] {
        seed("config_properties", name, text)?;
    }
    Ok(())
}
