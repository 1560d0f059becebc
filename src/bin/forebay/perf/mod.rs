//! `forebay perf`: send generated records, wait for their outcomes, say what it took.

mod broker;
mod load;
mod progress;
mod summary;
mod tracker;
mod usage;

use crate::Failure;
use crate::options::{self, ProducerOptions};
use broker::Broker;
use clap::ValueEnum;
use forebay::config::Config;
use forebay::{DeliveryReport, Producer, Sender, Topic};
use forebay_mock_broker::FaultSpec;
use load::{Plan, Sent};
use progress::Progress;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use summary::Summary;
use tracker::Tracker;

/// Senders beyond this are a slip of the keyboard.
const MOST_SENDERS: u32 = 1_024;

/// At saturation about so many records of a run are measured, but at least one in [`RAREST_SAMPLE`].
const SAMPLES: u64 = 10_000;
const RAREST_SAMPLE: u64 = 1_024;

const LONG_HELP: &str = "\
Records are spread round robin over the partitions by each sender. Their values are made beforehand and carry the sender and a sequence.

What is measured: client CPU is user and system time of this whole process from the first send to the last acknowledgement; the embedded
broker is another process. At saturation (--throughput -1) about 10,000 records are timed, and at least one in 1,024, at random; with a
rate every record is. The send-to-ack time begins before the call of send, so it includes any wait for memory. The summary ends with what
making values and measuring cost per record, timed on the spot before the run: at saturation a few nanoseconds.

With a rate, a sender that is ahead of it by less than 0.2 ms does not pause: records may go out in bursts of that length.

The JSON object on standard output has the fields records_sent, records_acked, records_failed, seconds, records_per_sec, mb_per_sec,
cpu_seconds, cpu_ns_per_record, max_rss_bytes, and send_ns and ack_us with p50, p99, p999 and max.

Exit status:
  0  every record was acknowledged and, with the embedded broker, arrived as it was sent
  1  a record was not acknowledged or did not arrive as it was sent, or no broker could be reached
  2  the command line or the configuration is wrong; nothing was sent";

#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    producer: ProducerOptions,

    /// The topic to send to.
    #[arg(long, default_value = "forebay-perf")]
    topic: String,

    /// How many records to send, by all senders together.
    #[arg(long, value_name = "N", default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    num_records: u64,

    /// Size of each record's value in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    record_size: u32,

    /// Records per second, by all senders together; -1 is as fast as it goes.
    #[arg(long, value_name = "R", default_value_t = -1.0, allow_negative_numbers = true, value_parser = throughput)]
    throughput: f64,

    /// Sending threads, each with its own sender.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SENDERS)))]
    senders: u32,

    /// Send to the first so many partitions. Default: all of the topic's; the embedded broker's topics have 1 unless this says more.
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: Option<u32>,

    /// Make the embedded broker misbehave; may be given many times. `forebay mock-broker --help` lists the forms.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<FaultSpec>,

    /// How to write the summary to standard output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one object.
    Json,
}

fn throughput(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        _ if text == "-1" => Ok(-1.0),
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("write a number above 0, or -1 for as fast as it goes".to_owned()),
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut builder = args.producer.builder();
    let is_embedded = builder.value("bootstrap.servers").is_none();
    if !is_embedded && !args.fault.is_empty() {
        return Err(Failure::usage("--fault is for the embedded broker: leave out the server"));
    }
    let mut broker = None;
    if is_embedded {
        // Configuration mistakes are to be told before anything is started.
        builder.clone().bootstrap_servers("localhost:1").validate().map_err(Failure::usage)?;
        let faults: Vec<String> = args.fault.iter().map(|fault| format!("--fault={fault}")).collect();
        let started = Broker::start(args.partitions.unwrap_or(1), args.senders, &faults)?;
        builder = builder.bootstrap_servers(started.address());
        broker = Some(started);
    }
    let (summary, sent, first_error) = measure(args, options::build(builder)?)?;
    match args.format {
        Format::Text => println!("{summary}"),
        Format::Json => println!("{}", summary.json()),
    }
    if summary.acked < args.num_records {
        let why = first_error.unwrap_or_else(|| "no outcome was reported in time".to_owned());
        let missing = args.num_records - summary.acked;
        return Err(Failure::Run(format!(
            "{missing} of {} records were not acknowledged; first error: {why}",
            args.num_records
        )));
    }
    if let Some(broker) = &mut broker {
        broker.verify(&sent, args.record_size as usize)?;
        eprintln!(
            "verified: the broker received all {} records once, in order and unchanged",
            summary::grouped(args.num_records)
        );
    }
    Ok(())
}

type Measured = (Summary, Vec<Vec<u64>>, Option<String>);

