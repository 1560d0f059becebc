//! The Kafka producer as a state machine: no sockets, no clock, no threads.
//!
//! A driver (or a simulation) brings bytes, moments and events, and carries out [`Command`]s:
//!
//! ```text
//!            request, connected, closed, received, written          turn
//!   driver ─────────────────────────────────────────────▶ Core ◀──────────── now
//!          ◀─────────────────────────────────────────────
//!            commands, transmit, reports, flushed, rest
//! ```
//!
//! # The life of a record, from here
//!
//! A lane comes to life (`turn`), its partition becomes due, a slot on the leader's connection is free: its bytes are
//! taken and stamped (`cut`), compressed where they are (`pack`), framed with other partitions' (`send`), written (`transmit`), answered
//! (`answer`), and reported (`ledger`). What fails goes to `retry`, into a split, or to its report.
//!
//! # Not obvious
//!
//! - A batch has an outcome and a memory, and they end at different times: see `batch`.
//! - Batches are cut late, when they can be sent: under backlog they grow, and what has not been cut has no sequence
//!   number, so that its expiry costs nothing.
//! - A partition with a batch to send again has nothing else in flight: order is kept, and its neighbours go on.

mod answer;
mod audit;
mod authenticate;
mod backlog;
mod backoff;
mod batch;
mod brokers;
mod close;
mod config;
mod connections;
mod control;
mod cut;
mod denial;
mod expiry;
mod flow;
mod identity;
mod jobs;
mod lane;
mod ledger;
mod load;
mod metadata;
mod metrics;
mod pack;
mod partition;
mod ports;
mod produced;
mod report;
mod requests;
mod rest;
mod retry;
mod sasl;
mod send;
mod split;
mod transmit;
mod turn;
#[cfg(test)]
mod wrap_tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use forebay_engine::{IoSide, LaneId, Run, mutant};

use self::backlog::Backlog;
use self::batch::Batches;
use self::brokers::Brokers;
use self::close::Closing;
use self::connections::Connection;
use self::identity::Idempotence;
use self::ledger::Ledger;
use self::load::Loads;
use self::metadata::Metadata;
use self::metrics::Metrics;
use self::partition::Partition;
use self::produced::Produced;
use self::requests::Requests;
use crate::compress::Compressor;
use crate::metrics::Meters;
use crate::time::Time;
use crate::topics::TopicTable;

pub use self::config::{Acks, CoreConfig};
pub use self::jobs::PackJob;
pub use self::ports::{Command, ConnId, Flushed, Request, Wake};
pub use self::report::{Delivered, DeliveryFailure, FailureKind, Report};
pub use self::sasl::{Credentials, ScramHash};

/// The producer; see the [module](self).
///
/// It does nothing by itself: after anything was fed in, call [`Core::turn`], then carry out [`Core::next_command`], write
/// what [`Core::transmit`] shows, and hand on [`Core::reports`] and then [`Core::flushed`].
#[allow(clippy::struct_excessive_bools)] // independent facts, not states: each pairing of them occurs
pub struct Core {
    cfg: CoreConfig,
    io: IoSide,
    topics: Arc<TopicTable>,
    rng: fastrand::Rng,
    ledger: Ledger,
    batches: Batches,
    partitions: Vec<Partition>,
    /// Partition by lane tag.
    by_tag: HashMap<u64, u32>,
    /// Partitions with active lanes or batches to send again.
    active: Vec<u32>,
    metadata: Metadata,
    brokers: Brokers,
    connections: Vec<Option<Connection>>,
    generations: u32,
    requests: Requests,
    /// None without compression.
    compressor: Option<Compressor>,
    /// To be handed to the driver.
    jobs: VecDeque<PackJob>,
    /// Jobs that are not back, those of `jobs` included.
    lent_jobs: usize,
    /// The partition that gave the last one.
    packed_last: u32,
    idempotence: Idempotence,
    commands: VecDeque<Command>,
    closing: Closing,
    /// Why no broker lets us in, while none does.
    denied: Option<denial::Denial>,
    /// A record's bytes did not parse: a bug, and nothing that follows can be trusted.
    poisoned: bool,
    /// Something was fed in since the last turn: no rest before the next one.
    stirred: bool,
    /// When the lanes were last looked at.
    last_turn: Time,
    /// The sleep that just ended would have been ended by any lane coming to life.
    slept_deep: bool,
    /// When the bell was rung in that sleep; the end of time if it was not.
    rung: Time,
    /// The next moment a partition may try again.
    due_at: Time,
    /// When the first lane is idle that was spared although a sender wants memory.
    reclaim_at: Time,
    /// Some active lane is waiting for records to gather, or for its retirement.
    listening: bool,
    backlog: Backlog,
    /// No batch's deadline is earlier.
    next_deadline: Time,
    /// When lanes are looked at for old bytes.
    next_sweep: Time,
    /// Debug builds: segments that may be audited; see `audit`.
    audit_credit: usize,
    metrics: Metrics,
    loads: Loads,
    scratch: Scratch,
}

