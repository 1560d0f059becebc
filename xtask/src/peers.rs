//! Forebay beside other producers: the whole comparison, or a small round of it as a test.

use std::process::Command;

use crate::report::Step;
use crate::run;

/// What the harness returns where all went well but somebody could not take part.
const INCOMPLETE: i32 = 3;

/// Measures; the options are the harness's own.
pub(crate) fn command(options: &[&str]) -> Result<bool, String> {
    let mut command = harness(&["--release"])?;
    command.arg("--").args(options);
    let status = command.status().map_err(|why| format!("cargo: {why}"))?;
    Ok(status.success() || status.code() == Some(INCOMPLETE))
}

/// Every driver sends a few thousand records, which the broker verifies one by one: the comparison still works.
pub(crate) fn step() -> Step {
    Step::timed("peers", |step| {
        // The usual profile: what is built for the other steps is used again, and nothing is timed.
        let smoke = harness(&[]).and_then(|mut command| {
            command.args(["--", "--smoke"]);
            run::heard(command)
        });
        match smoke {
            Ok((status, _)) if status.success() => step.pass(),
            Ok((status, lines)) if status.code() == Some(INCOMPLETE) => {
                step.pass();
                for line in lines.iter().filter_map(|line| line.strip_prefix("SKIPPED ")) {
                    step.skip(line);
                }
                if step.skipped.is_empty() {
                    step.fail("a peer is missing, and the harness does not say which");
                }
            }
            Ok((status, lines)) => {
                step.fail(format!("{status}: {}", lines.last().map_or("nothing said", String::as_str)));
            }
            Err(why) => step.fail(why),
        }
    })
}

/// Builds the harness, its stub and the drivers that are part of the workspace, and returns the command that runs it.
fn harness(profile: &[&str]) -> Result<Command, String> {
    let mut build = run::cargo(&["build", "--package", "forebay-peers", "--package", "forebay-peer-forebay", "--bins"]);
    build.args(profile);
    run::succeeds(build)?;
    let mut command = run::cargo(&["run", "--quiet", "--package", "forebay-peers"]);
    command.args(profile);
    Ok(command)
}
