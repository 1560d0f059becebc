//! `forebay config`: the table of keys, or a configuration as it would be in force.

use crate::Failure;
use crate::options::{self, ProducerOptions};
use forebay::config::{Config, KeySpec, Kind, Origin, Standing, keys};
use forebay::config::{reference_markdown, reference_properties, reference_text};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write as _};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How to print it: `text` for people, `markdown` as docs/configuration.md, `json` for programs, `properties` as a file to
    /// begin with.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The same as --format markdown.
    #[arg(long, conflicts_with = "format", hide = true)]
    markdown: bool,

    #[command(flatten)]
    producer: ProducerOptions,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
    Properties,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let format = if args.markdown { Format::Markdown } else { args.format };
    let text = if args.producer.is_given() {
        in_force(&options::build(args.producer.builder())?, format)?
    } else {
        match format {
            Format::Text => reference_text(),
            Format::Markdown => reference_markdown(),
            Format::Json => pretty(&Value::Array(keys().map(row).collect())),
            Format::Properties => reference_properties(),
        }
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::run),
    }
}

/// What a configuration comes to, key by key, without secrets.
fn in_force(config: &Config, format: Format) -> Result<String, Failure> {
    let lines = |line: fn((&'static str, &str)) -> String| config.properties().map(line).collect();
    match format {
        Format::Text => Ok(lines(|(key, value)| format!("{key} = {value}\n"))),
        Format::Properties => Ok(lines(|(key, value)| format!("{key}={}\n", escaped(value)))),
        Format::Json => {
            let values = config.properties().map(|(key, value)| (key.to_owned(), Value::from(value)));
            Ok(pretty(&Value::Object(values.collect())))
        }
        Format::Markdown => Err(Failure::usage("a configuration is printed as text, json or properties")),
    }
}

/// A value as a properties file holds it.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            other => out.push(other),
        }
    }
    out
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn row(spec: &KeySpec) -> Value {
    let (standing, why) = match spec.standing {
        Standing::Used => ("used", ""),
        Standing::Accepted(what) => ("accepted", what),
        Standing::Only(_, why) => ("limited", why),
        Standing::Refused(why) => ("refused", why),
        _ => ("unknown", ""),
    };
    let mut row = json!({
        "name": spec.name,
        "group": spec.group,
        "default": spec.default,
        "standing": standing,
        "origin": match spec.origin {
            Origin::Kafka => "kafka",
            Origin::Librdkafka => "librdkafka",
            Origin::Forebay => "forebay",
        },
    });
    let Some(map) = row.as_object_mut() else { return row };
    for (name, text) in [("doc", spec.doc), ("interacts", spec.interacts), ("reason", why)] {
        if !text.is_empty() {
            map.insert(name.to_owned(), Value::from(text));
        }
    }
    if let Standing::Only(values, _) = spec.standing {
        map.insert("allowed".to_owned(), Value::from(values));
    }
    let mut range = |kind: &str, bounds: Option<(i64, i64)>| {
        map.insert("type".to_owned(), Value::from(kind));
        if let Some((min, max)) = bounds {
            map.insert("min".to_owned(), Value::from(min));
            map.insert("max".to_owned(), Value::from(max));
        }
    };
    match spec.kind {
        Kind::Bool => range("boolean", None),
        Kind::Int(min, max) => range("integer", Some((min, max))),
        Kind::Bytes(min, max) => range("bytes", Some((min, max))),
        Kind::Millis(min, max) => range("milliseconds", Some((min, max))),
        Kind::Micros(min, max) => range("microseconds", Some((min, max))),
        Kind::Double => range("number", None),
        Kind::Choice(values) => {
            range("choice", None);
            map.insert("values".to_owned(), Value::from(values));
        }
        Kind::List => range("list", None),
        Kind::Class => range("class", None),
        Kind::Password => range("secret", None),
        _ => range("text", None),
    }
    row
}
