//! What `forebay produce` makes of its input formats.

use super::produce::{produce, read_back};
use super::{check, run};
use forebay_mock_broker::MockBroker;

type Headers = Vec<(String, Option<Vec<u8>>)>;

fn headers(pairs: &[(&str, Option<&[u8]>)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect()
}

#[test]
fn lines_with_headers_keys_and_nulls_are_read_as_kafkas_console_producer_reads_them() {
    let broker = MockBroker::builder().start().expect("a broker");
    let args = ["--parse-headers", "--parse-key", "--null-marker", "NULL", "--header", "for=all"];
    check(&produce(&broker, &args, b"a:1,b:NULL\tkey\tvalue:with,all\n\t\t\nNULL\tNULL\tNULL\n"), 0);
    let records = broker.records("lines", 0);
    assert_eq!(records[0].headers, headers(&[("for", Some(b"all")), ("a", Some(b"1")), ("b", None)]));
    assert_eq!((&records[0].key, &records[0].value), (&Some(b"key".to_vec()), &Some(b"value:with,all".to_vec())));
    assert_eq!((&records[1].key, &records[1].value), (&Some(b"".to_vec()), &Some(b"".to_vec())));
    assert_eq!((&records[2].key, &records[2].value), (&None, &None));
    assert_eq!(records[2].headers, headers(&[("for", Some(b"all"))]));

    let args = ["--parse-headers", "--headers-delimiter", "|", "--headers-separator", ";"];
    let more = ["--headers-key-separator", "=", "--key-separator", "->"];
    check(&produce(&broker, &[&args[..], &more].concat(), b"a=1;b=2:3|k->v->w\n"), 0);
    let records = broker.records("lines", 0);
    assert_eq!(records[3].headers, headers(&[("a", Some(b"1")), ("b", Some(b"2:3"))]));
    assert_eq!((&records[3].key, &records[3].value), (&Some(b"k".to_vec()), &Some(b"v->w".to_vec())));
}

fn framed(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
        bytes.extend(field.unwrap_or_default());
    }
    bytes
}

#[test]
fn length_prefixed_records_hold_any_bytes() {
    let broker = MockBroker::builder().start().expect("a broker");
    let values: Vec<Vec<u8>> = (0..300_usize).map(|n| (0..n * 7).map(|byte| byte as u8).collect()).collect();
    let input: Vec<u8> = values.iter().flat_map(|value| framed(&[Some(value)])).chain(framed(&[None])).collect();
    let (_, err) = check(&produce(&broker, &["--input-format", "length-prefixed"], &input), 0);
    assert!(err.contains("301 records acknowledged"), "{err}");
    let records = broker.records("lines", 0);
    assert!(records.iter().zip(&values).all(|(record, value)| record.value.as_ref() == Some(value)));
    assert_eq!(records[300].value, None);

    let mut input = 2_i32.to_be_bytes().to_vec();
    input.extend(framed(&[Some(b"h"), Some(b"\x00\n"), Some(b"h"), None, Some(b"key\n"), Some(b"value")]));
    check(&produce(&broker, &["--input-format=length-prefixed", "--parse-headers", "--parse-key"], &input), 0);
    let record = &broker.records("lines", 0)[301];
    assert_eq!(record.headers, headers(&[("h", Some(b"\x00\n")), ("h", None)]));
    assert_eq!((&record.key, &record.value), (&Some(b"key\n".to_vec()), &Some(b"value".to_vec())));

    let (_, err) =
        check(&produce(&broker, &["--input-format=length-prefixed"], &framed(&[Some(b"x"), Some(b"yz")])[..10]), 1);
    assert!(err.contains("record 2 of standard input was not acknowledged: the input ends 1 bytes before"), "{err}");
    let huge = [&framed(&[Some(b"x")])[..], &i32::MAX.to_be_bytes()].concat();
    let (_, err) = check(&produce(&broker, &["--input-format=length-prefixed"], &huge), 1);
    assert!(err.contains("record 2") && err.contains("longer than max.request.size=1048576"), "{err}");
}

