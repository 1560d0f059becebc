//! `forebay mock-broker`: the broker of the `forebay-mock-broker` crate as a program, and as the child of `forebay perf`.

use crate::Failure;
use crate::interrupt::Awaited;
use clap::ValueEnum;
use forebay_mock_broker::{FaultSpec, MockBroker, Mode, Numbering, SequenceVerifier};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::sync::Arc;

const LONG_HELP: &str = "\
Writes `listening HOST:PORT` (of every node, with commas) to standard output when it accepts connections, runs until SIGINT or SIGTERM,
and then writes what it received.

Topics are created when a client asks for them. Everything is in memory and gone when it stops.

Forms of FAULT, where WHEN is every=N or next=N requests (default every=1) and after-append fails a request that was carried out:
  produce-error=CODE[:WHEN][:after-append]   answer Produce with this Kafka error code
  drop-connection[=WHEN][:after-append]      close the connection instead of answering Produce
  leader-move[=WHEN]                         move the leaders before looking at Produce
  garbage[=WHEN]                             answer Produce with random bytes
  truncate[=WHEN]                            send half an answer, then close the connection
  delay-ms=N                                 hold every answer back
  throttle-ms=N                              ask clients to be slower
  short-writes=N                             write at most so many bytes at once
  stall-reads, stall-responses               read nothing; answer nothing
  stall-node=N                               read nothing on one node
  reject-connections                         close new connections at once

Exit status:
  0  stopped by a signal
  1  it could not start, for instance because the port is taken
  2  the command line is wrong";

#[derive(clap::Args)]
#[command(after_long_help = LONG_HELP)]
pub(crate) struct Args {
    /// The first node's port, on the loopback address; further nodes take the ports after it. 0 takes any that are free.
    #[arg(long, value_name = "P", default_value_t = 0)]
    port: u16,

    /// How many nodes the cluster has.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    nodes: u16,

    /// How many partitions a new topic gets.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,

    /// What to do with records.
    #[arg(long, value_enum, default_value_t = Keep::Store)]
    mode: Keep,

    /// How many bytes of batches to keep; beyond it the oldest go first.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_log_bytes: usize,

    /// Announce no higher protocol versions than Kafka 2.1 does.
    #[arg(long)]
    imitate_kafka_2_1: bool,

    /// Misbehave; may be given many times. The forms are listed by --help.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<FaultSpec>,

    /// Verify, obey lines on standard input, and stop at its end.
    #[arg(long, hide = true)]
    embedded: bool,

    /// How many senders to expect, for verifying.
    #[arg(long, hide = true, default_value_t = 1)]
    senders: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Keep {
    /// Check and store them; consumers can read them back.
    Store,
    /// Check them, the order and content of what `forebay perf` sends included, and store nothing.
    Verify,
    /// Acknowledge them and look at batch headers only, for measuring producers.
    Discard,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let keep = if args.embedded { Keep::Verify } else { args.mode };
    let mut builder = MockBroker::builder()
        .port(args.port)
        .nodes(args.nodes)
        .partitions(args.partitions)
        .max_log_bytes(args.max_log_bytes)
        .mode(match keep {
            Keep::Store => Mode::Store,
            Keep::Verify => Mode::Verify,
            Keep::Discard => Mode::Discard,
        });
    if args.imitate_kafka_2_1 {
        builder = builder.imitate_kafka_2_1();
    }
    if keep == Keep::Verify {
        builder = builder.verifier(Box::new(SequenceVerifier::new(Numbering::PerPartition, args.senders)));
    }
    builder = args.fault.iter().fold(builder, |builder, fault| builder.fault(*fault));
    // Before the address is told: whoever has read it may send a signal at once.
    if args.embedded {
        // A ctrl-C in a terminal goes to parent and child: the parent still has records on their way.
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::default()).map_err(Failure::run)?;
        }
    }
    let signals = (!args.embedded).then(Awaited::new).transpose().map_err(Failure::run)?;
    let broker = builder.start().map_err(Failure::run)?;
    say(format_args!("listening {}", broker.bootstrap()))?;
    match signals {
        None => obey(&broker),
        Some(signals) => {
            signals.wait();
            say(broker.stop())
        }
    }
}

/// One line of standard input is one order; the end of it ends the broker, so that it does not outlive its parent.
fn obey(broker: &MockBroker) -> Result<(), Failure> {
    for line in stdin().lock().lines() {
        match line.map_err(Failure::run)?.as_str() {
            "report" => say(broker.summary().verification.unwrap_or_default())?,
            other => return Err(Failure::usage(format!("unknown order {other:?}"))),
        }
    }
    Ok(())
}

fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Failure::run)
}
