//! The whole: lanes, and all the rest beside them, one operation at a time.

use crate::operations::{End, How, LANES, Operation, SENDERS, Step};
use crate::rest::{Queue, Rest, SEGMENT, Sender};
use crate::support::Bell;
use forebay_engine::{ClaimError, EngineConfig, Lane};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a record that never straddle segments.
const HEAD: usize = 18;

pub(crate) struct World {
    lanes: Vec<Option<Lane>>,
    rest: Rest,
    /// Segments that a lane takes at once at most.
    ahead: usize,
    /// What the next record begins with, so that no two look alike.
    stamp: u8,
}

impl World {
    pub(crate) fn new(segments: usize, ahead: usize) -> Self {
        let config = EngineConfig {
            memory: segments * SEGMENT,
            segment_size: SEGMENT,
            due_bytes: u32::MAX,
            ahead_bytes: (ahead * SEGMENT) as u32,
        };
        let bell = Arc::new(Bell::default());
        let (engine, io) = forebay_engine::new(config, bell.clone()).expect("a small slab");
        let senders =
            (0..SENDERS).map(|_| Sender { end: engine.producer_end(), wanted: 0, unread: 0, grant: None }).collect();
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
            abandoned: false,
            claiming: 0,
            lost: 0,
            left: 0,
            closed: false,
            finished: false,
        };
        World { lanes: (0..SENDERS * LANES).map(|_| None).collect(), rest, ahead, stamp: 0 }
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
        let Self { lanes, rest, ahead, stamp } = self;
        let lane = lanes[at].as_mut().expect("just opened");
        let (id, window) = (lane.id(), lane.window());
        let (head, most) = (size.min(HEAD), size.div_ceil(SEGMENT));
        let waited = rest.io.waiting_senders() > 0;
        let before = rest.io.account().with_senders;
        if !matches!(how, How::Free) {
            rest.senders[at / LANES].look();
        }
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
        if let Some(refused) = claim.as_ref().err().copied() {
            drop(claim);
            if !rest.closed {
                let kept = lane.segments_ahead();
                assert!(kept == rest.queue(id).ahead || (kept == 0 && waited), "given back to who waits, or kept");
                rest.queue(id).ahead = kept;
            }
            match refused {
                ClaimError::Full { segments } => {
                    let segments = segments as usize;
                    assert!(!rest.closed && (1..=most).contains(&segments), "{segments} segments for {size} bytes");
                    if let Some(given) = given {
                        assert!(given < segments, "the grant was enough");
                    } else {
                        // Either ring by itself was too short, or it is not this sender's turn. An eighth of the slab may be in
                        // neither.
                        let kept = rest.io.total_segments() / 8;
                        assert!(waited || rest.engine.available_bytes() / SEGMENT < 2 * segments + kept);
                    }
                }
                ClaimError::NeverFits { limit } => assert!(limit == rest.engine.total_bytes() && size > limit),
                ClaimError::Closed => assert!(rest.closed),
            }
            return;
        }
        let Some(mut claim) = claim.ok() else { return };
        assert!(size <= rest.engine.total_bytes() && !rest.closed);
        assert!(claim.chunk().len() >= head, "the head straddles");
        // What the lane holds is the claim's for as long as it lasts.
        let held = std::mem::take(&mut rest.queue(id).ahead);
        let claiming = rest.io.account().with_senders + given.unwrap_or(0) + held - before;
        assert!(claiming <= held + most.max(*ahead), "more than it needs");
        assert!(given.is_some() || !waited || claiming == 0 || claiming == held, "a newcomer overtakes");
        rest.claiming = claiming;
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
        let claiming = std::mem::take(&mut rest.claiming);
        let ahead = lane.segments_ahead();
        let queue = rest.queue(id);
        queue.claimed = false;
        match ended {
            // Whoever retired the lane meanwhile left the links alone.
            None if finished && !queue.active => rest.lost += held,
            None if finished => queue.ahead = held,
            None => {
                assert!(ahead <= claiming && (ahead == held || ahead == 0), "an abort leaves a trace");
                queue.ahead = ahead;
            }
            Some(Ok(())) => {
                assert!(!finished, "a record is accepted that nobody will read");
                queue.bytes.extend(record.into_iter().map(|byte| (window, byte)));
                queue.ahead = ahead;
                queue.unseen += claiming - ahead;
            }
            Some(Err(error)) => {
                assert!(finished && error == ClaimError::Closed);
                queue.refused = true;
                rest.lost += claiming;
            }
        }
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
        assert_eq!(account.free + rest.lost + account.left, rest.io.total_segments(), "a segment is lost: {account:?}");
        assert_eq!((rest.io.held_segments(), rest.io.waiting_senders()), (0, 0));
    }
}
