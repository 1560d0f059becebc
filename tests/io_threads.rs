//! A producer with several I/O threads (`io.threads`): each partition is one thread's, and together they are one producer.

use forebay::{
    CloseError, DeliveryError, FailureKind, FlushError, Producer, ProducerBuilder, Record, SendErrorKind, Topic,
};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
/// Long enough for everything that can happen to have happened.
const A_WHILE: Duration = Duration::from_millis(300);

/// A topic of two partitions, each led by a node of its own, and each of a thread of its own.
fn two_nodes() -> MockBroker {
    let broker = MockBroker::builder().nodes(2).partitions(2).start().expect("a broker on loopback");
    broker.create_topic("t", 2).expect("a topic");
    for partition in 0..2 {
        broker.set_leader("t", partition, partition + 1).expect("there is such a node");
    }
    broker
}

fn builder(broker: &MockBroker, threads: usize) -> ProducerBuilder {
    Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("linger.ms", "0")
        .configure(|config| config.io_threads(threads))
}

/// Both partitions have had a record delivered: connections are open and sequences begun.
fn begun(producer: &Producer) -> Topic {
    let topic = producer.topic("t").expect("a name");
    let mut sender = producer.sender().expect("open");
    for partition in 0..2 {
        let receipt = sender.send(Record::to(topic).partition(partition).value(b"first")).expect("accepted");
        producer.wait(receipt, LONG).expect("delivered");
    }
    topic
}

#[test]
fn records_of_several_senders_arrive_once_and_in_order_and_are_reported_by_one_thread_at_a_time() {
    const THREADS: usize = 3;
    const PARTITIONS: u32 = 12;
    const SENDERS: u32 = 3;
    const EACH: u32 = 40_000;
    let broker = MockBroker::builder().nodes(3).partitions(PARTITIONS).start().expect("a broker on loopback");
    let (inside, reports) = (AtomicBool::new(false), Arc::new(Mutex::new(Vec::new())));
    let (log, names) = (reports.clone(), Arc::new(Mutex::new(BTreeSet::new())));
    let seen = names.clone();
    let producer = builder(&broker, THREADS)
        .on_delivery(move |report| {
            assert!(!inside.swap(true, Ordering::SeqCst), "two threads are in the callback at once");
            let base = report.result.expect("delivered").base_offset;
            log.lock().expect("no panic").push((
                report.sender,
                report.partition,
                report.first_ordinal,
                report.count,
                base,
            ));
            seen.lock().expect("no panic").insert(thread::current().name().unwrap_or_default().to_owned());
            inside.store(false, Ordering::SeqCst);
        })
        .build()
        .expect("a producer");
    let topic = producer.topic("many").expect("a name");
    thread::scope(|scope| {
        for number in 0..SENDERS {
            let mut sender = producer.sender().expect("open");
            let producer = &producer;
            scope.spawn(move || {
                let mut last = None;
                for i in 0..EACH {
                    let value = [number.to_le_bytes(), i.to_le_bytes()].concat();
                    let record = Record::to(topic).partition(i % PARTITIONS).value(&value);
                    last = Some(sender.send(record).map_err(|error| error.kind).expect("accepted"));
                }
                let delivery = producer.wait(last.expect("sent"), LONG).expect("delivered");
                assert_eq!(delivery.partition, (EACH - 1) % PARTITIONS);
            });
        }
    });
    producer.flush(LONG).expect("all delivered");
    assert_eq!(producer.outcomes(), (u64::from(SENDERS * EACH), 0));
    producer.close(LONG).expect("all delivered");
    let expected = ["forebay-io", "forebay-io-1", "forebay-io-2"].map(str::to_owned);
    assert_eq!(*names.lock().expect("no panic"), BTreeSet::from(expected), "each thread had its part");
    for partition in 0..PARTITIONS {
        let mut next = [partition; SENDERS as usize];
        for record in broker.records("many", partition as i32) {
            let value = record.value.expect("a value");
            let number = u32::from_le_bytes(value[..4].try_into().expect("four bytes")) as usize;
            let i = u32::from_le_bytes(value[4..].try_into().expect("four bytes"));
            assert_eq!(i, next[number], "sender {number}, partition {partition}");
            next[number] += PARTITIONS;
        }
        assert!(next.iter().all(|next| *next >= EACH), "partition {partition} lacks records: {next:?}");
        let mut counted = BTreeMap::new();
        for (sender, _, first, count, _) in
            reports.lock().expect("no panic").iter().filter(|report| report.1 == partition)
        {
            let counted = counted.entry(*sender).or_insert(0);
            assert_eq!(*first, *counted, "reports of a lane come in order");
            *counted += u64::from(*count);
        }
        let all: u64 = counted.values().sum();
        assert_eq!(all, broker.records("many", partition as i32).len() as u64);
    }
    let (free, total) = producer.buffer_bytes();
    assert_eq!(free, total, "all memory is back");
}

