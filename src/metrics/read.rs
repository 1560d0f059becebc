//! From what is counted to what is told.

use super::{Metrics, NodeMetrics, Rate, Summary, TopicMetrics};
use crate::Producer;
use forebay_engine::Engine;
use forebay_io::driver::Clock;
use forebay_io::metrics::{Meters, NodeMeters, Reading, Series, TopicMeters};
use forebay_io::time::Time;
use std::sync::Arc;
use std::time::Duration;

impl Producer {
    /// The producer's figures now. They stay readable after the close.
    ///
    /// Waits for nothing and holds nothing up: the I/O thread goes on while they are read. It reads every sample of every
    /// broker and topic and allocates the answer: for each second or each scrape, not for each record.
    ///
    /// ```no_run
    /// # fn demo(producer: &forebay::Producer) {
    /// let metrics = producer.metrics();
    /// println!("{:.0} records/s, {} of {} bytes free", metrics.record_delivered.per_second,
    ///     metrics.buffer_available_bytes, metrics.buffer_total_bytes);
    /// for node in &metrics.nodes {
    ///     println!("node {}: {} in flight, {:.1} ms", node.node_id, node.requests_in_flight, node.request_latency.avg);
    /// }
    /// # }
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.inner.source.read()
    }

    /// The figures now as one line of JSON, as the statistics callback gets them: [`Metrics::to_json`].
    #[cfg(feature = "statistics")]
    pub fn statistics(&self) -> String {
        self.metrics().to_json()
    }
}

/// Where figures come from. It keeps no producer open.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) client_id: Arc<str>,
    pub(crate) engine: Engine,
    pub(crate) meters: Arc<Meters>,
    pub(crate) clock: Clock,
}

impl Source {
    pub(crate) fn read(&self) -> Metrics {
        read(self)
    }
}

fn read(source: &Source) -> Metrics {
    let (meters, now) = (&source.meters, source.clock.now());
    let totals = &meters.totals;
    let rate = |series: &Series| rate(&series.read(now));
    let sizes = |series: &Series| summary(&series.read(now), 1.0);
    let times = |series: &Series| summary(&series.read(now), MICROS_PER_MS);
    let plain = totals.plain_bytes.sum();
    let records = totals.record_send.sum();
    let (awake, asleep) = (totals.io_time_ns.read(now), totals.io_wait_ns.read(now));
    Metrics {
        client_id: source.client_id.as_ref().to_owned(),
        age: now.since(Time::ZERO),
        buffer_total_bytes: source.engine.total_bytes() as u64,
        buffer_available_bytes: source.engine.available_bytes() as u64,
        waiting_threads: source.engine.waiting_senders() as u64,
        buffer_exhausted: rate(&totals.buffer_exhausted),
        bufferpool_wait_time: Duration::from_nanos(totals.buffer_wait_ns.sum()),
        bufferpool_wait_ratio: ratio(&totals.buffer_wait_ns.read(now)),
        metadata_wait_time: Duration::from_nanos(totals.metadata_wait_ns.sum()),
        flush_time: Duration::from_nanos(totals.flush_ns.sum()),
        batch_size: sizes(&totals.batch_size),
        batch_split: rate(&totals.batch_split),
        compression_rate_avg: compression(&totals.compression, now),
        records_per_request: sizes(&totals.records_per_request),
        record_size_avg: if records == 0 { 0.0 } else { plain as f64 / records as f64 },
        record_queue_time: times(&totals.queue_time),
        record_send: rate(&totals.record_send),
        record_retry: rate(&totals.record_retry),
        record_error: rate(&totals.record_error),
        record_delivered: rate(&totals.record_delivered),
        request: rate(&totals.requests),
        response: rate(&totals.responses),
        request_size: sizes(&totals.request_size),
        request_latency: times(&totals.request_latency),
        requests_in_flight: totals.in_flight.get(),
        produce_throttle_time: sizes(&totals.throttle),
        connection_count: totals.connections.get(),
        connection_creation: rate(&totals.connection_creation),
        connection_close: rate(&totals.connection_close),
        connection_failure: rate(&totals.connection_failure),
        successful_authentication: rate(&totals.authentication_success),
        failed_authentication: rate(&totals.authentication_failure),
        incoming_bytes: rate(&totals.incoming_bytes),
        outgoing_bytes: rate(&totals.outgoing_bytes),
        network_io: rate(&totals.network_io),
        select: Rate { total: asleep.count, per_second: asleep.recent_count as f64 / asleep.seconds },
        io_time: Duration::from_nanos(awake.sum),
        io_ratio: ratio(&awake),
        io_wait_time: Duration::from_nanos(asleep.sum),
        io_wait_ratio: ratio(&asleep),
        metadata_age: now.since(Time(totals.metadata_at.get())),
        nodes: nodes(meters, now),
        topics: topics(meters, now),
    }
}

/// Times are counted in microseconds and told in milliseconds, as Java's are.
const MICROS_PER_MS: f64 = 1_000.0;

fn rate(reading: &Reading) -> Rate {
    Rate { total: reading.sum, per_second: reading.per_second() }
}

fn summary(reading: &Reading, unit: f64) -> Summary {
    let quantile = |q| reading.quantile(q) as f64 / unit;
    Summary {
        count: reading.count,
        sum: reading.sum as f64 / unit,
        recent: reading.recent_count,
        avg: reading.average() / unit,
        max: reading.recent_max as f64 / unit,
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
    }
}

/// The part of the recent time that a sum of nanoseconds is.
fn ratio(reading: &Reading) -> f64 {
    reading.per_second() / 1e9
}

/// Counted in millionths, and only where something is compressed.
fn compression(series: &Series, now: Time) -> f64 {
    let reading = series.read(now);
    if reading.recent_count == 0 { 1.0 } else { reading.average() / 1e6 }
}

fn nodes(meters: &Meters, now: Time) -> Vec<NodeMetrics> {
    let rate = |series: &Series| rate(&series.read(now));
    let one = |node: &NodeMeters| {
        let (host, port) = node.address();
        NodeMetrics {
            node_id: node.node,
            host,
            port,
            connected: node.connected.get() > 0,
            requests_in_flight: node.in_flight.get(),
            request: rate(&node.requests),
            response: rate(&node.responses),
            request_size: summary(&node.request_size.read(now), 1.0),
            request_latency: summary(&node.request_latency.read(now), MICROS_PER_MS),
            incoming_bytes: rate(&node.incoming_bytes),
            outgoing_bytes: rate(&node.outgoing_bytes),
            throttle_time: summary(&node.throttle.read(now), 1.0),
            connection_creation: rate(&node.connection_creation),
            connection_failure: rate(&node.connection_failure),
        }
    };
    meters.nodes().iter().map(|node| one(node)).collect()
}

fn topics(meters: &Meters, now: Time) -> Vec<TopicMetrics> {
    let rate = |series: &Series| rate(&series.read(now));
    let one = |topic: &TopicMeters| TopicMetrics {
        topic: topic.name.clone(),
        record_send: rate(&topic.record_send),
        bytes: rate(&topic.bytes),
        compression_rate: compression(&topic.compression, now),
        record_retry: rate(&topic.record_retry),
        record_error: rate(&topic.record_error),
        record_delivered: rate(&topic.record_delivered),
    };
    meters.topics().iter().map(|topic| one(topic)).collect()
}
