//! librdkafka through rust-rdkafka: `ThreadedProducer`, whose thread serves the delivery reports.

use forebay_peer_driver::{Job, Out, Sender, Tally, drive};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use rdkafka::util::get_rdkafka_version;
use rdkafka::{ClientConfig, ClientContext};
use std::process::ExitCode;
use std::sync::Arc;
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

struct Way<'a> {
    producer: Arc<ThreadedProducer<Outcomes, NoCustomPartitioner>>,
    topic: &'a str,
    base: Instant,
}

impl Sender for Way<'_> {
    #[inline]
    fn send(&mut self, record: Out<'_>) -> Result<(), String> {
        let timed = record.timed.map_or(0, |at| (at - self.base).as_nanos() as usize);
        let mut out = BaseRecord::<[u8], [u8], usize>::with_opaque_to(self.topic, timed).payload(record.value);
        out.partition = record.partition.map(|partition| partition as i32);
        out.key = record.key;
        loop {
            match self.producer.send(out) {
                Ok(()) => return Ok(()),
                // librdkafka has no bounded wait for room: its users try again.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    out = back;
                    thread::sleep(Duration::from_micros(200));
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
    let producer: Arc<ThreadedProducer<Outcomes, NoCustomPartitioner>> = match made {
        Ok(producer) => Arc::new(producer),
        Err(error) => {
            eprintln!("librdkafka: {error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = producer.client().fetch_metadata(Some(&job.topic), Duration::from_secs(10)) {
        eprintln!("librdkafka: no metadata: {error}");
        return ExitCode::FAILURE;
    }
    let senders = (0..job.senders).map(|_| Way { producer: Arc::clone(&producer), topic: &job.topic, base }).collect();
    drive(&job, &format!("librdkafka {}", get_rdkafka_version().1), &tally, senders)
}
