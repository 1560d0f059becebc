//! The whole producer through its public API, against the mock broker.

use forebay::{
    CloseError, DeliveryError, FailureKind, FlushError, Header, Producer, ProducerBuilder, Record, SendErrorKind,
};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

fn broker(partitions: u32) -> MockBroker {
    MockBroker::builder().partitions(partitions).start().expect("a broker on loopback")
}

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap())
}

fn fault(broker: &MockBroker, spec: &str) {
    broker.faults().set(spec.parse::<FaultSpec>().expect("a fault"));
}

#[test]
fn a_record_arrives_with_everything_it_has_and_its_receipt_says_where() {
    let broker = broker(3);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("orders").expect("a name");
    let mut sender = producer.sender().expect("open");
    let headers = [Header { key: "trace", value: Some(b"1") }, Header { key: "trace", value: None }];
    let record = Record::to(topic).partition(2).key(b"k").value(b"v").headers(&headers).timestamp(1_234_567);
    let receipt = sender.send(record).expect("accepted");
    let delivery = producer.wait(receipt, LONG).expect("delivered");
    assert_eq!((&*delivery.topic, delivery.partition), ("orders", 2));
    assert_eq!((delivery.offset, delivery.timestamp), (Some(0), 1_234_567));
    let second = sender.send(record.value(b"")).expect("accepted");
    assert_eq!(producer.wait(second, LONG).expect("delivered").offset, Some(1));
    let stored = broker.records("orders", 2);
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0].key.as_deref(), Some(&b"k"[..]));
    assert_eq!(stored[0].value.as_deref(), Some(&b"v"[..]));
    assert_eq!(stored[1].value.as_deref(), Some(&b""[..]), "empty is not none");
    assert_eq!(stored[0].timestamp, 1_234_567);
    assert_eq!(stored[0].headers.len(), 2);
    producer.close(LONG).expect("all delivered");
}

/// Some of each size begin in one segment of the buffer and end in another.
#[test]
fn records_of_all_small_sizes_arrive_as_they_were_sent() {
    let broker = broker(1);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("sizes").expect("a name");
    let mut sender = producer.sender().expect("open");
    let bytes: Vec<u8> = (0..1_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let headers = [Header { key: "h", value: Some(b"behind") }];
    let (mut last, mut sent) = (None, Vec::new());
    for round in 0..60 {
        for size in [0, 1, 30, 100, 180, 220, 240, 250, 300, 700] {
            let (value, key) = (&bytes[round..round + size], (round % 3 == 0).then(|| &bytes[size..size + 20]));
            let mut record = Record::to(topic).value(value).headers(if round % 4 == 0 { &headers } else { &[] });
            record.key = key;
            last = Some(sender.send(record).expect("accepted"));
            sent.push((key.map(<[u8]>::to_vec), value.to_vec(), record.headers.len()));
        }
    }
    producer.wait(last.expect("sent"), LONG).expect("delivered");
    let stored = broker.records("sizes", 0);
    let came: Vec<_> = stored
        .iter()
        .map(|record| {
            let value = record.value.as_deref().expect("no tombstone").to_vec();
            (record.key.as_deref().map(<[u8]>::to_vec), value, record.headers.len())
        })
        .collect();
    assert!(came == sent, "the same, in the same order: {} of {}", came.len(), sent.len());
    producer.close(LONG).expect("all delivered");
}

#[test]
fn keyed_records_go_where_javas_producer_sends_them() {
    let broker = broker(7);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("keys").expect("a name");
    let mut sender = producer.sender().expect("open");
    // murmur2: "21" → −973932308, "foobar" → −790332482, "abc" → 479470107
    for (key, hash) in [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)] {
        let receipt = sender.send(Record::to(topic).key(key.as_bytes()).value(b"x")).expect("accepted");
        let expected = (hash & 0x7fff_ffff) as u32 % 7;
        assert_eq!(producer.wait(receipt, LONG).expect("delivered").partition, expected, "{key}");
    }
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_value_is_written_in_place_in_one_piece_or_many() {
    let broker = broker(1);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("reserved").expect("a name");
    let mut sender = producer.sender().expect("open");
    drop(sender.reserve(Record::to(topic), 100).expect("room")); // leaves no trace
    let mut small = sender.reserve(Record::to(topic).key(b"small"), 5).expect("room");
    small.value_mut().expect("one piece").copy_from_slice(b"hello");
    small.commit().expect("open");
    let large: Vec<u8> = (0..50_000).map(|i| i as u8).collect();
    let headers = [Header { key: "h", value: Some(b"after the value") }];
    let mut pieces = sender.reserve(Record::to(topic).key(b"large").headers(&headers), large.len()).expect("room");
    assert!(pieces.value_mut().is_none(), "fifty thousand bytes are in several segments");
    pieces.write_all(&large).expect("as long as reserved");
    assert_eq!(pieces.write(b"more").expect("no error"), 0, "nothing beyond what was reserved");
    let receipt = pieces.commit().expect("open");
    assert_eq!(producer.wait(receipt, LONG).expect("delivered").offset, Some(1));
    let stored = broker.records("reserved", 0);
    assert_eq!(stored[0].value.as_deref(), Some(&b"hello"[..]));
    assert_eq!(stored[1].value.as_deref(), Some(&large[..]));
    assert_eq!(stored[1].headers.len(), 1);
    producer.close(LONG).expect("all delivered");
}

#[test]
fn many_blocked_senders_all_get_their_turn() {
    let broker = broker(4);
    let producer = builder(&broker).configure(|config| config.buffer_memory(1 << 20)).build().expect("a producer");
    let topic = producer.topic("crowd").expect("a name");
    std::thread::scope(|scope| {
        for thread in 0..6u32 {
            let producer = producer.clone();
            scope.spawn(move || {
                let mut sender = producer.sender().expect("open");
                let value = vec![thread as u8; if thread == 0 { 200_000 } else { 3_000 }];
                for i in 0..if thread == 0 { 40 } else { 2_000 } {
                    sender.send(Record::to(topic).partition(i % 4).value(&value)).map_err(|e| e.kind).expect("a turn");
                }
            });
        }
    });
    producer.flush(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), 40 + 5 * 2_000);
    producer.close(LONG).expect("all delivered");
    let (free, total) = producer.buffer_bytes();
    assert_eq!(free, total, "all memory is back");
}

