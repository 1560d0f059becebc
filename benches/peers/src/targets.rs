//! The table of targets, filled in from what was measured.

use crate::figures::{Cell, least, median, ratio};
use crate::report::Kept;
use std::fmt::Write as _;

/// One line: what it says, what was measured, and whether that meets it; nothing where it was not measured.
struct Row {
    work: &'static str,
    target: &'static str,
    measured: Vec<String>,
    met: Vec<bool>,
}

impl Row {
    fn new(work: &'static str, target: &'static str) -> Self {
        Self { work, target, measured: Vec::new(), met: Vec::new() }
    }

    fn add(&mut self, measured: String, met: bool) {
        self.measured.push(if met { measured } else { format!("**{measured}**") });
        self.met.push(met);
    }
}

/// As Markdown. What misses its target stands bold.
pub(crate) fn table(all: &[Kept]) -> String {
    let mut text = "| work | target | measured | met |\n|---|---|---|---|\n".to_owned();
    for row in rows(all) {
        let met = row.met.iter().filter(|met| **met).count();
        let verdict = match (met, row.met.len()) {
            (_, 0) => "not measured".to_owned(),
            (met, all) if met == all => "yes".to_owned(),
            (0, _) => "no".to_owned(),
            (met, all) => format!("{met} of {all}"),
        };
        let _ = writeln!(text, "| {} | {} | {} | {verdict} |", row.work, row.target, row.measured.join("; "));
    }
    text
}

fn rows(all: &[Kept]) -> Vec<Row> {
    vec![
        saturated(all, "saturated-100b", "100 B, saturated, 1, 4 and 64 partitions", 10.0),
        floor(all),
        saturated(all, "saturated-1024b", "1,024 B, saturated, 1, 4 and 64 partitions", 2.5),
        small(all),
        keyed(all),
        late(all),
        recovery(all),
        many(all),
        call(all),
        ack(all),
        paced_cpu(all),
        saturated(all, "kafka", "real Kafka, same machine, saturated", 5.0),
        memory(all),
    ]
}

fn named<'a>(all: &'a [Kept], start: &'a str) -> impl Iterator<Item = &'a Kept> {
    all.iter().filter(move |kept| kept.scenario.name.starts_with(start) && kept.cell("forebay").is_some())
}

fn forebay(kept: &Kept) -> Option<&Cell> {
    kept.cell("forebay")
}

