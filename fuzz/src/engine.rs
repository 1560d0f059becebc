//! The memory engine, driven by a list of operations and compared with a queue of bytes for each lane.

use crate::input::Input;
use forebay_engine::{ClaimError, Engine, EngineConfig, Grant, IoSide, Lane, LaneId, ProducerEnd, Ring, Run, Sleep};
use std::collections::VecDeque;
use std::sync::Arc;

/// The smallest segment in use here: a head of 18 bytes fits three times.
const SEGMENT: usize = 64;
const HEAD: usize = 18;
const SENDERS: usize = 3;
const LANES: usize = 3;

/// Nobody sleeps here.
struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

/// One sending thread.
struct Sender {
    end: ProducerEnd,
    lanes: [Option<Lane>; LANES],
    /// Segments waited for; 0 while it does not wait.
    wanted: u32,
    /// What the wait brought, and for how many segments it was.
    grant: Option<(Grant, u32)>,
}

/// What a lane must hold: each byte published and not taken, with its window.
#[derive(Default)]
struct Model {
    bytes: VecDeque<(i64, u8)>,
    /// Handed out by `collect_ready` and not retired since.
    active: bool,
    /// Runs that are not released yet.
    held: usize,
}

/// Taken bytes, and what they must stay until they are released.
struct Held {
    lane: LaneId,
    run: Run,
    bytes: Vec<u8>,
}

struct World {
    engine: Engine,
    io: IoSide,
    senders: Vec<Sender>,
    /// By lane number.
    lanes: Vec<Option<Model>>,
    /// Senders that wait, oldest first.
    queue: VecDeque<usize>,
    held: Vec<Held>,
    /// Reported gone, with runs still held.
    gone: Vec<LaneId>,
    /// Lanes to watch: listed, and not retired since.
    active: Vec<LaneId>,
    /// What the next record begins with, so that no two look alike.
    stamp: u8,
    closed: bool,
}

