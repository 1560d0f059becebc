//! The shape of a table row, and how a value is read according to it.

use super::settings::Settings;
use super::{other_keys::OTHER, security_keys::SECURITY, used_keys::USED};
use std::time::Duration;

/// Durations longer than this are taken as this: a hundred years, so that "for ever" can be added to any clock without overflow.
pub(super) const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Who defines a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Apache Kafka's Java producer (4.2).
    Kafka,
    /// librdkafka, where the Java producer has no such key.
    Librdkafka,
    /// This project.
    Forebay,
}

/// The type and range of a key's value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within the two bounds.
    Int(i64, i64),
    /// A whole number of bytes within the two bounds.
    Bytes(i64, i64),
    /// A whole number of milliseconds within the two bounds; a lower bound of −1 means that −1 is "never".
    Millis(i64, i64),
    /// A whole number of microseconds within the two bounds.
    Micros(i64, i64),
    /// A decimal number.
    Double,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// Comma-separated words.
    List,
    /// A Java class name.
    Class,
    /// A secret: never repeated in an error or a log.
    Password,
}

/// What becomes of a key that somebody sets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Standing {
    /// Does what it says.
    Used,
    /// Checked and then without effect; the text says what happens instead.
    Accepted(&'static str),
    /// Only these values are accepted; the text says why.
    Only(&'static [&'static str], &'static str),
    /// An error; the text says why and what to do instead.
    Refused(&'static str),
}

/// One row of the table of keys.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeySpec {
    /// The key's name, as in a properties file.
    pub name: &'static str,
    /// The heading it is listed under.
    pub group: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// The default as text, as one would write it in a properties file. For a key that is not [`Standing::Used`], Kafka's default.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// How it interacts with other keys; may be empty.
    pub interacts: &'static str,
    /// Who defines it.
    pub origin: Origin,
    /// What becomes of it here.
    pub standing: Standing,
    pub(super) apply: Option<fn(&mut Settings, Value)>,
}

/// Every key: first those in use, by group, then the rest of Kafka's.
pub fn keys() -> impl Iterator<Item = &'static KeySpec> {
    USED.iter().chain(SECURITY).chain(OTHER)
}

/// The row of a key.
pub(super) fn find(name: &str) -> Option<&'static KeySpec> {
    keys().find(|spec| spec.name == name)
}

/// A value read according to its [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Duration(Duration),
    Text(String),
    List(Vec<String>),
}

/// A row's `apply` asks for the type its `kind` reads. A row where the two differ panics with its first default, that is, in every test.
impl Value {
    pub(super) fn bool(&self) -> bool {
        let Self::Bool(value) = self else { mismatch(self) };
        *value
    }
    pub(super) fn int(&self) -> i64 {
        let Self::Int(value) = self else { mismatch(self) };
        *value
    }
    pub(super) fn duration(&self) -> Duration {
        let Self::Duration(value) = self else { mismatch(self) };
        *value
    }
    pub(super) fn text(self) -> String {
        let Self::Text(value) = self else { mismatch(&self) };
        value
    }
    pub(super) fn list(self) -> Vec<String> {
        let Self::List(value) = self else { mismatch(&self) };
        value
    }
}

fn mismatch(value: &Value) -> ! {
    unreachable!("a row of the table of keys applies another type than it reads: {value:?}")
}

impl Kind {
    /// Reads a value. Surrounding blanks do not count, as in Java.
    ///
    /// # Errors
    /// What is wrong with the text, and what would be right.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match *self {
            Self::Bool if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Self::Bool if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            Self::Bool => Err("must be true or false".to_owned()),
            Self::Int(min, max) | Self::Bytes(min, max) => whole(text, min, max, self.unit()).map(Value::Int),
            Self::Millis(min, max) => whole(text, min, max, self.unit())
                .map(|ms| Value::Duration(u64::try_from(ms).map_or(FOR_EVER, Duration::from_millis).min(FOR_EVER))),
            Self::Micros(min, max) => {
                whole(text, min, max, self.unit()).map(|us| Value::Duration(Duration::from_micros(us.unsigned_abs())))
            }
            Self::Double => match text.parse::<f64>() {
                Ok(_) => Ok(Value::Text(text.to_owned())),
                Err(_) => Err("must be a number".to_owned()),
            },
            Self::Choice(words) => words
                .iter()
                .find(|word| word.eq_ignore_ascii_case(text))
                .map(|word| Value::Text((*word).to_owned()))
                .ok_or_else(|| format!("must be one of {}", words.join(", "))),
            Self::Text | Self::Class | Self::Password => Ok(Value::Text(text.to_owned())),
            Self::List => Ok(Value::List(
                text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            )),
        }
    }

    /// A value that can be read, written in the one way for all that are the same.
    pub(super) fn canonical(&self, text: &str) -> String {
        match self.read(text) {
            Ok(Value::Bool(value)) => value.to_string(),
            Ok(Value::Text(value)) => value,
            Ok(Value::List(words)) => words.join(","),
            Ok(Value::Int(_) | Value::Duration(_)) => {
                text.trim().parse::<i64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
            }
            Err(_) => text.to_owned(),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Bytes(..) => "bytes",
            Self::Millis(..) => "milliseconds",
            Self::Micros(..) => "microseconds",
            _ => "",
        }
    }

    /// Type, unit and range in words, for people.
    pub fn describe(&self) -> String {
        let range = |min: i64, max: i64| match (min, max) {
            (min, i64::MAX) => format!("{min} or more"),
            (min, max) => format!("{min} to {max}"),
        };
        match *self {
            Self::Bool => "true or false".to_owned(),
            Self::Int(min, max) => range(min, max),
            Self::Bytes(min, max) => format!("bytes, {}", range(min, max)),
            Self::Millis(min, max) => format!("ms, {}", range(min, max)),
            Self::Micros(min, max) => format!("µs, {}", range(min, max)),
            Self::Double => "number".to_owned(),
            Self::Choice(words) => words.join(", "),
            Self::Text => "text".to_owned(),
            Self::List => "list, comma-separated".to_owned(),
            Self::Class => "class name".to_owned(),
            Self::Password => "secret".to_owned(),
        }
    }
}

fn whole(text: &str, min: i64, max: i64, unit: &str) -> Result<i64, String> {
    let of_unit = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
    match text.parse::<i64>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        Ok(value) if value < min => Err(format!("is too small: the least is {min}{}", spaced(unit))),
        Ok(_) => Err(format!("is too large: the most is {max}{}", spaced(unit))),
        Err(_) => Err(format!("must be a whole number{of_unit}, written without a unit")),
    }
}

fn spaced(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}
