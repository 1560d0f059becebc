//! forebay against a real Kafka 4.2: what is sent is read back by Java's consumers and by librdkafka.
//!
//! These tests need Java, Maven and kcat, so a plain `cargo test` leaves them out; `cargo xtask kafka` runs them.

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod cli;
mod compression;
mod crash;
mod faults;
mod interop;
mod ledger;
mod load;
#[cfg(all(feature = "tls", feature = "zstd", feature = "cli"))]
mod secure;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use forebay::{Header, Producer, Record};

use support::kafka::KafkaBroker;
use support::readers::{ConsumedRecord, java_partitions};

/// Long enough for any outcome here; past it something hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// 2024-01-01T00:00:00Z in milliseconds.
const NEW_YEAR: i64 = 1_704_067_200_000;

fn producer(broker: &KafkaBroker, settings: &[(&str, &str)]) -> Producer {
    producer_of(&broker.bootstrap(), settings)
}

fn producer_of(bootstrap: &str, settings: &[(&str, &str)]) -> Producer {
    let mut builder = Producer::builder().bootstrap_servers(bootstrap);
    for (name, value) in settings {
        builder = builder.set(*name, *value);
    }
    builder.build().expect("the producer starts")
}

fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique)
}

/// Per partition, in offset order, and that offsets have no holes and no repeats.
fn by_partition(records: Vec<ConsumedRecord>) -> BTreeMap<u32, Vec<ConsumedRecord>> {
    let mut partitions: BTreeMap<u32, Vec<ConsumedRecord>> = BTreeMap::new();
    for record in records {
        let partition = partitions.entry(record.partition).or_default();
        assert_eq!(record.offset, partition.len() as i64, "offsets of partition {}", record.partition);
        partition.push(record);
    }
    partitions
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn the_readers_see_exactly_what_another_client_wrote() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("readers", 1);
    for (input, key) in [("k:v1\n", true), (":v2\n", true), ("v3\n", false)] {
        let mut kcat = Command::new("kcat");
        kcat.args(["-P", "-b", &broker.bootstrap(), "-t", "readers", "-H", "a=1", "-H", "b=two"]);
        kcat.args(if key { ["-K", ":"].as_slice() } else { &[] });
        let file = scratch("readers");
        fs::write(&file, input).expect("the input file");
        let input = fs::File::open(&file).expect("the input file");
        assert!(kcat.stdin(input).stdout(Stdio::null()).status().expect("kcat runs").success());
        fs::remove_file(&file).expect("the input file can go");
    }
    let java = broker.consume_java("readers");
    let values: Vec<_> = java.iter().map(|r| r.value.as_deref().map(String::from_utf8_lossy)).collect();
    assert_eq!(values, [Some("v1".into()), Some("v2".into()), Some("v3".into())]);
    let keys: Vec<_> = java.iter().map(|r| r.key.as_deref()).collect();
    assert_eq!(keys, [Some(&b"k"[..]), Some(b""), None]);
    let headers = [("a".to_owned(), Some(b"1".to_vec())), ("b".to_owned(), Some(b"two".to_vec()))];
    assert!(java.iter().all(|r| r.headers == headers), "{java:?}");
    assert_eq!(broker.end_offsets("readers"), 3);

    let kcat = broker.consume_kcat("readers");
    assert!(kcat.iter().all(|(_, headers)| headers == "a=1,b=two"), "{kcat:?}");
    assert_eq!(without_headers(kcat.into_iter().map(|(r, _)| r)), without_headers(java));
}

/// kcat prints headers as text: they are compared apart from the rest.
fn without_headers(records: impl IntoIterator<Item = ConsumedRecord>) -> Vec<ConsumedRecord> {
    let mut records: Vec<_> = records.into_iter().map(|r| ConsumedRecord { headers: Vec::new(), ..r }).collect();
    records.sort_by_key(|r| (r.partition, r.offset));
    records
}

type Headers = &'static [(&'static str, Option<&'static [u8]>)];

