//! What figures were taken on and with.

use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// For so long a thread looks how often it is kept from running.
const PROBE: Duration = Duration::from_secs(3);
/// Between two readings of the clock: longer than any interrupt of its own.
const GAP: Duration = Duration::from_micros(100);

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
        "hiccups": hiccups(),
        "command": format!("cargo xtask peers {}", arguments.join(" ")),
    })
}

/// What the host takes away from a thread that does nothing but read the clock: no client's tail can be shorter.
fn hiccups() -> String {
    let start = Instant::now();
    let (mut last, mut lost, mut longest, mut count) = (start, Duration::ZERO, Duration::ZERO, 0);
    while last - start < PROBE {
        let now = Instant::now();
        let gap = now - last;
        if gap > GAP {
            lost += gap;
            longest = longest.max(gap);
            count += 1;
        }
        last = now;
    }
    let part = lost.as_secs_f64() / PROBE.as_secs_f64() * 100.0;
    let longest = longest.as_secs_f64() * 1e3;
    format!(
        "a thread that only reads the clock was stopped {count} times in {} s, {part:.2} % of the time, {longest:.1} ms at most",
        PROBE.as_secs()
    )
}

/// The first line that a program prints; nothing where it is not there.
fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::drivers::root());
    let out = command.output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    out.lines().next().unwrap_or_default().trim().to_owned()
}
