//! One sending thread: values made beforehand, sent round robin over the partitions, at a rate or as fast as it goes.

use crate::interrupt::Interrupt;

use super::tracker::{Tracker, nanosecond_histogram, nanoseconds};
use forebay::{Record, Sender, Topic};
use forebay_mock_broker::payload::Stamper;
use hdrhistogram::Histogram;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// What is sent, the same for all senders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) topic: Topic,
    pub(super) partitions: u32,
    pub(super) record_size: usize,
    /// Time between two records of one sender; `None` is as fast as it goes.
    pub(super) pace: Option<Duration>,
    /// One record in so many is measured, on average.
    pub(super) sample_every: u32,
}

/// What one sender did.
pub(super) struct Sent {
    pub(super) records: u64,
    /// Time of the `send` call of the sampled records, in nanoseconds.
    pub(super) send_time: Histogram<u64>,
}

/// A thread that is ahead of its pace by less than this goes on: sleeping for less would cost more than it keeps apart.
const LEAST_SLEEP: Duration = Duration::from_micros(200);

/// A thread that waits longer looks now and then whether it is to go on at all.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Sends `records` records. The first send that fails ends it, and so does a signal; what was left counts as failed with that reason.
pub(super) fn send(
    plan: &Plan,
    index: u32,
    records: u64,
    mut sender: Sender,
    tracker: &Tracker,
    interrupt: &Interrupt,
) -> Sent {
    let mut stamper = Stamper::new(index, plan.record_size, plan.partitions as usize);
    let mut send_time = nanosecond_histogram();
    let first_lane = index as usize * plan.partitions as usize;
    let mut until_sample = next_sample(plan.sample_every);
    let mut partition = index % plan.partitions;
    let start = Instant::now();
    for record in 0..records {
        if let Some(pace) = plan.pace {
            keep_pace(start, pace, record, interrupt);
        }
        until_sample -= 1;
        // Only here a signal is looked for: nothing is done for each record that is not the producer's work.
        if until_sample == 0 && interrupt.signal().is_some() {
            tracker.fail(records - record, &"interrupted");
            return Sent { records: record, send_time };
        }
        let sampled = (until_sample == 0).then(|| {
            until_sample = next_sample(plan.sample_every);
            let now = Instant::now();
            tracker.sample(first_lane + partition as usize, stamper.made(partition as usize), now);
            now
        });
        let value = stamper.next(partition as usize);
        let sent = sender.send(Record::to(plan.topic).partition(partition).value(value));
        if let Some(before) = sampled {
            send_time.saturating_record(nanoseconds(before.elapsed()));
        }
        if let Err(error) = sent {
            tracker.fail(records - record, &error);
            return Sent { records: record, send_time };
        }
        partition += 1;
        if partition == plan.partitions {
            partition = 0;
        }
    }
    Sent { records, send_time }
}

/// Sampling at a fixed distance would meet the same partitions again and again: the distance varies evenly around its mean.
fn next_sample(every: u32) -> u32 {
    if every <= 1 { 1 } else { fastrand::u32(1..every * 2) }
}

fn keep_pace(start: Instant, pace: Duration, record: u64, interrupt: &Interrupt) {
    let due = Duration::from_nanos(nanoseconds(pace).saturating_mul(record));
    loop {
        let ahead = due.saturating_sub(start.elapsed());
        if ahead < LEAST_SLEEP && (ahead.is_zero() || pace < LEAST_SLEEP) {
            return;
        }
        thread::sleep(ahead.min(LONGEST_SLEEP));
        if ahead <= LONGEST_SLEEP || interrupt.signal().is_some() {
            return;
        }
    }
}

/// What measuring itself costs per record, in nanoseconds: making the value, and the sampling spread over all records.
pub(super) fn overhead(plan: &Plan) -> f64 {
    const ROUNDS: u32 = 4_000;
    let mut stamper = Stamper::new(0, plan.record_size, 1);
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        black_box(stamper.next(0));
    }
    let stamp = begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
    let tracker = Tracker::new(u64::MAX, 1);
    let mut histogram = nanosecond_histogram();
    let begin = Instant::now();
    for round in 0..ROUNDS {
        let now = Instant::now();
        tracker.sample(0, u64::from(round), now);
        histogram.saturating_record(nanoseconds(now.elapsed()));
    }
    tracker.outcome(0, 0, u64::from(ROUNDS), None);
    let sample = begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
    stamp + sample / f64::from(plan.sample_every)
}
