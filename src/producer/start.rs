//! From a configuration to a running producer.

use super::builder::BuilderParts;
use super::sink::HubSink;
use super::threads::IoThreads;
use super::{Inner, Producer};
use crate::config::{Acks, Config};
use crate::error::BuildError;
use crate::hub::Hub;
use crate::interceptor::Chain;
use crate::metrics::{self, Measured, Source};
use crate::numbers::PRODUCERS;
use crate::security::security;
use crate::shared_senders::SharedSenders;
use crate::sync::Mutex;
use forebay_engine::EngineConfig;
use forebay_io::core::CoreConfig;
use forebay_io::deal::{Deal, Hand};
use forebay_io::driver::{self, Bell, Clock, Parts, SocketOptions};
use forebay_io::metrics::{Meters, Windows};
use forebay_io::topics::TopicTable;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Bytes of a slab segment: what a lane that holds a record holds at least. Ten thousand of them are 20 MiB.
const SEGMENT: usize = 2048;
/// What a lane that fills fast takes at once, at most.
const AHEAD_BYTES: u32 = 64 * 1024;

impl Producer {
    pub(super) fn start(config: Config, given: BuilderParts) -> Result<Producer, BuildError> {
        let interceptors = Chain::of(given.interceptors);
        let callback = match &interceptors {
            Some(chain) => Some(chain.clone().before(given.callback)),
            None => given.callback,
        };
        let deal = Deal::among(config.io_threads());
        let topics = Arc::new(TopicTable::new());
        let hub = Arc::new(Hub::new(deal.threads()));
        let failure = Arc::new(Mutex::new(None));
        let threads = Arc::new(IoThreads::default());
        let sink = HubSink {
            number: 0,
            hub: hub.clone(),
            topics: topics.clone(),
            callback: callback.map(|callback| Arc::new(std::sync::Mutex::new(callback))),
            failure: failure.clone(),
            threads: threads.clone(),
        };
        let security = security(&config, given.tokens)?;
        let clock = Clock::start();
        let (mut engines, mut measured, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..deal.threads() {
            let (poll, bell) = Bell::with(clock)?;
            let (engine, io) = forebay_engine::new(engine_config(&config), Arc::new(bell.clone()))?;
            if config.memory_lock() {
                engine.lock_memory()?;
            }
            let windows = Windows::new(config.metrics_sample_window(), config.metrics_num_samples());
            let meters = Arc::new(Meters::new(windows));
            parts.push(Parts {
                config: core_config(&config, deal.hand(number)),
                sockets: SocketOptions { send_buffer: config.send_buffer(), receive_buffer: config.receive_buffer() },
                security: security.clone(),
                poll,
                bell,
                io,
                topics: topics.clone(),
                meters: meters.clone(),
                number,
                cpu: config.io_cpu().map(|first| first + number),
            });
            measured.push(Measured { engine: engine.clone(), meters });
            engines.push(engine);
        }
        let number = PRODUCERS.next();
        let source = Source { client_id: config.client_id().into(), threads: measured.into(), clock };
        // Before the I/O threads: this one ends when it is dropped.
        let reporter = metrics::report(&config, source.clone(), given.on_statistics)?;
        spawn(parts, &sink)?;
        Ok(Producer {
            inner: Arc::new(Inner {
                number,
                config,
                engines: engines.into(),
                deal,
                topics,
                hub,
                partitioner: given.partitioner,
                interceptors,
                source,
                reporter,
                shared_senders: SharedSenders::new(number),
                threads,
                failure,
                closed: AtomicBool::new(false),
            }),
        })
    }
}

/// Starts all threads, or none.
fn spawn(parts: Vec<Parts>, sink: &HubSink) -> std::io::Result<()> {
    let mut started = Vec::new();
    let result = parts.into_iter().enumerate().try_for_each(|(number, parts)| {
        started.push(driver::spawn(parts, HubSink { number, ..sink.clone() })?);
        Ok(())
    });
    sink.threads.have_started(started);
    if result.is_err() {
        sink.threads.close(Duration::ZERO);
        sink.threads.join();
    }
    result
}

/// One I/O thread's part of the memory.
fn engine_config(config: &Config) -> EngineConfig {
    EngineConfig {
        memory: config.buffer_memory() / config.io_threads(),
        segment_size: SEGMENT,
        due_bytes: u32::try_from(config.batch_size()).unwrap_or(u32::MAX),
        ahead_bytes: AHEAD_BYTES,
    }
}

fn core_config(config: &Config, hand: Hand) -> CoreConfig {
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
        many_lanes: CoreConfig::default().many_lanes,
        hand,
    }
}