#[test]
fn each_thread_has_its_own_part_of_the_memory_and_the_parts_are_buffer_memory() {
    const PART: usize = 1 << 20;
    let broker = two_nodes();
    let producer = builder(&broker, 2).configure(|config| config.buffer_memory(2 * PART)).build().expect("a producer");
    assert_eq!(producer.buffer_bytes().1, 2 * PART);
    let topic = begun(&producer);
    broker.faults().stall_node(Some(2));
    let mut sender = producer.sender().expect("open");
    let record = move |partition| Record::to(topic).partition(partition).value(&[7; 1_000]);
    let mut taken = 0;
    // Full is full: but a part may be freed while requests are on their way into the silence.
    while sender.try_send(record(1)).is_ok() {
        taken += 1;
    }
    assert!(taken * 1_000 > PART / 2 && taken * 1_000 < PART + (1 << 20), "{taken} records");
    for _ in 0..2_000 {
        sender.send(record(0)).map_err(|error| error.kind).expect("the first thread has memory of its own");
    }
    let blocked = thread::spawn(move || {
        let receipt = sender.send(record(1)).map_err(|error| error.kind);
        (sender, receipt)
    });
    let begun = Instant::now();
    while producer.waiting_senders() == 0 {
        assert!(begun.elapsed() < LONG, "nobody waits");
        thread::yield_now();
    }
    broker.faults().stall_node(None);
    let (_sender, receipt) = blocked.join().expect("no panic");
    let delivery = producer.wait(receipt.expect("accepted once there is room"), LONG).expect("delivered");
    assert_eq!(delivery.partition, 1);
    producer.close(LONG).expect("all delivered");
    assert_eq!(broker.records("t", 0).len(), 1 + 2_000);
    assert_eq!(broker.records("t", 1).len(), 1 + taken + 1);
}

