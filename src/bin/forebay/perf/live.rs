//! The run on a terminal, while it goes on.
//!
//! Lines are drawn over the ones before, and that is all: no other screen, no hidden cursor, no mode that is set. So there is nothing
//! to restore, however the program ends.

use super::gauges::Gauges;
use super::report::{show_bytes, show_short, show_time};
use super::summary::grouped;
use super::timeline::{Interval, merged};
use console::{Term, style, truncate_str};
use std::time::{Duration, Instant};
use std::{env, iter};

/// How often it is drawn. Drawing is part of this process's CPU time, so it is rare.
pub(super) const EVERY: Duration = Duration::from_millis(200);
/// Figures are of so long.
const RECENT: Duration = Duration::from_secs(1);
const BAR: usize = 40;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARK_COUNT: usize = 30;

pub(super) struct Live {
    term: Term,
    what: String,
    records: u64,
    record_size: usize,
    /// Lines that stand there now.
    height: usize,
    drawn: Option<Instant>,
    before: Gauges,
    before_at: Duration,
}

impl Live {
    /// For a run of so many records; `what` says what is sent to where.
    pub(super) fn new(what: String, records: u64, record_size: usize) -> Self {
        Self {
            term: Term::stderr(),
            what,
            records,
            record_size,
            height: 0,
            drawn: None,
            before: Gauges::default(),
            before_at: Duration::ZERO,
        }
    }

    /// Whether standard error is a terminal on which lines can be drawn over.
    pub(super) fn is_possible() -> bool {
        Term::stderr().is_term() && env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    pub(super) fn is_due(&self) -> bool {
        self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY)
    }

    pub(super) fn draw(&mut self, intervals: &[Interval], gauges: Gauges) {
        let now = intervals.last().map_or(Duration::ZERO, |last| last.to);
        let (rows, columns) = self.term.size();
        let mut frame = self.frame(now, intervals, &gauges);
        frame.truncate(usize::from(rows).saturating_sub(2).max(1));
        let mut text = self.up();
        for line in &frame {
            text.push_str(&truncate_str(line, usize::from(columns).saturating_sub(1).max(1), "…"));
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        // A terminal that has gone is no reason to end the run.
        let _ = self.term.write_str(&text);
        self.height = frame.len();
        self.drawn = Some(Instant::now());
        (self.before, self.before_at) = (gauges, now);
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&mut self) {
        let _ = self.term.write_str(&(self.up() + "\x1b[J"));
        self.height = 0;
    }

    /// To the first of the lines that stand there.
    fn up(&self) -> String {
        if self.height == 0 { String::new() } else { format!("\r\x1b[{}A", self.height) }
    }

    fn frame(&self, now: Duration, intervals: &[Interval], gauges: &Gauges) -> Vec<String> {
        let acked: u64 = intervals.iter().map(|one| one.acked).sum();
        let failed: u64 = intervals.iter().map(|one| one.failed).sum();
        let from = intervals.iter().rposition(|one| now.saturating_sub(one.from) >= RECENT).unwrap_or(0);
        let recent = merged(intervals.get(from..).unwrap_or_default());
        let part = (acked + failed) as f64 / self.records.max(1) as f64;
        let rate = recent.per_second();
        let left = (self.records - acked.min(self.records)) as f64 / rate.max(1e-9);
        let label = |name: &str| format!("{}", style(format!("{name:<13}")).for_stderr().bold());
        let failures = match failed {
            0 => String::new(),
            failed => format!("  {}", style(format!("{} failed", grouped(failed))).for_stderr().red()),
        };
        let latency = match recent.latency {
            None => "no acknowledgement in the last second".to_owned(),
            Some(latency) => format!(
                "50 % {}   99 % {}   max {}",
                show_time(latency.p50 as f64),
                show_time(latency.p99 as f64),
                show_time(latency.max as f64)
            ),
        };
        let fill = gauges.buffer_used as f64 / gauges.buffer_total.max(1) as f64;
        let waiting =
            if gauges.waiting == 1 { "1 sender waits".to_owned() } else { format!("{} senders wait", gauges.waiting) };
        let mut lines = vec![
            format!("{}", style(&self.what).for_stderr().dim()),
            format!(
                "{}{} {:3.0} %   {} of {} records{failures}   {} gone, {} left",
                label("acknowledged"),
                bar(part),
                part * 100.0,
                grouped(acked),
                grouped(self.records),
                clock(now.as_secs_f64()),
                if recent.acked == 0 { "?".to_owned() } else { clock(left) },
            ),
            format!(
                "{}{} records/s   {} MB/s   {}",
                label("throughput"),
                show_short(rate),
                show_short(rate * self.record_size as f64 / 1e6),
                sparks(intervals)
            ),
            format!("{}{latency}", label("send to ack")),
            format!(
                "{}{} {:3.0} % of {}   {waiting}",
                label("buffer"),
                bar(fill),
                fill * 100.0,
                show_bytes(gauges.buffer_total as f64)
            ),
            format!("{}{} requests", label("in flight"), gauges.in_flight),
        ];
        lines.extend(self.brokers(now, gauges).map(|(name, text)| format!("{}{text}", label(&name))));
        lines
    }

    fn brokers(&self, _now: Duration, _gauges: &Gauges) -> impl Iterator<Item = (String, String)> {
        iter::empty()
    }
}

fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// The throughput of the last intervals, the highest as the highest.
fn sparks(intervals: &[Interval]) -> String {
    let last = intervals.get(intervals.len().saturating_sub(SPARK_COUNT)..).unwrap_or_default();
    let highest = last.iter().map(Interval::per_second).fold(0.0, f64::max).max(1e-9);
    let spark = |one: &Interval| SPARKS[(one.per_second() / highest * 7.0).round().clamp(0.0, 7.0) as usize];
    last.iter().map(spark).collect()
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.min(359_999.0) as u64;
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}
