//! The figures at the end, as text or JSON.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// What a run measured.
#[derive(Debug)]
pub(super) struct Summary {
    /// Records that `send` took.
    pub(super) sent: u64,
    pub(super) acked: u64,
    /// Records that `send` refused, that were not delivered, or that were not tried any more.
    pub(super) failed: u64,
    /// First send to last outcome.
    pub(super) time: Duration,
    pub(super) cpu: Duration,
    pub(super) max_rss: u64,
    pub(super) record_size: usize,
    pub(super) send_time: Histogram<u64>,
    pub(super) latency: Histogram<u64>,
    pub(super) sample_every: u32,
    pub(super) overhead_ns: f64,
    /// CPU time that the live view and the report took meanwhile.
    pub(super) watching: Duration,
}

impl Summary {
    pub(super) fn per_second(&self) -> f64 {
        self.acked as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Millions of value bytes.
    pub(super) fn megabytes_per_second(&self) -> f64 {
        self.per_second() * self.record_size as f64 / 1e6
    }

    pub(super) fn cpu_ns_per_record(&self) -> f64 {
        self.cpu.as_nanos() as f64 / (self.acked.max(1)) as f64
    }

    /// The machine-readable form. Its fields are a contract: add none, drop none.
    pub(super) fn json(&self) -> Value {
        json!({
            "records_sent": self.sent,
            "records_acked": self.acked,
            "records_failed": self.failed,
            "seconds": rounded(self.time.as_secs_f64(), 6),
            "records_per_sec": rounded(self.per_second(), 1),
            "mb_per_sec": rounded(self.megabytes_per_second(), 3),
            "cpu_seconds": rounded(self.cpu.as_secs_f64(), 6),
            "cpu_ns_per_record": rounded(self.cpu_ns_per_record(), 2),
            "max_rss_bytes": self.max_rss,
            "send_ns": percentiles(&self.send_time, 1),
            "ack_us": percentiles(&self.latency, 1_000),
        })
    }
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

fn percentiles(histogram: &Histogram<u64>, unit: u64) -> Value {
    QUANTILES
        .iter()
        .map(|(name, quantile)| ((*name).to_owned(), json!(histogram.value_at_quantile(*quantile) / unit)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |histogram: &Histogram<u64>, unit: u64| {
            let [p50, p99, p999, max] =
                QUANTILES.map(|(_, quantile)| grouped(histogram.value_at_quantile(quantile) / unit));
            format!("p50 {p50}   p99 {p99}   p99.9 {p999}   max {max}")
        };
        writeln!(
            f,
            "records       {} sent, {} acknowledged, {} failed",
            grouped(self.sent),
            grouped(self.acked),
            grouped(self.failed)
        )?;
        writeln!(f, "time          {:.3} s", self.time.as_secs_f64())?;
        writeln!(
            f,
            "throughput    {} records/s, {:.1} MB/s",
            grouped(self.per_second() as u64),
            self.megabytes_per_second()
        )?;
        writeln!(
            f,
            "client CPU    {:.1} ns per record ({:.3} s, user and system)",
            self.cpu_ns_per_record(),
            self.cpu.as_secs_f64()
        )?;
        writeln!(f, "max RSS       {:.1} MiB", self.max_rss as f64 / 1_048_576.0)?;
        writeln!(f, "send call     ns  {}", line(&self.send_time, 1))?;
        writeln!(f, "send to ack   µs  {}", line(&self.latency, 1_000))?;
        let sampled = if self.sample_every > 1 {
            format!("1 record in {}", self.sample_every)
        } else {
            "every record".to_owned()
        };
        write!(
            f,
            "measured      {sampled}; making values and measuring cost about {:.1} ns per record of the above",
            self.overhead_ns
        )?;
        if self.watching.is_zero() {
            return Ok(());
        }
        let part = 100.0 * self.watching.as_secs_f64() / self.cpu.as_secs_f64().max(1e-9);
        write!(f, "\nwatched       for {:.1} ms of CPU, {part:.1} % of the above", self.watching.as_secs_f64() * 1e3)
    }
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Summary, grouped};
    use crate::perf::tracker::nanosecond_histogram;
    use std::time::Duration;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn figures_are_per_acknowledged_record() {
        let mut latency = nanosecond_histogram();
        latency.saturating_record(5_000_000);
        let summary = Summary {
            sent: 110,
            acked: 100,
            failed: 10,
            time: Duration::from_millis(500),
            cpu: Duration::from_micros(10),
            max_rss: 7,
            record_size: 50,
            send_time: nanosecond_histogram(),
            latency,
            sample_every: 1,
            overhead_ns: 1.0,
            watching: Duration::from_micros(1),
        };
        let json = summary.json();
        assert_eq!(json["records_per_sec"], 200.0);
        assert_eq!(json["mb_per_sec"], 0.01);
        assert_eq!(json["cpu_ns_per_record"], 100.0);
        assert_eq!(json["max_rss_bytes"], 7);
        let p50 = json["ack_us"]["p50"].as_u64().expect("a whole number");
        assert!((4_990..5_010).contains(&p50), "{p50}");
        assert_eq!(json["send_ns"]["max"], 0);
        let text = summary.to_string();
        assert!(text.contains("110 sent, 100 acknowledged, 10 failed"), "{text}");
        assert!(text.ends_with("watched       for 0.0 ms of CPU, 10.0 % of the above"), "{text}");
    }
}
