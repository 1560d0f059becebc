//! Produce requests against golden bytes and an independent decoder; responses from an independent encoder, whole and
//! damaged.

mod wire_support;

use bytes::{Bytes, BytesMut};
use forebay_io::wire::WireError;
use forebay_io::wire::batch::BatchHeader;
use forebay_io::wire::produce::{NodeEndpoint, ProduceFraming, ProduceHead, TopicRef, parse_response};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint as TheirEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use wire_support::{hex, mutations, truncations};

const TOPIC_ID: [u8; 16] = *b"0123456789abcdef";
const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

fn head(version: i16) -> ProduceHead<'static> {
    ProduceHead { version, correlation_id: 7, client_id: "fb", acks: -1, timeout_ms: 1500 }
}

/// A request of one topic "t" with one partition 2 whose record set is the bytes AA BB, as it goes over the wire.
fn one_partition(version: i16) -> Vec<u8> {
    let mut buf = Vec::new();
    let mut framing = ProduceFraming::begin(&mut buf, &head(version), 1).expect("begins");
    framing.topic("t", TOPIC_ID, 1);
    let at = framing.partition(2, 2);
    framing.end_partition();
    framing.end_topic();
    let len = framing.finish().expect("fits");
    let wire = [&buf[..at], &[0xAA, 0xBB], &buf[at..]].concat();
    assert_eq!(wire.len(), len);
    wire
}

#[test]
fn the_golden_bytes_of_a_version_3_request() {
    let golden = "00000029 0000 0003 00000007 0002 6662 \
                  ffff ffff 000005dc 00000001 0001 74 00000001 00000002 00000002 aabb";
    assert_eq!(hex(&one_partition(3)), golden.replace(' ', ""));
}

#[test]
fn the_golden_bytes_of_a_version_9_request() {
    let golden = "00000022 0000 0009 00000007 0002 6662 00 \
                  00 ffff 000005dc 02 02 74 02 00000002 03 aabb 00 00 00";
    assert_eq!(hex(&one_partition(9)), golden.replace(' ', ""));
}

#[test]
fn the_golden_bytes_of_a_version_13_request() {
    let golden = "00000030 0000 000d 00000007 0002 6662 00 \
                  00 ffff 000005dc 02 30313233343536373839616263646566 02 00000002 03 aabb 00 00 00";
    assert_eq!(hex(&one_partition(13)), golden.replace(' ', ""));
}

fn header(records: &[u8]) -> BatchHeader {
    BatchHeader {
        records_len: records.len(),
        count: 1,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        attributes: 0,
        records_crc: forebay_io::wire::crc::crc32c(records),
    }
}

#[test]
fn an_independent_decoder_reads_every_version_with_records_spliced_in() {
    let bodies: Vec<Vec<u8>> = [1usize, 70, 200, 20_000].iter().map(|&n| vec![n as u8; n]).collect();
    for version in VERSIONS {
        // A second request in the same buffer: positions are of the buffer, the size is of the request.
        let mut buf = b"before".to_vec();
        let mut cuts: Vec<(usize, &[u8])> = Vec::new();
        let mut framing = ProduceFraming::begin(&mut buf, &head(version), 2).expect("begins");
        framing.topic("orders", TOPIC_ID, 3);
        for (i, body) in bodies[..3].iter().enumerate() {
            cuts.push((framing.partition_with_header(i as i32, &header(body)), body));
            framing.end_partition();
        }
        framing.end_topic();
        framing.topic("clicks", [9; 16], 1);
        let whole = [&header(&bodies[3]).encode()[..], &bodies[3]].concat();
        cuts.push((framing.partition(41, whole.len()), &whole));
        framing.end_partition();
        framing.end_topic();
        let len = framing.finish().expect("fits");

        let mut wire = Vec::new();
        let mut from = 6;
        for (at, bytes) in cuts {
            wire.extend_from_slice(&buf[from..at]);
            wire.extend_from_slice(bytes);
            from = at;
        }
        wire.extend_from_slice(&buf[from..]);
        assert_eq!(&buf[..6], b"before");
        assert_eq!(wire.len(), len);
        assert_eq!(wire[..4], (len as i32 - 4).to_be_bytes(), "v{version}");

        let mut bytes = Bytes::from(wire).slice(4..);
        let read = RequestHeader::decode(&mut bytes, if version >= 9 { 2 } else { 1 }).expect("header");
        assert_eq!((read.request_api_key, read.request_api_version, read.correlation_id), (0, version, 7));
        assert_eq!(read.client_id.as_deref(), Some("fb"));
        let request = ProduceRequest::decode(&mut bytes, version).expect("body");
        assert!(bytes.is_empty(), "v{version}: nothing is left");
        assert_eq!((request.acks, request.timeout_ms, request.transactional_id), (-1, 1500, None));
        let [orders, clicks] = &request.topic_data[..] else { panic!("two topics") };
        if version >= 13 {
            assert_eq!((orders.topic_id.as_bytes(), clicks.topic_id.as_bytes()), (&TOPIC_ID, &[9; 16]));
        } else {
            assert_eq!((orders.name.as_str(), clicks.name.as_str()), ("orders", "clicks"));
        }
        for (i, (partition, body)) in orders.partition_data.iter().zip(&bodies).enumerate() {
            let records = partition.records.as_ref().expect("records");
            assert_eq!((partition.index, &records[61..]), (i as i32, &body[..]));
            assert_eq!(records[..61], header(body).encode());
        }
        assert_eq!(clicks.partition_data[0].index, 41);
        assert_eq!(clicks.partition_data[0].records.as_deref(), Some(&whole[..]));
    }
}

