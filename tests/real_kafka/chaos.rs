//! Three brokers, several senders, and everything that can go wrong with brokers and networks: the books must agree with the log.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use forebay::Producer;

use crate::faults::{Fault, Faults};
use crate::ledger::{Audit, Sent, Verdict};
use crate::load::{Pace, under_load};
use crate::support::cluster::Cluster;
use crate::support::java::{Kafka, there};
use crate::support::kafka::KafkaBroker;
use crate::support::proxy::Proxy;
use crate::support::readers::read_java;
use crate::{PATIENCE, producer_of};

/// Short enough that some records expire in some faults, long enough that most outlive them.
const SETTINGS: [(&str, &str); 6] = [
    ("delivery.timeout.ms", "15000"),
    ("request.timeout.ms", "3000"),
    ("max.block.ms", "2000"),
    ("metadata.max.age.ms", "2000"),
    ("socket.connection.setup.timeout.ms", "1000"),
    ("allow.auto.create.topics", "false"),
];
/// Of a second producer: little memory, so that senders wait and are refused, dealt out among two I/O threads, and many small batches in
/// flight, compressed.
const SMALL: [(&str, &str); 6] = [
    ("buffer.memory", "131072"),
    ("io.threads", "2"),
    ("batch.max.bytes", "2048"),
    ("batch.size", "1024"),
    ("linger.ms", "0"),
    ("compression.type", "lz4"),
];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

