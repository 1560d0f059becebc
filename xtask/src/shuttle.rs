//! The whole engine under randomised schedules, built with `--cfg shuttle`.

use crate::report::Step;
use crate::{check, run};

/// Runs the schedules; `FOREBAY_SEED` and `FOREBAY_SCHEDULES` go on to the tests.
pub(crate) fn step() -> Step {
    Step::timed("shuttle", |step| {
        let mut command = run::cargo(&["test", "--profile", "models", "--package", "forebay-shuttle-tests", "--tests"]);
        command
            .arg("--target-dir")
            .arg(run::target("shuttle"))
            .args(["--", "--nocapture"]) // seeds, and what happened under them
            .env("RUSTFLAGS", "--cfg shuttle");
        check::tests(step, command);
    })
}
