//! Java programs: Kafka's own and the small ones of `tests/kafka`, with the jars that Maven fetches.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Set to 1 where a missing tool is a failure, not a reason to skip.
const REQUIRE: &str = "FOREBAY_REQUIRE_KAFKA";

/// Whether what a test needs is there; where it is not, the test says so loudly and does not run.
///
/// # Panics
/// If it is not there and `FOREBAY_REQUIRE_KAFKA=1`.
pub(crate) fn there<T>(needed: Result<T, String>) -> Option<T> {
    needed
        .map_err(|missing| {
            assert!(env::var_os(REQUIRE).is_none_or(|v| v != "1"), "{REQUIRE}=1, but: {missing}");
            eprintln!("\n*** NOT RUN: this test needs what is not there: {missing}\n");
        })
        .ok()
}

/// One version of Kafka: its jars and our classes, compiled against them.
#[derive(Clone, Debug)]
pub(crate) struct Kafka {
    class_path: OsString,
}

impl Kafka {
    /// The version that the project names in `pom.xml`.
    pub(crate) fn pinned() -> Result<Self, String> {
        Self::version(&pinned_version())
    }

    /// Fetched once per test program; or why it is not there.
    pub(crate) fn version(version: &str) -> Result<Self, String> {
        static FETCHED: Mutex<Option<HashMap<String, Result<Kafka, String>>>> = Mutex::new(None);
        let mut fetched = FETCHED.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.get_or_insert_default().entry(version.to_owned()).or_insert_with(|| Self::fetch(version)).clone()
    }

    fn fetch(version: &str) -> Result<Self, String> {
        for tool in [program("java"), program("javac"), "mvn".into()] {
            let found = Command::new(&tool).arg("-version").stdin(Stdio::null()).output();
            if !found.is_ok_and(|output| output.status.success()) {
                return Err(format!("there is no Kafka, as {} cannot be run", tool.display()));
            }
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".kafka");
        let mut fetch = Command::new("bash");
        fetch.arg(sources().join("fetch.sh")).arg(&folder).arg(version).stdin(Stdio::null());
        let fetched = fetch.output().map_err(|e| format!("bash: {e}"))?;
        if !fetched.status.success() {
            return Err(format!("fetch.sh failed:\n{}", String::from_utf8_lossy(&fetched.stderr)));
        }
        let mut class_path = OsString::from(folder.join(version).join("*"));
        class_path.push(":");
        class_path.push(folder.join(format!("{version}-classes")));
        Ok(Self { class_path })
    }

    /// A Java program by class name.
    pub(crate) fn java(&self, class: &str) -> Command {
        self.java_with(class, "-Xmx512m")
    }

    /// The same with a heap of its own size.
    pub(crate) fn java_with(&self, class: &str, heap: &str) -> Command {
        let mut command = Command::new(program("java"));
        command
            .args([heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"])
            .arg(format!("-Dlog4j2.configurationFile=file:{}", sources().join("log4j2.properties").display()))
            .arg("-cp")
            .arg(&self.class_path)
            .arg(class)
            .stdin(Stdio::null());
        command
    }
}

fn pinned_version() -> String {
    let pom = fs::read_to_string(sources().join("pom.xml")).expect("pom.xml is readable");
    let after = pom.split("<kafka.version>").nth(1).expect("pom.xml names a version");
    after.split('<').next().unwrap_or_default().to_owned()
}

pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka")
}

fn program(name: &str) -> PathBuf {
    env::var_os("JAVA_HOME").map_or_else(|| name.into(), |home| Path::new(&home).join("bin").join(name))
}
