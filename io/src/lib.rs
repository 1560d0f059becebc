//! The Kafka producer of forebay as a state machine without sockets, its wire codec and a thin mio driver.
#![forbid(unsafe_code)]

pub mod compress;
pub mod core;
pub mod driver;
pub mod time;
pub mod topics;
pub mod wire;
