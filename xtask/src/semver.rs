//! What users can name of each published crate, held against `xtask/public-api/CRATE.txt`: nothing of it changes unseen.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::report::Step;
use crate::run;
use crate::supply::PUBLISHED;

/// rustdoc's JSON has a new form now and then; `public-api` reads that of this Rust.
const RUST: &str = "1.95.0";

/// Compares, or with `write` makes the files anew.
pub(crate) fn step(write: bool) -> Step {
    Step::timed("semver", |step| {
        if !installed() {
            step.skip(format!("there is no Rust {RUST}: rustup toolchain install {RUST} --profile minimal"));
            return;
        }
        for package in PUBLISHED {
            step.check(
                public_api(package).and_then(|now| if write { keep(package, &now) } else { held(package, &now) }),
            );
        }
    })
}

fn installed() -> bool {
    let output = Command::new("rustup").args(["run", RUST, "rustc", "--version"]).stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}

/// Everything public of a crate with all its features, one item a line, without what the compiler derives by itself.
fn public_api(package: &str) -> Result<String, String> {
    let mut command = Command::new("rustup");
    command.args([
        "run",
        RUST,
        "cargo",
        "rustdoc",
        "--quiet",
        "--locked",
        "--lib",
        "--all-features",
        "--package",
        package,
    ]);
    command.args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"]);
    command.current_dir(run::root()).env("RUSTDOC", run::root().join(".ci/rustdoc-json")).stdin(Stdio::null());
    run::succeeds(command)?;
    let json = run::target("doc").join(format!("{}.json", package.replace('-', "_")));
    let api = public_api::Builder::from_rustdoc_json(&json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|e| format!("{}: {e}", json.display()))?;
    let mut text = String::new();
    for item in api.items() {
        let _ = writeln!(text, "{item}");
    }
    Ok(text)
}

fn file(package: &str) -> PathBuf {
    run::root().join("xtask/public-api").join(format!("{package}.txt"))
}

fn keep(package: &str, now: &str) -> Result<(), String> {
    let file = file(package);
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).and_then(|()| fs::write(&file, now)).map_err(|e| format!("{}: {e}", file.display()))
}

fn held(package: &str, now: &str) -> Result<(), String> {
    let file = file(package);
    let before = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let (gone, new) = differences(&before, now);
    if gone.is_empty() && new.is_empty() {
        return Ok(());
    }
    let mut listed = String::new();
    for (sign, items) in [("-", &gone), ("+", &new)] {
        for item in items {
            let _ = write!(listed, "\n  {sign} {item}");
        }
    }
    let breaks = if gone.is_empty() { "" } else { ": it breaks who uses what is gone (CHANGELOG.md must say so)" };
    Err(format!(
        "the public API of {package} has changed{breaks}. If that is meant: cargo xtask semver --write{listed}"
    ))
}

/// Lines that are gone, and lines that are new.
fn differences<'a>(before: &'a str, now: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), now.lines().collect());
    (before.difference(&now).copied().collect(), now.difference(&before).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_new_are_told_apart() {
        let before = "pub fn a()\npub fn b(u32)\npub fn c()\n";
        assert_eq!(differences(before, before), (vec![], vec![]));
        let now = "pub fn c()\npub fn a()\npub fn b(u64)\n";
        assert_eq!(differences(before, now), (vec!["pub fn b(u32)"], vec!["pub fn b(u64)"]));
    }

    #[test]
    fn each_published_crate_has_its_file() {
        for package in PUBLISHED {
            let text = fs::read_to_string(file(package)).expect("cargo xtask semver --write");
            assert!(text.starts_with(&format!("pub mod {}\n", package.replace('-', "_"))), "{package}");
        }
    }
}
