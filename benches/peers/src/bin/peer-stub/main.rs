//! The broker that everybody is measured against: the mock broker as a process of its own, which obeys lines.
//!
//! `peer-stub mode=discard|verify nodes=N partitions=N [fault=SPEC] [tls=on]` writes `listening HOST:PORT,…` (and the file of its
//! certificate). Then, on standard input: `report` (one line of JSON), `fault SPEC`, `stop-node N`, `start-node N`; each is answered with a line. It ends
//! with its standard input, so that it cannot outlive who started it.

#![forbid(unsafe_code)]

mod tls;

use forebay_mock_broker::{Builder, MockBroker, Mode, Numbering, SequenceVerifier, VerifyReport};
use serde_json::json;
use std::error::Error;
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("peer-stub: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (builder, secret) = builder()?;
    let (broker, certificate) = if secret {
        let door = tls::Door::new()?;
        let (port, certificate) = (door.port()?, door.certificate.clone());
        let broker = builder.advertise("localhost", port).start()?;
        door.open(broker.bootstrap());
        say(format_args!("listening localhost:{port} {}", certificate.display()))?;
        (broker, Some(certificate))
    } else {
        let broker = builder.start()?;
        say(format_args!("listening {}", broker.bootstrap()))?;
        (broker, None)
    };
    for line in stdin().lock().lines() {
        match obey(&broker, &line?) {
            Ok(answer) => say(answer)?,
            Err(why) => say(json!({ "error": why.to_string() }))?,
        }
    }
    certificate.map_or(Ok(()), |file| Ok(std::fs::remove_file(file)?))
}

/// What the command line asks for, and whether clients come by TLS.
fn builder() -> Result<(Builder, bool), Box<dyn Error>> {
    let mut secret = false;
    let mut builder = MockBroker::builder().mode(Mode::Discard);
    for word in std::env::args().skip(1) {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("not name=value: {word}"))?;
        builder = match (name, value) {
            ("mode", "discard") => builder,
            ("mode", "verify") => {
                // Keys choose partitions, so a sender's sequence runs over all of them.
                let verifier = SequenceVerifier::new(Numbering::PerSender, 0);
                builder.mode(Mode::Verify).verifier(Box::new(verifier))
            }
            ("nodes", count) => builder.nodes(count.parse()?),
            ("partitions", count) => builder.partitions(count.parse()?),
            ("fault", fault) => builder.fault(fault.parse()?),
            ("tls", "on") => {
                secret = true;
                builder
            }
            _ => return Err(format!("not known: {word}").into()),
        };
    }
    Ok((builder, secret))
}

fn obey(broker: &MockBroker, line: &str) -> Result<serde_json::Value, Box<dyn Error>> {
    let (order, of) = line.split_once(' ').unwrap_or((line, ""));
    match order {
        "report" => return report(broker),
        "fault" => broker.faults().set(of.parse()?),
        "stop-node" => broker.stop_node(of.parse()?)?,
        "start-node" => broker.start_node(of.parse()?)?,
        _ => return Err(format!("unknown order {line:?}").into()),
    }
    Ok(json!({}))
}

/// What came: enough to tell whether it is what was sent, and how it was cut.
fn report(broker: &MockBroker) -> Result<serde_json::Value, Box<dyn Error>> {
    let summary = broker.summary();
    let verified: Option<VerifyReport> = summary.verification.as_deref().map(str::parse).transpose()?;
    Ok(json!({
        "records": summary.records(),
        "batches": summary.partitions.iter().map(|p| p.batches).sum::<u64>(),
        "bytes": summary.partitions.iter().map(|p| p.bytes).sum::<u64>(),
        "partitions_written": summary.partitions.iter().filter(|p| p.batches > 0).count(),
        "duplicates": summary.duplicates(),
        "refused": summary.partitions.iter().map(|p| p.refused).sum::<u64>(),
        "produce_requests": summary.requests("Produce"),
        "malformed": summary.malformed_requests,
        "verified": verified.map(|report| json!({
            "records": report.records, "lost": report.lost, "duplicated": report.duplicated,
            "reordered": report.reordered, "corrupt": report.corrupt,
        })),
    }))
}

fn say(line: impl std::fmt::Display) -> Result<(), std::io::Error> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
