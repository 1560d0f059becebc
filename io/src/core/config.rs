//! What the core needs to know. Checked by whoever builds it: the core takes every value as it is.

use std::time::Duration;

use crate::compress::Compression;
use crate::deal::Hand;

/// Kafka's `acks`: which replicas must have a batch before it counts as delivered.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Acks {
    /// None: delivered means written to the socket; there are no offsets and errors of the broker are not seen.
    None,
    /// The leader alone.
    Leader,
    /// All in-sync replicas.
    All,
}

impl Acks {
    /// The protocol's number.
    pub const fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// The settings of a [`Core`](super::Core). Kafka's names stand beside each; the defaults are Kafka's.
#[allow(clippy::struct_excessive_bools)] // settings, each of its own
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// `client.id`.
    pub client_id: String,
    /// `bootstrap.servers`: `host:port` each, `[v6]:port` for a numeric IPv6 address.
    pub bootstrap: Vec<String>,
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`: needs [`Acks::All`], at most 5 in flight, and retries.
    pub enable_idempotence: bool,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// Brokers ask who we are: [`Command::Credentials`](super::Command::Credentials) for every connection
    /// (`security.protocol`).
    pub sasl: bool,
    /// `linger.ms`.
    pub linger: Duration,
    /// `batch.size`: bytes at which a partition is due before its linger is over.
    pub batch_size: usize,
    /// `batch.max.bytes`: the most bytes of one batch before compression, header included. A single larger record goes
    /// alone.
    pub batch_max_bytes: usize,
    /// `compression.type` and its level. A codec that this build has not counts as none: see
    /// [`Codec::is_built_in`](crate::compress::Codec::is_built_in).
    pub compression: Option<Compression>,
    /// `io.compression.threads`: how many threads compress batches, beside the core; see
    /// [`Core::next_job`](super::Core::next_job). 0: the core does it itself, where it cuts them.
    pub compression_threads: usize,
    /// `max.request.size`: the most bytes of one Produce request. A single larger batch goes alone.
    pub max_request_size: usize,
    /// The most bytes of one Produce request on a link whose bandwidth × round trip asks for more than `max_request_size`;
    /// the largest record and the largest batch stay below that one. Nothing if it is less.
    pub long_request_size: usize,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
    /// `retries`: attempts after the first.
    pub retries: u32,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
    /// `metadata.max.idle.ms`: a topic that nobody has sent to for so long is no longer asked about.
    pub metadata_max_idle: Duration,
    /// `metadata.recovery.rebootstrap.trigger.ms`: how long the known brokers may fail to give metadata before all of them
    /// are given up and `bootstrap.servers` are asked as at the start. None for `metadata.recovery.strategy=none`: the
    /// bootstrap servers are asked once, and then only the brokers that they named.
    pub rebootstrap: Option<Duration>,
    /// `socket.connection.setup.timeout.ms`, for the connection and the version handshake.
    pub connection_setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`.
    pub connection_setup_timeout_max: Duration,
    /// `connections.max.idle.ms`.
    pub connections_max_idle: Duration,
    /// `io.spin.us`: with a linger of zero, how long to look for new records before sleeping.
    pub spin: Duration,
    /// `partitioner.adaptive.partitioning.enable`: whether the shares of [`Shares`](crate::shares::Shares) follow what waits for
    /// each partition.
    pub adaptive_partitioning: bool,
    /// `partitioner.availability.timeout.ms`: a node that takes nothing of what is due for longer than this gets no share.
    /// Zero: it always does.
    pub availability_timeout: Duration,
    /// `allow.auto.create.topics`.
    pub allow_auto_create: bool,
    /// With so many active lanes, what one look at them has found ready serves several turns. Fewer are looked at in each:
    /// that costs nothing to speak of, and finds more for each request.
    pub many_lanes: usize,
    /// The partitions that this core has, of those of its producer.
    pub hand: Hand,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            client_id: "forebay".to_owned(),
            bootstrap: Vec::new(),
            acks: Acks::All,
            enable_idempotence: true,
            max_in_flight: 5,
            linger: Duration::from_millis(5),
            batch_size: 16_384,
            batch_max_bytes: 1_000_000,
            compression: None,
            compression_threads: 0,
            sasl: false,
            max_request_size: 1_048_576,
            long_request_size: 0,
            request_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(120),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            retries: i32::MAX as u32,
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
            rebootstrap: Some(Duration::from_secs(300)),
            connection_setup_timeout: Duration::from_secs(10),
            connection_setup_timeout_max: Duration::from_secs(30),
            connections_max_idle: Duration::from_secs(540),
            spin: Duration::ZERO,
            adaptive_partitioning: true,
            availability_timeout: Duration::ZERO,
            allow_auto_create: true,
            many_lanes: 128,
            hand: Hand::ALL,
        }
    }
}
