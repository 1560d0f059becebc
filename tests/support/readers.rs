//! What other clients read back: Kafka's own Java consumers and librdkafka (`kcat`).

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::java::Kafka;
use super::kafka::KafkaBroker;

/// A record as the Java consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumedRecord {
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) value: Option<Vec<u8>>,
}

impl KafkaBroker {
    /// Every record of a topic, by the Java consumer with CRC checks; per partition in offset order.
    pub(crate) fn consume_java(&self, topic: &str) -> Vec<ConsumedRecord> {
        let mut records = Vec::new();
        read_java(self.kafka(), &self.direct(), topic, |record| records.push(record));
        records
    }

    /// The sum of the end offsets of all partitions: how many records the topic has taken, duplicates included.
    pub(crate) fn end_offsets(&self, topic: &str) -> u64 {
        let mut ends = Vec::new();
        dump(self.kafka(), &["ends", &self.direct(), topic], b"", |line| ends.push(line.to_owned()));
        ends.iter().map(|line| line.parse::<u64>().expect("a number")).sum()
    }

    /// Kafka's console consumer, as a user would run it: the values of the topic's first `count` records, a line each, into `file`.
    pub(crate) fn console_consumer(&self, topic: &str, count: u64, file: &Path, settings: &[&str]) {
        let mut command = self.kafka().java("org.apache.kafka.tools.consumer.ConsoleConsumer");
        command.args(["--bootstrap-server", &self.bootstrap(), "--topic", topic, "--from-beginning"]);
        command.args(["--max-messages", &count.to_string(), "--timeout-ms", "60000"]);
        for setting in settings {
            command.args(["--formatter-property", setting]);
        }
        let out = File::create(file).expect("the output file");
        let done = command.stdout(out).stderr(Stdio::piped()).output().expect("java runs");
        assert!(done.status.success(), "the console consumer: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Every record of a topic by librdkafka; headers as kcat prints them (`a=1,b=2`), which suits plain text only.
    pub(crate) fn consume_kcat(&self, topic: &str) -> Vec<(ConsumedRecord, String)> {
        read_kcat(&self.direct(), topic)
    }
}

/// Every record of a topic, by the Java consumer with CRC checks; per partition in offset order.
pub(crate) fn read_java(kafka: &Kafka, bootstrap: &str, topic: &str, mut each: impl FnMut(ConsumedRecord)) {
    dump(kafka, &["records", bootstrap, topic], b"", |line| {
        each(parse_dump(line).unwrap_or_else(|| panic!("Dump printed: {line}")));
    });
}

/// Every record of a topic by librdkafka, with its headers as kcat prints them.
pub(crate) fn read_kcat(bootstrap: &str, topic: &str) -> Vec<(ConsumedRecord, String)> {
    let done = Command::new("kcat")
        .args(["-C", "-q", "-e", "-o", "beginning", "-X", "check.crcs=true", "-b", bootstrap, "-t", topic])
        .args(["-f", "%p %o %T %K %S %k%s%h\\n"])
        .stdin(Stdio::null())
        .output()
        .expect("kcat runs: install the package kcat");
    assert!(done.status.success(), "kcat: {}", String::from_utf8_lossy(&done.stderr));
    let mut rest = done.stdout.as_slice();
    let mut records = Vec::new();
    while !rest.is_empty() {
        records
            .push(parse_kcat(&mut rest).unwrap_or_else(|| panic!("kcat printed: {}", String::from_utf8_lossy(rest))));
    }
    records
}

/// The partition that the Java producer gives to each key.
pub(crate) fn java_partitions(kafka: &Kafka, keys: &[Vec<u8>], partitions: u32) -> Vec<u32> {
    let mut input = String::new();
    for key in keys {
        input.extend(key.iter().map(|byte| format!("{byte:02x}")));
        input.push('\n');
    }
    let mut given = Vec::new();
    dump(kafka, &["partitions", &partitions.to_string()], input.as_bytes(), |line| {
        given.push(line.parse().expect("a number"));
    });
    given
}

/// Runs `Dump` and hands on what it prints, line by line: a long log need not fit into memory as text.
fn dump(kafka: &Kafka, arguments: &[&str], input: &[u8], each: impl FnMut(&str)) {
    lines(kafka.java("Dump").args(arguments), input, each);
}

/// Runs a reader to its end, which must be a success, and hands on its lines.
pub(crate) fn lines(command: &mut Command, input: &[u8], mut each: impl FnMut(&str)) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let input = input.to_vec();
    // What it complains of is read by a thread, here by `wait_with_output` of it: a full pipe would stop it.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let waiter = std::thread::spawn(move || child.wait_with_output());
    for line in BufReader::new(stdout).lines() {
        each(&line.expect("the reader prints ASCII"));
    }
    let done = waiter.join().expect("the waiter ends").expect("the reader ends");
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{:?}: {err}", command.get_args().collect::<Vec<_>>());
    writer.join().expect("the writer ends").expect("the reader reads its input");
}

pub(crate) fn parse_dump(line: &str) -> Option<ConsumedRecord> {
    let mut fields = line.split('\t');
    let partition = fields.next()?.parse().ok()?;
    let offset = fields.next()?.parse().ok()?;
    let timestamp = fields.next()?.parse().ok()?;
    let key = from_hex(fields.next()?)?;
    let mut headers = Vec::new();
    for header in fields.next()?.split(';').filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once('=')?;
        headers.push((String::from_utf8(from_hex(name)??).ok()?, from_hex(value)?));
    }
    let value = from_hex(fields.next()?)?;
    fields.next().is_none().then_some(ConsumedRecord { partition, offset, timestamp, key, headers, value })
}

