//! The producer: what all senders share, from building it to closing it.

use crate::config::{Acks, Config};
use crate::error::{BuildError, CloseError, DeliveryError, FlushError, SendError, SendErrorKind};
use crate::hub::{Callback, FlushEnd, Hub};
use crate::interceptor::{Chain, Interceptor};
use crate::lanes::BATCH_OVERHEAD;
use crate::metrics::{self, OnStatistics, Reporter, Source};
use crate::partitioner::Partitioner;
use crate::receipt_future::DeliveryFuture;
use crate::security::security;
use crate::sender::{Patience, Sender};
use crate::shared_senders::SharedSenders;
use crate::sync::{Mutex, lock};
use crate::waits::Waits;
use crate::{Delivery, DeliveryReport, Receipt, Record, Topic};
use forebay_engine::{Engine, EngineConfig};
use forebay_io::core::{CoreConfig, FailureKind, Flushed, Report, Request};
use forebay_io::driver::{self, Bell, DriverHandle, OAuthToken, Parts, Sink, SocketOptions, TokenSource};
use forebay_io::metrics::{Meters, Windows};
use forebay_io::time::Time;
use forebay_io::topics::{TopicEntry, TopicNameError, TopicTable};
use forebay_io::wall::Wall;
use forebay_io::wire::record::Shape;
use forebay_io::wire::{ErrorClass, ErrorCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a slab segment.
const SEGMENT: usize = 4096;
/// How often a thread that waits for a topic asks the cluster again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A Kafka producer: one buffer, one I/O thread. Cheap to clone; all clones are the same producer.
///
/// Each sending thread takes a [`Sender`] of its own; code that can't keep one uses [`Producer::send`].
///
/// Dropping the last handle (producers and senders) closes the producer as [`Producer::close`] does, waiting for at
/// most `max.block.ms`; what could not be delivered by then is logged as an error (`tracing`). Close it yourself to
/// learn of it.
#[derive(Clone)]
pub struct Producer {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles of one producer share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) partitioner: Option<MakePartitioner>,
    pub(crate) interceptors: Option<Chain>,
    pub(crate) source: Source,
    reporter: Option<Reporter>,
    pub(crate) shared_senders: SharedSenders,
    driver: DriverHandle,
    failure: Arc<Mutex<Option<String>>>,
    closed: AtomicBool,
}

type MakePartitioner = Box<dyn Fn() -> Box<dyn Partitioner> + Send + Sync>;

/// Makes a [`Producer`]. Every configuration setter has a twin under Kafka's name through [`ProducerBuilder::set`].
#[derive(Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ProducerBuilder {
    config: crate::config::ConfigBuilder,
    ready: Option<Config>,
    parts: BuilderParts,
}

/// What a builder was given beside the configuration.
#[derive(Default)]
struct BuilderParts {
    callback: Option<Callback>,
    partitioner: Option<MakePartitioner>,
    tokens: Option<TokenSource>,
    interceptors: Vec<Box<dyn Interceptor>>,
    on_statistics: Option<OnStatistics>,
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
    pub fn configure(
        mut self,
        change: impl FnOnce(crate::config::ConfigBuilder) -> crate::config::ConfigBuilder,
    ) -> Self {
        self.config = change(self.config);
        self
    }

