//! JSON lines: one object for each record. Bytes that are no text stand there in base64.

use super::{Fields, Headers, Wrong, wrong};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// The object. A field that is not one of these is a mistake, and serde names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'a> {
    #[serde(borrow, default)]
    key: Option<Bytes<'a>>,
    /// With a function of its own it must be there, if only as null: a tombstone is to be meant.
    #[serde(borrow, deserialize_with = "Option::deserialize")]
    value: Option<Bytes<'a>>,
    #[serde(borrow, default)]
    headers: Option<Named<'a>>,
    #[serde(default)]
    partition: Option<u32>,
    #[serde(default)]
    timestamp: Option<i64>,
}

pub(super) fn parse(line: &[u8]) -> Result<Fields<'_>, Wrong> {
    let object: Object<'_> = match serde_json::from_slice(line) {
        Ok(object) => object,
        Err(error) => return wrong(told(&error)),
    };
    if let Some(before @ ..0) = object.timestamp {
        return wrong(format!("its timestamp is {before}: milliseconds since 1970 are not negative"));
    }
    Ok(Fields {
        key: object.key.map(|bytes| bytes.0),
        value: object.value.map(|bytes| bytes.0),
        headers: object.headers.map(|named| named.0).unwrap_or_default(),
        partition: object.partition,
        timestamp: object.timestamp,
    })
}

/// The parser sees one line at a time, so its line is always the first; the caller says which one it is.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) => format!("{text} (column {})", error.column()),
        None => text,
    }
}

const BYTES: &str = "a string or {\"base64\": \"…\"}";

/// A string, or `{"base64": "…"}`.
struct Bytes<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor).map(Self)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BYTES)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, text)) = map.next_entry::<Cow<'de, str>, Cow<'de, str>>()? else {
            return Err(A::Error::custom(format!("an empty object: write {BYTES}")));
        };
        if name != "base64" {
            return Err(A::Error::custom(format!(
                "an object with {name:?}: write {BYTES}; JSON that is to be sent is written as a string"
            )));
        }
        let bytes = STANDARD.decode(text.as_bytes());
        if map.next_key::<Cow<'de, str>>()?.is_some() {
            return Err(A::Error::custom("nothing may stand beside \"base64\""));
        }
        bytes.map(Cow::Owned).map_err(|error| A::Error::custom(format!("not base64: {error}")))
    }
}

/// An object of names and values, or an array of `[name, value]`. The order stays, and so does a name that comes again.
struct Named<'a>(Headers<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamedVisitor).map(Self)
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Headers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers as an object {\"name\": value, …} or as an array [[\"name\", value], …]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut headers = Headers::new();
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, Option<Bytes<'de>>>()? {
            headers.push((name, value.map(|bytes| bytes.0)));
        }
        Ok(headers)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut headers = Headers::new();
        while let Some((name, value)) = pairs.next_element::<(Cow<'de, str>, Option<Bytes<'de>>)>()? {
            headers.push((name, value.map(|bytes| bytes.0)));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::parse;
    use std::borrow::Cow;

    fn parsed(line: &str) -> Result<Fields<'_>, String> {
        parse(line.as_bytes()).map_err(|why| why.to_string())
    }

    #[test]
    fn an_object_becomes_a_record() {
        let line = r#" {"timestamp": 1700000000000, "partition": 3, "key": "k\n", "value": {"base64": "/wA="},
            "headers": {"b": "1", "a": null, "b": {"base64": "AQ=="}}} "#
            .replace('\n', " ");
        let fields = parsed(&line).expect("well formed");
        assert_eq!(fields.key.as_deref(), Some(&b"k\n"[..]));
        assert_eq!(fields.value.as_deref(), Some(&b"\xff\x00"[..]));
        let headers: Vec<_> = fields.headers.iter().map(|(name, value)| (name.as_ref(), value.as_deref())).collect();
        assert_eq!(headers, [("b", Some(&b"1"[..])), ("a", None), ("b", Some(&b"\x01"[..]))]);
        assert_eq!((fields.partition, fields.timestamp), (Some(3), Some(1_700_000_000_000)));
        let pairs = parsed(r#"{"value": null, "headers": [["x", "y"], ["x", null]]}"#).expect("well formed");
        assert_eq!(pairs.headers, [("x".into(), Some(b"y"[..].into())), ("x".into(), None)]);
        assert_eq!(parsed(r#"{"value": null, "key": null}"#), Ok(Fields::default()));
    }

    #[test]
    fn text_without_escapes_is_not_copied() {
        let fields = parsed(r#"{"key": "plain", "value": "ä"}"#).expect("well formed");
        assert!(matches!(fields.key, Some(Cow::Borrowed(b"plain"))));
        assert!(matches!(fields.value, Some(Cow::Borrowed(_))));
    }

    #[test]
    fn what_is_wrong_with_an_object_is_said() {
        for (line, expected) in [
            ("", "EOF while parsing"),
            ("plain", "expected value (column"),
            ("[]", "invalid"),
            (r#"{"key": "k"}"#, "missing field `value`"),
            (r#"{"value": 5}"#, "expected a string or {\"base64\""),
            (r#"{"value": {"a": "b"}}"#, "JSON that is to be sent is written as a string"),
            (r#"{"value": {}}"#, "an empty object"),
            (r#"{"value": {"base64": "!"}}"#, "not base64"),
            (r#"{"value": {"base64": "", "x": ""}}"#, "nothing may stand beside"),
            (r#"{"value": null, "val": null}"#, "unknown field `val`, expected one of `key`, `value`"),
            (r#"{"value": null, "value": null}"#, "duplicate field `value`"),
            (r#"{"value": null, "partition": -1}"#, "u32"),
            (r#"{"value": null, "timestamp": "now"}"#, "i64"),
            (r#"{"value": null, "timestamp": -1}"#, "its timestamp is -1"),
            (r#"{"value": null, "headers": "x"}"#, "expected headers as an object"),
            (r#"{"value": null} {}"#, "trailing characters"),
        ] {
            let why = parsed(line).expect_err(line);
            assert!(why.contains(expected) && !why.contains("line 1"), "{line}: {why}");
        }
        assert!(parse(b"{\"value\": \"\xff\"}").is_err());
    }
}
