//! What the producer says of itself at a moment.

use forebay::{Producer, metrics};

#[derive(Clone, Debug, Default)]
pub(super) struct Gauges {
    /// Bytes of the buffer, and those in use.
    pub(super) buffer_total: u64,
    pub(super) buffer_used: u64,
    /// Requests without an answer.
    pub(super) in_flight: u64,
    /// Senders that wait for memory.
    pub(super) waiting: u64,
    pub(super) brokers: Vec<Broker>,
}

/// A member of the cluster. Bootstrap servers are none until they have told their id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) address: String,
    pub(super) connected: bool,
    pub(super) in_flight: u64,
    /// Requests and bytes to it since the start.
    pub(super) requests: u64,
    pub(super) bytes: u64,
    /// Latency of its Produce requests in milliseconds: of the last 30 to 60 seconds.
    pub(super) latency: Option<(f64, f64, f64)>,
    /// For how many milliseconds it has asked for silence.
    pub(super) throttled: f64,
}

impl Gauges {
    pub(super) fn read(producer: &Producer) -> Self {
        let metrics = producer.metrics();
        Self {
            buffer_total: metrics.buffer_total_bytes,
            buffer_used: metrics.buffer_total_bytes.saturating_sub(metrics.buffer_available_bytes),
            in_flight: metrics.requests_in_flight,
            waiting: metrics.waiting_threads,
            brokers: metrics.nodes.iter().filter(|node| node.node_id >= 0).map(Broker::of).collect(),
        }
    }
}

impl Broker {
    fn of(node: &metrics::NodeMetrics) -> Self {
        let latency = &node.request_latency;
        Self {
            id: node.node_id,
            address: format!("{}:{}", node.host, node.port),
            connected: node.connected,
            in_flight: node.requests_in_flight,
            requests: node.request.total,
            bytes: node.outgoing_bytes.total,
            latency: (latency.recent > 0).then_some((latency.p50, latency.p99, latency.max)),
            throttled: node.throttle_time.sum,
        }
    }
}