/// The run itself: the figures, what each sender sent to each partition, and the first error.
fn measure(args: &Args, config: Config) -> Result<Measured, Failure> {
    let patience = config.delivery_timeout() + config.request_timeout();
    let max_block = config.max_block();
    let slot: Arc<std::sync::OnceLock<Outcomes>> = Arc::default();
    let sink = Arc::clone(&slot);
    let producer = Producer::builder_from(config)
        .on_delivery(move |report| {
            if let Some(outcomes) = sink.get() {
                outcomes.take(report);
            }
        })
        .build()
        .map_err(Failure::run)?;
    let topic = producer.topic(&args.topic).map_err(Failure::usage)?;
    let available = producer.partitions_for(topic, max_block).map_err(Failure::run)?;
    let plan = plan(args, topic, available)?;
    let senders = (0..args.senders).map(|_| producer.sender()).collect::<Result<Vec<_>, _>>().map_err(Failure::run)?;
    let tracker = Arc::new(Tracker::new(args.num_records, (args.senders * plan.partitions) as usize));
    let ids = senders.iter().map(Sender::id).collect();
    let outcomes = Outcomes { tracker: Arc::clone(&tracker), senders: ids, partitions: plan.partitions };
    let _ = slot.set(outcomes);
    let overhead_ns = load::overhead(&plan);

    let (sent, start) = send_all(args, plan, senders, &tracker, patience);
    let end =
        tracker.wait(Duration::ZERO).unwrap_or_else(|| tracker::End { at: Instant::now(), cpu: usage::cpu_time() });
    let closed = producer.close(max_block);
    let counts = sent
        .iter()
        .enumerate()
        .map(|(index, sent)| per_partition(sent.records, index as u32, plan.partitions))
        .collect();
    let mut send_time = tracker::nanosecond_histogram();
    for sent in &sent {
        let _ = send_time.add(&sent.send_time); // equal bounds: cannot fail
    }
    let acked = tracker.acked();
    let summary = Summary {
        sent: sent.iter().map(|sent| sent.records).sum(),
        acked,
        failed: args.num_records - acked,
        time: end.at - start.at,
        cpu: end.cpu.saturating_sub(start.cpu),
        max_rss: usage::max_rss(),
        record_size: args.record_size as usize,
        send_time,
        latency: tracker.latency(),
        sample_every: plan.sample_every,
        overhead_ns,
    };
    let first_error = tracker.first_error().or_else(|| closed.err().map(|error| error.to_string()));
    Ok((summary, counts, first_error))
}

/// Finds the lane of a delivery report.
struct Outcomes {
    tracker: Arc<Tracker>,
    senders: Vec<u32>,
    partitions: u32,
}

impl Outcomes {
    fn take(&self, report: &DeliveryReport<'_>) {
        let Some(index) = self.senders.iter().position(|id| *id == report.sender) else { return };
        let lane = index * self.partitions as usize + report.partition as usize;
        let error = report.result.as_ref().err().map(|error| error as &dyn std::fmt::Display);
        self.tracker.outcome(lane, report.first_ordinal, u64::from(report.count), error);
    }
}

fn plan(args: &Args, topic: Topic, available: u32) -> Result<Plan, Failure> {
    let partitions = args.partitions.unwrap_or(available);
    if partitions > available {
        return Err(Failure::usage(format!("--partitions {partitions}: topic {} has {available}", args.topic)));
    }
    let pace = (args.throughput > 0.0).then(|| Duration::from_secs_f64(f64::from(args.senders) / args.throughput));
    let sample_every = if pace.is_some() { 1 } else { (args.num_records / SAMPLES).clamp(1, RAREST_SAMPLE) as u32 };
    Ok(Plan { topic, partitions, record_size: args.record_size as usize, pace, sample_every })
}

/// Sends from all threads at once and waits for the outcomes, at most `patience` longer than the sending takes.
fn send_all(
    args: &Args,
    plan: Plan,
    senders: Vec<Sender>,
    tracker: &Arc<Tracker>,
    patience: Duration,
) -> (Vec<Sent>, tracker::End) {
    let together = Barrier::new(senders.len() + 1);
    let count = u64::from(args.senders);
    let mut progress = Progress::new(args.num_records, args.record_size);
    thread::scope(|scope| {
        let threads: Vec<_> = senders
            .into_iter()
            .enumerate()
            .map(|(index, sender)| {
                let records = args.num_records / count + u64::from((index as u64) < args.num_records % count);
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    load::send(&plan, index as u32, records, sender, tracker)
                })
            })
            .collect();
        let start = tracker::End { at: Instant::now(), cpu: usage::cpu_time() };
        together.wait();
        let mut deadline = None;
        while tracker.wait(progress.interval()).is_none() {
            progress.show(tracker.acked());
            if threads.iter().all(thread::ScopedJoinHandle::is_finished) {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                if Instant::now() >= deadline {
                    break;
                }
            }
        }
        progress.finish();
        let sent = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        (sent, start)
    })
}

/// How many of a sender's records went to each partition: round robin from the partition of its own number on.
fn per_partition(records: u64, sender: u32, partitions: u32) -> Vec<u64> {
    let (each, rest) = (records / u64::from(partitions), records % u64::from(partitions));
    let turn = |partition: u32| u64::from((partition + partitions - sender % partitions) % partitions);
    (0..partitions).map(|partition| each + u64::from(turn(partition) < rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::{per_partition, throughput};

    #[test]
    fn records_per_partition_are_those_of_the_round_robin() {
        for (records, sender, partitions) in [(10, 0, 3), (10, 2, 3), (10, 7, 3), (2, 1, 4), (0, 0, 1), (9, 5, 1)] {
            let mut counted = vec![0; partitions as usize];
            let mut partition = sender % partitions;
            for _ in 0..records {
                counted[partition as usize] += 1;
                partition = (partition + 1) % partitions;
            }
            assert_eq!(per_partition(records, sender, partitions), counted, "{records} {sender} {partitions}");
        }
    }

    #[test]
    fn a_rate_is_positive_or_minus_one() {
        assert_eq!(throughput("-1"), Ok(-1.0));
        assert_eq!(throughput("0.5"), Ok(0.5));
        for text in ["0", "-2", "inf", "NaN", "fast"] {
            assert!(throughput(text).is_err(), "{text}");
        }
    }
}