/// Vectors that keep their capacity from turn to turn.
#[derive(Default)]
struct Scratch {
    lanes: Vec<LaneId>,
    gone: Vec<LaneId>,
    runs: Vec<Run>,
    again: Vec<u32>,
    to_pack: Vec<u32>,
    batches: Vec<batch::BatchId>,
    produced: Vec<Produced>,
    sorted: Vec<u32>,
}

impl Core {
    /// A producer that knows its bootstrap servers and nothing else. `seed` decides all jitter.
    pub fn new(cfg: CoreConfig, io: IoSide, topics: Arc<TopicTable>, seed: u64, now: Time) -> Self {
        let brokers = Brokers::new(&cfg.bootstrap);
        let idempotence = Idempotence::new(cfg.enable_idempotence);
        let compressor = cfg.compression.and_then(|c| Compressor::new(c, cfg.max_request_size).ok());
        Self {
            metadata: Metadata::new(now),
            brokers,
            idempotence,
            cfg,
            topics,
            rng: fastrand::Rng::with_seed(seed),
            ledger: Ledger::default(),
            batches: Batches::new(io.total_segments()),
            io,
            partitions: Vec::new(),
            by_tag: HashMap::new(),
            active: Vec::new(),
            connections: Vec::new(),
            generations: 0,
            requests: Requests::default(),
            compressor,
            jobs: VecDeque::new(),
            lent_jobs: 0,
            packed_last: 0,
            commands: VecDeque::new(),
            closing: Closing::default(),
            denied: None,
            poisoned: false,
            stirred: true,
            last_turn: now,
            slept_deep: true,
            rung: Time::MAX,
            due_at: Time::MAX,
            reclaim_at: Time::MAX,
            listening: false,
            backlog: Backlog::default(),
            next_deadline: Time::MAX,
            next_sweep: Time::MAX,
            audit_credit: 0,
            metrics: Metrics::new(Arc::new(Meters::default())),
            loads: Loads::default(),
            scratch: Scratch::default(),
        }
    }

    /// The next thing for the driver to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Outcomes since the vector was last emptied; the caller empties it. The reports of a lane are in send order.
    pub fn reports(&mut self) -> &mut Vec<Report> {
        &mut self.ledger.reports
    }

    /// Flushes that are complete; to be handed on after the reports. The caller empties the vector.
    pub fn flushed(&mut self) -> &mut Vec<Flushed> {
        &mut self.ledger.flushed
    }

    /// A request of the application.
    pub fn request(&mut self, request: Request, now: Time) {
        self.stirred = true;
        self.news();
        match request {
            Request::WantTopic(topic) => self.want_topic(topic, now),
            Request::WantMore(topic) => self.want_leader(topic, now),
            Request::Flush { token } => {
                if !mutant!("a_flush_does_not_look") {
                    self.look_at_everything(now);
                }
                self.ledger.flush(token, |lane| self.io.untaken(lane));
            }
            Request::Close { deadline } => self.begin_close(deadline, now),
        }
    }

    /// A record in the slab did not parse. It is a bug; the driver must treat it as a panic.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Free segments of the slab, as the engine counts them.
    pub fn free_segments(&self) -> usize {
        self.io.free_segments()
    }

    /// All segments of the slab.
    pub fn total_segments(&self) -> usize {
        self.io.total_segments()
    }

    /// Batches that hold memory, those in quarantine included.
    pub fn live_batches(&self) -> usize {
        self.batches.live()
    }
}
