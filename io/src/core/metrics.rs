//! What the core counts, for `crate::metrics`: once for each batch, request, answer and connection, never for a record.

use std::sync::Arc;

use super::Core;
use super::batch::BatchId;
use super::ports::ConnId;
use super::requests::{Kind, RequestId};
use crate::metrics::{Meters, NodeMeters, TopicMeters};
use crate::time::Time;
use crate::topics::TopicId;

pub(super) struct Metrics {
    shared: Arc<Meters>,
    /// By number of the broker.
    nodes: Vec<Option<Arc<NodeMeters>>>,
    /// By topic id.
    topics: Vec<Option<Arc<TopicMeters>>>,
    /// The sample that is being written, and the moment at which the next one begins.
    sample: u64,
    until: Time,
}

impl Metrics {
    pub(super) fn new(shared: Arc<Meters>) -> Self {
        let until = shared.windows().end(0);
        Self { shared, nodes: Vec::new(), topics: Vec::new(), sample: 0, until }
    }

    fn sample(&mut self, now: Time) -> u64 {
        if now >= self.until {
            self.sample = self.shared.windows().sample(now);
            self.until = self.shared.windows().end(self.sample);
        }
        self.sample
    }

    fn topic(&self, id: TopicId) -> Option<&TopicMeters> {
        self.topics.get(id.index())?.as_deref()
    }

    fn node(&self, broker: usize) -> Option<&NodeMeters> {
        self.nodes.get(broker)?.as_deref()
    }

    /// A topic is in use from now on.
    pub(super) fn add_topic(&mut self, id: TopicId, name: &Arc<str>) {
        if self.topics.len() <= id.index() {
            self.topics.resize(id.index() + 1, None);
        }
        self.topics[id.index()].get_or_insert_with(|| self.shared.add_topic(name.clone()));
    }

    pub(super) fn learned(&self, now: Time) {
        self.shared.totals.metadata_at.set(now.0);
    }

    pub(super) fn split(&mut self, now: Time) {
        let sample = self.sample(now);
        self.shared.totals.batch_split.record(sample, 1);
    }
}

/// Whole microseconds.
fn micros(from: Time, to: Time) -> u64 {
    to.0.saturating_sub(from.0) / 1_000
}

impl Core {
    /// The figures that this core writes are these; to be called before anything else is.
    #[must_use]
    pub fn measured(mut self, meters: Arc<Meters>) -> Self {
        self.metrics = Metrics::new(meters);
        self
    }

