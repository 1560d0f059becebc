//! The project's chores behind one command: `cargo xtask help`.

#![forbid(unsafe_code)]

mod browser;
mod check;
mod examples;
mod fuzz;
#[cfg(test)]
mod guarantees;
mod instructions;
mod kafka;
mod loom;
mod memcheck;
mod msrv;
mod mutants;
mod peers;
mod portable;
mod report;
mod run;
mod semver;
mod shuttle;
mod sim;
mod suites;
mod supply;
mod targets;

use std::env;
use std::process::ExitCode;

use report::Report;

const HELP: &str = "\
cargo xtask COMMAND

  test [--require-all] [--only STEP,…]
                    everything: format, lints, MSRV, units, integration, docs, benches as tests, rivals, peers,
                    valgrind, shuttle, simulation, loom models and mutants, a browser, real Kafka, chaos, other clients,
                    fuzz corpora; a table of what ran at the end.
                    --require-all makes anything that had to be skipped a failure.
  deny              licences, duplicate versions and sources of what is linked (needs cargo-deny)
  features          the libraries with no feature, each, all but each, and all: no warning
  minimal           the published crates with the oldest dependencies that their manifests allow
  package           the published crates as they would be uploaded, built from that alone
  targets           compile checks for other systems, as far as their standard libraries are installed
  semver [--write]  the public API of each published crate against xtask/public-api
  portable          the tests of what is different where a system is not Linux, as it is there
  loom [FILTER]     the loom models whose name contains FILTER, each with its interleavings and time
  shuttle           the whole engine under randomised schedules; FOREBAY_SEED=n replays, FOREBAY_SCHEDULES=n says how many
  memcheck          the engine's tests under valgrind
  instructions [--write]
                    instructions for each record of the hot paths, against benches/instructions.txt
  sim [OPTIONS]     the whole client on a model cluster: 10,000 seeds, or --seed N [--trace], --seeds A..B,
                    --seconds S, --jobs N, --keep-going; sim --mutants [FILTER]: each mutant of
                    simulation/mutants.txt must be found, and the table in simulation/README.md is written
  browser           the report of forebay perf in Chromium
  kafka [FILTER]    the tests against a real Kafka (needs a JDK 17 or later, Maven and kcat)
  chaos [--seconds N] [--seed N] [--kafka VERSION]
                    three brokers under kill -9, stops, elections, reassignments and a bad network for N
                    seconds (75); prints a report and leaves it in target/tmp/chaos-report.txt
  interop [FILTER]  other Kafka versions, kfake and librdkafka's mock cluster, read back by four clients
                    (needs Go 1.26 or later and Python 3 with venv as well); FILTER begins a test's name
  peers [SCENARIO…] [--rounds N] [--peers A,B] [--list] [--help]
                    forebay beside librdkafka, franz-go, Kafka's Java producer and the kernel alone, to the same broker:
                    tables and plots in target/peers (BENCHMARKING.md tells how to read them)
  mutants [FILTER]  every mutant of loom-tests/mutants.txt must be killed by the model named for it;
                    a run without FILTER writes the table into loom-tests/README.md
  fuzz [SECONDS]    replays the corpora of fuzz/ and tries each door with mutations of them: from a fixed
                    seed and a fresh one, each for SECONDS (2)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["test", options @ ..] => check::everything(options),
        ["loom"] => Ok(single(loom::step(None))),
        ["loom", filter] => Ok(single(loom::step(Some(filter)))),
        ["deny"] => Ok(single(supply::deny())),
        ["features"] => Ok(single(supply::features())),
        ["minimal"] => Ok(single(supply::minimal_versions())),
        ["package"] => Ok(single(supply::package())),
        ["targets"] => Ok(single(targets::step())),
        ["semver"] => Ok(single(semver::step(false))),
        ["semver", "--write"] => Ok(single(semver::step(true))),
        ["portable"] => Ok(single(portable::step())),
        ["shuttle"] => Ok(single(shuttle::step())),
        ["instructions"] => Ok(single(instructions::step(false))),
        ["instructions", "--write"] => Ok(single(instructions::step(true))),
        ["memcheck"] => Ok(single(memcheck::step())),
        ["sim", options @ ..] => sim::command(options),
        ["browser"] => Ok(single(browser::step())),
        ["kafka"] => Ok(single(kafka::step(None))),
        ["kafka", filter] => Ok(single(kafka::step(Some(filter)))),
        ["chaos", options @ ..] => kafka::chaos(options).map(single),
        ["interop"] => Ok(single(kafka::interop(None))),
        ["interop", filter] => Ok(single(kafka::interop(Some(filter)))),
        ["peers", options @ ..] => peers::command(options),
        ["mutants"] => mutants::run(None),
        ["mutants", filter] => mutants::run(Some(filter)),
        ["fuzz"] => Ok(single(fuzz::step(None))),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => Ok(single(fuzz::step(Some(seconds)))),
            Err(_) => Err(format!("not a number of seconds: {seconds}")),
        },
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("not a command: {}\n\n{HELP}", arguments.join(" "))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// One step by itself: what was asked for by name may not be skipped.
fn single(step: report::Step) -> bool {
    let mut report = Report::default();
    report.add(step);
    report.print();
    report.good(true)
}
