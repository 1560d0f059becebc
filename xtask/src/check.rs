//! `cargo xtask test`: every check there is, one after another, and a table at the end.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::report::{Report, Step};
use crate::{kafka, loom, memcheck, msrv, run, shuttle, suites};

const WORKSPACE_TESTS: [&str; 7] =
    ["test", "--workspace", "--exclude", "forebay-loom-tests", "--exclude", "forebay-shuttle-tests", "--no-fail-fast"];

/// Suites that are all `#[ignore]`d because a step of their own runs them.
const RUN_ELSEWHERE: [&str; 1] = ["tests/real_kafka/main.rs"];

type Work = fn() -> Step;

/// In the order in which they fail soonest.
const STEPS: [(&str, Work); 12] = [
    ("fmt", fmt),
    ("msrv", || Step::timed("msrv", |step| step.check(msrv::check()))),
    ("clippy", clippy),
    // The models have steps of their own: without `--cfg loom` or `--cfg shuttle` their files hold no test.
    ("tests", || Step::timed("tests", |step| tests(step, run::cargo(&WORKSPACE_TESTS)))),
    ("examples", examples),
    ("benches", benches),
    ("docs", docs),
    ("memcheck", memcheck::step),
    ("shuttle", shuttle::step),
    ("loom", || loom::step(None)),
    ("kafka", || kafka::step(None)),
    ("fuzz", fuzz),
];

/// Runs all steps, or those named by `--only`; `Ok(false)` if any failed.
pub(crate) fn everything(options: &[&str]) -> Result<bool, String> {
    let (mut require_all, mut only) = (false, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--require-all" => require_all = true,
            "--only" => {
                let names: Vec<&str> = options.next().ok_or("--only needs the names of steps")?.split(',').collect();
                if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|(step, _)| step != *name)) {
                    return Err(format!("not a step: {unknown}"));
                }
                only = Some(names);
            }
            other => return Err(format!("not an option of test: {other}")),
        }
    }
    let mut report = Report::default();
    for (name, work) in STEPS {
        if only.as_ref().is_none_or(|names| names.contains(&name)) {
            report.add(work());
        }
    }
    report.print();
    Ok(report.good(require_all))
}

fn fmt() -> Step {
    Step::timed("fmt", |step| step.check(run::succeeds(run::cargo(&["fmt", "--all", "--check"]))))
}

fn clippy() -> Step {
    Step::timed("clippy", |step| {
        step.check(run::succeeds(run::cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])));
        // The library as programs embed it, without what only the command line needs.
        let library = ["clippy", "--package", "forebay", "--lib", "--no-default-features", "--", "--deny", "warnings"];
        step.check(run::succeeds(run::cargo(&library)));
    })
}

/// Runs a `cargo test` and counts what it did, suite by suite.
pub(crate) fn tests(step: &mut Step, command: Command) {
    match run::heard(command) {
        Ok((status, lines)) => judge(step, status, &lines),
        Err(why) => step.fail(why),
    }
}

/// Runs one test program by itself, in whatever wraps it.
pub(crate) fn program(step: &mut Step, name: &str, command: Command) {
    match run::heard(command) {
        Ok((status, lines)) => {
            // What cargo says before it runs one.
            let mut named = vec![format!("     Running tests/{name} (deps/{name})")];
            named.extend(lines);
            judge(step, status, &named);
        }
        Err(why) => step.fail(why),
    }
}

fn judge(step: &mut Step, status: ExitStatus, lines: &[String]) {
    let before = step.failed;
    let suites = suites::parse(lines);
    for suite in &suites {
        step.passed += suite.passed;
        let elsewhere = RUN_ELSEWHERE.contains(&suite.name.as_str()) && suite.passed == 0;
        if !suite.finished {
            step.fail(format!("{} ended before its tests did", suite.name));
        } else if suite.failed > 0 {
            step.failed += suite.failed;
            step.wrong.push(format!("{}: {} tests", suite.name, suite.failed));
        } else if suite.must_have_tests() && suite.passed == 0 && !elsewhere {
            step.fail(format!("{} ran no test", suite.name));
        }
        if suite.ignored > 0 && !elsewhere {
            step.skip(format!("{} of {} are ignored", suite.ignored, suite.name));
        }
    }
    if !status.success() && step.failed == before {
        step.fail(format!("{}: {status}", suites.last().map_or("cargo test", |suite| &suite.name)));
    }
}

fn examples() -> Step {
    Step::timed("examples", |step| match run::heard(run::cargo(&["build", "--workspace", "--examples"])) {
        Ok((status, _)) if !status.success() => step.fail(format!("cargo build --examples: {status}")),
        // Cargo is content to build none.
        Ok((_, lines)) if lines.iter().any(|line| line.contains("no targets matched")) => {
            step.fail("there is no example");
        }
        Ok(_) => step.pass(),
        Err(why) => step.fail(why),
    })
}

/// Every bench once, unmeasured: criterion does that under `cargo test`.
fn benches() -> Step {
    Step::timed("benches", |step| {
        let (status, lines) = match run::heard(run::cargo(&["test", "--package", "forebay-benches", "--benches"])) {
            Ok(done) => done,
            Err(why) => return step.fail(why),
        };
        step.passed += lines.iter().filter(|line| line.trim() == "Success").count();
        if !status.success() {
            step.fail(format!("cargo test --benches: {status}"));
        }
    })
}

fn docs() -> Step {
    Step::timed("docs", |step| {
        let mut command = run::cargo(&["doc", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "--deny warnings");
        step.check(run::succeeds(command));
    })
}

/// Replays the committed corpora on the stable compiler: libFuzzer's own runner takes files as arguments.
pub(crate) fn fuzz() -> Step {
    Step::timed("fuzz", |step| {
        if !run::root().join("fuzz/Cargo.toml").exists() {
            step.skip("there is no fuzz/Cargo.toml");
            return;
        }
        let corpora = run::root().join("fuzz/corpus");
        let folders = match listed(&corpora) {
            Ok(folders) => folders,
            Err(why) => return step.fail(why),
        };
        let target = run::target("fuzz");
        let mut build = run::cargo(&["build", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--target-dir"]);
        build.arg(&target).env("RUSTFLAGS", "--cfg fuzzing");
        if let Err(why) = run::succeeds(build) {
            return step.fail(why);
        }
        for folder in folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inputs = listed(&folder).unwrap_or_default();
            if inputs.is_empty() {
                step.fail(format!("the corpus of {name} is empty"));
                continue;
            }
            let mut command = Command::new(target.join("debug").join(&name));
            command.current_dir(run::root().join("fuzz")).args(&inputs).env("RUST_BACKTRACE", "0");
            match run::quietly(command, std::time::Duration::from_secs(600)) {
                Ok((Some(status), _)) if status.success() => step.passed += inputs.len(),
                Ok((status, text)) => step.fail(format!("{name}: {status:?}\n{}", last_lines(&text, 40))),
                Err(why) => step.fail(why),
            }
        }
        for name in targets() {
            if !corpora.join(&name).is_dir() {
                step.fail(format!("the fuzz target {name} has no corpus"));
            }
        }
    })
}

fn targets() -> BTreeSet<String> {
    let files = listed(&run::root().join("fuzz/fuzz_targets")).unwrap_or_default();
    files.iter().filter_map(|file| file.file_stem()).map(|stem| stem.to_string_lossy().into_owned()).collect()
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    Ok(paths)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
