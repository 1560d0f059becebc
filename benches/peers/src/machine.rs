//! What figures were taken on and with.

use crate::host;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

/// The machine, its system, the compilers, the commit and the command.
pub(crate) fn description() -> Value {
    static ASKED: OnceLock<Value> = OnceLock::new();
    ASKED.get_or_init(describe).clone()
}

fn describe() -> Value {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    // Where results go and whether drivers were built before changes no figure.
    let mut words = std::env::args().skip(1);
    let mut arguments = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--no-build" => {}
            "--out" => drop(words.next()),
            _ => arguments.push(word),
        }
    }
    json!({
        "processor": model,
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory_gib": memory.map(|kib| kib >> 20),
        "system": format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim()),
        "rustc": said("rustc", &["--version"]),
        "go": said("go", &["version"]),
        "java": said("java", &["--version"]),
        "commit": said("git", &["rev-parse", "--short=12", "HEAD"]),
        "time": said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        "hiccups": host::hiccups(),
        "command": format!("cargo xtask peers {}", arguments.join(" ")),
    })
}

/// The first line that a program prints; nothing where it is not there.
fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::drivers::root());
    let out = command.output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    out.lines().next().unwrap_or_default().trim().to_owned()
}
