//! One turn: look at the lanes that live, decide which partitions are due, and send.
//!
//! The cost of a turn follows the active lanes. Partitions that could not send anyway (their leader's slots are all in
//! use) are not even looked at, so that the I/O thread does not chase its senders.

use forebay_engine::{IoSide, LaneId, mutant};

use super::Core;
use super::lane::{AGE_PARTS, Lane};
use super::partition::Partition;
use super::rest::Which;
use crate::time::Time;
use crate::topics::TopicId;

/// What a look at a partition tells.
enum Verdict {
    /// Send now, to the broker with this index.
    Ready(usize),
    /// Not before this moment, and records may come meanwhile.
    Gathering(Time),
    /// Not before this moment, whatever comes.
    Later(Time),
    /// May be sent to this broker, and is compressed elsewhere before that.
    ToPack(usize),
    /// Nothing there.
    Empty,
    /// Waits for the cluster: an answer, a connection, metadata.
    Blocked,
}

impl Core {
    /// Looks at everything that may have changed by itself: lanes and timers. Cheap when nothing has.
    pub fn turn(&mut self, now: Time) {
        self.io.awake();
        self.connection_timers(now);
        self.expire(now);
        self.collect(now);
        self.close_turn(now);
        self.schedule(now);
        self.weigh_loads(now);
        self.identity_turn(now);
        self.metadata_turn(now);
        let wanted = self.io.waiting_senders() > 0 && !self.is_on_backlog();
        self.reclaim_at = if wanted { self.retire(now, Which::Wanted).idle_at } else { Time::MAX };
        self.io.settle();
        self.last_turn = now;
        self.slept_deep = false;
        self.rung = Time::MAX;
        self.stirred = false;
        if cfg!(debug_assertions) {
            self.audit();
        }
    }

    /// The bell was rung at that moment, the first time since [`Core::rest`]. To be called before [`Core::turn`]: whoever wakes up
    /// may be let run a good deal later, and the records that rang count from there.
    pub fn rung(&mut self, at: Time) {
        if !mutant!("a_late_wake_up_makes_records_young") {
            self.rung = self.rung.min(at);
        }
    }

    fn collect(&mut self, now: Time) {
        self.take_in(IoSide::collect_ready, now);
    }

    /// Takes in the lanes that `list` names: those that have come to life.
    pub(super) fn take_in(&mut self, list: impl FnOnce(&mut IoSide, &mut Vec<LaneId>), now: Time) {
        let mut lanes = std::mem::take(&mut self.scratch.lanes);
        list(&mut self.io, &mut lanes);
        for lane in lanes.drain(..) {
            self.admit(lane, now);
        }
        self.scratch.lanes = lanes;
    }

    /// Takes in a lane that has come to life.
    fn admit(&mut self, id: LaneId, now: Time) {
        if self.ledger.lane(id).is_none() {
            let tag = self.io.lane_tag(id);
            let partition = self.partition_of(tag, now);
            self.ledger.add_lane(Lane::new(id, tag, partition));
        }
        let Some(lane) = self.ledger.lane_mut(id) else { return };
        let (partition, tag) = (lane.partition, lane.tag);
        if lane.listed {
            return;
        }
        // What came to life in deep sleep has rung; what a nap gathered may be as old as the nap.
        let earliest = if self.slept_deep { self.rung.min(now) } else { self.last_turn };
        lane.activate(earliest, now);
        self.partitions[partition as usize].lanes.push(id);
        self.enlist(partition);
        self.use_topic(TopicId::of_tag(tag).0, now);
        if !mutant!("nobody_looks_for_old_bytes") {
            self.next_sweep = self.next_sweep.min(now + self.cfg.delivery_timeout / AGE_PARTS);
        }
    }

    fn partition_of(&mut self, tag: u64, now: Time) -> u32 {
        if let Some(found) = self.by_tag.get(&tag) {
            return *found;
        }
        let (topic, index) = TopicId::of_tag(tag);
        self.want_topic(topic, now);
        self.loads.know(topic, &self.topics);
        let number = self.partitions.len() as u32;
        self.partitions.push(Partition::new(topic, index as i32));
        self.by_tag.insert(tag, number);
        number
    }

