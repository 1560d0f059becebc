//! The figures as JSON, in the shape of librdkafka's statistics.

use super::{Figure, Group, Metrics, NodeMetrics, Summary};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

impl Metrics {
    /// The figures as one line of JSON: librdkafka's fields (`STATISTICS.md`) where they mean the same here, and under
    /// `metrics`, at each level, all figures under Java's names. `docs/operating.md` has the fields.
    pub fn to_json(&self) -> String {
        let mut figures = Figures::default();
        self.visit(|figure| figures.put(figure));
        let micros = u64::try_from(self.age.as_micros()).unwrap_or(u64::MAX);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let brokers = self.nodes.iter().map(|node| {
            let name = format!("{}:{}/{}", node.host, node.port, id(node));
            let broker = json!({
                "name": &name,
                "nodeid": node.node_id,
                "nodename": format!("{}:{}", node.host, node.port),
                "source": if node.node_id < 0 { "configured" } else { "learned" },
                "state": if node.connected { "UP" } else { "DOWN" },
                "waitresp_cnt": node.requests_in_flight,
                "tx": node.request.total,
                "txbytes": node.outgoing_bytes.total,
                "rx": node.response.total,
                "rxbytes": node.incoming_bytes.total,
                "connects": node.connection_creation.total,
                "disconnects": node.connection_failure.total,
                "rtt": window(&node.request_latency, 1_000.0),
                "throttle": window(&node.throttle_time, 1.0),
                "metrics": figures.of(Group::Node, &node.node_id.to_string()),
            });
            (name, broker)
        });
        let topics = self.topics.iter().map(|topic| {
            let value = json!({
                "topic": &*topic.topic,
                "txmsgs": topic.record_delivered.total,
                "txbytes": topic.bytes.total,
                "metrics": figures.of(Group::Topic, &topic.topic),
            });
            (topic.topic.to_string(), value)
        });
        json!({
            "name": &self.client_id,
            "client_id": &self.client_id,
            "type": "producer",
            "ts": micros,
            "time": time,
            "age": micros,
            "msg_size": self.buffer_total_bytes - self.buffer_available_bytes.min(self.buffer_total_bytes),
            "msg_size_max": self.buffer_total_bytes,
            "tx": self.request.total,
            "tx_bytes": self.outgoing_bytes.total,
            "rx": self.response.total,
            "rx_bytes": self.incoming_bytes.total,
            "txmsgs": self.record_delivered.total,
            "metadata_cache_cnt": self.topics.len(),
            "batchsize": window(&self.batch_size, 1.0),
            "int_latency": window(&self.record_queue_time, 1_000.0),
            "brokers": brokers.collect::<Map<_, _>>(),
            "topics": topics.collect::<Map<_, _>>(),
            "metrics": figures.of(Group::Producer, ""),
        })
        .to_string()
    }
}

/// librdkafka's word for a broker of which only the address is known.
fn id(node: &NodeMetrics) -> String {
    if node.node_id < 0 { "bootstrap".to_owned() } else { node.node_id.to_string() }
}

/// A summary as librdkafka writes its windows, which count times in microseconds.
fn window(summary: &Summary, unit: f64) -> Value {
    let whole = |value: f64| (value * unit).round() as u64;
    json!({
        "avg": whole(summary.avg),
        "max": whole(summary.max),
        "p50": whole(summary.p50),
        "p95": whole(summary.p95),
        "p99": whole(summary.p99),
        "p99_9": whole(summary.p999),
        "cnt": summary.recent,
        "sum": whole(summary.avg * summary.recent as f64),
    })
}

/// All figures, by what they are of.
#[derive(Default)]
struct Figures(Vec<(Group, String, Map<String, Value>)>);

impl Figures {
    fn put(&mut self, figure: &Figure<'_>) {
        let of = figure.labels.get(1).map_or("", |label| label.1);
        let at = self.0.iter().position(|(group, name, _)| *group == figure.group && name == of).unwrap_or_else(|| {
            self.0.push((figure.group, of.to_owned(), Map::new()));
            self.0.len() - 1
        });
        // Counters are whole numbers: written as such.
        let whole = figure.value.fract() == 0.0 && figure.value.abs() < 9e15;
        let value = if whole { Value::from(figure.value as i64) } else { Value::from(figure.value) };
        self.0[at].2.insert(figure.name.to_owned(), value);
    }

    fn of(&self, group: Group, name: &str) -> Map<String, Value> {
        self.0.iter().find(|(g, n, _)| *g == group && n == name).map(|(_, _, map)| map.clone()).unwrap_or_default()
    }
}
