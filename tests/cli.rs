//! The program as its users meet it: standard output, standard error, exit status.

// Without the feature there is no program to run.
#![cfg(feature = "cli")]

use forebay_mock_broker::{FaultSpec, MockBroker, StoredRecord};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

fn forebay(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    forebay(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks the exit status and gives back standard output and standard error.
#[track_caller]
fn check(output: &Output, status: i32) -> (String, String) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "standard output:\n{out}\nstandard error:\n{err}");
    (out, err)
}

fn sorted_keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

const PERF_FIELDS: [&str; 11] = [
    "ack_us",
    "cpu_ns_per_record",
    "cpu_seconds",
    "max_rss_bytes",
    "mb_per_sec",
    "records_acked",
    "records_failed",
    "records_per_sec",
    "records_sent",
    "seconds",
    "send_ns",
];

#[test]
fn perf_sends_verifies_and_reports_exactly_the_agreed_fields() {
    let args = ["perf", "--num-records", "20000", "--senders", "2", "--partitions", "3", "--format", "json"];
    let (out, err) = check(&run(&args), 0);
    let report: Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!(sorted_keys(&report), PERF_FIELDS);
    for name in ["send_ns", "ack_us"] {
        assert_eq!(sorted_keys(&report[name]), ["max", "p50", "p99", "p999"], "{name}");
        assert!(report[name]["max"].as_u64() >= report[name]["p50"].as_u64(), "{name}");
    }
    assert_eq!(report["records_sent"], 20_000);
    assert_eq!(report["records_acked"], 20_000);
    assert_eq!(report["records_failed"], 0);
    for name in ["seconds", "records_per_sec", "mb_per_sec", "cpu_seconds", "cpu_ns_per_record", "max_rss_bytes"] {
        assert!(report[name].as_f64() > Some(0.0), "{name} is {}", report[name]);
    }
    assert!(err.contains("verified"), "{err}");
}

#[test]
fn perf_verifies_records_too_small_for_a_sequence() {
    for senders in ["1", "2"] {
        let args = ["perf", "--num-records", "1000", "--record-size", "5", "--partitions", "2", "--senders", senders];
        let (out, _) = check(&run(&args), 0);
        assert!(out.contains("1,000 sent, 1,000 acknowledged, 0 failed"), "{out}");
    }
}

#[test]
fn perf_keeps_to_a_rate() {
    let args = ["perf", "--num-records", "100", "--throughput", "1000", "--format", "json"];
    let (out, _) = check(&run(&args), 0);
    let report: Value = serde_json::from_str(&out).expect("one JSON object");
    // The hundredth record is due 99 ms after the first: earlier would be wrong on any machine.
    assert!(report["seconds"].as_f64() >= Some(0.099), "{out}");
}

#[test]
fn perf_delivers_exactly_once_through_lost_answers() {
    let args = ["perf", "--num-records", "20000", "--partitions", "2", "--producer-property", "batch.max.bytes=20000"];
    let (_, err) = check(&run(&[&args[..], &["--fault", "drop-connection=every=9:after-append"]].concat()), 0);
    assert!(err.contains("verified"), "{err}");
}

#[test]
fn perf_fails_when_records_do() {
    // 29 is TOPIC_AUTHORIZATION_FAILED, which no retry helps.
    let output = run(&["perf", "--num-records", "1000", "--fault", "produce-error=29", "--format", "json"]);
    let (out, err) = check(&output, 1);
    let report: Value = serde_json::from_str(&out).expect("one JSON object, also of a run that failed");
    assert_eq!(report["records_acked"], 0);
    assert_eq!(report["records_failed"], 1_000);
    assert!(err.contains("1000 of 1000 records were not acknowledged"), "{err}");
}