    pub(super) fn enlist(&mut self, partition: u32) {
        if !std::mem::replace(&mut self.partitions[partition as usize].listed, true) {
            self.active.push(partition);
        }
    }

    /// Reads how much a lane holds.
    pub(super) fn look(&mut self, id: LaneId, now: Time) -> usize {
        let mut pending = self.io.observe(id);
        if let Some(lane) = self.ledger.lane_mut(id) {
            if lane.pending == 0 && pending > 0 && self.io.peek_window(id).is_some() {
                // The peek has moved on to the segment that holds the next byte: what was left of the one before does
                // not count as pending any more.
                pending = self.io.observe(id);
            }
            lane.seen(pending, now, self.cfg.delivery_timeout, || self.io.untaken(id));
        }
        pending
    }

    /// Takes in and looks at every active lane, whether it could send or not.
    pub(super) fn look_at_everything(&mut self, now: Time) {
        self.collect(now);
        for at in 0..self.active.len() {
            self.look_at_lanes(self.active[at], now);
        }
    }

    /// Looks at the active lanes of a partition.
    pub(super) fn look_at_lanes(&mut self, number: u32, now: Time) {
        for at in 0..self.partitions[number as usize].lanes.len() {
            let lane = self.partitions[number as usize].lanes[at];
            self.look(lane, now);
        }
    }

    /// Looks at all partitions that may have something to send, and sends what is due.
    pub(super) fn look_for_ready(&mut self, now: Time) {
        self.due_at = Time::MAX;
        self.listening = false;
        for broker in 0..self.brokers.len() {
            self.brokers.get_mut(broker).ready.clear();
        }
        for connection in self.connections.iter_mut().flatten() {
            connection.wanted = false;
        }
        let pressure = self.io.waiting_senders() > 0;
        let mut at = 0;
        while at < self.active.len() {
            let number = self.active[at];
            let partition = &mut self.partitions[number as usize];
            if partition.lanes.is_empty() && partition.retry.is_empty() && partition.packing.is_empty() {
                partition.listed = false;
                self.active.swap_remove(at);
                continue;
            }
            let verdict = self.assess(number, pressure, now);
            self.partitions[number as usize].blocked = matches!(verdict, Verdict::Blocked | Verdict::Later(_));
            at += 1;
            match verdict {
                Verdict::Ready(broker) => {
                    self.brokers.get_mut(broker).ready.push(number);
                    self.listening = true;
                }
                Verdict::Gathering(due) => {
                    self.gathers_until(due);
                    self.listening = true;
                }
                Verdict::ToPack(broker) => {
                    if self.packed_head(number).is_some() {
                        self.brokers.get_mut(broker).ready.push(number);
                    }
                    self.scratch.to_pack.push(number);
                }
                Verdict::Later(due) => self.due_at = self.due_at.min(due),
                Verdict::Empty => self.listening = true,
                Verdict::Blocked => {}
            }
        }
        if !self.scratch.to_pack.is_empty() {
            self.hand_out(pressure, now);
        }
        for broker in 0..self.brokers.len() {
            if !self.brokers.get(broker).ready.is_empty() {
                self.send_to(broker, now);
            }
        }
    }