    /// Called on the I/O thread with each stretch of outcomes: consecutive records of one sender to one partition. Successes
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
    /// before a broker's belief in the last token ends (KIP-368); it may take its time. The text of an error is logged and
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
    /// All that is wrong with the configuration; no memory; no thread.
    pub fn build(self) -> Result<Producer, BuildError> {
        let config = match self.ready {
            Some(config) => config,
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

    /// A builder for a configuration that is complete already: later settings of the builder do not change it.
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

    fn start(config: Config, given: BuilderParts) -> Result<Producer, BuildError> {
        let interceptors = Chain::of(given.interceptors);
        let callback = match &interceptors {
            Some(chain) => Some(chain.clone().before(given.callback)),
            None => given.callback,
        };
        let (poll, bell) = Bell::new()?;
        let engine_config = EngineConfig {
            memory: config.buffer_memory(),
            segment_size: SEGMENT,
            due_bytes: u32::try_from(config.batch_size()).unwrap_or(u32::MAX),
        };
        let (engine, io) = forebay_engine::new(engine_config, Arc::new(bell.clone()))?;
        let topics = Arc::new(TopicTable::new());
        let hub = Arc::new(Hub::new());
        let failure = Arc::new(Mutex::new(None));
        let sink = HubSink { hub: hub.clone(), topics: topics.clone(), callback, failure: failure.clone() };
        let sockets = SocketOptions { send_buffer: config.send_buffer(), receive_buffer: config.receive_buffer() };
        let security = security(&config, given.tokens)?;
        if config.memory_lock() {
            engine.lock_memory()?;
        }
        let meters = Arc::new(Meters::new(Windows::new(config.metrics_sample_window(), config.metrics_num_samples())));
        let clock = bell.clock();
        let client_id = config.client_id().into();
        let source = Source { client_id, engine: engine.clone(), meters: meters.clone(), clock };
        let parts = Parts {
            config: core_config(&config),
            sockets,
            security,
            poll,
            bell,
            io,
            topics: topics.clone(),
            meters,
            cpu: config.io_cpu(),
        };
        // Before the I/O thread: this one ends when it is dropped.
        let reporter = metrics::report(&config, source.clone(), given.on_statistics)?;
        let driver = driver::spawn(parts, sink)?;
        Ok(Producer {
            inner: Arc::new(Inner {
                config,
                engine,
                topics,
                hub,
                partitioner: given.partitioner,
                interceptors,
                source,
                reporter,
                shared_senders: SharedSenders::new(),
                driver,
                failure,
                closed: AtomicBool::new(false),
            }),
        })
    }

    /// A handle for a topic; its partitions are asked for in the background. The same name gives the same handle.
    ///
    /// # Errors
    /// A name that no Kafka broker accepts.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicNameError> {
        let id = self.inner.topics.intern(name)?;
        // Nobody to ask once the producer has ended; the send will say so.
        let _ = self.inner.driver.request(Request::WantTopic(id));
        Ok(Topic(id))
    }

    /// How many partitions a topic has; waits for the cluster's answer.
    ///
    /// # Errors
    /// `UnknownTopic` after `timeout`, or at once if the cluster refuses the topic for good; `Closed`.
    pub fn partitions_for(&self, topic: Topic, timeout: Duration) -> Result<u32, SendErrorKind> {
        let entry = self.inner.topics.entry(topic.0).ok_or(SendErrorKind::ForeignTopic)?;
        self.inner.wait_for_partitions(&entry, None, &Waits::new(&self.inner, Patience::For(timeout)))?;
        Ok(entry.partitions())
    }

    /// A way to send for one thread.
    ///
    /// # Errors
    /// `Closed`.
    pub fn sender(&self) -> Result<Sender, SendErrorKind> {
        if self.inner.is_closed() {
            return Err(SendErrorKind::Closed);
        }
        Ok(Sender::new(self.inner.clone()))
    }

    /// Sends without a [`Sender`]: each thread has one under the hood, found by a thread-local look-up and an uncontended
    /// lock (some 20 ns more than a sender's own `send`). It goes when the thread ends or the producer is closed.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn send<'a>(&self, record: Record<'a>) -> Result<Receipt, SendError<'a>> {
        self.inner.shared_senders.send(&self.inner, record)
    }

    /// Waits for a record's outcome, for `timeout` at most. Does not hurry it: see [`Producer::flush`].
    ///
    /// # Errors
    /// [`DeliveryError::Pending`] if there is none yet; otherwise why it was not delivered.
    pub fn wait(&self, receipt: Receipt, timeout: Duration) -> Result<Delivery, DeliveryError> {
        let log = self.inner.hub.log(receipt.sender).ok_or(DeliveryError::Foreign)?;
        if self.inner.is_io_thread() {
            return log.look(&receipt);
        }
        log.wait(&receipt, Instant::now().checked_add(timeout))
    }

    /// A record's outcome, if there is one by now.
    pub fn poll(&self, receipt: Receipt) -> Option<Result<Delivery, DeliveryError>> {
        let outcome = match self.inner.hub.log(receipt.sender) {
            Some(log) => log.look(&receipt),
            None => Err(DeliveryError::Foreign),
        };
        (outcome != Err(DeliveryError::Pending)).then_some(outcome)
    }

    /// A record's outcome as a future, for any async runtime.
    pub fn delivery(&self, receipt: Receipt) -> DeliveryFuture {
        DeliveryFuture::new(self.inner.hub.log(receipt.sender), receipt)
    }

