//! What a figure means nothing without: the settings and the machine.

use super::html::bytes;
use forebay::config::{Config, ConfigBuilder, Kind, keys};
use std::{env, fs, thread};

/// Shown whether somebody set them or not: the figures hang on them.
const ALWAYS: [&str; 9] = [
    "bootstrap.servers",
    "acks",
    "enable.idempotence",
    "linger.ms",
    "batch.size",
    "batch.max.bytes",
    "buffer.memory",
    "compression.type",
    "max.in.flight.requests.per.connection",
];

/// Key, value and where it comes from. No secret is among the values.
pub(super) fn settings(builder: &ConfigBuilder, config: &Config) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for spec in keys() {
        let set = builder.value(spec.name);
        let adjusted = config.adjustments().iter().find(|adjustment| adjustment.key == spec.name);
        let (value, origin) = match (set, adjusted) {
            (Some(_), _) if spec.kind == Kind::Password => ("[hidden]".to_owned(), "set".to_owned()),
            (Some(value), _) => (value.to_owned(), "set".to_owned()),
            (None, Some(adjusted)) => (adjusted.value.clone(), adjusted.reason.clone()),
            (None, None) if ALWAYS.contains(&spec.name) => (spec.default.to_owned(), "default".to_owned()),
            (None, None) => continue,
        };
        rows.push(vec![spec.name.to_owned(), value, origin]);
    }
    rows
}

/// What it ran on. What the system does not say is left out.
pub(super) fn machine() -> Vec<Vec<String>> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| env::consts::ARCH.to_owned());
    let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok())
        .map(|kib| bytes(kib * 1_024.0));
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg").split(' ').next().map(str::to_owned).filter(|load| !load.is_empty());
    let build = if cfg!(debug_assertions) { " (a debug build: not for measuring)" } else { "" };
    let rows = [
        ("processor", Some(processor)),
        ("processors for this process", Some(count.to_string())),
        ("memory", memory),
        ("system", Some(format!("{} {} {}", env::consts::OS, kernel.trim(), env::consts::ARCH))),
        ("load average at the end", load),
        ("forebay", Some(format!("{}{build}", env!("CARGO_PKG_VERSION")))),
    ];
    rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])).collect()
}

#[cfg(test)]
mod tests {
    use super::settings;
    use forebay::config::ConfigBuilder;

    #[test]
    fn settings_say_where_they_come_from_and_keep_secrets() {
        let builder = ConfigBuilder::new()
            .bootstrap_servers("localhost:1")
            .set("acks", "1")
            .set("security.protocol", "SASL_PLAINTEXT")
            .set("sasl.mechanism", "PLAIN")
            .set("sasl.username", "alice")
            .set("sasl.password", "hunter2");
        let config = builder.clone().build().expect("a configuration");
        let rows = settings(&builder, &config);
        let row = |key: &str| rows.iter().find(|row| row[0] == key).map(|row| (row[1].as_str(), row[2].as_str()));
        assert_eq!(row("acks"), Some(("1", "set")));
        assert_eq!(row("sasl.password"), Some(("[hidden]", "set")));
        assert_eq!(row("buffer.memory"), Some(("33554432", "default")));
        assert_eq!(row("enable.idempotence").map(|(value, _)| value), Some("false"));
        assert!(!format!("{rows:?}").contains("hunter2"));
    }
}
