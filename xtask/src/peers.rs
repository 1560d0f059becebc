//! Forebay beside other producers: the whole comparison, or a small round of it as a test.

use std::process::Command;

use crate::report::Step;
use crate::run;

/// What the harness returns where all went well but somebody could not take part.
const INCOMPLETE: i32 = 3;

/// Measures; the options are the harness's own.
pub(crate) fn command(options: &[&str]) -> Result<bool, String> {
    let packages = ["build", "--release", "--package", "forebay-peers", "--package", "forebay-peer-forebay", "--bins"];
    run::succeeds(run::cargo(&packages))?;
    let mut command = harness("release");
    command.args(options);
    let status = command.status().map_err(|why| format!("cargo: {why}"))?;
    Ok(status.success() || status.code() == Some(INCOMPLETE))
}

/// Every driver sends a few thousand records, which the broker verifies one by one: the comparison still works.
pub(crate) fn step() -> Step {
    Step::timed("peers", |step| {
        // As the tests are built: that is used again, and nothing is timed. An example among the targets makes cargo count the
        // features of what tests depend on, as it does for tests.
        let programs = ["forebay-peers", "peer-stub", "peer-kernel", "peer-driver", "peer-forebay"];
        let mut targets = vec!["--example", "smallest"];
        targets.extend(programs.iter().flat_map(|name| ["--bin", name]));
        let smoke = run::succeeds(run::workspace("build", &targets)).and_then(|()| {
            let mut command = harness("debug");
            command.arg("--smoke");
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

/// The harness, which finds its stub and the drivers that are part of the workspace beside itself.
fn harness(profile: &str) -> Command {
    let mut command = Command::new(run::target(profile).join("forebay-peers"));
    // It knows the repository by its own manifest's folder; this process has another's.
    command.current_dir(run::root()).env("CARGO_MANIFEST_DIR", run::root().join("benches/peers"));
    command
}
