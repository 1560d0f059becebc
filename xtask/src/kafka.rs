//! The tests against a real Kafka: the suite, the chaos run, and other brokers and clients.

use std::env;
use std::path::{Path, PathBuf};

use crate::report::Step;
use crate::{check, run};

/// Modules of the test program that are steps of their own.
const CHAOS: &str = "chaos::";
const INTEROP: &str = "interop::";

/// Runs the suite, or skips it where Java, Maven or kcat is missing.
pub(crate) fn step(filter: Option<&str>) -> Step {
    Step::timed("kafka", |step| {
        let mut arguments = vec!["--skip", CHAOS, "--skip", INTEROP];
        arguments.extend(filter);
        suite(step, &missing(&[]), &arguments, &[]);
    })
}

/// Runs the chaos test and the test of its audit; `options` are `--seconds N`, `--seed N` and `--kafka VERSION`.
pub(crate) fn chaos(options: &[&str]) -> Result<Step, String> {
    let mut environment = Vec::new();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let name = match *option {
            "--seconds" => "FOREBAY_CHAOS_SECONDS",
            "--seed" => "FOREBAY_SEED",
            "--kafka" => "FOREBAY_KAFKA",
            other => return Err(format!("not an option of chaos: {other}")),
        };
        let value = options.next().ok_or(format!("{option} needs a value"))?;
        if name != "FOREBAY_KAFKA" {
            value.parse::<u64>().map_err(|e| format!("{option} {value}: {e}"))?;
        }
        environment.push((name, *value));
    }
    // One at a time, as each fills the machine; uncaptured, as the report is what the run is for.
    let arguments = [CHAOS, "--test-threads", "1", "--nocapture"];
    Ok(Step::timed("chaos", |step| suite(step, &missing(&[]), &arguments, &environment)))
}

/// Runs the tests on other clusters, read back by other clients, or skips them where Go or Python is missing too.
pub(crate) fn interop(filter: Option<&str>) -> Step {
    Step::timed("interop", |step| {
        let missing = missing(&[("go", "version"), ("python3", "--version")]);
        // A filter of the test program is a part of a name: the module's comes first.
        let filter = format!("{INTEROP}{}", filter.unwrap_or_default());
        // Two at a time: most of a scene's time is waiting for a fault to pass.
        suite(step, &missing, &[&filter, "--test-threads", "2"], &[]);
    })
}

fn suite(step: &mut Step, missing: &[String], arguments: &[&str], environment: &[(&str, &str)]) {
    if !missing.is_empty() {
        step.skip(format!("the real-Kafka tests did not run: {} missing", missing.join(", ")));
        return;
    }
    let mut fetch = std::process::Command::new("bash");
    fetch.current_dir(run::root()).arg("tests/kafka/fetch.sh");
    if let Err(why) = run::succeeds(fetch) {
        step.fail(why);
        return;
    }
    let mut all = vec!["--test", "real_kafka", "--", "--ignored"];
    all.extend(arguments);
    let mut command = run::workspace("test", &all);
    command.env("FOREBAY_REQUIRE_KAFKA", "1").envs(environment.iter().copied());
    check::tests(step, command);
}

/// What the tests on Kafka need, and `more`: programs, and an argument that makes each answer.
fn missing(more: &[(&str, &str)]) -> Vec<String> {
    let jdk = |name: &str| {
        env::var_os("JAVA_HOME").map_or_else(|| PathBuf::from(name), |home| Path::new(&home).join("bin").join(name))
    };
    let mut tools =
        vec![(jdk("java"), "-version"), (jdk("javac"), "-version"), ("mvn".into(), "-version"), ("kcat".into(), "-V")];
    tools.extend(more.iter().map(|&(tool, argument)| (tool.into(), argument)));
    let missing = tools.iter().filter(|(tool, argument)| !run::answers(tool, argument));
    missing.map(|(tool, _)| tool.display().to_string()).collect()
}
