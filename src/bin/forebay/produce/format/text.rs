//! Lines: headers, key and value with separators between them, as Kafka's console producer reads them (`parse.headers`,
//! `parse.key`, `null.marker`).

use super::{Fields, Headers, Parts, Wrong, wrong};
use std::borrow::Cow;

/// What stands between the parts of a line. The defaults are Kafka's.
#[derive(Debug, Clone)]
pub(crate) struct Separators {
    /// Between key and value.
    pub(crate) key: String,
    /// Between the headers and what follows.
    pub(crate) headers: String,
    /// Between one header and the next.
    pub(crate) header: String,
    /// Between the name of a header and its value.
    pub(crate) header_key: String,
    /// A key, a value or a header's value that is equal to it is null.
    pub(crate) null: Option<String>,
}

impl Default for Separators {
    fn default() -> Self {
        Self { key: "\t".into(), headers: "\t".into(), header: ",".into(), header_key: ":".into(), null: None }
    }
}

impl Separators {
    /// Texts that are equal, so that a line would be read another way than it was meant. Kafka's tools refuse the same.
    pub(crate) fn check(&self, with_key: bool, with_headers: bool) -> Result<(), String> {
        let key = [("--key-separator", &self.key)];
        let headers = [
            ("--headers-delimiter", &self.headers),
            ("--headers-separator", &self.header),
            ("--headers-key-separator", &self.header_key),
        ];
        let key = if with_key { &key[..] } else { &[] };
        let headers = if with_headers { &headers[..] } else { &[] };
        let null = self.null.as_ref().map(|null| ("--null-marker", null));
        // The key's separator is looked for where the headers have ended: it may be one of theirs.
        let among_headers =
            headers.iter().enumerate().flat_map(|(at, one)| headers[..at].iter().map(move |other| (one, other)));
        let with_null = null.iter().flat_map(|null| key.iter().chain(headers).map(move |other| (null, other)));
        match among_headers.chain(with_null).find(|((_, one), (_, other))| one == other) {
            Some(((one, text), (other, _))) => Err(format!("{one} and {other} must not be equal: both are {text:?}")),
            None => Ok(()),
        }
    }

    fn field<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        (self.null.as_ref().map(String::as_bytes) != Some(bytes)).then_some(Cow::Borrowed(bytes))
    }
}

pub(super) fn parse<'a>(line: &'a [u8], parts: &Parts) -> Result<Fields<'a>, Wrong> {
    let separators = &parts.separators;
    let mut fields = Fields::default();
    let mut rest = line;
    if parts.headers {
        let Some((text, after)) = split(rest, separators.headers.as_bytes()) else {
            return wrong(format!("it has no {:?} after the headers", separators.headers));
        };
        fields.headers = headers(text, separators)?;
        rest = after;
    }
    if parts.key {
        let Some((key, after)) = split(rest, separators.key.as_bytes()) else {
            return wrong(format!("it has no {:?} between key and value", separators.key));
        };
        fields.key = separators.field(key);
        rest = after;
    }
    fields.value = separators.field(rest);
    Ok(fields)
}

/// No text is no header, and the null marker says the same.
fn headers<'a>(text: &'a [u8], separators: &Separators) -> Result<Headers<'a>, Wrong> {
    let mut headers = Headers::new();
    if text.is_empty() || separators.field(text).is_none() {
        return Ok(headers);
    }
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (header, after) = match split(text, separators.header.as_bytes()) {
            Some((header, after)) => (header, Some(after)),
            None => (text, None),
        };
        rest = after;
        let shown = String::from_utf8_lossy(header);
        let Some((name, value)) = split(header, separators.header_key.as_bytes()) else {
            return wrong(format!("its header {shown:?} has no {:?} between name and value", separators.header_key));
        };
        match std::str::from_utf8(name) {
            Err(_) => return wrong(format!("the name of its header {shown:?} is not UTF-8")),
            Ok(name) if separators.null.as_deref() == Some(name) => {
                return wrong(format!("the name of its header {shown:?} is the null marker: only values may be null"));
            }
            Ok(name) => headers.push((Cow::Borrowed(name), separators.field(value))),
        }
    }
    Ok(headers)
}

