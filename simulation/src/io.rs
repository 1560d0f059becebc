//! The I/O thread: what the driver does, in the driver's order, with senders at work between its steps.

use forebay_io::core::{Command, FailureKind, Request, Wake};
use forebay_io::time::Time;

use crate::book::SLACK;
use crate::events::Event;
use crate::plan::{Trouble, ms, us};
use crate::senders::State;
use crate::world::World;

/// Turns without sleep, with nothing coming in between: a core that does not come to rest burns a processor.
const RESTLESS: u32 = 1_000;

#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct IoThread {
    /// Which of the wake-ups in the queue counts.
    generation: u64,
    /// When that is.
    next: Option<Time>,
    /// In the middle of a turn.
    pub(crate) running: bool,
    /// Turns in a row that ended with "now".
    restless: u32,
    /// Something came in since the last turn.
    stirred: bool,
    /// When the bell was rung, the first time since the last turn.
    rung: Option<Time>,
    pub(crate) over: bool,
    pub(crate) turns: u64,
}

impl World {
    /// The I/O thread has something to do.
    pub(crate) fn wake_io(&mut self) {
        self.io.stirred = true;
        if !self.io.running {
            let at = self.now + us(self.rng.u64(0..40));
            self.wake_io_at(at);
        }
    }

    fn wake_io_at(&mut self, at: Time) {
        // Nothing wakes a thread that is not let run.
        let at = at.max(self.book.ran_again());
        if self.io.over || self.io.next.is_some_and(|next| next <= at) {
            return;
        }
        self.io.next = Some(at);
        self.io.generation += 1;
        self.events.add(at, Event::Io { generation: self.io.generation });
    }

    /// After anything that senders did.
    pub(crate) fn look_at_bell(&mut self) {
        if self.bell.is_rung() {
            self.io.rung.get_or_insert(self.now);
            self.wake_io();
        }
    }

    pub(crate) fn io_event(&mut self, generation: u64) {
        if generation != self.io.generation || self.io.over {
            return;
        }
        self.io.next = None;
        if self.cluster.has(Trouble::Hiccups) && self.rng.u32(..200) == 0 {
            self.faults += 1;
            let until = self.now + ms(self.rng.u64(5..800));
            self.book.hiccup(self.now, until);
            self.trace(|| format!("the I/O thread does not run until {}", until.0));
            return self.wake_io_at(until);
        }
        self.io.running = true;
        self.turn();
        self.io.running = false;
    }

    fn turn(&mut self) {
        let now = self.now;
        self.io.turns += 1;
        // The poll returns.
        self.bell.silence();
        if let Some(at) = self.io.rung.take() {
            self.core.rung(at);
        }
        if std::mem::take(&mut self.io.stirred) {
            self.io.restless = 0;
        }
        for (conn, result) in std::mem::take(&mut self.opened) {
            match result {
                Ok(()) => self.core.connected(conn, now),
                Err(why) => self.core.closed(conn, why, now),
            }
        }
        self.read();
        for request in std::mem::take(&mut self.requests) {
            self.core.request(request, now);
            if let Request::Flush { token } = request {
                self.book.flush_heard(token);
            }
        }
        self.take_jobs_back();
        self.slip();
        self.core.turn(now);
        self.hand_out_jobs();
        self.slip();
        while let Some(command) = self.core.next_command() {
            match command {
                Command::Connect { conn, host, port, attempt } => self.connect(conn, &host, port, attempt),
                Command::Credentials { .. } => unreachable!("nobody asks who we are"),
                Command::Close { conn } => {
                    self.trace(|| format!("close {conn:?}"));
                    self.close(conn);
                    self.core.closed(conn, "closed", now);
                }
            }
        }
        self.slip();
        self.write_all();
        while self.core.go_on(now) {
            self.slip();
            self.write_all();
        }
        self.hand_on();
        assert!(!self.core.is_poisoned(), "a record in the slab does not parse");
        if self.core.is_closed() {
            self.io.over = true;
            return self.nudge_senders();
        }
        self.slip();
        self.sleep();
        self.nudge_senders();
    }

    fn write_all(&mut self) {
        let links: Vec<usize> = self.by_conn.values().copied().collect();
        for link in links {
            self.write(link);
        }
    }

    fn read(&mut self) {
        let links: Vec<usize> = self.by_conn.values().copied().collect();
        for link in links {
            let conn = self.links[link].conn;
            while let Some(bytes) = self.links[link].inbox.pop_front() {
                for chunk in bytes.chunks(self.plan.read_limit.min(bytes.len().max(1))) {
                    self.core.received(conn, chunk, self.now);
                }
            }
            if let Some(why) = self.links[link].broken {
                self.trace(|| format!("{conn:?} is broken: {why}"));
                self.close(conn);
                self.core.closed(conn, why, self.now);
            }
        }
    }

