//! One client's connection: bytes in, whole requests out of them, answers back in order.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mio::net::TcpStream;

use crate::cluster::Cluster;
use crate::faults::{Faults, Standing};
use crate::protocol::{self, Outcome, Session};

/// Kafka's `socket.request.max.bytes`.
const MAX_REQUEST: usize = 100 << 20;
/// What is read at once while it is not known how long the next request is.
const CHUNK: usize = 64 << 10;
/// An input buffer that grew beyond this is given back when it is empty.
const KEEP: usize = 8 << 20;
/// Answers waiting to be sent beyond which no more requests are looked at.
const BACKLOG: usize = 4 << 20;
/// Bytes read in one turn, so that one busy client does not starve the others.
const TURN: usize = 4 << 20;

/// The bytes read and not yet handled: `buffer[start..end]`.
#[derive(Debug, Default)]
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// What lies at the front of the input.
enum Front {
    /// A whole request, without its size.
    Frame { start: usize, end: usize },
    /// So many bytes more make it whole, if that much is known.
    Missing(Option<usize>),
    /// No request has such a size.
    Hostile,
}

impl Input {
    fn front(&self) -> Front {
        let filled = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((size, body)) = filled.split_first_chunk::<4>() else { return Front::Missing(None) };
        match usize::try_from(i32::from_be_bytes(*size)) {
            Ok(size) if (8..=MAX_REQUEST).contains(&size) => {
                if body.len() >= size {
                    Front::Frame { start: self.start + 4, end: self.start + 4 + size }
                } else {
                    Front::Missing(Some(size - body.len()))
                }
            }
            _ => Front::Hostile,
        }
    }

    /// Where the next bytes go. A long request is read to its end and no further, so that the next one begins at the
    /// front of the buffer and is never moved. Memory grows with what has arrived, not with what was announced.
    fn space(&mut self, missing: Option<usize>) -> &mut [u8] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > KEEP {
                self.buffer = Vec::new();
            }
        }
        let want = missing.unwrap_or(CHUNK).max(CHUNK);
        if self.start > 0 && self.buffer.len() - self.end < want {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK {
            let grown = (self.buffer.len() * 2).max(4 * CHUNK).min(self.end + want);
            self.buffer.resize(grown.max(self.end + CHUNK), 0);
        }
        let most = match missing {
            Some(missing) if missing >= CHUNK => (self.end + missing).min(self.buffer.len()),
            _ => self.buffer.len(),
        };
        self.buffer.get_mut(self.end..most).unwrap_or_default()
    }
}

/// How far the requests in the input were handled.
enum Handled {
    /// All that are whole; so many bytes are missing of the next, if that much is known.
    All { missing: Option<usize> },
    /// Not all: answers pile up, one waits, or the connection ends.
    Stopped,
}

/// What a turn leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing to do until the socket, a timer or a fault switch changes.
    Idle,
    /// There is more to do at once.
    Again,
    /// The connection is over.
    Close,
}

