//! Keeps what was measured, one file for each scenario, and writes the tables.

use crate::Results;
use crate::figures::{Cell, least, median};
use crate::peers::Entry;
use crate::scenario::{self, Scenario};
use crate::{machine, plot, targets};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One scenario's results, as they are kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) scenario: Scenario,
    pub(crate) machine: Value,
    pub(crate) cells: Vec<Cell>,
    settings: BTreeMap<String, String>,
}

impl Kept {
    /// The cell whose name begins so.
    pub(crate) fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.entry.starts_with(name))
    }

    /// Everybody but forebay and what is no producer.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Cell> {
        let others: Vec<String> =
            Entry::all().filter(|entry| entry.peer.is_another()).map(|entry| entry.to_string()).collect();
        self.cells.iter().filter(move |cell| others.contains(&cell.entry))
    }
}

/// Writes what was measured of a scenario into `out/results`.
pub(crate) fn keep(out: &Path, scenario: &Scenario, results: &Results) -> Result<(), String> {
    let folder = out.join("results");
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let of = results.iter().filter(|((name, _), _)| *name == scenario.name);
    let entries: Vec<Value> = of
        .map(|((_, entry), shots)| {
            let settings: Vec<String> =
                entry.settings(scenario).iter().map(|(name, value)| format!("{name}={value}")).collect();
            json!({ "entry": entry.to_string(), "settings": settings.join(" "), "shots": shots })
        })
        .collect();
    let machine = machine::description();
    let value = json!({ "scenario": scenario.name, "title": scenario.title, "machine": machine, "entries": entries });
    let path = folder.join(format!("{}.json", scenario.name));
    fs::write(&path, format!("{value}\n")).map_err(|why| format!("{}: {why}", path.display()))
}

fn read(out: &Path) -> Vec<Kept> {
    let mut all = Vec::new();
    for scenario in scenario::all() {
        let path = out.join("results").join(format!("{}.json", scenario.name));
        let Ok(text) = fs::read_to_string(path) else { continue };
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = value["entries"].as_array().cloned().unwrap_or_default();
        let cells = entries
            .iter()
            .map(|entry| Cell {
                entry: text(&entry["entry"]),
                shots: entry["shots"].as_array().cloned().unwrap_or_default(),
            })
            .collect();
        let settings = entries.iter().map(|entry| (text(&entry["entry"]), text(&entry["settings"]))).collect();
        all.push(Kept { scenario, machine: value["machine"].clone(), cells, settings });
    }
    all
}

/// Writes `results.md` and the plots from all that is kept, and returns the table of targets.
pub(crate) fn write(out: &Path) -> Result<String, String> {
    let all = read(out);
    let targets = targets::table(&all);
    let mut text =
        "# Forebay beside other producers\n\nHow to read and to reproduce this: BENCHMARKING.md.\n\n".to_owned();
    text += &machines(&all);
    text += "\n## The targets\n\n";
    text += &targets;
    let mut group = "";
    for kept in &all {
        if kept.scenario.group() != group {
            group = kept.scenario.group();
            let _ = writeln!(text, "\n## {group}\n");
            let same = all.iter().filter(|other| other.scenario.group() == group);
            text += &if kept.scenario.is_paced() { latencies(same) } else { costs(same) };
        }
    }
    text += "\n## Settings\n\n";
    text += &settings(&all);
    let path = out.join("results.md");
    fs::write(&path, &text).map_err(|why| format!("{}: {why}", path.display()))?;
    plot::draw(out, &all)?;
    Ok(targets)
}

/// What stands around a machine's table in README.md.
fn marks(machine: &str) -> [String; 2] {
    [
        format!("<!-- benchmarks: written by cargo xtask peers --publish {machine} -->\n"),
        format!("<!-- end of benchmarks: {machine} -->"),
    ]
}

/// Copies tables and plots into the machine's folder in docs/benchmarks, and writes the table of targets into README.md, between the
/// machine's marks.
pub(crate) fn publish(out: &Path, root: &Path, machine: &str, targets: &str) -> Result<(), String> {
    let failed = |path: &Path, why: std::io::Error| format!("{}: {why}", path.display());
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).map_err(|why| failed(&readme, why))?;
    let marks = marks(machine);
    let text = between(&text, &marks, targets).ok_or_else(|| {
        format!(
            "{} has no place for the targets of {machine}: put these lines there\n{}{}",
            readme.display(),
            marks[0],
            marks[1]
        )
    })?;
    let folder = root.join("docs/benchmarks").join(machine);
    fs::create_dir_all(&folder).map_err(|why| failed(&folder, why))?;
    for file in fs::read_dir(out).map_err(|why| failed(out, why))?.flatten() {
        let path = file.path();
        if path.extension().is_some_and(|kind| kind == "svg" || kind == "md") {
            fs::copy(&path, folder.join(file.file_name())).map_err(|why| failed(&path, why))?;
        }
    }
    fs::write(&readme, text).map_err(|why| failed(&readme, why))
}

/// The text with something else between its marks.
fn between(text: &str, marks: &[String; 2], new: &str) -> Option<String> {
    let (before, rest) = text.split_once(&marks[0])?;
    let (_, after) = rest.split_once(&marks[1])?;
    Some(format!("{before}{}\n{new}\n{}{after}", marks[0], marks[1]))
}