#[test]
fn json_lines_say_key_value_headers_partition_and_timestamp() {
    let broker = MockBroker::builder().partitions(4).start().expect("a broker");
    let input = r#"
{"key": "k", "value": "v", "headers": {"z": "1", "a": null, "z": {"base64": "/w=="}}, "partition": 3, "timestamp": 1700000000123}

{"value": {"base64": "AP8="}, "partition": 3, "headers": [["n", "x"]], "key": null}
{"key": "21", "value": null}
"#;
    check(&produce(&broker, &["--input-format", "json"], input.as_bytes()), 0);
    let records = broker.records("lines", 3);
    assert_eq!((&records[0].key, &records[0].value), (&Some(b"k".to_vec()), &Some(b"v".to_vec())));
    assert_eq!(records[0].headers, headers(&[("z", Some(b"1")), ("a", None), ("z", Some(b"\xff"))]));
    assert_eq!(records[0].timestamp, 1_700_000_000_123);
    assert_eq!((&records[1].key, &records[1].value), (&None, &Some(b"\x00\xff".to_vec())));
    assert_eq!(records[1].headers, headers(&[("n", Some(b"x"))]));
    // Where the line names no partition the key's hash does, as in Java.
    let hashed: Vec<_> = read_back(&broker, "lines", 3).concat();
    assert_eq!(
        hashed.iter().map(|record| (record.key.clone(), record.value.clone())).collect::<Vec<_>>(),
        [(Some(b"21".to_vec()), None)]
    );
}

#[test]
fn a_json_line_that_is_wrong_is_named_with_the_reason() {
    let broker = MockBroker::builder().partitions(2).start().expect("a broker");
    for (line, expected) in [
        (r#"{"key": "k"}"#, "missing field `value`"),
        (r#"{"value": "v", "valu": "v"}"#, "unknown field `valu`, expected one of `key`, `value`"),
        (r#"{"value": 5}"#, "expected a string or {\"base64\": \"…\"} (column 11)"),
        (r#"{"value": "v", "partition": 2}"#, "topic lines has 2 partitions, there is no partition 2"),
        (r#"{"value": "v", "partition": 4294967295}"#, "there is no partition 4294967295"),
        (r#"{"value": "v", "timestamp": -5}"#, "not negative"),
        ("plain text", "expected value (column 1)"),
    ] {
        let input = format!("{{\"value\": \"good\"}}\n{line}\n{{\"value\": \"never read\"}}\n");
        let (_, err) = check(&produce(&broker, &["--input-format", "json"], input.as_bytes()), 1);
        assert!(err.contains("line 2 of standard input was not acknowledged: "), "{err}");
        assert!(err.contains(expected), "{line}: {err}");
        assert!(err.contains("1 records acknowledged"), "{err}");
    }
    let values: Vec<_> = read_back(&broker, "lines", 2).concat().into_iter().map(|record| record.value).collect();
    assert!(values.iter().all(|value| *value == Some(b"good".to_vec())), "{values:?}");
}

#[test]
fn options_that_do_not_go_together_are_refused_before_anything_is_sent() {
    let base = ["produce", "--topic", "t", "--bootstrap-server", "localhost:1"];
    for (args, expected) in [
        (&["--input-format", "json", "--key-separator", ":"][..], "--key-separator is for --input-format lines"),
        (&["--input-format", "json", "--parse-key"], "its fields have names"),
        (&["--input-format", "length-prefixed", "--null-marker", "N"], "--null-marker is for --input-format lines"),
        (&["--headers-separator", ";"], "--parse-headers"),
        (&["--parse-headers", "--headers-separator", ":"], "must not be equal"),
        (&["--parse-key", "--null-marker", "\\t"], "--null-marker and --key-separator must not be equal"),
        (&["--input-format", "csv"], "possible values: lines, length-prefixed, json"),
        (&["--key-separator", ""], "must not be empty"),
    ] {
        let (_, err) = check(&run(&[&base[..], args].concat()), 2);
        assert!(err.contains(expected), "{args:?}: {err}");
    }
}