/// Printed, so that a run can be dealt again.
fn seed() -> u64 {
    number("FOREBAY_SEED", fastrand::u64(..1_000_000))
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask chaos"]
fn every_promise_is_kept_through_chaos() {
    let version = env::var("FOREBAY_KAFKA");
    let Some(kafka) = there(version.as_deref().map_or_else(|_| Kafka::pinned(), Kafka::version)) else { return };
    let (seed, seconds) = (seed(), number("FOREBAY_CHAOS_SECONDS", 75));
    eprintln!("chaos: FOREBAY_SEED={seed} FOREBAY_CHAOS_SECONDS={seconds}");
    let mut cluster = Cluster::start(&kafka);
    cluster.order("create chaos 6 3 2").expect("a topic");
    cluster.heal("chaos");
    let small: Vec<_> = SETTINGS.into_iter().chain(SMALL).collect();
    let producers = [producer_of(&cluster.bootstrap(), &SETTINGS), producer_of(&cluster.bootstrap(), &small)];
    let mut faults = Faults::new(seed, &Fault::DECK);
    let mut timeline = String::new();
    let begun = Instant::now();
    let pace = Pace { senders: 2, burst: 8, pause: Duration::from_millis(8), limit: u64::MAX };
    let books = under_load(&[&producers[0], &producers[1]], "chaos", pace, || {
        while begun.elapsed() < Duration::from_secs(seconds) {
            let (at, before, dealt) = (begun.elapsed().as_secs_f64(), outcomes(&producers), Instant::now());
            let fault = faults.next(&mut cluster, "chaos");
            let (lasted, after) = (dealt.elapsed().as_secs_f64(), outcomes(&producers));
            let (acknowledged, failed) = (after.0 - before.0, after.1 - before.1);
            let _ = writeln!(
                timeline,
                "{at:>7.1} s {fault:<30} {lasted:>5.1} s {acknowledged:>7} acknowledged {failed:>6} failed"
            );
        }
        cluster.heal("chaos");
    });
    let ran = begun.elapsed();
    let outcomes = close(&producers);
    let mut audit = Audit::new(&books);
    read_java(cluster.kafka(), &cluster.direct(), "chaos", |record| {
        audit.record(record.partition, record.offset, record.value.as_deref().unwrap_or_default());
    });
    let verdict = audit.verdict();
    let connections: u64 = cluster.proxies.iter().map(Proxy::accepted).sum();
    let text = report(seed, ran, &faults, &books, &verdict, connections);
    print!("{text}");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-report.txt");
    fs::write(&file, &text).expect("the report is written");
    println!("  written to {}; chaos-timeline.txt beside it has the faults one by one", file.display());
    fs::write(file.with_file_name("chaos-timeline.txt"), &timeline).expect("the timeline is written");
    assert!(verdict.kept(), "a promise was broken; FOREBAY_SEED={seed} deals the same faults");
    assert!(verdict.acknowledged > 1_000, "hardly anything was sent");
    assert_eq!(outcomes, (verdict.acknowledged, verdict.in_doubt + verdict.not_appended), "the producers' own counts");
}

/// Closes; what the producers counted: acknowledged and failed.
fn close(producers: &[Producer]) -> (u64, u64) {
    for producer in producers {
        let _ = producer.close(PATIENCE); // it names the failures of the run, and they are in the books
    }
    outcomes(producers)
}

/// Waits for another acknowledgement.
fn progress(producers: &[Producer]) {
    let (before, end) = (outcomes(producers).0, Instant::now() + PATIENCE);
    while outcomes(producers).0 == before {
        assert!(Instant::now() < end, "no acknowledgement in fair weather");
        thread::sleep(Duration::from_millis(5));
    }
}

fn outcomes(producers: &[Producer]) -> (u64, u64) {
    let each = producers.iter().map(Producer::outcomes);
    each.fold((0, 0), |sum, (acknowledged, failed)| (sum.0 + acknowledged, sum.1 + failed))
}

fn report(seed: u64, ran: Duration, faults: &Faults, books: &[Sent], verdict: &Verdict, connections: u64) -> String {
    let mut text = format!(
        "\nChaos on three brokers: seed {seed}, {} s, {} senders\n\nFaults injected\n{}",
        ran.as_secs(),
        books.len(),
        faults.table()
    );
    let sum: u64 = faults.counts.values().sum();
    let _ = writeln!(text, "  {:<33} {sum:>10}", "all");
    let _ = writeln!(text, "  {:<33} {:>10}", "orders the cluster did not take", faults.declined);
    let _ = writeln!(text, "  {:<33} {connections:>10}", "connections through the proxies");
    let _ = write!(text, "\nRecords\n{verdict}");
    let longest = books.iter().map(|book| book.longest).max().unwrap_or_default();
    let _ = writeln!(text, "  longest from send to acknowledgement {:>7.1} s", longest.as_secs_f64());
    let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
    for (why, count) in books.iter().flat_map(|book| &book.failures) {
        *failures.entry(why).or_default() += count;
    }
    for (why, count) in failures {
        let _ = writeln!(text, "  failed: {count} × {why}");
    }
    text
}

/// The audit has teeth: a client that gives up idempotence stores a batch again when its answer is lost, and that shows.
#[test]
#[ignore = "needs a real Kafka: cargo xtask chaos"]
fn the_audit_finds_what_a_client_without_idempotence_does() {
    let Some(kafka) = there(Kafka::pinned()) else { return };
    let proxies = [Proxy::new()];
    let broker = KafkaBroker::of(&kafka, Some(proxies[0].port()));
    proxies[0].pass_to(broker.client_port());
    broker.create_topic("unsafe", 2);
    let bootstrap = format!("127.0.0.1:{}", proxies[0].port());
    let settings = [("enable.idempotence", "false"), ("request.timeout.ms", "1000"), ("linger.ms", "1")];
    let producers = [producer_of(&bootstrap, &settings)];
    let pace = Pace { senders: 2, burst: 8, pause: Duration::from_millis(4), limit: u64::MAX };
    let books = under_load(&[&producers[0]], "unsafe", pace, || {
        let mut faults = Faults::new(seed(), &[Fault::AnswersLost, Fault::CutInMidFrame]);
        for _ in 0..10 {
            // Records are on their way whenever a fault begins: a client still at its handshake has nothing to send twice.
            progress(&producers);
            faults.next_of_network(&proxies);
        }
    });
    close(&producers);
    let mut audit = Audit::new(&books);
    read_java(broker.kafka(), &broker.direct(), "unsafe", |record| {
        audit.record(record.partition, record.offset, record.value.as_deref().unwrap_or_default());
    });
    let verdict = audit.verdict();
    println!("\nWithout idempotence, as it must be\n{verdict}");
    assert!(verdict.duplicated > 0, "lost answers made no duplicate: the audit would not see one either");
    assert!(!verdict.kept());
}
