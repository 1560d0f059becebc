//! What the whole-producer tests share.

pub(crate) mod cli;
pub(crate) mod kafka;
pub(crate) mod readers;
