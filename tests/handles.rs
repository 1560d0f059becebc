//! Topics and receipts at a producer that did not make them, of senders that are gone, and what a receipt and a report have in common.

use forebay::{CloseError, DeliveryError, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

fn broker() -> MockBroker {
    MockBroker::builder().partitions(2).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap())
}

/// Both have the same place in their producers' tables.
#[test]
fn a_topic_of_another_producer_is_refused_wherever_it_is_given() {
    let broker = broker();
    let (mine, other) = (builder(&broker).build().expect("a producer"), builder(&broker).build().expect("another"));
    let (topic, foreign) = (mine.topic("mine").expect("a name"), other.topic("others").expect("a name"));
    assert_ne!(topic, foreign);
    let mut sender = mine.sender().expect("open");
    // Before anything is known of the topic in its place, and once its lane is open.
    for round in 0..2 {
        let record = Record::to(foreign).partition(0).value(b"x");
        let refused = [
            sender.send(record).expect_err("another producer's").kind,
            sender.try_send(record.key(b"k")).expect_err("another producer's").kind,
            sender.send(record.value(&[0; 5_000])).expect_err("another producer's").kind,
            sender.reserve(record, 10).expect_err("another producer's").kind,
            mine.send(record).expect_err("another producer's").kind,
            mine.partitions_for(foreign, LONG).expect_err("another producer's"),
        ];
        assert!(refused.iter().all(|kind| *kind == SendErrorKind::ForeignTopic), "{round}: {refused:?}");
        sender.send(Record::to(topic).partition(0).value(b"y")).expect("its own");
    }
    assert_eq!(mine.topic_name(topic).as_deref(), Some("mine"));
    assert_eq!(mine.topic_name(foreign), None);
    mine.close(LONG).expect("all delivered");
    assert_eq!(broker.records("mine", 0).len(), 2);
    assert_eq!(broker.records("others", 0).len(), 0);
}

#[test]
fn a_receipt_of_another_producer_gets_no_answer_of_this_one() {
    let broker = broker();
    let (mine, other) = (builder(&broker).build().expect("a producer"), builder(&broker).build().expect("another"));
    let send = |producer: &Producer| {
        let topic = producer.topic("t").expect("a name");
        let mut sender = producer.sender().expect("open");
        sender.send(Record::to(topic).partition(1).value(b"x")).expect("accepted")
    };
    let (receipt, foreign) = (send(&mine), send(&other));
    assert_eq!(mine.wait(receipt, LONG).expect("delivered").partition, 1);
    assert_eq!(mine.wait(foreign, LONG), Err(DeliveryError::Foreign));
    assert_eq!(mine.poll(foreign), Some(Err(DeliveryError::Foreign)));
    let mut future = mine.delivery(foreign);
    let outcome = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(outcome, Poll::Ready(Err(DeliveryError::Foreign)));
    assert!(other.wait(foreign, LONG).is_ok());
}

#[test]
fn receipts_outlive_their_sender_until_64_others_are_gone() {
    let broker = broker();
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    let receipt = producer.sender().expect("open").send(Record::to(topic).value(b"x")).expect("accepted");
    for _ in 0..63 {
        drop(producer.sender().expect("open"));
    }
    assert!(producer.wait(receipt, LONG).is_ok());
    drop(producer.sender().expect("open"));
    assert_eq!(producer.wait(receipt, LONG), Err(DeliveryError::Foreign));
}

/// What a map of the application's own is to be keyed by: sender, lane and ordinal name one record.
#[test]
fn a_receipt_and_its_report_name_a_record_alike() {
    let broker = broker();
    let reported = Arc::new(Mutex::new(Vec::new()));
    let told = reported.clone();
    let producer = builder(&broker)
        .on_delivery(move |report| {
            let mut told = told.lock().expect("no panic in here");
            for ordinal in (report.first_ordinal..).take(report.count as usize) {
                told.push(((report.sender, report.lane, ordinal), (report.topic.to_owned(), report.partition)));
            }
        })
        .build()
        .expect("a producer");
    let topics = ["a", "b"].map(|name| (name, producer.topic(name).expect("a name")));
    let mut senders = [producer.sender().expect("open"), producer.sender().expect("open")];
    let mut sent = HashMap::new();
    for number in 0..100_u32 {
        for sender in &mut senders {
            for (name, topic) in topics {
                let partition = number % 2;
                let receipt = sender.send(Record::to(topic).partition(partition).value(b"x")).expect("accepted");
                let key = (receipt.sender(), receipt.lane(), receipt.ordinal());
                assert_eq!(sent.insert(key, (name.to_owned(), partition)), None, "{key:?} names two records");
            }
        }
    }
    producer.close(LONG).expect("all delivered");
    let reported: HashMap<_, _> = reported.lock().expect("no panic in there").drain(..).collect();
    assert_eq!(reported, sent);
}