#[test]
fn a_record_larger_than_a_batch_may_be_goes_alone() {
    // Kafka's default limit is that of a request: a value of 1,000,000 bytes is no trouble, whatever a batch may hold.
    for (batch_max, threads, sizes) in [
        (1_000_000, "0", [10, 1_000_000, 10, 1_048_576 - 512]),
        (2_000, "0", [10, 1_000_000, 100, 50_000]),
        (2_000, "2", [10, 1_000_000, 100, 50_000]),
    ] {
        let broker = broker(1);
        let builder = builder(&broker).set("compression.type", "lz4").set("io.compression.threads", threads);
        let producer = builder.configure(|config| config.batch_max_bytes(batch_max)).build().expect("a producer");
        let topic = producer.topic("large").expect("a name");
        let mut sender = producer.sender().expect("open");
        let value: Vec<u8> = (0..1_048_576_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut receipts = Vec::new();
        for _ in 0..3 {
            for size in sizes {
                let record = Record::to(topic).partition(0).value(&value[..size]);
                receipts.push(sender.send(record).map_err(|e| e.kind).expect("fits"));
            }
        }
        for (number, receipt) in receipts.into_iter().enumerate() {
            let delivery = producer.wait(receipt, LONG).expect("delivered");
            assert_eq!(delivery.offset, Some(number as i64), "in order, {threads} threads");
        }
        producer.close(LONG).expect("all delivered");
    }
}

#[test]
fn failures_reach_receipts_callbacks_and_one_flush() {
    let broker = broker(1);
    let failed = Arc::new(AtomicU64::new(0));
    let seen = failed.clone();
    let producer = builder(&broker)
        .on_delivery(move |report| {
            if report.result.is_err() {
                seen.fetch_add(u64::from(report.count), Ordering::SeqCst);
            }
        })
        .build()
        .expect("a producer");
    let topic = producer.topic("refused").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    fault(&broker, "produce-error=29:next=1"); // TOPIC_AUTHORIZATION_FAILED: final for the batch
    let receipts: Vec<_> = (0..10).map(|_| sender.send(Record::to(topic).value(b"x")).expect("accepted")).collect();
    let outcome = producer.wait(receipts[0], LONG).expect_err("refused");
    let DeliveryError::Failed(why) = &outcome else { panic!("{outcome}") };
    assert!(matches!(&why.kind, FailureKind::Broker { code, .. } if code.0 == 29), "{why}");
    let flushed = producer.flush(LONG);
    let total = receipts.iter().filter(|r| matches!(producer.poll(**r), Some(Err(_)))).count() as u64;
    assert!(
        matches!(flushed, Err(FlushError::Failed { failed, .. }) if failed == total),
        "{flushed:?}, {total} failed"
    );
    assert_eq!(failed.load(Ordering::SeqCst), total);
    assert!(matches!(sender.flush(LONG), Err(FlushError::Failed { .. })), "the sender's own account");
    producer.flush(LONG).expect("each failure is told by one flush");
    let receipt = sender.send(Record::to(topic).value(b"y")).expect("accepted");
    producer.wait(receipt, LONG).expect("later records are not affected");
    producer.close(LONG).expect("no new failures");
}

#[test]
fn a_receipt_can_be_awaited() {
    struct Unpark(std::thread::Thread, AtomicU64);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0.unpark();
        }
    }
    let broker = broker(1);
    fault(&broker, "delay-ms=30");
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("awaited").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).value(b"x")).expect("accepted");
    assert_eq!(producer.poll(receipt), None);
    assert_eq!(producer.wait(receipt, Duration::ZERO), Err(DeliveryError::Pending));
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicU64::new(0)));
    let waker = Waker::from(unpark.clone());
    let mut context = Context::from_waker(&waker);
    drop(producer.delivery(receipt)); // never polled
    let mut future = std::pin::pin!(producer.delivery(receipt));
    {
        // Two futures for one receipt: the one that is dropped takes only its own waker along.
        let mut twin = std::pin::pin!(producer.delivery(receipt));
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(twin.as_mut().poll(&mut context).is_pending());
    }
    producer.wait(receipt, LONG).expect("delivered");
    while unpark.1.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now(); // the other is woken by the outcome
    }
    let delivery = loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => break outcome.expect("delivered"),
            std::task::Poll::Pending => std::thread::park(),
        }
    };
    assert_eq!(delivery.offset, Some(0));
    assert_eq!(unpark.1.load(Ordering::SeqCst), 1, "and only once");
    drop(sender);
    assert_eq!(producer.poll(receipt), Some(Ok(delivery)), "the receipt outlives its sender");
    producer.close(LONG).expect("all delivered");
}

