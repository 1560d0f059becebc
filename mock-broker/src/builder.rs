//! How a broker is set up.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use crate::MockBroker;
use crate::cluster::Config;
use crate::faults::FaultSpec;
use crate::verify::RecordVerifier;

/// Where every node listens and what it calls itself.
pub(crate) const HOST: &str = "127.0.0.1";

/// What a broker does with the records it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Check them as Kafka does and store them, up to [`Builder::max_log_bytes`].
    #[default]
    Store,
    /// Check them as Kafka does, show each to the [verifier](Builder::verifier), store nothing.
    Verify,
    /// Read the batch headers only, check sequences, acknowledge, store nothing: for measuring a producer. Neither
    /// CRC nor records are looked at.
    Discard,
}

/// The broker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A node's port could not be had.
    #[error("node {node} cannot listen on {HOST}:{port}: {source}")]
    Listen {
        /// The node's id.
        node: i32,
        /// The port asked for; 0 is any.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no poll, waker or thread.
    #[error("the broker's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Settings of a [`MockBroker`]; every one has a default.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    pub(crate) nodes: i32,
    pub(crate) port: u16,
    pub(crate) max_log_bytes: usize,
    pub(crate) socket_buffer: Option<usize>,
    pub(crate) faults: Vec<FaultSpec>,
    pub(crate) verifier: Option<Box<dyn RecordVerifier>>,
    pub(crate) config: Config,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("nodes", &self.nodes)
            .field("port", &self.port)
            .field("max_log_bytes", &self.max_log_bytes)
            .field("socket_buffer", &self.socket_buffer)
            .field("faults", &self.faults)
            .field("verifier", &self.verifier.is_some())
            .field("config", &self.config)
            .finish()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            nodes: 1,
            port: 0,
            max_log_bytes: 64 << 20,
            socket_buffer: None,
            faults: Vec::new(),
            verifier: None,
            config: Config {
                mode: Mode::Store,
                partitions: 1,
                max_message_bytes: 1_048_588,
                auto_create_topics: true,
                max_versions: HashMap::new(),
                advertised: None,
                sasl: None,
            },
        }
    }
}

impl Builder {
    /// How many nodes the cluster has, with ids from 1 on. Default 1.
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = i32::from(nodes);
        self
    }

    /// How many partitions a topic gets that a client creates by asking for it. Default 1.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.config.partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        self
    }

    /// The first node's port; the others follow it. Default 0: the system chooses one for each.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What clients are told that the nodes' address is, for something in between, such as a proxy that speaks TLS: a host,
    /// and the first node's port, which the other nodes' ports follow. Default: where they listen.
    pub fn advertise(mut self, host: &str, port: u16) -> Self {
        self.config.advertised = Some((host.to_owned(), port));
        self
    }

    /// Lets in only whoever says by SASL who they are, and knows this user's password (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512).
    /// May be called again for more users.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.config.sasl.get_or_insert_default().users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Lets in only whoever says by SASL who they are, and has this token (OAUTHBEARER). May be called again for more.
    pub fn token(mut self, token: &str) -> Self {
        self.config.sasl.get_or_insert_default().tokens.push(token.to_owned());
        self
    }

    /// How long whoever was let in may stay before they must say it again (`connections.max.reauth.ms`, KIP-368). Default:
    /// for good.
    pub fn session_lifetime(mut self, time: Duration) -> Self {
        self.config.sasl.get_or_insert_default().lifetime = Some(time);
        self
    }

    /// What to do with records. Default [`Mode::Store`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config.mode = mode;
        self
    }

    /// Bound on the stored bytes of all partitions together (64 MiB). Beyond it the oldest batches go first, whatever
    /// partition they are in, and log start offsets advance.
    pub fn max_log_bytes(mut self, bytes: usize) -> Self {
        self.max_log_bytes = bytes;
        self
    }

    /// The largest batch that is taken: Kafka's `message.max.bytes`, and its default of 1,048,588.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.config.max_message_bytes = bytes;
        self
    }

    /// Whether a Metadata request that allows it creates the topics it names (`auto.create.topics.enable`). Default
    /// true.
    pub fn auto_create_topics(mut self, create: bool) -> Self {
        self.config.auto_create_topics = create;
        self
    }

    /// Announces no higher version of this API (by its key) than `version`, to imitate an older broker.
    pub fn max_version(mut self, api_key: i16, version: i16) -> Self {
        self.config.max_versions.insert(api_key, version);
        self
    }

    /// Speaks as Kafka 2.1 does: Produce 7, Fetch 10, `ListOffsets` 4, Metadata 7, `FindCoordinator` 2, `ApiVersions` 2,
    /// `InitProducerId` 1.
    pub fn imitate_kafka_2_1(self) -> Self {
        [(0, 7), (1, 10), (2, 4), (3, 7), (10, 2), (18, 2), (22, 1)]
            .into_iter()
            .fold(self, |builder, (key, version)| builder.max_version(key, version))
    }

    /// Size of the receive and send buffers of every connection, in bytes; the system rounds it. Small ones make a
    /// stalled broker felt soon. Default: the system's own choice.
    pub fn socket_buffer(mut self, bytes: usize) -> Self {
        self.socket_buffer = Some(bytes);
        self
    }

    /// Sets a fault from the start; may be called again for more. See [`Faults::set`](crate::Faults::set).
    pub fn fault(mut self, fault: FaultSpec) -> Self {
        self.faults.push(fault);
        self
    }

    /// Shows every record that is appended to this verifier, in [`Mode::Verify`] and [`Mode::Store`].
    pub fn verifier(mut self, verifier: Box<dyn RecordVerifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Starts the cluster: when this returns, every node accepts connections.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(self) -> Result<MockBroker, StartError> {
        if self.nodes == 0 {
            return Err(StartError::Invalid("a cluster needs at least one node".into()));
        }
        if self.config.partitions == 0 {
            return Err(StartError::Invalid("a topic needs at least one partition".into()));
        }
        if self.port != 0 && i32::from(self.port) + self.nodes - 1 > i32::from(u16::MAX) {
            return Err(StartError::Invalid(format!("{} nodes from port {} on pass 65535", self.nodes, self.port)));
        }
        MockBroker::start(self)
    }
}
