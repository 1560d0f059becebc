//! The `forebay` program: measure, produce, stand in for a broker, list the configuration; completions and man pages.

#![forbid(unsafe_code)]

mod config;
mod failure;
mod interrupt;
mod mock_broker;
mod options;
mod pages;
mod perf;
mod produce;

use clap::{Parser, Subcommand};
use failure::{EXIT_CODES, Failure};
use std::process::ExitCode;

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
    /// Send what a file or standard input holds: lines, length-prefixed records or JSON lines.
    Produce(produce::Args),
    /// Run a small broker in memory that speaks the Kafka protocol, with faults on demand.
    MockBroker(mock_broker::Args),
    /// List every configuration key with its default and what it does, or check a configuration.
    ///
    /// With --producer-config, -X or --bootstrap-server that configuration is checked, and printed as it would be in force,
    /// without secrets.
    Config(config::Args),
    /// Write the completions of a shell to standard output.
    ///
    /// For bash, for instance: forebay completions bash > ~/.local/share/bash-completion/completions/forebay
    Completions(pages::CompletionsArgs),
    /// Write the man pages into a folder, or forebay(1) to standard output.
    ///
    /// To read it: forebay man | man -l -
    Man(pages::ManArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Perf(args) => perf::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::MockBroker(args) => mock_broker::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(&failure)
        }
    }
}
