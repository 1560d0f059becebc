//! The application's threads: they send, wait for memory and metadata, flush, give up half-way, end and begin anew.

use std::collections::BTreeMap;

use forebay_engine::{ClaimError, Grant, Lane, ProducerEnd};
use forebay_io::core::Request;
use forebay_io::time::Time;
use forebay_io::topics::TopicId;
use forebay_io::wire::record::{HEAD_MAX, Shape, WINDOW_MS, encode_to};

use crate::cluster::filling;
use crate::events::Event;
use crate::plan::us;
use crate::world::World;

/// The start of the run, in ms since 1970.
const EPOCH_MS: i64 = 1_760_000_000_000;

/// A record that has its place and its time, and not yet its memory.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    topic: usize,
    partition: u32,
    id: u64,
    len: usize,
    timestamp: i64,
    window: i64,
}

#[derive(Debug)]
pub(crate) enum State {
    Idle,
    /// Waits for a topic's partitions.
    Metadata {
        topic: usize,
        deadline: Time,
    },
    /// Waits for memory.
    Memory {
        draft: Draft,
        place: u64,
        since: Time,
        segments: u32,
        deadline: Time,
    },
    /// Waits for a flush.
    Flush {
        token: u64,
    },
    /// Holds a claim.
    Claiming,
    /// The producer is closed.
    Over,
}

pub(crate) struct OpenLane {
    lane: Lane,
    number: u32,
}

pub(crate) struct Sender {
    end: Option<ProducerEnd>,
    lanes: BTreeMap<(usize, u32), OpenLane>,
    pub(crate) state: State,
    /// Which of its events counts.
    pub(crate) generation: u64,
}

impl Sender {
    pub(crate) fn new(end: ProducerEnd) -> Self {
        Self { end: Some(end), lanes: BTreeMap::new(), state: State::Idle, generation: 0 }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Metadata { deadline, .. } | State::Memory { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// In line for memory, no grant having come.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.state, State::Memory { .. }) && self.end.is_some()
    }
}

impl World {
    /// A sender's turn has come.
    pub(crate) fn sender(&mut self, number: usize, generation: u64) {
        if generation != self.senders[number].generation {
            return;
        }
        match std::mem::replace(&mut self.senders[number].state, State::Idle) {
            State::Idle => self.act(number),
            State::Metadata { topic, deadline } => self.look_at_topic(number, topic, deadline),
            State::Memory { draft, place, since, segments, deadline } => {
                self.senders[number].state = State::Memory { draft, place, since, segments, deadline };
                self.look_at_mailbox(number, deadline);
            }
            State::Flush { token } => {
                if self.book.is_flushing(token) && !self.io.over {
                    self.senders[number].state = State::Flush { token };
                }
            }
            state @ (State::Claiming | State::Over) => self.senders[number].state = state,
        }
        self.look_at_bell();
        if matches!(self.senders[number].state, State::Idle) {
            self.come_back(number);
        }
    }

    /// A sender that has nothing to wait for does the next thing after a while.
    pub(crate) fn come_back(&mut self, number: usize) {
        if self.quiet {
            return;
        }
        let mean = self.plan.think.as_micros() as u64;
        let pause = us(self.rng.u64(0..mean * 2));
        self.senders[number].generation += 1;
        let generation = self.senders[number].generation;
        self.events.add(self.now + pause, Event::Sender { number, generation });
    }

    fn act(&mut self, number: usize) {
        if self.quiet {
            return;
        }
        match self.rng.u32(..100) {
            0..=3 => self.flush(number),
            4 | 5 => self.begin_anew(number),
            _ => {
                let burst = if self.rng.u32(..4) == 0 { self.rng.u32(1..20) } else { self.rng.u32(1..4) };
                for _ in 0..burst {
                    self.send_some(number, true);
                    if !matches!(self.senders[number].state, State::Idle) {
                        break;
                    }
                }
            }
        }
    }

    fn flush(&mut self, number: usize) {
        self.tokens += 1;
        let token = self.tokens;
        self.trace(|| format!("sender {number} flushes: {token}"));
        self.book.flush_called(token);
        self.requests.push(Request::Flush { token });
        self.wake_io();
        if self.rng.bool() {
            self.senders[number].state = State::Flush { token };
        }
    }

    /// Ends a sender, lanes and all, and begins another in its place.
    fn begin_anew(&mut self, number: usize) {
        self.trace(|| format!("sender {number} ends, another begins"));
        let generation = self.senders[number].generation;
        self.end_sender(number);
        let mut sender = Sender::new(self.engine.producer_end());
        sender.generation = generation;
        self.senders[number] = sender;
    }

    pub(crate) fn end_sender(&mut self, number: usize) {
        let sender = &mut self.senders[number];
        for open in std::mem::take(&mut sender.lanes).into_values() {
            self.book.lanes[open.number as usize].dropped = true;
            drop(open);
        }
        sender.end = None;
        sender.state = State::Over;
        self.look_at_bell();
    }

    /// Sends one record somewhere. With `patience` it may wait, and hold its claim for a while.
    pub(crate) fn send_some(&mut self, number: usize, patience: bool) {
        let topic = self.rng.usize(..self.topics.len());
        let known = self.table.entry(self.topics[topic]).map_or(0, |entry| entry.partitions());
        let Some(partition) = (known > 0).then(|| self.rng.u32(..known)) else {
            self.requests.push(Request::WantTopic(self.topics[topic]));
            self.wake_io();
            if patience {
                let deadline = self.now + self.plan.max_block;
                self.senders[number].state = State::Metadata { topic, deadline };
                let generation = self.senders[number].generation;
                self.events.add(deadline, Event::Sender { number, generation });
            }
            return;
        };
        self.send_to(number, topic, partition, patience);
    }

