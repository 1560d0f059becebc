//! Forebay as a driver of the comparison: one `Sender` for each thread, outcomes by the delivery callback.

#![forbid(unsafe_code)]

use forebay::config::Config;
use forebay::{DeliveryReport, Producer, Record, Topic};
use forebay_io::wire::murmur2::partition_for_key;
use forebay_peer_driver::{Job, Out, Sender, Tally, drive};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What is timed in one lane: a sender and a partition.
#[derive(Default)]
struct Lane {
    /// Ordinal and time of records on their way.
    timed: VecDeque<(u64, Instant)>,
    /// Records told of so far, and when the last of them was.
    done: Option<(u64, Instant)>,
}

/// Where the callback finds the lanes; known once the senders are.
struct Lanes {
    tally: Arc<Tally>,
    senders: Vec<u32>,
    partitions: usize,
    by_place: Vec<Mutex<Lane>>,
}

impl Lanes {
    fn lane(&self, sender: usize, partition: u32) -> Option<&Mutex<Lane>> {
        self.by_place.get(sender * self.partitions + partition as usize)
    }

    fn take(&self, report: &DeliveryReport<'_>) {
        let sender = self.senders.iter().position(|id| *id == report.sender).unwrap_or(usize::MAX / 2);
        if let Some(lane) = self.lane(sender, report.partition) {
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            let (now, end) = (Instant::now(), report.first_ordinal + u64::from(report.count));
            lane.done = Some((end, now));
            while lane.timed.front().is_some_and(|(ordinal, _)| *ordinal < end) {
                if let (Some((_, sent)), true) = (lane.timed.pop_front(), report.result.is_ok()) {
                    self.tally.latency(now - sent);
                }
            }
        }
        let error = report.result.as_ref().err().map(|error| error as &dyn std::fmt::Display);
        self.tally.told(u64::from(report.count), error);
    }

    /// A timed record was taken, with this ordinal; its outcome may have come before.
    fn timed(&self, sender: usize, partition: u32, ordinal: u64, sent: Instant) {
        let Some(lane) = self.lane(sender, partition) else { return };
        let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
        match lane.done {
            Some((end, at)) if ordinal < end => self.tally.latency(at - sent),
            _ => lane.timed.push_back((ordinal, sent)),
        }
    }
}

struct Way {
    sender: forebay::Sender,
    index: usize,
    topic: Topic,
    partitions: NonZeroU32,
    lanes: Arc<Lanes>,
    /// Of the last record.
    ordinal: u64,
}

impl Sender for Way {
    #[inline]
    fn send(&mut self, out: Out<'_>) -> Result<(), String> {
        let mut record = Record::to(self.topic).value(out.value);
        record.partition = out.partition;
        record.key = out.key;
        self.ordinal = self.sender.send(record).map_err(|refused| refused.to_string())?.ordinal();
        Ok(())
    }

    fn note(&mut self, out: Out<'_>) {
        let Some(sent) = out.timed else { return };
        let chosen = out.key.map_or(0, |key| partition_for_key(key, self.partitions));
        self.lanes.timed(self.index, out.partition.unwrap_or(chosen), self.ordinal, sent);
    }
}

fn main() -> ExitCode {
    let job = Job::of_command_line();
    match run(&job) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("forebay: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(job: &Job) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut config = Config::builder().bootstrap_servers(&job.bootstrap);
    for (name, value) in &job.settings {
        config = config.set(name, value);
    }
    let tally = Arc::new(Tally::default());
    let slot: Arc<OnceLock<Arc<Lanes>>> = Arc::default();
    let sink = Arc::clone(&slot);
    let producer = Producer::builder_from(config.build()?)
        .on_delivery(move |report| {
            if let Some(lanes) = sink.get() {
                lanes.take(report);
            }
        })
        .build()?;
    let topic = producer.topic(&job.topic)?;
    let partitions = producer.partitions_for(topic, Duration::from_secs(10)).map_err(|why| why.to_string())?;
    if partitions < job.partitions {
        return Err(format!("the topic has {partitions} partitions, not {}", job.partitions).into());
    }
    let senders = (0..job.senders).map(|_| producer.sender()).collect::<Result<Vec<_>, _>>();
    let senders = senders.map_err(|why| why.to_string())?;
    let lanes = Arc::new(Lanes {
        tally: Arc::clone(&tally),
        senders: senders.iter().map(forebay::Sender::id).collect(),
        partitions: partitions as usize,
        by_place: (0..senders.len() * partitions as usize).map(|_| Mutex::default()).collect(),
    });
    let _ = slot.set(Arc::clone(&lanes)); // empty until here
    let partitions = NonZeroU32::new(partitions).ok_or("the topic has no partition")?;
    let way = |(index, sender)| Way { sender, index, topic, partitions, lanes: Arc::clone(&lanes), ordinal: 0 };
    let ways = senders.into_iter().enumerate().map(way).collect();
    let name = concat!("forebay ", env!("CARGO_PKG_VERSION"));
    let code = drive(job, name, &tally, ways);
    producer.close(Duration::from_secs(10))?;
    Ok(code)
}
