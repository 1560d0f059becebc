//! Figures over time: what happened between one look and the next.
//!
//! A look costs the thread that looks, and the I/O thread nothing but a lock that is held for a moment. Nothing is done for a record.

use super::gauges::Gauges;
use super::tracker::{Tracker, nanosecond_histogram};
use hdrhistogram::Histogram;
use std::time::Duration;

/// Where there are more intervals, each two become one, so that memory stays small however long the run is.
const MOST: usize = 600;

/// Between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interval {
    /// From the start of the run to the start of the interval, and to its end.
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) acked: u64,
    pub(super) failed: u64,
    /// Of the samples that were acknowledged in it, if there were any.
    pub(super) latency: Option<Latency>,
    /// At its end.
    pub(super) buffer_used: u64,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
}

/// Send-to-ack latency in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
    pub(super) samples: u64,
}

impl Interval {
    /// Acknowledged records per second.
    pub(super) fn per_second(&self) -> f64 {
        self.acked as f64 / (self.to.saturating_sub(self.from)).as_secs_f64().max(1e-9)
    }
}

pub(super) struct Timeline {
    intervals: Vec<Interval>,
    every: Duration,
    spare: Histogram<u64>,
    acked: u64,
    failed: u64,
}

impl Timeline {
    /// To be looked at so often, as long as the run is short.
    pub(super) fn new(every: Duration) -> Self {
        Self { intervals: Vec::with_capacity(MOST), every, spare: nanosecond_histogram(), acked: 0, failed: 0 }
    }

    /// How long an interval is now.
    pub(super) fn every(&self) -> Duration {
        self.every
    }

    pub(super) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Ends an interval, so long after the start of the run.
    pub(super) fn look(&mut self, now: Duration, tracker: &Tracker, gauges: &Gauges) {
        let (acked, failed) = (tracker.acked(), tracker.failed());
        tracker.take_latency(&mut self.spare);
        let latency = (!self.spare.is_empty()).then(|| Latency {
            p50: self.spare.value_at_quantile(0.5),
            p99: self.spare.value_at_quantile(0.99),
            max: self.spare.max(),
            samples: self.spare.len(),
        });
        let from = self.intervals.last().map_or(Duration::ZERO, |last| last.to);
        self.add(Interval {
            from,
            to: now.max(from),
            acked: acked - self.acked,
            failed: failed - self.failed,
            latency,
            buffer_used: gauges.buffer_used,
            in_flight: gauges.in_flight,
            waiting: gauges.waiting,
        });
        (self.acked, self.failed) = (acked, failed);
    }

    fn add(&mut self, interval: Interval) {
        if self.intervals.len() == MOST {
            self.intervals = self.intervals.chunks(2).map(merged).collect();
            self.every *= 2;
        }
        // The end of a run comes at any time, also just after a look: a rate of so short a time would say nothing.
        let is_short = interval.to.saturating_sub(interval.from) < self.every / 4;
        let last = if is_short { self.intervals.pop() } else { None };
        self.intervals.push(match last {
            Some(last) => merged(&[last, interval]),
            None => interval,
        });
    }
}

/// Several intervals as one. The median is their samples' mean one, the others are the highest: none looks better than it was.
pub(super) fn merged(intervals: &[Interval]) -> Interval {
    let highest = |of: fn(&Interval) -> u64| intervals.iter().map(of).max().unwrap_or(0);
    let latencies: Vec<Latency> = intervals.iter().filter_map(|interval| interval.latency).collect();
    let samples: u64 = latencies.iter().map(|latency| latency.samples).sum();
    let weighted: f64 = latencies.iter().map(|latency| latency.p50 as f64 * latency.samples as f64).sum();
    Interval {
        from: intervals.first().map_or(Duration::ZERO, |first| first.from),
        to: intervals.last().map_or(Duration::ZERO, |last| last.to),
        acked: intervals.iter().map(|interval| interval.acked).sum(),
        failed: intervals.iter().map(|interval| interval.failed).sum(),
        latency: (samples > 0).then(|| Latency {
            p50: (weighted / samples as f64) as u64,
            p99: latencies.iter().map(|latency| latency.p99).max().unwrap_or(0),
            max: latencies.iter().map(|latency| latency.max).max().unwrap_or(0),
            samples,
        }),
        buffer_used: highest(|interval| interval.buffer_used),
        in_flight: highest(|interval| interval.in_flight),
        waiting: highest(|interval| interval.waiting),
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Timeline};
    use crate::perf::gauges::Gauges;
    use crate::perf::tracker::Tracker;
    use std::time::{Duration, Instant};

    #[test]
    fn intervals_hold_what_came_in_them() {
        let tracker = Tracker::new(100, 1);
        let mut timeline = Timeline::new(Duration::from_millis(10));
        tracker.sample(0, 0, Instant::now());
        tracker.outcome(0, 0, 30, None);
        timeline.look(Duration::from_millis(10), &tracker, &Gauges { buffer_used: 7, ..Gauges::default() });
        tracker.outcome(0, 30, 10, Some(&"no"));
        timeline.look(Duration::from_millis(30), &tracker, &Gauges::default());
        let [first, second] = timeline.intervals() else { panic!("two looks") };
        assert_eq!((first.acked, first.failed, first.buffer_used), (30, 0, 7));
        assert_eq!(first.latency.map(|latency| latency.samples), Some(1));
        assert_eq!((second.acked, second.failed, second.latency), (0, 10, None));
        assert_eq!((second.from, second.to), (Duration::from_millis(10), Duration::from_millis(30)));
        assert!((2_999.0..3_001.0).contains(&first.per_second()));
        assert_eq!(tracker.latency().len(), 1, "the whole run keeps what an interval took");
    }

    #[test]
    fn a_look_just_before_the_end_makes_no_interval_of_its_own() {
        let tracker = Tracker::new(100, 1);
        let mut timeline = Timeline::new(Duration::from_millis(10));
        for (records, microseconds) in [(1, 10_000), (1, 20_000), (1, 20_001), (1, 19_000)] {
            tracker.outcome(0, 0, records, None);
            timeline.look(Duration::from_micros(microseconds), &tracker, &Gauges::default());
        }
        let counts: Vec<_> = timeline.intervals().iter().map(|one| (one.acked, one.to.as_micros())).collect();
        assert_eq!(counts, [(1, 10_000), (3, 20_001)]);
    }

    #[test]
    fn a_long_run_has_longer_intervals_and_loses_none() {
        let tracker = Tracker::new(u64::MAX, 1);
        let mut timeline = Timeline::new(Duration::from_millis(10));
        for look in 1..=700_u32 {
            tracker.sample(0, u64::from(look) - 1, Instant::now());
            tracker.outcome(0, u64::from(look) - 1, 1, None);
            timeline.look(Duration::from_millis(10) * look, &tracker, &Gauges::default());
        }
        let intervals = timeline.intervals();
        assert!(intervals.len() <= MOST && timeline.every() == Duration::from_millis(20), "{}", intervals.len());
        assert_eq!(intervals.iter().map(|interval| interval.acked).sum::<u64>(), 700);
        assert_eq!(
            intervals.iter().filter_map(|interval| interval.latency).map(|latency| latency.samples).sum::<u64>(),
            700
        );
        assert!(intervals.windows(2).all(|pair| pair[0].to == pair[1].from), "without gaps");
    }
}
