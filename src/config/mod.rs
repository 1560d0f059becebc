//! Configuration under Kafka's names.
//!
//! One table ([`keys`]) says for every key its type, default, range, meaning and what it interacts with. Parsing, the checks,
//! `forebay config` and `docs/configuration.md` all come from it, so they cannot disagree.
//!
//! Values come from typed methods, single properties, a map, a Java properties file, the environment, or whatever serde reads
//! (feature `serde`); a later source replaces what an earlier one set. [`ConfigBuilder::build`] reports everything that is wrong at once.
//!
//! ```
//! use forebay::config::ConfigBuilder;
//! use std::time::Duration;
//!
//! let config = ConfigBuilder::new()
//!     .bootstrap_servers("localhost:9092")
//!     .linger(Duration::from_millis(20))
//!     .set("buffer.memory", "8388608")
//!     .build()?;
//! assert_eq!(config.buffer_memory(), 8 << 20);
//!
//! let error = ConfigBuilder::new().set("linger.millis", "5").build().unwrap_err();
//! assert!(error.to_string().contains("linger.ms"));
//! # Ok::<(), forebay::config::ConfigError>(())
//! ```

mod builder;
mod compression;
mod error;
mod foreign_keys;
mod jaas;
mod key;
mod oauth;
mod other_keys;
mod properties;
mod reference;
mod rules;
mod sasl;
mod secret;
mod security_keys;
#[cfg(feature = "serde")]
mod serde_impls;
mod settings;
mod suggest;
mod tls;
mod used_keys;

pub use builder::ConfigBuilder;
pub use compression::CompressionType;
pub(crate) use compression::compression;
pub use error::{ConfigError, Problem};
pub use key::{KeySpec, Kind, Origin, Standing, keys};
#[cfg(feature = "oauth-http")]
pub(crate) use oauth::{ClientCredentials, authority};
pub use reference::{reference_markdown, reference_properties, reference_text};
pub use sasl::{SaslMechanism, SaslSettings};
pub use secret::Secret;
pub use settings::{Acks, Adjustment, Config};
pub use tls::{SecurityProtocol, TlsSettings};
