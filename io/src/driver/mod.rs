//! The I/O thread: carries out what the core decides, and decides nothing itself.
//!
//! One thread, one poll, non-blocking sockets. A panic on it, in the core or in the application's [`Sink`], ends it:
//! the engine is closed, so that every sender fails instead of waiting, and the sink is told.

mod affinity;
mod alarms;
mod bell;
mod credentials;
mod give_way;
mod handle;
mod packers;
#[cfg(loom)]
#[doc(hidden)]
pub mod requests;
#[cfg(not(loom))]
#[expect(unreachable_pub, reason = "the models reach it")]
mod requests;
mod resolver;
mod sockets;
mod tls;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use bumpalo::Bump;
use forebay_engine::IoSide;
use mio::{Events, Poll};

use self::alarms::Alarms;
use self::credentials::Wallet;
use self::give_way::GiveWay;
use self::handle::Shared;
use self::packers::{Packers, panic_text};
use self::requests::Requests;
use self::resolver::{Lookup, Resolver};
use self::sockets::Socket;
use self::tls::Lost;
use crate::core::{Command, ConnId, Core, CoreConfig, Flushed, Report, Wake};
use crate::metrics::Meters;
use crate::time::Time;
use crate::topics::TopicTable;
use crate::wall::Wall;

pub use self::alarms::Alarm;
pub use self::bell::Bell;
pub use self::credentials::{CredentialSource, OAuthToken, PasswordMechanism, TokenSource};
pub use self::handle::{Clock, DriverHandle, Ended};
pub use self::sockets::SocketOptions;
pub use self::tls::{Identity, TlsConnector, TlsError, TlsOptions, Trust};

const READ_BUFFER: usize = 64 * 1_024;
const EVENTS: usize = 256;

/// Takes the outcomes of records, on the I/O thread. What it does there delays everything else.
pub trait Sink: Send {
    /// Outcomes, those of each lane in send order.
    fn reports(&mut self, reports: &[Report]);

    /// Flushes that are complete; the reports of their records have been handed on before.
    fn flushed(&mut self, flushed: &[Flushed]);

    /// The I/O thread has ended: after a close with `None`, or by a failure with its message. Called once and last.
    /// Records without an outcome will get none: they have failed, and may have been appended.
    fn ended(&mut self, failure: Option<&str>);

    /// Whether [`Sink::reports`] runs code of the application, which may take its time: no time of day is shown
    /// ([`DriverHandle::wall`]) meanwhile.
    fn runs_foreign_code(&self) -> bool {
        true
    }
}

/// How connections are secured; by default not at all.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Speaks TLS to every broker; none for bytes as they are.
    pub tls: Option<TlsConnector>,
    /// Who we are, for brokers that ask by SASL. Goes with [`CoreConfig::sasl`].
    pub credentials: Option<CredentialSource>,
}

/// What a driver is made of.
pub struct Parts {
    /// The core's settings, checked.
    pub config: CoreConfig,
    /// Socket options.
    pub sockets: SocketOptions,
    /// How connections are secured.
    pub security: Security,
    /// From [`Bell::new`].
    pub poll: Poll,
    /// The bell of `poll`, which the engine rings as well.
    pub bell: Bell,
    /// The engine's consumer.
    pub io: IoSide,
    /// The topics that senders and core share.
    pub topics: Arc<TopicTable>,
    /// What the producer counts.
    pub meters: Arc<Meters>,
    /// Which of its producer's I/O threads this is, from 0.
    pub number: usize,
    /// `io.cpu`: the CPU that the thread stays on.
    pub cpu: Option<usize>,
}

/// Starts the I/O thread.
///
/// # Errors
/// The system gives no thread, or does not let it stay on its CPU; or compression threads are asked for and the codec is not in this
/// build.
pub fn spawn(parts: Parts, sink: impl Sink + 'static) -> io::Result<DriverHandle> {
    let packers = Packers::of(&parts)?;
    start(parts, packers, sink)
}

fn start(parts: Parts, packers: Option<Packers>, sink: impl Sink + 'static) -> io::Result<DriverHandle> {
    let shared = Arc::new(Shared {
        requests: Requests::default(),
        alarms: Alarms::default(),
        bell: parts.bell.clone(),
        poisoned: AtomicBool::new(false),
        clock: parts.bell.clock(),
        wall: Arc::default(),
    });
    let theirs = shared.clone();
    let (pinned, result) = mpsc::sync_channel(1);
    let name = if parts.number == 0 { "forebay-io".to_owned() } else { format!("forebay-io-{}", parts.number) };
    let thread = thread::Builder::new().name(name).spawn(move || {
        let stays = parts.cpu.map_or(Ok(()), affinity::stay_on);
        let go_on = stays.is_ok();
        if pinned.send(stays).is_ok() && go_on {
            live(parts, packers, &theirs, Box::new(sink));
        }
    })?;
    // It has no other way to end before it answers.
    result.recv().unwrap_or_else(|_| Err(io::Error::other("it ended at once")))?;
    Ok(DriverHandle { shared, io_thread: thread.thread().id(), thread: Mutex::new(Some(thread)) })
}

