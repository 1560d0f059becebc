//! The simulated network: connections that delay, cut, stall, swallow and break.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_io::core::ConnId;
use forebay_io::time::Time;

use crate::events::Event;
use crate::plan::{Trouble, ms, us};
use crate::world::World;

/// A connection that was established.
#[allow(clippy::struct_excessive_bools)] // independent facts of two ends and the way between them
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) node: usize,
    /// Of the broker, when the connection was made.
    generation: u32,
    /// Bytes that the client's TLS has taken and its system has not.
    encrypted: VecDeque<u8>,
    /// Bytes that the client's system has taken and the broker's has not.
    in_transit: usize,
    /// Arrived, not yet read by the broker.
    arrived: Vec<u8>,
    /// The broker works on a request of it.
    serving: bool,
    /// Bytes for the client to read.
    pub(crate) inbox: VecDeque<Vec<u8>>,
    /// The client may see that it is broken.
    pub(crate) broken: Option<&'static str>,
    /// The client has closed it.
    pub(crate) closed: bool,
    /// The broker's end is gone.
    gone: bool,
    /// Everything is swallowed.
    pub(crate) half_open: bool,
    pub(crate) stalled_until: Time,
    /// Bytes do not overtake each other.
    last_to_broker: Time,
    last_to_client: Time,
}

impl World {
    pub(crate) fn latency(&mut self) -> Duration {
        let (least, most) = self.plan.latency;
        us(self.rng.u64(least.as_micros() as u64..=most.as_micros() as u64))
    }

    /// The driver connects.
    pub(crate) fn connect(&mut self, conn: ConnId, host: &Arc<str>, port: u16, attempt: u32) {
        self.attempts.push(conn);
        let delay = self.latency() * 2;
        let result = match self.resolve(host, port, attempt) {
            Ok(Some(node)) => {
                let of = &self.cluster.nodes[node];
                match of.unreachable {
                    Some(true) => Err("connection refused"),
                    // Nobody answers: the core has to give up by itself.
                    Some(false) => return self.trace(|| format!("{conn:?} to node {node}: no answer")),
                    None if !of.up => Err("connection refused"),
                    None => Ok(node),
                }
            }
            Ok(None) => Err("connection refused"),
            Err(why) => Err(why),
        };
        self.trace(|| format!("{conn:?} to {host}:{port}: {result:?}"));
        self.events.add(self.now + delay, Event::Connected { conn, result });
    }