    /// Waits until everything that was sent before, by any sender, has an outcome; `linger.ms` does not hold it back.
    /// Records sent meanwhile are not waited for.
    ///
    /// # Errors
    /// `Failed` if records of *this producer* were not delivered since its last `flush` (each failure is told by one
    /// flush); `TimedOut` after `timeout`; `Closed`; `InCallback` in a delivery callback.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.inner.wait_flush(timeout)?;
        match self.inner.hub.take_failures() {
            Some((failed, first)) => Err(FlushError::Failed { failed, first }),
            None => Ok(()),
        }
    }

    /// Closes the producer: no record is accepted from now on, what is in the buffer is delivered until `timeout`, and
    /// what is left then fails with `Closed`. Always returns, with the I/O thread ended and every record decided,
    /// whichever of several threads closes: the earliest deadline counts.
    /// From a delivery callback it only begins the closing and returns.
    ///
    /// # Errors
    /// `Failed` if records were not delivered since the last flush (of several who close, one is told); `Poisoned` if the
    /// I/O thread had failed.
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.inner.close(timeout)
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Free and total bytes of the buffer; a snapshot.
    pub fn buffer_bytes(&self) -> (usize, usize) {
        (self.inner.engine.available_bytes(), self.inner.engine.total_bytes())
    }

    /// Records with an outcome so far: delivered and failed.
    pub fn outcomes(&self) -> (u64, u64) {
        self.inner.hub.totals()
    }

    /// Threads that wait for memory now.
    pub fn waiting_senders(&self) -> usize {
        self.inner.engine.waiting_senders()
    }
}

impl Inner {
    /// The encoded size that a record may have.
    pub(crate) fn largest_record(&self) -> usize {
        self.limit().0
    }

    /// The smallest limit on a record, and the setting behind it.
    fn limit(&self) -> (usize, &'static str) {
        let config = &self.config;
        [
            (config.batch_max_bytes().saturating_sub(BATCH_OVERHEAD), "batch.max.bytes"),
            (config.max_request_size().saturating_sub(BATCH_OVERHEAD), "max.request.size"),
            (self.engine.total_bytes(), "buffer.memory"),
        ]
        .into_iter()
        .min()
        .unwrap_or((0, ""))
    }

    pub(crate) fn too_large(&self, record: &Record<'_>, value_len: Option<usize>) -> SendErrorKind {
        let (limit, setting) = self.limit();
        let shape = Shape::measure(0, record.key.map(<[u8]>::len), value_len, record.headers);
        let size = shape.map_or(usize::MAX, |shape| shape.total_len.max(limit + 1) + BATCH_OVERHEAD);
        SendErrorKind::TooLarge { size, limit: limit + BATCH_OVERHEAD, setting }
    }

    /// The time of day that the I/O thread shows.
    pub(crate) fn wall(&self) -> Arc<Wall> {
        self.driver.wall()
    }

    /// Whether the caller is a delivery callback, which must not wait for anything that the I/O thread does.
    pub(crate) fn is_io_thread(&self) -> bool {
        self.driver.is_io_thread()
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.source.meters
    }

    /// The moment, as the meters count time.
    pub(crate) fn now(&self) -> Time {
        self.source.clock.now()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.driver.has_ended()
    }

    /// Waits until a topic has partitions, and more than `partition` if that is given.
    pub(crate) fn wait_for_partitions(
        &self,
        entry: &TopicEntry,
        partition: Option<u32>,
        waits: &Waits,
    ) -> Result<(), SendErrorKind> {
        let mut span = None;
        loop {
            let seen = self.topics.generation();
            let partitions = entry.partitions();
            if partitions > partition.unwrap_or(0) {
                return Ok(());
            }
            if self.topics.is_closed() || self.driver.request(Request::WantTopic(entry.id())).is_err() {
                return Err(SendErrorKind::Closed);
            }
            if partitions == 0
                && let Some(reason) = self.topics.denied()
            {
                return Err(SendErrorKind::Authentication { reason });
            }
            let code = ErrorCode(entry.error());
            let left = waits.left();
            if waits.never || left == Some(Duration::ZERO) || (partitions == 0 && refuses_for_good(code)) {
                let topic = entry.name().to_string();
                return Err(match partition {
                    Some(partition) if partitions > 0 => {
                        SendErrorKind::UnknownPartition { topic, partition, partitions }
                    }
                    _ => SendErrorKind::UnknownTopic { topic, code, waited: waits.begun.elapsed() },
                });
            }
            span.get_or_insert_with(|| {
                tracing::debug_span!(target: "forebay::wait", "metadata", topic = &**entry.name()).entered()
            });
            let waiting = Instant::now();
            self.topics.wait_for_change(seen, left.unwrap_or(ASK_AGAIN).min(ASK_AGAIN));
            self.count_metadata_wait(waiting);
        }
    }

