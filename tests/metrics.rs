//! What a producer measures, against what was done to it.

use forebay::{Metrics, Producer, ProducerBuilder, Record, SendErrorKind};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn builder(broker: &MockBroker) -> ProducerBuilder {
    Producer::builder().bootstrap_servers(broker.bootstrap())
}

fn fault(broker: &MockBroker, spec: &str) {
    broker.faults().set(spec.parse::<FaultSpec>().expect("a fault"));
}

/// Reads until the figures are as wanted: what is shown last comes a moment after what it follows from.
#[track_caller]
fn wait_until(producer: &Producer, what: &str, is: impl Fn(&Metrics) -> bool) -> Metrics {
    let end = Instant::now() + LONG;
    loop {
        let metrics = producer.metrics();
        if is(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < end, "never {what}: {metrics:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= b.abs() * 1e-6 + 1e-9
}

#[test]
fn figures_agree_with_what_was_sent() {
    let broker = MockBroker::builder().nodes(2).partitions(2).start().expect("a broker on loopback");
    fault(&broker, "delay-ms=30"); // the first send is to wait for metadata, however late this thread gets there
    let producer = builder(&broker).set("client.id", "measured").build().expect("a producer");
    let (a, b) = (producer.topic("a").expect("a name"), producer.topic("b").expect("a name"));
    let mut sender = producer.sender().expect("open");
    for i in 0..300 {
        sender.send(Record::to(a).partition(i % 2).value(&[7; 100])).expect("accepted");
        if i % 3 == 0 {
            sender.send(Record::to(b).partition(0).value(&[7; 100])).expect("accepted");
        }
    }
    producer.flush(LONG).expect("delivered");
    let metrics = wait_until(&producer, "at rest", |m| {
        m.requests_in_flight == 0 && m.record_delivered.total == 400 && m.buffer_available_bytes == m.buffer_total_bytes
    });
    assert_eq!(metrics.client_id, "measured");
    assert_eq!(metrics.buffer_total_bytes, 33_554_432);
    assert_eq!((metrics.record_send.total, metrics.record_error.total, metrics.record_retry.total), (400, 0, 0));
    assert!(metrics.record_delivered.per_second > 0.0);
    let of_topics: Vec<_> =
        metrics.topics.iter().map(|t| (&*t.topic, t.record_send.total, t.record_delivered.total)).collect();
    assert_eq!(of_topics, [("a", 300, 300), ("b", 100, 100)]);
    // 100 bytes of value, no key, no headers: 111 bytes as encoded where the time, counted from the start of its window, needs two bytes,
    // and 110 in a window's first 64 ms, where it needs one.
    assert!((110.0..=111.0).contains(&metrics.record_size_avg), "{}", metrics.record_size_avg);
    let sent: u64 = metrics.topics.iter().map(|t| t.bytes.total).sum();
    assert!(near(metrics.batch_size.sum, sent as f64));
    assert!(near(sent as f64, 61.0 * metrics.batch_size.count as f64 + metrics.record_size_avg * 400.0));
    assert!(near(metrics.records_per_request.sum, 400.0));
    assert!(near(metrics.compression_rate_avg, 1.0));
    assert_eq!(metrics.request_latency.count, metrics.records_per_request.count, "each Produce request was answered");
    let latency = metrics.request_latency;
    assert!(
        latency.avg > 0.0 && latency.avg <= latency.max && latency.p50 <= latency.p99 && latency.p999 <= latency.max
    );
    assert_eq!(metrics.record_queue_time.count, metrics.batch_size.count, "no batch was sent twice");
    assert_eq!((metrics.request.total, metrics.response.total), (metrics.response.total, metrics.request.total));
    let nodes: Vec<_> = metrics.nodes.iter().filter(|node| node.node_id >= 0).collect();
    assert_eq!(nodes.len(), 2, "{:?}", metrics.nodes);
    assert_eq!(nodes.iter().map(|n| n.request_latency.count).sum::<u64>(), latency.count);
    assert!(nodes.iter().all(|n| n.connected && n.requests_in_flight == 0 && n.request.total == n.response.total));
    let all = &metrics.nodes;
    assert_eq!(all.iter().map(|n| n.outgoing_bytes.total).sum::<u64>(), metrics.outgoing_bytes.total);
    assert_eq!(all.iter().map(|n| n.incoming_bytes.total).sum::<u64>(), metrics.incoming_bytes.total);
    assert!(near(all.iter().map(|n| n.request_size.sum).sum(), metrics.outgoing_bytes.total as f64));
    assert_eq!(metrics.connection_creation.total, all.iter().map(|n| n.connection_creation.total).sum::<u64>());
    assert!(metrics.flush_time > Duration::ZERO && metrics.metadata_wait_time > Duration::ZERO);
    assert!(metrics.select.total > 0 && metrics.io_wait_time > Duration::ZERO && metrics.io_time > Duration::ZERO);
    assert!(metrics.metadata_age <= metrics.age && metrics.age < LONG * 10);
    assert_eq!((metrics.waiting_threads, metrics.buffer_exhausted.total), (0, 0));
    producer.close(LONG).expect("all delivered");
    let after = producer.metrics();
    assert_eq!((after.connection_count, after.record_delivered.total), (0, 400), "figures outlive the close");
    assert_eq!(after.connection_close.total, after.connection_creation.total);
    assert_eq!(after.connection_failure.total, 0);
}

#[test]
fn a_full_buffer_shows_and_empties_again() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer =
        builder(&broker).set("buffer.memory", "65536").set("max.block.ms", "50").build().expect("a producer");
    let topic = producer.topic("full").expect("a name");
    producer.partitions_for(topic, LONG).expect("known"); // `max.block.ms` is for memory here, not for metadata
    let mut sender = producer.sender().expect("open");
    sender.send(Record::to(topic).value(b"first")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    broker.faults().stall_responses(true);
    while sender.try_send(Record::to(topic).value(&[7; 4000])).is_ok() {}
    assert_eq!(producer.metrics().buffer_exhausted.total, 1);
    let refused = sender.send(Record::to(topic).value(&[7; 4000])).expect_err("nothing is freed");
    assert!(matches!(refused.kind, SendErrorKind::TimedOut { .. }), "{:?}", refused.kind);
    let metrics = producer.metrics();
    assert_eq!(metrics.buffer_exhausted.total, 2);
    assert!(metrics.bufferpool_wait_time >= Duration::from_millis(50), "{:?}", metrics.bufferpool_wait_time);
    assert!(metrics.bufferpool_wait_ratio > 0.0);
    assert!(metrics.buffer_available_bytes < 8192, "{}", metrics.buffer_available_bytes);
    let waiter = std::thread::spawn(move || {
        sender.send_deadline(Record::to(topic).value(&[7; 4000]), Instant::now() + LONG).map(drop).map_err(|e| e.kind)
    });
    wait_until(&producer, "waiting", |m| m.waiting_threads == 1 && m.requests_in_flight > 0);
    broker.faults().stall_responses(false);
    waiter.join().expect("no panic").expect("memory was freed");
    producer.flush(LONG).expect("delivered");
    wait_until(&producer, "empty", |m| m.waiting_threads == 0 && m.buffer_available_bytes == m.buffer_total_bytes);
    producer.close(LONG).expect("all delivered");
}

#[test]
fn retries_errors_and_throttling_are_counted() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = builder(&broker).set("retry.backoff.ms", "1").build().expect("a producer");
    let topic = producer.topic("trouble").expect("a name");
    let mut sender = producer.sender().expect("open");
    sender.send(Record::to(topic).value(b"first")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    fault(&broker, "produce-error=19:next=1"); // NOT_ENOUGH_REPLICAS: try again
    sender.send(Record::to(topic).value(b"again")).expect("accepted");
    producer.flush(LONG).expect("delivered at the second attempt");
    let metrics = producer.metrics();
    assert_eq!((metrics.record_retry.total, metrics.record_send.total, metrics.record_delivered.total), (1, 3, 2));
    assert_eq!((metrics.topics[0].record_retry.total, metrics.topics[0].record_error.total), (1, 0));
    assert_eq!(metrics.record_queue_time.count, 2, "a batch queues once, however often it is sent");
    fault(&broker, "produce-error=87:next=1"); // INVALID_RECORD: final
    sender.send(Record::to(topic).value(b"never")).expect("accepted");
    producer.flush(LONG).expect_err("refused for good");
    fault(&broker, "throttle-ms=7");
    sender.send(Record::to(topic).value(b"slowly")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    let metrics = producer.metrics();
    assert_eq!((metrics.record_error.total, metrics.topics[0].record_error.total), (1, 1));
    assert_eq!(metrics.record_delivered.total, 3);
    assert!(near(metrics.produce_throttle_time.max, 7.0), "{:?}", metrics.produce_throttle_time);
    let throttled: Vec<_> = metrics.nodes.iter().map(|node| node.throttle_time.count).collect();
    assert_eq!(throttled.iter().sum::<u64>(), 1, "{throttled:?}");
    producer.close(LONG).expect("told by the flush");
}

#[test]
fn every_figure_is_explained_for_who_operates_it() {
    let page = include_str!("../docs/operating.md");
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = builder(&broker).build().expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.send(Record::to(topic).value(b"v")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    let mut names = std::collections::HashSet::new();
    producer.metrics().visit(|figure| {
        let heading = match figure.group {
            forebay::metrics::Group::Producer => "\n## The producer\n",
            forebay::metrics::Group::Node => "\n## A broker\n",
            forebay::metrics::Group::Topic => "\n## A topic\n",
        };
        let section = page.split_once(heading).expect("a section").1;
        let section = section.split("\n## ").next().unwrap_or("");
        assert!(
            section.contains(&format!("`{}`", figure.name)),
            "docs/operating.md lacks {} under {heading}",
            figure.name
        );
        assert!(!figure.help.is_empty() && !figure.unit.is_empty());
        let labels: Vec<_> = figure.labels.iter().map(|label| label.1).collect();
        assert!(names.insert(format!("{:?} {} {labels:?}", figure.group, figure.name)), "{} comes twice", figure.name);
    });
    assert!(names.len() > 90, "{}", names.len());
    producer.close(LONG).expect("all delivered");
}

#[test]
fn samples_are_configured_as_in_java() {
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = builder(&broker)
        .set("metrics.sample.window.ms", "1")
        .set("metrics.num.samples", "2")
        .build()
        .expect("a producer");
    let topic = producer.topic("t").expect("a name");
    producer.send(Record::to(topic).value(b"v")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    let metrics = wait_until(&producer, "past its samples", |m| m.request_latency.recent == 0);
    assert!(near(metrics.request_latency.avg, 0.0) && near(metrics.record_delivered.per_second, 0.0));
    assert_eq!((metrics.request_latency.count, metrics.record_delivered.total), (1, 1), "totals stay");
    producer.close(LONG).expect("all delivered");
}