#[test]
fn configuration_mistakes_are_all_told_before_anything_starts() {
    for command in [&["perf"][..], &["produce", "--topic", "t", "--bootstrap-server", "localhost:1"]] {
        let mistakes = ["--producer-property", "lingr.ms=5", "--producer-property", "acks=7"];
        let (out, err) = check(&run(&[command, &mistakes].concat()), 2);
        assert_eq!(out, "");
        assert!(err.contains("Did you mean linger.ms?"), "{err}");
        assert!(err.contains("must be one of all, -1, 1, 0"), "{err}");
    }
}

#[test]
fn wrong_command_lines_exit_with_2() {
    for args in [
        &["perf", "--num-records", "0"][..],
        &["perf", "--throughput", "0"],
        &["perf", "--producer-property", "linger.ms"],
        &["perf", "--fault", "nonsense"],
        &["perf", "--bootstrap-server", "localhost:1", "--fault", "stall-reads"],
        &["produce", "--topic", "t"],
        &["produce", "--bootstrap-server", "localhost:1"],
        &["produce", "--topic", "t", "--bootstrap-server", "localhost:1", "/nonexistent/file"],
        &["mock-broker", "--nodes", "0"],
        &["nonsense"],
    ] {
        check(&run(args), 2);
    }
}

#[test]
fn options_win_over_properties_and_properties_over_the_file() {
    let broker = MockBroker::builder().start().expect("a broker");
    let file = TempFile::new(b"bootstrap.servers=localhost:1\nclient.id=from-file\nacks=nonsense\n");
    let args = ["perf", "--num-records", "10", "--producer-config", file.path(), "--producer-property", "acks=1"];
    let (_, err) = check(&run(&[&args[..], &["--bootstrap-server", &broker.bootstrap()]].concat()), 0);
    assert!(err.contains("enable.idempotence is false"), "{err}");
    assert_eq!(broker.summary().records(), 10);
}

#[test]
fn config_lists_every_key() {
    let (out, _) = check(&run(&["config"]), 0);
    for spec in forebay::config::keys() {
        assert!(out.contains(spec.name), "{} is missing", spec.name);
    }
    let (out, _) = check(&run(&["config", "--markdown"]), 0);
    assert_eq!(out, forebay::config::reference_markdown());
}

/// Every record of a topic, partition by partition.
fn read_back(broker: &MockBroker, topic: &str, partitions: i32) -> Vec<Vec<StoredRecord>> {
    (0..partitions).map(|partition| broker.records(topic, partition)).collect()
}

fn produce(broker: &MockBroker, args: &[&str], input: &[u8]) -> Output {
    let servers = broker.bootstrap();
    let mut command = forebay(&["produce", "--topic", "lines", "--bootstrap-server", &servers]);
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that ends early closes the pipe, which is no failure of this end.
    let _ = child.stdin.take().expect("standard input").write_all(input);
    child.wait_with_output().expect("the program ends")
}

#[test]
fn produce_sends_a_file_line_by_line() {
    let broker = MockBroker::builder().partitions(4).start().expect("a broker");
    let lines: Vec<String> = (0..50_000).map(|n| format!("line {n} {}", "x".repeat(n % 200))).collect();
    let file = TempFile::new(format!("{}\n", lines.join("\n")).as_bytes());
    let (_, err) = check(&produce(&broker, &[file.path()], b""), 0);
    assert!(err.contains("50000 records acknowledged"), "{err}");
    let mut received = Vec::new();
    for records in read_back(&broker, "lines", 4) {
        let numbers: Vec<usize> = records.iter().map(number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "a partition keeps the order of the lines");
        received.extend(records.into_iter().map(|record| text(&record.value.expect("a value"))));
    }
    received.sort_unstable_by_key(|line| line.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()));
    assert_eq!(received, lines);
}

fn number(record: &StoredRecord) -> usize {
    let value = text(record.value.as_ref().expect("a value"));
    value.split(' ').nth(1).expect("a number").parse().expect("a number")
}