    /// The node that listens at an address, if one does.
    fn resolve(&mut self, host: &str, port: u16, attempt: u32) -> Result<Option<usize>, &'static str> {
        let nodes = self.cluster.nodes.len();
        let troubled = self.cluster.has(Trouble::Names);
        if troubled && self.rng.u32(..4) == 0 {
            self.faults += 1;
            return Err("the name does not resolve");
        }
        if host == "boot" {
            // Several addresses; some lead nowhere.
            let addresses = nodes * 2;
            let address = attempt as usize % addresses;
            return Ok(if address.is_multiple_of(2) || !troubled { Some(address / 2) } else { None });
        }
        let node = host.strip_prefix('b').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < nodes);
        // Whoever is bootstrapped to a port that its broker has left finds nobody.
        Ok(node.filter(|n| self.cluster.nodes[*n].port == port))
    }

    /// A connection attempt has ended.
    pub(crate) fn attempt_ended(&mut self, conn: ConnId, result: Result<usize, &'static str>) {
        if !self.attempts.contains(&conn) {
            return; // given up
        }
        self.attempts.retain(|other| *other != conn);
        let result =
            result.and_then(|node| if self.cluster.nodes[node].up { Ok(node) } else { Err("connection reset") });
        if let Ok(node) = result {
            self.links.push(Link {
                conn,
                node,
                generation: self.cluster.nodes[node].generation,
                encrypted: VecDeque::new(),
                in_transit: 0,
                arrived: Vec::new(),
                serving: false,
                inbox: VecDeque::new(),
                broken: None,
                closed: false,
                gone: false,
                half_open: false,
                stalled_until: Time::ZERO,
                last_to_broker: self.now,
                last_to_client: self.now,
            });
            self.by_conn.insert(conn, self.links.len() - 1);
        }
        self.opened.push((conn, result.map(|_| ())));
        self.wake_io();
    }

    /// The driver closes a connection, or gives up opening one.
    pub(crate) fn close(&mut self, conn: ConnId) {
        self.attempts.retain(|other| *other != conn);
        self.opened.retain(|other| other.0 != conn);
        let Some(link) = self.by_conn.remove(&conn) else { return };
        // TLS says goodbye, behind what it still has.
        self.let_through(link);
        let zombie = self.cluster.has(Trouble::Zombies) && self.rng.bool();
        let of = &mut self.links[link];
        of.closed = true;
        of.inbox.clear();
        // What has arrived is acted on if the end is orderly; else it is thrown away.
        if zombie && !of.gone {
            self.faults += 1;
            let at = of.last_to_broker.max(self.now) + ms(self.rng.u64(0..1_500));
            self.events.add(at, Event::Forgotten { link });
        } else {
            of.gone = true;
        }
    }

    /// The client's system takes bytes to write, as many as it has room for. Answers how many.
    pub(crate) fn write(&mut self, link: usize) -> usize {
        let Some(most) = self.plan.encrypted else { return self.write_plain(link) };
        let mut moved = self.let_through(link);
        while self.links[link].encrypted.is_empty() && self.links[link].broken.is_none() {
            let conn = self.links[link].conn;
            self.core.let_out(conn, self.now);
            let taken = self.show(conn, most);
            if taken.is_empty() {
                break;
            }
            self.core.taken(conn, taken.len(), self.now);
            self.links[link].encrypted.extend(taken);
            moved += self.let_through(link);
        }
        moved
    }

    fn write_plain(&mut self, link: usize) -> usize {
        let (conn, room) = (self.links[link].conn, self.room(link));
        if room == 0 {
            return 0;
        }
        let bytes = self.show(conn, room);
        let len = bytes.len();
        if len > 0 {
            self.send(link, bytes);
            self.core.written(conn, len, self.now);
        }
        len
    }

    /// What is encrypted goes to the client's system, as far as there is room.
    fn let_through(&mut self, link: usize) -> usize {
        let room = self.room(link);
        let of = &mut self.links[link];
        let len = room.min(of.encrypted.len());
        let bytes: Vec<u8> = of.encrypted.drain(..len).collect();
        if len > 0 {
            self.send(link, bytes);
        }
        len
    }

    /// How many bytes the client's system has room for.
    fn room(&self, link: usize) -> usize {
        let of = &self.links[link];
        if of.broken.is_some() { 0 } else { self.plan.send_buffer.saturating_sub(of.in_transit) }
    }

    /// The first bytes that a connection has to write.
    fn show(&self, conn: ConnId, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.core.transmit(conn, |slice| {
            let take = (most - bytes.len()).min(slice.len());
            bytes.extend_from_slice(&slice[..take]);
            bytes.len() < most
        });
        bytes
    }

    fn send(&mut self, link: usize, bytes: Vec<u8>) {
        let latency = self.latency();
        let of = &mut self.links[link];
        of.in_transit += bytes.len();
        if !of.half_open && !of.gone {
            let at = of.last_to_broker.max(self.now + latency).max(of.stalled_until);
            of.last_to_broker = at;
            self.events.add(at, Event::ToBroker { link, bytes });
        }
    }

    pub(crate) fn arrive_at_broker(&mut self, link: usize, bytes: &[u8]) {
        let of = &mut self.links[link];
        if of.gone || of.half_open || of.generation != self.cluster.nodes[of.node].generation {
            return;
        }
        let full = of.in_transit >= self.plan.send_buffer;
        of.in_transit -= bytes.len();
        of.arrived.extend_from_slice(bytes);
        if !of.serving {
            of.serving = true;
            self.events.add(self.now, Event::Serve { link });
        }
        if full && !self.links[link].closed {
            self.wake_io();
        }
    }

    /// A broker takes the next request of a connection: one at a time, as Kafka does.
    pub(crate) fn serve(&mut self, link: usize) {
        let of = &mut self.links[link];
        of.serving = false;
        let node = &self.cluster.nodes[of.node];
        if of.gone || of.generation != node.generation {
            return;
        }
        if node.paused_until > self.now {
            of.serving = true;
            let at = node.paused_until + us(self.rng.u64(1..2_000));
            return self.events.add(at, Event::Serve { link });
        }
        let Some(size) = of.arrived.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize) else { return };
        assert!(size < 4 << 20, "a request of a sensible size");
        if of.arrived.len() < 4 + size {
            return;
        }
        let frame: Vec<u8> = of.arrived.drain(..4 + size).skip(4).collect();
        of.serving = true;
        let (number, generation) = (of.node, of.generation);
        let slow = node.slow_until > self.now;
        let answer = self.cluster.request(number, Bytes::from(frame), self.now);
        self.trace(|| format!("node {number} link {link}: {}", answer.describe()));
        let mut delay = us(self.rng.u64(10..3_000));
        if slow {
            delay += ms(self.rng.u64(1..600));
        }
        self.events.add(self.now + delay, Event::Answer { link, epoch: generation, answer });
    }

    pub(crate) fn answer(&mut self, link: usize, epoch: u32, answer: crate::cluster::Pending) {
        let node = self.links[link].node;
        if self.cluster.nodes[node].generation != epoch {
            return;
        }
        let paused = self.cluster.nodes[node].paused_until;
        if paused > self.now {
            let at = paused + us(self.rng.u64(1..2_000));
            return self.events.add(at, Event::Answer { link, epoch, answer });
        }
        let result = self.cluster.answer(node, answer, self.now);
        // The next request, also of a connection that is closed: what has arrived is acted on.
        self.serve(link);
        let of = &mut self.links[link];
        if of.gone || of.closed {
            return;
        }
        match result {
            Ok(None) => {}
            Ok(Some(_)) if of.half_open => {}
            Ok(Some(bytes)) => {
                let latency = self.latency();
                let of = &mut self.links[link];
                let at = of.last_to_client.max(self.now + latency).max(of.stalled_until);
                of.last_to_client = at;
                self.events.add(at, Event::ToClient { link, bytes });
            }
            Err(why) => self.reset(link, why),
        }
    }

    pub(crate) fn arrive_at_client(&mut self, link: usize, bytes: Vec<u8>) {
        let of = &mut self.links[link];
        if !of.closed && !of.half_open && of.broken.is_none() {
            of.inbox.push_back(bytes);
            self.wake_io();
        }
    }

    /// A connection breaks; the client learns of it a little later.
    pub(crate) fn reset(&mut self, link: usize, why: &'static str) {
        let latency = self.latency();
        let of = &mut self.links[link];
        of.gone = true;
        of.arrived.clear();
        if !of.closed && !of.half_open {
            let at = of.last_to_client.max(self.now + latency);
            self.events.add(at, Event::Broken { link, why });
        }
    }

    pub(crate) fn broken(&mut self, link: usize, why: &'static str) {
        let of = &mut self.links[link];
        if !of.closed {
            of.broken = Some(why);
            self.wake_io();
        }
    }

    pub(crate) fn forgotten(&mut self, link: usize) {
        self.links[link].gone = true;
    }

    /// Connections that live, as the client sees it.
    pub(crate) fn living(&self) -> Vec<usize> {
        self.by_conn.values().copied().filter(|link| !self.links[*link].gone).collect()
    }

    /// A broker dies with all its connections.
    pub(crate) fn crash(&mut self, node: usize) {
        let of = &mut self.cluster.nodes[node];
        of.up = false;
        of.generation += 1;
        for link in 0..self.links.len() {
            if self.links[link].node == node && !self.links[link].gone {
                self.reset(link, "connection reset");
            }
        }
    }
}
