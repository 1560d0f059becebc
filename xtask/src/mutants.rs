//! Mutants: each line of `loom-tests/mutants.txt` names a deliberate mistake in the engine (`#[cfg(mutant = "NAME")]`) and the
//! model that must notice it.
//!
//! A mutant rebuilds the workspace's own crates only. A flag for all crates would rebuild loom and its dependencies each time, so the
//! flag is added by a wrapper around the compiler: this program under another name, one name per mutant, which cargo's fingerprints tell apart.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::loom::{self, Explored, Model};
use crate::run;

const LIST: &str = "loom-tests/mutants.txt";
const README: &str = "loom-tests/README.md";
const BEGIN: &str = "<!-- mutants: begin (written by `cargo xtask mutants`) -->";
const END: &str = "<!-- mutants: end -->";
/// What this program's name begins with where it stands in for the compiler.
const WRAPPER: &str = "mutant-";
/// A mutant that only makes its model slow is not killed.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// A line of the list: `name | file::test | what it breaks`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mutant {
    name: String,
    file: String,
    test: String,
    breaks: String,
}

/// What became of a mutant.
struct Judged {
    mutant: Mutant,
    killed: bool,
    verdict: &'static str,
    time: Duration,
}

/// Builds each mutant, runs its model and expects red; `Ok(false)` if one survives.
pub(crate) fn run(filter: Option<&str>) -> Result<bool, String> {
    let text = fs::read_to_string(run::root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?;
    let mutants = parse(&text)?;
    let chosen: Vec<Mutant> =
        mutants.into_iter().filter(|mutant| filter.is_none_or(|f| mutant.name.contains(f))).collect();
    if chosen.is_empty() {
        return Err(format!("{LIST} names no such mutant"));
    }
    unharmed(&chosen)?;
    let mut judged = Vec::new();
    for mutant in chosen {
        let wrapper = wrapper(&mutant.name)?;
        let models =
            loom::build(Some(&mutant.file), Some(&wrapper)).map_err(|e| format!("mutant {}: {e}", mutant.name))?;
        let explored = find(&models.of_all, &mutant)?.explore(LIMIT)?;
        let killed = explored.refuted();
        eprintln!("{:<40} {:>8.2} s  {}", mutant.name, explored.time.as_secs_f64(), fate(&explored));
        judged.push(Judged { mutant, killed, verdict: fate(&explored), time: explored.time });
    }
    let killed = judged.iter().filter(|one| one.killed).count();
    if filter.is_none() {
        write_table(&judged)?;
    }
    println!("\n{killed} of {} mutants killed ({} %)", judged.len(), killed * 100 / judged.len());
    println!("\n{killed} passed, {} failed", judged.len() - killed);
    Ok(killed == judged.len())
}

fn fate(explored: &Explored) -> &'static str {
    match explored.verdict() {
        "refuted" => "killed",
        "held" => "SURVIVED",
        other => other,
    }
}

/// A model that fails anyway kills nothing.
fn unharmed(mutants: &[Mutant]) -> Result<(), String> {
    let models = loom::build(None, None)?;
    let mut needed: Vec<Model> = Vec::new();
    for mutant in mutants {
        let model = find(&models.of_all, mutant)?;
        if !needed.contains(model) {
            needed.push(model.clone());
        }
    }
    let mut wrong = Vec::new();
    loom::for_each(
        needed,
        |model| model.explore(LIMIT),
        |model, explored| match explored {
            Ok(explored) if explored.held() => {}
            Ok(explored) => {
                wrong.push(format!("{} without a mutant: {}\n{}", model.name(), explored.verdict(), explored.text));
            }
            Err(why) => wrong.push(why),
        },
    );
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn find<'a>(models: &'a [Model], mutant: &Mutant) -> Result<&'a Model, String> {
    let found = models.iter().find(|model| model.file == mutant.file && model.test == mutant.test);
    found.ok_or_else(|| format!("mutant {}: there is no model {}::{}", mutant.name, mutant.file, mutant.test))
}