/// What every connection of a turn shares.
pub(crate) struct Surroundings<'a> {
    pub(crate) cluster: &'a Mutex<Cluster>,
    pub(crate) faults: &'a Faults,
    pub(crate) standing: Standing,
    pub(crate) now: Instant,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// The node it belongs to.
    pub(crate) node: i32,
    session: Session,
    input: Input,
    output: Vec<u8>,
    sent: usize,
    /// Answers that a fault holds back, with the time when they may go.
    held: VecDeque<(Instant, Vec<u8>)>,
    /// Until when the request at the front waits for records, since how many appends it does.
    parked: Option<(Instant, u64)>,
    /// The socket may have something to read: cleared only when it says that it has nothing.
    pub(crate) readable: bool,
    /// The peer will send no more: no answer of its waits for records.
    pub(crate) peer_finished: bool,
    closing: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, node: i32) -> Self {
        Self {
            stream,
            node,
            session: Session::new(node),
            input: Input::default(),
            output: Vec::new(),
            sent: 0,
            held: VecDeque::new(),
            parked: None,
            readable: true,
            peer_finished: false,
            closing: false,
        }
    }

    /// When a turn is due even if the socket stays silent.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let held = self.held.front().map(|(due, _)| *due);
        let parked = self.parked.map(|(until, _)| until);
        held.into_iter().chain(parked).min()
    }

    /// Whether a fetch waits here that so many appends should wake.
    pub(crate) fn waits_for_records(&self, appended: u64) -> bool {
        self.parked.is_some_and(|(_, seen)| seen != appended)
    }

    /// Does what can be done now.
    pub(crate) fn turn(&mut self, around: &Surroundings<'_>) -> Turn {
        let mut again = false;
        let stalled = around.standing.stall_reads || around.standing.stalled_node == Some(self.node);
        if !self.closing && !stalled {
            match self.take_in(around) {
                Ok(more) => again = more,
                Err(_) => return Turn::Close,
            }
        }
        while self.held.front().is_some_and(|(due, _)| *due <= around.now) {
            if let Some((_, bytes)) = self.held.pop_front() {
                self.output.extend_from_slice(&bytes);
            }
        }
        if !around.standing.stall_responses {
            match self.send(around.standing.short_writes) {
                Ok(more) => again |= more,
                Err(_) => return Turn::Close,
            }
        }
        if self.closing && self.held.is_empty() && self.sent == self.output.len() {
            return Turn::Close;
        }
        if again { Turn::Again } else { Turn::Idle }
    }

    fn is_backlogged(&self) -> bool {
        self.output.len() - self.sent > BACKLOG
    }

    /// Reads and handles requests. True if it stopped only to let others have a turn.
    fn take_in(&mut self, around: &Surroundings<'_>) -> io::Result<bool> {
        let mut budget = TURN;
        loop {
            let Handled::All { missing } = self.handle_all(around) else { return Ok(false) };
            if !self.readable {
                return Ok(false);
            }
            if budget == 0 {
                return Ok(true);
            }
            let space = self.input.space(missing);
            match self.stream.read(space) {
                // A client that only stopped sending still gets its answers.
                Ok(0) => {
                    self.readable = false;
                    self.closing = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.input.end += count;
                    budget = budget.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Handles the whole requests that are there.
    fn handle_all(&mut self, around: &Surroundings<'_>) -> Handled {
        let mut cluster = None;
        loop {
            let (start, end) = match self.input.front() {
                Front::Frame { start, end } => (start, end),
                Front::Missing(missing) => return Handled::All { missing },
                Front::Hostile => {
                    self.closing = true;
                    return Handled::Stopped;
                }
            };
            if self.closing || self.is_backlogged() {
                return Handled::Stopped;
            }
            let cluster = cluster.get_or_insert_with(|| around.cluster.lock().unwrap_or_else(PoisonError::into_inner));
            let waits = |(until, seen)| seen == cluster.appended && until > around.now && !self.peer_finished;
            if self.parked.is_some_and(waits) {
                return Handled::Stopped;
            }
            let frame = self.input.buffer.get(start..end).unwrap_or_default();
            let may_park = !self.peer_finished && self.parked.is_none_or(|(until, _)| until > around.now);
            let mut held = Vec::new();
            let hold = !around.standing.delay.is_zero() || !self.held.is_empty();
            let out = if hold { &mut held } else { &mut self.output };
            let outcome =
                protocol::handle(cluster, &mut self.session, frame, around.faults, &around.standing, may_park, out);
            if let Outcome::Park(wait) = outcome {
                let until = self.parked.map_or(around.now + wait, |(until, _)| until);
                self.parked = Some((until, cluster.appended));
                return Handled::Stopped;
            }
            self.parked = None;
            if !held.is_empty() {
                self.held.push_back((around.now + around.standing.delay, held));
            }
            self.input.start = end;
            if outcome == Outcome::Close {
                self.closing = true;
                return Handled::Stopped;
            }
        }
    }

    /// Sends what is due. True if more can go at once.
    fn send(&mut self, short: Option<usize>) -> io::Result<bool> {
        while self.sent < self.output.len() {
            let due = self.output.get(self.sent..).unwrap_or_default();
            let piece = due.get(..short.unwrap_or(due.len())).unwrap_or(due);
            match self.stream.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if short.is_some() && self.sent < self.output.len() {
                return Ok(true);
            }
        }
        let was_backlogged = self.sent > BACKLOG;
        self.output.clear();
        self.sent = 0;
        if self.output.capacity() > KEEP {
            self.output = Vec::new();
        }
        Ok(was_backlogged)
    }
}
