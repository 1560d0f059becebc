//! The figures by name: Java's, for exporters of any kind.

use super::{Metrics, NodeMetrics, Rate, Summary, TopicMetrics};

/// One figure with its name. Given out by [`Metrics::visit`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figure<'a> {
    /// Whose it is.
    pub group: Group,
    /// Java's name, such as `record-send-total`.
    pub name: &'a str,
    /// Whether it only grows.
    pub kind: Kind,
    /// What it counts in: `bytes`, `ms`, `ns`, `s`, `records`, …, or `ratio`.
    pub unit: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// What tells it from others with its name: `client_id`, and `node_id` or `topic`.
    pub labels: &'a [(&'static str, &'a str)],
    /// Its value.
    pub value: f64,
}

/// Whose a figure is: Java's groups of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// `producer-metrics`.
    Producer,
    /// `producer-node-metrics`.
    Node,
    /// `producer-topic-metrics`.
    Topic,
}

impl Group {
    /// What exporters write before a name: `kafka.producer.`, `kafka.producer.node.`, `kafka.producer.topic.`.
    pub fn prefix(self) -> &'static str {
        match self {
            Group::Producer => "kafka.producer.",
            Group::Node => "kafka.producer.node.",
            Group::Topic => "kafka.producer.topic.",
        }
    }
}

/// Whether a figure only grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It only grows, from 0 at the start.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A row of the tables below: one figure, or several with the same stem.
struct Row<T> {
    stem: &'static str,
    unit: &'static str,
    help: &'static str,
    read: Read<T>,
}

enum Read<T> {
    /// `stem`.
    Gauge(fn(&T) -> f64),
    /// `stem`.
    Counter(fn(&T) -> f64),
    /// `stem-total`, `stem-rate`.
    Rate(fn(&T) -> Rate),
    /// `stem-avg`, `stem-max`.
    Summary(fn(&T) -> Summary),
    /// As `Summary`, and `stem-p50`, `-p95`, `-p99`, `-p999`, which Java has not.
    Quantiles(fn(&T) -> Summary),
}

const fn row<T>(stem: &'static str, unit: &'static str, read: Read<T>, help: &'static str) -> Row<T> {
    Row { stem, unit, help, read }
}

fn secs(time: std::time::Duration) -> f64 {
    time.as_secs_f64()
}

fn nanos(time: std::time::Duration) -> f64 {
    time.as_nanos() as f64
}