/// Where results were taken: a line for each different machine, commit and command.
fn machines(all: &[Kept]) -> String {
    let mut by_text: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for kept in all {
        let of = |name: &str| kept.machine[name].as_str().unwrap_or_default().to_owned();
        let line = format!(
            "{} × {}, {} GiB, {}; {}; {}; {}; {}; commit {}; {}; `{}`",
            kept.machine["processors"],
            of("processor"),
            kept.machine["memory_gib"],
            of("system"),
            of("hiccups"),
            of("rustc"),
            of("go"),
            of("java"),
            of("commit"),
            of("time"),
            of("command"),
        );
        by_text.entry(line).or_default().push(&kept.scenario.name);
    }
    let clients: std::collections::BTreeSet<&str> =
        all.iter().flat_map(|kept| &kept.cells).filter_map(|cell| cell.shots.first()?["client"].as_str()).collect();
    let clients: Vec<&str> = clients.into_iter().collect();
    let mut text = format!("{}.\n\n", clients.join(", "));
    for (line, names) in by_text {
        let _ = writeln!(text, "- {}: {line}", names.join(", "));
    }
    text
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 1_000.0 => crate::targets::grouped(value),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn costs<'a>(group: impl Iterator<Item = &'a Kept>) -> String {
    let mut text = "| | client CPU, ns per record: median (least) | of which forebay's I/O thread (of several: the busiest) | by forebay's | million records/s | seconds | longest send-to-ack, ms | \
                    records per request | bytes per record | resident, MiB | taken by the host, % | rounds |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for kept in group {
        let ours = kept.cell("forebay").map(Cell::cpu).unwrap_or_default();
        let _ = writeln!(text, "| **{}** | | | | | | | | | | | |", kept.scenario.title);
        for cell in &kept.cells {
            let cpu = cell.cpu();
            let _ = writeln!(
                text,
                "| {} | {} ({}) | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                cell.entry,
                shown(median(&cpu)),
                shown(least(&cpu)),
                io_threads(cell),
                shown(crate::figures::ratio(&cpu, &ours)),
                shown(median(&cell.rate())),
                shown(median(&cell.seconds())),
                shown(median(&cell.most("ack_ns")).map(|ns| ns / 1e6)),
                shown(median(&cell.per_request())),
                shown(median(&cell.bytes())),
                shown(median(&cell.memory())),
                shown(median(&cell.taken())),
                cell.shots.len(),
            );
        }
    }
    text
}

/// What the I/O threads used, and what the busiest of several did.
fn io_threads(cell: &Cell) -> String {
    let all = shown(median(&cell.io_thread()));
    median(&cell.busiest_io_thread()).map_or_else(|| all.clone(), |most| format!("{all} ({})", shown(Some(most))))
}

fn latencies<'a>(group: impl Iterator<Item = &'a Kept>) -> String {
    let mut text = "| | send call, ns: p50 / p99 / p99.9 / max | of which the first after a sleep | of which settled: the eighth after it or later | send to ack, µs: p50 / p99 / p99.9 / max | client CPU, ns per record | by \
                    forebay's | resident, MiB | taken by the host, % | rounds |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut first = true;
    for kept in group {
        first &= kept.cells.iter().filter(|cell| cell.entry != "driver only").all(Cell::broker_went_first);
        let ours = kept.cell("forebay").map(Cell::cpu).unwrap_or_default();
        let _ = writeln!(text, "| **{}** | | | | | | | | | |", kept.scenario.title);
        for cell in &kept.cells {
            let four = |of: &str, unit: f64| {
                let mut words: Vec<String> =
                    [0.5, 0.99, 0.999].iter().map(|q| shown(cell.quantile(of, *q).map(|ns| ns / unit))).collect();
                words.push(shown(median(&cell.most(of)).map(|ns| ns / unit)));
                words.join(" / ")
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                cell.entry,
                four("send_ns", 1.0),
                four("send_first_ns", 1.0),
                four("send_settled_ns", 1.0),
                four("ack_ns", 1e3),
                shown(median(&cell.cpu())),
                shown(crate::figures::ratio(&cell.cpu(), &ours)),
                shown(median(&cell.memory())),
                shown(median(&cell.taken())),
                cell.shots.len(),
            );
        }
    }
    let said =
        if first { "got a processor before the clients did (`nice` −15)" } else { "waited in line with the clients" };
    let _ = writeln!(text, "\nThe broker {said}.");
    text
}

fn settings(all: &[Kept]) -> String {
    let mut by_text: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for kept in all {
        for (entry, settings) in &kept.settings {
            by_text.entry((entry, settings)).or_default().push(&kept.scenario.name);
        }
    }
    let mut text = "| who | settings | in |\n|---|---|---|\n".to_owned();
    for ((entry, settings), names) in by_text {
        let _ = writeln!(text, "| {entry} | `{settings}` | {} |", names.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{between, marks};

    #[test]
    fn only_what_is_between_a_machines_marks_changes() {
        let [begin, end] = marks("xeon");
        let [other, other_end] = marks("epyc");
        let text = |old: &str| format!("a\n{other}theirs\n{other_end}\nb\n{begin}{old}\n{end}\nc\n");
        let once = between(&text("old"), &marks("xeon"), "| new |").unwrap();
        assert_eq!(once, text("\n| new |"));
        assert_eq!(between(&once, &marks("xeon"), "| new |").unwrap(), once);
        assert_eq!(between(&once, &marks("arm"), "x"), None);
    }
}
