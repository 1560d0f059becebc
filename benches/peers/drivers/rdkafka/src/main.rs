//! librdkafka through rust-rdkafka: `BaseProducer`. One sender at full speed serves the delivery reports itself, between sends,
//! as that costs it least; otherwise a thread does.

use forebay_peer_driver::{Job, Out, Sender, Tally, drive};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext};
use rdkafka::util::get_rdkafka_version;
use rdkafka::{ClientConfig, ClientContext};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

struct Outcomes {
    tally: Arc<Tally>,
    /// What times are told relative to.
    base: Instant,
}

impl ClientContext for Outcomes {}

impl ProducerContext<NoCustomPartitioner> for Outcomes {
    /// Nanoseconds since `base` of a record that is timed, or 0.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, timed: usize) {
        if timed != 0 && result.is_ok() {
            self.tally.latency(self.base.elapsed().saturating_sub(Duration::from_nanos(timed as u64)));
        }
        match result {
            Ok(_) => self.tally.told(1, None),
            Err((error, _)) => self.tally.told(1, Some(error)),
        }
    }
}

/// Sends between two looks for delivery reports, for a sender that looks itself.
const LOOK: u64 = 512;
/// A sender that has sent nothing for so long does not look either.
const QUIET: Duration = Duration::from_millis(2);

/// The client, and whose turn it is to serve reports: outcomes are told by one thread at a time.
struct Client {
    producer: BaseProducer<Outcomes, NoCustomPartitioner>,
    turn: Mutex<()>,
    /// Looks of the sender; 0 forever if a thread does all the looking.
    looks: AtomicU64,
}

impl Client {
    fn serve(&self, wait: Duration) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.producer.poll(wait);
    }

    /// On a thread of its own, until the process ends.
    fn serve_the_rest(&self, by_sender: bool) {
        let mut seen = 0;
        loop {
            let looks = self.looks.load(Ordering::Relaxed);
            if by_sender && looks != seen {
                seen = looks;
                thread::sleep(QUIET);
            } else {
                self.serve(if by_sender { QUIET } else { Duration::from_millis(100) });
            }
        }
    }
}

struct Way<'a> {
    client: Arc<Client>,
    topic: &'a str,
    base: Instant,
    sent: u64,
    by_sender: bool,
}

impl Way<'_> {
    fn look(&self, wait: Duration) {
        self.client.looks.fetch_add(1, Ordering::Relaxed);
        self.client.serve(wait);
    }
}

impl Sender for Way<'_> {
    #[inline]
    fn send(&mut self, record: Out<'_>) -> Result<(), String> {
        let timed = record.timed.map_or(0, |at| (at - self.base).as_nanos() as usize);
        let mut out = BaseRecord::<[u8], [u8], usize>::with_opaque_to(self.topic, timed).payload(record.value);
        out.partition = record.partition.map(|partition| partition as i32);
        out.key = record.key;
        self.sent += 1;
        if self.by_sender && self.sent.is_multiple_of(LOOK) {
            self.look(Duration::ZERO);
        }
        loop {
            match self.client.producer.send(out) {
                Ok(()) => return Ok(()),
                // librdkafka has no bounded wait for room: its users serve reports and try again.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    out = back;
                    if self.by_sender {
                        self.look(QUIET);
                    } else {
                        thread::sleep(Duration::from_micros(200));
                    }
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
    }
}

fn main() -> ExitCode {
    let job = Job::of_command_line();
    let tally = Arc::new(Tally::default());
    let base = Instant::now();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &job.bootstrap);
    for (name, value) in &job.settings {
        config.set(name, value);
    }
    let made = config.create_with_context(Outcomes { tally: Arc::clone(&tally), base });
    let producer: BaseProducer<Outcomes, NoCustomPartitioner> = match made {
        Ok(producer) => producer,
        Err(error) => {
            eprintln!("librdkafka: {error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = producer.client().fetch_metadata(Some(&job.topic), Duration::from_secs(10)) {
        eprintln!("librdkafka: no metadata: {error}");
        return ExitCode::FAILURE;
    }
    let by_sender = job.senders == 1 && job.rate == 0.0;
    let client = Arc::new(Client { producer, turn: Mutex::new(()), looks: AtomicU64::new(0) });
    let server = Arc::clone(&client);
    thread::spawn(move || server.serve_the_rest(by_sender));
    let way = |_| Way { client: Arc::clone(&client), topic: &job.topic, base, sent: 0, by_sender };
    let senders = (0..job.senders).map(way).collect();
    drive(&job, &format!("librdkafka {}", get_rdkafka_version().1), &tally, senders)
}
