//! The engine without the lanes' producer ends, and the queues that it is compared with.

use crate::operations::Step;
use crate::support::Bell;
use forebay_engine::{ClaimError, Engine, Grant, IoSide, LaneId, ProducerEnd, Run, Sleep};
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) const SEGMENT: usize = 64;

/// One sending thread's memory.
pub(crate) struct Sender {
    pub(crate) end: ProducerEnd,
    /// Segments waited for; 0 while it does not wait.
    pub(crate) wanted: usize,
    /// Segments that were granted and not looked at yet.
    pub(crate) unread: usize,
    pub(crate) grant: Option<(Grant, usize)>,
}

impl Sender {
    /// A grant that came is looked at.
    pub(crate) fn look(&mut self) {
        if self.unread > 0 {
            let grant = self.end.poll_wait().expect("open").expect("a younger sender overtakes");
            self.grant = Some((grant, std::mem::take(&mut self.unread)));
        }
    }
}

/// What a lane must hold: each byte published and not taken, with its window.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) bytes: VecDeque<(i64, u8)>,
    /// Handed out by `collect_ready` and not retired since.
    pub(crate) active: bool,
    /// Its producer is writing a record.
    pub(crate) claimed: bool,
    /// Its producer has written one, and was refused: the I/O side cannot tell that from the former.
    pub(crate) refused: bool,
    /// Segments committed since the I/O side last looked.
    pub(crate) unseen: usize,
    /// Segments that the lane holds and has not begun.
    pub(crate) ahead: usize,
    /// Runs that are not released yet.
    pub(crate) held: usize,
}

pub(crate) struct Held {
    pub(crate) lane: LaneId,
    pub(crate) run: Run,
    pub(crate) bytes: Vec<u8>,
}

/// A sleep of the I/O thread that nobody has ended yet.
pub(crate) struct Asleep {
    pub(crate) how: Sleep,
    /// Rings before it.
    pub(crate) rings: usize,
    /// Who waited when it began.
    pub(crate) queue: VecDeque<usize>,
}

/// All but the lanes' producer ends, so that anything may happen while one of those is being written to.
pub(crate) struct Rest {
    pub(crate) engine: Engine,
    pub(crate) io: IoSide,
    pub(crate) bell: Arc<Bell>,
    pub(crate) senders: Vec<Sender>,
    /// By lane number.
    pub(crate) queues: Vec<Option<Queue>>,
    /// Senders that wait, oldest first.
    pub(crate) waiting: VecDeque<usize>,
    pub(crate) held: Vec<Held>,
    /// Reported gone, with runs still held.
    pub(crate) gone: Vec<LaneId>,
    /// To watch: listed, and not retired since.
    pub(crate) active: Vec<LaneId>,
    pub(crate) asleep: Option<Asleep>,
    /// The oldest waiter has left since the last settle.
    pub(crate) abandoned: bool,
    /// Claims that were still held when their lane was retired.
    pub(crate) left: usize,
    /// Segments that the claim in progress took.
    pub(crate) claiming: usize,
    /// Segments of records that were refused at the end: nobody will read them, and the engine is over.
    pub(crate) lost: usize,
    pub(crate) closed: bool,
    pub(crate) finished: bool,
}

impl Rest {
    pub(crate) fn queue(&mut self, lane: LaneId) -> &mut Queue {
        self.queues[lane.index()].as_mut().expect("registered")
    }

    pub(crate) fn rings(&self) -> usize {
        self.bell.rings()
    }

