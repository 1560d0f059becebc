//! The Kafka producer of forebay as a state machine without sockets, its wire codec and a thin mio driver.
#![forbid(unsafe_code)]

// The model cluster of `tests/core_support` serves unit tests too.
#[cfg(test)]
extern crate self as forebay_io;

pub mod compress;
pub mod core;
pub mod deal;
pub mod driver;
pub mod metrics;
pub mod shares;
pub mod time;
pub mod topics;
pub mod wakers;
pub mod wall;
pub mod wire;
