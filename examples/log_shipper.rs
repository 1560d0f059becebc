//! A log shipper: every `tracing` event of the program as a JSON record. `cargo run --example log_shipper`
//!
//! A program must not wait for its logs. So each thread sends with `try_send` through a sender of its own, and a line that
//! finds no room is counted and dropped: the strict bound on memory is what keeps a stalled cluster from growing into the
//! program. The producer's own events (`forebay…`) are left out, or its reports of trouble would be sent into the trouble.

use forebay::{Producer, Record, Sender, Topic};
use forebay_mock_broker::MockBroker;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

struct Shipper {
    producer: Producer,
    logs: Topic,
    dropped: Arc<AtomicU64>,
}

/// What a thread needs, made with its first line.
struct Thread {
    sender: Option<Sender>,
    line: String,
}

thread_local! {
    static THREAD: RefCell<Thread> = const { RefCell::new(Thread { sender: None, line: String::new() }) };
}

impl<S: Subscriber> Layer<S> for Shipper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("forebay") {
            return;
        }
        let sent = THREAD.try_with(|thread| {
            let Ok(mut thread) = thread.try_borrow_mut() else { return false };
            let Thread { sender, line } = &mut *thread;
            write_line(line, event);
            if sender.is_none() {
                *sender = self.producer.sender().ok();
            }
            let Some(sender) = sender else { return false };
            let record = Record::to(self.logs).key(event.metadata().target().as_bytes()).value(line.as_bytes());
            sender.try_send(record).is_ok()
        });
        if sent != Ok(true) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An event as one line of JSON, into a buffer that is used again.
fn write_line(line: &mut String, event: &Event<'_>) {
    let mut fields = serde_json::Map::new();
    event.record(&mut Fields(&mut fields));
    let metadata = event.metadata();
    fields.insert("level".to_owned(), metadata.level().as_str().into());
    fields.insert("target".to_owned(), metadata.target().into());
    line.clear();
    line.push_str(&serde_json::Value::Object(fields).to_string());
}

struct Fields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

const THREADS: u64 = 3;
const LINES: u64 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?;
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("buffer.memory", "4194304") // all that logs may ever take
        .set("acks", "1") // a log line may be lost with a broker
        .build()?;
    let logs = producer.topic("logs")?;
    producer.partitions_for(logs, Duration::from_secs(30))?;
    let dropped = Arc::new(AtomicU64::new(0));
    let shipper = Shipper { producer: producer.clone(), logs, dropped: dropped.clone() };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(shipper))?;

    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for line in 0..LINES {
                    tracing::info!(target: "shop", thread, line, "an order came in");
                }
            });
        }
    });
    producer.close(Duration::from_secs(30))?;

    let stored = broker.records("logs", 0);
    assert_eq!(stored.len() as u64 + dropped.load(Ordering::Relaxed), THREADS * LINES, "each line is sent or counted");
    let first = stored.first().and_then(|record| record.value.as_deref()).unwrap_or_default();
    println!("{} lines shipped, {dropped:?} dropped; the first: {}", stored.len(), String::from_utf8_lossy(first));
    Ok(())
}