#[test]
fn produce_changes_nothing_but_the_newlines() {
    let broker = MockBroker::builder().start().expect("a broker");
    check(&produce(&broker, &[], b"plain\n\ncarriage return\r\n\xff\x00bytes\nno newline at the end"), 0);
    let values: Vec<_> = broker.records("lines", 0).into_iter().map(|record| record.value.expect("a value")).collect();
    assert_eq!(values, [&b"plain"[..], b"", b"carriage return\r", b"\xff\x00bytes", b"no newline at the end"]);
    check(&produce(&broker, &["-"], b""), 0);
    assert_eq!(broker.records("lines", 0).len(), 5, "no input is no record");
}

#[test]
fn produce_splits_keys_and_adds_headers() {
    let broker = MockBroker::builder().partitions(3).start().expect("a broker");
    let args = ["--key-delimiter", "\\t", "--header", "source=test", "--header", "empty="];
    check(&produce(&broker, &args, b"21\tfirst\n21\tsecond\tpart\n\tempty key\n"), 0);
    // Java's murmur2 of "21" is -973932308; without its sign 1173551340, and that is 0 modulo 3.
    let records = broker.records("lines", 0);
    let with_key: Vec<_> = records.iter().filter(|record| record.key.as_deref() == Some(b"21")).collect();
    let values: Vec<_> = with_key.iter().map(|record| text(record.value.as_ref().expect("a value"))).collect();
    assert_eq!(values, ["first", "second\tpart"]);
    let headers = [("source".to_owned(), Some(b"test".to_vec())), ("empty".to_owned(), Some(Vec::new()))];
    assert_eq!(with_key[0].headers, headers);
    let all = read_back(&broker, "lines", 3).concat();
    assert!(
        all.iter().any(|record| record.key.as_deref() == Some(b"") && record.value.as_deref() == Some(b"empty key"))
    );
}

#[test]
fn produce_names_the_first_line_that_was_not_acknowledged() {
    let broker = MockBroker::builder().max_message_bytes(2_000).start().expect("a broker");
    let input = format!("one\ntwo\n{}\nfour\n", "x".repeat(5_000));
    let (_, err) = check(&produce(&broker, &[], input.as_bytes()), 1);
    assert!(err.contains("line 3 of standard input was not acknowledged"), "{err}");

    let (_, err) = check(&produce(&broker, &["--key-delimiter", ":"], b"a:1\nb:2\nc3\nd:4\n"), 1);
    assert!(err.contains("line 3 of standard input was not acknowledged: it has no \":\""), "{err}");

    let small = ["--producer-property", "max.request.size=3000"];
    let (_, err) = check(&produce(&broker, &small, format!("a\n{}", "y".repeat(4_000)).as_bytes()), 1);
    assert!(err.contains("line 2 of standard input was not acknowledged"), "{err}");

    broker.faults().set("produce-error=29".parse::<FaultSpec>().expect("a fault"));
    let (_, err) = check(&produce(&broker, &[], b"a\nb\n"), 1);
    assert!(err.contains("line 1 of standard input was not acknowledged"), "{err}");
}

#[test]
fn a_mock_broker_stops_on_a_signal_and_says_what_it_received() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = forebay(&["mock-broker", "--partitions", "2", "--mode", "verify"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("standard output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("an address");
        let address = line.trim().strip_prefix("listening ").expect("an address").to_owned();
        check(&run(&["perf", "--num-records", "500", "--bootstrap-server", &address]), 0);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let mut summary = String::new();
        out.read_to_string(&mut summary).expect("a summary");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{summary}");
        assert!(summary.contains("received 500 records"), "{summary}");
        assert!(summary.contains("records=500 bytes=50000 senders=1 lost=0"), "{summary}");
    }
}

#[test]
fn an_embedded_broker_ends_with_its_input() {
    let mut child = forebay(&["mock-broker", "--embedded"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("standard input").write_all(b"report\n").expect("it reads");
    let (out, _) = check(&child.wait_with_output().expect("it ends"), 0);
    assert!(out.lines().nth(1).is_some_and(|line| line.starts_with("records=0 ")), "{out}");
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(contents: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("forebay-cli-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::write(&path, contents).expect("temporary file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the temporary directory's name is text")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
