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

/// The seeds of CI, and that a seed finds each of the mistakes: the one that found it last, or any.
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
        match list().and_then(|list| find(&program, &list, Begin::WhereItWasFound)) {
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
    Ok(list()?.into_iter().map(|mutant| mutant.name).collect())
}

fn list() -> Result<Vec<Mutant>, String> {
    parse(&fs::read_to_string(run::root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?)
}

/// The last line of the program: `N passed, M failed`.
fn counts(text: &str) -> Option<(usize, usize)> {
    let line = text.lines().rev().find(|line| line.ends_with(" failed"))?;
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// A line of the list: `name | what it breaks | seed`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mutant {
    name: String,
    breaks: String,
    /// The first seed that found it when the table was written; none of a new line.
    seed: Option<u64>,
}

/// The seed from which a mutant is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// The first: what is found is the first seed that finds it.
    AtZero,
    /// The list's. Where that no longer finds it, because the code or the model has changed, all are tried.
    WhereItWasFound,
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
    let chosen: Vec<_> = list()?.into_iter().filter(|one| filter.is_none_or(|f| one.name.contains(f))).collect();
    if chosen.is_empty() {
        return Err(format!("{LIST} names no such mutant"));
    }
    let all = find(&program, &chosen, Begin::AtZero)?;
    if filter.is_none() {
        write_table(&all)?;
    }
    write_seeds(&all)?;
    let found = all.iter().filter(|one| one.seed.is_some()).count();
    println!("\n{found} of {} mutants found\n\n{found} passed, {} failed", all.len(), all.len() - found);
    Ok(found == all.len())
}

/// Each mistake is made until a seed finds it, one mistake on each core.
fn find(program: &Path, list: &[Mutant], begin: Begin) -> Result<Vec<Found>, String> {
    let (count, next) = (list.len(), AtomicUsize::new(0));
    let work = || {
        let mut mine = Vec::new();
        while let Some(mutant) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            mine.push(find_one(program, mutant, begin)?);
        }
        Ok(mine)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let found: Result<Vec<Vec<Found>>, String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(count)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?).collect()
    });
    let mut all: Vec<Found> = found?.into_iter().flatten().collect();
    let place = |one: &Found| list.iter().position(|mutant| mutant.name == one.name);
    all.sort_by_key(place);
    Ok(all)
}

/// Makes one mistake until a seed finds it.
fn find_one(program: &Path, mutant: &Mutant, begin: Begin) -> Result<Found, String> {
    let Mutant { name, breaks, seed: known } = mutant;
    let start = Instant::now();
    let run = |seeds: &str| {
        let mut command = Command::new(program);
        command.args(["--jobs", "1", "--seeds", seeds]).env("FOREBAY_MUTANT", name);
        let (_, text) = run::quietly(command, LIMIT)?;
        counts(&text).ok_or_else(|| format!("mutant {name}: it did not come to an end\n{text}"))?;
        Ok::<_, String>(first(&text))
    };
    let (mut seed, mut how) = (None, String::new());
    if let (Begin::WhereItWasFound, Some(known)) = (begin, known) {
        (seed, how) = run(&format!("{known}..{}", known + 1))?;
    }
    if seed.is_none() {
        (seed, how) = run(MUTANT_SEEDS)?;
    }
    let by = seed.map_or_else(|| "NOT FOUND".to_owned(), |seed| format!("seed {seed}"));
    eprintln!("{name:<42} {by:>10}, {:.1} s: {how}", start.elapsed().as_secs_f64());
    Ok(Found { name: name.clone(), breaks: breaks.clone(), seed, how })
}

/// The first seed that failed, and what it says: the line after the place.
fn first(text: &str) -> (Option<u64>, String) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("seed "));
    let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.split_once(':')?.0.parse().ok());
    (seed, lines.next().unwrap_or("").trim().replace('|', "\\|").chars().take(100).collect())
}

fn parse(text: &str) -> Result<Vec<Mutant>, String> {
    let mut list: Vec<Mutant> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let wrong = || format!("{LIST}:{}: not `name | what it breaks | seed`, or there twice", index + 1);
        let mutant = mutant(line).ok_or_else(wrong)?;
        if list.iter().any(|known| known.name == mutant.name) {
            return Err(wrong());
        }
        list.push(mutant);
    }
    Ok(list)
}

fn mutant(line: &str) -> Option<Mutant> {
    let mut parts = line.split('|').map(str::trim);
    let (name, breaks) = (parts.next()?, parts.next()?);
    let seed = parts.next().map(|seed| seed.parse().ok());
    // A seed that cannot be read is a mistake; none is a line that nothing has found yet.
    let good = !name.is_empty() && !breaks.is_empty() && seed != Some(None) && parts.next().is_none();
    good.then(|| Mutant { name: name.to_owned(), breaks: breaks.to_owned(), seed: seed.flatten() })
}

/// The list with the seeds that were found just now; what was not looked for, and comments, stay.
fn with_seeds(text: &str, all: &[Found]) -> String {
    let mut new = String::with_capacity(text.len());
    for line in text.lines() {
        let named = mutant(line).filter(|_| !line.starts_with('#'));
        match named.and_then(|mutant| all.iter().find(|one| one.name == mutant.name)) {
            Some(Found { name, breaks, seed: Some(seed), .. }) => {
                let _ = writeln!(new, "{name} | {breaks} | {seed}");
            }
            Some(Found { name, breaks, seed: None, .. }) => {
                let _ = writeln!(new, "{name} | {breaks}");
            }
            None => {
                let _ = writeln!(new, "{line}");
            }
        }
    }
    new
}

fn write_seeds(all: &[Found]) -> Result<(), String> {
    let path = run::root().join(LIST);
    let text = fs::read_to_string(&path).map_err(|e| format!("{LIST}: {e}"))?;
    fs::write(&path, with_seeds(&text, all)).map_err(|e| format!("{LIST}: {e}"))
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

    fn known(name: &str, breaks: &str, seed: Option<u64>) -> Mutant {
        Mutant { name: name.into(), breaks: breaks.into(), seed }
    }

    #[test]
    fn the_list_is_read_and_its_mistakes_are_named() {
        assert_eq!(parse("# no\n\na | b | 7\nc | d\n"), Ok(vec![known("a", "b", Some(7)), known("c", "d", None)]));
        assert!(parse("a | b\na | c").is_err_and(|why| why.contains(":2:")));
        assert!(parse("a").is_err());
        assert!(parse("a | b | seven").is_err());
        assert!(parse("a | b | 7 | 8").is_err());
    }

    #[test]
    fn what_was_found_is_written_and_the_rest_stays() {
        let found = |name: &str, seed| Found { name: name.into(), breaks: "x".into(), seed, how: String::new() };
        let text = "# a | x | 1\n\na | x\nb | x | 4\nc | x | 5\n";
        let all = [found("a", Some(3)), found("b", None)];
        assert_eq!(with_seeds(text, &all), "# a | x | 1\n\na | x | 3\nb | x\nc | x | 5\n");
    }
}
