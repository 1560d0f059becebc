//! What each way of looking at a producer costs per record: processor time of the client alone, beside a producer that nobody
//! looks at.
//!
//! `cargo run --release -p forebay-benches --features facade --bin observing [ROUNDS] [RECORDS]`. The broker is a child process.
//! Rounds are interleaved, so that a slow spell of the machine strikes all alike; the median of each is told.
#![forbid(unsafe_code)]

use forebay::{InterceptedRecord, Interceptor, Producer, ProducerBuilder, Record};
use forebay_mock_broker::{MockBroker, Mode};
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Level, Metadata, Subscriber};

const LONG: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 4;
/// Far more often than anybody wants, so that it shows: the defaults are 10 s and never.
const INTERVAL: &str = "100";

/// A way of looking: how the producer is built, and what is switched on beside it.
struct Way {
    name: &'static str,
    build: fn(ProducerBuilder) -> ProducerBuilder,
    /// 0: no subscriber listens; 1: info; 2: all.
    level: u8,
    recorder: bool,
    snapshots: bool,
}

const fn way(name: &'static str, build: fn(ProducerBuilder) -> ProducerBuilder) -> Way {
    Way { name, build, level: 0, recorder: false, snapshots: false }
}

const WAYS: [Way; 8] = [
    way("nothing", |b| b),
    Way { snapshots: true, ..way("Producer::metrics every 10 ms", |b| b) },
    way("statistics.interval.ms=100", |b| {
        b.set("statistics.interval.ms", INTERVAL).on_statistics(|json| {
            std::hint::black_box(json);
        })
    }),
    Way {
        recorder: true,
        ..way("metrics.publish.interval.ms=100", |b| b.set("metrics.publish.interval.ms", INTERVAL))
    },
    Way { level: 1, ..way("tracing, a subscriber at info", |b| b) },
    Way { level: 2, ..way("tracing, a subscriber at trace", |b| b) },
    way("an interceptor that does nothing", |b| b.interceptor(Nothing)),
    way("an interceptor that adds a header", |b| b.interceptor(Header)),
];

struct Nothing;

impl Interceptor for Nothing {}

struct Header;

impl Interceptor for Header {
    fn on_send(&self, record: &mut InterceptedRecord<'_>) {
        record.add_header("trace", &b"0123456789abcdef"[..]);
    }
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// Formats every event that it is allowed to hear, and throws the text away.
struct Listener;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match LEVEL.load(Ordering::Relaxed) {
            0 => false,
            1 => *metadata.level() <= Level::INFO,
            _ => true,
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(String::new());
        span.record(&mut text);
        std::hint::black_box(text.0);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        std::hint::black_box(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The broker, in a process of its own; it ends when its input does.
struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    fn start() -> Broker {
        let mut child = Command::new(std::env::current_exe().expect("this program's file"))
            .arg("broker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let mut address = String::new();
        BufReader::new(child.stdout.as_mut().expect("standard output")).read_line(&mut address).expect("an address");
        Broker { child, address: address.trim().to_owned() }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("broker") {
        let broker =
            MockBroker::builder().partitions(PARTITIONS).mode(Mode::Discard).start().expect("a broker on loopback");
        println!("{}", broker.bootstrap());
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        return;
    }
    let rounds: usize = first.map_or(7, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let records: u64 = args.next().map_or(500_000, |records| records.parse().expect("RECORDS is a number"));
    tracing::subscriber::set_global_default(Listener).expect("the only one");
    let broker = Broker::start();
    let mut times = vec![Vec::new(); WAYS.len()];
    for _ in 0..rounds {
        for (way, times) in WAYS.iter().zip(&mut times) {
            times.push(measure(way, &broker.address, records));
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    println!("client CPU per record of 100 bytes, median of {rounds} interleaved rounds of {records} records");
    for ((way, median), times) in WAYS.iter().zip(&medians).zip(&times) {
        let (least, most) = (times[0], times[times.len() - 1]);
        println!("{:36} {median:6.1} ns  {:+6.1}  ({least:.1} to {most:.1})", way.name, median - medians[0]);
    }
}

/// Nanoseconds of processor time for each record.
fn measure(way: &Way, address: &str, records: u64) -> f64 {
    LEVEL.store(way.level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    let recorder = way.recorder.then(recorder::install);
    let builder = Producer::builder().bootstrap_servers(address);
    let builder = if way.recorder { builder } else { builder.set("metrics.publish.interval.ms", "0") };
    let producer = (way.build)(builder).build().expect("a producer");
    let topic = producer.topic("observed").expect("a name");
    let mut sender = producer.sender().expect("open");
    let mut send = |count: u64| {
        for number in 0..count {
            let record = Record::to(topic).partition(number as u32 % PARTITIONS).value(&[7; 100]);
            sender.send(record).map_err(|refused| refused.kind).expect("accepted");
        }
        producer.flush(LONG).expect("delivered");
    };
    send(records / 10);
    let done = AtomicBool::new(false);
    let used = std::thread::scope(|scope| {
        if way.snapshots {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::black_box(producer.metrics());
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let before = cpu();
        send(records);
        let used = cpu() - before;
        done.store(true, Ordering::Relaxed);
        used
    });
    producer.close(LONG).expect("all delivered");
    if let Some(switch) = recorder {
        switch.store(false, Ordering::Relaxed);
    }
    used.as_nanos() as f64 / records as f64
}

/// A recorder that keeps every figure in an atomic cell, as recorders do.
mod recorder {
    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    #[derive(Default)]
    struct Cells {
        on: Arc<AtomicBool>,
        cells: Mutex<HashMap<Key, Arc<AtomicU64>>>,
    }

    /// Installs it at the first call; answers its switch, switched on.
    pub(super) fn install() -> Arc<AtomicBool> {
        static SWITCH: OnceLock<Arc<AtomicBool>> = OnceLock::new();
        let switch = SWITCH.get_or_init(|| {
            let cells = Cells::default();
            let switch = cells.on.clone();
            assert!(metrics::set_global_recorder(cells).is_ok(), "the only recorder");
            switch
        });
        switch.store(true, Ordering::Relaxed);
        switch.clone()
    }

    impl Cells {
        fn cell(&self, key: &Key) -> Option<Arc<AtomicU64>> {
            if !self.on.load(Ordering::Relaxed) {
                return None;
            }
            Some(self.cells.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default().clone())
        }
    }

    impl Recorder for Cells {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.cell(key).map_or_else(Counter::noop, Counter::from_arc)
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.cell(key).map_or_else(Gauge::noop, Gauge::from_arc)
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }
}
