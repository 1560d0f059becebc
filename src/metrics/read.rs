//! From what is counted to what is told.

use super::{Metrics, NodeMetrics, Rate, Summary, TopicMetrics};
use crate::Producer;
use forebay_engine::Engine;
use forebay_io::driver::Clock;
use forebay_io::metrics::{Meters, NodeMeters, Reading, Series, TopicMeters, Totals};
use forebay_io::time::Time;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
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
    /// By I/O thread; there is at least one.
    pub(crate) threads: Arc<[Measured]>,
    pub(crate) clock: Clock,
}

/// What is measured of one I/O thread.
pub(crate) struct Measured {
    pub(crate) engine: Engine,
    pub(crate) meters: Arc<Meters>,
}

impl Source {
    pub(crate) fn read(&self) -> Metrics {
        read(self)
    }

    /// Those meters into which sending threads count.
    pub(crate) fn shared_meters(&self) -> &Meters {
        &self.threads[0].meters
    }

    /// A figure of all I/O threads together.
    fn reading(&self, of: fn(&Totals) -> &Series, now: Time) -> Reading {
        together(self.threads.iter().map(|thread| of(&thread.meters.totals)), now)
    }

    /// The sum of what each I/O thread has.
    fn sum(&self, of: impl Fn(&Measured) -> u64) -> u64 {
        self.threads.iter().map(of).sum()
    }
}

/// What several series of one kind hold.
fn together<'a>(series: impl Iterator<Item = &'a Series>, now: Time) -> Reading {
    series.fold(Reading::default(), |mut all, one| {
        all.add(&one.read(now));
        all
    })
}