    pub(crate) fn step(&mut self, step: &Step) {
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
            Step::DropGrant { sender } => {
                self.senders[sender].look();
                self.senders[sender].grant = None;
            }
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
    pub(crate) fn check(&mut self) {
        for held in &self.held {
            assert_eq!(self.io.bytes(&held.run), held.bytes, "memory was reused before it was released");
        }
        let account = self.io.account();
        let granted =
            self.senders.iter().map(|sender| sender.unread + sender.grant.as_ref().map_or(0, |grant| grant.1));
        let granted: usize = granted.sum();
        let unseen: usize = self.queues.iter().flatten().map(|queue| queue.unseen).sum();
        let ahead: usize = self.queues.iter().flatten().map(|queue| queue.ahead).sum();
        let senders = granted + unseen + ahead + self.claiming + self.lost;
        assert_eq!(account.with_senders, senders, "what senders have: {account:?}");
        assert!(account.left <= self.left, "what claims were left with: {account:?}");
        assert_eq!(account.total(), self.io.total_segments(), "{account:?}");
        let touched: usize = self.held.iter().map(|held| self.io.segments_of(&held.run)).sum();
        assert_eq!(account.runs, touched, "{account:?}");
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
    pub(crate) fn check_sleep(&mut self) {
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

    pub(crate) fn sleep(&mut self, how: Sleep) {
        let rings = self.rings();
        if self.io.prepare_sleep(how) {
            // After the close nobody can want it.
            let wanted = self.abandoned && !self.closed;
            assert!(!wanted || self.io.account().set_aside == 0, "memory set aside for nobody is slept on");
            self.asleep = Some(Asleep { how, rings, queue: self.waiting.clone() });
        }
    }

    /// Waiters are granted whole and in turn, and as soon as there is enough for the oldest.
    pub(crate) fn settle(&mut self) {
        self.io.settle();
        self.abandoned = false;
        let granted = self.waiting.len() - self.io.waiting_senders();
        for sender in self.waiting.drain(..granted) {
            let Sender { wanted, unread, .. } = &mut self.senders[sender];
            *unread = std::mem::take(wanted);
        }
        if let Some(&oldest) = self.waiting.front() {
            let Sender { end, wanted, .. } = &mut self.senders[oldest];
            assert!(matches!(end.poll_wait(), Ok(None)), "a younger sender overtakes");
            let free = self.io.free_segments();
            assert!(free < *wanted, "{free} segments are free, {wanted} wanted");
        }
        for &younger in self.waiting.iter().skip(1) {
            assert!(matches!(self.senders[younger].end.poll_wait(), Ok(None)), "a younger sender overtakes");
        }
        let account = self.io.account();
        assert!(account.set_aside == 0 || !self.waiting.is_empty(), "set aside for nobody: {account:?}");
    }

    pub(crate) fn wait(&mut self, sender: usize, segments: u32) {
        let state = &mut self.senders[sender];
        if state.wanted > 0 || state.unread > 0 || state.grant.is_some() {
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

    pub(crate) fn deadline(&mut self, sender: usize) {
        let state = &mut self.senders[sender];
        if state.wanted > 0 {
            assert!(state.end.cancel_wait().is_none(), "nothing was granted");
            state.wanted = 0;
            self.leave(sender);
        } else if state.unread > 0 {
            let grant = state.end.cancel_wait().expect("the grant came first");
            state.grant = Some((grant, std::mem::take(&mut state.unread)));
        }
    }

    pub(crate) fn leave(&mut self, sender: usize) {
        self.abandoned |= self.waiting.front() == Some(&sender);
        self.waiting.retain(|&waiting| waiting != sender);
    }

    pub(crate) fn replace_sender(&mut self, sender: usize) {
        self.leave(sender);
        self.senders[sender] = Sender { end: self.engine.producer_end(), wanted: 0, unread: 0, grant: None };
    }

    pub(crate) fn close(&mut self) {
        let mut pending = Vec::new();
        self.io.close(&mut pending);
        self.ended(&pending);
    }

    pub(crate) fn finish(&mut self) {
        let mut pending = Vec::new();
        self.io.finish(&mut pending);
        self.finished = true;
        self.ended(&pending);
        for queue in self.queues.iter_mut().flatten() {
            queue.unseen = 0;
        }
    }

    /// No wait outlives the close, and what lanes hold is seen.
    pub(crate) fn ended(&mut self, pending: &[LaneId]) {
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
