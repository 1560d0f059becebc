//! Compression through the public API: what arrives, what it costs on the wire, and that all memory comes back.
#![cfg(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]

use std::time::Duration;

use forebay::config::{CompressionType, ConfigBuilder};
use forebay::{DeliveryError, FailureKind, Producer, ProducerBuilder, Record};
use forebay_mock_broker::{FaultSpec, MockBroker};

const LONG: Duration = Duration::from_secs(30);
const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];

/// Each codec, on the I/O thread and on threads of its own.
fn ways() -> impl Iterator<Item = (&'static str, usize)> {
    CODECS.into_iter().flat_map(|codec| [(codec, 0), (codec, 3)])
}

fn broker(configure: impl FnOnce(forebay_mock_broker::Builder) -> forebay_mock_broker::Builder) -> MockBroker {
    configure(MockBroker::builder()).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker, codec: &str, threads: usize) -> ProducerBuilder {
    Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("compression.type", codec)
        .set("io.compression.threads", threads.to_string())
}

/// Lines that repeat and end in a number of their own.
fn line(number: u32) -> String {
    format!("{{\"level\":\"info\",\"message\":\"a request was answered\",\"number\":{number}}}")
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| random.u8(..)).collect()
}

#[track_caller]
fn assert_lines(broker: &MockBroker, topic: &str, count: u32) {
    let stored = broker.records(topic, 0);
    assert_eq!(stored.len(), count as usize);
    for (number, record) in (0..count).zip(&stored) {
        assert_eq!(record.offset, i64::from(number));
        assert_eq!(record.value.as_deref(), Some(line(number).as_bytes()), "record {number}");
    }
}

#[test]
fn every_codec_delivers_all_records_in_order_for_fewer_bytes() {
    let broker = broker(|b| b);
    for (codec, threads) in [("none", 0)].into_iter().chain(ways()) {
        let name = format!("{codec}-{threads}");
        let producer = builder(&broker, codec, threads).build().expect("a producer");
        let topic = producer.topic(&name).expect("a name");
        let mut sender = producer.sender().expect("open");
        for number in 0..5_000 {
            sender.send(Record::to(topic).value(line(number).as_bytes())).expect("accepted");
        }
        producer.flush(LONG).expect("all delivered");
        assert_lines(&broker, &name, 5_000);
        drop(sender);
        producer.close(LONG).expect("closed");
        let (free, total) = producer.buffer_bytes();
        assert_eq!(free, total, "{codec}: all memory comes back");
    }
    let summary = broker.summary();
    let bytes = |topic: &str| summary.partitions.iter().find(|p| p.topic == topic).expect("there").bytes;
    for (codec, threads) in ways() {
        let (packed, plain) = (bytes(&format!("{codec}-{threads}")), bytes("none-0"));
        assert!(packed * 2 < plain, "{codec} on {threads} threads: {packed} of {plain} bytes");
    }
    assert_eq!(summary.partitions.iter().map(|p| p.refused).sum::<u64>(), 0);
}

#[test]
fn noise_and_records_of_any_size_go_through_a_small_buffer() {
    let broker = broker(|b| b);
    for (codec, threads) in ways() {
        let name = format!("{codec}-{threads}");
        let producer = builder(&broker, codec, threads).set("buffer.memory", "524288").build().expect("a producer");
        let topic = producer.topic(&name).expect("a name");
        let mut senders: Vec<_> = (0..3).map(|_| producer.sender().expect("open")).collect();
        let values: Vec<Vec<u8>> =
            (0..300).map(|i| if i % 3 == 0 { vec![b'x'; i * 37] } else { noise(i as u64, i * 31) }).collect();
        for (number, value) in values.iter().enumerate() {
            senders[number % 3].send(Record::to(topic).value(value)).expect("accepted");
        }
        producer.flush(LONG).expect("all delivered");
        let mut stored: Vec<_> = broker.records(&name, 0).into_iter().filter_map(|r| r.value).collect();
        let mut sent = values;
        stored.sort_unstable();
        sent.sort_unstable();
        assert!(stored == sent, "{codec}: what arrived is what was sent");
        drop(senders);
        producer.close(LONG).expect("closed");
        let (free, total) = producer.buffer_bytes();
        assert_eq!(free, total, "{codec}: all memory comes back");
    }
}

