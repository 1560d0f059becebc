//! What the broker answers when all is well, and to what is wrong with a request.

mod support;

use bytes::Bytes;
use forebay_mock_broker::{MockBroker, Mode, Numbering, SequenceVerifier, VerifyReport, payload};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;
use support::{Client, batch, batch_of, idempotent, only, produce, record, topic_name, values};

fn fetch(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

#[test]
fn every_version_of_every_api_is_answered() {
    let broker = MockBroker::builder().nodes(2).partitions(3).start().unwrap();
    let mut client = Client::connect(&broker, 0);
    for version in 0..=4 {
        let response = client.call(version, &ApiVersionsRequest::default());
        assert_eq!(response.error_code, 0);
        let produce = response.api_keys.iter().find(|api| api.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    for version in 0..=13 {
        let request = MetadataRequest::default().with_topics(Some(vec![topic.clone()]));
        let response = client.call(version, &request);
        assert_eq!(response.brokers.len(), 2, "version {version}");
        assert_eq!(response.topics[0].error_code, 0, "version {version}");
        assert_eq!(response.topics[0].partitions.len(), 3, "version {version}");
    }
    let id = client.metadata("t").topics[0].topic_id;
    for version in 3..=13 {
        let mut request = produce("t", 0, -1, batch(&[b"x"]));
        if version >= 13 {
            request.topic_data[0].name = topic_name("");
            request.topic_data[0].topic_id = id;
        }
        let response = only(client.call(version, &request));
        assert_eq!((response.error_code, response.base_offset), (0, i64::from(version) - 3));
    }
    for version in 0..=5 {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1000);
        let response = client.call(version, &request);
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        assert!(response.producer_id.0 >= 0);
    }
    for version in 1..=7 {
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        let response = client.call(version, &ListOffsetsRequest::default().with_topics(vec![topic]));
        assert_eq!(response.topics[0].partitions[0].offset, 11, "version {version}");
    }
    for version in 4..=12 {
        let response = client.call(version, &fetch("t", 3, 0));
        let mut records = response.responses[0].partitions[0].records.clone().unwrap();
        let sets = RecordBatchDecoder::decode_all(&mut records).unwrap();
        assert_eq!(sets.iter().map(|set| set.records.len()).sum::<usize>(), 8, "version {version}");
        assert_eq!(sets[0].records[0].offset, 3);
    }
    for version in 0..=4 {
        let mut request = FindCoordinatorRequest::default();
        if version >= 4 {
            request.coordinator_keys = vec![StrBytes::from_static_str("g")];
        }
        let response = client.call(version, &request);
        let node = if version >= 4 { response.coordinators[0].node_id } else { response.node_id };
        assert_eq!(node.0, 1);
    }
    assert_eq!(broker.stop().malformed_requests, 0);
}

#[test]
fn records_come_back_as_they_were_sent() {
    let broker = MockBroker::builder().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    let mut full = record(b"value");
    full.key = Some(Bytes::from_static(b"key"));
    full.headers = IndexMap::from([
        (StrBytes::from_static_str("a"), Some(Bytes::from_static(b"1"))),
        (StrBytes::from_static_str("b"), None),
    ]);
    full.timestamp += 500;
    let mut empty = record(b"");
    empty.key = Some(Bytes::new());
    let mut none = record(b"");
    none.value = None;
    assert_eq!(client.produce("t", 0, batch_of(vec![full, empty, none])).base_offset, 0);
    assert_eq!(client.produce("t", 0, batch(&[b"later"])).base_offset, 3);

    let stored = broker.records("t", 0);
    assert_eq!(stored.iter().map(|r| r.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(stored[0].timestamp, 1_700_000_000_500);
    assert_eq!(stored[1].timestamp, 1_700_000_000_000);
    assert_eq!((stored[0].key.as_deref(), stored[0].value.as_deref()), (Some(&b"key"[..]), Some(&b"value"[..])));
    assert_eq!(stored[0].headers, [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), None)]);
    assert_eq!((stored[1].key.as_deref(), stored[1].value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!((stored[2].key.as_deref(), stored[2].value.as_deref()), (None, None));
    assert_eq!(broker.summary().partition("t", 0).unwrap().batches, 2);
}

#[test]
fn a_repeated_batch_is_acknowledged_once_more_and_not_stored() {
    let broker = MockBroker::builder().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    let id = client.call(5, &InitProducerIdRequest::default().with_transactional_id(None)).producer_id.0;
    assert_eq!(client.produce("t", 0, idempotent(id, 0, 0, 3, b"a")).base_offset, 0);
    assert_eq!(client.produce("t", 0, idempotent(id, 0, 3, 2, b"b")).base_offset, 3);
    let again = client.produce("t", 0, idempotent(id, 0, 0, 3, b"a"));
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    let gap = client.produce("t", 0, idempotent(id, 0, 6, 1, b"c"));
    assert_eq!((gap.error_code, gap.base_offset), (45, -1));
    assert_eq!(client.produce("t", 0, idempotent(id, 1, 0, 1, b"d")).error_code, 0);
    assert_eq!(client.produce("t", 0, idempotent(id, 0, 5, 1, b"e")).error_code, 47);
    assert_eq!(values(&broker, "t", 0), [b"a", b"a", b"a", b"b", b"b", b"d"]);
    let summary = broker.summary();
    let partition = summary.partition("t", 0).unwrap();
    assert_eq!((partition.duplicates, partition.refused, partition.records), (1, 2, 6));
}

#[test]
fn the_wrong_node_says_which_is_right() {
    let broker = MockBroker::builder().nodes(3).start().unwrap();
    broker.create_topic("t", 1).unwrap();
    broker.set_leader("t", 0, 3).unwrap();
    let mut client = Client::connect(&broker, 0);
    for version in 3..=12 {
        let response = client.call(version, &produce("t", 0, -1, batch(&[b"x"])));
        let endpoints: Vec<_> = response.node_endpoints.iter().map(|node| (node.node_id.0, node.port)).collect();
        let partition = only(response);
        assert_eq!(partition.error_code, 6);
        if version >= 10 {
            assert_eq!((partition.current_leader.leader_id.0, partition.current_leader.leader_epoch), (3, 1));
            let port = broker.bootstrap().rsplit(':').next().unwrap().parse().unwrap();
            assert!(endpoints.contains(&(3, port)), "{endpoints:?}");
        } else {
            assert!(endpoints.is_empty());
        }
    }
    assert_eq!(Client::connect(&broker, 2).produce("t", 0, batch(&[b"x"])).error_code, 0);
}

#[test]
fn what_is_wrong_with_a_batch_is_said() {
    let broker = MockBroker::builder().max_message_bytes(500).start().unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut client = Client::connect(&broker, 0);
    assert_eq!(client.produce("t", 0, batch(&[&[7; 500]])).error_code, 10);
    assert_eq!(client.produce("t", 1, batch(&[b"x"])).error_code, 3);
    assert_eq!(client.produce("t", -1, batch(&[b"x"])).error_code, 3);
    assert_eq!(client.produce("other", 0, batch(&[b"x"])).error_code, 3);
    assert_eq!(only(client.call(13, &produce("", 0, -1, batch(&[b"x"])))).error_code, 100);
    assert_eq!(only(client.call(12, &produce("t", 0, 2, batch(&[b"x"])))).error_code, 21);
    let mut flipped = batch(&[b"x"]).to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let corrupt = client.produce("t", 0, flipped.into());
    assert_eq!(corrupt.error_code, 2);
    assert!(corrupt.error_message.unwrap().contains("CRC"));
    let twice = [batch(&[b"x"]), batch(&[b"x"])].concat();
    assert_eq!(client.produce("t", 0, twice.into()).error_code, 87);
    // Attributes say gzip; the CRC is made to fit.
    let mut compressed = batch(&[b"x"]).to_vec();
    compressed[22] = 1;
    let crc = crc_fast::crc32_iscsi(&compressed[21..]);
    compressed[17..21].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(client.produce("t", 0, compressed.into()).error_code, 2, "records that are said to be gzip");
    assert!(broker.records("t", 0).is_empty());
}

#[test]
fn a_record_at_fault_is_named() {
    let broker = MockBroker::builder().start().unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut client = Client::connect(&broker, 0);
    let mut bytes = batch(&[b"one", b"two"]).to_vec();
    let last_delta = bytes.len() - 7; // offset delta, no key, length and value, no headers
    assert_eq!(bytes[last_delta], 2, "the second record's offset delta");
    bytes[last_delta] = 4;
    let crc = crc_fast::crc32_iscsi(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let response = client.produce("t", 0, bytes.into());
    assert_eq!((response.error_code, response.record_errors[0].batch_index), (87, 1));
}

#[test]
fn without_acks_there_is_no_answer_but_the_record_is_there() {
    let broker = MockBroker::builder().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    client.send(9, &produce("t", 0, 0, batch(&[b"silent"]))).unwrap();
    assert_eq!(client.produce("t", 0, batch(&[b"loud"])).base_offset, 1);
    assert_eq!(values(&broker, "t", 0), [&b"silent"[..], b"loud"]);
    client.send(9, &produce("t", 9, 0, batch(&[b"nowhere"]))).unwrap();
    assert!(client.is_closed());
}

#[test]
fn an_old_broker_is_imitated() {
    let broker = MockBroker::builder().imitate_kafka_2_1().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    // The answer to a version that is too new is in the form of version 0.
    client.send(4, &ApiVersionsRequest::default()).unwrap();
    let (_, frame) = client.receive().unwrap();
    assert_eq!(frame[4..6], [0, 35]);
    assert_eq!(frame[6..10], [0, 0, 0, 9], "nine APIs in a plain array");
    let highest = |key| {
        let response = Client::connect(&broker, 0).call(2, &ApiVersionsRequest::default());
        response.api_keys.iter().find(|api| api.api_key == key).unwrap().max_version
    };
    assert_eq!([0, 3, 18, 22].map(highest), [7, 7, 2, 1]);
    client.send(8, &produce("t", 0, -1, batch(&[b"x"]))).unwrap();
    assert!(client.is_closed(), "a version that was not announced");
}

#[test]
fn topics_are_made_only_when_allowed() {
    let broker = MockBroker::builder().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    let ask = |name: &str, create| {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(create)
    };
    assert_eq!(client.call(12, &ask("t", false)).topics[0].error_code, 3);
    assert_eq!(client.call(12, &ask("a b", true)).topics[0].error_code, 17);
    assert_eq!(client.call(12, &ask("t", true)).topics[0].error_code, 0);
    let id = client.call(12, &ask("t", false)).topics[0].topic_id;
    let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let request = MetadataRequest::default().with_topics(Some(vec![by_id]));
    assert_eq!(client.call(12, &request).topics[0].name, Some(topic_name("t")));
    broker.delete_topic("t").unwrap();
    assert_eq!(client.call(12, &request).topics[0].error_code, 100);
    let all = MetadataRequest::default().with_topics(None);
    assert!(client.call(12, &all).topics.is_empty());

    let strict = MockBroker::builder().auto_create_topics(false).start().unwrap();
    assert_eq!(Client::connect(&strict, 0).call(12, &ask("t", true)).topics[0].error_code, 3);
}

#[test]
fn transactions_are_refused_in_plain_words() {
    let broker = MockBroker::builder().start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    let id = TransactionalId(StrBytes::from_static_str("tx"));
    let response = client.call(4, &InitProducerIdRequest::default().with_transactional_id(Some(id)));
    assert_eq!((response.error_code, response.producer_id), (42, ProducerId(-1)));
    let mut one = record(b"x");
    one.transactional = true;
    (one.producer_id, one.producer_epoch, one.sequence) = (1, 0, 0);
    assert_eq!(client.produce("t", 0, batch_of(vec![one])).error_code, 48);
}

#[test]
fn a_fetch_waits_for_the_next_record() {
    let broker = MockBroker::builder().start().unwrap();
    let mut producer = Client::connect(&broker, 0);
    producer.metadata("t");
    producer.metadata("quiet");
    let [mut consumer, mut other] = [Client::connect(&broker, 0), Client::connect(&broker, 0)];
    other.send(12, &fetch("quiet", 0, 4_500)).unwrap();
    consumer.send(12, &fetch("t", 0, 5_000)).unwrap();
    assert!(consumer.is_silent());
    producer.produce("t", 0, batch(&[b"news"]));
    let (_, frame) = consumer.receive().unwrap();
    assert!(frame.windows(4).any(|window| window == b"news"));
    assert!(other.is_silent(), "the record woke the fetch, not the end of its wait");
    // Nothing comes, and the answer does when the wait is over.
    let empty = consumer.call(12, &fetch("t", 1, 20));
    assert_eq!(empty.responses[0].partitions[0].records.as_ref().map(Bytes::len), Some(0));
    assert_eq!(consumer.call(12, &fetch("t", 2, 5_000)).responses[0].partitions[0].error_code, 1);
}

#[test]
fn the_log_keeps_to_its_bound_across_partitions() {
    let size = batch(&[&[1; 1000]]).len();
    let broker = MockBroker::builder().partitions(2).max_log_bytes(size * 4).start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    for value in 0..3_u8 {
        client.produce("t", 0, batch(&[&[value; 1000]]));
    }
    for value in 10..13_u8 {
        client.produce("t", 1, batch(&[&[value; 1000]]));
    }
    let firsts = |partition| values(&broker, "t", partition).iter().map(|v| v[0]).collect::<Vec<_>>();
    assert_eq!((firsts(0), firsts(1)), (vec![2], vec![10, 11, 12]));
    let response = client.produce("t", 0, batch(&[&[3; 1000]]));
    assert_eq!((response.base_offset, response.log_start_offset), (3, 3));
    assert_eq!((firsts(0), firsts(1)), (vec![3], vec![10, 11, 12]));
    assert_eq!(client.call(12, &fetch("t", 0, 0)).responses[0].partitions[0].error_code, 1);
    broker.delete_topic("t").unwrap();
    client.metadata("t");
    for value in 0..4_u8 {
        client.produce("t", 0, batch(&[&[value; 1000]]));
    }
    assert_eq!(firsts(0), [0, 1, 2, 3], "the deleted topic's bytes are free again");
}

#[test]
fn a_verifier_sees_every_new_record_once() {
    let verifier = Box::new(SequenceVerifier::new(Numbering::PerPartition, 1));
    let broker = MockBroker::builder().mode(Mode::Verify).verifier(verifier).start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    let mut stamper = payload::Stamper::new(1, 40, 1);
    let mut next = |sequence| {
        let mut one = record(stamper.next(0));
        (one.producer_id, one.producer_epoch, one.sequence) = (5, 0, sequence);
        batch_of(vec![one])
    };
    for sequence in 0..3 {
        let bytes = next(sequence);
        assert_eq!(client.produce("t", 0, bytes.clone()).error_code, 0);
        assert_eq!(client.produce("t", 0, bytes).base_offset, i64::from(sequence));
    }
    let report = |broker: &MockBroker| broker.summary().verification.unwrap().parse::<VerifyReport>().unwrap();
    assert!(report(&broker).is_clean());
    next(3);
    client.produce("t", 0, next(3));
    let report = report(&broker);
    assert_eq!((report.records, report.lost), (4, 1));
    assert!(broker.records("t", 0).is_empty());
}

#[test]
fn discarding_still_counts_and_checks_sequences() {
    let broker = MockBroker::builder().mode(Mode::Discard).start().unwrap();
    let mut client = Client::connect(&broker, 0);
    client.metadata("t");
    assert_eq!(client.produce("t", 0, idempotent(1, 0, 0, 5, b"x")).base_offset, 0);
    assert_eq!(client.produce("t", 0, idempotent(1, 0, 5, 5, b"x")).base_offset, 5);
    assert_eq!(client.produce("t", 0, idempotent(1, 0, 0, 5, b"x")).base_offset, 0);
    assert_eq!(client.produce("t", 0, idempotent(1, 0, 11, 5, b"x")).error_code, 45);
    assert!(broker.records("t", 0).is_empty());
    assert_eq!((broker.summary().records(), broker.summary().duplicates()), (10, 1));
}
