//! The tests against a real Kafka: the suite, the chaos run, and other brokers and clients.

use std::env;
use std::path::{Path, PathBuf};

use crate::report::Step;
use crate::{check, run};

/// Modules of the test program that are steps of their own.
const CHAOS: &str = "chaos::";

/// Runs the suite, or skips it where Java, Maven or kcat is missing.
pub(crate) fn step(filter: Option<&str>) -> Step {
    Step::timed("kafka", |step| {
        let mut arguments = vec!["--skip", CHAOS];
        arguments.extend(filter);
        suite(step, &arguments, &[]);
    })
}

/// Runs the chaos test and the test of its audit; `options` are `--seconds N` and `--seed N`.
pub(crate) fn chaos(options: &[&str]) -> Result<Step, String> {
    let mut environment = Vec::new();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let name = match *option {
            "--seconds" => "FOREBAY_CHAOS_SECONDS",
            "--seed" => "FOREBAY_SEED",
            other => return Err(format!("not an option of chaos: {other}")),
        };
        let value = options.next().ok_or(format!("{option} needs a number"))?;
        value.parse::<u64>().map_err(|e| format!("{option} {value}: {e}"))?;
        environment.push((name, *value));
    }
    // One at a time, as each fills the machine; uncaptured, as the report is what the run is for.
    let arguments = [CHAOS, "--test-threads", "1", "--nocapture"];
    Ok(Step::timed("chaos", |step| suite(step, &arguments, &environment)))
}

fn suite(step: &mut Step, arguments: &[&str], environment: &[(&str, &str)]) {
    let missing = missing();
    if !missing.is_empty() {
        step.skip(format!("the real-Kafka suite did not run: {} missing", missing.join(", ")));
        return;
    }
    let mut fetch = std::process::Command::new("bash");
    fetch.current_dir(run::root()).arg("tests/kafka/fetch.sh");
    if let Err(why) = run::succeeds(fetch) {
        step.fail(why);
        return;
    }
    let mut all = vec!["test", "--package", "forebay", "--test", "real_kafka", "--", "--ignored"];
    all.extend(arguments);
    let mut command = run::cargo(&all);
    command.env("FOREBAY_REQUIRE_KAFKA", "1").envs(environment.iter().copied());
    check::tests(step, command);
}

fn missing() -> Vec<String> {
    let jdk = |name: &str| {
        env::var_os("JAVA_HOME").map_or_else(|| PathBuf::from(name), |home| Path::new(&home).join("bin").join(name))
    };
    let tools =
        [(jdk("java"), "-version"), (jdk("javac"), "-version"), ("mvn".into(), "-version"), ("kcat".into(), "-V")];
    let missing = tools.iter().filter(|(tool, argument)| !run::answers(tool, argument));
    missing.map(|(tool, _)| tool.display().to_string()).collect()
}
