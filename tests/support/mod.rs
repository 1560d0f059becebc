//! What the whole-producer tests share.

pub(crate) mod cli;
pub(crate) mod cluster;
pub(crate) mod java;
pub(crate) mod kafka;
pub(crate) mod node;
pub(crate) mod peers;
pub(crate) mod proxy;
pub(crate) mod readers;
#[cfg(feature = "tls")]
pub(crate) mod tls;
