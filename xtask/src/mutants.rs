//! Mutants: each line of `loom-tests/mutants.txt` names a deliberate mistake (`mutant!("NAME")` in the code) and the model that must
//! notice it. One build holds them all; a process is told by its environment which mistake to make.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::loom::{self, Explored, Model};
use crate::report::Step;
use crate::{run, sim};

const LIST: &str = "loom-tests/mutants.txt";
const README: &str = "loom-tests/README.md";
/// Where code has mutants.
const SOURCES: [&str; 3] = ["engine/src", "io/src", "src"];
const BEGIN: &str = "<!-- mutants: begin (written by `cargo xtask mutants`) -->";
const END: &str = "<!-- mutants: end -->";
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

impl Mutant {
    /// By its own name, or its model's.
    fn answers_to(&self, filter: &str) -> bool {
        self.name.contains(filter) || format!("{}::{}", self.file, self.test).contains(filter)
    }
}

/// What became of a mutant.
struct Judged {
    mutant: Mutant,
    killed: bool,
    fate: &'static str,
    complaint: String,
    time: Duration,
}

/// As a step of `cargo xtask test`.
pub(crate) fn step() -> Step {
    Step::timed("mutants", |step| match judge_all("") {
        Ok((judged, used)) => {
            step.passed += judged.iter().filter(|one| one.killed).count();
            for survivor in judged.iter().filter(|one| !one.killed) {
                step.fail(format!("{}: {}", survivor.mutant.name, survivor.fate));
            }
            if let Err(why) = loom::all_hold(used) {
                step.fail(why);
            }
        }
        Err(why) => step.fail(why),
    })
}

/// As a command: runs the mutants whose name, or whose model's, contains the filter, and writes the table if that is all of them.
pub(crate) fn run(filter: Option<&str>) -> Result<bool, String> {
    let (judged, used) = judge_all(filter.unwrap_or_default())?;
    if filter.is_none() {
        write_table(&judged)?;
    }
    loom::all_hold(used)?;
    let killed = judged.iter().filter(|one| one.killed).count();
    println!("\n{killed} of {} mutants killed ({} %)", judged.len(), killed * 100 / judged.len());
    println!("\n{killed} passed, {} failed", judged.len() - killed);
    Ok(killed == judged.len())
}

/// Runs the model of each mutant and expects red. In the order of the list; with the models that were used, which must be green without
/// a mutant, or it means nothing.
fn judge_all(filter: &str) -> Result<(Vec<Judged>, Vec<Model>), String> {
    let text = fs::read_to_string(run::root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?;
    let mutants = parse(&text)?;
    let mut sources = in_sources()?;
    for name in sim::mutants()? {
        // What the simulation notices may have a model as well.
        if !mutants.iter().any(|mutant| mutant.name == name) && !sources.remove(&name) {
            return Err(format!("the simulation's list names {name}, and no source has it"));
        }
    }
    same_names(&mutants, &sources)?;
    let chosen: Vec<Mutant> = mutants.into_iter().filter(|mutant| mutant.answers_to(filter)).collect();
    if chosen.is_empty() {
        return Err(format!("{LIST} names no such mutant"));
    }
    let models = loom::build()?.of_all;
    let mut needed: Vec<Model> = Vec::new();
    for mutant in &chosen {
        let model = find(&models, mutant)?;
        if !needed.contains(model) {
            needed.push(model.clone());
        }
    }
    let (mut judged, mut wrong) = (Vec::new(), Vec::new());
    loom::for_each(
        chosen.into_iter().enumerate().collect(),
        |(_, mutant)| find(&models, mutant)?.explore(Some(&mutant.name), LIMIT),
        |(place, mutant), explored| match explored {
            Ok(explored) => {
                let (killed, fate) = (explored.refuted(), fate(&explored));
                let complaint = explored.complaint().to_owned();
                eprintln!("{:<44} {:>8.2} s  {fate}: {complaint}", mutant.name, explored.time.as_secs_f64());
                judged.push((place, Judged { mutant, killed, fate, complaint, time: explored.time }));
            }
            Err(why) => wrong.push(why),
        },
    );
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    judged.sort_by_key(|(place, _)| *place);
    let judged: Vec<_> = judged.into_iter().map(|(_, one)| one).collect();
    Ok((judged, needed))
}

fn fate(explored: &Explored) -> &'static str {
    match explored.verdict() {
        "refuted" => "killed",
        "held" => "SURVIVED",
        other => other,
    }
}

fn find<'a>(models: &'a [Model], mutant: &Mutant) -> Result<&'a Model, String> {
    let found = models.iter().find(|model| model.file == mutant.file && model.test == mutant.test);
    found.ok_or_else(|| format!("mutant {}: there is no model {}::{}", mutant.name, mutant.file, mutant.test))
}

/// Every mutant of the list is somewhere in the code, and the other way round.
fn same_names(mutants: &[Mutant], sources: &BTreeSet<String>) -> Result<(), String> {
    let listed: BTreeSet<String> = mutants.iter().map(|mutant| mutant.name.clone()).collect();
    if let Some(name) = listed.difference(sources).next() {
        return Err(format!("{LIST} names {name}, and no source has it"));
    }
    match sources.difference(&listed).next() {
        Some(name) => Err(format!("the sources have the mutant {name}, and {LIST} does not name it")),
        None => Ok(()),
    }
}

fn in_sources() -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<_> = SOURCES.iter().map(|folder| run::root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                names.extend(in_source(&text));
            }
        }
    }
    Ok(names)
}

/// `mutant!("NAME")` in code, and `ORDERING = Strong, "NAME"` in the list of orderings.
fn in_source(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        let calls = line.split("mutant!(\"").skip(1);
        let orderings = line.split(" = Release, \"").skip(1).chain(line.split(" = Acquire, \"").skip(1));
        calls.chain(orderings).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned())
    })
    .collect()
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

fn write_table(judged: &[Judged]) -> Result<(), String> {
    let path = run::root().join(README);
    let text = fs::read_to_string(&path).map_err(|e| format!("{README}: {e}"))?;
    let text = with_table(&text, &table(judged)).ok_or_else(|| format!("{README} lacks the lines\n{BEGIN}\n{END}"))?;
    fs::write(&path, text).map_err(|e| format!("{README}: {e}"))
}

fn table(judged: &[Judged]) -> String {
    let mut text = String::from("| mutant | what it breaks | model | result | seconds |\n|---|---|---|---|---|\n");
    for Judged { mutant, fate, complaint, time, .. } in judged {
        let breaks = mutant.breaks.replace('|', "\\|");
        let complaint = complaint.replace('|', "\\|");
        let seconds = time.as_secs_f64();
        let _ = writeln!(
            text,
            "| `{}` | {breaks} | `{}::{}` | {fate}: {complaint} | {seconds:.2} |",
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
    fn mutants_are_found_in_code_and_not_in_comments() {
        let text = "//! `mutant!(\"no\")`\nif !mutant!(\"a\") && mutant!(\"b\") {\n    GRANT = Release, \"c\"\n";
        assert_eq!(in_source(text), ["a", "b", "c"]);
        let listed = parse("a | b::c | x").expect("a good list");
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert!(same_names(&listed, &names(&["a"])).is_ok());
        assert!(same_names(&listed, &names(&[])).is_err_and(|why| why.contains("no source")));
        assert!(same_names(&listed, &names(&["a", "b"])).is_err_and(|why| why.contains("mutant b")));
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
