//! Configuration files of any content.

use forebay::config::{ConfigBuilder, keys};
use std::fs;
use std::sync::LazyLock;

/// One file for each process: the reader takes a path.
static FILE: LazyLock<std::path::PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("forebay-fuzz-{}.properties", std::process::id())));

/// Reads a properties file: every problem is said, with its line, and nothing that was accepted is out of its range.
pub fn properties(data: &[u8]) {
    fs::write(&*FILE, data).expect("the temporary folder can be written");
    let builder = ConfigBuilder::new().properties_file(&*FILE);
    for key in keys() {
        let _ = builder.value(key.name);
    }
    let verdict = builder.validate();
    match builder.build() {
        Ok(config) => {
            assert!(verdict.is_ok(), "built, though not valid");
            assert!(std::str::from_utf8(data).is_ok(), "a file that is no text was read");
            assert!(config.buffer_memory() > 0);
        }
        Err(error) => {
            assert!(verdict.is_err(), "valid, though not built: {error}");
            assert!(!error.problems().is_empty() && !error.to_string().is_empty());
        }
    }
    let _ = fs::remove_file(&*FILE);
}
