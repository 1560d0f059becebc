//! Senders, core and peers, without sockets or clocks.

mod network;

use super::Ending;
use super::peer::{Cluster, PARTITION, Peer, value_of};
use forebay_engine::{Engine, EngineConfig, Lane, LaneId, ProducerEnd, Ring};
use forebay_io::core::{Acks, Command, ConnId, Core, CoreConfig, Delivered, DeliveryFailure, Request, Wake};
use forebay_io::time::Time;
use forebay_io::topics::{TopicId, TopicTable};
use forebay_io::wire::record::{HEAD_MAX, Shape, encode_to};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Small enough for records to straddle, large enough for the head of any.
const SEGMENT: usize = 256;
const LANES: usize = 6;
const PARTITIONS: usize = 3;
/// A core that takes more turns than this without time passing never comes to rest.
const RESTLESS: usize = 2_000;
/// When a close gives up at the latest.
const CLOSE_WITHIN: Duration = Duration::from_secs(4);

struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

/// What can be seen of a life.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Asked { conn: u64, frame: Vec<u8> },
    Connect { conn: u64, host: String, port: u16, attempt: u32 },
    Close { conn: u64 },
    Outcome { lane: u64, first: u64, count: u32, result: Result<Delivered, DeliveryFailure> },
    Flushed { token: u64, failed: u64 },
    Ended(Time),
}

struct Link {
    conn: ConnId,
    /// The connection is there; before, it is being opened.
    open: bool,
    peer: Peer,
}

/// One life of a lane.
struct Life {
    /// In the order in which lanes were made; part of the ids of its records.
    number: u64,
    partition: u64,
    committed: u64,
    reported: u64,
}

pub(super) struct World {
    core: Core,
    engine: Engine,
    end: ProducerEnd,
    topic: TopicId,
    acks: Acks,
    idempotent: bool,
    now: Time,
    cluster: Cluster,
    /// Connections, oldest first.
    links: Vec<Link>,
    /// What the core wants and has not got yet.
    commands: Vec<Command>,
    lanes: [Option<Lane>; LANES],
    /// By the number that the engine knows it by; that is used again once a lane is gone.
    lives: BTreeMap<LaneId, Life>,
    made: u64,
    flushes: u64,
    flushed: u64,
    waiting: bool,
    closing: bool,
    /// Somebody sent what no broker would.
    tampered: bool,
    /// Reads and writes are cut into pieces, by this seed.
    pieces: Option<u32>,
    events: Vec<Event>,
}

