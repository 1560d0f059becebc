//! The same two scenes on every cluster: records of every shape, and senders on a bad network; read back by every client.

use std::time::Duration;

use forebay_mock_broker::MockBroker;

use crate::faults::{Fault, Faults};
use crate::ledger::Audit;
use crate::load::{Pace, under_load};
use crate::support::java::{Kafka, there};
use crate::support::kafka::KafkaBroker;
use crate::support::peers::{Fake, Reader, Tools, Writer};
use crate::support::proxy::Proxy;
use crate::support::readers::ConsumedRecord;
use crate::{PATIENCE, odd_records, producer_of, send_all};

/// The scenes' topics, by name and partitions.
const TOPICS: [&str; 2] = ["shapes:5", "storm:6"];
/// One for each partition of the shapes.
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Bytes; librdkafka's mock keeps 5 MB of a partition.
const LARGEST_VALUE: u32 = 50_000;
const SENDERS: usize = 4;
const EACH: u64 = 2_500;

/// Where a scene is played.
struct Stage<'a> {
    tools: &'a Tools,
    /// Whose Java client reads.
    kafka: &'a Kafka,
    proxies: &'a [Proxy],
    /// For readers.
    direct: String,
    readers: &'a [Reader],
}

impl Stage<'_> {
    fn bootstrap(&self) -> String {
        through(self.proxies)
    }

    /// Records of every shape come back byte for byte, to every reader, through every codec.
    fn shapes(&self) {
        let mut sent = Vec::new();
        for (partition, codec) in (0..).zip(CODECS) {
            let producer = producer_of(&self.bootstrap(), &[("compression.type", codec)]);
            let records = odd_records(LARGEST_VALUE).into_iter().map(|record| ConsumedRecord { partition, ..record });
            let records: Vec<_> = records.collect();
            send_all(&producer, "shapes", &records); // librdkafka's mock reports a time of its own: what was stored is read below
            producer.close(PATIENCE).expect("closed");
            sent.extend(records);
        }
        for reader in self.readers {
            let got = reader.read(self.tools, self.kafka, &self.direct, "shapes");
            assert_eq!(got.len(), sent.len(), "records read by {reader:?}");
            for (got, sent) in got.iter().zip(&sent) {
                let codec = CODECS.get(sent.partition as usize);
                assert!(got == sent, "record {} with codec {codec:?} by {reader:?}", sent.offset); // not assert_eq: long bytes
            }
        }
    }

    /// Senders at work while connections are cut, stall and lose answers: every record is acknowledged, and every reader finds
    /// each once, in order, where it was said to be.
    fn storm(&self, deck: &[Fault], settings: &[(&str, &str)], mut trouble: impl FnMut()) {
        let settings = [&[("request.timeout.ms", "2000"), ("linger.ms", "1")], settings].concat();
        let producer = producer_of(&self.bootstrap(), &settings);
        let pace = Pace { senders: SENDERS, burst: 8, pause: Duration::from_millis(32), limit: EACH };
        let mut faults = Faults::new(fastrand::u64(..1_000_000), deck);
        let books = under_load(&[&producer], "storm", pace, || {
            for _ in 0..10 {
                trouble();
                faults.next_of_network(self.proxies);
            }
        });
        producer.close(PATIENCE).expect("closed, and nothing failed");
        eprintln!("network faults:\n{}", faults.table());
        for reader in self.readers {
            let mut audit = Audit::new(&books);
            for record in reader.read(self.tools, self.kafka, &self.direct, "storm") {
                audit.record(record.partition, record.offset, record.value.as_deref().unwrap_or_default());
            }
            let verdict = audit.verdict();
            assert!(verdict.kept(), "read by {reader:?}\n{verdict}");
            assert_eq!(verdict.acknowledged, SENDERS as u64 * EACH, "acknowledged\n{verdict}");
        }
    }
}

fn through(proxies: &[Proxy]) -> String {
    let servers: Vec<String> = proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.port())).collect();
    servers.join(",")
}

/// What users are told; it may not say less than is tested.
const PAGE: &str = include_str!("../../docs/interoperability.md");

fn on_kafka(version: &str, codec: &str) {
    assert!(PAGE.contains(&format!("| Apache Kafka {version} |")), "docs/interoperability.md has no row for {version}");
    let Some((tools, kafka)) = there(Tools::made().and_then(|tools| Ok((tools, Kafka::version(version)?)))) else {
        return;
    };
    let proxies = [Proxy::new()];
    let broker = KafkaBroker::of(&kafka, Some(proxies[0].port()));
    proxies[0].pass_to(broker.client_port());
    broker.create_topics(&TOPICS);
    let (direct, readers) = (broker.direct(), &Reader::ALL);
    let stage = Stage { tools: &tools, kafka: &kafka, proxies: &proxies, direct, readers };
    stage.shapes();
    stage.storm(&Fault::NETWORK, &[("compression.type", codec)], || {});
}

