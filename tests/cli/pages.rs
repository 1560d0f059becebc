//! Shell completions and man pages: they are there, and leave nothing out.

use super::{check, run, text};
use std::process::{self, Command};
use std::{env, fs};

const COMMANDS: [&str; 6] = ["perf", "produce", "mock-broker", "config", "completions", "man"];

/// Every option of a command, as its `--help` lists them.
fn options(command: &str) -> Vec<String> {
    let (help, _) = check(&run(&[command, "--help"]), 0);
    // An option stands at the beginning of its line: "  -X, --producer-property <KEY=VALUE>".
    let listed = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    listed
        .flat_map(|line| line.split([' ', ',', '=', '[']).filter(|word| word.starts_with("--")).take(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn completions_of_every_shell_know_every_command_and_option() {
    let all: Vec<(&str, Vec<String>)> = COMMANDS.iter().map(|command| (*command, options(command))).collect();
    assert!(all.iter().any(|(_, options)| options.len() > 10), "{all:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = check(&run(&["completions", shell]), 0);
        for (command, options) in &all {
            assert!(script.contains(command), "{shell}: {command}");
            for option in options {
                // fish writes the bare name.
                let option = if shell == "fish" { option.trim_start_matches('-') } else { option };
                assert!(script.contains(option), "{shell}: {command} {option}");
            }
        }
    }
    let (_, err) = check(&run(&["completions", "nonsense"]), 2);
    assert!(err.contains("bash, elvish, fish, powershell, zsh"), "{err}");
}

#[test]
fn what_is_hidden_from_the_help_is_not_offered() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = check(&run(&["completions", shell]), 0);
        let offers = |option: &str| script.contains(&format!("--{option}")) || script.contains(&format!("-l {option}"));
        assert!(offers("fault"), "{shell}");
        assert!(!offers("embedded") && !offers("markdown"), "{shell}");
    }
}

#[test]
fn a_shell_takes_the_completions_and_offers_what_fits() {
    let Ok(bash) = Command::new("bash").arg("-c").arg("true").output() else { return };
    assert!(bash.status.success());
    let (script, _) = check(&run(&["completions", "bash"]), 0);
    let ask = format!(
        "{script}\nCOMP_WORDS=(forebay produce --input-f); COMP_CWORD=2\n_forebay forebay --input-f produce\necho \"${{COMPREPLY[@]}}\""
    );
    let offered = Command::new("bash").arg("-c").arg(ask).output().expect("bash runs");
    assert_eq!(text(&offered.stdout).trim(), "--input-format", "{}", text(&offered.stderr));
}

#[test]
fn man_pages_know_every_option_and_the_exit_statuses() {
    let dir = env::temp_dir().join(format!("forebay-man-{}", process::id()));
    check(&run(&["man", dir.to_str().expect("a UTF-8 path")]), 0);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .expect("a folder")
        .map(|entry| text(entry.expect("a file").file_name().as_encoded_bytes()))
        .collect();
    files.sort_unstable();
    let mut expected: Vec<_> = COMMANDS.iter().map(|command| format!("forebay-{command}.1")).collect();
    expected.push("forebay.1".to_owned());
    expected.sort_unstable();
    assert_eq!(files, expected);
    for command in COMMANDS {
        let page = fs::read_to_string(dir.join(format!("forebay-{command}.1"))).expect("a page");
        // roff writes a hyphen that is to stay one with a backslash.
        let page = page.replace("\\-", "-");
        assert!(page.contains(&format!(".TH forebay-{command} 1")), "{page}");
        for option in options(command) {
            assert!(page.contains(&option), "{command} {option}");
        }
    }
    fs::remove_dir_all(&dir).expect("the pages can go");
    let (page, _) = check(&run(&["man"]), 0);
    let page = page.replace("\\-", "-");
    for word in ["forebay-perf(1)", "Exit status", "130", "no broker could be reached"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (_, err) = check(&run(&["man", "/dev/null/pages"]), 1);
    assert!(err.contains("/dev/null/pages cannot be written"), "{err}");
}
