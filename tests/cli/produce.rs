//! `forebay produce` with lines.

use super::{TempFile, check, forebay, text};
use forebay_mock_broker::{FaultSpec, MockBroker, StoredRecord};
use std::io::Write as _;
use std::process::{Output, Stdio};

/// Every record of a topic, partition by partition.
pub(super) fn read_back(broker: &MockBroker, topic: &str, partitions: i32) -> Vec<Vec<StoredRecord>> {
    (0..partitions).map(|partition| broker.records(topic, partition)).collect()
}

pub(super) fn produce(broker: &MockBroker, args: &[&str], input: &[u8]) -> Output {
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
    let args = ["--key-separator", "\\t", "--header", "source=test", "--header", "empty="];
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

    let (_, err) = check(&produce(&broker, &["--key-separator", ":"], b"a:1\nb:2\nc3\nd:4\n"), 1);
    assert!(err.contains("line 3 of standard input was not acknowledged: it has no \":\""), "{err}");

    let small = ["--producer-property", "max.request.size=3000"];
    let (_, err) = check(&produce(&broker, &small, format!("a\n{}", "y".repeat(4_000)).as_bytes()), 1);
    assert!(err.contains("line 2 of standard input was not acknowledged"), "{err}");

    broker.faults().set("produce-error=29".parse::<FaultSpec>().expect("a fault"));
    let (_, err) = check(&produce(&broker, &[], b"a\nb\n"), 1);
    assert!(err.contains("line 1 of standard input was not acknowledged"), "{err}");
}
