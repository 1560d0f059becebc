//! Other systems: what can be compiled for them here, without running it.

use std::process::Command;

use crate::report::Step;
use crate::run;

/// A system, the C compiler for it, and what is checked: C code is built even for a check.
struct Target {
    name: &'static str,
    compiler: Option<&'static str>,
    arguments: &'static [&'static str],
}

/// Everything that users link, C code included.
const ALL: &[&str] = &["--package", "forebay", "--all-features", "--lib", "--bins"];
/// What is Rust alone: the libraries without lz4, zstd and TLS.
const RUST: &[&str] = &["--package", "forebay", "--no-default-features", "--features", "gzip,snappy,serde", "--lib"];

const TARGETS: &[Target] = &[
    Target { name: "aarch64-unknown-linux-gnu", compiler: Some("aarch64-linux-gnu-gcc"), arguments: ALL },
    Target { name: "x86_64-pc-windows-gnu", compiler: Some("x86_64-w64-mingw32-gcc"), arguments: ALL },
    Target { name: "aarch64-apple-darwin", compiler: None, arguments: RUST },
];

/// Checks each system whose standard library is installed; with its C compiler everything, without it what needs none.
pub(crate) fn step() -> Step {
    Step::timed("targets", |step| {
        let installed = installed();
        for target in TARGETS {
            if !installed.contains(target.name) {
                step.skip(format!("{0}: rustup target add {0}", target.name));
                continue;
            }
            let whole = target.compiler.is_some_and(|compiler| run::answers(compiler.as_ref(), "--version"));
            if let (Some(compiler), false) = (target.compiler, whole) {
                step.skip(format!("{}: what has C code, as there is no {compiler}", target.name));
            }
            let arguments = if whole { target.arguments } else { RUST };
            let mut command = run::cargo(&["check", "--quiet", "--target", target.name, "--target-dir"]);
            command.arg(run::target("targets")).args(arguments);
            step.check(run::succeeds(command));
        }
    })
}

/// Names of installed targets, one a line.
fn installed() -> String {
    let output = Command::new("rustup").args(["target", "list", "--installed"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
