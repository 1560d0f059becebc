//! Commands: run, heard and waited for.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The repository's root: every command runs there unless it says otherwise.
pub(crate) fn root() -> PathBuf {
    // The environment's first: a moved checkout may still run a binary that was built elsewhere.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    Path::new(&manifest).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where builds go that must not share a folder with the usual ones: `target/NAME`.
pub(crate) fn target(name: &str) -> PathBuf {
    let base = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(base).join(name)
}

/// The cargo that runs this program, in the root, without colours and with nothing to read.
pub(crate) fn cargo<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments).env("CARGO_TERM_COLOR", "never").stdin(Stdio::null());
    // What `cargo run` has set for this program. Build scripts look at it (ring's), and all that depends on theirs would be built anew
    // whenever a step is followed by cargo from a shell, or the other way round.
    let ours = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    for (name, _) in env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}

/// Cargo on the tests' selection of packages, features and profile: `cargo COMMAND SELECTION ARGUMENTS`. A step that names other packages
/// has other features of the dependencies, and builds nearly everything anew.
pub(crate) fn workspace(command: &str, arguments: &[&str]) -> Command {
    let mut all = vec![command];
    all.extend(SELECTION);
    all.extend(arguments);
    cargo(&all)
}

/// Everything but the models, which have steps of their own: without `--cfg loom` or `--cfg shuttle` their files hold no test. With the
/// features that are off by default: their suites would run no test.
const SELECTION: [&str; 7] = [
    "--workspace",
    "--exclude",
    "forebay-loom-tests",
    "--exclude",
    "forebay-shuttle-tests",
    "--features",
    "forebay/pkcs12,forebay/serde,forebay/metrics,forebay/oauth-http,forebay/aws-msk-iam",
];

/// The names of the Rust files of a folder, without `.rs`: targets of cargo's. Sorted.
pub(crate) fn targets_in(folder: &str) -> Result<Vec<String>, String> {
    let path = root().join(folder);
    let entries = fs::read_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", path.display()))?.path();
        let is_target = path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
        names.extend(path.file_stem().filter(|_| is_target).map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    if names.is_empty() { Err(format!("{folder} holds no target")) } else { Ok(names) }
}

/// Runs a command whose exit status is all that counts.
pub(crate) fn succeeds(mut command: Command) -> Result<(), String> {
    eprintln!("$ {}", shown(&command));
    let status = command.status().map_err(|e| format!("{}: {e}", shown(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(&command))) }
}

/// Runs a command, passes on what it says and gives it back: standard output and error in the order they were written.
pub(crate) fn heard(mut command: Command) -> Result<(ExitStatus, Vec<String>), String> {
    let name = shown(&command);
    eprintln!("$ {name}");
    let work = || -> io::Result<_> {
        let (reader, writer) = io::pipe()?;
        let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        drop(command); // and with it this end of the pipe, or the last line would never come
        let mut lines = Vec::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            writeln!(io::stderr().lock(), "{line}")?;
            lines.push(line);
        }
        Ok((child.wait()?, lines))
    };
    work().map_err(|e| format!("{name}: {e}"))
}

/// What a command printed, both streams; `None` for the status where it was stopped at the limit.
pub(crate) fn quietly(mut command: Command, limit: Duration) -> Result<(Option<ExitStatus>, String), String> {
    let name = shown(&command);
    let work = || -> io::Result<_> {
        let (reader, writer) = io::pipe()?;
        let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
        drop(command);
        let text = thread::spawn(move || io::read_to_string(reader));
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if Instant::now() > end {
                child.kill()?;
                child.wait()?;
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let text = text.join().map_err(|_| io::Error::other("the reader panicked"))??;
        Ok((status, text))
    };
    work().map_err(|e| format!("{name}: {e}"))
}

/// Whether a program is there and answers.
pub(crate) fn answers(program: &Path, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
