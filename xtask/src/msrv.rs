//! The stated minimum Rust version, held against what every dependency states for itself.

use std::process::Command;

use serde_json::Value;

use crate::run;

/// Fails if a package of the lock file, for any platform, needs a later Rust than this workspace promises.
pub(crate) fn check() -> Result<(), String> {
    let mut command: Command = run::cargo(&["metadata", "--format-version", "1"]);
    let output = command.output().map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let ours = packages.iter().find(|package| package["name"] == "forebay").ok_or("there is no package forebay")?;
    let ours = ours["rust_version"].as_str().ok_or("forebay states no rust-version")?;
    eprintln!("{} packages against Rust {ours}", packages.len());
    let late: Vec<String> = packages.iter().filter_map(|package| later(package, ours)).collect();
    if late.is_empty() { Ok(()) } else { Err(format!("need more than Rust {ours}: {}", late.join(", "))) }
}

fn later(package: &Value, ours: &str) -> Option<String> {
    let theirs = package["rust_version"].as_str()?;
    (version(theirs) > version(ours)).then(|| format!("{} {} ({theirs})", package["name"], package["version"]))
}

/// `1.89` and `1.89.0` are the same.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(u32::MAX));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.9") < version("1.10"));
        assert_eq!(version("1.89"), version("1.89.0"));
        assert!(version("1.89.1") > version("1.89"));
        assert!(version("odd") > version("1.89"), "what cannot be read is not taken for good");
    }

    #[test]
    fn a_package_that_needs_more_is_named() {
        let package = json!({"name": "young", "version": "2.0.0", "rust_version": "1.90"});
        assert!(later(&package, "1.89").is_some_and(|text| text.contains("young")));
        assert_eq!(later(&package, "1.90"), None);
        assert_eq!(later(&json!({"name": "silent", "version": "1.0.0", "rust_version": null}), "1.89"), None);
    }
}
