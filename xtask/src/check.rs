//! `cargo xtask test`: every check there is, one after another, and a table at the end.

use std::process::{Command, ExitStatus};

use crate::report::{Report, Step};
use crate::{
    browser, examples, fuzz, instructions, kafka, loom, memcheck, msrv, mutants, peers, run, shuttle, sim, suites,
    supply,
};

/// Suites whose `#[ignore]`d tests are run by steps of their own.
const RUN_ELSEWHERE: [&str; 2] = ["tests/real_kafka/main.rs", "tests/browser.rs"];

type Work = fn() -> Step;

/// In the order in which they fail soonest.
const STEPS: &[(&str, Work)] = &[
    ("fmt", fmt),
    ("msrv", || Step::timed("msrv", |step| step.check(msrv::check()))),
    ("clippy", clippy),
    ("tests", || Step::timed("tests", |step| tests(step, run::workspace("test", &["--no-fail-fast"])))),
    ("deny", supply::deny),
    ("examples", examples::step),
    ("benches", benches),
    ("rivals", rivals),
    ("peers", peers::step),
    ("docs", docs),
    ("instructions", || instructions::step(false)),
    ("memcheck", memcheck::step),
    ("shuttle", shuttle::step),
    ("simulation", sim::step),
    ("loom", || loom::step(None)),
    ("mutants", mutants::step), // after the models, which it does not explore again
    ("browser", browser::step),
    ("kafka", || kafka::step(None)),
    ("chaos", || kafka::chaos(&[]).unwrap_or_else(|why| Step::timed("chaos", |step| step.fail(why)))),
    ("interop", || kafka::interop(None)),
    ("fuzz", || fuzz::step(None)),
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
        if only.as_ref().is_none_or(|names| names.contains(name)) {
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
        let elsewhere = RUN_ELSEWHERE.contains(&suite.name.as_str());
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

/// Every bench once, unmeasured: criterion does that under `cargo test`.
fn benches() -> Step {
    Step::timed("benches", |step| {
        let names = match run::targets_in("benches/benches") {
            Ok(names) => names,
            Err(why) => return step.fail(why),
        };
        let named: Vec<&str> = names.iter().flat_map(|name| ["--bench", name]).collect();
        let (status, lines) = match run::heard(run::workspace("test", &named)) {
            Ok(done) => done,
            Err(why) => return step.fail(why),
        };
        step.passed += lines.iter().filter(|line| line.trim() == "Success").count();
        if !status.success() {
            step.fail(format!("cargo test --benches: {status}"));
        }
    })
}

/// The comparison with other queues, once and small: it builds, and each queue hands over every byte in order.
fn rivals() -> Step {
    Step::timed("rivals", |step| {
        let manifest = "benches/rivals/Cargo.toml";
        if let Err(why) = run::succeeds(run::cargo(&["fetch", "--manifest-path", manifest])) {
            step.skip(format!("the rivals cannot be had here: {why}"));
            return;
        }
        let target = run::target("rivals");
        let mut units = run::cargo(&["test", "--manifest-path", manifest, "--target-dir"]);
        units.arg(&target);
        tests(step, units);
        let mut smoke = run::cargo(&["run", "--manifest-path", manifest, "--target-dir"]);
        smoke.arg(&target).args(["--", "--smoke"]);
        step.check(run::succeeds(smoke));
    })
}

fn docs() -> Step {
    Step::timed("docs", |step| {
        let mut command = run::cargo(&["doc", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "--deny warnings");
        step.check(run::succeeds(command));
    })
}
