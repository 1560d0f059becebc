//! The engine's tests under valgrind: memory that is not there, or gone, or lost.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::report::Step;
use crate::{check, run};

/// Under valgrind a program is some thirty times slower: so many random lists are enough for one run.
const LISTS: &str = "24";

/// Runs every test program of the engine under memcheck; any error or lost allocation fails.
pub(crate) fn step() -> Step {
    Step::timed("memcheck", |step| {
        if !run::answers(Path::new("valgrind"), "--version") {
            step.skip("there is no valgrind (Linux: apt-get install valgrind)");
            return;
        }
        let programs = match programs() {
            Ok(programs) => programs,
            Err(why) => return step.fail(why),
        };
        for (name, program) in programs {
            let mut command = Command::new("valgrind");
            command
                .args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"])
                .arg("--show-leak-kinds=definite")
                .arg("--fair-sched=yes") // valgrind runs one thread at a time, and a spinning one would keep the lock
                .arg(program)
                .args(["--test-threads=1"])
                .env("PROPTEST_CASES", std::env::var("PROPTEST_CASES").unwrap_or_else(|_| LISTS.to_owned()))
                .current_dir(run::root().join("engine"))
                .stdin(Stdio::null());
            check::program(step, &name, command);
        }
    })
}

/// The test programs of the engine, by the names of their files.
fn programs() -> Result<Vec<(String, PathBuf)>, String> {
    let files = run::targets_in("engine/tests")?;
    let mut arguments = vec!["--no-run", "--message-format", "json", "--lib"];
    arguments.extend(files.iter().flat_map(|name| ["--test", name]));
    let mut command = run::workspace("test", &arguments);
    let output = command.stderr(Stdio::inherit()).output().map_err(|e| format!("cargo test: {e}"))?;
    if !output.status.success() {
        return Err(format!("the engine's tests do not build: {}", output.status));
    }
    let messages = output.stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let engine = run::root().join("engine/Cargo.toml");
    let programs: Vec<_> = messages
        .filter(|message: &Value| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == engine))
        .filter_map(|message: Value| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.into()))
        })
        .collect();
    if programs.is_empty() { Err("the engine has no test program".into()) } else { Ok(programs) }
}