#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn the_oldest_kafka_with_kraft_takes_every_shape_and_every_storm() {
    on_kafka("3.3.2", "snappy");
}

#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn the_last_kafka_3_takes_every_shape_and_every_storm() {
    on_kafka("3.9.2", "lz4");
}

#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn the_first_kafka_4_takes_every_shape_and_every_storm() {
    on_kafka("4.0.2", "none");
}

#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn the_newest_kafka_takes_every_shape_and_every_storm() {
    on_kafka("4.4.0", "zstd");
}

/// Its answers are wrong as well: errors for batches that it has stored and for batches that it has not, and leaders that change.
#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn kfake_takes_every_shape_and_every_storm() {
    let Some((tools, kafka)) = there(Tools::made().and_then(|tools| Ok((tools, Kafka::pinned()?)))) else { return };
    let mut fake = Fake::kfake(&tools, &TOPICS);
    let proxies = std::mem::take(&mut fake.proxies);
    let direct = through(&proxies);
    let stage = Stage { tools: &tools, kafka: &kafka, proxies: &proxies, direct, readers: &Reader::ALL };
    stage.shapes();
    stage.storm(&Fault::NETWORK, &[("compression.type", "gzip")], || fake.trouble());
}

/// It answers with errors and closes connections in place of an answer, each time without having stored the batch: it does not know
/// duplicates, nor sequence numbers out of order, so that one request in flight and no lost answer is what it can be asked for.
/// Only librdkafka reads from it: the others give up at its answer to a version of `ApiVersions` that it does not speak.
#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn librdkafkas_mock_cluster_takes_every_shape_and_its_own_errors() {
    let Some((tools, kafka)) = there(Tools::made().and_then(|tools| Ok((tools, Kafka::pinned()?)))) else { return };
    let mut fake = Fake::librdkafka(&tools, &TOPICS);
    let proxies = std::mem::take(&mut fake.proxies);
    let direct = through(&proxies);
    let readers = &[Reader::Librdkafka];
    let stage = Stage { tools: &tools, kafka: &kafka, proxies: &proxies, direct, readers };
    stage.shapes();
    stage.storm(&[Fault::Slow], &[("max.in.flight.requests.per.connection", "1")], || fake.trouble());
}

/// What other clients compress is read by our decoders: those of the mock broker, record by record, byte by byte.
#[test]
#[ignore = "needs Kafka, Go and Python: cargo xtask interop"]
fn batches_that_other_clients_compressed_are_read_by_the_mock_broker() {
    let Some((tools, kafka)) = there(Tools::made().and_then(|tools| Ok((tools, Kafka::pinned()?)))) else { return };
    for writer in Writer::ALL {
        let broker = MockBroker::builder().start().expect("a broker on loopback");
        broker.create_topic("packed", CODECS.len() as u32).expect("a topic");
        for (partition, codec) in (0..).zip(CODECS).skip(1) {
            // For librdkafka a time of 0 is none.
            let records = odd_records(LARGEST_VALUE).into_iter().filter(|record| writer.takes(record));
            let sent: Vec<_> = (0..)
                .zip(records)
                .map(|(offset, record)| {
                    let timestamp = record.timestamp.max(1);
                    ConsumedRecord { partition, offset, timestamp, ..record }
                })
                .collect();
            writer.send(&tools, &kafka, [broker.bootstrap().as_str(), "packed", codec], &sent);
            let got = broker.records("packed", partition as i32);
            assert_eq!(got.len(), sent.len(), "records of {writer:?} with {codec}");
            for (got, sent) in got.iter().zip(&sent) {
                let same = (got.offset, got.timestamp, &got.key, &got.headers, &got.value)
                    == (sent.offset, sent.timestamp, &sent.key, &sent.headers, &sent.value);
                assert!(same, "record {} of {writer:?} with {codec}", sent.offset); // not assert_eq: long bytes
            }
            let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
            let plain: usize = sent.iter().map(|record| len(&record.key) + len(&record.value)).sum();
            let summary = broker.summary();
            let stored = summary.partitions.iter().find(|of| of.partition == partition as i32).expect("it has records");
            assert!(
                stored.bytes * 2 < plain as u64,
                "{writer:?} did not compress with {codec}: {} bytes",
                stored.bytes
            );
        }
    }
}
