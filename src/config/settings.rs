//! A configuration that has passed every check.

use super::{CompressionType, ConfigBuilder, ConfigError, SaslSettings, SecurityProtocol, TlsSettings};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// How many replicas must have a record before the broker acknowledges it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Acks {
    /// `acks=0`: the broker answers nothing; a record counts as delivered when it is written to the socket, its offset unknown.
    None,
    /// `acks=1`: the partition's leader has it.
    Leader,
    /// `acks=all` (or −1): every in-sync replica has it.
    #[default]
    All,
}

impl Acks {
    /// The value of `acks` in a Produce request: 0, 1 or −1.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "0",
            Self::Leader => "1",
            Self::All => "all",
        })
    }
}

/// A value that nobody set and that was changed from its default to fit one that somebody did set.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Adjustment {
    /// The key whose value was changed.
    pub key: &'static str,
    /// What it is now, as one would write it in a properties file.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// A complete and checked configuration. Made by [`ConfigBuilder::build`] or one of the `from_` functions.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) settings: Settings,
    pub(super) adjustments: Vec<Adjustment>,
    /// By the table's rows: the values in force. No secrets.
    pub(super) properties: Vec<(&'static str, String)>,
}

impl Config {
    /// A builder with every default, in which only `bootstrap.servers` is missing.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::new()
    }

    /// From pairs of key and value. Of equal keys the last counts.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_map<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        ConfigBuilder::new().properties(pairs).build()
    }

    /// From a Java properties file in UTF-8.
    ///
    /// # Errors
    /// The file cannot be read or is malformed, and everything that is wrong with what it says.
    pub fn from_properties_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        ConfigBuilder::new().properties_file(path).build()
    }

    /// From the environment: with the prefix `FOREBAY_`, the variable `FOREBAY_LINGER_MS` is `linger.ms`.
    /// Every variable with the prefix must be a key.
    ///
    /// # Errors
    /// Everything that is wrong with the variables that have the prefix.
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        ConfigBuilder::new().env(prefix).build()
    }

    /// Every key that does something, with its value in force as one would write it in a properties file, in the order of the
    /// table. Secrets are left out, whether they are set or not.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.properties.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// The defaults that were changed to fit what was set. Each is worth a line in a log.
    pub fn adjustments(&self) -> &[Adjustment] {
        &self.adjustments
    }
}

