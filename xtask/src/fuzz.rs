//! The fuzz doors on the stable compiler: their corpora as they are, then mutations of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::report::Step;
use crate::run;

/// The seed that is always the same, so that what went well yesterday goes well today.
const FIXED: u64 = 1;
/// At least so many mutations of each corpus, for each seed.
const RUNS: u32 = 3_000;
/// And for at least so long, for each seed.
const SECONDS: u32 = 2;
/// A door that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(900);

/// Replays the corpora and mutates them: from a fixed seed and a fresh one. `seconds` is how long each door is tried
/// with each seed.
pub(crate) fn step(seconds: Option<u32>) -> Step {
    Step::timed("fuzz", |step| {
        if let Err(why) = all(step, seconds.unwrap_or(SECONDS)) {
            step.fail(why);
        }
    })
}

fn all(step: &mut Step, seconds: u32) -> Result<(), String> {
    let target = run::target("fuzz");
    let mut build =
        run::cargo(&["build", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--example", "short", "--target-dir"]);
    build.arg(&target).env("RUSTFLAGS", "--cfg fuzzing");
    run::succeeds(build)?;
    let doors = names(&run::root().join("fuzz/fuzz_targets"))?;
    let corpora = names(&run::root().join("fuzz/corpus"))?;
    if doors.is_empty() || doors != corpora {
        return Err(format!("targets and corpora differ: {:?}", doors.symmetric_difference(&corpora)));
    }
    let artifacts = run::root().join("fuzz/artifacts");
    fs::create_dir_all(&artifacts).map_err(|e| format!("{}: {e}", artifacts.display()))?;
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(2, |time| time.as_secs());
    let work: Vec<Command> = doors.iter().flat_map(|door| commands(&target, door, [FIXED, fresh], seconds)).collect();
    let results = in_parallel(work);
    for (status, text) in results {
        match status {
            Ok(()) => step.pass(),
            Err(why) => step.fail(format!("{why}\n{}", last_lines(&text, 40))),
        }
        eprint!("{text}");
    }
    Ok(())
}

/// The real target reads its corpus, and the short runs go on from there.
fn commands(target: &Path, door: &str, seeds: [u64; 2], seconds: u32) -> Vec<Command> {
    let mut replay = Command::new(target.join("debug").join(door));
    replay.args(["-runs=0", &format!("-artifact_prefix=artifacts/{door}-"), &format!("corpus/{door}")]);
    let mut all = vec![replay];
    for seed in seeds {
        let mut short = Command::new(target.join("debug/examples/short"));
        short.arg(door).arg("--seed").arg(seed.to_string());
        short.args(["--runs", &RUNS.to_string(), "--seconds", &seconds.to_string()]);
        all.push(short);
    }
    for command in &mut all {
        command.current_dir(run::root().join("fuzz")).env("RUST_BACKTRACE", "0");
    }
    all
}

/// Runs commands, as many at a time as there are cores. What each came to, and what it said, in their order.
fn in_parallel(work: Vec<Command>) -> Vec<(Result<(), String>, String)> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut results: Vec<_> = work.iter().map(|_| (Err("was not run".to_owned()), String::new())).collect();
    let todo = Mutex::new(work.into_iter().zip(&mut results));
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().ok().and_then(|mut todo| todo.next());
                    let Some((command, result)) = next else { return };
                    let name = run::shown(&command);
                    *result = match run::quietly(command, LIMIT) {
                        Ok((Some(status), text)) if status.success() => (Ok(()), short(&text)),
                        Ok((Some(status), text)) => (Err(format!("{name}: {status}")), text),
                        Ok((None, text)) => (Err(format!("{name}: stopped after {LIMIT:?}")), text),
                        Err(why) => (Err(why), String::new()),
                    };
                }
            });
        }
    });
    drop(todo);
    results
}

/// Of a command that went well, the lines of our own: libFuzzer says more.
fn short(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| line.contains("inputs in")).collect()
}

/// Files and folders by their names without what follows a dot.
fn names(folder: &Path) -> Result<BTreeSet<String>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(paths.filter_map(stem).collect())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
