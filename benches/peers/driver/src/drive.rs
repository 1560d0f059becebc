//! The run itself: warm-up, then what is measured.

use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::calls::Calls;
use crate::job::Job;
use crate::meter::{Result, Threads};
use crate::pace::Pace;
use crate::tally::{Moment, Tally};
use crate::usage;
use crate::values::Values;

/// Without any outcome for so long, the rest never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// One record, as it is handed to a client.
#[derive(Debug, Clone, Copy)]
pub struct Out<'a> {
    /// Its partition, unless its key chooses.
    pub partition: Option<u32>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
    /// Just before the send, if this record is timed.
    pub timed: Option<Instant>,
}

/// One thread's way into a client.
pub trait Sender: Send {
    /// Hands over a record, and waits where the client has no room. Outcomes go to the [`Tally`].
    ///
    /// # Errors
    /// Why the client did not take it; it then has no other outcome.
    fn send(&mut self, record: Out<'_>) -> std::result::Result<(), String>;

    /// Before the send of a record that is timed, and before its time begins: notes that are the driver's, not the client's.
    #[inline]
    fn expect(&mut self, _record: Out<'_>) {}

    /// After the send of a record that is timed: notes that are the driver's, not the client's.
    #[inline]
    fn note(&mut self, _record: Out<'_>) {}
}

struct Seat<S> {
    sender: S,
    index: u32,
    values: Values,
    partition: u32,
    until_timed: u32,
    random: u64,
    calls: Calls,
}

/// Sends the job's records, waits for the outcomes and writes the result to standard output. Fails if a record did.
pub fn drive<S: Sender>(job: &Job, client: &str, tally: &Tally, senders: Vec<S>) -> ExitCode {
    let mut seats: Vec<Seat<S>> = (0_u32..)
        .zip(senders)
        .map(|(index, sender)| Seat {
            sender,
            index,
            values: Values::new(index, job.size, job.text),
            partition: index % job.partitions,
            until_timed: 1,
            random: u64::from(index) + 1,
            calls: Calls::default(),
        })
        .collect();
    if job.warmup > 0 {
        tally.begin(job.warmup);
        phase(job, job.warmup, None, tally, &mut seats);
        tally.wait(PATIENCE);
        if let (_, failed @ 1..) = tally.counts() {
            eprintln!("{failed} records of the warm-up failed: {}", tally.first_error().unwrap_or_default());
            return ExitCode::FAILURE;
        }
    }
    for seat in &mut seats {
        seat.calls = Calls::default();
    }
    tally.begin(job.records);
    let before = usage::threads();
    let start = phase(job, job.records, job.pace(), tally, &mut seats);
    let end = tally.wait(PATIENCE).unwrap_or_else(Moment::now);
    let threads = Threads::since(&before);
    let (acknowledged, failed) = tally.counts();
    let mut calls = Calls::default();
    for seat in &seats {
        calls.add(&seat.calls);
    }
    let latency = tally.latencies();
    let result = Result { client, records: job.records, acknowledged, failed, calls, latency, threads };
    result.print(start, end);
    if acknowledged == job.records {
        return ExitCode::SUCCESS;
    }
    let why = tally.first_error().unwrap_or_else(|| "no outcome".to_owned());
    eprintln!("{} of {} records were not acknowledged: {why}", job.records - acknowledged, job.records);
    ExitCode::FAILURE
}

/// Sends so many records from all threads at once; when it began.
fn phase<S: Sender>(job: &Job, records: u64, pace: Option<Pace>, tally: &Tally, seats: &mut [Seat<S>]) -> Moment {
    let together = Barrier::new(seats.len() + 1);
    thread::scope(|scope| {
        for seat in seats {
            let together = &together;
            let share = job.share(records, seat.index);
            scope.spawn(move || {
                together.wait();
                seat.send(job, share, pace, tally);
            });
        }
        let start = Moment::now();
        together.wait();
        start
    })
}

impl<S: Sender> Seat<S> {
    fn send(&mut self, job: &Job, records: u64, pace: Option<Pace>, tally: &Tally) {
        let start = Instant::now();
        let mut key = [0; 8];
        let mut since_sleep = 0_u32;
        for record in 0..records {
            since_sleep = since_sleep.saturating_add(1);
            if let Some(pace) = pace
                && pace.keep(start, record)
            {
                since_sleep = 0;
            }
            let partition = (job.keys == 0).then_some(self.partition);
            self.partition = if self.partition + 1 == job.partitions { 0 } else { self.partition + 1 };
            let (_, value) = self.values.stamp();
            let key = (job.keys > 0).then(|| {
                self.random = next_random(self.random);
                key = ((self.random >> 33) % u64::from(job.keys)).to_be_bytes();
                &key[..]
            });
            self.until_timed -= 1;
            let mut out = Out { partition, key, value, timed: None };
            if self.until_timed == 0 {
                self.sender.expect(out);
                out.timed = Some(Instant::now());
            }
            if let Err(why) = self.sender.send(out) {
                // What follows would break the order that values count in.
                tally.refused(records - record, &why);
                return;
            }
            if let Some(before) = out.timed {
                self.calls.record(before.elapsed().as_nanos() as u64, since_sleep);
                self.sender.note(out);
                self.random = next_random(self.random);
                // At a fixed distance the same partitions would be met again and again.
                let most = u64::from(job.sample) * 2 - 1;
                self.until_timed = 1 + ((self.random >> 33) % most) as u32;
            }
        }
    }
}

/// Knuth's MMIX generator: the high bits are good enough to choose keys by.
#[must_use]
pub fn next_random(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}