// A row reads as a row of a table, not one argument a line.
#[rustfmt::skip]
const PRODUCER: &[Row<Metrics>] = &[
    row("buffer-total-bytes", "bytes", Read::Gauge(|m| m.buffer_total_bytes as f64), "the buffer's memory"),
    row("buffer-available-bytes", "bytes", Read::Gauge(|m| m.buffer_available_bytes as f64), "what of it is free"),
    row("waiting-threads", "threads", Read::Gauge(|m| m.waiting_threads as f64), "senders that wait for memory now"),
    row("buffer-exhausted", "records", Read::Rate(|m| m.buffer_exhausted), "sends refused for want of memory"),
    row("bufferpool-wait-time-ns-total", "ns", Read::Counter(|m| nanos(m.bufferpool_wait_time)), "time that senders waited for memory"),
    row("bufferpool-wait-ratio", "ratio", Read::Gauge(|m| m.bufferpool_wait_ratio), "part of the time that senders waited for memory"),
    row("metadata-wait-time-ns-total", "ns", Read::Counter(|m| nanos(m.metadata_wait_time)), "time that threads waited for metadata"),
    row("flush-time-ns-total", "ns", Read::Counter(|m| nanos(m.flush_time)), "time that threads waited for flushes"),
    row("batch-size", "bytes", Read::Quantiles(|m| m.batch_size), "a partition's batch as it is sent"),
    row("batch-split", "batches", Read::Rate(|m| m.batch_split), "batches split because a broker found them too large"),
    row("compression-rate-avg", "ratio", Read::Gauge(|m| m.compression_rate_avg), "bytes of a batch's records as sent, to those before compression"),
    row("records-per-request", "records", Read::Quantiles(|m| m.records_per_request), "records of a Produce request"),
    row("record-size-avg", "bytes", Read::Gauge(|m| m.record_size_avg), "a record before compression"),
    row("record-queue-time", "ms", Read::Quantiles(|m| m.record_queue_time), "from the send of a batch's oldest record to its first request"),
    row("record-send", "records", Read::Rate(|m| m.record_send), "records in Produce requests, repeats included"),
    row("record-retry", "records", Read::Rate(|m| m.record_retry), "records put back to be sent again"),
    row("record-error", "records", Read::Rate(|m| m.record_error), "records that failed"),
    row("record-delivered", "records", Read::Rate(|m| m.record_delivered), "records that were delivered"),
    row("request", "requests", Read::Rate(|m| m.request), "requests of any kind"),
    row("response", "answers", Read::Rate(|m| m.response), "answers of any kind"),
    row("request-size", "bytes", Read::Summary(|m| m.request_size), "a request of any kind"),
    row("request-latency", "ms", Read::Quantiles(|m| m.request_latency), "from when a Produce request was made to its answer"),
    row("requests-in-flight", "requests", Read::Gauge(|m| m.requests_in_flight as f64), "requests without an answer"),
    row("produce-throttle-time", "ms", Read::Summary(|m| m.produce_throttle_time), "pauses that brokers asked for"),
    row("connection-count", "connections", Read::Gauge(|m| m.connection_count as f64), "open connections"),
    row("connection-creation", "connections", Read::Rate(|m| m.connection_creation), "connections that were opened"),
    row("connection-close", "connections", Read::Rate(|m| m.connection_close), "connections that were closed"),
    row("connection-failure", "connections", Read::Rate(|m| m.connection_failure), "connections that failed"),
    row("successful-authentication", "connections", Read::Rate(|m| m.successful_authentication), "SASL handshakes that succeeded"),
    row("failed-authentication", "connections", Read::Rate(|m| m.failed_authentication), "connections on which one side did not believe the other"),
    row("incoming-byte", "bytes", Read::Rate(|m| m.incoming_bytes), "bytes received"),
    row("outgoing-byte", "bytes", Read::Rate(|m| m.outgoing_bytes), "bytes sent"),
    row("network-io", "operations", Read::Rate(|m| m.network_io), "reads and writes of sockets"),
    row("select", "polls", Read::Rate(|m| m.select), "times the I/O thread looked for events"),
    row("io-time-ns-total", "ns", Read::Counter(|m| nanos(m.io_time)), "time that the I/O threads worked"),
    row("io-ratio", "ratio", Read::Gauge(|m| m.io_ratio), "part of the time that an I/O thread worked"),
    row("io-wait-time-ns-total", "ns", Read::Counter(|m| nanos(m.io_wait_time)), "time that the I/O threads slept"),
    row("io-wait-ratio", "ratio", Read::Gauge(|m| m.io_wait_ratio), "part of the time that an I/O thread slept"),
    row("metadata-age", "s", Read::Gauge(|m| secs(m.metadata_age)), "since metadata was learned last"),
];

#[rustfmt::skip]
const NODE: &[Row<NodeMetrics>] = &[
    row("connected", "boolean", Read::Gauge(|n| f64::from(u8::from(n.connected))), "1 while there is an open connection"),
    row("requests-in-flight", "requests", Read::Gauge(|n| n.requests_in_flight as f64), "requests that it has not answered"),
    row("request", "requests", Read::Rate(|n| n.request), "requests of any kind"),
    row("response", "answers", Read::Rate(|n| n.response), "answers of any kind"),
    row("request-size", "bytes", Read::Summary(|n| n.request_size), "a request of any kind"),
    row("request-latency", "ms", Read::Quantiles(|n| n.request_latency), "from when a Produce request was made to its answer"),
    row("incoming-byte", "bytes", Read::Rate(|n| n.incoming_bytes), "bytes received"),
    row("outgoing-byte", "bytes", Read::Rate(|n| n.outgoing_bytes), "bytes sent"),
    row("throttle-time", "ms", Read::Summary(|n| n.throttle_time), "pauses that it asked for"),
    row("connection-creation", "connections", Read::Rate(|n| n.connection_creation), "connections that were opened"),
    row("connection-failure", "connections", Read::Rate(|n| n.connection_failure), "connections that failed"),
];

