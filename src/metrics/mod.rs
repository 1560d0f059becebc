//! What a producer measures of itself: [`Producer::metrics`](crate::Producer::metrics).
//!
//! Names and meanings are those of Kafka's Java client, so that dashboards, alerts and habits carry over; `docs/operating.md`
//! says of each what it means when it is red. Averages, maxima, quantiles and rates are of the last samples
//! (`metrics.sample.window.ms` × `metrics.num.samples`, by default the last 30 to 60 seconds); totals are since the start.
//!
//! Nothing is counted for a single record, and nothing by a thread that sends, unless it waits anyhow: the I/O thread counts
//! batches, requests and answers, into memory that has its size from the start.

#[cfg(feature = "metrics")]
mod facade;
mod names;
mod prometheus;
mod read;
mod reporter;
#[cfg(feature = "statistics")]
mod statistics;
mod write;

pub use names::{Figure, Group, Kind};
pub(crate) use read::{Measured, Source};
pub(crate) use reporter::Reporter;

use crate::config::Config;
use std::sync::Arc;
use std::time::Duration;

/// The figures of a producer at a moment. Made by [`Producer::metrics`](crate::Producer::metrics).
///
/// Each figure is exact as of a moment of the reading; two figures may be of moments a little apart.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// `client.id`.
    pub client_id: String,
    /// Since the producer was built.
    pub age: Duration,

    /// `buffer-total-bytes`: `buffer.memory`, in whole segments.
    pub buffer_total_bytes: u64,
    /// `buffer-available-bytes`: what is free of it.
    pub buffer_available_bytes: u64,
    /// `waiting-threads`: senders that wait for memory now.
    pub waiting_threads: u64,
    /// `buffer-exhausted-*`: sends that were refused because there was no memory for the record: at once (`try_send`), or
    /// when the wait was over.
    pub buffer_exhausted: Rate,
    /// `bufferpool-wait-time-ns-total`: how long all sending threads together have waited for memory.
    pub bufferpool_wait_time: Duration,
    /// `bufferpool-wait-ratio`: the part of the last samples' time for which a thread waited for memory; above 1 if several
    /// did.
    pub bufferpool_wait_ratio: f64,
    /// `metadata-wait-time-ns-total`: how long all threads together have waited for a topic's metadata.
    pub metadata_wait_time: Duration,
    /// `flush-time-ns-total`: how long all threads together have waited in `flush`.
    pub flush_time: Duration,

    /// `batch-size-*`: bytes of a partition's batch as it is sent, header included.
    pub batch_size: Summary,
    /// `batch-split-*`: batches that became several because a broker found them too large.
    pub batch_split: Rate,
    /// `compression-rate-avg`: bytes of a batch's records as they are sent, to those before compression; 1 without
    /// compression.
    pub compression_rate_avg: f64,
    /// `records-per-request-*`.
    pub records_per_request: Summary,
    /// `record-size-avg`: bytes of a record before compression, of all records since the start.
    pub record_size_avg: f64,
    /// `record-queue-time-*`: milliseconds from the send of a batch's oldest record to the batch's first request. To be safe
    /// it counts from the earliest moment at which that record may have been sent.
    pub record_queue_time: Summary,

    /// `record-send-*`: records in Produce requests; a record that is sent again counts again.
    pub record_send: Rate,
    /// `record-retry-*`: records of batches that were put back to be sent again.
    pub record_retry: Rate,
    /// `record-error-*`: records that failed.
    pub record_error: Rate,
    /// Records that were delivered. (Not one of Java's.)
    pub record_delivered: Rate,

    /// `request-*`: requests of any kind.
    pub request: Rate,
    /// `response-*`: answers of any kind.
    pub response: Rate,
    /// `request-size-*`: bytes of a request of any kind.
    pub request_size: Summary,
    /// `request-latency-*`: milliseconds from when a Produce request was made to its answer.
    pub request_latency: Summary,
    /// `requests-in-flight`: requests of any kind that have no answer yet.
    pub requests_in_flight: u64,
    /// `produce-throttle-time-*`: milliseconds for which brokers asked for silence. Answers that ask for none are not counted.
    pub produce_throttle_time: Summary,

    /// `connection-count`: open connections.
    pub connection_count: u64,
    /// `connection-creation-*`: connections that were opened.
    pub connection_creation: Rate,
    /// `connection-close-*`: connections that were open and were closed.
    pub connection_close: Rate,
    /// Connections that could not be opened, or ended by an error. (Not one of Java's.)
    pub connection_failure: Rate,
    /// `successful-authentication-*`: handshakes after which a broker has believed who we are (SASL), renewals included.
    pub successful_authentication: Rate,
    /// `failed-authentication-*`: connections on which one side did not believe the other (SASL or TLS).
    pub failed_authentication: Rate,

    /// `incoming-byte-*`: before encryption.
    pub incoming_bytes: Rate,
    /// `outgoing-byte-*`: before encryption.
    pub outgoing_bytes: Rate,
    /// `network-io-*`: reads and writes of sockets that moved something.
    pub network_io: Rate,
    /// `select-*`: how often an I/O thread has looked for events.
    pub select: Rate,
    /// `io-time-ns-total`: how long the I/O threads together have been at work.
    pub io_time: Duration,
    /// `io-ratio`: the part of the last samples' time for which one was: the mean, if there are several.
    pub io_ratio: f64,
    /// `io-wait-time-ns-total`: how long they have slept.
    pub io_wait_time: Duration,
    /// `io-wait-ratio`: the part of the last samples' time for which one did.
    pub io_wait_ratio: f64,
    /// `metadata-age`: since metadata was learned last (of several I/O threads: by that for which it is longest ago); since the start, if it
    /// never was.
    pub metadata_age: Duration,

    /// Each broker that a connection was tried with, bootstrap servers included.
    pub nodes: Vec<NodeMetrics>,
    /// Each topic in use.
    pub topics: Vec<TopicMetrics>,
}

