//! The simulation: many seeds, one seed, and the mistakes that it must find.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::Step;
use crate::run;

const LIST: &str = "simulation/mutants.txt";
const README: &str = "simulation/README.md";
/// What CI runs.
const SEEDS: &str = "10000";
/// Seeds that a mutant has to survive to count as not found.
const MUTANT_SEEDS: &str = "40000";
/// A mutant that hangs the client instead of breaking a promise is not found.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// `cargo xtask sim [OPTIONS of simulate]` or `cargo xtask sim --mutants [FILTER]`.
pub(crate) fn command(options: &[&str]) -> Result<bool, String> {
    match options {
        ["--mutants"] => find_mutants(None),
        ["--mutants", filter] => find_mutants(Some(filter)),
        _ => {
            let mut command = Command::new(build()?);
            command.args(options);
            Ok(command.status().map_err(|e| format!("simulate: {e}"))?.success())
        }
    }
}

/// The seeds of CI, and that seeds find each of the mistakes.
pub(crate) fn step() -> Step {
    Step::timed("simulation", |step| {
        let program = match build() {
            Ok(program) => program,
            Err(why) => return step.fail(why),
        };
        let mut command = Command::new(&program);
        command.args(["--seeds", SEEDS]);
        match run::heard(command) {
            Err(why) => return step.fail(why),
            Ok((status, lines)) => {
                let (passed, failed) = counts(&lines.join("\n")).unwrap_or((0, 0));
                step.passed += passed;
                if !status.success() || failed > 0 || passed == 0 {
                    step.fail(format!("{failed} seeds: {status}"));
                }
            }
        }
        match list().and_then(|list| find(&program, &list)) {
            Err(why) => step.fail(why),
            Ok(all) => {
                for one in all {
                    match one.seed {
                        Some(_) => step.passed += 1,
                        None => step.fail(format!("mutant {} is not found", one.name)),
                    }
                }
            }
        }
    })
}

/// Builds the program with the mutants in it, which it makes only where its environment says so.
fn build() -> Result<PathBuf, String> {
    let target = run::target("simulation");
    let mut command = run::cargo(&["build", "--quiet", "--package", "forebay-simulation", "--profile", "simulation"]);
    command.arg("--target-dir").arg(&target).env("RUSTFLAGS", "--cfg simulation");
    run::succeeds(command)?;
    Ok(target.join("simulation/simulate"))
}

/// The names in the list.
pub(crate) fn mutants() -> Result<Vec<String>, String> {
    Ok(list()?.into_iter().map(|(name, _)| name).collect())
}

fn list() -> Result<Vec<(String, String)>, String> {
    parse(&fs::read_to_string(run::root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?)
}

/// The last line of the program: `N passed, M failed`.
fn counts(text: &str) -> Option<(usize, usize)> {
    let line = text.lines().rev().find(|line| line.ends_with(" failed"))?;
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

struct Found {
    name: String,
    breaks: String,
    /// The first seed that finds it.
    seed: Option<u64>,
    /// The promise that was broken.
    how: String,
}

fn find_mutants(filter: Option<&str>) -> Result<bool, String> {
    let program = build()?;
    let chosen: Vec<_> = list()?.into_iter().filter(|(name, _)| filter.is_none_or(|f| name.contains(f))).collect();
    if chosen.is_empty() {
        return Err(format!("{LIST} names no such mutant"));
    }
    let all = find(&program, &chosen)?;
    if filter.is_none() {
        write_table(&all)?;
    }
    let found = all.iter().filter(|one| one.seed.is_some()).count();
    println!("\n{found} of {} mutants found\n\n{found} passed, {} failed", all.len(), all.len() - found);
    Ok(found == all.len())
}

/// Each mistake is made until a seed finds it, one mistake on each core.
fn find(program: &Path, list: &[(String, String)]) -> Result<Vec<Found>, String> {
    let (count, next) = (list.len(), AtomicUsize::new(0));
    let work = || {
        let mut mine = Vec::new();
        while let Some((name, breaks)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            let mut command = Command::new(program);
            command.args(["--jobs", "1", "--seeds", MUTANT_SEEDS]).env("FOREBAY_MUTANT", name);
            let (_, text) = run::quietly(command, LIMIT)?;
            counts(&text).ok_or_else(|| format!("mutant {name}: it did not come to an end\n{text}"))?;
            let (seed, how) = first(&text);
            let by = seed.map_or_else(|| "NOT FOUND".to_owned(), |seed| format!("seed {seed}"));
            eprintln!("{name:<42} {by:>10}, {:.1} s: {how}", start.elapsed().as_secs_f64());
            mine.push(Found { name: name.clone(), breaks: breaks.clone(), seed, how });
        }
        Ok(mine)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let found: Result<Vec<Vec<Found>>, String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(count)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?).collect()
    });
    let mut all: Vec<Found> = found?.into_iter().flatten().collect();
    let place = |one: &Found| list.iter().position(|(name, _)| *name == one.name);
    all.sort_by_key(place);
    Ok(all)
}

/// The first seed that failed, and what it says: the line after the place.
fn first(text: &str) -> (Option<u64>, String) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("seed "));
    let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.split_once(':')?.0.parse().ok());
    (seed, lines.next().unwrap_or("").trim().replace('|', "\\|").chars().take(100).collect())
}

fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut list: Vec<(String, String)> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let wrong = || format!("{LIST}:{}: not `name | what it breaks`, or there twice", index + 1);
        let (name, breaks) = line.split_once('|').ok_or_else(wrong)?;
        let (name, breaks) = (name.trim().to_owned(), breaks.trim().to_owned());
        if name.is_empty() || breaks.is_empty() || list.iter().any(|known| known.0 == name) {
            return Err(wrong());
        }
        list.push((name, breaks));
    }
    Ok(list)
}

fn write_table(all: &[Found]) -> Result<(), String> {
    let mut table = String::from("| mutant | what it breaks | found by seed | which says |\n|---|---|---|---|\n");
    for one in all {
        let seed = one.seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string());
        let _ = writeln!(table, "| `{}` | {} | {seed} | {} |", one.name, one.breaks, one.how);
    }
    let path = run::root().join(README);
    let text = fs::read_to_string(&path).map_err(|e| format!("{README}: {e}"))?;
    let (before, rest) = text.split_once("<!-- mutants: begin").ok_or("no mark for the table's begin")?;
    let (mark, rest) = rest.split_once('\n').ok_or("no line after the mark")?;
    let (_, after) = rest.split_once("<!-- mutants: end").ok_or("no mark for the table's end")?;
    let text = format!("{before}<!-- mutants: begin{mark}\n\n{table}\n<!-- mutants: end{after}");
    fs::write(&path, text).map_err(|e| format!("{README}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        assert_eq!(counts("3 passed, 1 failed\n12 seeds: …\n10 passed, 2 failed\n"), Some((10, 2)));
        assert_eq!(counts("killed"), None);
    }

    #[test]
    fn the_first_failure_has_a_seed_and_a_reason() {
        let text = "2 runs\nseed 17: panicked at core.rs:3:\n  a | b\n  replay: …\nseed 18: other\n";
        assert_eq!(first(text), (Some(17), "a \\| b".to_owned()));
        assert_eq!(first("10 passed, 0 failed"), (None, String::new()));
    }

    #[test]
    fn the_list_is_read_and_its_mistakes_are_named() {
        assert_eq!(parse("# no\n\na | b | c\n"), Ok(vec![("a".into(), "b | c".into())]));
        assert!(parse("a | b\na | c").is_err_and(|why| why.contains(":2:")));
        assert!(parse("a").is_err());
    }
}
