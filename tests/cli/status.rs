//! Exit statuses, and what is said with them.

use super::{check, forebay, run};
use forebay_mock_broker::MockBroker;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

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
fn the_cluster_has_a_status_of_its_own_while_nothing_was_sent() {
    // Nobody listens there: the port was free a moment ago, and asking for it again takes another.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let server = free.to_string();
    for command in [&["perf"][..], &["produce", "--topic", "t"]] {
        let args = ["--bootstrap-server", &server, "-X", "max.block.ms=300"];
        let (_, err) = check(&run(&[command, &args].concat()), 3);
        assert!(err.contains("no metadata"), "{err}");
    }
}

#[test]
fn a_topic_that_cannot_be_is_a_usage_error() {
    for command in ["perf", "produce"] {
        let (_, err) = check(&run(&[command, "--topic", "a b", "--bootstrap-server", "localhost:1"]), 2);
        assert!(err.contains("a topic name consists of"), "{err}");
    }
}

#[test]
fn help_tells_the_exit_statuses() {
    for (args, expected) in [
        (&["--help"][..], &["0 ", "1 ", "2 ", "3 ", "130 ", "143 "][..]),
        (&["perf", "--help"], &["0 ", "1 ", "2 ", "3 ", "130 "]),
        (&["produce", "--help"], &["0 ", "1 ", "2 ", "3 ", "130 "]),
        (&["mock-broker", "--help"], &["0 ", "1 ", "2 "]),
    ] {
        let (help, _) = check(&run(args), 0);
        let (_, list) = help.split_once("Exit status").expect("a list of exit statuses");
        let found: Vec<_> = list.lines().skip(1).map(str::trim_start).collect();
        for status in expected {
            assert!(found.iter().any(|line| line.starts_with(status)), "{args:?} {status}: {list}");
        }
    }
}

#[test]
fn produce_ends_in_good_order_when_it_is_interrupted_while_it_reads() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        // The answers take so long that the records are on their way when the signal comes.
        let late = "delay-ms=300".parse().expect("a fault");
        let broker = MockBroker::builder().fault(late).start().expect("a broker");
        let args = ["produce", "--topic", "t", "--bootstrap-server", &broker.bootstrap()];
        let mut child =
            forebay(&args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut input = child.stdin.take().expect("standard input");
        input.write_all(b"one\ntwo\nhalf a line").expect("it reads");
        while broker.records("t", 0).len() < 2 {
            thread::sleep(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let (_, err) = check(&child.wait_with_output().expect("it ends"), status);
        assert!(err.contains("2 records acknowledged"), "{err}");
        assert!(err.contains("interrupted: every record that was sent is acknowledged"), "{err}");
        assert_eq!(broker.records("t", 0).len(), 2);
        drop(input);
    }
}

#[test]
fn perf_waits_for_what_it_has_sent_when_it_is_interrupted() {
    let broker = MockBroker::builder().start().expect("a broker");
    let args =
        ["perf", "--topic", "t", "--bootstrap-server", &broker.bootstrap(), "--throughput", "200", "--format=json"];
    let child = forebay(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    while broker.records("t", 0).len() < 20 {
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let (out, err) = check(&child.wait_with_output().expect("it ends"), 130);
    let report: Value = serde_json::from_str(&out).expect("one JSON object, of what was done");
    assert_eq!(report["records_acked"], report["records_sent"], "{out}");
    assert_eq!(report["records_acked"].as_u64(), Some(broker.records("t", 0).len() as u64), "{out}");
    assert!(err.contains("of 5,000,000 records were sent and acknowledged"), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_embedded_broker_outlives_a_ctrl_c_that_goes_to_the_whole_group() {
    use std::os::unix::process::CommandExt as _;
    // The answers take so long that records are on their way when the signal comes; without a broker they would soon fail.
    let patience = ["-X", "request.timeout.ms=1000", "-X", "delivery.timeout.ms=2000"];
    let args = ["perf", "--throughput", "200", "--format=json", "--fault=delay-ms=300"];
    let mut command = forebay(&[&args[..], &patience].concat());
    let mut child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let group = Pid::from_child(&child);
    // It is at work once it no longer ends by a signal alone, which the kernel tells.
    while !catches_interrupts(&child) {
        assert!(child.try_wait().is_ok_and(|ended| ended.is_none()), "it is at work");
        thread::sleep(Duration::from_millis(5));
    }
    rustix::process::kill_process_group(group, Signal::INT).expect("it runs");
    let (out, err) = check(&child.wait_with_output().expect("it ends"), 130);
    let report: Value = serde_json::from_str(&out).expect("one JSON object, of what was done");
    assert_eq!(report["records_acked"], report["records_sent"], "{out}{err}");
}

/// Whether SIGINT has a handler.
#[cfg(target_os = "linux")]
fn catches_interrupts(child: &std::process::Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask & (1 << (Signal::INT.as_raw() - 1)) != 0)
}
