//! One plot for each workload: everybody's middle half as a bar, the median as a line across it.

use crate::contest::{Event, median};
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const ROW: u32 = 26;
const NAMES: u32 = 230;
const WIDTH: u32 = 860;

/// Draws the shots of the most frequent distance into `folder`; nothing if no shot counts.
///
/// # Errors
/// Those of drawing and writing.
pub(crate) fn draw(event: &Event, folder: &Path) -> Result<(), Box<dyn Error>> {
    let Some((distance, _)) = event.distances().into_iter().next() else { return Ok(()) };
    let mut rows: Vec<_> = event
        .entries
        .iter()
        .filter_map(|entry| {
            let times = entry.times(distance);
            Some((entry.name, median(&times)?, times[(times.len() - 1) / 4], times[(times.len() - 1) * 3 / 4]))
        })
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    let most = rows.iter().map(|row| row.3).fold(1.0, f64::max) * 1.1;
    let height = ROW * rows.len() as u32 + 90;
    let name: String = event.title().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = folder.join(format!("{}.svg", name.replace("--", "-")));
    let area = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("{} ({})", event.title(), distance.name());
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 17))
        .margin(10)
        .margin_right(24)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, 36)
        .build_cartesian_2d(0.0..most, (0..rows.len()).into_segmented())?;
    let label = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(at) => rows.get(rows.len().wrapping_sub(at + 1)).map_or("", |row| row.0).to_owned(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(rows.len())
        .y_label_formatter(&label)
        .x_desc("ns per record, median and middle half")
        .label_style(("sans-serif", 13))
        .draw()?;
    // The fastest on top.
    for (at, (name, middle, low, high)) in rows.iter().rev().enumerate() {
        let colour = if *name == crate::contest::LANE { RED } else { BLUE };
        let (bottom, top) = (SegmentValue::Exact(at), SegmentValue::Exact(at + 1));
        let mut whole = Rectangle::new([(0.0, bottom.clone()), (*middle, top.clone())], colour.mix(0.35).filled());
        whole.set_margin(6, 6, 0, 0);
        let mut half = Rectangle::new([(*low, bottom), (*high, top)], colour.filled());
        half.set_margin(10, 10, 0, 0);
        chart.draw_series([whole, half])?;
    }
    area.present()?;
    Ok(())
}
