//! The table of keys as text for people.

use super::key::{KeySpec, Kind, Origin, Standing, keys};
use std::fmt::Write as _;

const HEAD: &str = "\
# Configuration

Every key of Kafka's Java producer (4.2) and this project's own. The page is made from the table that also parses the keys; make it
again with `forebay config --markdown > docs/configuration.md`.

Keys can be set by typed methods (`ProducerBuilder`, `ConfigBuilder`), by name (`set`, `from_map`), from a Java properties file
(`from_properties_file`, `--producer-config`) and from the environment (`from_env(\"FOREBAY_\")`: `FOREBAY_LINGER_MS` is `linger.ms`).
What comes later replaces what was set before. A configuration with mistakes is refused with all of them named at once; an unknown key is
a mistake. Times are whole milliseconds unless the key says otherwise; longer than a hundred years counts as a hundred years.
";

const NOT_USED: &str = "
Keys from here on change nothing here. They are accepted where that is true to what they ask for, and refused with the reason where it
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
        wrap(&mut out, &meaning(spec).replace('`', ""));
    }
    out
}

/// Appends indented lines of at most a hundred characters, broken between words.
fn wrap(out: &mut String, text: &str) {
    const INDENT: &str = "      ";
    const WIDTH: usize = 100;
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        }
        let gap = if column == 0 { INDENT } else { " " };
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
