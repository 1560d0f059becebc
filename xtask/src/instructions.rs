//! Instructions per record of the hot paths, against committed figures: speed that a busy machine cannot blur.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::report::Step;
use crate::run;

const FILE: &str = "benches/instructions.txt";
/// How far a figure may be from the committed one, in percent, where the compiler is the one that made them.
const TOLERANCE: f64 = 3.0;
/// And where it is another.
const OTHER_COMPILER: f64 = 30.0;
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// Each path is counted so often, and the middle count taken: now and then another thread of the client wakes meanwhile.
const RUNS: usize = 3;

/// A committed or counted figure: instructions for each record (or turn).
#[derive(Debug, PartialEq)]
struct Figure {
    name: String,
    count: f64,
}

/// `cargo xtask instructions [--write]`, and the step of CI.
pub(crate) fn step(write: bool) -> Step {
    Step::timed("instructions", |step| {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            step.skip("the figures are those of x86-64 Linux");
            return;
        }
        if !run::answers(Path::new("valgrind"), "--version") {
            step.skip("there is no valgrind (Linux: apt-get install valgrind)");
            return;
        }
        if let Err(why) = compare(step, write) {
            step.fail(why);
        }
    })
}

fn compare(step: &mut Step, write: bool) -> Result<(), String> {
    let compiler = compiler()?;
    let counted = count_all()?;
    let path = run::root().join(FILE);
    if write {
        let text = print(&compiler, &counted);
        fs::write(&path, text).map_err(|e| format!("{FILE}: {e}"))?;
        step.passed += counted.len();
        return Ok(());
    }
    let text = fs::read_to_string(&path).map_err(|e| format!("{FILE}: {e}"))?;
    let (known, committed) = parse(&text)?;
    let tolerance = if known == compiler { TOLERANCE } else { OTHER_COMPILER };
    println!("figures of {known}; this is {compiler}: they may differ by {tolerance} %");
    for figure in &counted {
        let Some(before) = committed.iter().find(|other| other.name == figure.name) else {
            step.fail(format!("{} has no committed figure: cargo xtask instructions --write", figure.name));
            continue;
        };
        let change = (figure.count / before.count - 1.0) * 100.0;
        println!("{:<32} {:>9.1} {:>9.1} {change:>+7.1} %", figure.name, before.count, figure.count);
        if change > tolerance {
            step.fail(format!("{} costs {change:.1} % more instructions than committed", figure.name));
        } else {
            if change < -tolerance {
                println!("{} costs less than committed: keep that with cargo xtask instructions --write", figure.name);
            }
            step.passed += 1;
        }
    }
    for gone in committed.iter().filter(|one| counted.iter().all(|other| other.name != one.name)) {
        step.fail(format!("{} is not counted any more", gone.name));
    }
    Ok(())
}

fn count_all() -> Result<Vec<Figure>, String> {
    run::succeeds(run::cargo(&[
        "build",
        "--quiet",
        "--release",
        "--package",
        "forebay-benches",
        "--bin",
        "instructions",
    ]))?;
    let program = run::target("release/instructions");
    let output = Command::new(&program).output().map_err(|e| format!("{}: {e}", program.display()))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    if names.is_empty() {
        return Err("no path to count".to_owned());
    }
    names.into_iter().map(|name| count(&program, name)).collect()
}

fn count(program: &PathBuf, name: &str) -> Result<Figure, String> {
    let mut counts = (0..RUNS).map(|_| count_once(program, name)).collect::<Result<Vec<f64>, String>>()?;
    counts.sort_by(f64::total_cmp);
    Ok(Figure { name: name.to_owned(), count: counts[RUNS / 2] })
}

fn count_once(program: &PathBuf, name: &str) -> Result<f64, String> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*instructions*counted*"])
        .arg(program)
        .arg(name);
    let (status, text) = run::quietly(command, LIMIT)?;
    if !status.is_some_and(|status| status.success()) {
        return Err(format!("{name}: {status:?}\n{text}"));
    }
    per_unit(&text).ok_or_else(|| format!("{name}: nothing was counted\n{text}"))
}

/// What callgrind collected over what the program says it did.
fn per_unit(text: &str) -> Option<f64> {
    let collected: f64 = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())?;
    let done: f64 = text.lines().find_map(|line| line.parse().ok())?;
    (collected > 0.0 && done > 0.0).then_some(collected / done)
}

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output().map_err(|e| format!("rustc: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn print(compiler: &str, figures: &[Figure]) -> String {
    let mut text = format!(
        "# Instructions for each record (core/turn/idle: for each turn), on x86-64 under callgrind.\n# Written by \
         `cargo xtask instructions --write`; CI fails where a figure grows by more than {TOLERANCE} %.\ncompiler {compiler}\n"
    );
    for figure in figures {
        let _ = writeln!(text, "{} {:.1}", figure.name, figure.count);
    }
    text
}

fn parse(text: &str) -> Result<(String, Vec<Figure>), String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let compiler =
        lines.next().and_then(|line| line.strip_prefix("compiler ")).ok_or(format!("{FILE}: no compiler"))?;
    let figure = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        let count: f64 = count.parse().ok()?;
        (count > 0.0).then(|| Figure { name: name.to_owned(), count })
    };
    let figures = lines.map(|line| figure(line).ok_or(format!("{FILE}: not `name count`: {line}")));
    Ok((compiler.to_owned(), figures.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let figures = vec![Figure { name: "a/b".into(), count: 12.5 }, Figure { name: "c".into(), count: 3.0 }];
        assert_eq!(parse(&print("rustc 1", &figures)), Ok(("rustc 1".to_owned(), figures)));
        assert!(parse("compiler x\na nothing\n").is_err());
        assert!(parse("a 1\n").is_err());
    }

    #[test]
    fn nothing_counted_is_no_figure() {
        assert_eq!(per_unit("==1== Collected : 1000\n100\n"), Some(10.0));
        assert_eq!(per_unit("==1== Collected : 0\n100\n"), None);
        assert_eq!(per_unit("100\n"), None);
    }
}
