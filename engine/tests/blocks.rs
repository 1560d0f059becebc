//! Where senders wait for memory free segments come in blocks, so that lanes go on in place; and none is withheld from who wants it.
#![cfg(not(loom))]

mod support;

use forebay_engine::{ClaimError, Engine, EngineConfig, IoSide, Lane, LaneId, ProducerEnd, Run, Sleep};
use std::collections::VecDeque;
use std::sync::Arc;
use support::Bell;

const SEGMENT: usize = 64;
const SEGMENTS: usize = 1_024;
/// What may wait for its neighbours.
const KEPT: usize = SEGMENTS / 8;

struct World {
    engine: Engine,
    io: IoSide,
    bell: Arc<Bell>,
    end: ProducerEnd,
    lanes: Vec<Lane>,
    /// Of each of them.
    records: Vec<usize>,
    active: Vec<LaneId>,
    /// Taken, and not answered yet.
    held: VecDeque<Run>,
    random: u64,
}

impl World {
    fn new(lanes: usize) -> World {
        let bell = Arc::new(Bell::default());
        let config = EngineConfig {
            memory: SEGMENTS * SEGMENT,
            segment_size: SEGMENT,
            due_bytes: 1 << 20,
            ahead_bytes: 32 * SEGMENT as u32,
        };
        let (engine, io) = forebay_engine::new(config, bell.clone()).expect("a small slab");
        let end = engine.producer_end();
        let (records, active, held) = (vec![0; lanes], Vec::new(), VecDeque::new());
        let lanes = (0..lanes as u64).map(|tag| end.lane(tag).expect("open")).collect();
        World { engine, io, bell, end, lanes, records, active, held, random: 1 }
    }

    /// All of the slab was used by one lane, and each second segment of it is free: none of them has a neighbour. A sender has `waited`
    /// for memory, or none has.
    fn scattered(waited: bool) -> World {
        let mut world = World::new(1);
        world.fill();
        world.io.collect_ready(&mut world.active);
        if waited {
            world.end.begin_wait(1).expect("open");
            world.io.settle();
            assert!(world.end.cancel_wait().is_none(), "there is none");
        }
        let lane = world.active[0];
        world.io.observe(lane);
        for at in 0..SEGMENTS {
            let mut segment = Vec::new();
            assert_eq!(world.io.take(lane, &mut segment, |slice| slice.len().min(SEGMENT)), SEGMENT);
            if at % 2 == 0 {
                for run in segment {
                    world.io.release(run);
                }
            } else {
                world.held.extend(segment);
            }
        }
        world.io.settle();
        assert!(world.free() >= SEGMENTS / 2 - 2);
        world
    }

    /// Free segments, in the rings or not.
    fn free(&self) -> usize {
        self.engine.available_bytes() / SEGMENT
    }

    /// A record of half a segment into a lane that nobody could guess. Answers whether the lane went on elsewhere for it.
    fn publish(&mut self) -> Result<bool, ClaimError> {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (self.random >> 33) as usize % self.lanes.len();
        let (lane, records) = (&mut self.lanes[at], &mut self.records[at]);
        let elsewhere = *records % 2 == 0 && lane.segments_ahead() == 0;
        let mut claim = lane.claim(SEGMENT / 2, 1)?;
        claim.put(&[at as u8; SEGMENT / 2]);
        claim.commit()?;
        *records += 1;
        Ok(elsewhere)
    }

    /// Takes what one of the active lanes holds.
    fn take(&mut self, at: usize) -> Vec<Run> {
        let mut runs = Vec::new();
        self.io.observe(self.active[at]);
        self.io.take(self.active[at], &mut runs, |slice| slice.len());
        runs
    }

    /// Takes what is there, and answers the oldest of what was taken until so many segments are held.
    fn turn(&mut self, held: usize) {
        self.io.collect_ready(&mut self.active);
        for at in 0..self.active.len() {
            let runs = self.take(at);
            self.held.extend(runs);
        }
        while self.io.held_segments() > held
            && let Some(run) = self.held.pop_front()
        {
            self.io.release(run);
        }
        self.io.settle();
    }

