//! The engine and the queues that it is compared with.

use crate::operations::{End, How, LANES, Operation, SENDERS, Step};
use forebay_engine::{ClaimError, Engine, EngineConfig, Grant, IoSide, Lane, LaneId, ProducerEnd, Ring, Run, Sleep};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SEGMENT: usize = 64;
/// Bytes of a record that never straddle segments.
const HEAD: usize = 18;

#[derive(Default)]
struct Bell(AtomicUsize);

impl Ring for Bell {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One sending thread's memory.
struct Sender {
    end: ProducerEnd,
    /// Segments waited for; 0 while it does not wait.
    wanted: usize,
    grant: Option<(Grant, usize)>,
}

/// What a lane must hold: each byte published and not taken, with its window.
#[derive(Default)]
struct Queue {
    bytes: VecDeque<(i64, u8)>,
    /// Handed out by `collect_ready` and not retired since.
    active: bool,
    /// Its producer is writing a record.
    claimed: bool,
    /// Segments committed since the I/O side last looked.
    unseen: usize,
    /// Runs that are not released yet.
    held: usize,
}

struct Held {
    lane: LaneId,
    run: Run,
    bytes: Vec<u8>,
}

/// A sleep of the I/O thread that nobody has ended yet.
struct Asleep {
    how: Sleep,
    /// Rings before it.
    rings: usize,
    /// Who waited when it began.
    queue: VecDeque<usize>,
}

/// All but the lanes' producer ends, so that anything may happen while one of those is being written to.
struct Rest {
    engine: Engine,
    io: IoSide,
    bell: Arc<Bell>,
    senders: Vec<Sender>,
    /// By lane number.
    queues: Vec<Option<Queue>>,
    /// Senders that wait, oldest first.
    waiting: VecDeque<usize>,
    held: Vec<Held>,
    /// Reported gone, with runs still held.
    gone: Vec<LaneId>,
    /// To watch: listed, and not retired since.
    active: Vec<LaneId>,
    asleep: Option<Asleep>,
    /// Segments that the claim in progress took.
    claiming: usize,
    /// Segments of records that were refused at the end: nobody will read them, and the engine is over.
    lost: usize,
    closed: bool,
    finished: bool,
}

pub(crate) struct World {
    lanes: Vec<Option<Lane>>,
    rest: Rest,
    /// What the next record begins with, so that no two look alike.
    stamp: u8,
}

impl World {
    pub(crate) fn new(segments: usize) -> Self {
        let config = EngineConfig { memory: segments * SEGMENT, segment_size: SEGMENT, due_bytes: u32::MAX };
        let bell = Arc::new(Bell::default());
        let (engine, io) = forebay_engine::new(config, bell.clone()).expect("a small slab");
        let senders = (0..SENDERS).map(|_| Sender { end: engine.producer_end(), wanted: 0, grant: None }).collect();
        let rest = Rest {
            engine,
            io,
            bell,
            senders,
            queues: Vec::new(),
            waiting: VecDeque::new(),
            held: Vec::new(),
            gone: Vec::new(),
            active: Vec::new(),
            asleep: None,
            claiming: 0,
            lost: 0,
            closed: false,
            finished: false,
        };
        World { lanes: (0..SENDERS * LANES).map(|_| None).collect(), rest, stamp: 0 }
    }

    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Record { lane, size, how, meanwhile, end } => self.record(*lane, *size, *how, meanwhile, *end),
            Operation::Window { lane, window } => {
                if let Some(lane) = &mut self.lanes[*lane] {
                    lane.set_window(i64::from(*window) * 8192);
                }
            }
            Operation::DropLane { lane } => self.lanes[*lane] = None,
            Operation::ReplaceSender { sender } => {
                for lane in sender * LANES..(sender + 1) * LANES {
                    self.lanes[lane] = None;
                }
                self.rest.replace_sender(*sender);
            }
            Operation::Step(step) => self.rest.step(step),
        }
        self.rest.check();
    }

    fn record(&mut self, at: usize, size: usize, how: How, meanwhile: &[Step], end: End) {
        if !self.open_lane(at) {
            return;
        }
        let Self { lanes, rest, stamp } = self;
        let lane = lanes[at].as_mut().expect("just opened");
        let (id, window) = (lane.id(), lane.window());
        let (head, most) = (size.min(HEAD), size.div_ceil(SEGMENT));
        let waited = rest.io.waiting_senders() > 0;
        let before = rest.io.account().with_senders;
        let granted = &mut rest.senders[at / LANES].grant;
        let mut given = None;
        let claim = match how {
            How::Free => lane.claim(size, head),
            How::Granted => match granted.take() {
                Some((grant, segments)) => {
                    given = Some(segments);
                    lane.claim_with(grant, size, head)
                }
                None => lane.claim(size, head),
            },
            How::Offered => lane.claim_or(size, head, |refused| match granted.take() {
                Some((grant, segments)) if matches!(refused, ClaimError::Full { .. }) => {
                    given = Some(segments);
                    Ok(grant)
                }
                _ => Err(refused),
            }),
        };
        let mut claim = match claim {
            Ok(claim) => claim,
            Err(ClaimError::Full { segments }) => {
                let segments = segments as usize;
                assert!(!rest.closed && (1..=most).contains(&segments), "{segments} segments for {size} bytes");
                match given {
                    Some(given) => assert!(given < segments, "the grant was enough"),
                    // Either ring by itself was too short, or it is not this sender's turn.
                    None => assert!(waited || rest.engine.available_bytes() / SEGMENT < 2 * segments),
                }
                return;
            }
            Err(ClaimError::NeverFits { limit }) => {
                return assert!(limit == rest.engine.total_bytes() && size > limit);
            }
            Err(ClaimError::Closed) => return assert!(rest.closed),
        };
        assert!(size <= rest.engine.total_bytes() && !rest.closed);
        assert!(claim.chunk().len() >= head, "the head straddles");
        let taken = rest.io.account().with_senders + given.unwrap_or(0) - before;
        assert!(taken <= most && (given.is_some() || !waited || taken == 0), "a newcomer overtakes");
        rest.claiming = taken;
        rest.queue(id).claimed = true;
        rest.check();

        *stamp = stamp.wrapping_add(1);
        let record: Vec<u8> = (0..size).map(|i| stamp.wrapping_add((i * 7) as u8)).collect();
        let (first, second) = record.split_at(size / 2);
        claim.put(first);
        for step in meanwhile {
            rest.step(step);
            rest.check();
        }
        let rings = rest.rings();
        let ended = match end {
            End::Commit => {
                claim.put(second);
                assert_eq!(claim.remaining(), 0);
                Some(claim.commit())
            }
            End::Abort(more) => {
                claim.put(&second[..more.min(second.len())]);
                drop(claim);
                None
            }
        };
        // Whoever closes waits for the end of this claim.
        assert!(!rest.closed || rest.finished || rest.rings() > rings, "a closing I/O thread sleeps on");
        let finished = rest.finished;
        let queue = rest.queue(id);
        queue.claimed = false;
        match ended {
            None => {}
            Some(Ok(())) => {
                assert!(!finished, "a record is accepted that nobody will read");
                queue.bytes.extend(record.into_iter().map(|byte| (window, byte)));
                queue.unseen += taken;
            }
            Some(Err(error)) => {
                assert!(finished && error == ClaimError::Closed);
                rest.lost += taken;
            }
        }
        rest.claiming = 0;
    }

    /// Makes the lane if it is not there. False: the engine is closed.
    fn open_lane(&mut self, at: usize) -> bool {
        if self.lanes[at].is_some() {
            return true;
        }
        match self.rest.senders[at / LANES].end.lane(at as u64) {
            Ok(lane) => {
                assert!(!self.rest.closed);
                let index = lane.id().index();
                if self.rest.queues.len() <= index {
                    self.rest.queues.resize_with(index + 1, || None);
                }
                assert!(self.rest.queues[index].is_none(), "a lane's number is reused while it is in use");
                self.rest.queues[index] = Some(Queue::default());
                self.lanes[at] = Some(lane);
                true
            }
            Err(error) => {
                assert!(self.rest.closed && error == ClaimError::Closed);
                false
            }
        }
    }

    /// Senders go, everything is drained and released: no byte and no segment is missing.
    pub(crate) fn wind_up(mut self) {
        for sender in 0..SENDERS {
            self.apply(&Operation::ReplaceSender { sender });
        }
        self.apply(&Operation::Step(Step::Collect));
        let rest = &mut self.rest;
        for lane in rest.active.clone() {
            while rest.take_from(lane, usize::MAX) > 0 {}
        }
        while !rest.held.is_empty() {
            rest.answer(0);
        }
        rest.step(&Step::Retire);
        rest.step(&Step::Settle);
        rest.check();
        assert!(rest.queues.iter().flatten().all(|queue| queue.bytes.is_empty()));
        let account = rest.io.account();
        assert_eq!(account.free + rest.lost, rest.io.total_segments(), "a segment is lost: {account:?}");
        assert_eq!((rest.io.held_segments(), rest.io.waiting_senders()), (0, 0));
    }
}

