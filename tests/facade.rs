//! Figures through the `metrics` facade: what a recorder gets.
#![cfg(feature = "metrics")]

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

type Seen = Arc<Mutex<HashMap<String, f64>>>;

/// Remembers the last value of everything.
struct Notes(Seen);

struct Cell(Seen, String);

impl Cell {
    fn put(&self, value: f64) {
        self.0.lock().expect("no panic in here").insert(self.1.clone(), value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, _: u64) {
        panic!("totals are absolute");
    }

    fn absolute(&self, value: u64) {
        self.put(value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("a gauge is set");
    }

    fn decrement(&self, _: f64) {
        panic!("a gauge is set");
    }

    fn set(&self, value: f64) {
        self.put(value);
    }
}

impl Notes {
    fn cell(&self, kind: &str, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Cell(self.0.clone(), format!("{kind} {} {}", key.name(), labels.join(" "))))
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, text: SharedString) {
        assert!(!text.is_empty());
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, text: SharedString) {
        assert!(!text.is_empty());
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell("gauge", key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_gets_every_figure_under_javas_name() {
    let seen = Seen::default();
    metrics::set_global_recorder(Notes(seen.clone())).expect("the only one of this process");
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("client.id", "c")
        .set("metrics.publish.interval.ms", "3600000")
        .build()
        .expect("a producer");
    let topic = producer.topic("t").expect("a name");
    for _ in 0..20 {
        producer.send(Record::to(topic).value(&[7; 100])).expect("accepted");
    }
    producer.flush(LONG).expect("delivered");
    let value = |name: &str| seen.lock().expect("no panic in here").get(name).copied();
    assert_eq!(value("counter kafka.producer.record-send-total client_id=c"), None, "the interval is an hour");
    producer.metrics().publish();
    assert_eq!(value("counter kafka.producer.record-send-total client_id=c"), Some(20.0));
    assert_eq!(value("counter kafka.producer.topic.record-delivered-total client_id=c topic=t"), Some(20.0));
    let node = producer.metrics().nodes.iter().map(|node| node.node_id).max().expect("the leader");
    assert_eq!(value(&format!("gauge kafka.producer.node.connected client_id=c node_id={node}")), Some(1.0));
    assert!(value("gauge kafka.producer.request-latency-avg client_id=c") > Some(0.0));
    let mut figures = 0;
    producer.metrics().visit(|_| figures += 1);
    assert_eq!(seen.lock().expect("no panic in here").len(), figures, "each figure, once");
    producer.send(Record::to(topic).value(&[7; 100])).expect("accepted");
    producer.close(LONG).expect("all delivered");
    assert_eq!(
        value("counter kafka.producer.record-delivered-total client_id=c"),
        Some(21.0),
        "a last time at the close"
    );
}
