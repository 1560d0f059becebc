//! Compressed batches, read back by Java's consumer and by librdkafka.

use forebay::Record;

use super::support::kafka::KafkaBroker;
use super::{PATIENCE, by_partition, producer};

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn every_codec_and_level_is_read_back_by_java_and_by_librdkafka() {
    const COUNT: u64 = 20_000;
    let Some(broker) = KafkaBroker::shared() else { return };
    for (codec, level) in [("gzip", "-1"), ("snappy", ""), ("lz4", "9"), ("lz4", "3"), ("zstd", "3"), ("zstd", "-5")] {
        let topic_name = format!("{codec}{level}");
        broker.create_topic(&topic_name, 1);
        let level_key = format!("compression.{codec}.level");
        let mut settings = vec![("compression.type", codec), ("linger.ms", "20")];
        if !level.is_empty() {
            settings.push((&level_key, level));
        }
        let producer = producer(&broker, &settings);
        let topic = producer.topic(&topic_name).expect("a topic");
        let mut sender = producer.sender().expect("a sender");
        for number in 0..COUNT {
            let value = format!("the same words in every record, and {number}");
            sender.send(Record::to(topic).value(value.as_bytes())).expect("sent");
        }
        // One that compression cannot help, and one that is larger than any block of any codec.
        let mut random = fastrand::Rng::with_seed(1);
        let odd = [(0..100_000).map(|_| random.u8(..)).collect::<Vec<u8>>(), vec![b'x'; 900_000]];
        for value in &odd {
            sender.send(Record::to(topic).value(value)).expect("sent");
        }
        producer.flush(PATIENCE).expect("flushed");
        producer.close(PATIENCE).expect("closed");
        let java = by_partition(broker.consume_java(&topic_name)).remove(&0).expect("records");
        let kcat = broker.consume_kcat(&topic_name);
        assert_eq!((java.len(), kcat.len()), (COUNT as usize + 2, COUNT as usize + 2), "{topic_name}");
        for (number, (java, (kcat, _))) in java.iter().zip(&kcat).enumerate() {
            let text = format!("the same words in every record, and {number}");
            let sent = odd.get(number.wrapping_sub(COUNT as usize)).map_or(text.as_bytes(), Vec::as_slice);
            assert!(java.value.as_deref() == Some(sent), "{topic_name}: record {number} by Java");
            assert!(kcat.value.as_deref() == Some(sent), "{topic_name}: record {number} by librdkafka");
        }
    }
}
