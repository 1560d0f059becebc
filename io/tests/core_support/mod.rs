//! A world without sockets or clocks: the real engine and core, a sender, and a model cluster that answers by script.
#![allow(dead_code, unused_imports)] // each test binary uses its own part of it

mod cluster;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[allow(unused_imports)] // each test binary uses its own part
pub(crate) use cluster::{Act, Cluster, Partition, Seen};
use forebay_engine::{Engine, EngineConfig, Lane, LaneId, ProducerEnd, Ring};
use forebay_io::compress::Compressor;
use forebay_io::core::{Command, ConnId, Core, CoreConfig, DeliveryFailure, Flushed, PackJob, Report, Request, Wake};
use forebay_io::time::Time;
use forebay_io::topics::{TopicId, TopicTable};
use forebay_io::wire::record::{HEAD_MAX, Shape, encode_to};

pub(crate) const TOPIC: &str = "orders";
/// The error code of a broker that may be asked again.
pub(crate) const NOT_ENOUGH_REPLICAS: i16 = 19;

thread_local! {
    static IN_CORE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a call of the core: what counts as the core's is counted by this.
pub(crate) fn in_core() -> bool {
    IN_CORE.get()
}

fn core<R>(call: impl FnOnce() -> R) -> R {
    let before = IN_CORE.replace(true);
    let result = call();
    IN_CORE.set(before);
    result
}

/// What a visitor of ours does while the core calls it.
fn world<R>(work: impl FnOnce() -> R) -> R {
    let before = IN_CORE.replace(false);
    let result = work();
    IN_CORE.set(before);
    result
}

#[derive(Default)]
struct Rings(AtomicUsize);

impl Ring for Rings {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Link {
    node: usize,
    inbox: Vec<u8>,
}

#[allow(clippy::struct_excessive_bools)] // switches of the tests
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) engine: Engine,
    pub(crate) end: ProducerEnd,
    pub(crate) topic: TopicId,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) now: Time,
    pub(crate) cluster: Cluster,
    links: BTreeMap<ConnId, Link>,
    pub(crate) reports: Vec<Report>,
    pub(crate) flushed: Vec<Flushed>,
    /// Bytes that a socket takes in one call.
    pub(crate) write_limit: usize,
    /// Bytes that arrive in one call.
    pub(crate) read_limit: usize,
    /// Nothing is written at all.
    pub(crate) stalled: bool,
    /// Nobody answers a connection attempt.
    pub(crate) unreachable: bool,
    /// Nodes to which connections are opened, and that then read nothing.
    pub(crate) deaf: BTreeSet<usize>,
    /// Nodes that refuse connections.
    pub(crate) refusing: BTreeSet<usize>,
    /// `Close` commands are kept back.
    pub(crate) hold_closes: bool,
    pub(crate) held_closes: Vec<ConnId>,
    /// Connections for which credentials were asked.
    pub(crate) asked: Vec<ConnId>,
    /// Batches that are being compressed.
    pub(crate) jobs: Vec<PackJob>,
    /// They are kept back.
    pub(crate) hold_jobs: bool,
    /// Does the jobs; without one no batch shrinks.
    pub(crate) compressor: Option<Compressor>,
    pub(crate) connects: Vec<(String, u16, u32)>,
    /// When each of them was wanted.
    pub(crate) connected_at: Vec<Time>,
    /// Turns that the core has taken.
    pub(crate) turns: usize,
    /// How long answers are on their way.
    pub(crate) delay: Duration,
    late: VecDeque<(Time, ConnId, Vec<u8>)>,
    rings: Arc<Rings>,
    sent: BTreeMap<LaneId, u64>,
    /// A socket took bytes in the last step, and may take more.
    written: bool,
}

/// Pauses between one moment and the next.
pub(crate) fn between(times: &[Time]) -> Vec<Duration> {
    times.windows(2).map(|two| two[1].since(two[0])).collect()
}

/// What a backoff of so long may be: ±20 % (KIP-580).
pub(crate) fn within_a_fifth(pause: Duration, nominal: Duration) -> bool {
    pause >= nominal.mul_f64(0.799) && pause <= nominal.mul_f64(1.201)
}

pub(crate) fn config() -> CoreConfig {
    CoreConfig { bootstrap: vec!["node0:9092".to_owned()], ..CoreConfig::default() }
}

impl World {
    pub(crate) fn new(config: CoreConfig, partitions: i32) -> Self {
        Self::with_memory(config, partitions, 1 << 20)
    }

