//! The doors that the fuzz targets open. Each takes any bytes and panics if forebay breaks a promise on them.
//!
//! The first bytes of an input choose (versions, limits, cuts), the rest is what is fed in; so a seed is easy to write by
//! hand and a small mutation stays a small change. `examples/seeds.rs` writes the committed corpora.
#![forbid(unsafe_code)]

pub mod engine;
pub mod frames;
mod input;
pub mod records;
pub mod responses;
pub mod settings;
