//! The stub as a child process.

use crate::drivers::beside;
use rustix::process::{Pid, setpriority_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// How far before others it gets a processor: `nice`.
const FIRST: i32 = -15;

/// A running stub. Dropping it ends it.
pub(crate) struct Stub {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pub(crate) address: String,
    certificate: String,
}

impl Stub {
    /// Starts one with these words of its command line.
    pub(crate) fn start(words: &[String]) -> Result<Self, String> {
        let mut command = Command::new(beside("peer-stub"));
        let mut child = command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|why| format!("the stub cannot be started: {why}"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the stub has no standard input and output".to_owned());
        };
        let mut stub = Self {
            child,
            to: Some(to),
            from: BufReader::new(from),
            address: String::new(),
            certificate: String::new(),
        };
        let line = stub.line()?;
        match line.strip_prefix("listening ") {
            Some(said) => {
                let (address, certificate) = said.split_once(' ').unwrap_or((said, ""));
                address.clone_into(&mut stub.address);
                certificate.clone_into(&mut stub.certificate);
            }
            None => return Err(format!("the stub did not start: {line:?}")),
        }
        Ok(stub)
    }

    /// Lets it have a processor before the client and whatever else runs here, as if it had one of its own. Answers whether the system
    /// allows that.
    pub(crate) fn go_first(&self) -> bool {
        setpriority_process(Some(Pid::from_child(&self.child)), FIRST).is_ok()
    }

    /// Gives an order and returns the answer.
    pub(crate) fn ask(&mut self, order: &str) -> Result<Value, String> {
        if let Some(to) = &mut self.to {
            writeln!(to, "{order}").and_then(|()| to.flush()).map_err(|why| format!("the stub has gone: {why}"))?;
        }
        let line = self.line()?;
        let answer: Value = serde_json::from_str(&line).map_err(|why| format!("the stub said {line:?}: {why}"))?;
        match answer.get("error") {
            Some(why) => Err(format!("the stub: {order}: {why}")),
            None => Ok(answer),
        }
    }

    /// The file of its certificate, if it speaks TLS.
    pub(crate) fn certificate(&self) -> String {
        self.certificate.clone()
    }

    /// User and system time of the stub's process so far, in nanoseconds; 0 where `/proc` does not say.
    pub(crate) fn cpu_ns(&self) -> u64 {
        // Tasks that have ended are missing: the stub's one thread lives as long as it does.
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let paths = tasks.into_iter().flatten().flatten().map(|task| task.path().join("schedstat"));
        let first = |text: String| text.split(' ').next().and_then(|word| word.parse::<u64>().ok());
        paths.filter_map(|path| std::fs::read_to_string(path).ok().and_then(first)).sum()
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => Err("the stub has gone".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(why) => Err(format!("the stub has gone: {why}")),
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.child.wait();
    }
}
