//! Forebay as a driver of the comparison: one `Sender` for each thread, outcomes by the delivery callback.

#![forbid(unsafe_code)]

use forebay::config::Config;
use forebay::{DeliveryReport, Producer, Record, Topic};
use forebay_io::wire::murmur2::partition_for_key;
use forebay_peer_driver::{Job, Out, Sender, Tally, drive};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
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
    partitions: NonZeroU32,
    by_place: Vec<Mutex<Lane>>,
    /// Timed records on their way, by place: all that is looked at for the others.
    awaited: Vec<AtomicU32>,
}

impl Lanes {
    fn new(tally: Arc<Tally>, senders: Vec<u32>, partitions: NonZeroU32) -> Self {
        let places = senders.len() * partitions.get() as usize;
        let by_place = (0..places).map(|_| Mutex::default()).collect();
        Self { tally, senders, partitions, by_place, awaited: (0..places).map(|_| AtomicU32::new(0)).collect() }
    }

    fn place(&self, sender: usize, partition: u32) -> usize {
        sender * self.partitions.get() as usize + partition as usize
    }

    /// Where a record of this sender goes.
    fn place_of(&self, sender: usize, out: Out<'_>) -> usize {
        let chosen = out.key.map_or(0, |key| partition_for_key(key, self.partitions));
        self.place(sender, out.partition.unwrap_or(chosen))
    }

    /// The client's word on a stretch of records. `told` is room to work in.
    fn take(&self, report: &DeliveryReport<'_>, told: &mut Vec<Instant>) {
        let sender = self.senders.iter().position(|id| *id == report.sender);
        let place = sender.map_or(usize::MAX, |sender| self.place(sender, report.partition));
        if let (Some(lane), Some(awaited)) = (self.by_place.get(place), self.awaited.get(place))
            && awaited.load(Ordering::Acquire) > 0
        {
            let (now, end) = (Instant::now(), report.first_ordinal + u64::from(report.count));
            {
                // A sender that noted a record meanwhile would sleep, and its next sends would find everything cold.
                let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
                lane.done = Some((end, now));
                let timed = lane.timed.partition_point(|(ordinal, _)| *ordinal < end);
                told.extend(lane.timed.drain(..timed).map(|(_, sent)| sent));
            }
            awaited.fetch_sub(told.len() as u32, Ordering::Relaxed);
            for sent in told.drain(..) {
                if report.result.is_ok() {
                    self.tally.latency(now - sent);
                }
            }
        }
        let error = report.result.as_ref().err().map(|error| error as &dyn std::fmt::Display);
        self.tally.told(u64::from(report.count), error);
    }

    /// A timed record is about to be sent.
    fn awaits(&self, place: usize) {
        if let Some(awaited) = self.awaited.get(place) {
            awaited.fetch_add(1, Ordering::Release);
        }
    }

    /// It was taken, with this ordinal; its outcome may have come before.
    fn timed(&self, place: usize, ordinal: u64, sent: Instant) {
        let (Some(lane), Some(awaited)) = (self.by_place.get(place), self.awaited.get(place)) else { return };
        let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
        match lane.done {
            Some((end, at)) if ordinal < end => {
                self.tally.latency(at - sent);
                awaited.fetch_sub(1, Ordering::Relaxed);
            }
            _ => lane.timed.push_back((ordinal, sent)),
        }
    }
}

struct Way {
    sender: forebay::Sender,
    index: usize,
    topic: Topic,
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

    fn expect(&mut self, out: Out<'_>) {
        self.lanes.awaits(self.lanes.place_of(self.index, out));
    }

    fn note(&mut self, out: Out<'_>) {
        if let Some(sent) = out.timed {
            self.lanes.timed(self.lanes.place_of(self.index, out), self.ordinal, sent);
        }
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
    let mut told = Vec::new();
    let producer = Producer::builder_from(config.build()?)
        .on_delivery(move |report| {
            if let Some(lanes) = sink.get() {
                lanes.take(report, &mut told);
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
    let partitions = NonZeroU32::new(partitions).ok_or("the topic has no partition")?;
    let ids = senders.iter().map(forebay::Sender::id).collect();
    let lanes = Arc::new(Lanes::new(Arc::clone(&tally), ids, partitions));
    let _ = slot.set(Arc::clone(&lanes)); // empty until here
    let way = |(index, sender)| Way { sender, index, topic, lanes: Arc::clone(&lanes), ordinal: 0 };
    let ways = senders.into_iter().enumerate().map(way).collect();
    let name = concat!("forebay ", env!("CARGO_PKG_VERSION"));
    let code = drive(job, name, &tally, ways);
    producer.close(Duration::from_secs(10))?;
    Ok(code)
}
