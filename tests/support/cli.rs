//! The `forebay` program, as a user runs it.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs `forebay ARGUMENTS` with `input` on standard input until it ends.
pub(crate) fn forebay<A: AsRef<OsStr>>(arguments: &[A], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("forebay starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_vec();
    // A program that ends early closes its end: that shows in its exit status, so a broken pipe is no failure here.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let done = child.wait_with_output().expect("forebay ends");
    writer.join().expect("the writer ends");
    done
}

/// Like `forebay`, and it must succeed.
pub(crate) fn forebay_ok<A: AsRef<OsStr>>(arguments: &[A], input: &[u8]) -> Output {
    let done = forebay(arguments, input);
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "forebay ended with {}:\n{err}", done.status);
    done
}
