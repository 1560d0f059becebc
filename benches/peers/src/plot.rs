//! Plots as SVG, written by hand: bars of cost, curves of percentiles, lines of scale.

use crate::figures::{Cell, median};
use crate::peers::Entry;
use crate::report::Kept;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 22.0;
/// By contestant, in the order of a scenario's cells: forebay first.
const COLOURS: [&str; 12] = [
    "#d62728", "#1f77b4", "#6baed6", "#2ca02c", "#98df8a", "#9467bd", "#c5b0d5", "#7f7f7f", "#c7c7c7", "#bcbd22",
    "#8c564b", "#ff7f0e",
];

/// Draws all that there is to draw into `out`.
pub(crate) fn draw(out: &Path, all: &[Kept]) -> Result<(), String> {
    for group in ["saturated", "floor", "keyed", "late", "many", "kafka", "codec", "tls"] {
        let of: Vec<&Kept> = all.iter().filter(|kept| kept.scenario.group() == group).collect();
        if !of.is_empty() {
            save(out, &format!("cpu-{group}"), &bars(&of))?;
        }
    }
    for kept in all.iter().filter(|kept| kept.scenario.group() == "paced") {
        for (of, name, unit, label) in
            [("ack_ns", "ack", 1e3, "send to ack, µs"), ("send_ns", "send", 1.0, "send call, ns")]
        {
            save(out, &format!("{name}-{}", kept.scenario.name), &percentiles(kept, of, unit, label))?;
        }
    }
    let scale: Vec<&Kept> = all.iter().filter(|kept| kept.scenario.group() == "scale").collect();
    if !scale.is_empty() {
        save(out, "scale", &bars(&scale))?;
    }
    Ok(())
}

fn save(out: &Path, name: &str, svg: &str) -> Result<(), String> {
    let path = out.join(format!("{name}.svg"));
    fs::write(&path, svg).map_err(|why| format!("{}: {why}", path.display()))
}

fn begin(height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// Client CPU per record, a block of bars for each scenario, each with a scale of its own.
fn bars(group: &[&Kept]) -> String {
    let rows: usize = group.iter().map(|kept| kept.cells.len()).sum();
    let height = ROW * rows as f64 + 34.0 * group.len() as f64 + 40.0;
    let mut svg = begin(height);
    text(&mut svg, 10.0, 18.0, "start", "client CPU, ns per record (median over rounds; the dot is the least)");
    let mut y = 34.0;
    for kept in group {
        let cost = |cell: &Cell| median(&cell.cpu()).unwrap_or(0.0);
        let most = kept.cells.iter().map(cost).fold(1.0, f64::max);
        y += 18.0;
        text(&mut svg, 10.0, y, "start", &kept.scenario.title);
        y += 6.0;
        let scale = (WIDTH - LEFT - RIGHT) / most;
        for (at, cell) in kept.cells.iter().enumerate() {
            let least = crate::figures::least(&cell.cpu()).unwrap_or(0.0);
            text(&mut svg, LEFT - 8.0, y + 15.0, "end", &cell.entry);
            let colour = COLOURS[colour(&cell.entry, at)];
            let width = cost(cell) * scale;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                 <circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"black\"/>",
                y + 3.0,
                ROW - 6.0,
                LEFT + least * scale,
                y + ROW / 2.0
            );
            text(&mut svg, LEFT + width + 6.0, y + 15.0, "start", &format!("{:.1}", cost(cell)));
            y += ROW;
        }
        y += 10.0;
    }
    svg + "</svg>\n"
}

/// The same contestant has the same colour in every plot.
fn colour(entry: &str, at: usize) -> usize {
    Entry::all().position(|one| one.to_string() == entry).unwrap_or(at % COLOURS.len())
}

/// Percentiles from 50 to 99.99, each nine a step; time on a scale of powers of ten.
fn percentiles(kept: &Kept, of: &str, unit: f64, label: &str) -> String {
    const QUANTILES: [f64; 13] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998];
    let height = 420.0;
    let (top, bottom) = (50.0, height - 60.0);
    let curves: Vec<(usize, &Cell, Vec<f64>)> = kept
        .cells
        .iter()
        .enumerate()
        .map(|(at, cell)| {
            let times = QUANTILES.iter().filter_map(|q| cell.quantile(of, *q)).map(|ns| (ns / unit).max(0.1)).collect();
            (colour(&cell.entry, at), cell, times)
        })
        .collect();
    let values = curves.iter().flat_map(|(_, _, times)| times).copied();
    let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let (first, last) = (least.log10().floor(), most.log10().ceil().max(least.log10().floor() + 1.0));
    let place_y = |value: f64| bottom - (value.log10() - first) / (last - first) * (bottom - top);
    let place_x = |q: f64| 70.0 + (-(1.0 - q).log10() - 0.045) / 3.66 * (WIDTH - 250.0);
    let mut svg = begin(height);
    text(&mut svg, 10.0, 20.0, "start", &format!("{}: {label} by percentile", kept.scenario.title));
    let mut decade = first;
    while decade <= last {
        let y = place_y(10_f64.powf(decade));
        let _ =
            writeln!(svg, "<line x1=\"70\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>", WIDTH - 180.0);
        text(&mut svg, 62.0, y + 4.0, "end", &crate::targets::grouped(10_f64.powf(decade)));
        decade += 1.0;
    }
    for (q, name) in [(0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9")] {
        let x = place_x(q);
        let _ = writeln!(svg, "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#ddd\"/>");
        text(&mut svg, x, bottom + 18.0, "middle", name);
    }
    for (row, (colour, cell, times)) in curves.iter().enumerate() {
        let points: Vec<String> =
            QUANTILES.iter().zip(times).map(|(q, time)| format!("{:.1},{:.1}", place_x(*q), place_y(*time))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            points.join(" "),
            COLOURS[*colour]
        );
        let y = top + 10.0 + 20.0 * row as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{}\"/>",
            WIDTH - 170.0,
            y - 5.0,
            COLOURS[*colour]
        );
        text(&mut svg, WIDTH - 150.0, y, "start", &cell.entry);
    }
    svg + "</svg>\n"
}