    fn assess(&mut self, number: u32, pressure: bool, now: Time) -> Verdict {
        let partition = &self.partitions[number as usize];
        let leader = self.metadata.leader(partition.topic, partition.index);
        let broker = self.brokers.find(leader.node);
        let connection = broker.and_then(|b| self.ready_connection(b));
        if let Some(conn) = connection
            && !self.has_slot(conn)
        {
            if let Some(connection) = self.connection_mut(conn) {
                connection.wanted = true;
            }
            return Verdict::Blocked;
        }
        if self.is_full(partition)
            || (!partition.in_flight.is_empty() && connection.is_none_or(|c| partition.conn != Some(c)))
        {
            return Verdict::Blocked;
        }
        if let Some((_, head)) = partition.retry.front() {
            if !partition.in_flight.is_empty() {
                return Verdict::Blocked;
            }
            if partition.gap.is_some() && !self.batches.get(*head).maybe_appended && !self.bump_epoch(number) {
                return Verdict::Blocked;
            }
            let partition = &self.partitions[number as usize];
            if now < partition.retry_at && leader == partition.failed_leader {
                return Verdict::Later(partition.retry_at);
            }
        } else {
            let due = if self.packed_head(number).is_some() { Some(now) } else { self.due(number, pressure, now) };
            let Some(due_at) = due else { return Verdict::Empty };
            if due_at > now {
                // The way there is prepared while records gather.
                self.reach(number, broker, now);
                return Verdict::Gathering(due_at);
            }
            let partition = &self.partitions[number as usize];
            if partition.gap.is_some() && (!partition.in_flight.is_empty() || !self.bump_epoch(number)) {
                return Verdict::Blocked;
            }
            if self.refused(number, now) || !self.has_identity(number) {
                return Verdict::Blocked;
            }
        }
        match (broker, connection) {
            (Some(broker), Some(_)) => match self.brokers.get(broker).throttled_until {
                until if until > now => Verdict::Later(until),
                _ if self.packs_elsewhere() && self.partitions[number as usize].retry.is_empty() => {
                    Verdict::ToPack(broker)
                }
                _ => Verdict::Ready(broker),
            },
            _ => self.reach(number, broker, now).map_or(Verdict::Blocked, Verdict::Later),
        }
    }

    /// Looks at the lanes of a partition. None if they are empty, else when the partition is due.
    pub(super) fn due(&mut self, number: u32, pressure: bool, now: Time) -> Option<Time> {
        let (mut pending, mut oldest, mut urgent) = (0, Time::MAX, pressure || self.closing.is_begun());
        for at in 0..self.partitions[number as usize].lanes.len() {
            let id = self.partitions[number as usize].lanes[at];
            if self.look(id, now) == 0 {
                continue;
            }
            let Some(lane) = self.ledger.lane(id) else { continue };
            pending += lane.pending;
            oldest = oldest.min(lane.oldest());
            urgent |= lane.is_flushed();
        }
        if pending == 0 {
            return None;
        }
        Some(if urgent || pending >= self.cfg.batch_size { now } else { oldest + self.cfg.linger })
    }

    /// After a cut: whether what is left is due as well. Uses what was seen before the cut.
    pub(super) fn still_due(&self, number: u32, now: Time) -> bool {
        let partition = &self.partitions[number as usize];
        if self.is_full(partition) || !partition.retry.is_empty() || !self.has_identity(number) {
            return false;
        }
        if self.packs_elsewhere() {
            return self.packed_head(number).is_some();
        }
        let (mut pending, mut urgent) = (0, self.closing.is_begun());
        for lane in partition.lanes.iter().filter_map(|id| self.ledger.lane(*id)).filter(|lane| lane.pending > 0) {
            pending += lane.pending;
            urgent |= lane.is_flushed() || lane.oldest() + self.cfg.linger <= now;
        }
        pending > 0 && (urgent || pending >= self.cfg.batch_size)
    }

    /// Whether a partition has as many batches in flight as it may.
    pub(super) fn is_full(&self, partition: &Partition) -> bool {
        let limit = partition.in_flight_limit(self.cfg.max_in_flight, self.cfg.enable_idempotence);
        partition.in_flight.len() >= limit
    }

    /// Does what is needed to reach a partition's leader: metadata, a connection. Answers when to try again, if a
    /// backoff is what keeps it.
    fn reach(&mut self, number: u32, broker: Option<usize>, now: Time) -> Option<Time> {
        if let Some(broker) = broker {
            return self.connect(broker, now);
        }
        let topic = self.partitions[number as usize].topic;
        self.want_leader(topic, now);
        None
    }

    /// Fails what is buffered for a partition whose topic will not take it, or whose broker lets nobody in. Answers whether it did.
    fn refused(&mut self, number: u32, now: Time) -> bool {
        let refusal = self.metadata.refusal(self.partitions[number as usize].topic);
        let Some(failure) = refusal.or_else(|| self.denial(number, now)) else { return false };
        for at in 0..self.partitions[number as usize].lanes.len() {
            let id = self.partitions[number as usize].lanes[at];
            self.fail_lane(id, usize::MAX, &failure, now);
        }
        self.fail_packing(number, &failure);
        // What is not allowed now may be allowed soon: records that come later deserve a fresh answer.
        self.metadata.want();
        true
    }
}
