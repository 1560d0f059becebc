//! The one JSON object that a driver writes.

use crate::calls::Calls;
use crate::histogram::Histogram;
use crate::tally::Moment;
use crate::usage;
use std::collections::BTreeMap;

pub(crate) struct Result<'a> {
    pub(crate) client: &'a str,
    pub(crate) records: u64,
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
    pub(crate) calls: Calls,
    pub(crate) latency: Histogram,
    pub(crate) threads: Threads,
}

/// What each thread of the client used that was there before and after.
#[derive(Debug, Default)]
pub(crate) struct Threads(BTreeMap<String, u64>);

impl Threads {
    pub(crate) fn since(before: &BTreeMap<String, u64>) -> Self {
        let used = |(name, after): (String, u64)| before.get(&name).map(|before| (name, after.saturating_sub(*before)));
        Self(usage::threads().into_iter().filter_map(used).collect())
    }

    /// `{"NAME":nanoseconds,…}`.
    fn json(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(name, time)| format!("\"{name}\":{time}")).collect();
        format!("{{{}}}", words.join(","))
    }
}

impl Result<'_> {
    pub(crate) fn print(&self, start: Moment, end: Moment) {
        println!(
            "{{\"client\":\"{}\",\"records\":{},\"acknowledged\":{},\"failed\":{},\"seconds\":{:.6},\"cpu_ns\":{},\
             \"max_rss_bytes\":{},\"threads_ns\":{},\"send_ns\":{},\"send_first_ns\":{},\"send_settled_ns\":{},\"ack_ns\":{}}}",
            self.client,
            self.records,
            self.acknowledged,
            self.failed,
            (end.at - start.at).as_secs_f64(),
            end.cpu.saturating_sub(start.cpu).as_nanos(),
            usage::max_rss(),
            self.threads.json(),
            self.calls.all.json(),
            self.calls.first.json(),
            self.calls.settled.json(),
            self.latency.json(),
        );
    }
}

/// Measures work that is no client's: nothing of it fails, and no call is timed by itself.
#[derive(Debug)]
pub struct Meter {
    start: Moment,
}

impl Meter {
    /// Begins.
    pub fn start() -> Self {
        Self { start: Moment::now() }
    }

    /// Ends and writes the result to standard output, with how long answers took.
    pub fn print(self, client: &str, records: u64, latency: Histogram) {
        let result = Result {
            client,
            records,
            acknowledged: records,
            failed: 0,
            calls: Calls::default(),
            latency,
            threads: Threads::default(),
        };
        result.print(self.start, Moment::now());
    }
}
