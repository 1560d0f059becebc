//! The program as its users meet it: standard output, standard error, exit status.

// Without the feature there is no program to run.
#![cfg(feature = "cli")]

mod broker;
mod formats;
#[cfg(target_os = "linux")]
mod live;
mod options;
mod pages;
mod perf;
mod produce;
mod report;
mod status;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

fn forebay(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    forebay(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks the exit status and gives back standard output and standard error.
#[track_caller]
fn check(output: &Output, status: i32) -> (String, String) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "standard output:\n{out}\nstandard error:\n{err}");
    (out, err)
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(contents: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("forebay-cli-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::write(&path, contents).expect("temporary file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the temporary directory's name is text")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