/// Layout: a byte for the number of segments and how many of them a lane takes at once; then operations: a byte that names it and its
/// arguments.
pub fn operations(data: &[u8]) {
    let mut input = Input(data);
    let layout = usize::from(input.byte());
    let ahead = layout / 24;
    let segments = (1 + layout % 24) * if ahead > 0 { 4 } else { 1 };
    let mut world = World::new(segments, ahead);
    for _ in 0..400 {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.wind_up();
}

impl World {
    fn new(segments: usize, ahead: usize) -> Self {
        let config = EngineConfig {
            memory: segments * SEGMENT,
            segment_size: SEGMENT,
            due_bytes: 100,
            ahead_bytes: (ahead * SEGMENT) as u32,
        };
        let (engine, io) = forebay_engine::new(config, Arc::new(Silent)).expect("a small slab");
        let sender =
            || Sender { end: engine.producer_end(), lanes: std::array::from_fn(|_| None), wanted: 0, grant: None };
        let senders = (0..SENDERS).map(|_| sender()).collect();
        World {
            engine,
            io,
            senders,
            lanes: Vec::new(),
            queue: VecDeque::new(),
            held: Vec::new(),
            gone: Vec::new(),
            active: Vec::new(),
            stamp: 0,
            closed: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let operation = input.byte();
        let sender = usize::from(operation >> 4) % SENDERS;
        match operation & 15 {
            0..=2 => self.publish(sender, input, true),
            3 => self.publish(sender, input, false),
            4 | 5 => self.take(input),
            6 => self.release(input),
            7 => self.settle(),
            8 => {
                // Lanes may have come to life, or gone, since the last look.
                if sender != 1 {
                    self.collect();
                }
                self.retire();
            }
            9 => self.set_window(sender, input),
            10 => self.wait(sender, input),
            11 => self.cancel(sender),
            12 => drop(self.senders[sender].grant.take()),
            13 => self.drop_lane(sender, input),
            14 => self.split(input),
            _ => match input.below(8) {
                0 => self.close(),
                1 => self.replace_sender(sender),
                2 => self.engine.nudge(),
                // Grants that nobody has looked at yet.
                3 => self.io.settle(),
                how => {
                    let how = [Sleep::Nap, Sleep::Blocked, Sleep::Deep][how % 3];
                    if self.io.prepare_sleep(how) {
                        self.io.awake();
                    }
                }
            },
        }
    }

    /// A record of any size: committed, or written in part and aborted.
    fn publish(&mut self, sender: usize, input: &mut Input<'_>, commit: bool) {
        let slot = input.below(LANES);
        let size = 1 + usize::from(input.byte()) * (1 + input.below(4));
        if !self.open_lane(sender, slot) {
            return;
        }
        let Sender { lanes, grant, .. } = &mut self.senders[sender];
        let lane = lanes[slot].as_mut().expect("just opened");
        let (id, window) = (lane.id(), lane.window());
        let head = size.min(HEAD);
        let granted = grant.as_ref().map(|(_, segments)| *segments);
        let reserved = (granted.is_none() && self.engine.waiting_senders() > 0).then(|| self.engine.available_bytes());
        let claim = match grant.take() {
            Some((grant, _)) => lane.claim_with(grant, size, head),
            None => lane.claim(size, head),
        };
        let largest = self.engine.total_bytes();
        match claim {
            Err(ClaimError::Full { segments }) => {
                let most = size.div_ceil(SEGMENT);
                assert!((1..=most).contains(&(segments as usize)), "{segments} segments for {size} bytes");
                assert!(granted.is_none_or(|granted| granted < segments), "the grant was enough");
            }
            Err(ClaimError::NeverFits { limit }) => assert!(limit == largest && size > limit),
            Err(ClaimError::Closed) => assert!(self.closed),
            Ok(mut claim) => {
                assert!(size <= largest && !self.closed);
                assert!(claim.chunk().len() >= head, "the head straddles");
                if let Some(reserved) = reserved {
                    assert_eq!(self.engine.available_bytes(), reserved, "a newcomer overtakes senders that wait");
                }
                self.stamp = self.stamp.wrapping_add(1);
                let record: Vec<u8> = (0..size).map(|i| self.stamp.wrapping_add((i * 7) as u8)).collect();
                if commit {
                    claim.put(&record);
                    assert_eq!(claim.remaining(), 0);
                    claim.commit().expect("open");
                    let model = self.lanes[id.index()].as_mut().expect("registered");
                    model.bytes.extend(record.into_iter().map(|byte| (window, byte)));
                } else {
                    claim.put(&record[..input.below(size + 1)]);
                }
            }
        }
    }

    /// Makes the lane if it is not there. False: the engine is closed.
    fn open_lane(&mut self, sender: usize, slot: usize) -> bool {
        let Sender { end, lanes, .. } = &mut self.senders[sender];
        if lanes[slot].is_some() {
            return true;
        }
        match end.lane((sender * LANES + slot) as u64) {
            Ok(lane) => {
                assert!(!self.closed);
                let at = lane.id().index();
                if self.lanes.len() <= at {
                    self.lanes.resize_with(at + 1, || None);
                }
                assert!(self.lanes[at].is_none(), "a lane's number is reused while it is in use");
                self.lanes[at] = Some(Model::default());
                lanes[slot] = Some(lane);
                true
            }
            Err(error) => {
                assert!(self.closed && error == ClaimError::Closed);
                false
            }
        }
    }

    fn collect(&mut self) {
        let mut ready = Vec::new();
        self.io.collect_ready(&mut ready);
        self.activate(&ready);
        for (index, model) in self.lanes.iter().enumerate() {
            let Some(model) = model else { continue };
            assert!(model.active || model.bytes.is_empty(), "lane {index} holds bytes and is not listed");
        }
    }

    fn activate(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            let model = self.lanes[lane.index()].as_mut().expect("registered");
            assert!(!std::mem::replace(&mut model.active, true), "listed twice");
            self.active.push(*lane);
        }
    }

    /// Takes up to a number of bytes from an active lane, as a batch that is full does.
    fn take(&mut self, input: &mut Input<'_>) {
        self.collect();
        let at = input.below(self.active.len());
        let most = usize::from(input.byte()) * 4;
        if let Some(&lane) = self.active.get(at) {
            self.take_from(lane, most);
        }
    }

    /// Answers the bytes taken.
    fn take_from(&mut self, lane: LaneId, most: usize) -> usize {
        let model = self.lanes[lane.index()].as_mut().expect("registered");
        let seen = self.io.observe(lane);
        assert!(seen >= model.bytes.len() && (seen == 0) == model.bytes.is_empty(), "{seen} bytes seen");
        let window = model.bytes.front().map(|&(window, _)| window);
        assert_eq!(self.io.peek_window(lane), window);
        let mut taken = Vec::new();
        let mut runs = Vec::new();
        let mut left = most;
        let count = self.io.take(lane, &mut runs, |slice| {
            assert!(!slice.is_empty());
            let accepted = slice.len().min(left);
            left -= accepted;
            taken.extend_from_slice(&slice[..accepted]);
            accepted
        });
        assert_eq!(count, taken.len());
        let available = model.bytes.iter().take_while(|&&(tag, _)| Some(tag) == window).count();
        assert_eq!(count, available.min(most), "all of the first window, up to the limit");
        for byte in &taken {
            assert_eq!(model.bytes.pop_front(), window.map(|window| (window, *byte)));
        }
        assert_eq!(runs.iter().map(Run::len).sum::<usize>(), count);
        assert_eq!(self.io.merged(&runs).collect::<Vec<_>>().concat(), taken);
        model.held += runs.len();
        let mut rest = &taken[..];
        for run in runs {
            let (bytes, after) = rest.split_at(run.len());
            rest = after;
            self.held.push(Held { lane, run, bytes: bytes.to_vec() });
        }
        count
    }

    /// Releases any of the held runs: answers come in any order.
    fn release(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.held.len());
        if at < self.held.len() {
            self.release_at(at);
        }
    }

    fn release_at(&mut self, at: usize) {
        let Held { lane, run, bytes } = self.held.swap_remove(at);
        assert_eq!(self.io.bytes(&run), bytes, "memory was reused before it was released");
        self.io.release(run);
        self.lanes[lane.index()].as_mut().expect("registered").held -= 1;
        self.forget();
    }

    fn split(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.held.len());
        let Some(held) = self.held.get(at).filter(|held| held.run.len() > 1) else { return };
        let cut = 1 + input.below(held.run.len() - 1);
        let Held { lane, run, mut bytes } = self.held.swap_remove(at);
        let (first, second) = self.io.split_run(run, cut);
        assert!(self.io.slices_adjacent(&first, &second));
        let tail = bytes.split_off(cut);
        self.held.push(Held { lane, run: first, bytes });
        self.held.push(Held { lane, run: second, bytes: tail });
        self.lanes[lane.index()].as_mut().expect("registered").held += 1;
    }

    /// The end of a turn. Waiters are granted whole and in turn, and as soon as there is enough for the oldest.
    fn settle(&mut self) {
        self.collect();
        self.io.settle();
        while let Some(&oldest) = self.queue.front() {
            let Sender { end, wanted, grant, .. } = &mut self.senders[oldest];
            match end.poll_wait() {
                Ok(Some(granted)) => *grant = Some((granted, *wanted)),
                Ok(None) => {
                    let free = self.io.free_segments();
                    assert!(free < *wanted as usize, "{free} segments are free, {wanted} wanted");
                    break;
                }
                Err(error) => assert!(self.closed && error == ClaimError::Closed),
            }
            *wanted = 0;
            self.queue.pop_front();
        }
        for &younger in self.queue.iter().skip(1) {
            assert!(matches!(self.senders[younger].end.poll_wait(), Ok(None)), "a younger sender overtakes");
        }
        assert_eq!(self.io.waiting_senders(), self.queue.len());
        assert!(self.io.free_segments() <= self.io.total_segments());
    }

    fn retire(&mut self) {
        let mut gone = Vec::new();
        let before = std::mem::take(&mut self.active);
        let mut lanes = before.clone();
        self.io.retire(&mut lanes, &mut gone);
        for lane in before {
            let model = self.lanes[lane.index()].as_mut().expect("registered");
            model.active = lanes.contains(&lane);
            assert_eq!(model.active, !model.bytes.is_empty(), "drained lanes retire, and only they");
        }
        self.active = lanes;
        self.gone.extend(gone);
        self.forget();
    }

    /// Forgets lanes that are gone once nothing of theirs is held.
    fn forget(&mut self) {
        let Self { io, lanes, gone, .. } = self;
        gone.retain(|lane| {
            if lanes[lane.index()].as_ref().is_some_and(|model| model.held > 0) {
                return true;
            }
            lanes[lane.index()] = None;
            io.forget(*lane);
            false
        });
    }

    fn set_window(&mut self, sender: usize, input: &mut Input<'_>) {
        let slot = input.below(LANES);
        let window = i64::from(input.byte()) * 8192;
        if let Some(lane) = &mut self.senders[sender].lanes[slot] {
            lane.set_window(window);
        }
    }

    fn wait(&mut self, sender: usize, input: &mut Input<'_>) {
        let segments = 1 + input.below(30) as u32;
        let state = &mut self.senders[sender];
        if state.wanted > 0 || state.grant.is_some() {
            return;
        }
        match state.end.begin_wait(segments) {
            Ok(()) => {
                state.wanted = segments;
                self.queue.push_back(sender);
            }
            Err(ClaimError::NeverFits { .. }) => assert!(segments as usize > self.io.total_segments()),
            Err(error) => assert!(self.closed && error == ClaimError::Closed),
        }
    }

    /// The deadline of a wait: a grant that came first counts.
    fn cancel(&mut self, sender: usize) {
        let state = &mut self.senders[sender];
        if state.wanted > 0 {
            state.grant = state.end.cancel_wait().map(|grant| (grant, state.wanted));
            state.wanted = 0;
            self.queue.retain(|&waiting| waiting != sender);
        }
    }

    fn drop_lane(&mut self, sender: usize, input: &mut Input<'_>) {
        self.senders[sender].lanes[input.below(LANES)] = None;
    }

    /// A sender that goes, waiting or not, leaves nothing behind.
    fn replace_sender(&mut self, sender: usize) {
        self.queue.retain(|&waiting| waiting != sender);
        let lanes = std::array::from_fn(|_| None);
        self.senders[sender] = Sender { end: self.engine.producer_end(), lanes, wanted: 0, grant: None };
    }

    fn close(&mut self) {
        let mut pending = Vec::new();
        self.io.close(&mut pending);
        self.closed = true;
        self.activate(&pending);
    }

    /// Drains and releases everything: no byte and no segment is lost.
    fn wind_up(mut self) {
        if self.closed {
            let mut pending = Vec::new();
            self.io.finish(&mut pending);
            self.activate(&pending);
        }
        for sender in 0..SENDERS {
            self.replace_sender(sender);
        }
        self.collect();
        for lane in self.active.clone() {
            while self.take_from(lane, usize::MAX) > 0 {}
        }
        while !self.held.is_empty() {
            self.release_at(0);
        }
        self.collect();
        self.retire();
        self.settle();
        assert!(self.lanes.iter().flatten().all(|model| model.bytes.is_empty()));
        assert_eq!(self.io.held_segments(), 0);
        assert_eq!(self.io.free_segments(), self.io.total_segments(), "a segment is lost");
        assert_eq!(self.io.waiting_senders(), 0);
    }
}
