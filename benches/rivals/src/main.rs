//! The hand-off of records through a lane beside other queues: `cargo run --release`; `--help` says more, README.md the rest.

mod contest;
mod options;
mod plot;
mod probe;
mod queue;
mod queues;
mod records;
mod report;
mod shot;

use crate::options::{HELP, Options};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::{env, error::Error, fs};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let events = contest::hold(&options);
    if options.smoke {
        // A shot that loses a byte panics.
        let shots: usize = events.iter().flat_map(|event| &event.entries).map(|entry| entry.shots.len()).sum();
        println!("{shots} shots, every byte arrived in order");
        return ExitCode::SUCCESS;
    }
    match publish(&events, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

fn publish(events: &[contest::Event], options: &Options) -> Result<(), Box<dyn Error>> {
    let text = report::markdown(events);
    print!("{text}");
    fs::create_dir_all(&options.out)?;
    fs::write(options.out.join("results.md"), text)?;
    fs::write(options.out.join("results.json"), format!("{:#}\n", report::json(events, &machine())))?;
    events.iter().try_for_each(|event| plot::draw(event, &options.out))
}

/// What the figures were taken on.
fn machine() -> Value {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    json!({
        "processor": model,
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "system": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "command": env::args().skip(1).collect::<Vec<_>>().join(" "),
    })
}
