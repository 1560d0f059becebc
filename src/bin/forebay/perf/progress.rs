//! The bar of a run, on standard error and only where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

/// Where nobody looks, nothing is drawn and nobody needs to wake for it.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(records: u64, record_size: u32) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(records);
            let template = format!("{{bar:40}} {{human_pos}} of {{human_len}} records of {record_size} B acknowledged, {{per_sec}}, {{eta}} left");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar
        });
        Self { bar }
    }

    /// How often it wants to be shown. Drawing is part of this process's CPU time, so it is rare.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(if self.bar.is_some() { 200 } else { 1_000 })
    }

    pub(super) fn show(&mut self, acknowledged: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(acknowledged);
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