    pub(crate) fn wait_flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.is_io_thread() {
            return Err(FlushError::InCallback);
        }
        let token = self.hub.begin_flush();
        if self.driver.request(Request::Flush { token }).is_err() {
            self.hub.abandon_flush(token);
            return Err(FlushError::Closed);
        }
        let _span = tracing::debug_span!(target: "forebay::wait", "flush").entered();
        let begun = Instant::now();
        let end = self.hub.wait_flush(token, begun.checked_add(timeout));
        self.count_flush(begun);
        match end {
            FlushEnd::Done => Ok(()),
            FlushEnd::TimedOut => Err(FlushError::TimedOut),
            FlushEnd::Closed => Err(FlushError::Closed),
        }
    }

    fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.closed.store(true, Ordering::Relaxed);
        // An error means that it has ended already: there is nothing left to ask for.
        let _ = self.driver.request(Request::Close { deadline: self.driver.time_after(timeout) });
        if self.is_io_thread() {
            // Whoever blocks in a shared sender waits for this thread: nothing here may wait for them.
            return Ok(());
        }
        let span = tracing::debug_span!(target: "forebay::wait", "close").entered();
        self.driver.join();
        drop(span);
        self.shared_senders.clear();
        self.end_reports();
        if let Some(why) = lock(&self.failure).clone() {
            return Err(CloseError::Poisoned(why));
        }
        match self.hub.take_failures() {
            Some((failed, first)) => Err(CloseError::Failed { failed, first }),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// The figures are told a last time. The I/O thread does not wait for that: a callback may wait for it.
    fn end_reports(&self) {
        if let Some(reporter) = &self.reporter {
            reporter.end(!self.is_io_thread());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.driver.has_ended()
            && let Err(error) = self.close(self.config.max_block())
        {
            tracing::error!(target: "forebay::delivery", %error, "records were lost when the last handle of a producer was dropped");
        }
        self.end_reports();
    }
}

/// The I/O thread's way to the hub.
struct HubSink {
    hub: Arc<Hub>,
    topics: Arc<TopicTable>,
    callback: Option<Callback>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Sink for HubSink {
    fn reports(&mut self, reports: &[Report]) {
        self.hub.reports(reports, &self.topics, self.callback.as_mut());
    }

    fn runs_foreign_code(&self) -> bool {
        self.callback.is_some()
    }

    fn flushed(&mut self, flushed: &[Flushed]) {
        for flush in flushed {
            self.hub.flushed(*flush);
        }
    }

    fn ended(&mut self, failure: Option<&str>) {
        if let Some(failure) = failure {
            *lock(&self.failure) = Some(failure.to_owned());
        }
        self.hub.end(if failure.is_some() { FailureKind::Poisoned } else { FailureKind::Closed });
    }
}

/// A code after which asking again for a topic is no use.
fn refuses_for_good(code: ErrorCode) -> bool {
    !code.is_none() && !matches!(code.class(), ErrorClass::Retriable | ErrorClass::RetriableRefresh)
}

fn core_config(config: &Config) -> CoreConfig {
    use forebay_io::core::Acks as CoreAcks;
    CoreConfig {
        client_id: config.client_id().to_owned(),
        bootstrap: config.bootstrap_servers().to_vec(),
        acks: match config.acks() {
            Acks::None => CoreAcks::None,
            Acks::Leader => CoreAcks::Leader,
            Acks::All => CoreAcks::All,
        },
        enable_idempotence: config.enable_idempotence(),
        max_in_flight: config.max_in_flight(),
        linger: config.linger(),
        batch_size: config.batch_size(),
        batch_max_bytes: config.batch_max_bytes(),
        compression: crate::config::compression(&config.settings),
        compression_threads: config.compression_threads(),
        sasl: config.security_protocol().has_sasl(),
        max_request_size: config.max_request_size(),
        long_request_size: config.long_request_size(),
        request_timeout: config.request_timeout(),
        delivery_timeout: config.delivery_timeout(),
        retry_backoff: config.retry_backoff(),
        retry_backoff_max: config.retry_backoff_max(),
        reconnect_backoff: config.reconnect_backoff(),
        reconnect_backoff_max: config.reconnect_backoff_max(),
        retries: config.retries(),
        metadata_max_age: config.metadata_max_age(),
        metadata_max_idle: config.metadata_max_idle(),
        rebootstrap: config.metadata_recovery().then(|| config.rebootstrap_trigger()),
        connection_setup_timeout: config.connection_setup_timeout(),
        connection_setup_timeout_max: config.connection_setup_timeout_max(),
        connections_max_idle: config.connections_max_idle(),
        spin: config.io_spin(),
        adaptive_partitioning: config.adaptive_partitioning(),
        availability_timeout: config.availability_timeout(),
        allow_auto_create: config.allow_auto_create_topics(),
    }
}
