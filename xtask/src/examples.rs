//! The examples: they build, and each of those that end by themselves finds its own result right.

use std::fs;
use std::path::Path;
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
    run::succeeds(run::cargo(&["build", "--workspace", "--examples"]))?;
    let names = names(&run::root().join("examples"))?;
    if names.is_empty() {
        return Err("there is no example".to_owned());
    }
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

/// Those of the facade, by their files.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut names: Vec<String> =
        paths.filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}
