//! A chart as SVG. It is complete without a script; the script of the page only adds what the pointer is over.

use super::html::escaped;
use serde_json::json;
use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// One dimension: where a value lies between 0 and 1, and what is written beside it.
pub(super) struct Axis {
    is_log: bool,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to at least `high`, with about five round ticks.
    pub(super) fn linear(high: f64, label: impl Fn(f64) -> String) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = round_up(high / 5.0);
        let high = (high / step).ceil() * step;
        let count = (high / step).round() as u32;
        let ticks = (0..=count).map(|n| f64::from(n) * step).map(|value| (value, label(value))).collect();
        Self { is_log: false, low: 0.0, high, ticks }
    }

    /// As [`linear`](Self::linear), but it ends where the values do.
    pub(super) fn linear_to(end: f64, label: impl Fn(f64) -> String) -> Self {
        let mut axis = Self::linear(end, label);
        axis.high = end.max(1e-9);
        axis.ticks.retain(|(value, _)| *value <= end * 1.000_001);
        axis
    }

    /// Powers of ten around the values.
    pub(super) fn log(low: f64, high: f64, label: impl Fn(f64) -> String) -> Self {
        let low = low.max(1.0).log10().floor();
        let high = high.max(1.0).log10().ceil().max(low + 1.0);
        let ticks =
            (low as i32..=high as i32).map(|power| 10_f64.powi(power)).map(|value| (value, label(value))).collect();
        Self { is_log: true, low, high, ticks }
    }

    /// Any range, with these ticks.
    pub(super) fn with_ticks(low: f64, high: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { is_log: false, low, high: high.max(low + 1e-9), ticks }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.is_log { value.max(1e-9).log10() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least so much.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round >= value * 0.999_999)
        .unwrap_or(value)
}

/// A line. A point is `(from, to, value)`: the value holds between the two, or at one place if they are equal; `None` is a gap.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// The colour's class: `a`, `b` or `c`.
    pub(super) class: &'static str,
    pub(super) points: Vec<(f64, f64, Option<f64>)>,
}

pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// What is shown for the pointer: a place on the x axis, and lines of text.
    pub(super) hover: Vec<(f64, Vec<String>)>,
    pub(super) is_filled: bool,
}

impl Chart {
    /// A `figure` with the legend, the SVG and the data for the pointer.
    pub(super) fn figure(&self, note: &str) -> String {
        let mut out = format!("<figure class=\"chart\"><h3>{}</h3>\n", escaped(self.title));
        if self.series.len() > 1 {
            out.push_str("<ul class=\"legend\">");
            for series in &self.series {
                let _ = write!(out, "<li class=\"{}\">{}</li>", series.class, escaped(series.name));
            }
            out.push_str("</ul>\n");
        }
        let _ = writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\" data-hover=\"{}\">",
            escaped(self.title),
            escaped(&self.hover_data())
        );
        self.grid(&mut out);
        for series in &self.series {
            self.line(series, &mut out);
        }
        let _ =
            writeln!(out, "<line class=\"cursor\" y1=\"{TOP}\" y2=\"{}\" x1=\"0\" x2=\"0\"/></svg>", HEIGHT - BOTTOM);
        let _ = writeln!(out, "<div class=\"tip\" hidden></div>");
        if !note.is_empty() {
            let _ = writeln!(out, "<figcaption>{}</figcaption>", escaped(note));
        }
        out.push_str("</figure>\n");
        out
    }

    fn hover_data(&self) -> String {
        let rows: Vec<_> = self.hover.iter().map(|(x, lines)| json!([self.x_at(*x).round(), lines])).collect();
        json!(rows).to_string()
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, out: &mut String) {
        for (value, label) in &self.y.ticks {
            let y = self.y_at(*value);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                WIDTH - RIGHT
            );
            let _ =
                writeln!(out, "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{}</text>", LEFT - 8.0, y + 4.0, escaped(label));
        }
        for (value, label) in &self.x.ticks {
            let x = self.x_at(*value);
            let y = HEIGHT - BOTTOM;
            let _ = writeln!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{}\"/>", y + 4.0);
            let _ = writeln!(out, "<text class=\"x\" x=\"{x:.1}\" y=\"{}\">{}</text>", y + 18.0, escaped(label));
        }
    }

    fn line(&self, series: &Series, out: &mut String) {
        let mut path = String::new();
        let mut area = String::new();
        for stretch in series.points.split(|(_, _, value)| value.is_none()).filter(|stretch| !stretch.is_empty()) {
            let mut outline = String::new();
            for (from, to, value) in stretch {
                let y = self.y_at(value.unwrap_or(0.0));
                for x in [*from, *to] {
                    let _ = write!(outline, "{}{:.1} {y:.1}", if outline.is_empty() { "" } else { "L" }, self.x_at(x));
                }
            }
            let _ = write!(path, "M{outline}");
            let ends = (stretch.first().map_or(0.0, |first| first.0), stretch.last().map_or(0.0, |last| last.1));
            let floor = HEIGHT - BOTTOM;
            let _ = write!(area, "M{:.1} {floor}L{outline}L{:.1} {floor}Z", self.x_at(ends.0), self.x_at(ends.1));
        }
        if self.is_filled {
            let _ = writeln!(out, "<path class=\"area {}\" d=\"{area}\"/>", series.class);
        }
        let _ = writeln!(out, "<path class=\"line {}\" d=\"{path}\"/>", series.class);
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, Chart, Series};

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        for (high, last, count) in [(7.7, 8.0, 5), (1_000_000.0, 1_000_000.0, 6), (0.0, 1.0, 6), (0.3, 0.3, 4)] {
            let axis = Axis::linear(high, |value| value.to_string());
            let ticks: Vec<f64> = axis.ticks.iter().map(|(value, _)| *value).collect();
            assert!((ticks.last().copied().unwrap_or(0.0) - last).abs() < 1e-9, "{high}: {ticks:?}");
            assert_eq!(ticks.len(), count, "{high}: {ticks:?}");
        }
        let log = Axis::log(350.0, 42_000.0, |value| value.to_string());
        let labels: Vec<&str> = log.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["100", "1000", "10000", "100000"]);
    }

    #[test]
    fn a_gap_in_the_values_is_a_gap_in_the_line() {
        let points = vec![(0.0, 1.0, Some(5.0)), (1.0, 2.0, None), (2.0, 3.0, Some(0.0))];
        let chart = Chart {
            title: "a & b",
            x: Axis::linear_to(3.0, |value| value.to_string()),
            y: Axis::linear(5.0, |value| value.to_string()),
            series: vec![Series { name: "n", class: "a", points }],
            hover: vec![(0.5, vec!["\"5\" <b>".to_owned()])],
            is_filled: false,
        };
        let figure = chart.figure("");
        assert!(figure.contains("d=\"M62.0 12.0L223.3 12.0M384.7 192.0L546.0 192.0\""), "{figure}");
        assert!(figure.contains("a &amp; b") && !figure.contains("<b>"), "{figure}");
    }
}
