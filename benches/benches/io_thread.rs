//! What the whole producer costs, with TLS and with each codec, over loopback to a broker that keeps nothing.
//!
//! Two figures each: `cpu` is processor time of the I/O thread alone, for each record, which other work on the machine
//! hardly disturbs: its inverse is where the I/O thread is full. `wall` is time on the clock, which is what compression
//! threads are to make less; it needs a machine with nothing else to do, and processors for them.
//!
//! `cargo bench --bench io_thread [-- FILTER]`. Records are JSON lines of 200 bytes. Linux alone tells threads' processor
//! time apart in a file (`/proc/self/task`); elsewhere `cpu` is left out.

#[path = "../../tests/support/tls.rs"]
mod tls;

use std::fs;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay::{Producer, ProducerBuilder, Record, Sender, Topic};
use forebay_benches::text::json;
use forebay_mock_broker::{MockBroker, Mode};
use tls::{Authority, Frame};

const LONG: Duration = Duration::from_secs(120);
const RECORD: usize = 200;
/// Records for each iteration of a bench.
const BURST: u64 = 20_000;

/// Codec, level key and level, and compression threads.
type Setting = (&'static str, Option<(&'static str, &'static str)>, usize);

const SETTINGS: [Setting; 12] = [
    ("none", None, 0),
    ("snappy", None, 0),
    ("lz4", None, 0),
    ("zstd", Some(("compression.zstd.level", "3")), 0),
    ("zstd", Some(("compression.zstd.level", "3")), 1),
    ("zstd", Some(("compression.zstd.level", "3")), 2),
    ("zstd", Some(("compression.zstd.level", "9")), 0),
    ("zstd", Some(("compression.zstd.level", "9")), 1),
    ("zstd", Some(("compression.zstd.level", "9")), 2),
    ("gzip", Some(("compression.gzip.level", "6")), 0),
    ("gzip", Some(("compression.gzip.level", "6")), 1),
    ("gzip", Some(("compression.gzip.level", "6")), 2),
];

struct Load {
    producer: Producer,
    sender: Sender,
    topic: Topic,
    text: Vec<u8>,
}

impl Load {
    fn new(builder: ProducerBuilder) -> Self {
        let producer = builder.build().expect("a producer");
        let topic = producer.topic("load").expect("a name");
        let sender = producer.sender().expect("open");
        let mut load = Self { producer, sender, topic, text: json(RECORD * 50_000) };
        load.send(BURST);
        load
    }

    /// Until all of it is acknowledged.
    fn send(&mut self, count: u64) {
        for value in self.text.chunks_exact(RECORD).cycle().take(count as usize) {
            self.sender.send(Record::to(self.topic).value(value)).map_err(|e| e.kind).expect("accepted");
        }
        self.producer.flush(LONG).expect("delivered");
    }
}

/// Processor time of the threads with this name, so far.
fn cpu_of(name: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        if fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name) {
            let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
            sum += Duration::from_nanos(times.split(' ').next()?.parse().ok()?);
        }
    }
    Some(sum)
}

fn measure(criterion: &mut Criterion, name: &str, mut load: Load) {
    let mut group = criterion.benchmark_group("io-thread");
    group.throughput(Throughput::Elements(BURST)).sample_size(10);
    if cpu_of("forebay-io").is_some() {
        group.bench_function(BenchmarkId::new("cpu", name), |bencher| {
            bencher.iter_custom(|bursts| {
                let before = cpu_of("forebay-io").unwrap_or_default();
                load.send(bursts * BURST);
                cpu_of("forebay-io").unwrap_or_default().saturating_sub(before)
            });
        });
    }
    group.bench_function(BenchmarkId::new("wall", name), |bencher| {
        bencher.iter_custom(|bursts| {
            let before = Instant::now();
            load.send(bursts * BURST);
            before.elapsed()
        });
    });
    group.finish();
    drop(load.sender);
    load.producer.close(LONG).expect("all delivered");
}

fn broker() -> MockBroker {
    MockBroker::builder().mode(Mode::Discard).start().expect("a broker")
}

fn compression(criterion: &mut Criterion) {
    let broker = broker();
    for (codec, level, threads) in SETTINGS {
        let mut builder = Producer::builder()
            .bootstrap_servers(broker.bootstrap())
            .set("compression.type", codec)
            .set("io.compression.threads", threads.to_string());
        let mut name = codec.to_owned();
        if let Some((key, level)) = level {
            builder = builder.set(key, level);
            name = format!("{name}-{level}");
        }
        if threads > 0 {
            name = format!("{name}-threads-{threads}");
        }
        measure(criterion, &name, Load::new(builder));
    }
}

fn with_tls(criterion: &mut Criterion) {
    let authority = Authority::new();
    let frame = Frame::new();
    let broker =
        MockBroker::builder().mode(Mode::Discard).advertise("localhost", frame.port()).start().expect("a broker");
    let door = frame.open(&authority.card(&["localhost"]), None, broker.bootstrap());
    for version in ["TLSv1.2", "TLSv1.3"] {
        let builder = Producer::builder()
            .bootstrap_servers(door.at("localhost"))
            .set("security.protocol", "SSL")
            .set("ssl.enabled.protocols", version)
            .set("ssl.truststore.certificates", authority.pem());
        measure(criterion, version, Load::new(builder));
    }
}

criterion_group!(benches, compression, with_tls);
criterion_main!(benches);
