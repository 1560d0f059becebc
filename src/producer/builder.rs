//! What a producer is made from.

use super::Producer;
use crate::DeliveryReport;
use crate::config::{Config, ConfigBuilder};
use crate::error::BuildError;
use crate::hub::Callback;
use crate::interceptor::Interceptor;
use crate::metrics::OnStatistics;
use crate::partitioner::Partitioner;
use forebay_io::driver::{OAuthToken, TokenSource};
use std::fmt;
use std::sync::Arc;

pub(super) type MakePartitioner = Box<dyn Fn() -> Box<dyn Partitioner> + Send + Sync>;

/// Makes a [`Producer`]. Every configuration setter has a twin under Kafka's name through [`ProducerBuilder::set`].
#[derive(Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ProducerBuilder {
    config: ConfigBuilder,
    ready: Option<Config>,
    parts: BuilderParts,
}

/// What a builder was given beside the configuration.
#[derive(Default)]
pub(super) struct BuilderParts {
    pub(super) callback: Option<Callback>,
    pub(super) partitioner: Option<MakePartitioner>,
    pub(super) tokens: Option<TokenSource>,
    pub(super) interceptors: Vec<Box<dyn Interceptor>>,
    pub(super) on_statistics: Option<OnStatistics>,
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ProducerBuilder {
    /// `bootstrap.servers`: `host:port` of some brokers, separated by commas.
    pub fn bootstrap_servers(self, servers: impl Into<String>) -> Self {
        self.set("bootstrap.servers", servers)
    }

    /// Sets a property under its Kafka name; `forebay::config` has the table. Checked by [`ProducerBuilder::build`].
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config = self.config.set(key, value);
        self
    }

    /// Changes the configuration through its typed setters.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let builder = forebay::Producer::builder()
    ///     .configure(|config| config.linger(Duration::from_millis(20)).buffer_memory(8 << 20));
    /// ```
    pub fn configure(mut self, change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        self.config = change(self.config);
        self
    }

    /// Called on the I/O thread (of several, by one at a time) with each stretch of outcomes: consecutive records of one sender to one partition. Successes
    /// and failures both; each record is in exactly one report. Keep it short: it holds up the sending of everything
    /// else. A panic in it ends the producer; every record on its way then fails.
    ///
    /// It may send, through a producer or a sender that it owns, but nothing in it waits, for it would wait for its own
    /// thread: `send` and `reserve` refuse at once what has no room now (`Full`) or whose topic is not known yet, `flush`
    /// is an error, `wait` only looks, and `close` begins the closing and returns. A callback that owns a handle of its
    /// own producer keeps that producer open until somebody closes it.
    pub fn on_delivery(mut self, callback: impl FnMut(&DeliveryReport<'_>) + Send + 'static) -> Self {
        self.parts.callback = Some(Box::new(callback));
        self
    }

    /// Chooses partitions for records that do not name one; `make` is called once for each sender.
    pub fn partitioner<P: Partitioner + 'static>(mut self, make: impl Fn() -> P + Send + Sync + 'static) -> Self {
        self.parts.partitioner = Some(Box::new(move || Box::new(make())));
        self
    }

    /// Gets tokens for `sasl.mechanism=OAUTHBEARER`. `source` is called on a thread of its own, once for each connection and
    /// before the broker's session for the last token expires (KIP-368); it may take its time. The text of an error is logged and
    /// reported: it must hold no secret.
    ///
    /// ```
    /// # fn ask_the_identity_provider() -> Result<String, String> { Ok(String::new()) }
    /// use forebay::OAuthToken;
    ///
    /// let builder = forebay::Producer::builder()
    ///     .bootstrap_servers("kafka.example:9093")
    ///     .set("security.protocol", "SASL_SSL")
    ///     .set("sasl.mechanism", "OAUTHBEARER")
    ///     .oauth_token(|| ask_the_identity_provider().map(OAuthToken::new));
    /// ```
    pub fn oauth_token(mut self, source: impl Fn() -> Result<OAuthToken, String> + Send + Sync + 'static) -> Self {
        self.parts.tokens = Some(Arc::new(source));
        self
    }

    /// Adds an interceptor, behind those that were added before. With one, each send leaves the hot path, and allocates if the
    /// record has headers or is given any.
    pub fn interceptor(mut self, interceptor: impl Interceptor + 'static) -> Self {
        self.parts.interceptors.push(Box::new(interceptor));
        self
    }

    /// Called with the producer's figures as one line of JSON ([`Metrics::to_json`](crate::Metrics::to_json)) every
    /// `statistics.interval.ms`, and once more when the producer is closed; on a thread of its own, so it may take its
    /// time. The interval's default is 0: never. With an interval and without a callback the lines are logged (`tracing`,
    /// level info, target `forebay::statistics`).
    ///
    /// ```
    /// let builder = forebay::Producer::builder()
    ///     .set("statistics.interval.ms", "60000")
    ///     .on_statistics(|json| eprintln!("{json}"));
    /// ```
    #[cfg(feature = "statistics")]
    pub fn on_statistics(mut self, callback: impl FnMut(&str) + Send + 'static) -> Self {
        self.parts.on_statistics = Some(Box::new(callback));
        self
    }

    /// Checks the configuration, maps the buffer and starts the I/O thread. Does not wait for the cluster.
    ///
    /// # Errors
    /// All that is wrong with the configuration; no memory; certificates or tokens that can't be used; no thread.
    pub fn build(self) -> Result<Producer, BuildError> {
        let config = match self.ready {
            Some(config) => {
                self.config.must_be_empty()?;
                config
            }
            None => self.config.build()?,
        };
        Producer::start(config, self.parts)
    }
}

impl Producer {
    /// A builder with Kafka's defaults.
    pub fn builder() -> ProducerBuilder {
        ProducerBuilder::default()
    }

    /// A builder for a configuration that is complete already, for what is no setting: callbacks, a partitioner, interceptors, tokens.
    /// A setting that it is given all the same is an error of [`ProducerBuilder::build`].
    pub fn builder_from(config: Config) -> ProducerBuilder {
        ProducerBuilder { ready: Some(config), ..ProducerBuilder::default() }
    }

    /// A producer with this configuration.
    ///
    /// # Errors
    /// As [`ProducerBuilder::build`].
    pub fn from_config(config: Config) -> Result<Producer, BuildError> {
        Producer::builder_from(config).build()
    }
}
