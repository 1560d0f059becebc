//! The table of keys as text for people.

use super::key::{KeySpec, Kind, Origin, Standing, keys};
use std::fmt::Write as _;

const HEAD: &str = "\
# Configuration

Every key of Kafka's Java producer (4.2) and this project's own. The page is made from the table that also parses the keys; make it
again with `forebay config --format markdown > docs/configuration.md`.

Keys can be set by typed methods (`ProducerBuilder`, `ConfigBuilder`), by name (`set`, `from_map`), from a Java properties file
(`from_properties_file`, `--producer-config`), from the environment (`from_env(\"FOREBAY_\")`: `FOREBAY_LINGER_MS` is `linger.ms`) and
from whatever serde reads, flat or nested (Cargo feature `serde`: `Config` and `ConfigBuilder` are `Deserialize`, and `Serialize`
without secrets). What comes later replaces what was set before. A configuration with mistakes is refused with all of them named at once; an unknown key is
a mistake. Times are whole milliseconds unless the key says otherwise; longer than a hundred years counts as a hundred years.

`forebay config` prints this table, `--format json` for programs, `--format properties` as a file to begin with. Given a configuration
(`--producer-config FILE`, `-X KEY=VALUE`), it checks that and prints what would be in force, without secrets.
";

const TEMPLATE: &str = "\
# A configuration of forebay: every key that does something, at its default. Take the # off what you change.
# forebay perf --producer-config FILE, or Config::from_properties_file.
";

const NOT_USED: &str = "
The keys below have no effect in forebay. They are accepted where that is true to what they ask for, and refused with the reason where it
is not, so that a configuration never promises more than is done. Defaults are Kafka's.
";

/// The contents of `docs/configuration.md`.
pub fn reference_markdown() -> String {
    let mut out = HEAD.to_owned();
    let mut group = "";
    let mut used = true;
    for spec in keys() {
        let is_used = matches!(spec.standing, Standing::Used);
        if used && !is_used {
            out.push_str(NOT_USED);
        }
        used = is_used;
        if spec.group != group {
            group = spec.group;
            let columns =
                if used { "| key | value | default | meaning |" } else { "| key | value | Kafka's default | here |" };
            let _ = write!(out, "\n## {group}\n\n{columns}\n|---|---|---|---|\n");
        }
        let default =
            if spec.default.is_empty() { default_of_none(spec).to_owned() } else { format!("`{}`", spec.default) };
        let _ = writeln!(out, "| `{}` | {} | {default} | {} |", spec.name, spec.kind.describe(), meaning(spec));
    }
    out
}

/// The table for a terminal, a paragraph for each key.
pub fn reference_text() -> String {
    let mut out = String::new();
    let mut group = "";
    for spec in keys() {
        if spec.group != group {
            let _ = writeln!(out, "{}{}", if group.is_empty() { "" } else { "\n" }, spec.group.to_uppercase());
            group = spec.group;
        }
        let default = if spec.default.is_empty() { default_of_none(spec) } else { spec.default };
        let _ = writeln!(out, "  {} = {default}    ({})", spec.name, spec.kind.describe());
        wrap(&mut out, "      ", &meaning(spec).replace('`', ""));
    }
    out
}

/// A properties file with every key that does something, commented out at its default, and `bootstrap.servers`.
pub fn reference_properties() -> String {
    let mut out = TEMPLATE.to_owned();
    let mut group = "";
    for spec in keys().filter(|spec| matches!(spec.standing, Standing::Used)) {
        if spec.group != group {
            let _ = write!(out, "\n# ---- {}\n", spec.group);
            group = spec.group;
        }
        out.push('\n');
        wrap(&mut out, "# ", &meaning(spec).replace('`', ""));
        let _ = writeln!(out, "# ({})", spec.kind.describe());
        match spec.name {
            "bootstrap.servers" => out.push_str("bootstrap.servers=localhost:9092\n"),
            name => drop(writeln!(out, "#{name}={}", spec.default)),
        }
    }
    out
}

/// Appends lines of at most a hundred characters, broken between words, each after `indent`.
fn wrap(out: &mut String, indent: &str, text: &str) {
    const WIDTH: usize = 100;
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        }
        let gap = if column == 0 { indent } else { " " };
        out.push_str(gap);
        out.push_str(word);
        column += gap.len() + length;
    }
    out.push('\n');
}

fn default_of_none(spec: &KeySpec) -> &'static str {
    match (spec.name, spec.kind) {
        ("bootstrap.servers" | "key.serializer" | "value.serializer", _) => "required",
        ("client.id", _) => "forebay-producer-N",
        (_, Kind::List) => "empty",
        _ => "none",
    }
}

fn meaning(spec: &KeySpec) -> String {
    let origin = match spec.origin {
        Origin::Kafka => "",
        Origin::Librdkafka => " (librdkafka's key.)",
        Origin::Forebay => " (This project's own key.)",
    };
    match spec.standing {
        Standing::Used if spec.interacts.is_empty() => format!("{}{origin}", spec.doc),
        Standing::Used => format!("{} {}{origin}", spec.doc, spec.interacts),
        Standing::Accepted(what) => format!("Accepted. {what}"),
        Standing::Only(values, why) => {
            let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("Only {}: {why}.", values.join(", "))
        }
        Standing::Refused(why) => format!("Refused: {why}."),
    }
}