#[rustfmt::skip]
const TOPIC: &[Row<TopicMetrics>] = &[
    row("record-send", "records", Read::Rate(|t| t.record_send), "records in Produce requests, repeats included"),
    row("byte", "bytes", Read::Rate(|t| t.bytes), "bytes of batches as sent"),
    row("compression-rate", "ratio", Read::Gauge(|t| t.compression_rate), "bytes of a batch's records as sent, to those before compression"),
    row("record-retry", "records", Read::Rate(|t| t.record_retry), "records put back to be sent again"),
    row("record-error", "records", Read::Rate(|t| t.record_error), "records that failed"),
    row("record-delivered", "records", Read::Rate(|t| t.record_delivered), "records that were delivered"),
];

impl Metrics {
    /// Shows every figure under Java's name, those of the producer first, then of each broker and each topic. Figures with
    /// one name come one after the other.
    pub fn visit(&self, mut show: impl FnMut(&Figure<'_>)) {
        let client = ("client_id", self.client_id.as_str());
        for row in PRODUCER {
            row.show(Group::Producer, &[(self, &[client])], &mut show);
        }
        let ids: Vec<String> = self.nodes.iter().map(|node| node.node_id.to_string()).collect();
        let labels: Vec<_> = ids.iter().map(|id| [client, ("node_id", id.as_str())]).collect();
        let nodes: Vec<_> = self.nodes.iter().zip(labels.iter().map(|l| &l[..])).collect();
        for row in NODE {
            row.show(Group::Node, &nodes, &mut show);
        }
        let labels: Vec<_> = self.topics.iter().map(|topic| [client, ("topic", &*topic.topic)]).collect();
        let topics: Vec<_> = self.topics.iter().zip(labels.iter().map(|l| &l[..])).collect();
        for row in TOPIC {
            row.show(Group::Topic, &topics, &mut show);
        }
    }
}

impl<T> Row<T> {
    /// Shows a row's figures of all that have them.
    fn show(&self, group: Group, of: &[(&T, &[(&'static str, &str)])], show: &mut impl FnMut(&Figure<'_>)) {
        let mut put = |suffix: &str, kind, value: &dyn Fn(&T) -> f64| {
            let name = format!("{}{suffix}", self.stem);
            for (one, labels) in of {
                show(&Figure { group, name: &name, kind, unit: self.unit, help: self.help, labels, value: value(one) });
            }
        };
        match &self.read {
            Read::Gauge(read) => put("", Kind::Gauge, read),
            Read::Counter(read) => put("", Kind::Counter, read),
            Read::Rate(read) => {
                put("-total", Kind::Counter, &|one| read(one).total as f64);
                put("-rate", Kind::Gauge, &|one| read(one).per_second);
            }
            Read::Summary(read) | Read::Quantiles(read) => {
                put("-avg", Kind::Gauge, &|one| read(one).avg);
                put("-max", Kind::Gauge, &|one| read(one).max);
                if matches!(self.read, Read::Quantiles(_)) {
                    put("-p50", Kind::Gauge, &|one| read(one).p50);
                    put("-p95", Kind::Gauge, &|one| read(one).p95);
                    put("-p99", Kind::Gauge, &|one| read(one).p99);
                    put("-p999", Kind::Gauge, &|one| read(one).p999);
                }
            }
        }
    }
}
