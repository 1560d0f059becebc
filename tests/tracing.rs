//! Events and spans: what a subscriber hears of a connection, of trouble, and of waiting; and that a record is silent.

use forebay::{Producer, Record};
use forebay_mock_broker::{FaultSpec, MockBroker};
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Metadata, Subscriber};

const LONG: Duration = Duration::from_secs(60);

/// Writes everything down, at any level.
struct Log;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lines() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Log {
    fn write(kind: &str, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Line)) {
        if metadata.target().starts_with("forebay") {
            let mut line = Line(format!("{kind} {} {}", metadata.level(), metadata.target()));
            if kind == "span" {
                let _ = write!(line.0, " {}", metadata.name());
            }
            fields(&mut line);
            lines().push(line.0);
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Log::write("span", span.metadata(), |line| span.record(line));
        Id::from_u64(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        Log::write("event", event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[track_caller]
fn has(words: &[&str]) {
    let lines = lines();
    assert!(
        lines.iter().any(|line| words.iter().all(|word| line.contains(word))),
        "no {words:?} in\n{}",
        lines.join("\n")
    );
}

#[test]
fn a_subscriber_hears_of_everything_but_records() {
    tracing::subscriber::set_global_default(Log).expect("the only one of this process");
    let broker = MockBroker::builder().partitions(1).start().expect("a broker on loopback");
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("client.id", "traced")
        .set("buffer.memory", "65536")
        .set("retry.backoff.ms", "1")
        .build()
        .expect("a producer");
    let topic = producer.topic("t").expect("a name");
    let mut sender = producer.sender().expect("open");
    sender.send(Record::to(topic).value(b"first")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    has(&["span INFO forebay producer", "client_id=\"traced\""]);
    has(&["span DEBUG forebay::connection connection", "host=127.0.0.1", "attempt=0"]);
    let node = producer.metrics().nodes.iter().map(|node| node.node_id).max().expect("the leader");
    has(&["event DEBUG forebay::connection", "connected", &format!("node={node}")]);
    has(&["event DEBUG forebay::metadata", "learned", "topics=1", "missing=false"]);
    has(&["event DEBUG forebay::identity", "producer id"]);
    has(&["span DEBUG forebay::wait metadata", "topic=\"t\""]);
    has(&["span DEBUG forebay::wait flush"]);

    let fault = |spec: &str| broker.faults().set(spec.parse::<FaultSpec>().expect("a fault"));
    fault("produce-error=19:next=1"); // NOT_ENOUGH_REPLICAS: try again
    sender.send(Record::to(topic).value(b"again")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    has(&["event DEBUG forebay::delivery", "a batch was refused", "topic=\"t\"", "partition=0", "NOT_ENOUGH_REPLICAS"]);
    has(&["event DEBUG forebay::delivery", "a batch goes again", "records=1", "attempts=1", "pause_ms="]);
    fault("produce-error=87:next=1"); // INVALID_RECORD: final
    sender.send(Record::to(topic).value(b"never")).expect("accepted");
    producer.flush(LONG).expect_err("refused");
    has(&["event WARN forebay::delivery", "a batch has failed", "records=1", "INVALID_RECORD"]);
    fault("drop-connection=next=1");
    sender.send(Record::to(topic).value(b"over a new connection")).expect("accepted");
    producer.flush(LONG).expect("delivered");
    has(&["event WARN forebay::connection", "connection lost", "why="]);

    broker.faults().stall_responses(true);
    while sender.try_send(Record::to(topic).value(&[7; 4000])).is_ok() {}
    let waiter = std::thread::spawn(move || {
        sender.send(Record::to(topic).value(&[7; 4000])).map(|_| sender).map_err(|refused| refused.kind)
    });
    while producer.waiting_senders() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    broker.faults().stall_responses(false);
    let mut sender = waiter.join().expect("no panic").expect("memory came");
    has(&["span DEBUG forebay::wait memory", "segments=2"]);

    producer.flush(LONG).expect("delivered");
    let before = lines().len();
    for _ in 0..500 {
        sender.send(Record::to(topic).value(&[7; 10])).expect("accepted");
    }
    producer.flush(LONG).expect("delivered");
    let more = lines()[before..].join("\n");
    assert_eq!(more, "span DEBUG forebay::wait flush", "records, batches and requests that fare well are silent");
    producer.close(LONG).expect("told by the flush");
    has(&["span DEBUG forebay::wait close"]);
}
