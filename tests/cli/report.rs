//! The page that `forebay perf --report` writes, and what is drawn on a terminal while it runs.

use super::{TempFile, check, run};
use forebay_mock_broker::MockBroker;
use serde_json::Value;
use std::fs;

/// What stands between two marks.
#[track_caller]
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

fn page(args: &[&str], status: i32) -> (String, Value, String) {
    let file = TempFile::new(b"an old page that is longer than nothing");
    let base = ["perf", "--format", "json", "--report", file.path()];
    let (out, err) = check(&run(&[&base[..], args].concat()), status);
    let page = fs::read_to_string(file.path()).expect("a page");
    let summary: Value = serde_json::from_str(&out).expect("one JSON object");
    let data: Value = serde_json::from_str(between(&page, "id=\"forebay-perf\">", "</script>")).expect("JSON");
    assert_eq!(data["summary"], summary, "the page tells what standard output does");
    (page, data, err)
}

#[test]
fn a_report_holds_the_run_in_figures_over_time_and_in_percentiles() {
    let args = ["--num-records", "20000", "--partitions", "3", "--senders", "2", "--record-size", "50"];
    let (page, data, err) = page(&args, 0);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
    for title in
        ["Throughput", "Send to acknowledgement", "Buffer in use", "Requests in flight", "Latency by percentile"]
    {
        let chart = between(&page, &format!("<h3>{title}</h3>"), "</figure>");
        assert!(chart.contains("<svg ") && chart.contains("class=\"line a\" d=\"M"), "{title}: {chart}");
        let hover = between(chart, "data-hover=\"", "\"").replace("&quot;", "\"");
        let hover: Value = serde_json::from_str(&hover).expect("JSON");
        assert!(hover[0][0].is_f64() && hover[0][1][0].is_string(), "{title}: {hover}");
    }
    let intervals = data["intervals"].as_array().expect("intervals");
    let acked: u64 = intervals.iter().filter_map(|one| one["acked"].as_u64()).sum();
    assert_eq!(acked, 20_000, "each acknowledgement is in one interval");
    assert!(intervals.iter().all(|one| one["from_s"].as_f64() < one["to_s"].as_f64()), "{intervals:?}");
    assert!(data["ack_ns"]["max"].as_u64() >= data["ack_ns"]["99.9 %"].as_u64());
    let broker = &data["brokers"][0];
    assert!(broker["requests"].as_u64() > Some(0) && broker["sent_bytes"].as_u64() > Some(1_000_000), "{broker}");
    assert!(between(&page, "<h2>Brokers</h2>", "</table>").contains(broker["address"].as_str().expect("an address")));
    assert_eq!(data["run"]["record size"], "50 B");
    assert_eq!(data["run"]["partitions"], "3");
    assert_eq!(data["settings"]["acks"], "all");
    assert!(data["machine"]["processor"].is_string());
    assert!(page.contains("20,000 records of 50 B to 3 partitions of topic forebay-perf at"));
    assert!(page.contains("<p class=\"verdict good\">verified:"), "{err}");
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn a_report_needs_nothing_from_outside() {
    let (page, _, _) = page(&["--num-records", "1000"], 0);
    for mark in ["src=", "href=", "url(", "@import", "http:", "https:", "//cdn", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(mark), "{mark}");
    }
    // And a browser would refuse it.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    assert!(page.contains(&format!("http-equiv=\"Content-Security-Policy\" content=\"{policy}\"")));
}

#[test]
fn a_report_of_a_failed_run_says_so() {
    let (page, data, err) = page(&["--num-records", "1000", "--fault", "produce-error=29"], 1);
    assert!(page.contains("<p class=\"verdict bad\">1000 of 1000 records were not acknowledged"), "{err}");
    assert_eq!(
        data["intervals"].as_array().map(|all| all.iter().filter_map(|one| one["failed"].as_u64()).sum()),
        Some(1_000_u64)
    );
}

#[test]
fn what_a_user_wrote_is_text_in_a_report_and_a_secret_is_not_in_it() {
    let broker = MockBroker::builder().user("u", "hunter2").start().expect("a broker");
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"hunter2\";";
    let args = [
        "--num-records=10",
        "--bootstrap-server",
        &broker.bootstrap(),
        "-Xclient.id=</script><script>alert(1)</script>&\"",
        "-Xsecurity.protocol=SASL_PLAINTEXT",
        "-Xsasl.mechanism=PLAIN",
        &format!("-Xsasl.jaas.config={jaas}"),
    ];
    let (page, data, _) = page(&args, 0);
    assert_eq!(page.matches("<script").count(), 2, "its own two");
    assert_eq!(data["settings"]["client.id"], "</script><script>alert(1)</script>&\"");
    assert_eq!(data["settings"]["sasl.jaas.config"], "[hidden]");
    assert!(!page.contains("hunter2"));
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_run() {
    let (out, err) = check(&run(&["perf", "--num-records", "10", "--report", "/nonexistent/report.html"]), 2);
    assert_eq!(out, "");
    assert!(err.contains("/nonexistent/report.html cannot be written"), "{err}");
}

#[test]
fn a_run_that_does_not_begin_leaves_no_report() {
    let path = std::env::temp_dir().join(format!("forebay-no-report-{}", std::process::id()));
    let name = path.to_str().expect("a UTF-8 path");
    check(&run(&["perf", "--bootstrap-server=127.0.0.1:1", "-X", "max.block.ms=100", "--report", name]), 3);
    assert!(!path.exists());
}

#[test]
fn nothing_is_drawn_where_standard_error_is_no_terminal() {
    let (_, err) = check(&run(&["perf", "--num-records", "20000"]), 0);
    assert!(!err.contains('\x1b') && err.lines().count() == 1, "{err:?}");
}