    fn hand_on(&mut self) {
        let reports = std::mem::take(self.core.reports());
        for report in &reports {
            self.trace(|| {
                let (tag, first, count) = (report.lane_tag, report.first_ordinal, report.count);
                format!("report lane {:?} {tag:#x} {first}+{count}: {:?}", report.lane, report.result)
            });
            self.book.report(report, self.now);
        }
        let flushed = std::mem::take(self.core.flushed());
        self.book.settle(&flushed, self.now);
        // The parts of a split keep the deadline of the whole, the oldest record of which may have its outcome already.
        if !self.plan.has(Trouble::SizeLimits) && self.plan.send_buffer >= 1_000 {
            self.book.not_too_early(&reports, self.now);
        }
        self.neighbours(&reports);
    }

    fn sleep(&mut self) {
        let wake = self.core.rest(self.now);
        if self.bell.is_rung() || !self.requests.is_empty() || !self.packed.is_empty() {
            let at = self.now + us(1);
            return self.wake_io_at(at);
        }
        match wake {
            Wake::Now | Wake::Spin => {
                self.io.restless += 1;
                assert!(self.io.restless < RESTLESS, "the core never comes to rest");
                let at = self.now + us(self.rng.u64(1..20));
                self.wake_io_at(at);
            }
            Wake::At(at) => {
                self.io.restless = 0;
                assert!(at > self.now, "a wake-up in the past");
                self.memory_is_handed_on();
                // Rounded up to milliseconds, as the poll wants them.
                let left = at.since(self.now).as_nanos().div_ceil(1_000_000) as u64;
                let at = self.now + ms(left) + us(self.rng.u64(0..40));
                self.wake_io_at(at);
            }
            Wake::Never => {
                self.io.restless = 0;
                self.memory_is_handed_on();
            }
        }
    }

    /// Asleep, with memory free that the oldest waiter needs, the core would let him wait for nothing.
    fn memory_is_handed_on(&self) {
        let mut waiting: Vec<_> = self
            .senders
            .iter()
            .filter_map(|s| match &s.state {
                State::Memory { place, since, segments, .. } if s.waits() => Some((*place, *since, *segments)),
                _ => None,
            })
            .collect();
        waiting.sort_unstable();
        // Those in front have their grant and have not looked yet.
        let granted = waiting.len().saturating_sub(self.engine.waiting_senders());
        if let Some((_, since, segments)) = waiting.get(granted).copied()
            && since < self.now
        {
            let free = self.core.free_segments();
            assert!(
                free < segments as usize,
                "{free} segments are free, and the oldest waiter needs {segments} since {since:?}"
            );
        }
    }

    /// Waiting senders look whether they may go on.
    fn nudge_senders(&mut self) {
        for number in 0..self.senders.len() {
            if !matches!(self.senders[number].state, State::Idle | State::Claiming | State::Over) {
                let at = self.now + us(self.rng.u64(0..60));
                self.senders[number].generation += 1;
                let generation = self.senders[number].generation;
                self.events.add(at, Event::Sender { number, generation });
                if let Some(deadline) = self.senders[number].deadline() {
                    self.events.add(deadline.max(at), Event::Sender { number, generation });
                }
            }
        }
    }

    /// While the I/O thread was busy a sender did something.
    fn slip(&mut self) {
        if self.rng.u32(..6) == 0 && !self.quiet {
            let number = self.rng.usize(..self.senders.len());
            if matches!(self.senders[number].state, State::Idle) {
                self.send_some(number, false);
            }
        }
    }

    /// Java stops a whole broker for one partition's retry; here nobody else may notice.
    fn neighbours(&self, reports: &[forebay_io::core::Report]) {
        if !self.plan.sick_partition {
            return;
        }
        let sick = self.topics[0].lane_tag(0);
        for report in reports.iter().filter(|report| report.lane_tag != sick) {
            let closed = matches!(&report.result, Err(failure) if failure.kind == FailureKind::Closed);
            assert!(report.result.is_ok() || closed, "a neighbour of a partition that refuses fails: {report:?}");
        }
        let limit = self.plan.config.linger + ms(1_000) + SLACK;
        for id in &self.book.order[self.book.first_open..] {
            let record = &self.book.records[*id as usize];
            assert!(
                (record.topic, record.partition) == (0, 0)
                    || record.outcome.is_some()
                    || self.now.since(record.committed) < limit,
                "record {id} waits for a neighbour's retries"
            );
        }
    }
}