    pub(crate) fn with_memory(config: CoreConfig, partitions: i32, memory: usize) -> Self {
        let rings = Arc::new(Rings::default());
        let layout =
            EngineConfig { memory, segment_size: 4096, due_bytes: config.batch_size as u32, ahead_bytes: 64 * 1024 };
        let (engine, io) = forebay_engine::new(layout, rings.clone()).expect("memory for a test");
        let topics = Arc::new(TopicTable::new());
        let topic = topics.intern(TOPIC).expect("legal");
        let core = Core::new(config, io, topics.clone(), 7, Time::ZERO);
        let end = engine.producer_end();
        Self {
            core,
            end,
            engine,
            topic,
            topics,
            now: Time::ZERO,
            cluster: Cluster::new(partitions),
            links: BTreeMap::new(),
            reports: Vec::new(),
            flushed: Vec::new(),
            write_limit: usize::MAX,
            read_limit: usize::MAX,
            stalled: false,
            unreachable: false,
            deaf: BTreeSet::new(),
            refusing: BTreeSet::new(),
            hold_closes: false,
            held_closes: Vec::new(),
            asked: Vec::new(),
            jobs: Vec::new(),
            hold_jobs: false,
            compressor: None,
            connects: Vec::new(),
            connected_at: Vec::new(),
            turns: 0,
            delay: Duration::ZERO,
            late: VecDeque::new(),
            rings,
            sent: BTreeMap::new(),
            written: false,
        }
    }

    /// Two nodes, each the leader of a partition: the node's number is the partition's.
    pub(crate) fn two_nodes(config: CoreConfig) -> (Self, [Lane; 2]) {
        let mut world = Self::new(config, 2);
        world.cluster.nodes = 2;
        world.cluster.partitions[1].leader = 1;
        let lanes = [world.lane(0), world.lane(1)];
        (world, lanes)
    }

    pub(crate) fn lane(&self, partition: u32) -> Lane {
        self.end.lane(self.topic.lane_tag(partition)).expect("open")
    }

    /// Commits a record whose value begins with `id` and has `size` bytes. False: no memory.
    #[allow(clippy::unused_self)] // reads as what it is: the world sends
    pub(crate) fn send(&self, lane: &mut Lane, id: u64, size: usize) -> bool {
        self.send_in(lane, 8192, id, size)
    }

    /// As `send`, with a record of this window of timestamps.
    #[allow(clippy::unused_self)]
    pub(crate) fn send_in(&self, lane: &mut Lane, window: i64, id: u64, size: usize) -> bool {
        let mut value = vec![0_u8; size.max(8)];
        value[..8].copy_from_slice(&id.to_be_bytes());
        let shape = Shape::measure(5, None, Some(value.len()), &[]).expect("not too large");
        lane.set_window(window);
        let Ok(mut claim) = lane.claim(shape.total_len, HEAD_MAX.min(shape.total_len)) else { return false };
        encode_to(&shape, 5, None, Some(&value), &[], &mut |bytes: &[u8]| claim.put(bytes));
        claim.commit().expect("open");
        true
    }

    /// One round: a turn, and everything it gives rise to, once.
    pub(crate) fn step(&mut self) {
        self.written = false;
        self.turns += 1;
        while self.late.front().is_some_and(|answer| answer.0 <= self.now) {
            let Some((_, conn, bytes)) = self.late.pop_front() else { break };
            core(|| self.core.received(conn, &bytes, self.now));
        }
        core(|| self.core.turn(self.now));
        while let Some(job) = core(|| self.core.next_job()) {
            self.jobs.push(job);
        }
        while let Some(command) = core(|| self.core.next_command()) {
            match command {
                Command::Connect { conn, host, port, attempt } => {
                    self.connects.push((host.to_string(), port, attempt));
                    self.connected_at.push(self.now);
                    let node = self.cluster.node_at(port);
                    self.links.insert(conn, Link { node, inbox: Vec::new() });
                    if self.refusing.contains(&node) {
                        self.finish_close(conn);
                    } else if !self.unreachable {
                        core(|| self.core.connected(conn, self.now));
                    }
                }
                Command::Credentials { conn } => self.asked.push(conn),
                Command::Close { conn } if self.hold_closes => self.held_closes.push(conn),
                Command::Close { conn } => self.finish_close(conn),
            }
        }
        let conns: Vec<_> = self.links.keys().copied().collect();
        for conn in conns {
            self.serve(conn);
        }
        if !self.hold_jobs {
            self.finish_jobs();
        }
        self.collect();
    }

    /// All jobs come back, the last one first.
    pub(crate) fn finish_jobs(&mut self) {
        while let Some(mut job) = self.jobs.pop() {
            if let Some(compressor) = &mut self.compressor {
                job.run(compressor, &self.core.run_bytes());
            }
            core(|| self.core.packed(job));
        }
    }

    pub(crate) fn finish_close(&mut self, conn: ConnId) {
        self.links.remove(&conn);
        self.core.closed(conn, "closed in the test", self.now);
    }

    fn serve(&mut self, conn: ConnId) {
        if self.links.get(&conn).is_none_or(|link| self.deaf.contains(&link.node)) {
            return;
        }
        if !self.stalled {
            let mut bytes = Vec::new();
            let limit = self.write_limit;
            let mut copy = |slice: &[u8]| {
                let room = (limit - bytes.len()).min(slice.len());
                bytes.extend_from_slice(&slice[..room]);
                bytes.len() < limit
            };
            core(|| self.core.transmit(conn, |slice| world(|| copy(slice))));
            if !bytes.is_empty() {
                self.written = true;
                core(|| self.core.written(conn, bytes.len(), self.now));
            }
            let Some(link) = self.links.get_mut(&conn) else { return };
            link.inbox.extend_from_slice(&bytes);
        }
        let Some(link) = self.links.get_mut(&conn) else { return };
        let node = link.node;
        let (answers, open) = self.cluster.serve(node, conn, &mut link.inbox);
        if !self.delay.is_zero() && !answers.is_empty() {
            self.late.push_back((self.now + self.delay, conn, answers));
            return;
        }
        for chunk in answers.chunks(self.read_limit.min(answers.len().max(1))) {
            core(|| self.core.received(conn, chunk, self.now));
        }
        if !open {
            self.finish_close(conn);
        }
    }