/// The I/O thread's life, panics included.
fn live(parts: Parts, packers: Option<Packers>, shared: &Arc<Shared>, mut sink: Box<dyn Sink>) {
    let topics = parts.topics.clone();
    // Events of the core say whose they are by it.
    let _span = tracing::info_span!(target: "forebay", "producer", client_id = parts.config.client_id).entered();
    let result = catch_unwind(AssertUnwindSafe(|| {
        // Dropped by a panic: sockets first, then the core and with it the engine's consumer, which closes the engine.
        let mut driver = Driver::new(parts, packers, shared.clone());
        driver.run(&mut *sink)
    }));
    let failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("the poll failed: {error}")),
        Err(panic) => Some(panic_text(&*panic)),
    };
    if let Some(failure) = &failure {
        tracing::error!(target: "forebay::io", failure, "the I/O thread has failed");
        shared.poisoned.store(true, Ordering::Release);
    }
    shared.wall.hide();
    shared.requests.end();
    topics.close();
    shared.alarms.end();
    // The sink may be what panicked; a second panic must not keep others from being told.
    let _ = catch_unwind(AssertUnwindSafe(|| sink.ended(failure.as_deref())));
}

struct Driver {
    /// By `ConnId::index`. Before `core`, so that sockets go before memory.
    sockets: Vec<Option<Socket>>,
    core: Core,
    /// None where the core compresses by itself, or not at all.
    packers: Option<Packers>,
    poll: Poll,
    options: SocketOptions,
    tls: Option<TlsConnector>,
    resolver: Resolver,
    wallet: Wallet,
    bell: Bell,
    shared: Arc<Shared>,
    arena: Bump,
    buffer: Vec<u8>,
    /// A socket had more than its share.
    busy: bool,
    way: GiveWay,
}

impl Driver {
    fn new(mut parts: Parts, packers: Option<Packers>, shared: Arc<Shared>) -> Self {
        let now = shared.now();
        if packers.is_none() {
            parts.config.compression_threads = 0;
        }
        Self {
            sockets: Vec::new(),
            core: Core::new(parts.config, parts.io, parts.topics, fastrand::u64(..), now).measured(parts.meters),
            packers,
            poll: parts.poll,
            options: parts.sockets,
            tls: parts.security.tls,
            wallet: Wallet::new(parts.security.credentials, parts.bell.clone()),
            resolver: Resolver::new(parts.bell.clone()),
            bell: parts.bell,
            shared,
            arena: Bump::new(),
            buffer: vec![0; READ_BUFFER],
            busy: false,
            way: GiveWay::default(),
        }
    }

    fn run(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut requests = Vec::new();
        let mut woken = self.shared.now();
        loop {
            let now = self.shared.now();
            self.shared.requests.take(&mut requests);
            for request in requests.drain(..) {
                self.core.request(request, now);
            }
            for (conn, result) in self.resolver.found() {
                self.open(conn, result, now);
            }
            for (conn, result) in self.wallet.found() {
                self.core.credentials(conn, result, now);
            }
            if let Some(packers) = &mut self.packers {
                packers.done(|job| self.core.packed(job));
            }
            self.core.turn(now);
            while let Some(job) = self.core.next_job() {
                if let Some(packers) = &self.packers {
                    packers.add(job);
                }
            }
            self.carry_out(now);
            self.write(now);
            while self.core.go_on(now) {
                self.write(now);
            }
            self.hand_on(sink, now);
            assert!(!self.core.is_poisoned(), "a record in the slab does not parse");
            if self.core.is_closed() {
                return Ok(());
            }
            let (timeout, begun) = self.timeout();
            if timeout.is_none_or(|timeout| timeout > Wall::NAP) {
                self.shared.wall.hide();
            }
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.shared.wall.show();
            let now = self.shared.now();
            if let Some(at) = self.bell.answer() {
                self.core.rung(at);
            }
            self.core.meter_poll(woken, begun, now);
            woken = now;
            for event in &events {
                if event.token() != bell::BELL {
                    self.event(event, now);
                }
            }
            self.busy = false;
            self.read(now);
        }
    }

