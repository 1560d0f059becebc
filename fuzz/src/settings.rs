//! Configuration files of any content, and any settings written as Java writes them.

use forebay::config::{ConfigBuilder, keys};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

/// What a pipe holds on every system that has them, and more than the longest input comes to when it is escaped.
const LARGEST: usize = 60_000;

/// Between a key and its value.
const SEPARATORS: [&str; 6] = ["=", ":", " ", "\u{c}", " \t= ", "\u{c}:\t"];

/// Any bytes as a file; and, taken as lines of `key=value` without escapes, as settings.
pub fn properties(data: &[u8]) {
    let data = &data[..data.len().min(LARGEST / 8)];
    any_file(data);
    let separator = SEPARATORS[data.len() / 2 % SEPARATORS.len()];
    round_trip(&String::from_utf8_lossy(data), separator, data.len().is_multiple_of(2));
}

/// Reads a properties file: every problem is said, with its line, and nothing that was accepted is out of its range.
fn any_file(data: &[u8]) {
    let builder = read(data);
    for key in keys() {
        let _ = builder.value(key.name);
    }
    let verdict = builder.validate();
    match builder.build() {
        Ok(config) => {
            assert!(verdict.is_ok(), "built, though not valid");
            assert!(std::str::from_utf8(data).is_ok(), "a file that is no text was read");
            assert!(config.buffer_memory() > 0);
        }
        Err(error) => {
            assert!(verdict.is_err(), "valid, though not built: {error}");
            assert!(!error.problems().is_empty() && !error.to_string().is_empty());
        }
    }
}

/// What `java.util.Properties.store` would write is read as what it was, and judged as if it had been set.
fn round_trip(text: &str, separator: &str, in_ascii: bool) {
    let pairs: BTreeMap<&str, &str> = text.split('\n').map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    let mut stored = String::from("# written as Java does\n");
    for (key, value) in &pairs {
        stored.push_str("\u{c} ");
        escape(key, true, in_ascii, &mut stored);
        // An empty key before a blank would be an empty line.
        stored.push_str(if key.is_empty() { "=" } else { separator });
        escape(value, false, in_ascii, &mut stored);
        stored.push('\n');
    }
    let from_file = read(stored.as_bytes());
    for (key, value) in &pairs {
        assert_eq!(from_file.value(key), Some(*value), "{key:?} in {stored:?}");
    }
    let set = ConfigBuilder::new().properties(pairs.iter().map(|(key, value)| (*key, *value)));
    let (one, other) = (from_file.validate(), set.validate());
    assert_eq!(one.err().map(|error| error.to_string()), other.err().map(|error| error.to_string()));
}

/// The reader takes a path: that of a pipe, because a file for each input would be most of the work.
fn read(data: &[u8]) -> ConfigBuilder {
    let (end, mut start) = io::pipe().expect("a pipe");
    assert!(data.len() <= LARGEST, "nobody would read while it is written");
    start.write_all(data).expect("fits into the pipe");
    drop(start);
    ConfigBuilder::new().properties_file(format!("/dev/fd/{}", end.as_raw_fd()))
}

/// In a key every blank is escaped, in a value the first; in ASCII alone, other characters are by their UTF-16
/// units.
fn escape(text: &str, is_key: bool, in_ascii: bool, out: &mut String) {
    for (at, c) in text.chars().enumerate() {
        if at == 5 && c != ' ' {
            out.push_str("\\\r\n \u{c}"); // goes on in the next line, whose blanks do not count
        }
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '=' | ':' | '#' | '!' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ if in_ascii => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
            _ => out.push(c),
        }
    }
}