    /// The figures of this core.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.metrics.shared
    }

    /// A connection to a broker is tried: from now on the broker has figures.
    pub(super) fn meter_connect(&mut self, index: usize) {
        let broker = self.brokers.get(index);
        let nodes = &mut self.metrics.nodes;
        if nodes.len() <= index {
            nodes.resize(index + 1, None);
        }
        if let Some(node) = &nodes[index] {
            node.moved(&broker.host, broker.port);
        } else {
            nodes[index] = Some(self.metrics.shared.add_node(broker.node, broker.host.clone(), broker.port));
        }
    }

    pub(super) fn meter_connected(&mut self, broker: usize, now: Time) {
        let sample = self.metrics.sample(now);
        let totals = &self.metrics.shared.totals;
        totals.connection_creation.record(sample, 1);
        totals.connections.up();
        if let Some(node) = self.metrics.node(broker) {
            node.connection_creation.record(sample, 1);
            node.connected.set(1);
        }
    }

    /// A connection that was open, or that could not be opened, is gone. `failed`: not because we wanted it.
    pub(super) fn meter_closed(&mut self, broker: usize, was_open: bool, failed: bool, now: Time) {
        let sample = self.metrics.sample(now);
        let totals = &self.metrics.shared.totals;
        if was_open {
            totals.connection_close.record(sample, 1);
            totals.connections.down();
        }
        if failed {
            totals.connection_failure.record(sample, 1);
        }
        if let Some(node) = self.metrics.node(broker) {
            node.connected.set(0);
            if failed {
                node.connection_failure.record(sample, 1);
            }
        }
    }

    pub(super) fn meter_authentication(&mut self, success: bool) {
        // A moment of the last turn is near enough.
        let sample = self.metrics.sample(self.last_turn);
        let totals = &self.metrics.shared.totals;
        if success { &totals.authentication_success } else { &totals.authentication_failure }.record(sample, 1);
    }

    /// A request is in a connection's queue.
    pub(super) fn meter_request(&mut self, broker: usize, id: RequestId, now: Time) {
        let sample = self.metrics.sample(now);
        let request = self.requests.get(id);
        let totals = &self.metrics.shared.totals;
        totals.in_flight.up();
        totals.requests.record(sample, 1);
        totals.request_size.record(sample, request.len as u64);
        if let Some(node) = self.metrics.node(broker) {
            node.in_flight.up();
            node.requests.record(sample, 1);
            node.request_size.record(sample, request.len as u64);
        }
        if request.kind != Kind::Produce {
            return;
        }
        let (mut records, mut plain) = (0, 0);
        for batch in &request.batches {
            let batch = self.batches.get(*batch);
            let size = batch.wire_len() as u64;
            records += u64::from(batch.count);
            plain += batch.plain_len as u64;
            totals.batch_size.record(sample, size);
            if batch.attempts == 0 {
                let published = Time(batch.deadline.0.saturating_sub(self.cfg.delivery_timeout.as_nanos() as u64));
                totals.queue_time.record(sample, micros(published, now));
            }
            let ratio = self.compressor.is_some().then(|| {
                let ratio = batch.records_len as u64 * 1_000_000 / (batch.plain_len as u64).max(1);
                totals.compression.record(sample, ratio);
                ratio
            });
            if let Some(topic) = self.metrics.topic(self.partitions[batch.partition as usize].topic) {
                topic.record_send.record(sample, u64::from(batch.count));
                topic.bytes.record(sample, size);
                if let Some(ratio) = ratio {
                    topic.compression.record(sample, ratio);
                }
            }
        }
        totals.records_per_request.record(sample, records);
        totals.record_send.record(sample, records);
        totals.plain_bytes.record(sample, plain);
    }

    /// A request has its answer.
    pub(super) fn meter_response(&mut self, conn: ConnId, id: RequestId, now: Time) {
        let sample = self.metrics.sample(now);
        let broker = self.connection(conn).map(|connection| connection.broker);
        let node = broker.and_then(|broker| self.metrics.node(broker));
        let request = self.requests.get(id);
        let totals = &self.metrics.shared.totals;
        totals.responses.record(sample, 1);
        if let Some(node) = node {
            node.responses.record(sample, 1);
        }
        if request.kind == Kind::Produce {
            let latency = micros(request.created, now);
            totals.request_latency.record(sample, latency);
            if let Some(node) = node {
                node.request_latency.record(sample, latency);
            }
        }
        self.meter_request_over(broker);
    }

    /// A request is no longer in flight, with an answer or without.
    pub(super) fn meter_request_over(&self, broker: Option<usize>) {
        self.metrics.shared.totals.in_flight.down();
        if let Some(node) = broker.and_then(|broker| self.metrics.node(broker)) {
            node.in_flight.down();
        }
    }

    pub(super) fn meter_bytes(&mut self, broker: usize, outgoing: bool, bytes: usize, now: Time) {
        let sample = self.metrics.sample(now);
        let (totals, node) = (&self.metrics.shared.totals, self.metrics.node(broker));
        totals.network_io.record(sample, 1);
        if outgoing { &totals.outgoing_bytes } else { &totals.incoming_bytes }.record(sample, bytes as u64);
        if let Some(node) = node {
            if outgoing { &node.outgoing_bytes } else { &node.incoming_bytes }.record(sample, bytes as u64);
        }
    }

    pub(super) fn meter_retry(&mut self, id: BatchId, now: Time) {
        let sample = self.metrics.sample(now);
        let batch = self.batches.get(id);
        let records = u64::from(batch.count);
        self.metrics.shared.totals.record_retry.record(sample, records);
        if let Some(topic) = self.metrics.topic(self.partitions[batch.partition as usize].topic) {
            topic.record_retry.record(sample, records);
        }
    }

    pub(super) fn meter_throttle(&mut self, conn: ConnId, ms: u64, now: Time) {
        let sample = self.metrics.sample(now);
        self.metrics.shared.totals.throttle.record(sample, ms);
        let broker = self.connection(conn).map(|connection| connection.broker);
        if let Some(node) = broker.and_then(|broker| self.metrics.node(broker)) {
            node.throttle.record(sample, ms);
        }
    }

    /// The driver was awake from `woken` to `asleep`, and then slept until `now`.
    pub fn meter_poll(&mut self, woken: Time, asleep: Time, now: Time) {
        let sample = self.metrics.sample(now);
        let totals = &self.metrics.shared.totals;
        totals.io_time_ns.record(sample, asleep.since(woken).as_nanos() as u64);
        totals.io_wait_ns.record(sample, now.since(asleep).as_nanos() as u64);
    }

    /// Counts the outcomes in [`Core::reports`]; to be called once before they are handed on.
    pub fn meter_reports(&mut self, now: Time) {
        let sample = self.metrics.sample(now);
        let (mut delivered, mut failed) = (0, 0);
        for of_lane in self.ledger.reports.chunk_by(|a, b| a.lane_tag == b.lane_tag) {
            let (mut good, mut bad) = (0, 0);
            for report in of_lane {
                *if report.result.is_ok() { &mut good } else { &mut bad } += u64::from(report.count);
            }
            delivered += good;
            failed += bad;
            let topic = of_lane.first().and_then(|report| self.metrics.topic(TopicId::of_tag(report.lane_tag).0));
            if let Some(topic) = topic {
                if good > 0 {
                    topic.record_delivered.record(sample, good);
                }
                if bad > 0 {
                    topic.record_error.record(sample, bad);
                }
            }
        }
        let totals = &self.metrics.shared.totals;
        if delivered > 0 {
            totals.record_delivered.record(sample, delivered);
        }
        if failed > 0 {
            totals.record_error.record(sample, failed);
        }
    }
}