fn parse(text: &str) -> Result<Vec<Mutant>, String> {
    let mut names = BTreeSet::new();
    let mut mutants = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mutant = parse_line(line)
            .ok_or_else(|| format!("{LIST}:{}: not `name | file::test | what it breaks`", index + 1))?;
        if !names.insert(mutant.name.clone()) {
            return Err(format!("{LIST}:{}: {} is there twice", index + 1, mutant.name));
        }
        mutants.push(mutant);
    }
    Ok(mutants)
}

fn parse_line(line: &str) -> Option<Mutant> {
    let mut fields = line.splitn(3, '|').map(|field| field.trim().to_owned());
    let (name, model, breaks) = (fields.next()?, fields.next()?, fields.next()?);
    let (file, test) = model.split_once("::")?;
    let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    (word && !breaks.is_empty()).then(|| Mutant { name, file: file.to_owned(), test: test.to_owned(), breaks })
}

/// A name of this mutant's own for this program.
fn wrapper(mutant: &str) -> Result<PathBuf, String> {
    let folder = run::target("loom").join("wrappers");
    let path = folder.join(format!("{WRAPPER}{mutant}"));
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        let _ = fs::remove_file(&path);
        #[cfg(unix)]
        std::os::unix::fs::symlink(env::current_exe()?, &path)?;
        #[cfg(not(unix))]
        fs::copy(env::current_exe()?, &path)?;
        Ok(())
    };
    make().map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// The mutant to add, if cargo has called this program in the compiler's place.
pub(crate) fn asked_to_wrap() -> Option<String> {
    let name = env::args_os().next()?;
    Some(Path::new(&name).file_name()?.to_str()?.strip_prefix(WRAPPER)?.to_owned())
}

/// Calls the compiler as cargo asked, and adds the mutant.
pub(crate) fn wrap_rustc(mutant: &str) -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(compiler) = arguments.next() else { return ExitCode::FAILURE };
    let status = Command::new(compiler).args(arguments).arg("--cfg").arg(format!("mutant=\"{mutant}\"")).status();
    match status {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(_) => ExitCode::FAILURE,
    }
}

fn write_table(judged: &[Judged]) -> Result<(), String> {
    let path = run::root().join(README);
    let text = fs::read_to_string(&path).map_err(|e| format!("{README}: {e}"))?;
    let text = with_table(&text, &table(judged)).ok_or_else(|| format!("{README} lacks the lines\n{BEGIN}\n{END}"))?;
    fs::write(&path, text).map_err(|e| format!("{README}: {e}"))
}

fn table(judged: &[Judged]) -> String {
    let mut text = String::from("| mutant | what it breaks | model | result | seconds |\n|---|---|---|---|---|\n");
    for Judged { mutant, verdict, time, .. } in judged {
        let breaks = mutant.breaks.replace('|', "\\|");
        let seconds = time.as_secs_f64();
        let _ = writeln!(
            text,
            "| `{}` | {breaks} | `{}::{}` | {verdict} | {seconds:.2} |",
            mutant.name, mutant.file, mutant.test
        );
    }
    text
}

fn with_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_its_mistakes_are_named() {
        let list = "# a comment\n\npublish_relaxed | lane::bytes_before_position | the consumer sees the position before the bytes | really\n";
        let mutants = parse(list).expect("a good list");
        assert_eq!(mutants.len(), 1);
        assert_eq!((mutants[0].file.as_str(), mutants[0].test.as_str()), ("lane", "bytes_before_position"));
        assert!(mutants[0].breaks.ends_with("| really"));
        assert!(parse("a | b::c").is_err_and(|why| why.contains(":1:")));
        assert!(parse("a | no_file | x").is_err());
        assert!(parse("a | b::c | x\na | b::d | y").is_err_and(|why| why.contains("twice")));
    }

    #[test]
    fn the_table_replaces_what_stands_between_the_marks() {
        let text = format!("# Models\n{BEGIN}\nold\n{END}\nrest\n");
        let new = with_table(&text, "| new |\n").expect("the marks are there");
        assert_eq!(new, format!("# Models\n{BEGIN}\n\n| new |\n\n{END}\nrest\n"));
        assert_eq!(with_table(&new, "| new |\n").as_deref(), Some(new.as_str()));
        assert_eq!(with_table("no marks", ""), None);
    }
}
