//! The loom models: built once with `--cfg loom`, mutants and all, then each run as a process of its own.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::report::Step;
use crate::run;

/// A model that has not ended by then explores more than CI can afford: bound it, or split it.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// Cores of the smallest machine that this is planned for; a model is one thread.
const AT_ONCE: usize = 2;
/// Models that this process has seen hold.
static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// One `#[test]` of one file of `loom-tests/tests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    program: PathBuf,
    /// The file's name without its end.
    pub(crate) file: String,
    pub(crate) test: String,
}

impl Model {
    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.file, self.test)
    }

    /// Explores the model, with a mutant or without; its output holds what failed.
    pub(crate) fn explore(&self, mutant: Option<&str>, limit: Duration) -> Result<Explored, String> {
        let mut command = Command::new(&self.program);
        command.current_dir(run::root().join("loom-tests")).env("FOREBAY_MUTANT", mutant.unwrap_or_default());
        command.args([self.test.as_str(), "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
        let start = Instant::now();
        let (status, text) = run::quietly(command, limit)?;
        Ok(Explored { status, text, time: start.elapsed() })
    }
}

/// What came of a model.
#[derive(Debug)]
pub(crate) struct Explored {
    /// `None`: stopped at the limit.
    status: Option<ExitStatus>,
    pub(crate) text: String,
    pub(crate) time: Duration,
}

impl Explored {
    pub(crate) fn held(&self) -> bool {
        self.ran() && self.status.is_some_and(|status| status.success())
    }

    /// Found wrong by the model itself, and not for want of time or of the test.
    pub(crate) fn refuted(&self) -> bool {
        self.ran() && self.status.is_some_and(|status| !status.success())
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.status {
            _ if !self.ran() => "no such test",
            None => "out of time",
            Some(status) if status.success() => "held",
            Some(_) => "refuted",
        }
    }

    /// What a model says of the preemptions that it explored: the least, where it explored several times.
    fn bound(&self) -> &str {
        let mut bounds = self
            .text
            .lines()
            .filter_map(|line| line.split_once("interleavings: ")?.1.split_once(" s (")?.1.strip_suffix(')'));
        bounds.clone().find(|bound| *bound != "exhaustive").or_else(|| bounds.next()).unwrap_or("?")
    }

    /// The first line of what a refuted model says of itself.
    pub(crate) fn complaint(&self) -> &str {
        let mut lines = self.text.lines().skip_while(|line| !line.contains("panicked at ")).skip(1);
        lines.find(|line| !line.trim().is_empty()).unwrap_or("").trim()
    }

    fn ran(&self) -> bool {
        self.text.contains("running 1 test\n")
    }

    /// As the model prints it (`interleavings: 12`) or loom itself does under `LOOM_LOG=info`; several explorations add up.
    fn interleavings(&self) -> Option<u64> {
        let count = |line: &str| -> Option<u64> {
            let after = line.split_once("interleavings: ").or_else(|| line.split_once("Completed in "))?.1;
            after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        self.text.lines().filter_map(count).reduce(|a, b| a + b)
    }
}

/// Explores all models whose name contains the filter.
pub(crate) fn step(filter: Option<&str>) -> Step {
    Step::timed("loom", |step| {
        let models = match build() {
            Ok(models) => models,
            Err(why) => return step.fail(why),
        };
        for file in models.files_without_models() {
            step.fail(format!("loom-tests/tests/{file}.rs has no model: is it compiled away?"));
        }
        let chosen: Vec<Model> =
            models.of_all.into_iter().filter(|m| filter.is_none_or(|f| m.name().contains(f))).collect();
        if chosen.is_empty() {
            step.fail("no model");
            return;
        }
        eprintln!("{:<72} {:>14} {:>9}  {:<20}", "model", "interleavings", "time", "preemptions");
        for_each(
            chosen,
            |model| model.explore(None, LIMIT),
            |model, explored| match explored {
                Err(why) => step.fail(why),
                Ok(explored) => {
                    let count = explored.interleavings().map_or_else(|| "?".into(), |count| count.to_string());
                    let time = format!("{:.2} s", explored.time.as_secs_f64());
                    let (name, bound, verdict) = (model.name(), explored.bound(), explored.verdict());
                    eprintln!("{name:<72} {count:>14} {time:>9}  {bound:<20} {verdict}");
                    if explored.held() {
                        held(model.name());
                        step.pass();
                    } else {
                        eprintln!("{}", explored.text);
                        step.fail(format!("{}: {}", model.name(), explored.verdict()));
                    }
                }
            },
        );
    })
}

fn held(name: String) {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
}

/// A model that fails anyway kills no mutant: explores those that this process has not seen hold.
pub(crate) fn all_hold(models: Vec<Model>) -> Result<(), String> {
    let seen = HELD.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let unknown = models.into_iter().filter(|model| !seen.contains(&model.name())).collect();
    let mut wrong = Vec::new();
    for_each(
        unknown,
        |model| model.explore(None, LIMIT),
        |model, explored| match explored {
            Ok(explored) if explored.held() => held(model.name()),
            Ok(explored) => {
                wrong.push(format!("{} without a mutant: {}\n{}", model.name(), explored.verdict(), explored.text));
            }
            Err(why) => wrong.push(why),
        },
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Works through a list, several at once, and reports each as it ends.
pub(crate) fn for_each<T: Send, R: Send>(list: Vec<T>, work: impl Fn(&T) -> R + Sync, mut ended: impl FnMut(T, R)) {
    let queue = Mutex::new(VecDeque::from(list));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some(item) = next() {
                    let result = work(&item);
                    if sender.send((item, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (item, result) in results {
            ended(item, result);
        }
    });
}

/// What a build of `loom-tests` holds.
pub(crate) struct Models {
    files: Vec<String>,
    pub(crate) of_all: Vec<Model>,
}

impl Models {
    fn files_without_models(&self) -> Vec<String> {
        let empty = |file: &&String| self.of_all.iter().all(|model| model.file != **file);
        self.files.iter().filter(empty).cloned().collect()
    }
}

/// Builds the models, optimised but with debug assertions.
pub(crate) fn build() -> Result<Models, String> {
    let package = ["--package", "forebay-loom-tests", "--tests"];
    let mut command = run::cargo(&["test", "--profile", "models", "--no-run", "--message-format", "json"]);
    command.args(package).arg("--target-dir").arg(run::target("loom")).env("RUSTFLAGS", "--cfg loom");
    // Cargo's progress and errors go to the terminal; the compiler's come as messages.
    let output = command.stderr(Stdio::inherit()).output().map_err(|e| format!("cargo test: {e}"))?;
    let messages = output.stdout.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let messages: Vec<Value> = messages.collect();
    if !output.status.success() {
        let compiler: String = messages.iter().filter_map(|message| message["message"]["rendered"].as_str()).collect();
        return Err(format!("the models do not build\n{compiler}"));
    }
    let mut models = Models { files: Vec::new(), of_all: Vec::new() };
    for message in messages {
        let (Some(program), Some(file)) = (message["executable"].as_str(), message["target"]["name"].as_str()) else {
            continue;
        };
        if message["target"]["kind"][0] != "test" {
            continue;
        }
        models.files.push(file.to_owned());
        let mut list = Command::new(program);
        list.args(["--list", "--format", "terse"]);
        let (_, text) = run::quietly(list, Duration::from_secs(60))?;
        let tests = text.lines().filter_map(|line| line.strip_suffix(": test"));
        models.of_all.extend(tests.map(|test| Model {
            program: program.into(),
            file: file.to_owned(),
            test: test.to_owned(),
        }));
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explored(text: &str) -> Explored {
        Explored { status: None, text: text.to_owned(), time: Duration::ZERO }
    }

    #[test]
    fn interleavings_are_read_in_either_form_and_added() {
        assert_eq!(explored("running 1 test\ninterleavings: 12\n").interleavings(), Some(12));
        assert_eq!(
            explored(" INFO loom::model: Completed in 7 iterations\ninterleavings: 5").interleavings(),
            Some(12)
        );
        assert_eq!(explored("nothing").interleavings(), None);
    }

    #[test]
    fn a_bound_is_never_hidden_by_an_exhaustive_part() {
        let line = |bound| format!("model a: interleavings: 12 in 0.10 s ({bound})\n");
        assert_eq!(explored(&line("exhaustive")).bound(), "exhaustive");
        assert_eq!(explored(&(line("exhaustive") + &line("preemption bound 3"))).bound(), "preemption bound 3");
        assert_eq!(explored("nothing").bound(), "?");
    }

    #[test]
    fn a_refuted_model_says_why() {
        let text = "running 1 test\nthread 'main' panicked at tests/a.rs:3:5:\n\nnothing is lost\n  left: 1\n";
        assert_eq!(explored(text).complaint(), "nothing is lost");
        assert_eq!(explored("nothing").complaint(), "");
    }

    #[test]
    fn a_model_that_ran_out_of_time_neither_held_nor_was_refuted() {
        let late = explored("running 1 test\n");
        assert!(!late.held() && !late.refuted());
        assert_eq!(explored("running 0 tests\n").verdict(), "no such test");
    }

    #[test]
    fn every_item_of_a_list_is_worked_on_once() {
        let mut seen = Vec::new();
        for_each((0..100).collect(), |item| item * 2, |item, double| seen.push((item, double)));
        seen.sort_unstable();
        assert_eq!(seen, (0..100).map(|item| (item, item * 2)).collect::<Vec<_>>());
    }
}
