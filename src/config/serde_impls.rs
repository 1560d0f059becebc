//! serde: a flat or nested map of keys into a builder or a configuration, and out again without secrets.

use super::error::Problem;
use super::key::{Kind, find};
use super::{Config, ConfigBuilder, suggest};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap as _, Serializer};
use std::fmt;

/// A map of keys: flat (`"linger.ms": 5`), nested (`linger: { ms: 5 }`) or both. Values are text, numbers, true or false;
/// lists may be lists of those, or text with commas; null leaves a key alone.
///
/// Keys and values are checked by [`ConfigBuilder::build`], as those of every source, all at once. Only what is no map of
/// such values is an error here. A key that is also the beginning of others (`sasl.oauthbearer.scope`) is written flat.
///
/// ```
/// use forebay::config::ConfigBuilder;
///
/// let builder: ConfigBuilder = serde_json::from_str(
///     r#"{ "bootstrap": { "servers": ["a:9092", "b:9092"] }, "linger.ms": 20, "retry": { "backoff": { "ms": 50 } } }"#,
/// )?;
/// let config = builder.build()?;
/// assert_eq!(config.bootstrap_servers(), ["a:9092", "b:9092"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<'de> Deserialize<'de> for ConfigBuilder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Table(entries) = Table::deserialize(deserializer)?;
        let mut builder = Self::new();
        take(&mut builder, "", entries);
        Ok(builder)
    }
}

/// As [`ConfigBuilder`]'s, and built: the error then names every problem.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ConfigBuilder::deserialize(deserializer)?.build().map_err(de::Error::custom)
    }
}

/// What was set, flat and as text, without secrets.
///
/// What is no key is an error: its value may be a secret.
impl Serialize for ConfigBuilder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(problem) = self.problems.first() {
            return Err(ser::Error::custom(problem));
        }
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.values {
            match find(key) {
                Some(spec) if spec.kind == Kind::Password => {}
                Some(_) => map.serialize_entry(key, value)?,
                None => return Err(ser::Error::custom(Problem::new(key, None, suggest::advice(key)))),
            }
        }
        map.end()
    }
}

/// [`Config::properties`]: every key in use with its value in force, flat and as text, without secrets.
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.properties())
    }
}

fn take(builder: &mut ConfigBuilder, prefix: &str, entries: Vec<(String, Node)>) {
    for (name, node) in entries {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match node {
            Node::Nothing => {}
            Node::Table(entries) => take(builder, &key, entries),
            Node::Text(value) => {
                if builder.values.contains_key(&key) {
                    let message = "is there twice, flat and nested: keep one of them";
                    builder.problems.push(Problem::new(&key, None, message));
                }
                builder.values.insert(key, value);
            }
        }
    }
}

/// A map and what it holds.
struct Table(Vec<(String, Node)>);

enum Node {
    Nothing,
    Text(String),
    Table(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of configuration keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table, A::Error> {
                entries(map).map(Table)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, Node)>, A::Error> {
    let mut entries = Vec::new();
    while let Some(entry) = map.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true or false, a list of those, or a map of keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    /// As one would write it in a properties file.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            match word {
                Node::Text(word) => words.push(word),
                Node::Nothing | Node::Table(_) => {
                    return Err(de::Error::custom("a list in a configuration holds text and numbers only"));
                }
            }
        }
        Ok(Node::Text(words.join(",")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
        entries(map).map(Node::Table)
    }
}
