//! The tests against a real Kafka.

use std::env;
use std::path::{Path, PathBuf};

use crate::report::Step;
use crate::{check, run};

/// Runs the suite, or skips it where Java, Maven or kcat is missing.
pub(crate) fn step(filter: Option<&str>) -> Step {
    Step::timed("kafka", |step| {
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
        let mut arguments = vec!["test", "--package", "forebay", "--test", "real_kafka", "--", "--ignored"];
        arguments.extend(filter);
        let mut command = run::cargo(&arguments);
        command.env("FOREBAY_REQUIRE_KAFKA", "1");
        check::tests(step, command);
    })
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