impl Rest {
    fn queue(&mut self, lane: LaneId) -> &mut Queue {
        self.queues[lane.index()].as_mut().expect("registered")
    }

    fn rings(&self) -> usize {
        self.bell.0.load(Ordering::Relaxed)
    }

    fn step(&mut self, step: &Step) {
        if !matches!(step, Step::Wait { .. } | Step::Deadline { .. } | Step::DropGrant { .. } | Step::Nudge) {
            self.check_sleep();
            self.asleep = None;
            self.io.awake();
        }
        match *step {
            Step::Collect => self.collect(),
            Step::Take { lane, most } => {
                self.collect();
                if !self.active.is_empty() {
                    let lane = self.active[lane % self.active.len()];
                    self.take_from(lane, most);
                }
            }
            Step::Answer { run } if !self.held.is_empty() => self.answer(run % self.held.len()),
            Step::Retry { run } if !self.held.is_empty() => self.retry(run % self.held.len()),
            Step::Split { run, at } if !self.held.is_empty() => self.split(run % self.held.len(), at),
            Step::Answer { .. } | Step::Retry { .. } | Step::Split { .. } => {}
            Step::Settle => self.settle(),
            Step::Retire => self.retire(),
            Step::Sleep(how) => self.sleep(how),
            Step::Close => self.close(),
            Step::Finish => self.finish(),
            Step::Wait { sender, segments } => self.wait(sender, segments),
            Step::Deadline { sender } => self.deadline(sender),
            Step::DropGrant { sender } => self.senders[sender].grant = None,
            Step::Nudge => {
                let rings = self.rings();
                self.engine.nudge();
                assert_eq!(self.rings(), rings + 1);
                if let Some(asleep) = &mut self.asleep {
                    asleep.rings += 1;
                }
            }
        }
    }