/// The line that [`parse_dump`] takes for this record.
pub(crate) fn dumped(record: &ConsumedRecord) -> String {
    let hex = |bytes: Option<&[u8]>| {
        let Some(bytes) = bytes else { return "-".to_owned() };
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|(name, value)| format!("{}={}", hex(Some(name.as_bytes())), hex(value.as_deref())))
        .collect();
    let ConsumedRecord { partition, offset, timestamp, .. } = record;
    let (key, value) = (hex(record.key.as_deref()), hex(record.value.as_deref()));
    format!("{partition}\t{offset}\t{timestamp}\t{key}\t{}\t{value}\n", headers.join(";"))
}

/// `Some(None)` for a null.
#[expect(clippy::option_option, reason = "the outer one is a failed parse, the inner one a null of the protocol")]
fn from_hex(text: &str) -> Option<Option<Vec<u8>>> {
    if text == "-" {
        return Some(None);
    }
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8));
    bytes.collect::<Option<Vec<u8>>>().map(Some)
}

fn parse_kcat(rest: &mut &[u8]) -> Option<(ConsumedRecord, String)> {
    let partition = number(rest)?;
    let offset = number(rest)?;
    let timestamp = number(rest)?;
    let key_len = number(rest)?;
    let value_len = number(rest)?;
    let key = bytes(rest, key_len)?;
    let value = bytes(rest, value_len)?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let headers = String::from_utf8_lossy(&rest[..end]).into_owned();
    *rest = &rest[end + 1..];
    let partition = u32::try_from(partition).ok()?;
    Some((ConsumedRecord { partition, offset, timestamp, key, headers: Vec::new(), value }, headers))
}

/// A decimal number and the space behind it.
fn number(rest: &mut &[u8]) -> Option<i64> {
    let end = rest.iter().position(|&byte| byte == b' ')?;
    let value = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    *rest = &rest[end + 1..];
    Some(value)
}

/// `len` bytes, or a null for -1.
#[expect(clippy::option_option, reason = "the outer one is a failed parse, the inner one a null of the protocol")]
fn bytes(rest: &mut &[u8], len: i64) -> Option<Option<Vec<u8>>> {
    let Ok(len) = usize::try_from(len) else {
        return Some(None);
    };
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(Some(bytes.to_vec()))
}