#[test]
fn reports_cover_each_record_once_and_in_order() {
    let broker = broker(2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let producer = builder(&broker)
        .on_delivery(move |report| {
            let base = report.result.expect("delivered").base_offset;
            log.lock().expect("no panic").push((report.partition, report.first_ordinal, report.count, base));
        })
        .build()
        .expect("a producer");
    let topic = producer.topic("reported").expect("a name");
    let mut sender = producer.sender().expect("open");
    for i in 0..50_000u32 {
        sender.send(Record::to(topic).partition(i % 2).value(&i.to_le_bytes())).expect("accepted");
    }
    producer.close(LONG).expect("all delivered");
    for partition in 0..2 {
        let mut next = 0;
        for (_, first, count, base) in seen.lock().expect("no panic").iter().filter(|seen| seen.0 == partition) {
            assert_eq!((*first, *base), (next, next as i64));
            next += u64::from(*count);
        }
        assert_eq!(next, 25_000);
    }
}

#[test]
fn short_lived_senders_each_get_their_own_reports() {
    let broker = broker(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let producer = builder(&broker)
        .set("linger.ms", "0")
        .on_delivery(move |report| {
            assert!(report.result.is_ok());
            log.lock().expect("no panic").extend((0..report.count).map(|_| report.sender));
        })
        .build()
        .expect("a producer");
    let topic = producer.topic("brief").expect("a name");
    // Lanes come and go all the time, and their numbers are used again.
    let senders = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let mut sender = producer.sender().expect("open");
                    senders.lock().expect("no panic").push(sender.id());
                    sender.send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect("accepted");
                }
            });
        }
    });
    producer.close(LONG).expect("all delivered");
    let (mut seen, mut senders) = (seen.lock().expect("no panic"), senders.into_inner().expect("no panic"));
    seen.sort_unstable();
    senders.sort_unstable();
    assert!(*seen == senders && senders.len() == 4_000, "one report for each sender");
}

#[test]
fn threads_share_a_producer_without_senders() {
    let broker = broker(2);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("shared").expect("a name");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    producer.send(Record::to(topic).value(b"x")).map_err(|e| e.kind).expect("accepted");
                }
            });
        }
    });
    let receipt = producer.send(Record::to(topic).value(b"last")).map_err(|e| e.kind).expect("accepted");
    producer.wait(receipt, LONG).expect("delivered");
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.summary().records(), 4_001);
    let closed = producer.send(Record::to(topic).value(b"x")).expect_err("closed");
    assert_eq!(closed.kind, SendErrorKind::Closed);
}

#[test]
fn dropping_the_last_handle_delivers_what_was_accepted() {
    let broker = broker(1);
    let producer = builder(&broker).set("linger.ms", "1000").build().expect("a producer");
    let topic = producer.topic("dropped").expect("a name");
    let mut sender = producer.sender().expect("open");
    for _ in 0..100 {
        sender.send(Record::to(topic).value(b"x")).expect("accepted");
    }
    drop(producer);
    drop(sender);
    assert_eq!(broker.summary().records(), 100);
}

