//! Runs seeds, on all cores; see `simulate --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use forebay_simulation::{Summary, run};

/// The whole forebay client on a model cluster, by seed.
#[derive(Parser)]
struct Arguments {
    /// Seeds to run: `N` is 0..N, `A..B` is from A to B, B excluded.
    #[arg(long, default_value = "10000", value_parser = range)]
    seeds: (u64, u64),
    /// Run this one seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Print what happens; meant for one seed. `FOREBAY_TRACE=1` does the same.
    #[arg(long)]
    trace: bool,
    /// Threads; all cores if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop after so many seconds, wherever that is.
    #[arg(long)]
    seconds: Option<u64>,
    /// Do not stop at the first seed that fails; say at the end how many did.
    #[arg(long)]
    keep_going: bool,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.trim().parse::<u64>().map_err(|e| format!("{text}: {e}"));
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (number(from)?, number(to)?),
        None => (0, number(text)?),
    };
    if from < to { Ok((from, to)) } else { Err("no seed".to_owned()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let traced = arguments.trace || std::env::var_os("FOREBAY_TRACE").is_some_and(|value| value != "0");
    let (from, to) = arguments.seed.map_or(arguments.seeds, |seed| (seed, seed + 1));
    let jobs = arguments
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
        .clamp(1, 1_024);
    let start = Instant::now();
    let end = arguments.seconds.map(|seconds| start + Duration::from_secs(seconds));
    let next = AtomicU64::new(from);
    let total = Mutex::new(Summary::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let mut mine = Summary::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || end.is_some_and(|end| Instant::now() >= end) {
                        break;
                    }
                    match run(seed, traced) {
                        Ok(summary) => mine.add(&summary),
                        Err(why) => {
                            if let Ok(mut failures) = failures.lock() {
                                failures.push((seed, why));
                            }
                            if !arguments.keep_going {
                                next.store(to, Ordering::Relaxed);
                            }
                        }
                    }
                }
                if let Ok(mut total) = total.lock() {
                    total.add(&mine);
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_default();
    failures.sort();
    for (seed, why) in failures.iter().take(10) {
        eprintln!("seed {seed}: {why}\n  replay: cargo xtask sim --seed {seed} --trace");
    }
    let total = total.into_inner().unwrap_or_default();
    println!("{total}; {jobs} threads, {:.1} s", start.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.seeds, failures.len());
    if failures.is_empty() && total.seeds > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
