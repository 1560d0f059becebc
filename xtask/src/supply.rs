//! What others build from this repository: which dependencies they get, each set of features, the oldest versions that the
//! manifests promise, and the packages themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::report::Step;
use crate::run;

/// The crates that are published, in the order in which they must be.
pub(crate) const PUBLISHED: [&str; 4] = ["forebay-engine", "forebay-mock-broker", "forebay-io", "forebay"];

/// Licences, duplicate versions and sources, by cargo-deny and without a network. Advisories need one: see the workflow.
pub(crate) fn deny() -> Step {
    Step::timed("deny", |step| {
        let there = run::cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success());
        if !there {
            step.skip("cargo-deny is not there: cargo install --locked --debug --no-default-features cargo-deny");
            return;
        }
        // Everything in the lock file is there after this, those for other systems too.
        step.check(run::succeeds(run::cargo(&["fetch", "--locked"])));
        let arguments = ["deny", "--offline", "--log-level", "warn", "check", "licenses", "bans", "sources"];
        step.check(run::succeeds(run::cargo(&arguments)));
    })
}

/// The libraries with no feature, each alone, each left out, and all: without an error and without a warning.
pub(crate) fn features() -> Step {
    Step::timed("features", |step| {
        for package in ["forebay-io", "forebay"] {
            match features_of(package) {
                Ok(features) => sets(&features).iter().for_each(|set| step.check(with(package, set))),
                Err(why) => step.fail(why),
            }
        }
    })
}

fn with(package: &str, features: &[String]) -> Result<(), String> {
    let mut command = run::cargo(&["check", "--quiet", "--lib", "--no-default-features", "--package", package]);
    command.arg("--features").arg(features.join(","));
    clean(command)
}

/// Runs a command that has nothing to say where all is well.
fn clean(command: Command) -> Result<(), String> {
    let shown = run::shown(&command);
    let (status, lines) = run::heard(command)?;
    match (status.success(), lines.first()) {
        (false, _) => Err(format!("{shown}: {status}")),
        (true, Some(line)) => Err(format!("{shown}: {line}")),
        (true, None) => Ok(()),
    }
}

fn features_of(package: &str) -> Result<Vec<String>, String> {
    let metadata = metadata(&["--no-deps"])?;
    let found = named(&metadata, package)?["features"].as_object().ok_or("a package lists its features")?.clone();
    Ok(found.into_iter().map(|(name, _)| name).filter(|name| name != "default").collect())
}

fn metadata(arguments: &[&str]) -> Result<Value, String> {
    let output = run::cargo(&[&["metadata", "--format-version", "1"], arguments].concat()).output();
    let output = output.map_err(|e| format!("cargo metadata: {e}"))?;
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

fn named<'m>(metadata: &'m Value, package: &str) -> Result<&'m Value, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    packages.iter().find(|found| found["name"] == package).ok_or_else(|| format!("there is no package {package}"))
}

fn sets(features: &[String]) -> BTreeSet<Vec<String>> {
    let mut sets = BTreeSet::from([Vec::new(), features.to_vec()]);
    for feature in features {
        sets.insert(vec![feature.clone()]);
        sets.insert(features.iter().filter(|other| *other != feature).cloned().collect());
    }
    sets
}

/// The published crates with the oldest dependencies that their manifests allow, in a copy of the tree.
pub(crate) fn minimal_versions() -> Step {
    Step::timed("minimal", |step| {
        let tree = run::target("minimal").join("tree");
        if let Err(why) = copy(&tree) {
            step.fail(format!("copying the tree to {}: {why}", tree.display()));
            return;
        }
        let in_tree = |arguments: &[&str]| {
            let mut command = run::cargo(arguments);
            // Choosing the oldest versions is not stable yet; building with them is as usual.
            command.current_dir(&tree).env("CARGO_TARGET_DIR", run::target("minimal")).env("RUSTC_BOOTSTRAP", "1");
            command
        };
        step.check(run::succeeds(in_tree(&["generate-lockfile", "--quiet", "-Z", "direct-minimal-versions"])));
        let mut check = in_tree(&["check", "--quiet", "--locked", "--workspace", "--lib", "--bins", "--all-features"]);
        check.env_remove("RUSTC_BOOTSTRAP");
        step.check(run::succeeds(check));
    })
}

