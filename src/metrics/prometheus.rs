//! The figures as Prometheus reads them.

use super::{Kind, Metrics};
use std::fmt::Write as _;

impl Metrics {
    /// The figures in Prometheus's text format (version 0.0.4): what a scrape of `/metrics` answers. `record-send-total` of the
    /// producer is `kafka_producer_record_send_total{client_id="…"}`, as Java's is through Micrometer.
    ///
    /// `examples/prometheus.rs` serves it.
    pub fn to_prometheus(&self) -> String {
        let mut out = String::new();
        let mut last = None;
        self.visit(|figure| {
            let name: String = figure
                .group
                .prefix()
                .chars()
                .chain(figure.name.chars())
                .map(|c| if c == '.' || c == '-' { '_' } else { c })
                .collect();
            if last.as_ref() != Some(&(figure.group, name.clone())) {
                let kind = if figure.kind == Kind::Counter { "counter" } else { "gauge" };
                let _ = writeln!(out, "# HELP {name} {} ({})\n# TYPE {name} {kind}", figure.help, figure.unit);
                last = Some((figure.group, name.clone()));
            }
            out.push_str(&name);
            let mut before = '{';
            for (key, value) in figure.labels {
                out.push(before);
                before = ',';
                let _ = write!(out, "{key}=\"{}\"", escaped(value));
            }
            let _ = writeln!(out, "}} {}", figure.value);
        });
        out
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_name_is_declared_once_and_labels_are_escaped() {
        let metrics = Metrics { client_id: "a\"b\\c\nd".to_owned(), ..Metrics::default() };
        let text = metrics.to_prometheus();
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(types.iter().collect::<HashSet<_>>().len(), types.len());
        assert!(text.contains("\nkafka_producer_record_send_total{client_id=\"a\\\"b\\\\c\\nd\"} 0\n"), "{text}");
        assert!(types.contains(&"kafka_producer_record_send_total counter"));
        assert!(types.contains(&"kafka_producer_request_latency_max gauge"));
    }
}
