//! The outcome as a table for people and as JSON for programs.

use crate::contest::{COPY, Event, LANE, median};
use crate::probe::Distance;
use crate::shot::Shot;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A table for each workload and distance, rivals by their median.
pub(crate) fn markdown(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let all: usize = event.entries.iter().map(|entry| entry.shots.len()).sum();
        let _ = writeln!(text, "### {}\n", event.title());
        for (distance, count) in event.distances() {
            let _ = writeln!(text, "Processors: {} ({count} of {all} shots).\n", distance.name());
            text.push_str(&table(event, distance));
            text.push('\n');
        }
        if event.distances().is_empty() {
            text.push_str("No shot had two processors to itself.\n\n");
        }
    }
    text
}

fn table(event: &Event, distance: Distance) -> String {
    let mut rows = Vec::new();
    let find = |name: &str| event.entries.iter().find(|entry| entry.name == name);
    for entry in &event.entries {
        let times = entry.times(distance);
        let Some(middle) = median(&times) else { continue };
        let ratio = |name| match find(name).and_then(|other| entry.ratio_to(other, distance)) {
            Some((ratio, _)) => format!("{ratio:.2}"),
            None => "–".into(),
        };
        let quarter = |part: usize| times[(times.len() - 1) * part / 4];
        let row = format!(
            "| {} | {middle:.1} | {:.1} – {:.1} | {:.1} | {} | {} | {} |\n",
            entry.name,
            quarter(1),
            quarter(3),
            times[0],
            ratio(LANE),
            ratio(COPY),
            times.len(),
        );
        rows.push((middle, row));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let head = "| | ns per record, median | middle half | least | by the lane | by memcpy | shots |\n|---|---|---|---|---|---|---|\n";
    rows.into_iter().fold(head.to_owned(), |text, (_, row)| text + &row)
}

/// Every shot, with its probe.
pub(crate) fn json(events: &[Event], machine: &Value) -> Value {
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            let entries: Vec<Value> = event
                .entries
                .iter()
                .map(|entry| json!({ "name": entry.name, "shots": entry.shots.iter().map(shot).collect::<Vec<_>>() }))
                .collect();
            json!({
                "title": event.title(),
                "mean_bytes": event.work.records.mean_len(),
                "capacity_bytes": event.work.capacity,
                "consumer": event.work.consumer.name(),
                "look": event.work.look.name(),
                "records_per_shot": event.work.count,
                "entries": entries,
            })
        })
        .collect();
    json!({ "machine": machine, "workloads": events })
}

fn shot(shot: &Shot) -> Value {
    json!({
        "ns_per_record": shot.ns,
        "round_trip_ns": shot.round_trips,
        "processors": shot.processors,
        "disturbed": shot.disturbed,
        "distance": shot.distance().map(Distance::name),
    })
}
