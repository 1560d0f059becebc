//! The figures through the `metrics` facade, for whatever recorder the program has installed.

use super::{Kind, Metrics};
use ::metrics::{Key, KeyName, Label, Level, Metadata, with_recorder};

static METADATA: Metadata<'_> = Metadata::new("forebay", Level::INFO, Some(module_path!()));

impl Metrics {
    /// Hands all figures to the recorder that is installed in the [`metrics`](::metrics) facade, under Java's names: counters
    /// by their totals, all else as gauges. `record-send-total` of the producer is `kafka.producer.record-send-total` with the
    /// label `client_id`; a broker's figures begin with `kafka.producer.node.` and have `node_id` too, a topic's with
    /// `kafka.producer.topic.` and `topic`.
    ///
    /// A producer does this by itself every `metrics.publish.interval.ms`, and once more when it is closed. Where a recorder is
    /// read by a scrape, doing it then gives the figures of that moment. Without a recorder nothing happens.
    pub fn publish(&self) {
        with_recorder(|recorder| {
            self.visit(|figure| {
                let name = format!("{}{}", figure.group.prefix(), figure.name);
                let labels: Vec<_> =
                    figure.labels.iter().map(|(key, value)| Label::new(*key, (*value).to_owned())).collect();
                let (described, help) =
                    (KeyName::from(name.clone()), format!("{} ({})", figure.help, figure.unit).into());
                let key = Key::from_parts(name, labels);
                if figure.kind == Kind::Counter {
                    recorder.describe_counter(described, None, help);
                    recorder.register_counter(&key, &METADATA).absolute(figure.value as u64);
                } else {
                    recorder.describe_gauge(described, None, help);
                    recorder.register_gauge(&key, &METADATA).set(figure.value);
                }
            });
        });
    }
}