/// A statistics callback.
pub(crate) type OnStatistics = Box<dyn FnMut(&str) + Send>;

/// Starts what tells the figures on an interval, if that is asked for.
pub(crate) fn report(
    config: &Config,
    source: Source,
    on_statistics: Option<OnStatistics>,
) -> std::io::Result<Option<Reporter>> {
    #[cfg_attr(
        not(any(feature = "statistics", feature = "metrics")),
        expect(unused_mut, reason = "nobody adds a task")
    )]
    let mut tasks = Vec::new();
    #[cfg(feature = "statistics")]
    if !config.statistics_interval().is_zero() {
        let mut tell = on_statistics.unwrap_or_else(|| {
            Box::new(|json| tracing::info!(target: "forebay::statistics", statistics = json, "statistics"))
        });
        tasks.push(reporter::Task::new(config.statistics_interval(), move |source| tell(&source.read().to_json())));
    }
    #[cfg(feature = "metrics")]
    if !config.metrics_publish_interval().is_zero() {
        tasks.push(reporter::Task::new(config.metrics_publish_interval(), |source| source.read().publish()));
    }
    #[cfg(not(feature = "statistics"))]
    drop(on_statistics);
    #[cfg(not(any(feature = "statistics", feature = "metrics")))]
    let _ = config;
    Reporter::start(source, tasks)
}

/// One broker's part of [`Metrics`] (Java's `producer-node-metrics`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeMetrics {
    /// Its id in the cluster. A bootstrap server, whose id is not known yet, has one below −1.
    pub node_id: i32,
    /// Its host, as last known.
    pub host: Arc<str>,
    /// Its port, as last known.
    pub port: u16,
    /// There is an open connection.
    pub connected: bool,
    /// Requests of any kind that it has not answered yet.
    pub requests_in_flight: u64,
    /// `request-*`: requests of any kind.
    pub request: Rate,
    /// `response-*`: answers of any kind.
    pub response: Rate,
    /// `request-size-*`: bytes of a request of any kind.
    pub request_size: Summary,
    /// `request-latency-*`: milliseconds from when a Produce request was made to its answer.
    pub request_latency: Summary,
    /// `incoming-byte-*`.
    pub incoming_bytes: Rate,
    /// `outgoing-byte-*`.
    pub outgoing_bytes: Rate,
    /// Milliseconds for which it asked for silence.
    pub throttle_time: Summary,
    /// Connections to it that were opened.
    pub connection_creation: Rate,
    /// Connections to it that could not be opened, or ended by an error.
    pub connection_failure: Rate,
}

/// One topic's part of [`Metrics`] (Java's `producer-topic-metrics`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicMetrics {
    /// Its name.
    pub topic: Arc<str>,
    /// `record-send-*`: records in Produce requests; a record that is sent again counts again.
    pub record_send: Rate,
    /// `byte-*`: bytes of its batches as they were sent.
    pub bytes: Rate,
    /// `compression-rate`: bytes of a batch's records as they are sent, to those before compression; 1 without compression.
    pub compression_rate: f64,
    /// `record-retry-*`: records of batches that were put back to be sent again.
    pub record_retry: Rate,
    /// `record-error-*`: records that failed.
    pub record_error: Rate,
    /// Records that were delivered. (Not one of Java's.)
    pub record_delivered: Rate,
}

/// A figure that only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Since the start (`…-total`).
    pub total: u64,
    /// How much came a second, in the last samples (`…-rate`).
    pub per_second: f64,
}

/// A figure of which there are many values. All but `count` and `sum` are of the last samples, and 0 if those are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Values since the start.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Values in the last samples.
    pub recent: u64,
    /// Their mean (`…-avg`).
    pub avg: f64,
    /// The largest of them (`…-max`).
    pub max: f64,
    /// Half of them are below this. Quantiles are right to within a 16th, and 0 where none are kept: for sizes of requests and
    /// for throttling.
    pub p50: f64,
    /// 95 % of them are.
    pub p95: f64,
    /// 99 % of them are.
    pub p99: f64,
    /// 99.9 % of them are.
    pub p999: f64,
}
