//! The `forebay` program: measure, produce, stand in for a broker, list the configuration.

#![forbid(unsafe_code)]

mod config;
mod mock_broker;
mod options;
mod perf;
mod produce;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit status:
  0  everything was done: every record was acknowledged
  1  something failed while running: a record was not acknowledged, a broker could not be reached
  2  the command line or the configuration is wrong; nothing was sent";

/// A producer for Apache Kafka with one strict memory bound.
#[derive(Parser)]
#[command(name = "forebay", version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send generated records as fast as possible or at a given rate, and measure it.
    ///
    /// Without --bootstrap-server it starts a broker in memory as a child process and verifies that what arrived is what was sent:
    /// count, order and content.
    Perf(perf::Args),
    /// Send each line of a file or of standard input as a record.
    Produce(produce::Args),
    /// Run a small broker in memory that speaks the Kafka protocol, with faults on demand.
    MockBroker(mock_broker::Args),
    /// List every configuration key with its default and what it does.
    Config(config::Args),
}

/// Why the program does not end with success. The text goes to standard error.
#[derive(Debug)]
enum Failure {
    /// Exit status 2: the command line or the configuration.
    Usage(String),
    /// Exit status 1: anything later.
    Run(String),
}

impl Failure {
    fn run(error: impl std::fmt::Display) -> Self {
        Self::Run(error.to_string())
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Perf(args) => perf::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::MockBroker(args) => mock_broker::run(&args),
        Command::Config(args) => config::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Run(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(1)
        }
    }
}