    /// What holds after every operation.
    fn check(&mut self) {
        for held in &self.held {
            assert_eq!(self.io.bytes(&held.run), held.bytes, "memory was reused before it was released");
        }
        let account = self.io.account();
        let granted: usize = self.senders.iter().filter_map(|sender| Some(sender.grant.as_ref()?.1)).sum();
        let unseen: usize = self.queues.iter().flatten().map(|queue| queue.unseen).sum();
        let senders = granted + unseen + self.claiming + self.lost;
        assert_eq!(account.with_senders, senders, "what senders have: {account:?}");
        assert_eq!(account.total(), self.io.total_segments(), "{account:?}");
        assert_eq!(account.runs, self.held.len(), "{account:?}");
        assert_eq!(account.free + account.set_aside, self.io.free_segments(), "{account:?}");
        assert_eq!(account.open + account.in_flight, self.io.held_segments(), "{account:?}");
        assert!(account.in_flight <= account.runs, "{account:?}");
        assert_eq!(self.io.waiting_senders(), self.waiting.len());
        let published: usize = self.queues.iter().flatten().map(|queue| queue.bytes.len()).sum();
        let room = (account.published + account.open + account.in_flight + unseen) * SEGMENT;
        assert!(published <= room, "{published} bytes in {account:?}");
        // An idle lane holds no memory.
        if self.active.is_empty() && published == 0 && !self.closed {
            assert_eq!((account.published, account.open), (0, 0), "{account:?}");
        }
        self.check_sleep();
    }

