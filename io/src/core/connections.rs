//! Connections: opened with backoff, greeted with `ApiVersions`, closed when they are late, idle or out of step.

use std::collections::VecDeque;

use super::Core;
use super::backoff::delay;
use super::flow::Flow;
use super::ports::{Command, ConnId};
use super::requests::{Kind, RequestId};
use super::sasl::Exchange;
use crate::time::Time;
use crate::wire::error::WireError;
use crate::wire::frame::{DEFAULT_MAX_FRAME, FrameReader};
use crate::wire::versions::Negotiated;

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// The driver is at it.
    Connecting,
    /// Waiting for the answer to `ApiVersions`.
    Greeting,
    /// Says who we are.
    Authenticating,
    Ready,
    /// Says who we are once more; nothing new is sent meanwhile.
    Renewing,
    /// The driver was told to close it; until it has, it may still write what it holds.
    Closing,
}

impl Phase {
    /// Not ready yet.
    fn is_setup(self) -> bool {
        matches!(self, Self::Connecting | Self::Greeting | Self::Authenticating)
    }
}

pub(crate) struct Connection {
    pub(crate) id: ConnId,
    pub(crate) broker: usize,
    pub(crate) phase: Phase,
    pub(crate) versions: Option<Negotiated>,
    /// When a connection that is not ready is given up.
    pub(crate) setup_by: Time,
    /// The mechanism and its exchange, while one is going on.
    pub(crate) sasl: Option<(&'static str, Exchange)>,
    /// When to authenticate anew.
    pub(crate) renew_at: Time,
    /// `last_used` when that began.
    pub(crate) used_before: Time,
    reader: Option<FrameReader>,
    /// To be written; the front may be half written.
    pub(crate) queue: VecDeque<RequestId>,
    /// Bytes in `queue` not yet written.
    pub(crate) unsent: usize,
    /// Written, waiting for answers, which come in the same order.
    pub(crate) waiting: VecDeque<RequestId>,
    /// Produce requests in `queue` and `waiting`.
    pub(crate) produce_requests: usize,
    /// How much of them may be in flight.
    pub(crate) flow: Flow,
    /// Partitions had something to send, and the socket or the window was full.
    pub(crate) wanted: bool,
    next_correlation: i32,
    pub(crate) last_used: Time,
    /// Closed by us although nothing was wrong with it.
    at_peace: bool,
    /// It was opened at all.
    was_open: bool,
    /// Its life, for who traces it.
    pub(crate) span: tracing::Span,
}

impl Connection {
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn produce_version(&self) -> i16 {
        self.versions.map_or(0, |v| v.produce)
    }
}

impl Core {
    pub(super) fn connection(&self, id: ConnId) -> Option<&Connection> {
        self.connections.get(id.index())?.as_ref().filter(|c| c.id == id)
    }

    pub(super) fn connection_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(id.index())?.as_mut().filter(|c| c.id == id)
    }

    /// The connection of a broker, if requests can be sent on it.
    pub(super) fn ready_connection(&self, broker: usize) -> Option<ConnId> {
        let id = self.brokers.get(broker).conn?;
        self.connection(id).filter(|c| c.phase == Phase::Ready).map(|c| c.id)
    }