/// The shapes that a record can have: no, an empty and a huge key; no, an empty and a large value; headers of all kinds;
/// times far apart.
fn odd_records(largest_value: u32) -> Vec<ConsumedRecord> {
    let large: Vec<u8> = (0..largest_value).map(|i| (i * 31 % 251) as u8).collect();
    let keys = [
        None,
        Some(Vec::new()),
        Some(b"key".to_vec()),
        Some(vec![0xAB; 100 * 1024]),
        Some(vec![0, 255, b'\n', b'\t', b':']),
    ];
    let values = [None, Some(Vec::new()), Some(vec![0]), Some(b"text\nof two lines".to_vec()), Some(large)];
    let headers: [Headers; 4] = [
        &[],
        &[("one", Some(b"1")), ("null", None)],
        &[("same", Some(b"1")), ("same", Some(b"2")), ("", Some(b""))],
        &[("ключ", Some(&[0, 1, 254, 255]))],
    ];
    // Before, at and after the ends of an 8,192 ms window, backwards, long ago and far ahead.
    let times = [NEW_YEAR, NEW_YEAR + 1, (NEW_YEAR & !8191) + 8191, (NEW_YEAR & !8191) + 8192, 0, 4_102_444_800_000];
    let mut records = Vec::new();
    for key in &keys {
        for value in &values {
            for headers in headers {
                records.push(ConsumedRecord {
                    partition: 0,
                    offset: records.len() as i64,
                    timestamp: times[records.len() % times.len()],
                    key: key.clone(),
                    headers: headers
                        .iter()
                        .map(|&(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                        .collect(),
                    value: value.clone(),
                });
            }
        }
    }
    records
}

/// Sends records to the partition that they name and checks that each is acknowledged at its own offset; gives back the reported
/// timestamps.
fn send_all(producer: &Producer, topic: &str, sent: &[ConsumedRecord]) -> Vec<i64> {
    let topic = producer.topic(topic).expect("a topic");
    let mut sender = producer.sender().expect("a sender");
    let mut receipts = Vec::new();
    for record in sent {
        let headers = record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() });
        let headers: Vec<Header<'_>> = headers.collect();
        let mut one = Record::to(topic).partition(record.partition).headers(&headers).timestamp(record.timestamp);
        if let Some(key) = &record.key {
            one = one.key(key);
        }
        if let Some(value) = &record.value {
            one = one.value(value);
        }
        receipts.push(sender.send(one).expect("sent"));
    }
    let deliveries = receipts.into_iter().map(|receipt| producer.wait(receipt, PATIENCE).expect("acknowledged"));
    let timestamps = deliveries.zip(sent).map(|(delivery, record)| {
        assert_eq!(delivery.offset, Some(record.offset));
        delivery.timestamp
    });
    timestamps.collect()
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn keys_values_headers_and_timestamps_arrive_as_they_were_sent() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("shapes", 1);
    let producer = producer(&broker, &[]);
    let sent = odd_records(500_000);
    let reported = send_all(&producer, "shapes", &sent);
    assert!(reported.iter().zip(&sent).all(|(reported, sent)| *reported == sent.timestamp), "{reported:?}");
    producer.close(PATIENCE).expect("closed");

    let java = broker.consume_java("shapes");
    assert_eq!(java.len(), sent.len());
    for (got, sent) in java.iter().zip(&sent) {
        assert!(got == sent, "record {} by Java", sent.offset); // not assert_eq: half a megabyte of bytes helps nobody
    }
    let kcat = without_headers(broker.consume_kcat("shapes").into_iter().map(|(r, _)| r));
    assert_eq!(kcat.len(), sent.len());
    for (got, sent) in kcat.iter().zip(without_headers(sent)) {
        assert!(*got == sent, "record {} by librdkafka", sent.offset);
    }
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn a_key_goes_to_the_partition_that_java_gives_it() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("keyed", 7);
    let mut keys: Vec<Vec<u8>> = (0..2_000u32).map(|i| i.to_string().into_bytes()).collect();
    // Every tail of the hash's four-byte steps, bytes above 127, and a long one.
    keys.extend((0..64u8).map(|len| (0..len).map(|i| i.wrapping_mul(37) ^ 0x80).collect()));
    keys.push(vec![0xEE; 100 * 1024]);
    let producer = producer(&broker, &[]);
    let topic = producer.topic("keyed").expect("a topic");
    let mut sender = producer.sender().expect("a sender");
    for key in &keys {
        sender.send(Record::to(topic).key(key).value(b"")).expect("sent");
    }
    producer.flush(PATIENCE).expect("flushed");
    producer.close(PATIENCE).expect("closed");
    let expected = java_partitions(broker.kafka(), &keys, 7);
    assert_eq!(expected.len(), keys.len());
    let expected: BTreeMap<&[u8], u32> = keys.iter().map(Vec::as_slice).zip(expected).collect();
    let got = broker.consume_java("keyed");
    assert_eq!(got.len(), keys.len());
    for record in &got {
        let key = record.key.as_deref().expect("every record has a key");
        assert_eq!(expected.get(key).copied(), Some(record.partition), "key of {} bytes {key:.8x?}", key.len());
    }
}

/// Numbers from several senders into one partition: each sender's own order holds, nothing is missing, nothing is there twice.
fn senders_on_one_partition(topic_name: &str, senders: u64) {
    const EACH: u64 = 20_000;
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic(topic_name, 1);
    let producer = producer(&broker, &[("linger.ms", "1")]);
    let topic = producer.topic(topic_name).expect("a topic");
    thread::scope(|scope| {
        for id in 0..senders {
            let producer = &producer;
            scope.spawn(move || {
                let mut sender = producer.sender().expect("a sender");
                for number in 0..EACH {
                    let value = format!("{id} {number}");
                    sender.send(Record::to(topic).partition(0).value(value.as_bytes())).expect("sent");
                }
            });
        }
    });
    producer.flush(PATIENCE).expect("flushed");
    producer.close(PATIENCE).expect("closed");
    let mut next = vec![0; senders as usize];
    for record in &by_partition(broker.consume_java(topic_name))[&0] {
        let (id, number) = numbered(record);
        assert_eq!(number, next[id as usize], "sender {id} at offset {}", record.offset);
        next[id as usize] += 1;
    }
    assert_eq!(next, vec![EACH; senders as usize]);
}

/// The two numbers of a value like `3 1200`.
fn numbered(record: &ConsumedRecord) -> (u64, u64) {
    let value = String::from_utf8(record.value.clone().unwrap_or_default()).expect("text");
    let (id, number) = value.split_once(' ').expect("two numbers");
    (id.parse().expect("a number"), number.parse().expect("a number"))
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn two_senders_on_one_partition_keep_their_order() {
    senders_on_one_partition("two-senders", 2);
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn four_senders_on_one_partition_keep_their_order() {
    senders_on_one_partition("four-senders", 4);
}