#[test]
fn what_cannot_be_framed_is_refused_and_leaves_the_buffer_as_it_was() {
    for version in [2, 14] {
        let mut buf = b"x".to_vec();
        let error = ProduceFraming::begin(&mut buf, &head(version), 0).expect_err("unknown version");
        assert!(matches!(error, WireError::UnsupportedVersion { .. }));
        assert_eq!(buf, b"x");
    }
    let long = "c".repeat(40_000);
    let mut buf = b"x".to_vec();
    let head = ProduceHead { client_id: &long, ..head(9) };
    assert!(matches!(ProduceFraming::begin(&mut buf, &head, 0), Err(WireError::Encode { .. })));
    assert_eq!(buf, b"x");
    for version in [3, 9] {
        let mut framing =
            ProduceFraming::begin(&mut buf, &ProduceHead { version, client_id: "", ..head }, 1).expect("ok");
        framing.topic("t", TOPIC_ID, 2);
        for index in 0..2 {
            framing.partition(index, 1 << 30);
            framing.end_partition();
        }
        framing.end_topic();
        assert!(matches!(framing.finish(), Err(WireError::RequestTooLarge { len }) if len > 1 << 31));
        assert_eq!(buf, b"x");
    }
}

fn string(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn response(version: i16) -> Vec<u8> {
    let mut good = PartitionProduceResponse::default()
        .with_index(3)
        .with_base_offset(1 << 40)
        .with_log_append_time_ms(1_700_000_000_000);
    if version >= 5 {
        good = good.with_log_start_offset(12);
    }
    let mut bad = PartitionProduceResponse::default().with_index(4).with_error_code(87).with_base_offset(-1);
    let mut moved = PartitionProduceResponse::default().with_index(0).with_error_code(6).with_base_offset(-1);
    let mut response = ProduceResponse::default().with_throttle_time_ms(250);
    if version >= 8 {
        let error = |i, message: Option<&str>| {
            BatchIndexAndErrorMessage::default().with_batch_index(i).with_batch_index_error_message(message.map(string))
        };
        bad = bad
            .with_record_errors(vec![error(0, Some("no key")), error(7, None), error(9, Some(""))])
            .with_error_message(Some(string("compacted topic")));
    }
    if version >= 9 {
        good.unknown_tagged_fields.insert(77, Bytes::from_static(b"from the future"));
        response.unknown_tagged_fields.insert(9, Bytes::from_static(&[0xff; 200]));
    }
    if version >= 10 {
        moved = moved.with_current_leader(LeaderIdAndEpoch::default().with_leader_id(2.into()).with_leader_epoch(19));
        response = response.with_node_endpoints(vec![
            TheirEndpoint::default()
                .with_node_id(2.into())
                .with_host(string("kafka-2"))
                .with_port(9094)
                .with_rack(None),
        ]);
    }
    let topic = |name: &str, id: [u8; 16]| {
        let topic = TopicProduceResponse::default();
        if version >= 13 {
            topic.with_topic_id(uuid::Uuid::from_bytes(id))
        } else {
            topic.with_name(TopicName(string(name)))
        }
    };
    response = response.with_responses(vec![
        topic("orders", TOPIC_ID).with_partition_responses(vec![good, bad]),
        topic("clicks", [9; 16]).with_partition_responses(vec![moved]),
    ]);
    let mut buf = BytesMut::new();
    ResponseHeader::default().encode(&mut buf, i16::from(version >= 9)).expect("header");
    response.encode(&mut buf, version).expect("response");
    buf[4..].to_vec() // without the correlation id, which the frame reader takes off
}

type Seen = (String, i32, i16, i64, i64, i64, Vec<(i32, Option<String>)>, Option<String>, Option<(i32, i32)>);

fn parse(version: i16, body: &[u8]) -> Result<(Vec<Seen>, i32, Vec<NodeEndpoint>), WireError> {
    let mut seen = Vec::new();
    let response = parse_response(version, body, |p| {
        let topic = match p.topic {
            TopicRef::Name(name) => name.to_owned(),
            TopicRef::Id(TOPIC_ID) => "orders".to_owned(),
            TopicRef::Id(id) => format!("{:?}", id[0]).replace('9', "clicks"),
        };
        let records = p.record_errors.map(|(i, m)| (i, m.map(str::to_owned))).collect();
        let message = p.error_message.map(str::to_owned);
        let (code, append, start) = (p.error_code.0, p.log_append_time_ms, p.log_start_offset);
        seen.push((topic, p.index, code, p.base_offset, append, start, records, message, p.current_leader));
    })?;
    Ok((seen, response.throttle_ms, response.node_endpoints))
}

#[test]
fn responses_of_every_version_are_read() {
    for version in VERSIONS {
        let (seen, throttle, endpoints) = parse(version, &response(version)).expect("well-formed");
        let start = |known| if version >= 5 { known } else { -1 };
        let mut expect: Vec<Seen> = vec![
            ("orders".into(), 3, 0, 1 << 40, 1_700_000_000_000, start(12), vec![], None, None),
            ("orders".into(), 4, 87, -1, -1, -1, vec![], None, None),
            ("clicks".into(), 0, 6, -1, -1, -1, vec![], None, None),
        ];
        if version >= 8 {
            expect[1].6 = vec![(0, Some("no key".into())), (7, None), (9, Some(String::new()))];
            expect[1].7 = Some("compacted topic".into());
        }
        let mut nodes = vec![];
        if version >= 10 {
            expect[2].8 = Some((2, 19));
            nodes.push(NodeEndpoint { node_id: 2, host: "kafka-2".into(), port: 9094 });
        }
        assert_eq!((seen, throttle, endpoints), (expect, 250, nodes), "v{version}");
    }
}

#[test]
fn a_response_cut_anywhere_is_an_error_and_reports_no_partition() {
    for version in VERSIONS {
        for cut in truncations(&response(version)) {
            let result = parse_response(version, &cut, |_| panic!("half a response was acted upon"));
            assert!(result.is_err(), "v{version} cut to {} bytes", cut.len());
        }
    }
}

#[test]
fn damaged_responses_never_panic() {
    for version in VERSIONS {
        for damaged in mutations(&response(version)) {
            let _either = parse(version, &damaged);
        }
    }
}

#[test]
fn hostile_counts_and_lengths_are_errors() {
    // responses array: 2^31 − 1 topics; then one topic with a 2 GiB name
    for (version, body) in [
        (3, &[0x7f, 0xff, 0xff, 0xff][..]),
        (3, &[0x80, 0, 0, 0]),
        (3, &[0, 0, 0, 1, 0x7f, 0xff, b'a']),
        (3, &[0xff, 0xff, 0xff, 0xff]),
        (9, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (9, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (9, &[0, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, b'a']),
        (9, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        (13, &[0, 0]),
    ] {
        assert!(parse(version, body).is_err(), "v{version} {}", hex(body));
    }
    let mut bytes = response(3);
    bytes[6] = 0xff; // inside the first topic's name
    assert_eq!(parse(3, &bytes), Err(WireError::InvalidUtf8 { field: "topic" }));
    assert!(matches!(parse(2, &[]), Err(WireError::UnsupportedVersion { .. })));
}