fn read(source: &Source) -> Metrics {
    let now = source.clock.now();
    let rate = |of: fn(&Totals) -> &Series| rate(&source.reading(of, now));
    let sizes = |of: fn(&Totals) -> &Series| summary(&source.reading(of, now), 1.0);
    let times = |of: fn(&Totals) -> &Series| summary(&source.reading(of, now), MICROS_PER_MS);
    let nanos = |of: fn(&Totals) -> &Series| Duration::from_nanos(source.reading(of, now).sum);
    let plain = source.reading(|t| &t.plain_bytes, now).sum;
    let records = source.reading(|t| &t.record_send, now).sum;
    let (awake, asleep) = (source.reading(|t| &t.io_time_ns, now), source.reading(|t| &t.io_wait_ns, now));
    let threads = source.threads.len() as f64;
    // The oldest of what the threads know.
    let learned = source.threads.iter().map(|thread| thread.meters.totals.metadata_at.get()).min();
    Metrics {
        client_id: source.client_id.as_ref().to_owned(),
        age: now.since(Time::ZERO),
        buffer_total_bytes: source.sum(|thread| thread.engine.total_bytes() as u64),
        buffer_available_bytes: source.sum(|thread| thread.engine.available_bytes() as u64),
        waiting_threads: source.sum(|thread| thread.engine.waiting_senders() as u64),
        buffer_exhausted: rate(|t| &t.buffer_exhausted),
        bufferpool_wait_time: nanos(|t| &t.buffer_wait_ns),
        bufferpool_wait_ratio: ratio(&source.reading(|t| &t.buffer_wait_ns, now)),
        metadata_wait_time: nanos(|t| &t.metadata_wait_ns),
        flush_time: nanos(|t| &t.flush_ns),
        batch_size: sizes(|t| &t.batch_size),
        batch_split: rate(|t| &t.batch_split),
        compression_rate_avg: compression(&source.reading(|t| &t.compression, now)),
        records_per_request: sizes(|t| &t.records_per_request),
        record_size_avg: if records == 0 { 0.0 } else { plain as f64 / records as f64 },
        record_queue_time: times(|t| &t.queue_time),
        record_send: rate(|t| &t.record_send),
        record_retry: rate(|t| &t.record_retry),
        record_error: rate(|t| &t.record_error),
        record_delivered: rate(|t| &t.record_delivered),
        request: rate(|t| &t.requests),
        response: rate(|t| &t.responses),
        request_size: sizes(|t| &t.request_size),
        request_latency: times(|t| &t.request_latency),
        requests_in_flight: source.sum(|thread| thread.meters.totals.in_flight.get()),
        produce_throttle_time: sizes(|t| &t.throttle),
        connection_count: source.sum(|thread| thread.meters.totals.connections.get()),
        connection_creation: rate(|t| &t.connection_creation),
        connection_close: rate(|t| &t.connection_close),
        connection_failure: rate(|t| &t.connection_failure),
        successful_authentication: rate(|t| &t.authentication_success),
        failed_authentication: rate(|t| &t.authentication_failure),
        incoming_bytes: rate(|t| &t.incoming_bytes),
        outgoing_bytes: rate(|t| &t.outgoing_bytes),
        network_io: rate(|t| &t.network_io),
        select: Rate { total: asleep.count, per_second: asleep.recent_count as f64 / asleep.seconds },
        io_time: Duration::from_nanos(awake.sum),
        io_ratio: ratio(&awake) / threads,
        io_wait_time: Duration::from_nanos(asleep.sum),
        io_wait_ratio: ratio(&asleep) / threads,
        metadata_age: now.since(Time(learned.unwrap_or_default())),
        nodes: nodes(source, now),
        topics: topics(source, now),
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
fn compression(reading: &Reading) -> f64 {
    if reading.recent_count == 0 { 1.0 } else { reading.average() / 1e6 }
}

/// What the I/O threads count of the same thing, side by side, in the order in which the first of them met it.
fn grouped<M, K: Eq + Hash>(source: &Source, of: fn(&Meters) -> Vec<Arc<M>>, key: fn(&M) -> K) -> Vec<Vec<Arc<M>>> {
    let mut groups: Vec<Vec<Arc<M>>> = Vec::new();
    let mut places: HashMap<K, usize> = HashMap::new();
    for meters in source.threads.iter().flat_map(|thread| of(&thread.meters)) {
        match places.entry(key(&meters)) {
            Entry::Occupied(place) => groups[*place.get()].push(meters),
            Entry::Vacant(place) => {
                place.insert(groups.len());
                groups.push(vec![meters]);
            }
        }
    }
    groups
}

fn nodes(source: &Source, now: Time) -> Vec<NodeMetrics> {
    let one = |node: &Vec<Arc<NodeMeters>>| {
        let reading = |of: fn(&NodeMeters) -> &Series| together(node.iter().map(|meters| of(meters)), now);
        let rate = |of: fn(&NodeMeters) -> &Series| rate(&reading(of));
        let (host, port) = node[0].address();
        NodeMetrics {
            node_id: node[0].node,
            host,
            port,
            connected: node.iter().any(|meters| meters.connected.get() > 0),
            requests_in_flight: node.iter().map(|meters| meters.in_flight.get()).sum(),
            request: rate(|n| &n.requests),
            response: rate(|n| &n.responses),
            request_size: summary(&reading(|n| &n.request_size), 1.0),
            request_latency: summary(&reading(|n| &n.request_latency), MICROS_PER_MS),
            incoming_bytes: rate(|n| &n.incoming_bytes),
            outgoing_bytes: rate(|n| &n.outgoing_bytes),
            throttle_time: summary(&reading(|n| &n.throttle), 1.0),
            connection_creation: rate(|n| &n.connection_creation),
            connection_failure: rate(|n| &n.connection_failure),
        }
    };
    grouped(source, Meters::nodes, |node| node.node).iter().map(one).collect()
}

fn topics(source: &Source, now: Time) -> Vec<TopicMetrics> {
    let one = |topic: &Vec<Arc<TopicMeters>>| {
        let reading = |of: fn(&TopicMeters) -> &Series| together(topic.iter().map(|meters| of(meters)), now);
        let rate = |of: fn(&TopicMeters) -> &Series| rate(&reading(of));
        TopicMetrics {
            topic: topic[0].name.clone(),
            record_send: rate(|t| &t.record_send),
            bytes: rate(|t| &t.bytes),
            compression_rate: compression(&reading(|t| &t.compression)),
            record_retry: rate(|t| &t.record_retry),
            record_error: rate(|t| &t.record_error),
            record_delivered: rate(|t| &t.record_delivered),
        }
    };
    grouped(source, Meters::topics, |topic| topic.name.clone()).iter().map(one).collect()
}
