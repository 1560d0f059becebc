//! Reads what `cargo test` prints, so that a suite that ran no test cannot pass for one that did.

/// One test program, or one crate's documentation tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Suite {
    /// As cargo names it: `unittests src/lib.rs (…)`, `tests/x.rs`, `Doc-tests forebay`.
    pub(crate) name: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
    /// Whether it came to its end: a crashed program prints no result.
    pub(crate) finished: bool,
}

impl Suite {
    /// A file of `tests/` exists for its tests; a library may well have none of its own.
    pub(crate) fn must_have_tests(&self) -> bool {
        self.name.starts_with("tests/")
    }
}

/// The suites of one run of `cargo test`, in order.
pub(crate) fn parse(lines: &[String]) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    for line in lines {
        if let Some(name) = suite_name(line) {
            suites.push(Suite { name, ..Suite::default() });
        } else if let Some((passed, failed, ignored)) = result(line) {
            // Documentation tests print two results, one for merged and one for single ones.
            let Some(suite) = suites.last_mut() else { continue };
            suite.passed += passed;
            suite.failed += failed;
            suite.ignored += ignored;
            suite.finished = true;
        }
    }
    suites
}

fn suite_name(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Running ") {
        // `tests/x.rs (target/debug/deps/x-0123)`: a line of a test's own that begins like this has no such end.
        let (file, program) = name.rsplit_once(" (")?;
        return (program.ends_with(')') && program.contains("deps")).then(|| file.to_owned());
    }
    line.strip_prefix("Doc-tests ").map(|name| format!("Doc-tests {name}"))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
fn result(line: &str) -> Option<(usize, usize, usize)> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, counts) = rest.split_once(". ")?;
    let mut counts = counts.split("; ");
    let mut next = |word: &str| counts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some((next("passed")?, next("failed")?, next("ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn suites_are_told_apart_and_counted() {
        let printed = lines(
            "   Compiling x v0.1.0
     Running unittests src/lib.rs (target/debug/deps/x-1a2b)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/whole.rs (target/debug/deps/whole-1a2b)
Running late (again)
test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests x
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        let suite = |name: &str, passed, failed, ignored| Suite {
            name: name.to_owned(),
            passed,
            failed,
            ignored,
            finished: true,
        };
        let expected =
            [suite("unittests src/lib.rs", 0, 0, 0), suite("tests/whole.rs", 3, 1, 2), suite("Doc-tests x", 3, 0, 0)];
        assert_eq!(parse(&printed), expected);
    }

    #[test]
    fn a_program_that_crashed_has_not_finished() {
        let printed = lines("     Running tests/crash.rs (target/debug/deps/crash-1)\nrunning 1 test");
        assert!(!parse(&printed)[0].finished);
    }
}
