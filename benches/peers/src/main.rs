//! Forebay beside librdkafka, franz-go, Kafka's Java producer, the kernel alone and the driver alone: the same records to the same broker, in
//! rounds in which everybody has one shot. `BENCHMARKING.md` tells how to read it.

#![forbid(unsafe_code)]

mod broker;
mod drivers;
mod figures;
mod host;
mod kafka;
mod machine;
mod peers;
mod plot;
mod quiet;
mod report;
mod scenario;
mod shot;
mod targets;

use clap::Parser;
use drivers::{Drivers, folder};
use kafka::Kafka;
use peers::{Entry, Peer, entries};
use scenario::{Against, Scenario};
use serde_json::{Value, json};
use shot::Range;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures producers of Apache Kafka side by side. Builds the drivers first; whoever's toolchain is missing is skipped.
#[derive(Parser, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Options {
    /// Scenarios whose name begins so; all if none is given. `--list` names them.
    scenario: Vec<String>,

    /// Rounds, in each of which everybody has one shot at each scenario.
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Who takes part: forebay, librdkafka, franz-go, java, kernel, bytes, driver.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,

    /// How long a shot takes, about.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,

    /// A shot during which the host took more of the machine is taken again, up to five times: the one with the least is kept.
    #[arg(long, value_name = "PERCENT")]
    quiet: Option<f64>,

    /// Trust that the drivers are built.
    #[arg(long)]
    no_build: bool,

    /// Do not let the broker verify each driver's records before they are timed.
    #[arg(long)]
    no_check: bool,

    /// Where JSON, tables and plots go; results that are there are kept unless their scenario is measured again.
    #[arg(long)]
    out: Option<PathBuf>,

    /// Names the scenarios.
    #[arg(long)]
    list: bool,

    /// Measures nothing: writes the tables and plots of the results that are there.
    #[arg(long)]
    report: bool,

    /// Measures nothing: puts tables and plots into docs/benchmarks/MACHINE, and the table of targets into README.md, which has a place
    /// for each kind of machine.
    #[arg(long, value_name = "MACHINE", value_parser = machine_name)]
    publish: Option<String>,

    /// A small round of everything that can break: each driver's records are verified.
    #[arg(long)]
    smoke: bool,
}

/// What a folder of results may be called.
fn machine_name(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(plain) {
        Ok(name.to_owned())
    } else {
        Err("a kind of machine, in small letters, digits and hyphens: epyc, xeon, graviton4".to_owned())
    }
}

/// One scenario for each thing that a driver or the stub does.
const SMOKE: [&str; 4] = ["saturated-100b-4p", "keyed-64p-4s", "paced-10k-linger0", "recovery"];

/// Enough for several batches of every partition.
const SMOKE_RECORDS: u64 = 20_000;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3), // all went well, but somebody was missing
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool, String> {
    let asked: Vec<&str> =
        if options.smoke { SMOKE.to_vec() } else { options.scenario.iter().map(String::as_str).collect() };
    let chosen: Vec<Scenario> = scenario::all()
        .into_iter()
        .filter(|scenario| asked.is_empty() || asked.iter().any(|name| scenario.name.starts_with(name)))
        .collect();
    if options.list {
        for scenario in &chosen {
            println!("{:<24} {}", scenario.name, scenario.title);
        }
        return Ok(true);
    }
    if chosen.is_empty() {
        return Err(format!("no scenario begins with {}: --list names them", asked.join(" or ")));
    }
    // What a smoke run gives is no figure: it must not lie where `--publish` looks.
    let usual = || if options.smoke { folder().join("smoke") } else { folder() };
    let out = options.out.clone().unwrap_or_else(usual);
    fs::create_dir_all(&out).map_err(|why| format!("{}: {why}", out.display()))?;
    let mut complete = true;
    if !options.report && options.publish.is_none() {
        let mut wanted = Peer::ALL.to_vec();
        if !options.peers.is_empty() {
            if let Some(unknown) = options.peers.iter().find(|name| Peer::ALL.iter().all(|peer| peer.name() != *name)) {
                return Err(format!("{unknown} is no peer: {}", Peer::ALL.map(Peer::name).join(", ")));
            }
            wanted.retain(|peer| options.peers.iter().any(|name| peer.name() == name));
        }
        let drivers = Drivers::of(&wanted, !options.no_build, !options.smoke);
        complete = drivers.missing.is_empty();
        contest(options, &drivers, &chosen, &out)?;
        for (peer, why) in &drivers.missing {
            eprintln!("SKIPPED {}: {why}", peer.name());
        }
    }
    if !options.smoke {
        let text = report::write(&out)?;
        println!("{text}");
        if let Some(machine) = &options.publish {
            report::publish(&out, &drivers::root(), machine, &text)?;
        }
        eprintln!("written to {}", out.display());
    }
    Ok(complete)
}

type Results = BTreeMap<(String, Entry), Vec<Value>>;

fn contest(options: &Options, drivers: &Drivers, chosen: &[Scenario], out: &Path) -> Result<(), String> {
    let needs_kafka = chosen.iter().any(|scenario| scenario.against == Against::Kafka) && drivers.has(Peer::Java);
    let kafka = needs_kafka.then(Kafka::start).transpose()?;
    let seconds = if options.smoke { 0.02 } else { options.seconds };
    let most = if options.smoke { SMOKE_RECORDS } else { u64::MAX };
    let range = Range { drivers, seconds, most, kafka: kafka.as_ref() };
    let mut cells: Vec<(&Scenario, Entry)> = Vec::new();
    for scenario in chosen {
        if scenario.against == Against::Kafka && kafka.is_none() {
            eprintln!("SKIPPED {}: the real Kafka needs Java, among --peers as well", scenario.name);
            continue;
        }
        // A small round tries each peer's two settings once.
        let both = !options.smoke || scenario.name.starts_with(SMOKE[0]);
        cells.extend(
            entries(scenario)
                .into_iter()
                .filter(|entry| drivers.has(entry.peer) && (both || entry.is_best()))
                .map(|entry| (scenario, entry)),
        );
    }
    if !options.no_check {
        for (scenario, entry) in &cells {
            range.check(scenario, *entry)?;
            eprintln!("checked {}: {entry}", scenario.name);
        }
    }
    let mut results = Results::new();
    let rounds = if options.smoke { 1 } else { options.rounds };
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        // Scenario by scenario, so that a scenario's contestants meet the same disturbances; within it in any order.
        for scenario in chosen {
            let mut turn: Vec<Entry> =
                cells.iter().filter(|(of, _)| of.name == scenario.name).map(|(_, entry)| *entry).collect();
            if turn.is_empty() {
                continue; // what an earlier run has measured stays
            }
            random.shuffle(&mut turn);
            for entry in turn {
                let mut shot = quiet::shoot(options.quiet, || range.shoot(scenario, entry, round))?;
                shot["round"] = json!(round);
                let per_record = shot["cpu_ns"].as_f64().unwrap_or(0.0) / shot["records"].as_f64().unwrap_or(1.0);
                let taken = shot[quiet::TAKEN].as_f64().map(|part| format!("{part:>6.1} % taken")).unwrap_or_default();
                eprintln!("{:<22} {:<22} {per_record:>9.1} ns{taken}", scenario.name, entry.to_string());
                results.entry((scenario.name.clone(), entry)).or_default().push(shot);
            }
            // At once: a run that is cut short has measured something.
            report::keep(out, scenario, &results)?;
        }
    }
    Ok(())
}
