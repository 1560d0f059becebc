//! From what is counted to what is told.

use super::{Metrics, NodeMetrics, Rate, Summary, TopicMetrics};
use crate::Producer;
use forebay_engine::Engine;
use forebay_io::driver::Clock;
use forebay_io::metrics::{Gauge, Meters, NodeMeters, Reading, Series, TopicMeters};
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

    /// The sum of what each I/O thread's engine has.
    pub(crate) fn sum(&self, of: fn(&Engine) -> usize) -> usize {
        self.threads.iter().map(|thread| of(&thread.engine)).sum()
    }
}

/// What the I/O threads count of one thing, and the moment at which it is told.
struct Counted<'m, M> {
    by_thread: Vec<&'m M>,
    now: Time,
}

impl<M> Counted<'_, M> {
    fn reading(&self, of: fn(&M) -> &Series) -> Reading {
        self.by_thread.iter().fold(Reading::default(), |mut all, one| {
            all.add(&of(one).read(self.now));
            all
        })
    }

    fn rate(&self, of: fn(&M) -> &Series) -> Rate {
        let reading = self.reading(of);
        Rate { total: reading.sum, per_second: reading.per_second() }
    }

    fn sizes(&self, of: fn(&M) -> &Series) -> Summary {
        summary(&self.reading(of), 1.0)
    }

    /// Counted in microseconds and told in milliseconds, as Java's are.
    fn times(&self, of: fn(&M) -> &Series) -> Summary {
        summary(&self.reading(of), 1_000.0)
    }

    fn nanos(&self, of: fn(&M) -> &Series) -> Duration {
        Duration::from_nanos(self.reading(of).sum)
    }

    /// Counted in millionths, and only where something is compressed.
    fn compression(&self, of: fn(&M) -> &Series) -> f64 {
        let reading = self.reading(of);
        if reading.recent_count == 0 { 1.0 } else { reading.average() / 1e6 }
    }

    fn sum(&self, of: fn(&M) -> &Gauge) -> u64 {
        self.by_thread.iter().map(|one| of(one).get()).sum()
    }
}

fn read(source: &Source) -> Metrics {
    let now = source.clock.now();
    let totals = Counted { by_thread: source.threads.iter().map(|thread| &thread.meters.totals).collect(), now };
    let plain = totals.reading(|t| &t.plain_bytes).sum;
    let records = totals.reading(|t| &t.record_send).sum;
    let (awake, asleep) = (totals.reading(|t| &t.io_time_ns), totals.reading(|t| &t.io_wait_ns));
    let threads = source.threads.len() as f64;
    // The oldest of what the threads know.
    let learned = totals.by_thread.iter().map(|t| t.metadata_at.get()).min();
    Metrics {
        client_id: source.client_id.as_ref().to_owned(),
        age: now.since(Time::ZERO),
        buffer_total_bytes: source.sum(Engine::total_bytes) as u64,
        buffer_available_bytes: source.sum(Engine::available_bytes) as u64,
        waiting_threads: source.sum(Engine::waiting_senders) as u64,
        buffer_exhausted: totals.rate(|t| &t.buffer_exhausted),
        bufferpool_wait_time: totals.nanos(|t| &t.buffer_wait_ns),
        bufferpool_wait_ratio: ratio(&totals.reading(|t| &t.buffer_wait_ns)),
        metadata_wait_time: totals.nanos(|t| &t.metadata_wait_ns),
        flush_time: totals.nanos(|t| &t.flush_ns),
        batch_size: totals.sizes(|t| &t.batch_size),
        batch_split: totals.rate(|t| &t.batch_split),
        compression_rate_avg: totals.compression(|t| &t.compression),
        records_per_request: totals.sizes(|t| &t.records_per_request),
        record_size_avg: if records == 0 { 0.0 } else { plain as f64 / records as f64 },
        record_queue_time: totals.times(|t| &t.queue_time),
        record_send: totals.rate(|t| &t.record_send),
        record_retry: totals.rate(|t| &t.record_retry),
        record_error: totals.rate(|t| &t.record_error),
        record_delivered: totals.rate(|t| &t.record_delivered),
        request: totals.rate(|t| &t.requests),
        response: totals.rate(|t| &t.responses),
        request_size: totals.sizes(|t| &t.request_size),
        request_latency: totals.times(|t| &t.request_latency),
        requests_in_flight: totals.sum(|t| &t.in_flight),
        produce_throttle_time: totals.sizes(|t| &t.throttle),
        connection_count: totals.sum(|t| &t.connections),
        connection_creation: totals.rate(|t| &t.connection_creation),
        connection_close: totals.rate(|t| &t.connection_close),
        connection_failure: totals.rate(|t| &t.connection_failure),
        successful_authentication: totals.rate(|t| &t.authentication_success),
        failed_authentication: totals.rate(|t| &t.authentication_failure),
        incoming_bytes: totals.rate(|t| &t.incoming_bytes),
        outgoing_bytes: totals.rate(|t| &t.outgoing_bytes),
        network_io: totals.rate(|t| &t.network_io),
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
    let one = |group: &Vec<Arc<NodeMeters>>| {
        let node = Counted { by_thread: group.iter().map(|meters| &**meters).collect(), now };
        let (host, port) = group[0].address();
        NodeMetrics {
            node_id: group[0].node,
            host,
            port,
            connected: node.sum(|n| &n.connected) > 0,
            requests_in_flight: node.sum(|n| &n.in_flight),
            request: node.rate(|n| &n.requests),
            response: node.rate(|n| &n.responses),
            request_size: node.sizes(|n| &n.request_size),
            request_latency: node.times(|n| &n.request_latency),
            incoming_bytes: node.rate(|n| &n.incoming_bytes),
            outgoing_bytes: node.rate(|n| &n.outgoing_bytes),
            throttle_time: node.sizes(|n| &n.throttle),
            connection_creation: node.rate(|n| &n.connection_creation),
            connection_failure: node.rate(|n| &n.connection_failure),
        }
    };
    grouped(source, Meters::nodes, |node| node.node).iter().map(one).collect()
}

fn topics(source: &Source, now: Time) -> Vec<TopicMetrics> {
    let one = |group: &Vec<Arc<TopicMeters>>| {
        let topic = Counted { by_thread: group.iter().map(|meters| &**meters).collect(), now };
        TopicMetrics {
            topic: group[0].name.clone(),
            record_send: topic.rate(|t| &t.record_send),
            bytes: topic.rate(|t| &t.bytes),
            compression_rate: topic.compression(|t| &t.compression),
            record_retry: topic.rate(|t| &t.record_retry),
            record_error: topic.rate(|t| &t.record_error),
            record_delivered: topic.rate(|t| &t.record_delivered),
        }
    };
    grouped(source, Meters::topics, |topic| topic.name.clone()).iter().map(one).collect()
}