    /// A sleep that nobody ended sleeps over nothing, and one is ended once.
    fn check_sleep(&mut self) {
        let rung = match &self.asleep {
            Some(asleep) => self.rings() - asleep.rings,
            None => return,
        };
        let unlisted = self.queues.iter().flatten().any(|queue| !queue.active && !queue.bytes.is_empty());
        let returned = self.io.account().returned;
        let Some(asleep) = &self.asleep else { return };
        // While the engine is closing, the end of every claim rings.
        assert!(rung <= 1 || self.closed, "rung {rung} times");
        if rung == 0 {
            assert!(asleep.how != Sleep::Deep || !unlisted, "a lane that came to life is slept on");
            assert_eq!(returned, 0, "returned memory is slept on");
            assert_eq!(asleep.queue, self.waiting, "a waiting sender is slept on");
        }
    }

    fn sleep(&mut self, how: Sleep) {
        let rings = self.rings();
        if self.io.prepare_sleep(how) {
            self.asleep = Some(Asleep { how, rings, queue: self.waiting.clone() });
        }
    }

    fn collect(&mut self) {
        let mut ready = Vec::new();
        self.io.collect_ready(&mut ready);
        self.activate(&ready);
        for (index, queue) in self.queues.iter().enumerate() {
            let Some(queue) = queue else { continue };
            assert!(queue.active || queue.bytes.is_empty(), "lane {index} holds bytes and is not listed");
        }
    }

