//! One run: the client, its senders, the network and the cluster under one clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_engine::{Engine, EngineConfig, Ring};
use forebay_io::core::{ConnId, Core, PackJob, Request};
use forebay_io::time::Time;
use forebay_io::topics::{TopicId, TopicTable};

use crate::Summary;
use crate::book::{Book, SLACK};
use crate::cluster::Cluster;
use crate::events::{Event, Events};
use crate::io::IoThread;
use crate::net::Link;
use crate::plan::{End, Plan, Trouble, ms};
use crate::senders::{Sender, State};

/// More events than any run needs: one that goes on for ever ends here.
const ENDLESS: u64 = 4_000_000;
/// After the troubles end, connections, names, leaders and limits need so long to be well again.
const CONVALESCENCE: Duration = Duration::from_secs(12);
/// With fewer, a record may fail for having met what is left of old troubles.
const ENOUGH_RETRIES: u32 = 20;

/// What the engine rings to wake the I/O thread.
#[derive(Default)]
pub(crate) struct Bell(AtomicBool);

impl Ring for Bell {
    fn ring(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    pub(crate) fn is_rung(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn silence(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: fastrand::Rng,
    pub(crate) now: Time,
    pub(crate) events: Events,
    pub(crate) core: Core,
    pub(crate) engine: Engine,
    pub(crate) table: Arc<TopicTable>,
    pub(crate) topics: Vec<TopicId>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) io: IoThread,
    pub(crate) cluster: Cluster,
    pub(crate) links: Vec<Link>,
    pub(crate) by_conn: BTreeMap<ConnId, usize>,
    /// Connections being opened.
    pub(crate) attempts: Vec<ConnId>,
    /// What became of them, for the I/O thread to hear.
    pub(crate) opened: Vec<(ConnId, Result<(), &'static str>)>,
    /// With the compression threads.
    pub(crate) jobs: Vec<PackJob>,
    /// Done, for the I/O thread to take back.
    pub(crate) packed: Vec<PackJob>,
    pub(crate) senders: Vec<Sender>,
    /// Requests to the core that it has not heard yet.
    pub(crate) requests: Vec<Request>,
    pub(crate) tokens: u64,
    pub(crate) book: Book,
    /// Nobody sends.
    pub(crate) quiet: bool,
    /// Claims being held.
    pub(crate) held: u32,
    pub(crate) faults: u64,
    /// Claims that ended after the I/O side, refused or aborted: what they had taken ends with the engine.
    pub(crate) late_claims: u64,
    pub(crate) waits: u64,
    pub(crate) timeouts: u64,
    traced: bool,
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let plan = Plan::of(&mut rng);
        if traced {
            eprintln!("seed {seed}: {plan:#?}");
        }
        let bell = Arc::new(Bell::default());
        let layout = EngineConfig {
            memory: plan.memory,
            segment_size: plan.segment,
            due_bytes: plan.config.batch_size as u32,
            ahead_bytes: plan.ahead as u32,
        };
        let (engine, io) = forebay_engine::new(layout, bell.clone()).expect("memory for a run");
        let table = Arc::new(TopicTable::new());
        let cluster = Cluster::new(&plan, rng.fork());
        let topics = cluster.topics.iter().map(|topic| table.intern(&topic.name).expect("a legal name")).collect();
        let core = Core::new(plan.config.clone(), io, table.clone(), rng.u64(..), Time::ZERO);
        let senders = (0..plan.senders).map(|_| Sender::new(engine.producer_end())).collect();
        Self {
            book: Book::new(plan.config.delivery_timeout, plan.config.linger),
            plan,
            rng,
            now: Time::ZERO,
            events: Events::default(),
            core,
            engine,
            table,
            topics,
            bell,
            io: IoThread::default(),
            cluster,
            links: Vec::new(),
            by_conn: BTreeMap::new(),
            attempts: Vec::new(),
            opened: Vec::new(),
            jobs: Vec::new(),
            packed: Vec::new(),
            senders,
            requests: Vec::new(),
            tokens: 0,
            quiet: false,
            held: 0,
            faults: 0,
            late_claims: 0,
            waits: 0,
            timeouts: 0,
            traced,
        }
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.traced {
            eprintln!("{:>12.3} ms  {}", self.now.0 as f64 / 1e6, line());
        }
    }

    /// Lets everything happen that happens until then.
    pub(crate) fn run_until(&mut self, end: Time) {
        while let Some((at, event)) = self.events.next(end) {
            assert!(self.events.count() < ENDLESS, "no end in sight");
            self.now = at;
            self.book.on_time(at);
            match event {
                Event::Io { generation } => self.io_event(generation),
                Event::Connected { conn, result } => self.attempt_ended(conn, result),
                Event::ToBroker { link, bytes } => self.arrive_at_broker(link, &bytes),
                Event::Serve { link } => self.serve(link),
                Event::Answer { link, epoch, answer } => self.answer(link, epoch, answer),
                Event::ToClient { link, bytes } => self.arrive_at_client(link, bytes),
                Event::Broken { link, why } => self.broken(link, why),
                Event::Forgotten { link } => self.forgotten(link),
                Event::Sender { number, generation } => self.sender(number, generation),
                Event::Packed => self.job_done(),
                Event::Trouble => self.trouble(),
                Event::Relief(relief) => self.relief(&relief),
            }
        }
        // A run within the run (a claim being held) may have gone on for longer.
        self.now = self.now.max(end);
        self.book.on_time(self.now);
    }

    /// Lets time pass until something is true, at most until then. True if it came to pass.
    fn run_while(&mut self, end: Time, mut goes_on: impl FnMut(&Self) -> bool) -> bool {
        while goes_on(self) {
            if self.now >= end {
                return false;
            }
            let step = (self.now + ms(2)).min(end);
            self.run_until(step);
        }
        true
    }

    /// The whole run.
    pub(crate) fn live(mut self) -> Summary {
        for number in 0..self.senders.len() {
            self.come_back(number);
        }
        self.wake_io();
        self.brew();
        let end = self.now + self.plan.active;
        self.run_until(end);
        match self.plan.end {
            End::Abrupt(patience) => self.close_all(patience),
            End::Calm => {
                self.calm();
                self.close_all(Duration::from_secs(60));
            }
        }
        self.check_everything();
        Summary {
            seeds: 1,
            records: self.book.order.len() as u64,
            delivered: self.book.delivered,
            failed: self.book.failed,
            flushes: self.book.flushes_done,
            waits: self.waits,
            timeouts: self.timeouts,
            faults: self.faults + self.cluster.faults,
            requests: self.cluster.requests,
            turns: self.io.turns,
            digest: self.book.digest,
        }
    }

    /// The weather clears: everything must come to a good end.
    fn calm(&mut self) {
        self.trace(|| "CALM".to_owned());
        self.quiet = true;
        self.cluster.heal(self.now);
        for link in &mut self.links {
            link.stalled_until = self.now;
        }
        // Who waits for memory may still get it, and the record's time begins then.
        let last = self.plan.max_block + self.plan.config.delivery_timeout;
        let end = self.now + CONVALESCENCE.max(last) + ms(1_000);
        let well = self.now + CONVALESCENCE;
        self.run_until(well);
        assert!(self.run_while(end, |w| !w.book.all_done()), "everything has its outcome");
        // Those who wait for memory or metadata have it, or gave up.
        let waiting =
            |w: &Self| w.senders.iter().any(|s| matches!(s.state, State::Memory { .. } | State::Flush { .. }));
        let end = self.now + self.plan.max_block + ms(100);
        assert!(self.run_while(end, waiting), "nobody waits for ever");
        let (first, from) = (self.book.order.len(), self.now);
        self.quiet = false;
        for number in 0..self.senders.len() {
            self.come_back(number);
        }
        self.run_until(from + ms(300));
        self.quiet = true;
        let limit = self.now + last + ms(1_000);
        assert!(self.run_while(limit, |w| !w.book.all_done()), "everything has its outcome");
        // A network that hardly moves is slow in any weather; a topic that was refused is asked about again only when a
        // record has failed for it; and an old broker that has forgotten a producer cannot say what it has of a batch.
        let refused = self.plan.has(Trouble::Fatal) || self.plan.has(Trouble::Control);
        let forgotten = self.plan.old_brokers;
        if !refused && !forgotten && self.plan.config.retries >= ENOUGH_RETRIES && self.plan.send_buffer >= 1_000 {
            for id in &self.book.order[first..] {
                let record = &self.book.records[*id as usize];
                let outcome = record.outcome.as_ref();
                assert!(outcome.is_some_and(Result::is_ok), "record {id} fails in calm weather: {outcome:?}");
            }
        }
        assert_eq!(self.book.open_flushes(), 0, "no flush is forgotten");
        // Idle lanes hold nothing.
        self.run_until(self.now + self.plan.config.linger.max(ms(10)) + self.plan.max_block + ms(200));
        // A batch that expired in a request keeps its memory until that is answered, or is given up with its connection.
        let quarantine = self.now + self.plan.config.request_timeout + ms(100);
        assert!(self.run_while(quarantine, |w| w.core.live_batches() > 0), "no batch is kept");
        assert_eq!(self.core.free_segments(), self.core.total_segments(), "idle lanes hold no memory");
        self.book.linger_is_over();
    }

    fn close_all(&mut self, patience: Duration) {
        let deadline = self.now + patience;
        self.trace(|| format!("CLOSE by {}", deadline.0));
        self.requests.push(Request::Close { deadline });
        self.wake_io();
        // A thread that is kept from running ends as soon as it is let.
        let late = |w: &Self| w.now > deadline.max(w.book.ran_again()) + SLACK + ms(2);
        self.run_while(Time::MAX, |w| !w.io.over && !late(w));
        assert!(self.io.over, "a close ends by its deadline");
        // Senders learn of it; claims in progress come to their end.
        self.quiet = true;
        self.run_until(self.now + self.plan.max_block + ms(100));
        for number in 0..self.senders.len() {
            self.end_sender(number);
        }
        // What was being compressed at the deadline has given its memory back when it is done.
        assert!(self.jobs.is_empty(), "no job takes so long");
        self.take_jobs_back();
        self.core.turn(self.now);
        let left = std::mem::take(self.core.reports());
        assert!(left.is_empty(), "no outcome comes after the end");
        // What brokers have still not acted on, they act on now.
        self.run_until(self.now + Duration::from_secs(10));
    }
}
