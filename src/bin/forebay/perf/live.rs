//! The run on a terminal, while it goes on.
//!
//! Lines are drawn over the ones before, and that is all: no other screen, no hidden cursor, no mode that is set. So there is nothing
//! to restore, however the program ends.

use super::gauges::Gauges;
use super::report::{show_bytes, show_short, show_time};
use super::summary::grouped;
use super::timeline::{Interval, merged};
use console::{Term, style, truncate_str};
use std::env;
use std::time::{Duration, Instant};

/// How often it is drawn. Drawing is part of this process's CPU time, so it is rare.
pub(super) const EVERY: Duration = Duration::from_millis(200);
/// Figures are of so long.
const RECENT: Duration = Duration::from_secs(1);
const BAR: usize = 24;
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
                "{}{} {:3.0} %   {} of {}   {} gone, {} left{failures}",
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

    /// A line for each broker. What was sent is of the time since the frame before.
    fn brokers(&self, now: Duration, gauges: &Gauges) -> impl Iterator<Item = (String, String)> {
        let seconds = now.saturating_sub(self.before_at).as_secs_f64().max(1e-9);
        gauges.brokers.iter().map(move |broker| {
            let before = self.before.brokers.iter().find(|before| before.id == broker.id);
            let sent = broker.bytes.saturating_sub(before.map_or(0, |before| before.bytes)) as f64 / seconds;
            let latency = broker.latency.map_or_else(String::new, |(p50, p99, _)| {
                format!("   request 50 % {}   99 % {}", show_time(p50 * 1e6), show_time(p99 * 1e6))
            });
            let state = if broker.connected { "" } else { "   not connected" };
            let text = format!(
                "{}   {} in flight   {} MB/s sent{latency}{state}",
                broker.address,
                broker.in_flight,
                show_short(sent / 1e6)
            );
            (format!("broker {}", broker.id), text)
        })
    }
}

fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// The throughput of the last seconds, the highest as the highest; a mark is as long as the time between two frames, or an interval
/// if that is longer.
fn sparks(intervals: &[Interval]) -> String {
    let one = intervals.last().map_or(EVERY, |last| last.to.saturating_sub(last.from)).as_nanos().max(1);
    let together = (EVERY.as_nanos() / one).max(1) as usize;
    let mut rates: Vec<f64> =
        intervals.rchunks(together).take(SPARK_COUNT).map(|few| merged(few).per_second()).collect();
    rates.reverse();
    let highest = rates.iter().copied().fold(0.0, f64::max).max(1e-9);
    rates.iter().map(|rate| SPARKS[(rate / highest * 7.0).round().clamp(0.0, 7.0) as usize]).collect()
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.min(359_999.0) as u64;
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{Live, clock, sparks};
    use crate::perf::gauges::{Broker, Gauges};
    use crate::perf::timeline::{Interval, Latency};
    use console::strip_ansi_codes;
    use std::time::Duration;

    fn interval(number: u64, acked: u64) -> Interval {
        let at = |number| Duration::from_millis(number * 200);
        let latency = Some(Latency { p50: 1_500_000, p99: 4_000_000, max: 9_000_000, samples: 10 });
        let (from, to) = (at(number), at(number + 1));
        Interval { from, to, acked, failed: 1, latency, buffer_used: 0, in_flight: 0, waiting: 0 }
    }

    #[test]
    fn a_frame_tells_the_last_second() {
        let live = Live::new("what".to_owned(), 10_000, 100);
        let intervals: Vec<Interval> = (0..10).map(|number| interval(number, 100 + number)).collect();
        let broker =
            Broker { id: 3, address: "host:9092".to_owned(), connected: true, in_flight: 2, ..Broker::default() };
        let gauges =
            Gauges { buffer_total: 4_096, buffer_used: 1_024, in_flight: 2, waiting: 1, brokers: vec![broker] };
        let frame = live.frame(Duration::from_secs(2), &intervals, &gauges);
        let lines: Vec<String> = frame.iter().map(|line| strip_ansi_codes(line).into_owned()).collect();
        let has = |line: usize, text: &str| assert!(lines[line].contains(text), "{text}: {}", lines[line]);
        has(0, "what");
        has(1, " 11 %   1,045 of 10,000   0:02 gone, 0:16 left  10 failed");
        has(2, "535 records/s   0.05 MB/s");
        has(3, "50 % 1.5 ms   99 % 4 ms   max 9 ms");
        has(4, " 25 % of 4 KiB   1 sender waits");
        has(5, "2 requests");
        has(6, "broker 3     host:9092   2 in flight");
    }

    #[test]
    fn the_highest_rate_is_the_highest_spark() {
        let intervals = [interval(0, 0), interval(1, 50), interval(2, 100)];
        assert_eq!(sparks(&intervals), "▁▅█");
        assert_eq!([clock(59.9), clock(61.0), clock(7_265.0)], ["0:59", "1:01", "2:01:05"]);
    }
}