/// The published crates alone, without what only their tests need: that may ask for newer versions.
fn copy(to: &Path) -> Result<(), String> {
    let _ = fs::remove_dir_all(to);
    let mut listed = Command::new("git");
    listed.current_dir(run::root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let output = listed.output().map_err(|e| format!("git ls-files: {e}"))?;
    let files = String::from_utf8(output.stdout).map_err(|e| e.to_string())?;
    let wanted = ["Cargo.toml", "src/", "engine/", "io/", "mock-broker/", "README.md"];
    for file in files.lines().filter(|file| wanted.iter().any(|prefix| file.starts_with(prefix))) {
        let (from, to) = (run::root().join(file), to.join(file));
        let Ok(text) = fs::read(&from) else { continue }; // deleted and not committed yet
        let text =
            if file.ends_with("Cargo.toml") { published_only(&String::from_utf8_lossy(&text)).into() } else { text };
        to.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&to, text))
            .map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn published_only(manifest: &str) -> String {
    let mut out = String::new();
    let mut dropped = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            dropped = line.ends_with("dev-dependencies]");
        }
        match line {
            _ if dropped => {}
            _ if line.starts_with("members = ") => out.push_str("members = [\"engine\", \"io\", \"mock-broker\"]\n"),
            _ => out.extend([line, "\n"]),
        }
    }
    out
}

/// Each published crate as it would be uploaded: nothing to warn of, all that must be in it, and it builds from that alone.
pub(crate) fn package() -> Step {
    Step::timed("package", |step| {
        let all = match metadata(&["--no-deps"]) {
            Ok(all) => all,
            Err(why) => return step.fail(why),
        };
        for package in PUBLISHED {
            step.check(named(&all, package).and_then(described));
            step.check(contents(package));
        }
        let others = all["packages"].as_array().into_iter().flatten().filter_map(|found| found["name"].as_str());
        let others: Vec<&str> = others.filter(|name| !PUBLISHED.contains(name)).collect();
        let mut command = run::cargo(&["package", "--quiet", "--workspace", "--allow-dirty"]);
        for name in &others {
            command.args(["--exclude", name]);
            if let Ok(found) = named(&all, name)
                && found["publish"] != Value::Array(Vec::new())
            {
                step.fail(format!("{name} could be published by mistake: it needs publish = false"));
            }
        }
        step.check(clean(command));
    })
}

fn described(package: &Value) -> Result<(), String> {
    for field in ["description", "license", "repository", "readme", "rust_version"] {
        if package[field].as_str().is_none_or(str::is_empty) {
            return Err(format!("{} has no {field}", package["name"]));
        }
    }
    for field in ["keywords", "categories"] {
        if package[field].as_array().is_none_or(Vec::is_empty) {
            return Err(format!("{} has no {field}", package["name"]));
        }
    }
    Ok(())
}

fn contents(package: &str) -> Result<(), String> {
    let output = run::cargo(&["package", "--list", "--allow-dirty", "--package", package]).output();
    let output = output.map_err(|e| format!("cargo package --list: {e}"))?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let files: Vec<&str> = list.lines().collect();
    for wanted in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"] {
        if !files.contains(&wanted) {
            return Err(format!("the package of {package} has no {wanted}"));
        }
    }
    let generated = ["Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json", "CHANGELOG.md"];
    let folders = ["src/", "examples/", "docs/", "README.md", "LICENSE-"];
    let stray =
        files.iter().find(|file| !generated.contains(file) && folders.iter().all(|folder| !file.starts_with(folder)));
    stray.map_or(Ok(()), |stray| Err(format!("the package of {package} has {stray}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_none_each_each_left_out_and_all() {
        let features: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let sets: Vec<String> = sets(&features).iter().map(|set| set.concat()).collect();
        assert_eq!(sets, ["", "a", "ab", "abc", "ac", "b", "bc", "c"]);
    }

    #[test]
    fn a_manifest_for_users_has_no_tests() {
        let manifest = "members = [\"engine\", \"xtask\"]\n[dependencies]\na = \"1\"\n[dev-dependencies]\nb = \"1\"\n\n[lints]\nc = 1\n";
        let kept = "members = [\"engine\", \"io\", \"mock-broker\"]\n[dependencies]\na = \"1\"\n[lints]\nc = 1\n";
        assert_eq!(published_only(manifest), kept);
    }
}
