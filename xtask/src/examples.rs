//! The examples: they build, and each of those that end by themselves finds its own result right.

use std::process::Command;
use std::time::Duration;

use crate::report::Step;
use crate::run;

/// Builds that serve until they are stopped, or are run by a suite of their own.
const NOT_RUN: [&str; 0] = [];
/// One that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// `cargo xtask test`'s step.
pub(crate) fn step() -> Step {
    Step::timed("examples", |step| {
        if let Err(why) = all(step) {
            step.fail(why);
        }
    })
}

fn all(step: &mut Step) -> Result<(), String> {
    run::succeeds(run::workspace("build", &["--examples"]))?;
    let names = run::targets_in("examples")?;
    for name in names.iter().filter(|name| !NOT_RUN.contains(&name.as_str())) {
        let command = Command::new(run::target(&format!("debug/examples/{name}")));
        match run::quietly(command, LIMIT)? {
            (Some(status), _) if status.success() => step.pass(),
            (Some(status), text) => step.fail(format!("example {name}: {status}\n{text}")),
            (None, text) => step.fail(format!("example {name}: stopped after {LIMIT:?}\n{text}")),
        }
    }
    Ok(())
}
