//! The command line of `forebay perf`.

use super::summary::grouped;
use crate::options::ProducerOptions;
use clap::ValueEnum;
use forebay_mock_broker::FaultSpec;
use std::path::PathBuf;

/// Senders beyond this are a slip of the keyboard.
const MOST_SENDERS: u32 = 1_024;

const LONG_HELP: &str = "\
Records are spread round robin over the partitions by each sender. Their values are made beforehand and carry the sender and a sequence.

What is measured: client CPU is user and system time of this whole process from the first send to the last acknowledgement; the embedded
broker is another process. At saturation (--throughput -1) about 10,000 records are timed, and at least one in 1,024, at random; with a
rate every record is. The send-to-ack time begins before the call of send, so it includes any wait for memory. The summary ends with what
making values and measuring cost per record, timed on the spot before the run: at saturation a few nanoseconds.

The live view and the report look at the run from a thread of its own, five and up to fifty times a second, and do nothing for a record.
What that took of this process's CPU time is told at the end, and is part of the client CPU.

With a rate, a sender that is ahead of it by less than 0.2 ms does not pause: records may go out in bursts of that length.

The first ctrl-C or SIGTERM ends the sending; what is on its way is waited for, and the summary is of what was done until then. The
second one ends it at once.

The JSON object on standard output has the fields records_sent, records_acked, records_failed, seconds, records_per_sec, mb_per_sec,
cpu_seconds, cpu_ns_per_record, max_rss_bytes, and send_ns and ack_us with p50, p99, p999 and max.

Exit status:
  0    every record was acknowledged and, with the embedded broker, arrived as it was sent
  1    a record was not acknowledged or did not arrive as it was sent
  2    the command line or the configuration is wrong; nothing was sent
  3    no broker could be reached, or none lets this client in or knows the topic; nothing was sent
  130  interrupted (ctrl-C, SIGINT); 143 for SIGTERM";

#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) producer: ProducerOptions,

    /// The topic to send to.
    #[arg(long, default_value = "forebay-perf")]
    pub(super) topic: String,

    /// How many records to send, by all senders together.
    #[arg(long, value_name = "N", default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) num_records: u64,

    /// Size of each record's value in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    pub(super) record_size: u32,

    /// Records per second, by all senders together; -1 is as fast as it goes.
    #[arg(long, value_name = "R", default_value_t = -1.0, allow_negative_numbers = true, value_parser = throughput)]
    pub(super) throughput: f64,

    /// Sending threads, each with its own sender.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SENDERS)))]
    pub(super) senders: u32,

    /// Send to the first so many partitions. Default: all of the topic's; the embedded broker's topics have 1 unless this says more.
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) partitions: Option<u32>,

    /// Make the embedded broker misbehave; may be given many times. `forebay mock-broker --help` lists the forms.
    #[arg(long, value_name = "FAULT")]
    pub(super) fault: Vec<FaultSpec>,

    /// How to write the summary to standard output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,

    /// Write the run as a page for a browser: figures over time, percentiles, settings, machine. One file, with everything in it.
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,

    /// Draw nothing while it runs. Without this, and with --format text, a run on a terminal shows its figures on standard error.
    #[arg(long)]
    pub(super) no_live: bool,
}

impl Args {
    /// The options, by name, for the report.
    pub(super) fn rows(&self, partitions: u32, servers: &str) -> Vec<Vec<String>> {
        let faults: Vec<String> = self.fault.iter().map(ToString::to_string).collect();
        let rate = if self.throughput > 0.0 {
            format!("{} records/s", self.throughput)
        } else {
            "as fast as it goes".to_owned()
        };
        [
            ("records", grouped(self.num_records)),
            ("record size", format!("{} B", grouped(u64::from(self.record_size)))),
            ("rate", rate),
            ("senders", self.senders.to_string()),
            ("topic", self.topic.clone()),
            ("partitions", partitions.to_string()),
            ("brokers", servers.to_owned()),
            ("faults of the broker", faults.join(", ")),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect()
    }

    /// In one sentence: what is sent to where.
    pub(super) fn sentence(&self, partitions: u32, servers: &str) -> String {
        format!(
            "{} of {} B to {} of topic {} at {servers}, {}",
            counted(self.num_records, "record"),
            grouped(u64::from(self.record_size)),
            counted(u64::from(partitions), "partition"),
            self.topic,
            counted(u64::from(self.senders), "sender")
        )
    }
}

fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs: one object.
    Json,
}

fn throughput(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        _ if text == "-1" => Ok(-1.0),
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("write a number above 0, or -1 for as fast as it goes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::throughput;

    #[test]
    fn a_rate_is_positive_or_minus_one() {
        assert_eq!(throughput("-1"), Ok(-1.0));
        assert_eq!(throughput("0.5"), Ok(0.5));
        for text in ["0", "-2", "inf", "NaN", "fast"] {
            assert!(throughput(text).is_err(), "{text}");
        }
    }
}
