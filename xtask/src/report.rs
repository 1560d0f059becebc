//! What ran, what did not and why: the table at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// What did not run, and why.
    pub(crate) skipped: Vec<String>,
    /// What went wrong.
    pub(crate) wrong: Vec<String>,
    pub(crate) time: Duration,
}

impl Step {
    /// Runs a step and takes its time.
    pub(crate) fn timed(name: &'static str, work: impl FnOnce(&mut Self)) -> Self {
        eprintln!("\n== {name}");
        let mut step =
            Self { name, passed: 0, failed: 0, skipped: Vec::new(), wrong: Vec::new(), time: Duration::ZERO };
        let start = Instant::now();
        work(&mut step);
        step.time = start.elapsed();
        // A step that did nothing at all would look like one that passed.
        if step.passed + step.failed == 0 && step.skipped.is_empty() {
            step.fail("ran nothing");
        }
        step
    }

    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.failed += 1;
        self.wrong.push(why.into());
    }

    pub(crate) fn skip(&mut self, why: impl Into<String>) {
        self.skipped.push(why.into());
    }

    /// A check that is one thing: it holds or it does not.
    pub(crate) fn check(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.pass(),
            Err(why) => self.fail(why),
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.failed, self.skipped.is_empty()) {
            (0, true) => "ok",
            (0, false) if self.passed == 0 => "SKIPPED",
            (0, false) => "ok, PARTLY SKIPPED",
            _ => "FAILED",
        }
    }
}

/// All steps of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    pub(crate) fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Whether nothing failed and, where all is required, nothing was skipped.
    pub(crate) fn good(&self, require_all: bool) -> bool {
        self.steps.iter().all(|step| step.failed == 0 && (!require_all || step.skipped.is_empty()))
    }

    pub(crate) fn print(&self) {
        print!("{}", self.table());
    }

    fn table(&self) -> String {
        let mut text = format!("\n{:<12} {:>7} {:>7} {:>8}  result\n", "step", "passed", "failed", "time");
        for step in &self.steps {
            let time = format!("{:.1} s", step.time.as_secs_f64());
            let _ =
                writeln!(text, "{:<12} {:>7} {:>7} {time:>8}  {}", step.name, step.passed, step.failed, step.verdict());
        }
        for step in &self.steps {
            for why in &step.wrong {
                let _ = writeln!(text, "FAILED  {}: {why}", step.name);
            }
            for why in &step.skipped {
                let _ = writeln!(text, "SKIPPED {}: {why}", step.name);
            }
        }
        let sum = |count: fn(&Step) -> usize| self.steps.iter().map(count).sum::<usize>();
        let (passed, failed, skipped) = (sum(|s| s.passed), sum(|s| s.failed), sum(|s| s.skipped.len()));
        let _ = write!(text, "\n{passed} passed, {failed} failed");
        if skipped > 0 {
            let _ = write!(text, ", {skipped} skipped");
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(work: impl FnOnce(&mut Step)) -> Report {
        let mut report = Report::default();
        report.add(Step::timed("units", work));
        report
    }

    #[test]
    fn a_step_that_ran_nothing_has_failed() {
        let report = report(|_| {});
        assert!(!report.good(false));
        assert!(report.table().ends_with("\n0 passed, 1 failed\n"), "{}", report.table());
    }

    #[test]
    fn a_skip_is_a_failure_only_where_all_is_required() {
        let report = report(|step| step.skip("no Java"));
        assert!(report.good(false));
        assert!(!report.good(true));
        assert!(report.table().contains("SKIPPED units: no Java"));
        assert!(report.table().ends_with("\n0 passed, 0 failed, 1 skipped\n"));
    }

    #[test]
    fn one_failure_spoils_the_run() {
        let report = report(|step| {
            step.pass();
            step.check(Err("red".into()));
        });
        assert!(!report.good(false));
        assert!(report.table().ends_with("\n1 passed, 1 failed\n"));
    }
}
