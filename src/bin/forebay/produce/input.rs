//! Where the bytes come from, and the bar that shows how far they are read.

use crate::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read};

const READ_AT_ONCE: usize = 256 * 1_024;

pub(super) type Input = BufReader<Box<dyn Read>>;

/// The input, and a bar on standard error where that is a terminal.
pub(super) fn open(file: &str) -> Result<(Input, ProgressBar), Failure> {
    let (input, size): (Box<dyn Read>, _) = if file == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(|error| Failure::Usage(format!("{file} cannot be opened: {error}")))?;
        let size = opened.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        (Box::new(opened), size)
    };
    let input = BufReader::with_capacity(READ_AT_ONCE, input);
    if !io::stderr().is_terminal() || (file == "-" && io::stdin().is_terminal()) {
        // A bar would be drawn into what somebody types.
        return Ok((input, ProgressBar::hidden()));
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Ok((input, bar))
}