impl World {
    pub(super) fn new(config: CoreConfig, segments: usize, pieces: bool) -> Self {
        let layout = EngineConfig {
            memory: segments * SEGMENT,
            segment_size: SEGMENT,
            due_bytes: config.batch_size as u32,
            ahead_bytes: 0,
        };
        let (engine, io) = forebay_engine::new(layout, Arc::new(Silent)).expect("a small slab");
        let topics = Arc::new(TopicTable::new());
        let topic = topics.intern("orders").expect("legal");
        let (acks, idempotent) = (config.acks, config.enable_idempotence);
        Self {
            core: Core::new(config, io, topics, 7, Time::ZERO),
            end: engine.producer_end(),
            engine,
            topic,
            acks,
            idempotent,
            now: Time::ZERO,
            cluster: Cluster::default(),
            links: Vec::new(),
            commands: Vec::new(),
            lanes: std::array::from_fn(|_| None),
            lives: BTreeMap::new(),
            made: 0,
            flushes: 0,
            flushed: 0,
            waiting: false,
            closing: false,
            tampered: false,
            pieces: pieces.then_some(0x9e37_79b9),
            events: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, which: usize, size: usize) {
        let slot = which % LANES;
        let partition = (slot % PARTITIONS) as u32;
        if self.lanes[slot].is_none() {
            let Ok(lane) = self.end.lane(self.topic.lane_tag(partition)) else {
                assert!(self.closing, "no lane, though nothing is closed");
                return;
            };
            let life = Life { number: self.made, partition: u64::from(partition), committed: 0, reported: 0 };
            self.made += 1;
            if let Some(before) = self.lives.insert(lane.id(), life) {
                assert_eq!(before.reported, before.committed, "a lane's number is used again before its reports");
            }
            self.lanes[slot] = Some(lane);
        }
        let Some(lane) = &mut self.lanes[slot] else { return };
        let life = self.lives.get_mut(&lane.id()).expect("made above");
        let value = value_of(life.partition << PARTITION | life.number << 32 | life.committed, size);
        let shape = Shape::measure(5, None, Some(value.len()), &[]).expect("a small record");
        lane.set_window(8192);
        if let Ok(mut claim) = lane.claim(shape.total_len, HEAD_MAX.min(shape.total_len)) {
            encode_to(&shape, 5, None, Some(&value), &[], &mut |piece| claim.put(piece));
            claim.commit().expect("nothing closes meanwhile");
            life.committed += 1;
        }
    }

    pub(super) fn turn(&mut self) {
        self.core.turn(self.now);
        while let Some(command) = self.core.next_command() {
            self.events.push(match &command {
                Command::Connect { conn, host, port, attempt } => {
                    let host = host.to_string();
                    Event::Connect { conn: conn.unique(), host, port: *port, attempt: *attempt }
                }
                Command::Credentials { .. } => unreachable!("no broker of this world asks who we are"),
                Command::Close { conn } => Event::Close { conn: conn.unique() },
            });
            self.commands.push(command);
        }
        self.collect();
        if self.waiting {
            // What was waited for is not used: it goes back.
            self.waiting = matches!(self.end.poll_wait(), Ok(None));
        }
    }

    fn collect(&mut self) {
        for report in self.core.reports().drain(..) {
            let life = self.lives.get_mut(&report.lane).expect("an outcome of no lane");
            assert!(report.count > 0, "an outcome of nothing");
            assert_eq!(report.first_ordinal, life.reported, "outcomes of a lane come in order, one for each record");
            life.reported += u64::from(report.count);
            assert!(life.reported <= life.committed, "an outcome of a record that nobody sent");
            for n in 0..u64::from(report.count) {
                let id = life.partition << PARTITION | life.number << 32 | (report.first_ordinal + n);
                let told = self.cluster.told.get(&id).map_or(&[][..], Vec::as_slice);
                match &report.result {
                    _ if self.tampered || self.cluster.lied || self.acks == Acks::None => {}
                    Ok(delivered) => {
                        let offset = if delivered.base_offset < 0 { -1 } else { delivered.base_offset + n as i64 };
                        assert!(told.contains(&offset), "record {id:x} at {offset}: no peer told that, but {told:?}");
                    }
                    // With idempotence a batch is known to be absent by its place in a sequence that peers here ignore.
                    Err(failure) if !failure.possibly_appended && !self.idempotent && !self.cluster.denied => {
                        assert!(told.is_empty(), "record {id:x} is said to be in no log, and was told {told:?}");
                    }
                    Err(_) => {}
                }
            }
            let (lane, first, count) = (life.number, report.first_ordinal, report.count);
            self.events.push(Event::Outcome { lane, first, count, result: report.result });
        }
        for flushed in self.core.flushed().drain(..) {
            self.flushed += 1;
            self.events.push(Event::Flushed { token: flushed.token, failed: flushed.failed });
        }
    }

    /// Turns until the core wants to sleep, and sleeps as long as it wishes, but not for ever.
    pub(super) fn sleep(&mut self) {
        match self.settle() {
            Wake::At(at) => self.now = at,
            _ => self.now = self.now + Duration::from_secs(1),
        }
        self.turn();
    }

    fn settle(&mut self) -> Wake {
        for _ in 0..RESTLESS {
            self.turn();
            match self.core.rest(self.now) {
                Wake::Now | Wake::Spin => {}
                wake => {
                    assert!(wake != Wake::At(self.now), "a wake-up that is now");
                    return wake;
                }
            }
        }
        panic!("the core never comes to rest");
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Everything that can happen without trouble happens.
    pub(super) fn pump(&mut self) {
        for _ in 0..4 {
            self.turn();
            while !self.commands.is_empty() {
                self.obey(0);
            }
            for link in 0..self.links.len() {
                self.write(link, usize::MAX);
                while self.answer(link, &[]) {}
                self.deliver(link, usize::MAX);
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.flushes += 1;
        self.core.request(Request::Flush { token: self.flushes }, self.now);
    }

    pub(super) fn drop_lane(&mut self, which: usize) {
        self.lanes[which % LANES] = None;
    }

    pub(super) fn want_memory(&mut self, segments: u32) {
        self.waiting = self.waiting || self.end.begin_wait(segments).is_ok();
    }

    pub(super) fn close(&mut self, within: Duration) {
        self.closing = true;
        self.core.request(Request::Close { deadline: self.now + within }, self.now);
    }

    /// Closes the producer. It must come to an end, and nothing may be missing then.
    pub(super) fn end(mut self, ending: Ending) -> Vec<Event> {
        self.close(CLOSE_WITHIN);
        let last = self.now + CLOSE_WITHIN + Duration::from_secs(2);
        while !self.core.is_closed() {
            assert!(self.now < last, "a close does not end");
            match ending {
                Ending::Answered => self.pump(),
                Ending::Silent => {
                    self.turn();
                    while !self.commands.is_empty() {
                        self.obey(0);
                    }
                    (0..self.links.len()).for_each(|link| self.write(link, usize::MAX));
                }
                Ending::Refused => {
                    self.turn();
                    while !self.commands.is_empty() {
                        self.obey(10);
                    }
                }
            }
            if !self.core.is_closed() && self.commands.is_empty() {
                match self.core.rest(self.now) {
                    Wake::At(at) => self.now = at,
                    Wake::Now | Wake::Spin => self.now = self.now + Duration::from_millis(1),
                    Wake::Never => assert!(self.core.is_closed(), "asleep for ever, and not closed"),
                }
            }
        }
        self.turn();
        for (lane, life) in &self.lives {
            assert_eq!(life.reported, life.committed, "records of {lane:?} have no outcome");
        }
        assert_eq!(self.flushed, self.flushes, "a flush does not end");
        assert!(!self.waiting, "a sender waits for ever");
        assert!(!self.core.is_poisoned(), "a record did not parse");
        assert_eq!(self.core.live_batches(), 0, "a batch is left");
        assert_eq!(self.core.free_segments(), self.core.total_segments(), "memory is lost");
        assert_eq!(self.engine.available_bytes(), self.engine.total_bytes(), "memory is lost");
        self.events.push(Event::Ended(self.now));
        self.events
    }
}