    fn activate(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            assert!(!std::mem::replace(&mut self.queue(*lane).active, true), "listed twice");
            self.active.push(*lane);
        }
    }

    /// Answers the bytes taken.
    fn take_from(&mut self, lane: LaneId, most: usize) -> usize {
        let seen = self.io.observe(lane);
        let queue = self.queues[lane.index()].as_mut().expect("registered");
        queue.unseen = 0;
        assert!(seen >= queue.bytes.len() && (seen == 0) == queue.bytes.is_empty(), "{seen} bytes seen");
        let window = queue.bytes.front().map(|&(window, _)| window);
        assert_eq!(self.io.peek_window(lane), window);
        let (mut taken, mut runs, mut left) = (Vec::new(), Vec::new(), most);
        let count = self.io.take(lane, &mut runs, |slice| {
            assert!(!slice.is_empty() && slice.len() <= SEGMENT);
            let accepted = slice.len().min(left);
            left -= accepted;
            taken.extend_from_slice(&slice[..accepted]);
            accepted
        });
        assert_eq!(count, taken.len());
        let available = queue.bytes.iter().take_while(|&&(tag, _)| Some(tag) == window).count();
        assert_eq!(count, available.min(most), "all of the first window, up to the limit");
        for byte in &taken {
            assert_eq!(queue.bytes.pop_front(), window.map(|window| (window, *byte)));
        }
        assert_eq!(self.io.merged(&runs).collect::<Vec<_>>().concat(), taken);
        queue.held += runs.len();
        let mut rest = &taken[..];
        for run in runs {
            let (bytes, after) = rest.split_at(run.len());
            rest = after;
            self.held.push(Held { lane, run, bytes: bytes.to_vec() });
        }
        assert!(rest.is_empty());
        count
    }

    fn answer(&mut self, at: usize) {
        let Held { lane, run, bytes } = self.held.swap_remove(at);
        assert_eq!(self.io.bytes(&run), bytes);
        self.io.release(run);
        self.queue(lane).held -= 1;
        self.forget();
    }

    fn retry(&mut self, at: usize) {
        let held = &mut self.held[at];
        let bytes = self.io.bytes_mut(&mut held.run);
        assert_eq!(bytes, held.bytes);
        bytes[0] = !bytes[0];
        held.bytes[0] = !held.bytes[0];
    }

    fn split(&mut self, at: usize, cut: usize) {
        let len = self.held[at].run.len();
        if len < 2 {
            return;
        }
        let cut = 1 + cut % (len - 1);
        let Held { lane, run, mut bytes } = self.held.swap_remove(at);
        let (first, second) = self.io.split_run(run, cut);
        assert!(self.io.slices_adjacent(&first, &second));
        let tail = bytes.split_off(cut);
        self.held.push(Held { lane, run: first, bytes });
        self.held.push(Held { lane, run: second, bytes: tail });
        self.queue(lane).held += 1;
    }

    /// Waiters are granted whole and in turn, and as soon as there is enough for the oldest.
    fn settle(&mut self) {
        self.io.settle();
        while let Some(&oldest) = self.waiting.front() {
            let Sender { end, wanted, grant } = &mut self.senders[oldest];
            if let Some(granted) = end.poll_wait().expect("open") {
                *grant = Some((granted, *wanted));
                *wanted = 0;
                self.waiting.pop_front();
            } else {
                let free = self.io.free_segments();
                assert!(free < *wanted, "{free} segments are free, {wanted} wanted");
                break;
            }
        }
        for &younger in self.waiting.iter().skip(1) {
            assert!(matches!(self.senders[younger].end.poll_wait(), Ok(None)), "a younger sender overtakes");
        }
        let account = self.io.account();
        assert!(account.set_aside == 0 || !self.waiting.is_empty(), "set aside for nobody: {account:?}");
    }

    fn retire(&mut self) {
        self.collect();
        let mut gone = Vec::new();
        let before = std::mem::take(&mut self.active);
        let mut lanes = before.clone();
        self.io.retire(&mut lanes, &mut gone);
        let finished = self.finished;
        for lane in before {
            let active = lanes.contains(&lane);
            let queue = self.queue(lane);
            queue.active = active;
            queue.unseen = 0;
            let busy = !queue.bytes.is_empty() || (queue.claimed && !finished);
            assert_eq!(active, busy, "drained lanes retire, and only they");
        }
        self.active = lanes;
        self.gone.extend(gone);
        self.forget();
    }

    /// Forgets lanes that are gone once nothing of theirs is held.
    fn forget(&mut self) {
        let Self { io, queues, gone, .. } = self;
        gone.retain(|lane| {
            if queues[lane.index()].as_ref().is_some_and(|queue| queue.held > 0) {
                return true;
            }
            let queue = queues[lane.index()].take().expect("gone once");
            assert!(queue.bytes.is_empty() && !queue.active, "gone with bytes, or while it is listed");
            io.forget(*lane);
            false
        });
    }

    fn wait(&mut self, sender: usize, segments: u32) {
        let state = &mut self.senders[sender];
        if state.wanted > 0 || state.grant.is_some() {
            return;
        }
        match state.end.begin_wait(segments) {
            Ok(()) => {
                assert!(!self.closed);
                state.wanted = segments as usize;
                self.waiting.push_back(sender);
            }
            Err(ClaimError::NeverFits { .. }) => assert!(segments as usize > self.io.total_segments()),
            Err(error) => assert!(self.closed && error == ClaimError::Closed),
        }
    }

    fn deadline(&mut self, sender: usize) {
        let state = &mut self.senders[sender];
        if state.wanted > 0 {
            assert!(state.end.cancel_wait().is_none(), "a grant is looked at as soon as it is there");
            state.wanted = 0;
            self.waiting.retain(|&waiting| waiting != sender);
        }
    }

    fn replace_sender(&mut self, sender: usize) {
        self.waiting.retain(|&waiting| waiting != sender);
        self.senders[sender] = Sender { end: self.engine.producer_end(), wanted: 0, grant: None };
    }

    fn close(&mut self) {
        let mut pending = Vec::new();
        self.io.close(&mut pending);
        self.ended(&pending);
    }

    fn finish(&mut self) {
        let mut pending = Vec::new();
        self.io.finish(&mut pending);
        self.finished = true;
        self.ended(&pending);
        for queue in self.queues.iter_mut().flatten() {
            queue.unseen = 0;
        }
    }

    /// No wait outlives the close, and what lanes hold is seen.
    fn ended(&mut self, pending: &[LaneId]) {
        if !std::mem::replace(&mut self.closed, true) {
            for queue in self.queues.iter_mut().flatten() {
                queue.unseen = 0;
            }
        }
        self.activate(pending);
        for sender in self.waiting.drain(..) {
            let Sender { end, wanted, .. } = &mut self.senders[sender];
            assert!(matches!(end.poll_wait(), Err(ClaimError::Closed)), "a wait outlives the close");
            *wanted = 0;
        }
    }
}