/// One declaration for the typed fields and their getters.
macro_rules! settings {
    ($($(#[doc = $doc:literal])* $field:ident: $type:ty => $return:ty, |$s:ident| $get:expr;)*) => {
        /// The values by type. Only [`Config`] hands them out, once they are checked.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Settings {
            $($(#[doc = $doc])* pub(crate) $field: $type,)*
        }

        impl Config {
            $($(#[doc = $doc])* pub fn $field(&self) -> $return {
                let $s = &self.settings;
                $get
            })*
        }
    };
}

settings! {
    /// `bootstrap.servers`: each as `host:port`, an IPv6 address in brackets; never empty.
    bootstrap_servers: Vec<String> => &[String], |s| &s.bootstrap_servers;
    /// `client.id`: never empty.
    client_id: String => &str, |s| &s.client_id;
    /// `acks`
    acks: Acks => Acks, |s| s.acks;
    /// `enable.idempotence`: off also where `acks` or `retries` rule it out and it was not asked for.
    enable_idempotence: bool => bool, |s| s.enable_idempotence;
    /// `buffer.memory` in bytes.
    buffer_memory: usize => usize, |s| s.buffer_memory;
    /// `batch.size` in bytes, at most `batch.max.bytes`.
    batch_size: usize => usize, |s| s.batch_size;
    /// `batch.max.bytes`: header included, before compression.
    batch_max_bytes: usize => usize, |s| s.batch_max_bytes;
    /// `compression.type`
    compression: CompressionType => CompressionType, |s| s.compression;
    /// `compression.gzip.level`: 1 to 9, or −1 for the default, 6.
    gzip_level: i32 => i32, |s| s.gzip_level;
    /// `compression.lz4.level`
    lz4_level: i32 => i32, |s| s.lz4_level;
    /// `compression.zstd.level`
    zstd_level: i32 => i32, |s| s.zstd_level;
    /// `io.compression.threads`
    compression_threads: usize => usize, |s| s.compression_threads;
    /// `linger.ms`
    linger: Duration => Duration, |s| s.linger;
    /// `max.block.ms`
    max_block: Duration => Duration, |s| s.max_block;
    /// `max.in.flight.requests.per.connection`
    max_in_flight: usize => usize, |s| s.max_in_flight;
    /// `max.request.size` in bytes.
    max_request_size: usize => usize, |s| s.max_request_size;
    /// What a request may grow to where bandwidth × round trip asks for it, in bytes: `max.request.size` if that was set,
    /// else an equal share of `buffer.memory` for each request in flight, at most 8 MiB.
    long_request_size: usize => usize, |s| s.long_request_size;
    /// `request.timeout.ms`
    request_timeout: Duration => Duration, |s| s.request_timeout;
    /// `delivery.timeout.ms`: at least `linger.ms` and `request.timeout.ms` together.
    delivery_timeout: Duration => Duration, |s| s.delivery_timeout;
    /// `retries`
    retries: u32 => u32, |s| s.retries;
    /// `retry.backoff.ms`
    retry_backoff: Duration => Duration, |s| s.retry_backoff;
    /// `retry.backoff.max.ms`: at least `retry.backoff.ms`.
    retry_backoff_max: Duration => Duration, |s| s.retry_backoff_max;
    /// `reconnect.backoff.ms`
    reconnect_backoff: Duration => Duration, |s| s.reconnect_backoff;
    /// `reconnect.backoff.max.ms`: at least `reconnect.backoff.ms`.
    reconnect_backoff_max: Duration => Duration, |s| s.reconnect_backoff_max;
    /// `metadata.max.age.ms`
    metadata_max_age: Duration => Duration, |s| s.metadata_max_age;
    /// `metadata.max.idle.ms`
    metadata_max_idle: Duration => Duration, |s| s.metadata_max_idle;
    /// `metadata.recovery.strategy`: true for `rebootstrap`, false for `none`.
    metadata_recovery: bool => bool, |s| s.metadata_recovery;
    /// `metadata.recovery.rebootstrap.trigger.ms`
    rebootstrap_trigger: Duration => Duration, |s| s.rebootstrap_trigger;
    /// `connections.max.idle.ms`: a hundred years for −1, never.
    connections_max_idle: Duration => Duration, |s| s.connections_max_idle;
    /// `socket.connection.setup.timeout.ms`
    connection_setup_timeout: Duration => Duration, |s| s.connection_setup_timeout;
    /// `socket.connection.setup.timeout.max.ms`: at least `socket.connection.setup.timeout.ms`.
    connection_setup_timeout_max: Duration => Duration, |s| s.connection_setup_timeout_max;
    /// `send.buffer.bytes`: `None` leaves it to the operating system.
    send_buffer: Option<usize> => Option<usize>, |s| s.send_buffer;
    /// `receive.buffer.bytes`: `None` leaves it to the operating system.
    receive_buffer: Option<usize> => Option<usize>, |s| s.receive_buffer;
    /// `security.protocol`
    security_protocol: SecurityProtocol => SecurityProtocol, |s| s.security_protocol;
    /// The `ssl.` keys.
    tls: TlsSettings => &TlsSettings, |s| &s.tls;
    /// The `sasl.` keys.
    sasl: SaslSettings => &SaslSettings, |s| &s.sasl;
    /// `partitioner.ignore.keys`
    partitioner_ignore_keys: bool => bool, |s| s.partitioner_ignore_keys;
    /// `partitioner.adaptive.partitioning.enable`
    adaptive_partitioning: bool => bool, |s| s.adaptive_partitioning;
    /// `partitioner.availability.timeout.ms`: zero is never.
    availability_timeout: Duration => Duration, |s| s.availability_timeout;
    /// `io.spin.us`
    io_spin: Duration => Duration, |s| s.io_spin;
    /// `io.threads`
    io_threads: usize => usize, |s| s.io_threads;
    /// `io.cpu`: None where it is left to the system.
    io_cpu: Option<usize> => Option<usize>, |s| s.io_cpu;
    /// `memory.lock`
    memory_lock: bool => bool, |s| s.memory_lock;
    /// `metrics.sample.window.ms`
    metrics_sample_window: Duration => Duration, |s| s.metrics_sample_window;
    /// `metrics.num.samples`
    metrics_num_samples: u32 => u32, |s| s.metrics_num_samples;
    /// `statistics.interval.ms`: zero is never.
    statistics_interval: Duration => Duration, |s| s.statistics_interval;
    /// `metrics.publish.interval.ms`: zero is never.
    metrics_publish_interval: Duration => Duration, |s| s.metrics_publish_interval;
    /// `allow.auto.create.topics`
    allow_auto_create_topics: bool => bool, |s| s.allow_auto_create_topics;
}
