//! The one JSON object that a driver writes.

use crate::calls::Calls;
use crate::histogram::Histogram;
use crate::tally::Moment;
use crate::usage;

pub(crate) struct Result<'a> {
    pub(crate) client: &'a str,
    pub(crate) records: u64,
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
    pub(crate) calls: Calls,
    pub(crate) latency: Histogram,
}

impl Result<'_> {
    pub(crate) fn print(&self, start: Moment, end: Moment) {
        println!(
            "{{\"client\":\"{}\",\"records\":{},\"acknowledged\":{},\"failed\":{},\"seconds\":{:.6},\"cpu_ns\":{},\
             \"max_rss_bytes\":{},\"send_ns\":{},\"send_first_ns\":{},\"send_settled_ns\":{},\"ack_ns\":{}}}",
            self.client,
            self.records,
            self.acknowledged,
            self.failed,
            (end.at - start.at).as_secs_f64(),
            end.cpu.saturating_sub(start.cpu).as_nanos(),
            usage::max_rss(),
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
        let result = Result { client, records, acknowledged: records, failed: 0, calls: Calls::default(), latency };
        result.print(self.start, Moment::now());
    }
}
