//! `forebay perf`: send generated records, wait for their outcomes, say what it took.

mod args;
mod broker;
mod gauges;
mod live;
mod load;
mod report;
mod summary;
mod timeline;
mod tracker;
mod usage;
mod watch;

pub(crate) use args::Args;

use crate::interrupt::Interrupt;
use crate::{Failure, options};
use args::Format;
use broker::Broker;
use forebay::config::Config;
use forebay::{DeliveryReport, Producer, Sender, Topic};
use live::Live;
use load::{Plan, Sent};
use report::{Page, Report};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use summary::Summary;
use tracker::Tracker;
use watch::{Watch, Watched};

/// At saturation about so many records of a run are measured, but at least one in [`RAREST_SAMPLE`].
const SAMPLES: u64 = 10_000;
const RAREST_SAMPLE: u64 = 1_024;

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
    let config = options::build(builder.clone())?;
    let page = args.report.as_deref().map(Page::open).transpose().map_err(Failure::Usage)?;
    let settings = page.as_ref().map(|_| report::settings(&builder, &config)).unwrap_or_default();
    let servers = builder.value("bootstrap.servers").unwrap_or_default();
    let servers = if is_embedded { format!("{servers} (embedded)") } else { servers.to_owned() };
    let interrupt = Interrupt::default();
    let measured = measure(args, config, &servers, &interrupt)?;
    match args.format {
        Format::Text => println!("{}", measured.summary),
        Format::Json => println!("{}", measured.summary.json()),
    }
    let verdict = judge(args, &measured, &interrupt, broker.as_mut());
    if let Some(page) = page {
        let report = Report {
            summary: &measured.summary,
            intervals: &measured.watched.intervals,
            gauges: &measured.watched.gauges,
            settings,
            run: args.rows(measured.partitions, &servers),
            what: args.sentence(measured.partitions, &servers),
            is_good: verdict.is_ok(),
            verdict: verdict.as_ref().map_or_else(ToString::to_string, Clone::clone),
        };
        page.write(&report.page()).map_err(Failure::Run)?;
    }
    eprintln!("{}", verdict?);
    Ok(())
}

/// Whether all went well, and what is to be said of it.
fn judge(
    args: &Args,
    measured: &Measured,
    interrupt: &Interrupt,
    broker: Option<&mut Broker>,
) -> Result<String, Failure> {
    let all = summary::grouped(args.num_records);
    let acked = measured.summary.acked;
    if let Some(signal) = interrupt.signal() {
        let acked = summary::grouped(acked);
        return Err(Failure::Signal(signal, format!("{acked} of {all} records were sent and acknowledged")));
    }
    if acked < args.num_records {
        let why = measured.first_error.as_deref().unwrap_or("no outcome was reported in time");
        let missing = args.num_records - acked;
        return Err(Failure::Run(format!(
            "{missing} of {} records were not acknowledged; first error: {why}",
            args.num_records
        )));
    }
    match broker {
        None => Ok(format!("all {all} records were acknowledged")),
        Some(broker) => {
            broker.verify(&measured.sent, args.record_size as usize)?;
            Ok(format!("verified: the broker received all {all} records once, in order and unchanged"))
        }
    }
}

/// What a run gives.
struct Measured {
    summary: Summary,
    /// How many records each sender sent to each partition.
    sent: Vec<Vec<u64>>,
    first_error: Option<String>,
    watched: Watched,
    partitions: u32,
}

fn measure(args: &Args, config: Config, servers: &str, interrupt: &Interrupt) -> Result<Measured, Failure> {
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
        .map_err(Failure::build)?;
    let topic = producer.topic(&args.topic).map_err(Failure::usage)?;
    let available = producer.partitions_for(topic, max_block).map_err(Failure::cluster)?;
    let plan = plan(args, topic, available)?;
    let senders = (0..args.senders).map(|_| producer.sender()).collect::<Result<Vec<_>, _>>().map_err(Failure::run)?;
    let tracker = Arc::new(Tracker::new(args.num_records, (args.senders * plan.partitions) as usize));
    let ids = senders.iter().map(Sender::id).collect();
    let outcomes = Outcomes { tracker: Arc::clone(&tracker), senders: ids, partitions: plan.partitions };
    let _ = slot.set(outcomes);
    let overhead_ns = load::overhead(&plan);

    interrupt.watch()?;
    let is_live = args.format == Format::Text && !args.no_live && Live::is_possible();
    let live = is_live
        .then(|| Live::new(args.sentence(plan.partitions, servers), args.num_records, args.record_size as usize));
    let mut watch = Watch::new(args.report.is_some(), live, producer.clone());
    let (sent, start) = send_all(args, plan, senders, &tracker, patience, interrupt, &mut watch);
    let end =
        tracker.wait(Duration::ZERO).unwrap_or_else(|| tracker::End { at: Instant::now(), cpu: usage::cpu_time() });
    let watched = watch.finish(end.at, &tracker);
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
        watching: watched.cpu,
    };
    let first_error = tracker.first_error().or_else(|| closed.err().map(|error| error.to_string()));
    Ok(Measured { summary, sent: counts, first_error, watched, partitions: plan.partitions })
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
    interrupt: &Interrupt,
    watch: &mut Watch,
) -> (Vec<Sent>, tracker::End) {
    let together = Barrier::new(senders.len() + 1);
    let count = u64::from(args.senders);
    thread::scope(|scope| {
        let threads: Vec<_> = senders
            .into_iter()
            .enumerate()
            .map(|(index, sender)| {
                let records = args.num_records / count + u64::from((index as u64) < args.num_records % count);
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    load::send(&plan, index as u32, records, sender, tracker, interrupt)
                })
            })
            .collect();
        let start = tracker::End { at: Instant::now(), cpu: usage::cpu_time() };
        watch.start(start.at);
        together.wait();
        let mut deadline = None;
        while tracker.wait(watch.interval()).is_none() {
            watch.look(Instant::now(), tracker);
            if threads.iter().all(thread::ScopedJoinHandle::is_finished) {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                if Instant::now() >= deadline {
                    break;
                }
            }
        }
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
    use super::per_partition;

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
}