    /// The connections that requests can be sent on.
    pub(super) fn ready_connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().flatten().filter(|c| c.phase == Phase::Ready)
    }

    /// Of the connections that are ready the one with the least to do, if possible of a broker that has not asked for quiet (KIP-219):
    /// it would not read.
    pub(super) fn any_ready_connection(&self, now: Time) -> Option<ConnId> {
        self.ready_connections()
            .min_by_key(|c| (self.brokers.get(c.broker).throttled_until > now, c.queue.len() + c.waiting.len()))
            .map(|c| c.id)
    }

    /// Opens a connection to a broker unless there is one. Answers when it may be tried, if not now.
    pub(super) fn connect(&mut self, index: usize, now: Time) -> Option<Time> {
        let broker = self.brokers.get_mut(index);
        if broker.conn.is_some() {
            return None;
        }
        if now < broker.retry_at {
            return Some(broker.retry_at);
        }
        let slot = self.connections.iter().position(Option::is_none).unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.generations = self.generations.wrapping_add(1);
        let id = ConnId { index: slot as u32, generation: self.generations };
        let (first, largest) = (self.cfg.connection_setup_timeout, self.cfg.connection_setup_timeout_max);
        let setup = delay(first, largest, broker.slow_setups + 1, &mut self.rng);
        self.commands.push_back(Command::Connect {
            conn: id,
            host: broker.host.clone(),
            port: broker.port,
            attempt: broker.attempt,
        });
        let span = tracing::debug_span!(
            target: "forebay::connection",
            "connection",
            node = broker.node,
            host = %broker.host,
            port = broker.port,
            attempt = broker.attempt
        );
        span.in_scope(|| tracing::debug!(target: "forebay::connection", node = broker.node, host = %broker.host, port = broker.port, "connecting"));
        broker.attempt = broker.attempt.wrapping_add(1);
        broker.conn = Some(id);
        self.meter_connect(index);
        self.connections[slot] = Some(Connection {
            id,
            broker: index,
            phase: Phase::Connecting,
            versions: None,
            setup_by: now + setup,
            sasl: None,
            renew_at: Time::MAX,
            used_before: now,
            reader: Some(FrameReader::new(DEFAULT_MAX_FRAME)),
            queue: VecDeque::new(),
            unsent: 0,
            waiting: VecDeque::new(),
            produce_requests: 0,
            flow: Flow::default(),
            wanted: false,
            next_correlation: 0,
            last_used: now,
            at_peace: false,
            was_open: false,
            span,
        });
        None
    }

    /// Opens a connection to whoever may know the cluster, unless one is being opened. Nodes of the cluster first; once
    /// they fail more often than the bootstrap servers, those again (KIP-899).
    pub(super) fn connect_anywhere(&mut self, now: Time) -> Option<Time> {
        if self.connections.iter().flatten().any(|c| c.phase.is_setup()) {
            return None;
        }
        let bootstrap = self.cfg.rebootstrap.is_some() || !self.brokers.knows_nodes();
        let candidates =
            || self.brokers.iter().filter(|(_, b)| b.known && b.conn.is_none() && (bootstrap || !b.is_bootstrap()));
        let best = candidates()
            .filter(|(_, b)| b.retry_at <= now)
            .min_by_key(|(_, b)| (b.failures, b.is_bootstrap(), b.attempt));
        match best.map(|(index, _)| index) {
            Some(index) => self.connect(index, now),
            None => candidates().map(|(_, b)| b.retry_at).min(),
        }
    }

    /// The driver has opened a connection.
    pub fn connected(&mut self, conn: ConnId, now: Time) {
        self.stirred = true;
        let Some(connection) = self.connection_mut(conn) else { return };
        if connection.phase == Phase::Connecting {
            connection.phase = Phase::Greeting;
            connection.was_open = true;
            connection.last_used = now;
            let broker = connection.broker;
            self.meter_connected(broker, now);
            self.greet(conn, None, now);
        }
    }

    /// What the broker speaks is known. An error means that the connection is to be closed.
    pub(super) fn greeted(&mut self, conn: ConnId, versions: Negotiated) -> Result<(), String> {
        let Some(connection) = self.connection_mut(conn) else { return Ok(()) };
        connection.versions = Some(versions);
        connection.span.in_scope(|| tracing::debug!(target: "forebay::connection", ?versions, "greeted"));
        if !self.cfg.sasl {
            self.ready(conn);
        } else if versions.sasl_authenticate.is_some() {
            self.authenticate(conn, Phase::Authenticating);
        } else {
            return self.no_sasl(conn);
        }
        Ok(())
    }

    /// Requests may be sent.
    pub(super) fn ready(&mut self, conn: ConnId) {
        let Some(connection) = self.connection_mut(conn) else { return };
        connection.phase = Phase::Ready;
        // What is closed later is not late for its setup.
        connection.setup_by = Time::MAX;
        let broker = connection.broker;
        if self.cfg.sasl {
            self.meter_authentication(true);
        }
        self.brokers.get_mut(broker).worked();
        self.trusted(broker);
        let node = self.brokers.get(broker).node;
        if let Some(connection) = self.connection(conn) {
            connection.span.in_scope(|| tracing::debug!(target: "forebay::connection", node, "connected"));
        }
    }

    /// A connection is closed, or could not be opened: no byte of it can be written any more. `why` is for people.
    pub fn closed(&mut self, conn: ConnId, why: &str, now: Time) {
        if self.connection(conn).is_none() {
            return;
        }
        self.stirred = true;
        self.news();
        let Some(connection) = self.connections[conn.index()].take() else { return };
        self.meter_closed(connection.broker, connection.was_open, !connection.at_peace, now);
        let broker = self.brokers.get_mut(connection.broker);
        broker.conn = None;
        if !connection.at_peace {
            connection.span.in_scope(|| {
                tracing::warn!(target: "forebay::connection", node = broker.node, host = %broker.host, port = broker.port, why, "connection lost");
            });
            broker.failures = broker.failures.saturating_add(1);
            if connection.phase != Phase::Ready && connection.setup_by <= now {
                broker.slow_setups = broker.slow_setups.saturating_add(1);
            }
            let (first, largest) = (self.cfg.reconnect_backoff, self.cfg.reconnect_backoff_max);
            let failures = broker.failures;
            let delay = delay(first, largest, failures, &mut self.rng);
            self.brokers.get_mut(connection.broker).failed(now, delay);
            self.metadata.want();
        }
        self.denied_for_now(connection.broker, now);
        self.metadata.lost(conn);
        self.idempotence.lost(conn);
        for id in connection.waiting.iter().chain(&connection.queue) {
            self.meter_request_over(Some(connection.broker));
            self.lose_request(*id, now);
        }
    }

    /// Has a connection closed by the driver. What it carries stays where it is until [`Core::closed`].
    pub(super) fn close_connection(&mut self, conn: ConnId, why: &str, now: Time) {
        let _ = now;
        let Some(connection) = self.connection_mut(conn) else { return };
        if connection.phase != Phase::Closing {
            connection.phase = Phase::Closing;
            let broker = connection.broker;
            let node = self.brokers.get(broker).node;
            if let Some(connection) = self.connection(conn) {
                connection
                    .span
                    .in_scope(|| tracing::warn!(target: "forebay::connection", node, why, "closing a connection"));
            }
            self.commands.push_back(Command::Close { conn });
        }
    }

    /// Closes a connection with which nothing was wrong. What it carries is sent again elsewhere.
    pub(super) fn close_quietly(&mut self, conn: ConnId) {
        let Some(connection) = self.connection_mut(conn) else { return };
        if connection.phase != Phase::Closing {
            connection.phase = Phase::Closing;
            connection.at_peace = true;
            self.commands.push_back(Command::Close { conn });
        }
    }

    /// Bytes from a connection, in any portions.
    pub fn received(&mut self, conn: ConnId, mut bytes: &[u8], now: Time) {
        self.stirred = true;
        let Some(connection) = self.connection_mut(conn) else { return };
        connection.last_used = now;
        let (broker, len) = (connection.broker, bytes.len());
        let Some(mut reader) = connection.reader.take() else { return };
        self.meter_bytes(broker, false, len, now);
        while self.connection(conn).is_some_and(|c| !matches!(c.phase, Phase::Connecting | Phase::Closing)) {
            let result = match reader.next(&mut bytes) {
                Ok(Some(frame)) => self.response(conn, frame, now),
                Ok(None) => break,
                Err(error) => Err(self.not_kafka(conn, &error)),
            };
            if let Err(why) = result {
                self.close_connection(conn, &why, now);
            }
        }
        if let Some(connection) = self.connection_mut(conn) {
            connection.reader = Some(reader);
        }
    }

    /// What is wrong with a stream that is not cut into frames. A port that speaks TLS says so in the first bytes of its
    /// answer, which read as a size: an alert record (21) of TLS (3).
    fn not_kafka(&mut self, conn: ConnId, error: &WireError) -> String {
        const ALERT: i32 = 0x1503;
        let greeting = self.connection(conn).is_some_and(|c| c.phase == Phase::Greeting);
        if !greeting || !matches!(error, WireError::FrameSize { size, .. } if size >> 16 == ALERT) {
            return error.to_string();
        }
        let why = "this port speaks TLS: set security.protocol to SSL or SASL_SSL";
        self.untrusted(conn, why);
        why.to_owned()
    }

    pub(super) fn next_correlation(&mut self, conn: ConnId) -> Option<i32> {
        let connection = self.connection_mut(conn)?;
        connection.next_correlation = connection.next_correlation.wrapping_add(1) & i32::MAX;
        Some(connection.next_correlation)
    }

    /// Puts a finished request at the end of a connection's queue.
    pub(super) fn queue(&mut self, conn: ConnId, id: RequestId, now: Time) {
        let request = self.requests.get_mut(id);
        request.created = now;
        let (len, produce) = (request.len, request.kind == Kind::Produce);
        let Some(connection) = self.connection_mut(conn) else { return };
        connection.queue.push_back(id);
        connection.unsent += len;
        if produce {
            connection.produce_requests += 1;
            let departure = connection.flow.departs(len, now);
            self.requests.get_mut(id).departure = departure;
        }
        let Some(connection) = self.connection_mut(conn) else { return };
        connection.last_used = now;
        let broker = connection.broker;
        self.meter_request(broker, id, now);
    }

    /// Closes what is late: a setup, an answer, or the next use.
    pub(super) fn connection_timers(&mut self, now: Time) {
        for slot in 0..self.connections.len() {
            let Some(connection) = &self.connections[slot] else { continue };
            let conn = connection.id;
            match connection.phase {
                phase if phase.is_setup() && connection.setup_by <= now => {
                    self.close_connection(conn, "the connection was not set up in time", now);
                }
                Phase::Renewing if connection.setup_by <= now => {
                    self.close_connection(conn, "the connection was not authenticated anew in time", now);
                }
                Phase::Ready | Phase::Renewing if self.answer_by(connection) <= now => {
                    self.close_connection(conn, "a request was not answered in time", now);
                }
                Phase::Ready if connection.renew_at <= now => self.renew(conn, now),
                Phase::Ready if connection.is_quiet() => {
                    let idle = connection.last_used + self.cfg.connections_max_idle <= now;
                    if idle || self.is_superfluous(connection) {
                        self.close_quietly(conn);
                    }
                }
                _ => {}
            }
        }
    }

    /// When something of a connection is due; see [`Core::connection_timers`].
    pub(super) fn connection_due(&self, connection: &Connection) -> Time {
        match connection.phase {
            Phase::Closing => Time::MAX,
            Phase::Connecting | Phase::Greeting | Phase::Authenticating => connection.setup_by,
            Phase::Renewing => connection.setup_by.min(self.answer_by(connection)),
            Phase::Ready if connection.is_quiet() => {
                (connection.last_used + self.cfg.connections_max_idle).min(connection.renew_at)
            }
            Phase::Ready => self.answer_by(connection).min(connection.renew_at),
        }
    }

    /// The deadline of the oldest request.
    fn answer_by(&self, connection: &Connection) -> Time {
        let oldest = connection.waiting.front().or(connection.queue.front());
        oldest.map_or(Time::MAX, |id| self.requests.get(*id).deadline)
    }

    /// Bootstrap servers are asked for the cluster and then left alone, as are nodes that have left it.
    fn is_superfluous(&self, connection: &Connection) -> bool {
        let broker = self.brokers.get(connection.broker);
        (broker.is_bootstrap()
            && self.brokers.knows_nodes()
            && !self.metadata.is_wanted()
            && !self.idempotence.is_wanted())
            || !broker.known
    }
}
