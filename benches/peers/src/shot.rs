//! One driver, once: started, watched, its result read and compared with what the broker received.

use crate::broker::Stub;
use crate::drivers::Drivers;
use crate::kafka::Kafka;
use crate::peers::{Entry, Peer};
use crate::scenario::{Against, Scenario};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Checked first with so many records, and counted then.
const CHECKED: u64 = 60_000;
/// A paced run takes so many seconds at least: what happens twice in a second is to weigh the same in each.
const LEAST_PACED: f64 = 4.0;
/// A driver that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(150);
/// Injected between equal parts of a troubled run's records: 7 is
/// `REQUEST_TIMED_OUT`, 19 `NOT_ENOUGH_REPLICAS`.
const TROUBLE: [&str; 10] = [
    "fault produce-error=7:next=1",
    "fault drop-connection=next=1",
    "fault produce-error=19:next=1",
    "fault drop-connection=next=1:after-append",
    "fault produce-error=7:next=1:after-append",
    "fault drop-connection=next=1",
    "fault produce-error=19:next=1",
    "fault drop-connection=next=1:after-append",
    "fault produce-error=7:next=1",
    "fault drop-connection=next=1",
];

/// What a shot is to be.
pub(crate) struct Range<'a> {
    pub(crate) drivers: &'a Drivers,
    /// How long it is to take, about.
    pub(crate) seconds: f64,
    /// No more records than so many, whatever the scenario says.
    pub(crate) most: u64,
    pub(crate) kafka: Option<&'a Kafka>,
}

impl Range<'_> {
    /// Sends a few records to a broker that looks at every one; an error if anything is lost, doubled, reordered or changed.
    pub(crate) fn check(&self, scenario: &Scenario, entry: Entry) -> Result<(), String> {
        if scenario.against == Against::Kafka || !entry.peer.is_producer() {
            return Ok(());
        }
        let mut stub = Stub::start(&stub_words(scenario, "verify"))?;
        let few = Scenario { rate: 0.0, ..scenario.clone() };
        let records = CHECKED.min(self.most).min((256 << 20) / scenario.size as u64).max(100);
        let job = Job { records, warmup: 0, text: false, bootstrap: stub.address.clone(), topic: "checked".to_owned() };
        self.drive(&few, entry, &job, Some(&mut stub))?;
        let report = stub.ask("report")?;
        let verified = &report["verified"];
        let wrong = ["lost", "duplicated", "reordered", "corrupt"].map(|what| verified[what].as_u64().unwrap_or(1));
        if verified["records"] == records && wrong == [0; 4] {
            return Ok(());
        }
        Err(format!("{}, {entry}: of {records} records the broker says {report}", scenario.name))
    }

    /// Measures.
    pub(crate) fn shoot(&self, scenario: &Scenario, entry: Entry, number: usize) -> Result<Value, String> {
        let about = if scenario.is_paced() { scenario.rate } else { entry.about(scenario) };
        let seconds = if scenario.is_paced() { self.seconds.max(LEAST_PACED) } else { self.seconds };
        let records = scenario.records.unwrap_or((about * seconds) as u64).clamp(100, self.most);
        let most_warm = if scenario.is_paced() { 200_000 } else { 1_000_000 };
        let warmup = (records / 2).min(most_warm).max(u64::from(scenario.partitions));
        let text = scenario.codec.is_some();
        let topic = format!("{}-{}-{number}", scenario.name, entry.to_string().replace([' ', ','], ""));
        let mut job = Job { records, warmup, text, bootstrap: String::new(), topic };
        if entry.peer == Peer::Driver {
            "none".clone_into(&mut job.bootstrap);
            return self.drive(scenario, entry, &job, None);
        }
        if let Some(kafka) = self.kafka.filter(|_| scenario.against == Against::Kafka) {
            kafka.create_topic(&job.topic, scenario.partitions)?;
            job.bootstrap = kafka.bootstrap();
            return self.drive(scenario, entry, &job, None);
        }
        let mut stub = Stub::start(&stub_words(scenario, "discard"))?;
        job.bootstrap.clone_from(&stub.address);
        let first = scenario.is_paced() && stub.go_first();
        let mut result = self.drive(scenario, entry, &job, Some(&mut stub))?;
        let report = stub.ask("report")?;
        let sent = result["records"].as_u64().unwrap_or(0);
        let received = report["records"].as_u64().unwrap_or(0);
        // Without a client requests are whole ones: the warm-up may be a few records more.
        let whole = matches!(entry.peer, Peer::Kernel | Peer::Bytes | Peer::Rings);
        let extra = if whole { received.saturating_sub(warmup) } else { received - warmup.min(received) };
        // After a fault, a batch that comes too early is refused and sent again.
        let faulty = matches!(scenario.against, Against::TroubledStub | Against::FailingStub);
        if extra < sent || (extra > sent && !whole) || (report["refused"] != 0 && !faulty) || report["malformed"] != 0 {
            return Err(format!("{}, {entry}: sent {sent} after {warmup}, the broker says {report}", scenario.name));
        }
        if result["faults_left"] != 0 {
            eprintln!("{}, {entry}: over before all faults had struck: {}", scenario.name, result["faults_left"]);
        }
        result["broker"] = report;
        result["broker_goes_first"] = json!(first);
        result["broker_cpu_ns"] = json!(stub.cpu_ns() * sent / received.max(1));
        Ok(result)
    }

    fn drive(
        &self,
        scenario: &Scenario,
        entry: Entry,
        job: &Job,
        mut stub: Option<&mut Stub>,
    ) -> Result<Value, String> {
        let mut command = self.drivers.command(entry.peer, entry.tuning);
        let sample = (job.records / 20_000).clamp(1, 512);
        let sample = if scenario.against == Against::FailingStub { 1 } else { sample };
        command.args([
            format!("bootstrap={}", job.bootstrap),
            format!("topic={}", job.topic),
            format!("partitions={}", scenario.partitions),
            format!("size={}", scenario.size),
            format!("records={}", job.records),
            format!("warmup={}", job.warmup),
            format!("rate={}", scenario.rate),
            format!("spin={}", u8::from(scenario.spins)),
            format!("senders={}", scenario.senders),
            format!("keys={}", scenario.keys),
            format!("text={}", u8::from(job.text)),
            format!("sample={sample}"),
        ]);
        let mut settings = entry.settings(scenario);
        if scenario.against == Against::TlsStub {
            settings.extend(tls_settings(entry.peer, stub.as_deref()));
        }
        command.args(settings.iter().map(|(name, value)| format!("set.{name}={value}")));
        let name = format!("{}, {entry}", scenario.name);
        let failed = |why: std::io::Error| format!("{name}: {why}");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let mut out = child.stdout.take();
        let mut err = child.stderr.take();
        // Read while it runs, or a full pipe would stop it.
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            out.as_mut().map(|out| out.read_to_string(&mut text));
            text
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            err.as_mut().map(|err| err.read_to_string(&mut text));
            text
        });
        let end = Instant::now() + LIMIT;
        let mut orders = orders(scenario, job).into_iter().peekable();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name}: no end after {} s", LIMIT.as_secs()));
            }
            if let (Some(stub), Some((after, order))) = (stub.as_deref_mut(), orders.peek()) {
                let report = stub.ask("report")?;
                let received = report["records"].as_u64().unwrap_or(0);
                // Of a peer whose first batch of a partition fails while the second is under way, the broker takes the second as
                // the first (Kafka's rule) and refuses the first as old: lost, and told as written.
                let known = report["partitions_written"] == scenario.partitions;
                if known && received >= *after {
                    stub.ask(order)?;
                    orders.next();
                }
                std::thread::sleep(Duration::from_millis(1));
            } else {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        let said = errors.join().unwrap_or_default();
        let text = reader.join().unwrap_or_default();
        if !status.success() {
            return Err(format!("{name}: {status}: {}", said.lines().last().unwrap_or("it said nothing")));
        }
        let line = text.lines().last().unwrap_or_default();
        let mut result: Value = serde_json::from_str(line).map_err(|why| format!("{name}: {line:?}: {why}"))?;
        result["faults_left"] = json!(orders.count());
        Ok(result)
    }
}

