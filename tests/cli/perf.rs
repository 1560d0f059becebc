//! `forebay perf`.

use super::{check, run};
use serde_json::Value;

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
        // Without the system's clock of CPU time nothing is known of it.
        let unknown = cfg!(forebay_portable) && name.starts_with("cpu_");
        assert!(report[name].as_f64() > Some(0.0) || unknown, "{name} is {}", report[name]);
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