/// What comes before the first separator, and what comes after it.
fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::super::{Fields, Parts};
    use super::{Separators, parse, split};

    fn parts(key: bool, headers: bool, null: Option<&str>) -> Parts {
        Parts { key, headers, separators: Separators { null: null.map(str::to_owned), ..Separators::default() } }
    }

    fn parsed<'a>(line: &'a str, parts: &Parts) -> Result<Fields<'a>, String> {
        parse(line.as_bytes(), parts).map_err(|why| why.to_string())
    }

    fn bytes(text: &str) -> std::borrow::Cow<'_, [u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn the_first_separator_ends_the_key() {
        assert_eq!(split(b"k:v:w", b":"), Some((&b"k"[..], &b"v:w"[..])));
        assert_eq!(split(b":", b":"), Some((&b""[..], &b""[..])));
        assert_eq!(split(b"a=>b", b"=>"), Some((&b"a"[..], &b"b"[..])));
        assert_eq!(split(b"none", b":"), None);
        assert_eq!(split(b"", b":"), None);
    }

    #[test]
    fn headers_key_and_value_are_read_as_kafka_reads_them() {
        let all = parts(true, true, Some("NULL"));
        let fields = parsed("a:1,a:NULL,b:\tkey\tvalue\twith a tab", &all).expect("well formed");
        assert_eq!(fields.key, Some(bytes("key")));
        assert_eq!(fields.value, Some(bytes("value\twith a tab")));
        assert_eq!(fields.headers, [("a".into(), Some(bytes("1"))), ("a".into(), None), ("b".into(), Some(bytes("")))]);
        let nulls = parsed("NULL\tNULL\tNULL", &all).expect("well formed");
        assert_eq!(nulls, Fields::default());
        assert_eq!(
            parsed("\t\t", &all),
            Ok(Fields { key: Some(bytes("")), value: Some(bytes("")), ..Fields::default() })
        );
        assert_eq!(parsed("NULL", &parts(false, false, None)).map(|fields| fields.value), Ok(Some(bytes("NULL"))));
    }

    #[test]
    fn a_line_without_its_separators_says_which_one_it_lacks() {
        for (line, key, headers, expected) in [
            ("abc", true, false, "it has no \"\\t\" between key and value"),
            ("abc", false, true, "it has no \"\\t\" after the headers"),
            ("abc\tv", false, true, "its header \"abc\" has no \":\" between name and value"),
            ("a:1,,b:2\tv", false, true, "its header \"\" has no"),
            ("N:1\tv", false, true, "only values may be null"),
        ] {
            let why = parsed(line, &parts(key, headers, Some("N"))).expect_err("malformed");
            assert!(why.contains(expected), "{line:?}: {why}");
        }
        let why = parse(b"\xff:1\tv", &parts(false, true, None)).map_err(|why| why.to_string());
        assert!(why.is_err_and(|why| why.contains("is not UTF-8")));
    }

    #[test]
    fn separators_that_cannot_be_told_apart_are_refused() {
        assert_eq!(Separators::default().check(true, true), Ok(()));
        let same = Separators { header: ":".into(), ..Separators::default() };
        assert!(
            same.check(true, true).is_err_and(|why| why.contains("--headers-key-separator and --headers-separator"))
        );
        assert_eq!(same.check(true, false), Ok(()), "they are not used");
        let null = Separators { null: Some("\t".into()), ..Separators::default() };
        assert!(null.check(true, false).is_err_and(|why| why.contains("--null-marker and --key-separator")));
        assert_eq!(null.check(false, false), Ok(()));
    }
}