struct Job {
    records: u64,
    warmup: u64,
    text: bool,
    bootstrap: String,
    topic: String,
}

/// What the stub is told once it has so many records.
fn orders(scenario: &Scenario, job: &Job) -> Vec<(u64, &'static str)> {
    let after = |part: usize, parts: usize| job.warmup + job.records * part as u64 / parts as u64;
    match scenario.against {
        Against::TroubledStub => {
            let each = |(at, order): (usize, &&'static str)| (after(at + 1, TROUBLE.len() + 1), *order);
            TROUBLE.iter().enumerate().map(each).collect()
        }
        Against::FailingStub => vec![(after(1, 3), "stop-node 2"), (after(2, 3), "start-node 2")],
        _ => Vec::new(),
    }
}

fn stub_words(scenario: &Scenario, mode: &str) -> Vec<String> {
    let mut words = vec![
        format!("mode={mode}"),
        format!("nodes={}", scenario.nodes),
        format!("partitions={}", scenario.partitions),
    ];
    match scenario.against {
        Against::LateStub => words.push("fault=delay-ms=20".to_owned()),
        Against::TlsStub => words.push("tls=on".to_owned()),
        _ => {}
    }
    words
}

/// The stub's certificate is its own authority, beside which it writes nothing else.
fn tls_settings(peer: Peer, stub: Option<&Stub>) -> Vec<(String, String)> {
    let file = stub.map(Stub::certificate).unwrap_or_default();
    let place = if peer == Peer::Librdkafka { "ssl.ca.location" } else { "ssl.truststore.location" };
    let mut settings =
        vec![("security.protocol", if peer == Peer::Librdkafka { "ssl" } else { "SSL" }.to_owned()), (place, file)];
    if peer != Peer::Librdkafka {
        settings.push(("ssl.truststore.type", "PEM".to_owned()));
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
