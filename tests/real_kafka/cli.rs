//! `forebay produce`, as a user runs it.

use std::fs;
use std::path::Path;

use crate::scratch;
use crate::support::cli::{forebay, forebay_ok};
use crate::support::kafka::KafkaBroker;

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn produce_sends_lines_with_keys_and_headers_that_the_console_consumer_shows() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("lines", 1);
    let server = broker.bootstrap();
    let arguments = [
        "produce",
        "--topic",
        "lines",
        "--bootstrap-server",
        &server,
        "--key-separator",
        ":",
        "--header",
        "source=test",
        "-",
    ];
    forebay_ok(&arguments, "a:first\nb:second: with the delimiter\n:no key\nä:ö\n".as_bytes());
    let file = scratch("lines");
    let settings =
        ["print.key=true", "print.headers=true", "print.offset=true", "key.separator=|", "headers.separator=,"];
    broker.console_consumer("lines", 4, &file, &settings);
    let text = fs::read_to_string(&file).expect("the consumer's output");
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "Offset:0|source:test|a|first",
        "Offset:1|source:test|b|second: with the delimiter",
        "Offset:2|source:test||no key",
        "Offset:3|source:test|ä|ö",
    ];
    assert_eq!(lines, expected);
    assert_eq!(broker.end_offsets("lines"), 4);
    fs::remove_file(&file).expect("the output can go");
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn every_input_format_becomes_the_records_that_the_console_consumer_shows() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("formats", 2);
    let server = broker.bootstrap();
    let produce = |options: &[&str], input: &[u8]| {
        let base = ["produce", "--topic", "formats", "--bootstrap-server", &server];
        forebay_ok(&[&base[..], options].concat(), input);
    };
    let json = r#"{"partition": 1, "timestamp": 1700000000123, "key": "j", "value": "json", "headers": {"h": "1", "n": null}}"#;
    produce(&["--input-format", "json"], json.as_bytes());
    produce(
        &["--input-format", "json"],
        br#"{"partition": 1, "timestamp": 5, "key": {"base64": "ZA=="}, "value": null}"#,
    );
    // Kafka's hash of 21 is even, so it belongs to partition 0.
    produce(&["--parse-headers", "--key-separator", "|", "--null-marker", "NIL"], b"a:1,b:NIL\t21|lines\n");
    let framed: Vec<u8> = [&b"21"[..], b"framed"]
        .iter()
        .flat_map(|field| [&(field.len() as i32).to_be_bytes(), *field].concat())
        .collect();
    produce(&["--input-format", "length-prefixed", "--parse-key"], &framed);
    let file = scratch("formats");
    let settings = [
        "print.timestamp=true",
        "print.partition=true",
        "print.headers=true",
        "print.key=true",
        "null.literal=NULL",
        "key.separator=|",
        "headers.separator=,",
    ];
    broker.console_consumer("formats", 4, &file, &settings);
    let text = fs::read_to_string(&file).expect("the consumer's output");
    // The time of a record that brings none is that of its send.
    let untimed = |line: &str| match line.split_once('|') {
        Some((time, rest)) if rest.starts_with("Partition:0") && time.starts_with("CreateTime:") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(untimed).collect();
    lines.sort_unstable();
    let expected = [
        "CreateTime:1700000000123|Partition:1|h:1,n:NULL|j|json",
        "CreateTime:5|Partition:1|NO_HEADERS|d|NULL",
        "Partition:0|NO_HEADERS|21|framed",
        "Partition:0|a:1,b:NULL|21|lines",
    ];
    assert_eq!(lines, expected);
    fs::remove_file(&file).expect("the output can go");
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn produce_of_a_large_text_is_identical_when_read_back_and_sorted() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("text", 4);
    let megabytes: usize =
        std::env::var("FOREBAY_TEXT_MB").map_or(100, |text| text.parse().expect("FOREBAY_TEXT_MB is a number"));
    let text = a_text(megabytes * 1_000_000);
    let (input, output) = (scratch("text-in"), scratch("text-out"));
    fs::write(&input, &text).expect("the text is written");
    let server = broker.bootstrap();
    let path = input.to_str().expect("a UTF-8 path");
    forebay_ok(&["produce", "--topic", "text", "--bootstrap-server", &server, path], b"");
    let mut sent: Vec<&[u8]> = lines(&text);
    assert_eq!(broker.end_offsets("text"), sent.len() as u64);
    broker.console_consumer("text", sent.len() as u64, &output, &[]);
    let read = fs::read(&output).expect("the consumer's output");
    let mut read: Vec<&[u8]> = lines(&read);
    sent.sort_unstable();
    read.sort_unstable();
    assert_eq!(read.len(), sent.len());
    let odd = sent.iter().zip(&read).find(|(sent, read)| sent != read);
    assert!(odd.is_none(), "{:?}", odd.map(|(a, b)| (String::from_utf8_lossy(a), String::from_utf8_lossy(b))));
    for file in [input, output] {
        fs::remove_file(file).expect("the text can go");
    }
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').collect()
}

/// This repository's own sources, numbered so that no two lines are the same, over and over until there are enough bytes.
fn a_text(len: usize) -> Vec<u8> {
    let mut sources = Vec::new();
    for folder in ["src", "engine/src", "io/src", "mock-broker/src", "tests"] {
        gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut sources);
    }
    let mut text = Vec::with_capacity(len + 1024);
    let mut number = 0u64;
    while text.len() < len {
        for line in sources.split(|&byte| byte == b'\n') {
            text.extend_from_slice(number.to_string().as_bytes());
            text.push(b' ');
            text.extend_from_slice(line);
            text.push(b'\n');
            number += 1;
        }
    }
    text
}

fn gather(folder: &Path, into: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            gather(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.extend(fs::read(&path).expect("a source file"));
        }
    }
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn produce_names_the_first_line_that_was_not_acknowledged() {
    let Some(broker) = KafkaBroker::shared() else { return };
    broker.create_topic("too-large", 1);
    let server = broker.bootstrap();
    let mut input = b"fits\nfits too\n".to_vec();
    input.extend(std::iter::repeat_n(b'x', 2_000_000));
    input.extend(b"\nfits as well\n");
    let done = forebay(&["produce", "--topic", "too-large", "--bootstrap-server", &server, "-"], &input);
    assert!(!done.status.success(), "a line of 2 MB is over every limit");
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(err.contains("line 3"), "it says which line: {err}");
}
