//! `forebay mock-broker`.

use super::{check, forebay, run};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

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
