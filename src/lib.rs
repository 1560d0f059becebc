//! A lock-free, high-performance producer message buffer for Apache Kafka.
//!
//! Records are serialised in place, in the wire format, into one preallocated buffer of `buffer.memory` bytes; one I/O thread
//! turns them into requests. `send` does not wait for the network, and all memory is bounded.
//!
//! ```no_run
//! use forebay::{Producer, Record};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::builder().bootstrap_servers("localhost:9092").build()?;
//! let orders = producer.topic("orders")?;
//! let mut sender = producer.sender()?; // one for each thread
//! let receipt = sender.send(Record::to(orders).key(b"customer-7").value(b"12.50")).map_err(|e| e.kind)?;
//! let delivery = producer.wait(receipt, Duration::from_secs(10))?;
//! println!("partition {}, offset {:?}", delivery.partition, delivery.offset);
//! producer.close(Duration::from_secs(10))?;
//! # Ok(()) }
//! ```
//!
//! | start here | |
//! |---|---|
//! | [`Producer`], [`ProducerBuilder`] | one per process or cluster; clone it freely |
//! | [`Sender`] | one per thread: `send`, `try_send`, `send_deadline`, `reserve`; one per task: `send_async` |
//! | [`Record`], [`Receipt`], [`Delivery`] | what goes in, what you get for it, where it went |
//! | [`config`] | every setting, under Kafka's name |
//! | [`metrics`] | what a producer measures of itself |
//! | [`SendErrorKind`], [`DeliveryError`], [`FlushError`] | what can go wrong, sorted by what you can do next |
#![forbid(unsafe_code)]

mod clock;
pub mod config;
mod error;
mod hub;
mod interceptor;
mod lanes;
mod line;
pub mod metrics;
#[cfg(loom)]
#[doc(hidden)]
pub mod model;
#[cfg(feature = "aws-msk-iam")]
mod msk;
mod numbers;
#[cfg(feature = "oauth-http")]
mod oauth;
mod outcomes;
mod partitioner;
mod producer;
mod receipt;
mod receipt_future;
mod record;
mod reservation;
mod security;
mod send_future;
mod sender;
mod shared_senders;
mod sync;
mod waits;

pub use error::{
    BuildError, CloseError, DeliveryError, DeliveryFailure, FailureKind, FlushError, SendError, SendErrorKind,
};
pub use forebay_engine::SlabError;
pub use forebay_io::core::Delivered;
pub use forebay_io::driver::OAuthToken;
pub use forebay_io::topics::TopicNameError;
pub use forebay_io::wire::ErrorCode;
pub use hub::DeliveryReport;
pub use interceptor::{InterceptedHeader, InterceptedRecord, Interceptor};
pub use metrics::Metrics;
pub use partitioner::Partitioner;
pub use producer::{Producer, ProducerBuilder};
pub use receipt::{Delivery, Receipt};
pub use receipt_future::DeliveryFuture;
pub use record::{Header, Record, Topic};
pub use reservation::Reservation;
pub use send_future::SendFuture;
pub use sender::Sender;

/// The Rust code of the pages must compile.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/getting-started.md")]
    struct GettingStarted;
    #[doc = include_str!("../docs/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../docs/migrating-from-java.md")]
    struct MigratingFromJava;
}