    pub(crate) fn send_to(&mut self, number: usize, topic: usize, partition: u32, patience: bool) {
        let len = match self.rng.u32(..10) {
            0 => self.rng.usize(8..self.plan.largest_value.max(9)),
            1 | 2 => self.rng.usize(8..self.plan.largest_value.clamp(9, 1_000)),
            _ => self.rng.usize(8..120),
        };
        let now_ms = EPOCH_MS + (self.now.0 / 1_000_000) as i64;
        let own = if self.rng.u32(..20) == 0 { self.rng.i64(0..100_000) } else { 0 };
        let draft = Draft {
            topic,
            partition,
            id: self.book.intend(topic, partition),
            len,
            timestamp: now_ms - own,
            window: now_ms & !(WINDOW_MS - 1),
        };
        self.claim(number, draft, None, patience, self.now + self.plan.max_block);
    }

    fn look_at_topic(&mut self, number: usize, topic: usize, deadline: Time) {
        let known = self.table.entry(self.topics[topic]).is_some_and(|entry| entry.partitions() > 0);
        if known || self.io.over || self.now >= deadline {
            self.waits_over(deadline);
        } else {
            self.senders[number].state = State::Metadata { topic, deadline };
        }
    }

    fn look_at_mailbox(&mut self, number: usize, deadline: Time) {
        let Some(end) = &mut self.senders[number].end else { return };
        let mut found = end.poll_wait();
        if matches!(found, Ok(None)) {
            if self.now < deadline {
                return;
            }
            found = Ok(end.cancel_wait());
        }
        let State::Memory { draft, .. } = std::mem::replace(&mut self.senders[number].state, State::Idle) else {
            return;
        };
        self.waits_over(deadline);
        match found {
            Ok(Some(grant)) => self.claim(number, draft, Some(grant), true, deadline),
            Ok(None) => {
                self.timeouts += 1;
                self.trace(|| format!("sender {number} gives up waiting for memory: record {}", draft.id));
            }
            Err(_) => self.senders[number].state = State::Over,
        }
    }

    fn waits_over(&self, deadline: Time) {
        assert!(self.now <= deadline + crate::book::SLACK, "max.block.ms is over, and nobody has told the sender");
    }

    fn claim(&mut self, number: usize, draft: Draft, grant: Option<Grant>, patience: bool, deadline: Time) {
        let key = (draft.topic, draft.partition);
        let tag = TopicId(self.topics[draft.topic].0).lane_tag(draft.partition);
        let sender = &mut self.senders[number];
        let Some(end) = &sender.end else { return };
        let mut open = match sender.lanes.remove(&key) {
            Some(open) => open,
            None => match end.lane(tag) {
                Ok(lane) => {
                    let number = self.book.lane_opened(lane.id(), tag);
                    OpenLane { lane, number }
                }
                Err(_) => return sender.state = State::Over,
            },
        };
        self.write_record(number, draft, &mut open, grant, patience, deadline);
        if self.senders[number].end.is_some() {
            self.senders[number].lanes.insert(key, open);
        } else {
            self.book.lanes[open.number as usize].dropped = true;
        }
        self.look_at_bell();
    }

    fn write_record(
        &mut self,
        number: usize,
        draft: Draft,
        open: &mut OpenLane,
        grant: Option<Grant>,
        patience: bool,
        deadline: Time,
    ) {
        let delta = draft.timestamp - draft.window;
        let shape = Shape::measure(delta, None, Some(draft.len), &[]).expect("a record that can be expressed");
        let head = HEAD_MAX.min(shape.total_len);
        open.lane.set_window(draft.window);
        let claimed = match grant {
            Some(grant) => open.lane.claim_with(grant, shape.total_len, head),
            None => open.lane.claim(shape.total_len, head),
        };
        match claimed {
            Ok(mut claim) => {
                let (holds, aborts) = (patience && self.rng.u32(..15) == 0, self.rng.u32(..40) == 0);
                if holds && !self.io.running && self.held < 2 {
                    // The I/O thread and everybody else go on while the record is being written.
                    self.senders[number].state = State::Claiming;
                    self.held += 1;
                    let until = self.now + us(self.rng.u64(1..30_000));
                    self.run_until(until);
                    self.held -= 1;
                    self.senders[number].state = State::Idle;
                }
                if aborts {
                    drop(claim);
                    self.late_claims += u64::from(self.core.is_closed());
                } else {
                    let value = value(draft.id, draft.len);
                    encode_to(&shape, delta, None, Some(&value), &[], &mut |bytes: &[u8]| claim.put(bytes));
                    if claim.commit().is_ok() {
                        self.book.committed(draft.id, open.number, self.now);
                        self.trace(|| format!("sender {number} sends {draft:?}"));
                    } else {
                        self.late_claims += 1;
                    }
                }
            }
            Err(ClaimError::Full { segments }) if patience => self.wait(number, draft, segments, deadline),
            Err(ClaimError::Closed) => self.senders[number].state = State::Over,
            Err(_) => {}
        }
    }

    fn wait(&mut self, number: usize, draft: Draft, segments: u32, deadline: Time) {
        let sender = &mut self.senders[number];
        let Some(end) = &mut sender.end else { return };
        match end.begin_wait(segments) {
            Ok(()) => {
                self.waits += 1;
                let generation = sender.generation;
                sender.state = State::Memory { draft, place: self.waits, since: self.now, segments, deadline };
                self.events.add(deadline.max(self.now), Event::Sender { number, generation });
            }
            Err(ClaimError::Closed) => sender.state = State::Over,
            Err(_) => {}
        }
    }
}

fn value(id: u64, len: usize) -> Vec<u8> {
    let mut value = vec![filling(id); len];
    value[..8].copy_from_slice(&id.to_be_bytes());
    value
}
