//! What `forebay perf` draws on a terminal. `script` (util-linux) gives it one.

use super::text;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// Runs it on a terminal of 24 lines; `typed` is typed when the first frame is there. What the terminal was sent, and the status.
fn on_a_terminal(args: &str, typed: &[u8]) -> (String, Option<i32>) {
    // `stty` gives the terminal a size; `script` returns the status of what it ran.
    let command = format!("stty rows 24 columns 90; exec {} perf {args}", env!("CARGO_BIN_EXE_forebay"));
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (of util-linux) is there");
    let mut keyboard = script.stdin.take().expect("a keyboard");
    let mut screen = script.stdout.take().expect("a screen");
    let (mut sent, mut part) = (Vec::new(), [0; 4_096]);
    let mut typed = Some(typed);
    loop {
        match screen.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(count) => sent.extend_from_slice(&part[..count]),
        }
        if text(&sent).contains("in flight")
            && let Some(typed) = typed.take()
        {
            keyboard.write_all(typed).expect("it reads");
        }
    }
    let status = script.wait().expect("it ends").code();
    drop(keyboard);
    (text(&sent), status)
}

/// The lines that stay on the screen: each frame goes up over the one before.
fn seen(sent: &str) -> Vec<String> {
    let (mut screen, mut row) = (vec![String::new()], 0_usize);
    let mut rest = sent;
    while let Some(character) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\x1b[") {
            let end = sequence.find(|c: char| c.is_ascii_alphabetic()).expect("a complete sequence");
            match (&sequence[..end], &sequence[end..=end]) {
                (up, "A") => row -= up.parse::<usize>().expect("a number"),
                ("", "J") => screen.truncate(row + 1),
                ("", "K") | (_, "m") => {}
                other => panic!("{other:?} is not taken back at the end"),
            }
            if &sequence[end..=end] == "J" {
                screen[row].clear();
            }
            rest = &sequence[end + 1..];
            continue;
        }
        match character {
            '\n' => {
                row += 1;
                if screen.len() == row {
                    screen.push(String::new());
                }
            }
            '\r' => {
                // What follows is written over the line.
                if !rest.starts_with("\r\n") {
                    screen[row].clear();
                }
            }
            other => screen[row].push(other),
        }
        rest = &rest[character.len_utf8()..];
    }
    screen
}

#[test]
fn the_figures_are_drawn_while_it_runs_and_gone_after() {
    let (sent, status) = on_a_terminal("--num-records 20000 --throughput 20000 --partitions 2", b"");
    assert_eq!(status, Some(0), "{sent}");
    for part in
        ["throughput", "send to ack", "buffer", "in flight", "broker 1", "20,000 records of 100 B to 2 partitions"]
    {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    let screen = seen(&sent);
    assert!(screen[0].starts_with("records       20,000 sent, 20,000 acknowledged, 0 failed"), "{screen:#?}");
    assert!(screen.iter().any(|line| line.starts_with("verified")), "{screen:#?}");
    assert!(!screen.iter().any(|line| line.contains("in flight")), "{screen:#?}");
}

#[test]
fn ctrl_c_takes_the_figures_away_and_tells_what_was_done() {
    let (sent, status) = on_a_terminal("--throughput 2000", b"\x03");
    assert_eq!(status, Some(130), "{sent}");
    let screen = seen(&sent);
    assert!(screen.iter().any(|line| line.contains("of 5,000,000 records were sent and acknowledged")), "{screen:#?}");
    assert!(!screen.iter().any(|line| line.contains("in flight")), "{screen:#?}");
}

#[test]
fn nothing_is_drawn_where_that_was_not_wanted() {
    for args in ["--no-live", "--format json"] {
        let (sent, status) = on_a_terminal(&format!("--num-records 5000 --throughput 10000 {args}"), b"");
        assert_eq!(status, Some(0), "{sent}");
        assert!(!sent.contains('\x1b') && sent.contains("verified"), "{sent}");
    }
}
