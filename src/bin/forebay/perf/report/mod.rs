//! The run as a page: one HTML file with everything in it, for any browser, in light and dark.
//!
//! The charts are SVG, drawn here; a few lines of script show the figures under the pointer. The same figures stand in it as JSON,
//! for programs (`<script id="forebay-perf">`).

mod chart;
mod facts;
mod html;

use super::gauges::{Broker, Gauges};
use super::summary::{Summary, grouped};
use super::timeline::{Interval, Latency};
use chart::{Axis, Chart, Series};
use forebay::config::{Config, ConfigBuilder};
use hdrhistogram::Histogram;
use html::{bytes, date, escaped, short, table, time};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) use html::{bytes as show_bytes, short as show_short, time as show_time};

/// The page's file: found to be writable before the run, written after it.
pub(super) struct Page {
    file: File,
    path: PathBuf,
    is_new: bool,
    is_written: bool,
}

impl Page {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), is_new, is_written: false })
    }

    pub(super) fn write(mut self, page: &str) -> Result<(), String> {
        self.is_written = true;
        // A pipe has no length to be cut to.
        let _ = self.file.set_len(0);
        self.file
            .write_all(page.as_bytes())
            .map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if self.is_new && !self.is_written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What the page is made of.
pub(super) struct Report<'a> {
    pub(super) summary: &'a Summary,
    pub(super) intervals: &'a [Interval],
    pub(super) gauges: &'a Gauges,
    pub(super) settings: Vec<Vec<String>>,
    /// The options of the run, by name.
    pub(super) run: Vec<Vec<String>>,
    /// In one sentence: what was sent to where.
    pub(super) what: String,
    /// Whether all went well, and in words.
    pub(super) is_good: bool,
    pub(super) verdict: String,
}

pub(super) fn settings(builder: &ConfigBuilder, config: &Config) -> Vec<Vec<String>> {
    facts::settings(builder, config)
}

const QUANTILES: [(&str, f64); 8] = [
    ("50 %", 0.5),
    ("75 %", 0.75),
    ("90 %", 0.9),
    ("95 %", 0.95),
    ("99 %", 0.99),
    ("99.9 %", 0.999),
    ("99.99 %", 0.9999),
    ("max", 1.0),
];