    /// Records until there is no room.
    fn fill(&mut self) -> usize {
        let mut records = 0;
        loop {
            match self.publish() {
                Ok(_) => records += 1,
                Err(ClaimError::Full { .. }) => return records,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Segments that follow each other in memory where a lane takes some, in the mean, while the memory is full: a lane after the other is
    /// taken from, and what was taken is answered a few lanes later.
    fn stretch(&mut self) -> f64 {
        let (mut elsewhere, mut next, mut batches) = (0, 0, VecDeque::new());
        let records = 60_000;
        for at in 0..records {
            let gone = loop {
                if let Ok(gone) = self.publish() {
                    break gone;
                }
                self.end.begin_wait(1).expect("open");
                loop {
                    self.io.collect_ready(&mut self.active);
                    next = (next + 1) % self.active.len();
                    batches.push_back(self.take(next));
                    if batches.len() > 4 {
                        batches.pop_front().into_iter().flatten().for_each(|run| self.io.release(run));
                    }
                    self.io.settle();
                    if let Some(grant) = self.end.poll_wait().expect("open") {
                        drop(grant);
                        break;
                    }
                }
                self.io.collect_ready(&mut self.active);
                self.io.settle();
            };
            elsewhere += u32::from(gone && at >= records / 2);
        }
        f64::from(records / 4) / f64::from(elsewhere)
    }
}

#[test]
fn lanes_go_on_in_place_however_their_records_are_mixed() {
    // They may take sixteen and eight; given out one by one, as they are freed, they come to 5.8 and 3.2.
    for (lanes, least) in [(8, 10.0), (16, 5.5)] {
        let stretch = World::new(lanes).stretch();
        assert!(stretch >= least, "{lanes} lanes take {stretch:.1} segments at a time");
    }
}

#[test]
fn no_more_than_an_eighth_waits_for_its_neighbours() {
    let mut world = World::scattered(true);
    let free = world.free();
    let records = world.fill();
    assert_eq!(world.free(), KEPT);
    assert_eq!(records / 2, free - KEPT);
    world.turn(0);
    world.io.retire(&mut world.active, &mut Vec::new());
    world.turn(0);
    assert_eq!(world.free(), SEGMENTS, "what waits counts as free");
    assert_eq!(world.io.account().free, SEGMENTS);
}

#[test]
fn nothing_is_kept_where_nobody_waits() {
    let mut world = World::scattered(false);
    world.fill();
    assert_eq!(world.free(), 0);
    // Nor sixteen slabs after somebody has.
    let mut world = World::scattered(true);
    assert!(world.fill() > 0 && world.free() > 0);
    for _ in 0..17 * SEGMENTS / 128 {
        world.turn(SEGMENTS / 2);
        for _ in 0..256 {
            world.publish().expect("half of it is free");
        }
    }
    assert!(world.fill() > 0 && world.free() == 0);
}

#[test]
fn who_only_tries_gets_all_of_it() {
    let mut world = World::scattered(true);
    world.fill();
    let (mut refused, mut tries) = (0, 0);
    while world.free() > 0 {
        assert!(tries <= KEPT, "it never gets all");
        tries += 1;
        // Nothing is answered. Each refusal wakes the I/O thread while it has any, and the next try finds some.
        let asleep = world.io.prepare_sleep(Sleep::Blocked);
        let rung = world.bell.rings();
        world.fill();
        if asleep && world.free() > 0 {
            assert_eq!(world.bell.rings(), rung + 1, "nobody says that it is wanted");
            refused += 1;
        }
        assert!(!world.io.prepare_sleep(Sleep::Blocked) || world.free() == 0, "it is slept on");
        world.io.awake();
        world.io.settle();
    }
    assert!(refused > 0, "each time it was there before anybody asked, so this shows nothing");
}

#[test]
fn who_waits_gets_all_of_it() {
    let mut world = World::scattered(true);
    world.fill();
    assert_eq!(world.free(), KEPT);
    world.end.begin_wait(KEPT as u32).expect("open");
    assert!(!world.io.prepare_sleep(Sleep::Blocked), "a wait is not slept on");
    world.io.settle();
    let grant = world.end.poll_wait().expect("open").expect("so many are free");
    assert_eq!(world.free(), 0);
    drop(grant);
}

#[test]
fn the_io_thread_may_use_all_of_it() {
    let mut world = World::scattered(true);
    world.fill();
    let mut leased = Vec::new();
    assert!(world.io.lease(KEPT * SEGMENT, &mut leased));
    assert!(!world.io.lease(1, &mut leased));
    for run in leased {
        world.io.release(run);
    }
    world.io.settle();
    assert_eq!(world.free(), KEPT);
}
