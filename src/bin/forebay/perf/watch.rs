//! Looks at the run from outside while it goes on, for the report and for the view on a terminal.

use super::gauges::Gauges;
use super::live::{self, Live};
use super::timeline::{Interval, Timeline};
use super::tracker::Tracker;
use super::usage;
use forebay::Producer;
use std::time::{Duration, Instant};

/// A report of a run of half a second should show more than a point; a longer run is looked at less often.
const FINE: Duration = Duration::from_millis(20);
/// Where nobody looks, nobody needs to wake.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    timeline: Option<Timeline>,
    live: Option<Live>,
    producer: Producer,
    started: Instant,
    cpu: Duration,
}

/// What was seen.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) intervals: Vec<Interval>,
    pub(super) gauges: Gauges,
    /// CPU time of this thread meanwhile.
    pub(super) cpu: Duration,
}

impl Watch {
    pub(super) fn new(for_report: bool, live: Option<Live>, producer: Producer) -> Self {
        let timeline = match (for_report, &live) {
            (true, _) => Some(Timeline::new(FINE)),
            (false, Some(_)) => Some(Timeline::new(live::EVERY)),
            (false, None) => None,
        };
        Self { timeline, live, producer, started: Instant::now(), cpu: usage::thread_cpu_time() }
    }

    /// The run begins now.
    pub(super) fn start(&mut self, at: Instant) {
        self.started = at;
        self.cpu = usage::thread_cpu_time();
    }

    /// How long it can be left alone.
    pub(super) fn interval(&self) -> Duration {
        match &self.timeline {
            None => IDLE,
            Some(timeline) if self.live.is_some() => timeline.every().min(live::EVERY),
            Some(timeline) => timeline.every(),
        }
    }

    pub(super) fn look(&mut self, at: Instant, tracker: &Tracker) {
        let Some(timeline) = &mut self.timeline else { return };
        let gauges = Gauges::read(&self.producer);
        timeline.look(at.saturating_duration_since(self.started), tracker, &gauges);
        if let Some(live) = self.live.as_mut().filter(|live| live.is_due()) {
            live.draw(timeline.intervals(), gauges);
        }
    }

    /// The run has ended: the last look, and the view goes.
    pub(super) fn finish(mut self, at: Instant, tracker: &Tracker) -> Watched {
        let Some(mut timeline) = self.timeline.take() else { return Watched::default() };
        let gauges = Gauges::read(&self.producer);
        timeline.look(at.saturating_duration_since(self.started), tracker, &gauges);
        if let Some(live) = &mut self.live {
            live.clear();
        }
        let cpu = usage::thread_cpu_time().saturating_sub(self.cpu);
        Watched { intervals: timeline.intervals().to_vec(), gauges, cpu }
    }
}
