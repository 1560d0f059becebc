//! The broker's one thread: it polls the sockets of all nodes and gives each connection its turn.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::cluster::Cluster;
use crate::connection::{Connection, Surroundings, Turn};
use crate::faults::Faults;

const WAKER: Token = Token(0);

/// What the handle asks of the thread.
pub(crate) enum Command {
    StopNode(i32, Sender<()>),
    StartNode(i32, Sender<io::Result<()>>),
    Stop,
}

struct Seat {
    id: i32,
    port: u16,
    listener: Option<TcpListener>,
}

pub(crate) struct Server {
    poll: Poll,
    cluster: Arc<Mutex<Cluster>>,
    faults: Faults,
    commands: Receiver<Command>,
    /// One for each node, in the order of their tokens from 1 on.
    seats: Vec<Seat>,
    /// By token, behind those of the nodes.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    socket_buffer: Option<usize>,
}

/// Binds a node's port on the loopback address.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

impl Server {
    pub(crate) fn new(
        listeners: Vec<(i32, u16, TcpListener)>,
        cluster: Arc<Mutex<Cluster>>,
        faults: Faults,
        commands: Receiver<Command>,
        socket_buffer: Option<usize>,
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut server = Self {
            poll,
            cluster,
            faults,
            commands,
            seats: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            socket_buffer,
        };
        for (id, port, listener) in listeners {
            server.seats.push(Seat { id, port, listener: None });
            let seat = server.seats.len() - 1;
            server.open(seat, listener)?;
        }
        Ok((server, waker))
    }

