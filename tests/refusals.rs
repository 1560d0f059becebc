//! Records that are not accepted: each for its own reason, and nothing of them is kept.

use forebay::{FlushError, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

fn broker(partitions: u32) -> MockBroker {
    MockBroker::builder().partitions(partitions).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap())
}

#[test]
fn a_full_buffer_says_so_and_everything_flows_again_when_the_broker_wakes() {
    let broker = broker(1);
    let max_block = Duration::from_millis(300);
    let producer = builder(&broker)
        .configure(|config| config.buffer_memory(1 << 20).max_block(max_block))
        .build()
        .expect("a producer");
    let topic = producer.topic("stalled").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    broker.faults().set("stall-reads".parse::<FaultSpec>().expect("a fault"));
    let value = [7; 1000];
    let record = Record::to(topic).value(&value);
    let mut accepted = 0;
    let full = loop {
        match sender.try_send(record) {
            Ok(_) => accepted += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(full.kind, SendErrorKind::Full);
    assert_eq!(full.record.value, Some(&value[..]), "the record comes back");
    assert!((900..=1048).contains(&accepted), "one mebibyte takes about a thousand records, not {accepted}");
    let begun = Instant::now();
    let late = sender.send(record).expect_err("still full");
    assert!(matches!(late.kind, SendErrorKind::TimedOut { waited } if waited >= max_block), "{}", late.kind);
    assert!(begun.elapsed() >= max_block);
    let begun = Instant::now();
    let soon = sender.send_deadline(record, begun + Duration::from_millis(50)).expect_err("still full");
    assert!(matches!(soon.kind, SendErrorKind::TimedOut { .. }));
    assert_eq!(producer.flush(Duration::from_millis(50)), Err(FlushError::TimedOut));
    broker.faults().stall_reads(false);
    for _ in 0..5_000 {
        sender.send_deadline(record, Instant::now() + LONG).expect("the broker is awake");
        accepted += 1;
    }
    producer.flush(LONG).expect("nothing is lost");
    assert_eq!(broker.summary().records(), accepted);
    assert_eq!(broker.summary().duplicates(), 0);
    producer.close(LONG).expect("all delivered");
}

#[test]
fn each_limit_has_an_error_of_its_own() {
    let broker = broker(2);
    let producer = builder(&broker)
        .configure(|config| config.max_block(Duration::from_millis(200)).max_request_size(50_000))
        .build()
        .expect("a producer");
    let topic = producer.topic("limits").expect("a name");
    let mut sender = producer.sender().expect("open");
    let huge = vec![0; 50_000];
    let error = sender.send(Record::to(topic).value(&huge)).expect_err("never fits");
    assert!(
        matches!(error.kind, SendErrorKind::TooLarge { size, limit: 50_000, setting: "max.request.size" } if size > 50_000),
        "{}",
        error.kind
    );
    let receipt = sender.send(Record::to(topic).partition(0).value(b"x")).expect("accepted");
    producer.wait(receipt, LONG).expect("delivered");
    let asked = broker.summary().requests("Metadata");
    let error = sender.send(Record::to(topic).partition(9).value(b"x")).expect_err("no such partition");
    assert!(matches!(error.kind, SendErrorKind::UnknownPartition { partition: 9, partitions: 2, .. }));
    // The topic may have grown: that is asked, when the pause after the last answer is over.
    let begun = Instant::now();
    while broker.summary().requests("Metadata") == asked {
        assert!(begun.elapsed() < LONG, "nobody asks whether the topic has grown");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(producer.topic("no spaces").is_err());
    producer.close(LONG).expect("nothing was sent");
    assert_eq!(sender.send(Record::to(topic).value(b"x")).expect_err("closed").kind, SendErrorKind::Closed);
    assert!(matches!(producer.sender(), Err(SendErrorKind::Closed)));
    assert_eq!(producer.flush(LONG), Err(FlushError::Closed));
    producer.close(LONG).expect("closing twice is no error");
}

#[test]
fn a_topic_that_does_not_exist_fails_after_max_block() {
    let broker = MockBroker::builder().auto_create_topics(false).start().expect("a broker");
    let max_block = Duration::from_millis(300);
    let producer = builder(&broker).configure(|config| config.max_block(max_block)).build().expect("a producer");
    let topic = producer.topic("nowhere").expect("a legal name");
    let mut sender = producer.sender().expect("open");
    let now = sender.try_send(Record::to(topic).value(b"x")).expect_err("unknown");
    assert!(matches!(now.kind, SendErrorKind::UnknownTopic { .. }));
    let error = sender.send(Record::to(topic).value(b"x")).expect_err("unknown");
    assert!(
        matches!(&error.kind, SendErrorKind::UnknownTopic { topic, code, waited } if topic == "nowhere" && code.0 == 3 && *waited >= max_block),
        "{}",
        error.kind
    );
    broker.create_topic("nowhere", 1).expect("created");
    sender.send_deadline(Record::to(topic).value(b"x"), Instant::now() + LONG).expect("it exists now");
    producer.close(LONG).expect("delivered");
}

#[test]
fn a_negative_timestamp_is_refused_wherever_it_is_given() {
    let broker = broker(1);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("times").expect("a name");
    let mut sender = producer.sender().expect("open");
    // Before anything is known of the topic, and once its lane is open.
    for round in 0..2 {
        for timestamp in [-1, -1_000, i64::MIN] {
            let record = Record::to(topic).timestamp(timestamp);
            let refused = [
                sender.send(record.value(b"x")).expect_err("negative").kind,
                sender.try_send(record.key(b"k").value(b"x")).expect_err("negative").kind,
                sender.send(record.key(b"k").value(&[0; 5_000])).expect_err("negative").kind,
                sender.reserve(record, 10).expect_err("negative").kind,
                producer.send(record.value(b"x")).expect_err("negative").kind,
                match pin!(sender.send_async(record.value(b"x"))).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(sent) => sent.expect_err("negative").kind,
                    Poll::Pending => panic!("there is nothing to wait for"),
                },
            ];
            let expected = SendErrorKind::InvalidTimestamp { timestamp };
            assert!(refused.iter().all(|kind| *kind == expected), "{round}: {refused:?}");
            assert!(!expected.is_retriable());
        }
        sender.send(Record::to(topic).value(b"y").timestamp(0)).expect("the first moment of 1970");
    }
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.records("times", 0).iter().map(|record| record.timestamp).collect::<Vec<_>>(), [0, 0]);
}