#[test]
fn a_close_that_runs_out_of_time_fails_what_is_left_and_returns() {
    let broker = broker(1);
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("late").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    fault(&broker, "stall-reads");
    let receipts: Vec<_> = (0..100).map(|_| sender.send(Record::to(topic).value(b"x")).expect("accepted")).collect();
    let closed = producer.close(Duration::from_millis(200));
    assert!(matches!(closed, Err(CloseError::Failed { failed: 100, .. })), "{closed:?}");
    for receipt in receipts {
        assert!(matches!(producer.poll(receipt), Some(Err(DeliveryError::Failed(_)))));
    }
}

#[test]
fn a_panic_in_a_callback_reaches_everyone() {
    let broker = broker(1);
    let producer = builder(&broker).on_delivery(|_| panic!("the callback's own")).build().expect("a producer");
    let topic = producer.topic("panic").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).value(b"x")).expect("accepted");
    // The log is written before the callback runs: this outcome is known, later ones are not.
    producer.wait(receipt, LONG).expect("delivered before the callback");
    let closed = loop {
        match sender.send(Record::to(topic).value(b"y")) {
            Ok(receipt) => {
                let outcome = producer.wait(receipt, LONG);
                assert_ne!(outcome, Err(DeliveryError::Pending), "nobody hangs");
            }
            Err(error) => break error.kind,
        }
    };
    assert_eq!(closed, SendErrorKind::Closed);
    assert!(matches!(producer.close(LONG), Err(CloseError::Poisoned(why)) if why.contains("the callback's own")));
}

#[test]
fn a_partitioner_of_the_users_own_is_asked() {
    struct Last;
    impl forebay::Partitioner for Last {
        fn partition(&mut self, record: &Record<'_>, partitions: u32) -> u32 {
            if record.key == Some(b"wrong") { partitions } else { partitions - 1 }
        }
    }
    let broker = broker(5);
    let producer = builder(&broker).partitioner(|| Last).build().expect("a producer");
    let topic = producer.topic("mine").expect("a name");
    let mut sender = producer.sender().expect("open");
    let receipt = sender.send(Record::to(topic).key(b"any").value(b"x")).expect("accepted");
    assert_eq!(producer.wait(receipt, LONG).expect("delivered").partition, 4);
    let error = sender.send(Record::to(topic).key(b"wrong").value(b"x")).expect_err("out of range");
    assert!(matches!(error.kind, SendErrorKind::UnknownPartition { partition: 5, partitions: 5, .. }));
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_receipt_older_than_the_log_never_turns_a_failure_into_a_success() {
    let broker = broker(64);
    let producer = builder(&broker).set("linger.ms", "0").build().expect("a producer");
    let topic = producer.topic("old").expect("a name");
    producer.partitions_for(topic, LONG).expect("known");
    let mut sender = producer.sender().expect("open");
    fault(&broker, "produce-error=29:next=1");
    let failed = sender.send(Record::to(topic).partition(0).value(b"x")).expect("accepted");
    producer.wait(failed, LONG).expect_err("refused");
    let delivered = sender.send(Record::to(topic).partition(0).value(b"x")).expect("accepted");
    producer.wait(delivered, LONG).expect("delivered");
    // Offsets that another producer's records interrupt make a stretch each: push the first ones out of the log.
    let other = builder(&broker).set("linger.ms", "0").build().expect("a producer");
    let (same, mut intruder) = (other.topic("old").expect("a name"), other.sender().expect("open"));
    for _ in 0..40 {
        let mut receipts = Vec::new();
        for partition in 0..64 {
            intruder.send(Record::to(same).partition(partition).value(b"i")).expect("accepted");
            other.flush(LONG).expect("delivered");
            receipts.push(sender.send(Record::to(topic).partition(partition).value(b"x")).expect("accepted"));
            producer.flush(LONG).ok();
        }
    }
    assert_eq!(producer.poll(failed), Some(Err(DeliveryError::Forgotten)));
    let old = producer.poll(delivered).expect("decided").expect("delivered");
    assert_eq!(old.offset, None, "only the offset is forgotten");
    producer.close(LONG).ok();
    other.close(LONG).expect("all delivered");
}

#[test]
fn handles_cross_threads_as_documented() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Producer>();
    sync::<Producer>();
    send::<forebay::Sender>();
    send::<forebay::Receipt>();
    send::<forebay::DeliveryFuture>();
    assert_eq!(size_of::<forebay::Receipt>(), 24);
}