    fn collect(&mut self) {
        for report in self.core.reports().drain(..) {
            let next = self.sent.entry(report.lane).or_insert(0);
            assert_eq!(report.first_ordinal, *next, "reports of a lane come in order, without a hole: {report:?}");
            *next += u64::from(report.count);
            self.reports.push(report);
        }
        self.flushed.append(self.core.flushed());
    }

    /// Lets time pass as the core wishes until `done`, at most for `limit`. True if it came to pass.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        let mut idle_rounds = 0;
        loop {
            self.step();
            if done(self) {
                return true;
            }
            // The sockets take more; everything else the core must know by itself.
            if self.written {
                continue;
            }
            let wake = core(|| self.core.rest(self.now));
            let wake = match (wake, self.late.front()) {
                (Wake::At(at), Some(late)) => Wake::At(at.min(late.0)),
                (Wake::Never, Some(late)) => Wake::At(late.0),
                (wake, _) => wake,
            };
            match wake {
                Wake::Now | Wake::Spin => {
                    idle_rounds += 1;
                    assert!(idle_rounds < 100_000, "the core never comes to rest");
                }
                Wake::At(at) if at <= end => {
                    assert!(at > self.now, "a wake-up in the past");
                    self.now = at;
                    idle_rounds = 0;
                }
                Wake::At(_) | Wake::Never => {
                    self.now = end;
                    self.step();
                    while self.written || matches!(self.core.rest(self.now), Wake::Now | Wake::Spin) {
                        self.step();
                    }
                    return done(self);
                }
            }
        }
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    pub(crate) fn request(&mut self, request: Request) {
        self.core.request(request, self.now);
    }

    /// A new lane has this number: its records count from 0.
    pub(crate) fn forget_ordinals(&mut self, lane: LaneId) {
        self.sent.remove(&lane);
    }

    pub(crate) fn records_reported(&self) -> u64 {
        self.reports.iter().map(|r| u64::from(r.count)).sum()
    }

    pub(crate) fn records_delivered(&self) -> u64 {
        self.reports.iter().filter(|r| r.result.is_ok()).map(|r| u64::from(r.count)).sum()
    }

    /// Until so many records are delivered, within 20 seconds.
    #[track_caller]
    pub(crate) fn delivered(&mut self, count: u64) {
        assert!(self.run_until(secs(20), |w| w.records_delivered() == count), "{:?}", self.reports);
    }

    /// Until so many records are reported, delivered or not, within 20 seconds.
    #[track_caller]
    pub(crate) fn reported(&mut self, count: u64) {
        assert!(self.run_until(secs(20), |w| w.records_reported() == count), "{:?}", self.reports);
    }

    /// Why records failed, in the order of the reports.
    pub(crate) fn failures(&self) -> Vec<DeliveryFailure> {
        self.reports.iter().filter_map(|r| r.result.clone().err()).collect()
    }

    /// Sends `batches` batches of `count` records on a lane, each flushed into a request of its own.
    pub(crate) fn send_batches(&mut self, lane: &mut Lane, from: u64, batches: u64, count: u64) {
        for batch in 0..batches {
            for n in 0..count {
                assert!(self.send(lane, from + batch * count + n, 100));
            }
            self.request(Request::Flush { token: 1_000 + batch });
            self.step();
            self.step();
        }
    }

    /// Delivers a record, so that the connection to the leader is there.
    pub(crate) fn warm_up(&mut self, lane: &mut Lane) {
        self.send(lane, 999, 100);
        assert!(self.run_until(secs(1), |w| w.records_delivered() == 1));
    }

    #[track_caller]
    pub(crate) fn settled(&self) {
        assert_eq!(self.core.live_batches(), 0, "no batch is left");
        assert_eq!(self.core.free_segments(), self.core.total_segments(), "all memory is back");
    }

    /// Ports of the nodes to which connections are open.
    pub(crate) fn linked_nodes(&self) -> Vec<usize> {
        let mut nodes: Vec<_> = self.links.values().map(|link| link.node).collect();
        nodes.sort_unstable();
        nodes
    }

    pub(crate) fn open_links(&self) -> Vec<ConnId> {
        self.links.keys().copied().collect()
    }

    pub(crate) fn rings(&self) -> usize {
        self.rings.0.load(Ordering::Relaxed)
    }

    /// Cuts all connections, as if the network had.
    pub(crate) fn reset_links(&mut self) {
        for conn in self.open_links() {
            self.finish_close(conn);
        }
    }
}

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