/// The peer that needs the least CPU.
fn best(kept: &Kept) -> Option<&Cell> {
    let cost = |cell: &&Cell| median(&cell.cpu()).unwrap_or(f64::INFINITY);
    kept.peers().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// What the driver itself needs, in whose process a client runs: not the client's.
fn driver(kept: &Kept) -> f64 {
    kept.cell("driver").and_then(|cell| median(&cell.cpu())).unwrap_or(0.0)
}

/// By how much the client needs less than the best peer, the driver's own part aside.
fn by_less_driver(kept: &Kept, ours: &Cell, best: &Cell) -> Option<f64> {
    ratio(&without_driver(kept, best), &without_driver(kept, ours))
}

/// What the client itself needed in each round.
fn without_driver(kept: &Kept, cell: &Cell) -> Vec<f64> {
    let middle = driver(kept);
    let drivers = kept.cell("driver").map(Cell::cpu).unwrap_or_default();
    let of_round = |round| drivers.get(round).copied().unwrap_or(middle);
    cell.cpu().iter().enumerate().map(|(round, cost)| cost - of_round(round)).collect()
}

fn saturated(all: &[Kept], names: &str, work: &'static str, times: f64) -> Row {
    let target = match times as u32 {
        10 => "1/10 of the best peer's CPU per record",
        5 => "client CPU at most 1/5 of the best peer's",
        _ => "1/2.5 of the best peer's CPU per record",
    };
    let mut row = Row::new(work, target);
    for kept in named(all, names) {
        let (Some(ours), Some(best)) = (forebay(kept), best(kept)) else { continue };
        let Some(by) = by_less_driver(kept, ours, best) else { continue };
        let measured = format!(
            "{}p: {} against {} ns ({}){}, 1/{by:.1}",
            kept.scenario.partitions,
            whole(median(&ours.cpu())),
            whole(median(&best.cpu())),
            best.entry,
            less(driver(kept)),
        );
        row.add(measured, by >= times);
    }
    row
}

fn floor(all: &[Kept]) -> Row {
    let mut row = Row::new("the same, against the kernel alone", "within 2.2 × of it");
    for kept in named(all, "saturated-100b") {
        let (Some(ours), Some(kernel)) = (forebay(kept), kept.cell("kernel")) else { continue };
        let Some(by) = ratio(&without_driver(kept, ours), &kernel.cpu()) else { continue };
        let floor = whole(median(&kernel.cpu()));
        row.add(format!("{}p: {by:.1} × of {floor} ns{}", kept.scenario.partitions, less(driver(kept))), by <= 2.2);
    }
    row
}

fn small(all: &[Kept]) -> Row {
    let mut row = Row::new("16 B, saturated, 1 and 4 partitions", "20 ns");
    for kept in named(all, "saturated-16b") {
        let Some(cost) = forebay(kept).and_then(|cell| median(&cell.cpu())) else { continue };
        let driver = driver(kept);
        let measured = format!("{}p: {cost:.1} ns{}", kept.scenario.partitions, less(driver));
        row.add(measured, cost - driver <= 20.0);
    }
    row
}

/// Forebay's cost in a scenario by its cost in another.
fn against(all: &[Kept], kept: &Kept, other: &str) -> Option<f64> {
    let other = named(all, other).next().and_then(forebay)?;
    ratio(&forebay(kept)?.cpu(), &other.cpu())
}

fn keyed(all: &[Kept]) -> Row {
    let mut row = Row::new("keyed, 64 and 1,000 partitions, 1 to 4 senders", "within 1.5 × of 100 B to 64 partitions");
    for kept in named(all, "keyed") {
        let Some(by) = against(all, kept, "saturated-100b-64p") else { continue };
        row.add(format!("{}p, {} senders: {by:.1} ×", kept.scenario.partitions, kept.scenario.senders), by <= 1.5);
    }
    row
}

fn late(all: &[Kept]) -> Row {
    let mut row = Row::new("acknowledgements 20 ms late", "more records/s than every peer");
    for kept in named(all, "late") {
        let ours = forebay(kept).and_then(|cell| median(&cell.rate())).unwrap_or(0.0);
        for peer in kept.peers() {
            let Some(theirs) = median(&peer.rate()) else { continue };
            row.add(format!("{ours:.2} M/s against {theirs:.2} ({})", peer.entry), ours > theirs);
        }
    }
    row
}

fn recovery(all: &[Kept]) -> Row {
    let mut row = Row::new(
        "recovery from 10 faults; failover of a node",
        "total time and longest send-to-ack below every peer's",
    );
    let mut compare = |kept: &Kept, what: &str, of: &dyn Fn(&Cell) -> Option<f64>| {
        let (Some(ours), Some(theirs)) =
            (forebay(kept).and_then(of), kept.peers().filter_map(of).min_by(f64::total_cmp))
        else {
            return;
        };
        row.add(format!("{what} {ours:.2} s against {theirs:.2}"), ours < theirs);
    };
    let longest = |cell: &Cell| Some(median(&cell.most("ack_ns"))? / 1e9);
    for kept in named(all, "recovery-10faults") {
        compare(kept, "recovery: total", &|cell| median(&cell.seconds()));
        compare(kept, "longest", &longest);
    }
    // Where all send at the same pace, the faults come at the same times.
    for kept in named(all, "recovery-1m") {
        compare(kept, "longest at 1 M/s", &longest);
    }
    for kept in named(all, "failover") {
        compare(kept, "failover: longest", &longest);
    }
    row
}

fn many(all: &[Kept]) -> Row {
    let mut row = Row::new("10,000 partitions, 100 B", "within 2 × of 64 partitions");
    for kept in named(all, "many") {
        let Some(by) = against(all, kept, "saturated-100b-64p") else { continue };
        row.add(format!("{by:.1} × ({} ns)", whole(forebay(kept).and_then(|cell| median(&cell.cpu())))), by <= 2.0);
    }
    row
}

fn call(all: &[Kept]) -> Row {
    let mut row = Row::new("`send()`, 100 B, 100 k/s, linger 5 ms", "p50 ≤ 60 ns, p99 ≤ 300 ns, p99.9 ≤ 5 µs");
    for kept in named(all, "paced-100k-linger5") {
        let way = if kept.scenario.spins { "not sleeping" } else { "sleeping" };
        for (quantile, name, most) in [(0.5, "p50", 60.0), (0.99, "p99", 300.0), (0.999, "p99.9", 5_000.0)] {
            let Some(time) = forebay(kept).and_then(|cell| cell.quantile("send_ns", quantile)) else { continue };
            // To read the clock, and what the machine does to a thread that calls nothing.
            let driver = kept.cell("driver").and_then(|cell| cell.quantile("send_ns", quantile)).unwrap_or(0.0);
            row.add(format!("{way}, {name}: {} ns{}", grouped(time), less(driver)), time - driver <= most);
        }
    }
    row
}

fn ack(all: &[Kept]) -> Row {
    let mut row = Row::new("send-to-ack, 100 k/s and 10 k/s, linger 0", "p50, p99 and p99.9 each below every peer's");
    for kept in all.iter().filter(|kept| kept.scenario.is_paced() && kept.scenario.linger_ms == 0) {
        for (quantile, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
            let of = |cell: &Cell| cell.quantile("ack_ns", quantile).map(|ns| ns / 1e3);
            let theirs = kept.peers().filter_map(of).min_by(f64::total_cmp);
            for (entry, profile) in [("forebay", ""), ("forebay, low latency", ", low latency")] {
                let (Some(ours), Some(theirs)) = (kept.cell(entry).and_then(of), theirs) else { continue };
                let what = format!("{:.0} k/s{profile}, {name}", kept.scenario.rate / 1e3);
                row.add(format!("{what}: {} against {} µs", grouped(ours), grouped(theirs)), ours < theirs);
            }
        }
    }
    row
}

fn paced_cpu(all: &[Kept]) -> Row {
    let mut row = Row::new("CPU at 10 k/s, 100 k/s and 1 M/s, linger 5 ms", "at most 1/3 of the best peer's");
    for kept in all.iter().filter(|kept| kept.scenario.name.ends_with("linger5")) {
        let (Some(ours), Some(best)) = (forebay(kept), best(kept)) else { continue };
        let Some(by) = by_less_driver(kept, ours, best) else { continue };
        let (rate, ours, theirs) =
            (grouped(kept.scenario.rate / 1e3), whole(median(&ours.cpu())), whole(median(&best.cpu())));
        let less = less(driver(kept));
        row.add(format!("{rate} k/s: {ours} against {theirs} ns ({}){less}, 1/{by:.1}", best.entry), by >= 3.0);
    }
    row
}

fn memory(all: &[Kept]) -> Row {
    let mut row = Row::new("resident memory, default settings", "`buffer.memory` (32 MiB) + 8 MiB");
    let of = |cells: Vec<&Cell>| cells.into_iter().flat_map(Cell::memory).max_by(f64::total_cmp);
    let saturated: Vec<&Kept> = named(all, "saturated").collect();
    if let Some(most) = of(saturated.iter().filter_map(|kept| forebay(kept)).collect()) {
        let peers: Vec<f64> =
            saturated.iter().flat_map(|kept| kept.peers()).filter_map(|cell| median(&cell.memory())).collect();
        let theirs = least(&peers).zip(peers.iter().copied().max_by(f64::total_cmp));
        let theirs = theirs.map(|(least, greatest)| format!("; peers {least:.0} to {greatest:.0}")).unwrap_or_default();
        row.add(format!("at most {most:.1} MiB{theirs}"), most <= 40.0);
    }
    row
}

/// Behind figures that the driver's part is taken from before they are compared.
fn less(driver: f64) -> String {
    if driver > 0.0 { format!(" less {} for the driver", grouped(driver)) } else { String::new() }
}

fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), grouped)
}

/// 1234567.8 as 1,234,568.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
