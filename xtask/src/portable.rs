//! The fallbacks for what only Linux has, compiled in place of it and tested here: `--cfg forebay_portable`.

use crate::report::Step;
use crate::{check, run};

/// Package, and the test programs in which something goes another way.
const TESTS: &[(&str, &[&str])] = &[
    // Full fences for the asymmetric barrier; no huge pages, no prefetch.
    ("forebay-engine", &["--lib", "--tests"]),
    // The time of day; keeping a thread on a CPU.
    ("forebay-io", &["--lib", "--test", "core_driver"]),
    // All of it together; the CPU time of `forebay perf`, and how `forebay mock-broker` waits for a signal.
    (
        "forebay",
        &[
            "--lib", "--bins", "--test", "systems", "--test", "producer", "--test", "refusals", "--test", "callers",
            "--test", "cli",
        ],
    ),
];

/// Runs them, in a target folder of their own: the flag is every crate's.
pub(crate) fn step() -> Step {
    Step::timed("portable", |step| {
        for (package, programs) in TESTS {
            let mut command = run::cargo(&["test", "--locked", "--package", package]);
            command.args(*programs).arg("--target-dir").arg(run::target("portable"));
            command.env("RUSTFLAGS", "--cfg forebay_portable");
            check::tests(step, command);
        }
    })
}
