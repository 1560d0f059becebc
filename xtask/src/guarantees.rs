//! `docs/guarantees.md` and `docs/security.md` name a test for each promise: here is what notices when one is renamed, removed or forgotten.

use std::fs;
use std::path::Path;

/// Sections that promise nothing.
const NO_PROMISES: [&str; 1] = ["## Not promised"];

/// A test that the page names: `file::test`.
#[derive(Debug, PartialEq, Eq)]
struct Named<'a> {
    file: &'a str,
    test: &'a str,
}

/// A promise, and the tests named for it.
#[derive(Debug)]
struct Promise<'a> {
    line: usize,
    tests: Vec<Named<'a>>,
}

/// List entries and rows of tables, with the tests named in each.
fn promises(page: &str) -> Vec<Promise<'_>> {
    let mut promises: Vec<Promise<'_>> = Vec::new();
    let (mut promised, mut before) = (true, "");
    for (at, line) in page.lines().enumerate() {
        if line.starts_with('#') {
            promised = !NO_PROMISES.contains(&line);
        }
        let header = line.starts_with("|--") || (line.starts_with('|') && !before.starts_with('|'));
        before = line;
        if !promised || header {
            continue;
        }
        if line.starts_with("- ") || line.starts_with('|') {
            promises.push(Promise { line: at + 1, tests: Vec::new() });
        }
        if let Some(promise) = promises.last_mut() {
            promise.tests.extend(named(line));
        }
    }
    promises
}

/// The words in backticks that look like `file.rs::test`.
fn named(line: &str) -> impl Iterator<Item = Named<'_>> {
    line.split('`').skip(1).step_by(2).filter_map(|word| {
        let (file, test) = word.split_once("::")?;
        (Path::new(file).extension()? == "rs").then_some(Named { file, test })
    })
}

/// Whether `source` has a test of that name.
fn has_test(source: &str, test: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let begins = format!("fn {test}(");
    lines.iter().enumerate().filter(|(_, line)| line.starts_with(&begins)).any(|(at, _)| {
        // Attributes and doc lines may stand between.
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with("///"));
        above.into_iter().any(|line| line.starts_with("#[test]"))
    })
}

/// Everything that is wrong with the page, in its order.
fn wrong(page: &str, root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for promise in promises(page) {
        let at = promise.line;
        if promise.tests.is_empty() {
            wrong.push(format!("line {at}: a promise without a test"));
        }
        for Named { file, test } in promise.tests {
            match fs::read_to_string(root.join(file)) {
                Err(error) => wrong.push(format!("line {at}: {file}: {error}")),
                Ok(source) if !has_test(&source, test) => wrong.push(format!("line {at}: {file} has no test {test}")),
                Ok(_) => {}
            }
        }
    }
    wrong
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    for (page, least) in [("docs/guarantees.md", 50), ("docs/security.md", 40)] {
        let text = fs::read_to_string(root.join(page)).expect("the page");
        assert!(promises(&text).len() >= least, "{page} is read as it is written");
        assert_eq!(wrong(&text, root), Vec::<String>::new(), "{page}");
    }
}

#[test]
fn a_promise_without_a_test_and_a_test_that_is_gone_are_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = "# Page\n\n- One.\n  `src/guarantees.rs::every_promise_names_tests_that_exist`\n- Two.\n\n\
                | error | test |\n|---|---|\n| a | `src/guarantees.rs::named` |\n| b | `no.rs::x` |\n\n\
                ## Not promised\n\n- Three.\n";
    let wrong = wrong(page, root);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert_eq!(wrong[0], "line 5: a promise without a test");
    assert_eq!(wrong[1], "line 9: src/guarantees.rs has no test named", "a function that is no test does not count");
    assert!(wrong[2].starts_with("line 10: no.rs: "), "{}", wrong[2]);
}
