//! The I/O thread in small: the real core and the real queues, a clock that is moved by hand, and a cluster that nobody can reach. So
//! every record that is accepted fails in time, and that is all that the models need of a cluster.

use crate::Bell;
use forebay::model::{Log, Outcomes};
use forebay_engine::{ClaimError, Engine, EngineConfig, Lane, Ring};
use forebay_io::core::{Command, Core, CoreConfig, Report, Request, Wake};
use forebay_io::driver::requests::Requests;
use forebay_io::time::Time;
use forebay_io::topics::{TopicId, TopicTable};
use forebay_io::wire::record::{Shape, encode_to};
use loom::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// `delivery.timeout.ms` of the models.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_millis(8);
/// `linger.ms`.
pub const LINGER: Duration = Duration::from_millis(2);
/// More time than any model needs.
const LONG: Duration = Duration::from_secs(60);
/// Bytes of a segment: one record's.
const SEGMENT: usize = 16;

/// What application threads see of a producer.
#[derive(Clone)]
pub struct Application {
    /// Makes lanes.
    pub engine: Engine,
    /// Outcomes and flushes.
    pub outcomes: Arc<Outcomes>,
    requests: Arc<Requests>,
    bell: Arc<Bell>,
    /// Microseconds.
    clock: Arc<AtomicU64>,
    topic: TopicId,
}

/// One sender with one lane.
pub struct Sender {
    lane: Lane,
    /// Its outcomes; the lane's slot is 0.
    pub log: Log,
}

/// The I/O thread's side.
pub struct Driver {
    core: Core,
    application: Application,
    now: Time,
    requests: Vec<Request>,
    /// Reports so far, with the moment of each.
    pub reports: Vec<(Duration, Report)>,
    /// Flushes that were told to be through.
    flushed: usize,
}

/// A producer with so many segments, each for one record.
pub fn producer(segments: usize) -> (Application, Driver) {
    let bell = Arc::new(Bell::default());
    let layout =
        EngineConfig { memory: segments * SEGMENT, segment_size: SEGMENT, due_bytes: u32::MAX, ahead_bytes: 0 };
    let (engine, io) = forebay_engine::new(layout, bell.clone()).expect("a small slab");
    let topics = Arc::new(TopicTable::new());
    let topic = topics.intern("t").expect("legal");
    let config = CoreConfig {
        bootstrap: vec!["nowhere:9092".to_owned()],
        enable_idempotence: false,
        linger: LINGER,
        delivery_timeout: DELIVERY_TIMEOUT,
        ..CoreConfig::default()
    };
    let application = Application {
        engine,
        outcomes: Arc::new(Outcomes::new()),
        requests: Arc::new(Requests::default()),
        bell,
        clock: Arc::new(AtomicU64::new(0)),
        topic,
    };
    let core = Core::new(config, io, topics, 7, Time::ZERO);
    (
        application.clone(),
        Driver { core, application, now: Time::ZERO, requests: Vec::new(), reports: Vec::new(), flushed: 0 },
    )
}

impl Application {
    /// A new sender, whose lane leads to a partition of its own.
    ///
    /// # Errors
    /// [`ClaimError::Closed`].
    pub fn sender(&self, partition: u32) -> Result<Sender, ClaimError> {
        let log = self.outcomes.sender();
        let tag = self.topic.lane_tag(partition);
        let lane = self.engine.producer_end().lane(tag)?;
        assert_eq!(self.outcomes.lane(lane.id(), &log, tag), 0);
        Ok(Sender { lane, log })
    }

    /// Asks something of the I/O thread. False: it has ended.
    pub fn request(&self, request: Request) -> bool {
        self.requests.add(request, || self.bell.ring()).is_ok()
    }

    /// The time since the producer began. Under the bell's lock, as real clocks agree with each other and with who rang when.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.bell.quietly(|| self.clock.load(Relaxed)))
    }
}

impl Sender {
    /// Commits a record.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn send(&mut self) -> Result<(), ClaimError> {
        let value = [7; 8];
        let shape = Shape::measure(0, None, Some(value.len()), &[]).expect("small");
        // Others' bytes must not stand in the same word of the slab's shadow.
        assert_eq!(shape.total_len, SEGMENT);
        let mut claim = self.lane.claim(shape.total_len, shape.total_len)?;
        encode_to(&shape, 0, None, Some(&value), &[], &mut |bytes: &[u8]| claim.put(bytes));
        claim.commit()
    }
}

impl Driver {
    /// One round of the I/O thread without its sleep.
    pub fn round(&mut self) {
        self.application.requests.take(&mut self.requests);
        for request in self.requests.drain(..) {
            self.core.request(request, self.now);
        }
        self.core.turn(self.now);
        while let Some(command) = self.core.next_command() {
            // Whoever is asked for a connection never answers.
            if let Command::Close { conn } = command {
                self.core.closed(conn, "given up", self.now);
            }
        }
        let reports = std::mem::take(self.core.reports());
        self.application.outcomes.reports(&reports);
        let at = self.now.since(Time::ZERO);
        self.reports.extend(reports.into_iter().map(|report| (at, report)));
        for flushed in self.core.flushed().drain(..) {
            self.application.outcomes.flushed(flushed);
            self.flushed += 1;
        }
        assert!(!self.core.is_poisoned(), "a record does not parse");
    }

    /// Sleeps as the core wishes: until the clock has come to a moment, or until the bell rings.
    pub fn sleep(&mut self) {
        if !self.application.requests.is_empty() {
            return;
        }
        match self.core.rest(self.now) {
            Wake::Now | Wake::Spin => loom::thread::yield_now(),
            Wake::At(at) => {
                assert!(at.since(Time::ZERO) < LONG, "time passes, and nothing is decided");
                loom::thread::yield_now();
                // Under the bell's lock: who rang before is heard, and who rings after sees that the time has come.
                let clock = &self.application.clock;
                if self.application.bell.unless_rung(|| clock.store(micros(at), Relaxed)) {
                    self.now = at;
                }
            }
            Wake::Never => self.application.bell.wait(),
        }
    }

    /// Rounds and sleeps until so many records were reported.
    pub fn run_until_reported(&mut self, records: u32) {
        loop {
            self.round();
            if self.reported() >= records {
                return;
            }
            self.sleep();
        }
    }

    /// Rounds and sleeps until a flush is through.
    pub fn run_until_flushed(&mut self) {
        loop {
            self.round();
            if self.flushed > 0 {
                return;
            }
            self.sleep();
        }
    }

    /// Rounds and sleeps until the producer is closed, and says so to everybody.
    pub fn run_until_closed(&mut self) {
        loop {
            self.round();
            if self.core.is_closed() {
                self.application.requests.end();
                self.application.outcomes.end();
                return;
            }
            self.sleep();
        }
    }

    /// Records reported so far.
    ///
    /// # Panics
    /// If those of a lane did not come in order, each once.
    pub fn reported(&self) -> u32 {
        let mut next = std::collections::BTreeMap::new();
        for (_, report) in &self.reports {
            let next = next.entry(report.lane).or_insert(0);
            assert_eq!(report.first_ordinal, *next, "reports of a lane come in order, without a hole");
            *next += u64::from(report.count);
        }
        next.values().sum::<u64>() as u32
    }
}

fn micros(at: Time) -> u64 {
    at.since(Time::ZERO).as_micros() as u64
}