#[test]
fn a_compressed_batch_that_is_too_large_is_split_and_stays_in_order() {
    for (codec, threads) in ways() {
        let broker = broker(|b| b.max_message_bytes(2_000));
        let producer = builder(&broker, codec, threads)
            .set("linger.ms", "500")
            .set("batch.size", "900000")
            .build()
            .expect("a producer");
        let topic = producer.topic("split").expect("a name");
        let mut sender = producer.sender().expect("open");
        for number in 0..2_000 {
            sender.send(Record::to(topic).value(line(number).as_bytes())).expect("accepted");
        }
        producer.flush(LONG).expect("all delivered");
        assert_lines(&broker, "split", 2_000);
        let summary = broker.summary();
        assert!(summary.partitions[0].refused > 0, "{codec}: something was too large");
        assert!(summary.partitions[0].batches > 1, "{codec}");
        drop(sender);
        producer.close(LONG).expect("closed");
        let (free, total) = producer.buffer_bytes();
        assert_eq!(free, total, "{codec}: all memory comes back");
    }
}

#[test]
fn a_single_record_that_stays_too_large_fails_with_its_size_and_its_neighbours_do_not() {
    let broker = broker(|b| b.max_message_bytes(3_000));
    let producer =
        builder(&broker, "lz4", 0).set("linger.ms", "500").set("batch.size", "900000").build().expect("built");
    let topic = producer.topic("large").expect("a name");
    let mut sender = producer.sender().expect("open");
    let first = sender.send(Record::to(topic).value(b"small")).expect("accepted");
    let large = sender.send(Record::to(topic).value(&noise(1, 5_000))).expect("accepted");
    let last = sender.send(Record::to(topic).value(b"small too")).expect("accepted");
    producer.wait(first, LONG).expect("delivered");
    producer.wait(last, LONG).expect("delivered");
    match producer.wait(large, LONG).expect_err("too large") {
        DeliveryError::Failed(failure) => {
            assert!(matches!(failure.kind, FailureKind::TooLarge { size, .. } if size >= 5_000), "{failure}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_retried_batch_is_the_same_compressed_bytes() {
    let broker = broker(|b| b);
    broker.faults().set("drop-connection=next=2:after-append".parse::<FaultSpec>().expect("a fault"));
    let producer = builder(&broker, "zstd", 1).build().expect("a producer");
    let topic = producer.topic("again").expect("a name");
    let mut sender = producer.sender().expect("open");
    for number in 0..500 {
        sender.send(Record::to(topic).value(line(number).as_bytes())).expect("accepted");
    }
    producer.flush(LONG).expect("all delivered");
    assert_lines(&broker, "again", 500);
}

#[test]
fn many_senders_and_partitions_keep_their_order_through_compression_threads_and_lost_answers() {
    const PARTITIONS: u32 = 6;
    const EACH: u32 = 6_000;
    let broker = broker(|b| b.partitions(PARTITIONS));
    broker.faults().set("drop-connection=every=40:after-append".parse::<FaultSpec>().expect("a fault"));
    let producer = builder(&broker, "lz4", 2).set("batch.max.bytes", "4000").build().expect("a producer");
    let topic = producer.topic("woven").expect("a name");
    std::thread::scope(|scope| {
        for who in 0..3_u32 {
            let mut sender = producer.sender().expect("open");
            scope.spawn(move || {
                for number in 0..EACH {
                    let value = format!("{who} {number:08} and more of the same, and more of the same");
                    let record = Record::to(topic).partition(number % PARTITIONS).value(value.as_bytes());
                    sender.send(record).map_err(|e| e.kind).expect("accepted");
                }
            });
        }
    });
    producer.close(LONG).expect("all delivered");
    for partition in 0..PARTITIONS {
        let mut next = [partition; 3];
        for record in broker.records("woven", partition as i32) {
            let value = String::from_utf8(record.value.expect("a value")).expect("text");
            let mut words = value.split(' ').filter_map(|word| word.parse::<u32>().ok());
            let (who, number) = (words.next().expect("a sender") as usize, words.next().expect("a number"));
            assert_eq!(number, next[who], "sender {who} in partition {partition}");
            next[who] += PARTITIONS;
        }
        assert!(next.iter().all(|next| *next >= EACH), "all of them are there");
    }
    let (free, total) = producer.buffer_bytes();
    assert_eq!(free, total, "all memory comes back");
}

#[test]
fn levels_are_checked_and_the_codec_is_a_typed_setting() {
    let config = ConfigBuilder::new().bootstrap_servers("a:1").compression(CompressionType::Zstd);
    let config = config.set("compression.zstd.level", "-7").build().expect("valid");
    assert_eq!((config.compression(), config.zstd_level()), (CompressionType::Zstd, -7));
    let wrong = ConfigBuilder::new()
        .bootstrap_servers("a:1")
        .set("compression.type", "brotli")
        .set("compression.gzip.level", "0")
        .set("compression.lz4.level", "18")
        .set("compression.zstd.level", "23");
    let error = wrong.build().expect_err("refused");
    let keys: Vec<_> = error.problems().iter().map(|p| p.key.as_str()).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    let all = ["compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level"];
    assert_eq!(sorted, all);
}