    /// How long to sleep. Rounded up to whole milliseconds, or the last one becomes a busy loop.
    /// The moment of that decision comes along.
    fn timeout(&mut self) -> (Option<Duration>, Time) {
        let now = self.shared.now();
        let alarm = self.shared.alarms.go_off(now).map_or(Wake::Never, Wake::At);
        if self.busy || !self.shared.requests.is_empty() {
            return (Some(Duration::ZERO), now);
        }
        let timeout = match self.core.rest(now).min(alarm) {
            Wake::Now => Some(Duration::ZERO),
            Wake::Spin => {
                self.offer_processor();
                Some(Duration::ZERO)
            }
            Wake::At(at) => {
                let left = at.since(now);
                Some(Duration::from_millis(left.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX)))
            }
            Wake::Never => None,
        };
        (timeout, now)
    }

    /// Nothing is to be done before the next look.
    fn offer_processor(&mut self) {
        let then = self.shared.now();
        if self.way.is_due(then) {
            thread::yield_now();
            self.way.is_back(then, self.shared.now());
        }
    }

    fn carry_out(&mut self, now: Time) {
        while let Some(command) = self.core.next_command() {
            match command {
                Command::Connect { conn, host, port, attempt } => {
                    if self.sockets.len() <= conn.index() {
                        self.sockets.resize_with(conn.index() + 1, || None);
                    }
                    let session = self.tls.as_ref().map(|tls| tls.session(&host)).transpose();
                    match session {
                        Ok(session) => self.sockets[conn.index()] = Some(Socket::new(conn, session)),
                        Err(lost) => {
                            self.lose(conn, &lost, now);
                            continue;
                        }
                    }
                    self.resolver.look_up(Lookup { conn, host, port, attempt });
                    for (conn, result) in self.resolver.found() {
                        self.open(conn, result, now);
                    }
                }
                Command::Credentials { conn } => {
                    self.wallet.look(conn);
                    for (conn, result) in self.wallet.found() {
                        self.core.credentials(conn, result, now);
                    }
                }
                Command::Close { conn } => self.close(conn, "closed", now),
            }
        }
    }

    fn open(&mut self, conn: ConnId, address: io::Result<std::net::SocketAddr>, now: Time) {
        let Some(socket) = self.socket(conn) else { return };
        let (options, registry) = (self.options, self.poll.registry());
        let result = address.map_err(|error| error.to_string()).and_then(|address| {
            self.sockets[socket].as_mut().map_or(Ok(()), |s| s.connect(address, options, registry))
        });
        if let Err(why) = result {
            self.close(conn, &why, now);
        }
    }

    fn socket(&self, conn: ConnId) -> Option<usize> {
        self.sockets.get(conn.index())?.as_ref().filter(|socket| socket.conn() == conn).map(|_| conn.index())
    }

    fn close(&mut self, conn: ConnId, why: &str, now: Time) {
        if let Some(socket) = self.socket(conn).and_then(|index| self.sockets[index].take()) {
            socket.close(self.poll.registry());
        }
        self.core.closed(conn, why, now);
    }

    fn lose(&mut self, conn: ConnId, lost: &Lost, now: Time) {
        if lost.untrusted {
            self.core.untrusted(conn, &lost.why);
        }
        self.close(conn, &lost.why, now);
    }

    fn event(&mut self, event: &mio::event::Event, now: Time) {
        let Some(socket) = self.sockets.get_mut(event.token().0).and_then(Option::as_mut) else { return };
        let conn = socket.conn();
        match socket.event(event) {
            Ok(true) => self.core.connected(conn, now),
            Ok(false) => {}
            Err(why) => self.close(conn, &why, now),
        }
    }

    fn read(&mut self, now: Time) {
        for index in 0..self.sockets.len() {
            let Some(socket) = &mut self.sockets[index] else { continue };
            let conn = socket.conn();
            match socket.read(&mut self.core, &mut self.buffer, now) {
                Ok(more) => self.busy |= more,
                Err(lost) => self.lose(conn, &lost, now),
            }
        }
    }

    fn write(&mut self, now: Time) {
        for index in 0..self.sockets.len() {
            let Some(socket) = &mut self.sockets[index] else { continue };
            let conn = socket.conn();
            match socket.write(&mut self.core, &mut self.arena, now) {
                Ok(more) => self.busy |= more,
                Err(lost) => self.lose(conn, &lost, now),
            }
        }
    }

    fn hand_on(&mut self, sink: &mut dyn Sink, now: Time) {
        if !self.core.reports().is_empty() {
            self.core.meter_reports(now);
            let foreign = sink.runs_foreign_code();
            if foreign {
                self.shared.wall.hide();
            }
            let reports = self.core.reports();
            sink.reports(reports);
            if foreign {
                self.shared.wall.show();
            }
            reports.clear();
        }
        let flushed = self.core.flushed();
        if !flushed.is_empty() {
            sink.flushed(flushed);
            flushed.clear();
        }
    }
}
