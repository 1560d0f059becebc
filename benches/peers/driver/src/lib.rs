//! What the Rust drivers of the comparison share.
//!
//! A driver sends a [`Job`]'s records with one client, waits for their outcomes and writes one JSON object. The drivers
//! in Java and Go do the same in the same words: the same command line, the same values, the same pace, the same
//! histograms.

#![forbid(unsafe_code)]

mod calls;
mod drive;
mod histogram;
mod job;
mod meter;
mod pace;
mod tally;
mod usage;
mod values;

pub use drive::{Out, Sender, drive, next_random};
pub use histogram::Histogram;
pub use job::Job;
pub use meter::Meter;
pub use pace::{LEAST_SLEEP, Pace};
pub use tally::Tally;
pub use values::Values;