/// Of many that wait for records of one sender, in any order.
#[test]
fn every_future_is_woken_by_its_own_outcome_and_none_that_was_dropped() {
    struct Numbered(usize, Arc<Mutex<Vec<usize>>>);
    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no panic in here").push(self.0);
        }
    }
    const COUNT: usize = 2_000;
    let broker = broker();
    let producer = builder(&broker).set("linger.ms", "0").build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    broker.faults().set("stall-responses".parse::<FaultSpec>().expect("a fault"));
    let mut sender = producer.sender().expect("open");
    let mut send = |number: usize| {
        let record = Record::to(topic).partition(number as u32 % 2).value(b"x");
        sender.send(record).expect("accepted")
    };
    let receipts: Vec<_> = (0..COUNT).map(&mut send).collect();
    let woken = Arc::new(Mutex::new(Vec::new()));
    let mut futures: Vec<_> =
        (0..COUNT).rev().map(|number| Some((number, producer.delivery(receipts[number])))).collect();
    let waker = |number| Waker::from(Arc::new(Numbered(number, woken.clone())));
    for (number, future) in futures.iter_mut().flatten() {
        // Polled twice: the second waker counts.
        for waker in [Waker::noop().clone(), waker(*number)] {
            assert_eq!(Pin::new(&mut *future).poll(&mut Context::from_waker(&waker)), Poll::Pending);
        }
    }
    for dropped in (0..COUNT).step_by(3) {
        futures[dropped] = None;
    }
    let left: HashSet<_> = futures.iter().flatten().map(|(number, _)| *number).collect();
    broker.faults().clear();
    producer.flush(LONG).expect("all delivered");
    let woken = std::mem::take(&mut *woken.lock().expect("no panic in there"));
    assert_eq!(woken.len(), left.len(), "each once");
    assert_eq!(woken.into_iter().collect::<HashSet<_>>(), left);
    for (number, future) in futures.iter_mut().flatten() {
        let outcome = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(outcome, Poll::Ready(Ok(_))), "{number}: {outcome:?}");
    }
}

/// Both are woken by one report.
#[test]
fn a_waker_that_panics_keeps_its_neighbours_awake() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("the waker's own");
        }
    }
    struct Told(AtomicUsize);
    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let broker = broker();
    let producer =
        builder(&broker).set("linger.ms", "60000").set("delivery.timeout.ms", "120000").build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    let told = Arc::new(Told(AtomicUsize::new(0)));
    let mut futures: Vec<_> = (0..3)
        .map(|number| {
            let receipt = sender.send(Record::to(topic).partition(0).value(b"x")).expect("accepted");
            let waker = if number == 1 { Waker::from(Arc::new(Bomb)) } else { Waker::from(told.clone()) };
            let mut future = producer.delivery(receipt);
            assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
            future
        })
        .collect();
    // The panic ends the producer, once everybody is told.
    let _ = producer.flush(LONG);
    assert!(matches!(producer.close(LONG), Err(CloseError::Poisoned(_))));
    assert_eq!(told.0.load(Ordering::SeqCst), 2);
    for future in &mut futures {
        let outcome = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(outcome, Poll::Ready(Ok(_))), "{outcome:?}");
    }
}

/// A producer's own `send` has the same kin as a sender's.
#[test]
fn threads_without_a_sender_may_refuse_to_wait() {
    let broker = broker();
    let producer = builder(&broker).set("buffer.memory", "65536").build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    broker.faults().set("stall-responses".parse::<FaultSpec>().expect("a fault"));
    let value = [7; 1_000];
    let record = Record::to(topic).partition(0).value(&value);
    let accepted = AtomicUsize::new(0);
    let refused = loop {
        match producer.try_send(record) {
            Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
            Err(refused) => break refused,
        };
        assert!(accepted.load(Ordering::Relaxed) < 100, "65,536 bytes hold no hundred thousand");
    };
    assert_eq!(refused.kind, SendErrorKind::Full);
    let begun = Instant::now();
    let late = producer.send_deadline(record, begun + Duration::from_millis(50)).expect_err("still full");
    assert!(matches!(late.kind, SendErrorKind::TimedOut { .. }), "{}", late.kind);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    broker.faults().clear();
    producer.send_deadline(record, begun + LONG).expect("room again");
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_setting_beside_a_complete_configuration_is_an_error() {
    let config = forebay::config::Config::builder().bootstrap_servers("localhost:1").build().expect("a configuration");
    let error =
        Producer::builder_from(config).set("linger.ms", "7").set("no.such.key", "1").build().expect_err("too late");
    let text = error.to_string();
    assert!(text.contains("linger.ms: ") && text.contains("no.such.key: ") && text.contains("complete"), "{text}");
}