#[test]
fn a_record_larger_than_a_threads_part_never_fits_and_the_error_says_why() {
    let broker = two_nodes();
    let producer = builder(&broker, 2).configure(|config| config.buffer_memory(1 << 20)).build().expect("a producer");
    let topic = begun(&producer);
    let mut sender = producer.sender().expect("open");
    let half = vec![7; 1 << 19];
    let error = sender.send(Record::to(topic).value(&half)).expect_err("larger than half a MiB with its framing");
    let said = error.to_string();
    assert!(said.contains("buffer.memory / io.threads"), "{said}");
    let receipt = sender.send(Record::to(topic).value(&half[..500_000])).expect("fits");
    producer.wait(receipt, LONG).expect("delivered");
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_flush_waits_for_every_thread() {
    let broker = two_nodes();
    let producer = builder(&broker, 2).build().expect("a producer");
    let topic = begun(&producer);
    let mut sender = producer.sender().expect("open");
    for stalled in [2, 1] {
        broker.faults().stall_node(Some(stalled));
        for partition in 0..2 {
            sender.send(Record::to(topic).partition(partition).value(b"x")).expect("accepted");
        }
        assert_eq!(sender.flush(A_WHILE), Err(FlushError::TimedOut), "node {stalled} has answered nothing");
        broker.faults().stall_node(None);
        assert_eq!(sender.flush(LONG), Ok(()));
    }
    producer.close(LONG).expect("all delivered");
}

#[test]
fn a_close_waits_for_every_thread_and_what_one_cannot_deliver_fails() {
    for stalled in [1, 2] {
        let broker = two_nodes();
        let producer = builder(&broker, 2).build().expect("a producer");
        let topic = begun(&producer);
        let mut sender = producer.sender().expect("open");
        broker.faults().stall_node(Some(stalled));
        let receipts = [0, 1].map(|p| sender.send(Record::to(topic).partition(p).value(b"x")).expect("accepted"));
        assert!(matches!(producer.close(A_WHILE), Err(CloseError::Failed { failed: 1, .. })));
        let outcomes = receipts.map(|receipt| producer.poll(receipt).expect("decided"));
        let lost = stalled as usize - 1;
        assert!(outcomes[1 - lost].is_ok(), "{outcomes:?}");
        assert!(
            matches!(&outcomes[lost], Err(DeliveryError::Failed(why)) if why.kind == FailureKind::Closed),
            "{outcomes:?}"
        );
        let refused = sender.send(Record::to(topic).partition(0).value(b"late")).expect_err("closed");
        assert_eq!(refused.kind, SendErrorKind::Closed);
    }
}

#[test]
fn a_failure_of_one_thread_ends_the_others_and_reaches_everyone() {
    for failing in 0..2 {
        let broker = two_nodes();
        let producer = builder(&broker, 2)
            .on_delivery(move |report| assert_ne!(report.partition, failing, "the callback's own"))
            .build()
            .expect("a producer");
        let topic = producer.topic("t").expect("a name");
        let mut sender = producer.sender().expect("open");
        let (other, node) = (1 - failing, 2 - failing as i32);
        let first = sender.send(Record::to(topic).partition(other).value(b"x")).expect("accepted");
        producer.wait(first, LONG).expect("delivered");
        // The other thread has a record on its way, and would wait for its answer.
        broker.faults().stall_node(Some(node));
        let waits = sender.send(Record::to(topic).partition(other).value(b"y")).expect("accepted");
        let fails = sender.send(Record::to(topic).partition(failing).value(b"z")).expect("accepted");
        let outcome = producer.wait(waits, LONG).expect_err("its thread was ended");
        assert!(matches!(&outcome, DeliveryError::Failed(why) if why.possibly_appended), "{outcome}");
        assert!(producer.wait(fails, LONG).is_ok(), "the broker has it, and that was known before the panic");
        assert_eq!(producer.flush(LONG), Err(FlushError::Closed));
        assert_eq!(producer.sender().err(), Some(SendErrorKind::Closed));
        let closed = producer.close(LONG);
        assert!(matches!(&closed, Err(CloseError::Poisoned(why)) if why.contains("the callback's own")), "{closed:?}");
    }
}

#[test]
fn figures_are_those_of_all_threads() {
    let broker = two_nodes();
    broker.faults().set("delay-ms=5".parse::<FaultSpec>().expect("a fault"));
    let producer = builder(&broker, 2).build().expect("a producer");
    let topic = begun(&producer);
    let mut sender = producer.sender().expect("open");
    for i in 0..200 {
        sender.send(Record::to(topic).partition(i % 2).value(&[7; 100])).expect("accepted");
    }
    producer.flush(LONG).expect("delivered");
    let metrics = producer.metrics();
    assert_eq!((metrics.record_delivered.total, metrics.record_send.total), (202, 202));
    assert_eq!(metrics.request_latency.count, metrics.records_per_request.count);
    assert!(metrics.request_latency.recent == metrics.request_latency.count && metrics.request_latency.p50 >= 4.0);
    let topics: Vec<_> = metrics.topics.iter().map(|topic| (&*topic.topic, topic.record_delivered.total)).collect();
    assert_eq!(topics, [("t", 202)], "a topic is told once");
    let nodes: BTreeSet<_> = metrics.nodes.iter().map(|node| node.node_id).collect();
    assert_eq!(nodes.len(), metrics.nodes.len(), "a node is told once: {nodes:?}");
    for node in metrics.nodes.iter().filter(|node| node.node_id >= 0) {
        assert!(node.connected && node.request_latency.count > 0, "{node:?}");
    }
    let sum: u64 = metrics.nodes.iter().map(|node| node.request.total).sum();
    assert_eq!(sum, metrics.request.total);
    // What there was of a sample counts as a second at least.
    let seconds = metrics.age.as_secs_f64().max(1.0);
    let mean = metrics.io_time.as_secs_f64() / seconds / 2.0;
    assert!((metrics.io_ratio - mean).abs() < mean / 10.0, "{} is not the mean of both, {mean}", metrics.io_ratio);
    assert!(
        metrics.io_ratio <= 1.01 && metrics.io_wait_ratio <= 1.01,
        "{} {}",
        metrics.io_ratio,
        metrics.io_wait_ratio
    );
    assert!(metrics.connection_count >= 2);
    producer.close(LONG).expect("all delivered");
    assert_eq!(producer.metrics().connection_count, 0);
}

#[test]
fn more_threads_than_partitions_are_idle_and_no_trouble() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = builder(&broker, 8).build().expect("a producer");
    let topic = producer.topic("one").expect("a name");
    for i in 0..100_u32 {
        let receipt = producer.send(Record::to(topic).value(&i.to_le_bytes())).expect("accepted");
        if i % 25 == 0 {
            producer.wait(receipt, LONG).expect("delivered");
        }
    }
    drop(producer);
    assert_eq!(broker.records("one", 0).len(), 100, "the last handle delivers what was accepted");
}