impl Report<'_> {
    pub(super) fn page(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let machine = facts::machine();
        let data = self.data(now, &machine).to_string().replace('<', "\\u003c");
        let verdict = if self.is_good { "good" } else { "bad" };
        let summary = self.summary;
        let measured = if summary.sample_every > 1 {
            format!("one record in {} was timed, at random", summary.sample_every)
        } else {
            "every record was timed".to_owned()
        };
        format!(
            include_str!("page.html"),
            style = include_str!("style.css"),
            script = include_str!("script.js"),
            title = escaped(&format!("forebay perf: {} records/s", short(summary.per_second()))),
            what = escaped(&self.what),
            date = date(now),
            verdict = verdict,
            verdict_text = escaped(&self.verdict),
            tiles = self.tiles(),
            charts = self.charts(),
            latency = self.latencies(),
            brokers = self.brokers(),
            run = table(&[], &self.run, false),
            machine = table(&[], &machine, false),
            settings = table(&["key", "value", "from"], &self.settings, false),
            measured = measured,
            overhead = format!("{:.1} ns", summary.overhead_ns),
            watching = format!(
                "{} of CPU, {:.1} % of the client's",
                time(summary.watching.as_nanos() as f64),
                100.0 * summary.watching.as_secs_f64() / summary.cpu.as_secs_f64().max(1e-9)
            ),
            data = data,
        )
    }

    fn tiles(&self) -> String {
        let summary = self.summary;
        let at = |histogram: &Histogram<u64>, quantile| time(histogram.value_at_quantile(quantile) as f64);
        let tiles = [
            (short(summary.per_second()), "records/s acknowledged"),
            (format!("{} MB/s", short(summary.megabytes_per_second())), "of values"),
            (at(&summary.latency, 0.5), "send to ack, median"),
            (at(&summary.latency, 0.99), "send to ack, 99 %"),
            (at(&summary.send_time, 0.5), "send call, median"),
            (at(&summary.send_time, 0.99), "send call, 99 %"),
            (time(summary.cpu_ns_per_record()), "client CPU per record"),
            (bytes(summary.max_rss as f64), "most resident memory"),
        ];
        let mut out = String::new();
        for (figure, name) in tiles {
            let _ = writeln!(out, "<div class=\"tile\"><b>{}</b><span>{name}</span></div>", escaped(&figure));
        }
        out
    }

    fn charts(&self) -> String {
        let end = self.intervals.last().map_or(0.0, |last| last.to.as_secs_f64());
        let steps = |value: &dyn Fn(&Interval) -> Option<f64>| -> Vec<_> {
            let seconds = |time: Duration| time.as_secs_f64();
            self.intervals.iter().map(|one| (seconds(one.from), seconds(one.to), value(one))).collect()
        };
        let seconds = || Axis::linear_to(end, |seconds| format!("{} s", short_seconds(seconds)));
        let hover = |lines: &dyn Fn(&Interval) -> Vec<String>| -> Vec<_> {
            let at = |one: &Interval| f64::midpoint(one.from.as_secs_f64(), one.to.as_secs_f64());
            let first = |one: &Interval| format!("{:.2} to {:.2} s", one.from.as_secs_f64(), one.to.as_secs_f64());
            self.intervals.iter().map(|one| (at(one), [vec![first(one)], lines(one)].concat())).collect()
        };
        let highest = |value: &dyn Fn(&Interval) -> f64| self.intervals.iter().map(value).fold(0.0, f64::max);
        let size = self.summary.record_size as f64;
        let throughput = Chart {
            title: "Throughput",
            x: seconds(),
            y: Axis::linear(highest(&Interval::per_second), short),
            series: vec![Series { name: "records/s", class: "a", points: steps(&|one| Some(one.per_second())) }],
            hover: hover(&|one| {
                let rate = one.per_second();
                vec![format!("{} records/s", grouped(rate as u64)), format!("{} MB/s", short(rate * size / 1e6))]
            }),
            is_filled: true,
        };
        let latencies: Vec<Latency> = self.intervals.iter().filter_map(|one| one.latency).collect();
        let lowest = latencies.iter().map(|one| one.p50).min().unwrap_or(1) as f64;
        let slowest = latencies.iter().map(|one| one.max).max().unwrap_or(1) as f64;
        let of = |part: fn(Latency) -> u64| {
            let mut points = steps(&|one| one.latency.map(|latency| part(latency) as f64));
            points.retain(|(_, _, value)| value.is_some());
            points
        };
        let latency = Chart {
            title: "Send to acknowledgement",
            x: seconds(),
            y: Axis::log(lowest, slowest, time),
            series: vec![
                Series { name: "max", class: "c", points: of(|latency| latency.max) },
                Series { name: "99 %", class: "b", points: of(|latency| latency.p99) },
                Series { name: "50 %", class: "a", points: of(|latency| latency.p50) },
            ],
            hover: hover(&|one| match one.latency {
                None => vec!["no sample".to_owned()],
                Some(latency) => [("50 %", latency.p50), ("99 %", latency.p99), ("max", latency.max)]
                    .map(|(name, value)| format!("{name}: {}", time(value as f64)))
                    .into(),
            }),
            is_filled: false,
        };
        let total = self.gauges.buffer_total as f64;
        let buffer = Chart {
            title: "Buffer in use",
            x: seconds(),
            y: Axis::with_ticks(
                0.0,
                total,
                [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| (part * total, bytes(part * total))).into(),
            ),
            series: vec![Series { name: "in use", class: "a", points: steps(&|one| Some(one.buffer_used as f64)) }],
            hover: hover(&|one| {
                let waiting =
                    if one.waiting == 1 { "1 sender waits" } else { &format!("{} senders wait", one.waiting) };
                vec![format!("{} in use", bytes(one.buffer_used as f64)), waiting.to_owned()]
            }),
            is_filled: true,
        };
        let in_flight = Chart {
            title: "Requests in flight",
            x: seconds(),
            y: Axis::linear(highest(&|one| one.in_flight as f64).max(5.0), short),
            series: vec![Series { name: "requests", class: "a", points: steps(&|one| Some(one.in_flight as f64)) }],
            hover: hover(&|one| vec![format!("{} requests without an answer", one.in_flight)]),
            is_filled: true,
        };
        [
            throughput.figure(""),
            latency.figure(
                "Of the records that were acknowledged in an interval; the line spans those in which none was.",
            ),
            buffer.figure("At the end of each interval."),
            in_flight.figure("At the end of each interval."),
        ]
        .concat()
    }

    fn latencies(&self) -> String {
        let (send, ack) = (&self.summary.send_time, &self.summary.latency);
        let nines = |histogram: &Histogram<u64>| (histogram.len().max(1) as f64).log10();
        let end = nines(send).max(nines(ack)).clamp(1.0, 6.0);
        let curve = |histogram: &Histogram<u64>| -> Vec<_> {
            let steps = 120;
            let places = (0..=steps).map(|step| f64::from(step) * end / f64::from(steps));
            places
                .filter(|place| *place <= nines(histogram) + 1e-9 && !histogram.is_empty())
                .map(|place| (place, place, Some(histogram.value_at_quantile(1.0 - 10_f64.powf(-place)) as f64)))
                .collect()
        };
        let names = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
        let ticks = names.iter().enumerate().map(|(nine, name)| (nine as f64, (*name).to_owned()));
        let ticks = ticks.filter(|(place, _)| *place <= end).collect();
        let hover = (0..=120).map(|step| f64::from(step) * end / 120.0).map(|place| {
            let quantile = 1.0 - 10_f64.powf(-place);
            let line = |name, histogram: &Histogram<u64>| {
                format!("{name}: {}", time(histogram.value_at_quantile(quantile) as f64))
            };
            (place, vec![format!("{:.4} %", quantile * 100.0), line("send call", send), line("send to ack", ack)])
        });
        let chart = Chart {
            title: "Latency by percentile",
            x: Axis::with_ticks(0.0, end, ticks),
            y: Axis::log(send.min().min(ack.min()) as f64, send.max().max(ack.max()) as f64, time),
            series: vec![
                Series { name: "send to ack", class: "b", points: curve(ack) },
                Series { name: "send call", class: "a", points: curve(send) },
            ],
            hover: hover.collect(),
            is_filled: false,
        };
        let rows: Vec<_> = QUANTILES
            .iter()
            .map(|(name, quantile)| {
                let at = |histogram: &Histogram<u64>| time(histogram.value_at_quantile(*quantile) as f64);
                vec![(*name).to_owned(), at(send), at(ack)]
            })
            .chain([vec!["mean".to_owned(), time(send.mean()), time(ack.mean())]])
            .chain([vec!["records timed".to_owned(), grouped(send.len()), grouped(ack.len())]])
            .collect();
        let head = ["percentile", "send call", "send to ack"];
        format!("{}{}", chart.figure("Each step to the right is a tenth of the records."), table(&head, &rows, true))
    }

    fn brokers(&self) -> String {
        if self.gauges.brokers.is_empty() {
            return String::new();
        }
        let head = ["broker", "requests", "sent", "latency 50 %", "99 %", "max", "throttled"];
        let milliseconds = |value: f64| time(value * 1e6);
        let rows: Vec<_> = self
            .gauges
            .brokers
            .iter()
            .map(|broker| {
                let none = || "–".to_owned();
                let of =
                    |part: fn((f64, f64, f64)) -> f64| broker.latency.map_or_else(none, |all| milliseconds(part(all)));
                vec![
                    format!("{} at {}", broker.id, broker.address),
                    grouped(broker.requests),
                    bytes(broker.bytes as f64),
                    of(|latency| latency.0),
                    of(|latency| latency.1),
                    of(|latency| latency.2),
                    if broker.throttled > 0.0 { milliseconds(broker.throttled) } else { none() },
                ]
            })
            .collect();
        format!(
            "<section id=\"brokers\">\n<h2>Brokers</h2>\n{}<p class=\"sub\">{}</p>\n</section>\n",
            table(&head, &rows, true),
            "Latency: of Produce requests, in the last 30 to 60 seconds of the run."
        )
    }

    fn data(&self, now: u64, machine: &[Vec<String>]) -> Value {
        let percentiles = |histogram: &Histogram<u64>| -> Value {
            let at = |quantile| json!(histogram.value_at_quantile(quantile));
            QUANTILES
                .iter()
                .map(|(name, quantile)| ((*name).to_owned(), at(*quantile)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let intervals: Vec<_> = self
            .intervals
            .iter()
            .map(|one| {
                json!({
                    "from_s": one.from.as_secs_f64(),
                    "to_s": one.to.as_secs_f64(),
                    "acked": one.acked,
                    "failed": one.failed,
                    "ack_ns": one.latency.map(|latency| json!({"p50": latency.p50, "p99": latency.p99, "max": latency.max})),
                    "buffer_used_bytes": one.buffer_used,
                    "requests_in_flight": one.in_flight,
                    "waiting_senders": one.waiting,
                })
            })
            .collect();
        let pairs = |rows: &[Vec<String>]| -> Value {
            rows.iter().map(|row| (row[0].clone(), json!(row[1]))).collect::<serde_json::Map<_, _>>().into()
        };
        json!({
            "unix_time": now,
            "summary": self.summary.json(),
            "send_ns": percentiles(&self.summary.send_time),
            "ack_ns": percentiles(&self.summary.latency),
            "buffer_total_bytes": self.gauges.buffer_total,
            "intervals": intervals,
            "brokers": self.gauges.brokers.iter().map(broker).collect::<Vec<_>>(),
            "run": pairs(&self.run),
            "settings": pairs(&self.settings),
            "machine": pairs(machine),
        })
    }
}

fn broker(broker: &Broker) -> Value {
    let latency = broker.latency.map(|(p50, p99, max)| json!({"p50": p50, "p99": p99, "max": max}));
    json!({
        "id": broker.id,
        "address": broker.address,
        "requests": broker.requests,
        "sent_bytes": broker.bytes,
        "request_latency_ms": latency,
        "throttled_ms": broker.throttled,
    })
}

fn short_seconds(seconds: f64) -> String {
    let text = format!("{seconds:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
