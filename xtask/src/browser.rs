//! The report of `forebay perf` in a browser.

use std::path::Path;

use crate::report::Step;
use crate::{check, run};

/// Names under which Chromium is installed, and a browser that takes the same options.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Opens a report in a browser without a screen, or skips that where there is none.
pub(crate) fn step() -> Step {
    Step::timed("browser", |step| {
        let Some(browser) = BROWSERS.iter().find(|name| run::answers(Path::new(name), "--version")) else {
            step.skip("there is no Chromium (Debian: apt-get install chromium)");
            return;
        };
        let mut command = run::workspace("test", &["--test", "browser", "--", "--ignored"]);
        command.env("FOREBAY_BROWSER", browser);
        check::tests(step, command);
    })
}