    /// Runs until it is told to stop or the handle is gone. Connections close when it returns, however it returns.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        // Connections that have more to do at once.
        let mut again: Vec<usize> = Vec::new();
        let mut turns: Vec<usize> = Vec::new();
        loop {
            let timeout = if again.is_empty() { self.next_timer() } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(%error, "the mock broker cannot poll and stops");
                    return;
                }
            }
            turns.append(&mut again);
            let mut everyone = false;
            for event in &events {
                match event.token() {
                    WAKER => everyone = true,
                    Token(number) if number <= self.seats.len() => self.accept(number - 1, &mut turns),
                    Token(number) => {
                        let slot = number - self.seats.len() - 1;
                        if let Some(Some(connection)) = self.connections.get_mut(slot) {
                            connection.readable |= event.is_readable() || event.is_error();
                            connection.peer_finished |= event.is_read_closed();
                            turns.push(slot);
                        }
                    }
                }
            }
            if everyone {
                if !self.obey() {
                    return;
                }
                turns.extend(0..self.connections.len());
            }
            let now = Instant::now();
            let mut appended_before = self.lock().appended;
            turns.extend(self.due(now));
            turns.sort_unstable();
            turns.dedup();
            self.take_turns(&mut turns, &mut again, now);
            // Fetches that wait look again whenever something was appended.
            loop {
                let appended = self.lock().appended;
                if appended == appended_before {
                    break;
                }
                appended_before = appended;
                let waits = |c: &Connection| c.waits_for_records(appended);
                let waiting = self.connections.iter().enumerate();
                turns.extend(waiting.filter(|(_, c)| c.as_ref().is_some_and(waits)).map(|(slot, _)| slot));
                self.take_turns(&mut turns, &mut again, now);
            }
        }
    }

    fn take_turns(&mut self, turns: &mut Vec<usize>, again: &mut Vec<usize>, now: Instant) {
        let cluster = Arc::clone(&self.cluster);
        let faults = self.faults.clone();
        let around = Surroundings { cluster: &cluster, faults: &faults, standing: faults.standing(), now };
        for slot in turns.drain(..) {
            let Some(Some(connection)) = self.connections.get_mut(slot) else { continue };
            match connection.turn(&around) {
                Turn::Idle => {}
                Turn::Again => again.push(slot),
                Turn::Close => self.close(slot),
            }
        }
    }

    fn next_timer(&self) -> Option<Duration> {
        let at = self.connections.iter().flatten().filter_map(Connection::wake_at).min()?;
        // mio rounds up to whole milliseconds, so that the last one is not spent spinning.
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn due(&self, now: Instant) -> impl Iterator<Item = usize> {
        let is_due = move |c: &Connection| c.wake_at().is_some_and(|at| at <= now);
        self.connections
            .iter()
            .enumerate()
            .filter(move |(_, connection)| connection.as_ref().is_some_and(is_due))
            .map(|(slot, _)| slot)
    }

    fn accept(&mut self, seat: usize, turns: &mut Vec<usize>) {
        loop {
            let Some(Seat { id, listener: Some(listener), .. }) = self.seats.get(seat) else { return };
            let (id, accepted) = (*id, listener.accept());
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, node = id, "a connection could not be accepted");
                    return;
                }
            };
            if self.faults.standing().reject_connections {
                continue;
            }
            self.add(stream, id, turns);
        }
    }

    fn add(&mut self, mut stream: mio::net::TcpStream, node: i32, turns: &mut Vec<usize>) {
        // Answers are small and waited for: none may wait for the one before to be acknowledged.
        let _ = stream.set_nodelay(true);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let token = Token(self.seats.len() + 1 + slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, token, interest) {
            tracing::warn!(%error, node, "a connection could not be polled");
            self.free.push(slot);
            return;
        }
        if let Some(place) = self.connections.get_mut(slot) {
            *place = Some(Connection::new(stream, node));
        }
        let mut cluster = self.lock();
        cluster.connections += 1;
        cluster.open_connections += 1;
        drop(cluster);
        turns.push(slot);
    }

    fn close(&mut self, slot: usize) {
        if let Some(mut connection) = self.connections.get_mut(slot).and_then(Option::take) {
            // Dropping the socket takes it out of the poll as well.
            let _ = self.poll.registry().deregister(&mut connection.stream);
            self.free.push(slot);
            self.lock().open_connections -= 1;
        }
    }

    /// Carries out what the handle asked. False to stop.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::StopNode(node, done)) => {
                    self.stop_node(node);
                    // Whoever asked may have gone; the node is stopped all the same.
                    let _ = done.send(());
                }
                Ok(Command::StartNode(node, done)) => {
                    let _ = done.send(self.start_node(node));
                }
                Ok(Command::Stop) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    fn stop_node(&mut self, node: i32) {
        let listeners = self.seats.iter_mut().filter(|seat| seat.id == node).filter_map(|seat| seat.listener.take());
        for mut listener in listeners {
            let _ = self.poll.registry().deregister(&mut listener);
        }
        let belongs = |c: &Option<Connection>| c.as_ref().is_some_and(|c| c.node == node);
        for slot in 0..self.connections.len() {
            if self.connections.get(slot).is_some_and(belongs) {
                self.close(slot);
            }
        }
        self.lock().set_running(node, false);
    }

    fn start_node(&mut self, node: i32) -> io::Result<()> {
        let Some(seat) = self.seats.iter().position(|seat| seat.id == node) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no node {node}")));
        };
        let port = match self.seats.get(seat) {
            Some(Seat { listener: None, port, .. }) => *port,
            _ => return Ok(()),
        };
        self.open(seat, listen(port)?)?;
        self.lock().set_running(node, true);
        Ok(())
    }

    fn open(&mut self, seat: usize, mut listener: TcpListener) -> io::Result<()> {
        if let Some(bytes) = self.socket_buffer {
            // Connections inherit it from their listener.
            let socket = socket2::SockRef::from(&listener);
            socket.set_recv_buffer_size(bytes)?;
            socket.set_send_buffer_size(bytes)?;
        }
        self.poll.registry().register(&mut listener, Token(seat + 1), Interest::READABLE)?;
        if let Some(seat) = self.seats.get_mut(seat) {
            seat.listener = Some(listener);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
