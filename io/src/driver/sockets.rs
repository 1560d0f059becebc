//! The connections' sockets: non-blocking, edge-triggered.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;

use bumpalo::Bump;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::tls::{AT_ONCE, Lost, Session};
use crate::core::{ConnId, Core};
use crate::time::Time;

/// Slices of one `writev`; the limit of Linux and the BSDs.
const MAX_SLICES: usize = 1_024;
/// Bytes read from one connection before another gets its turn.
const READ_SHARE: usize = 256 * 1_024;
/// Calls of `writev` on one connection before another gets its turn.
const WRITE_SHARE: usize = 16;

/// Socket options of a connection.
#[derive(Copy, Clone, Debug, Default)]
pub struct SocketOptions {
    /// `send.buffer.bytes`; the system's own if none, which on Linux means that it grows as needed.
    pub send_buffer: Option<usize>,
    /// `receive.buffer.bytes`; the system's own if none.
    pub receive_buffer: Option<usize>,
}

enum State {
    /// Waits for its address.
    Resolving,
    Connecting(TcpStream),
    Open(TcpStream),
}

pub(super) struct Socket {
    conn: ConnId,
    state: State,
    /// None where bytes go as they are.
    tls: Option<Box<Session>>,
    /// May have something to read; false after `WouldBlock`.
    readable: bool,
    /// The peer will send no more: read to the end.
    ending: bool,
    /// May be written; false after `WouldBlock`.
    writable: bool,
}

/// What became of a connection in one call.
type Outcome = Result<(), String>;

impl Socket {
    pub(super) fn new(conn: ConnId, tls: Option<Session>) -> Self {
        let tls = tls.map(Box::new);
        Self { conn, state: State::Resolving, tls, readable: false, ending: false, writable: false }
    }

    pub(super) fn conn(&self) -> ConnId {
        self.conn
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, address: SocketAddr, options: SocketOptions, registry: &Registry) -> Outcome {
        let open = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect(address)?;
            let socket = socket2::SockRef::from(&stream);
            socket.set_tcp_nodelay(true)?;
            socket.set_keepalive(true)?;
            if let Some(bytes) = options.send_buffer {
                socket.set_send_buffer_size(bytes)?;
            }
            if let Some(bytes) = options.receive_buffer {
                socket.set_recv_buffer_size(bytes)?;
            }
            registry.register(&mut stream, Token(self.conn.index()), Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        };
        let stream = open().map_err(|error| format!("{address}: {error}"))?;
        self.state = State::Connecting(stream);
        Ok(())
    }

    /// The poll has something to say about this socket. Answers whether it has just been connected; with TLS it is that
    /// only after the handshake, which is a matter of reading.
    pub(super) fn event(&mut self, event: &Event) -> Result<bool, String> {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
        if event.is_read_closed() || event.is_error() {
            self.readable = true;
            self.ending = true;
        }
        let State::Connecting(stream) = &self.state else { return Ok(false) };
        if let Some(error) = stream.take_error().unwrap_or_else(Some) {
            return Err(error.to_string());
        }
        match stream.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(error.to_string()),
        }
        if let State::Connecting(stream) = std::mem::replace(&mut self.state, State::Resolving) {
            self.state = State::Open(stream);
        }
        self.writable = true;
        Ok(self.tls.is_none())
    }

    /// Reads what has come, up to this connection's share. Answers whether there may be more.
    pub(super) fn read(&mut self, core: &mut Core, buffer: &mut [u8], now: Time) -> Result<bool, Lost> {
        let State::Open(stream) = &mut self.state else { return Ok(false) };
        if self.tls.is_some() {
            return self.read_secured(core, buffer, now);
        }
        let mut share = READ_SHARE;
        while self.readable {
            match stream.read(buffer) {
                Ok(0) => return Err("closed by the broker".to_owned().into()),
                Ok(n) => {
                    core.received(self.conn, &buffer[..n], now);
                    // A short read has emptied the socket; the end of the stream is an event of its own.
                    self.readable = n == buffer.len() || self.ending;
                    share = share.saturating_sub(n);
                    if share == 0 {
                        return Ok(self.readable);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Ok(false)
    }

    fn read_secured(&mut self, core: &mut Core, buffer: &mut [u8], now: Time) -> Result<bool, Lost> {
        let (State::Open(stream), Some(tls)) = (&mut self.state, &mut self.tls) else { return Ok(false) };
        let mut share = READ_SHARE;
        while self.readable {
            let conn = self.conn;
            match tls.pull(stream, buffer, |plain| core.received(conn, plain, now))? {
                Some(n) => share = share.saturating_sub(n),
                None => self.readable = false,
            }
            if tls.becomes_secure() {
                core.connected(conn, now);
            }
            if share == 0 {
                return Ok(self.readable);
            }
        }
        Ok(false)
    }

    /// Writes what the core has, until the socket is full or this connection has had its share. Answers whether there is
    /// more that could be written.
    pub(super) fn write(&mut self, core: &mut Core, arena: &mut Bump, now: Time) -> Result<bool, Lost> {
        let State::Open(stream) = &mut self.state else { return Ok(false) };
        if self.tls.is_some() {
            return self.write_secured(core, arena, now);
        }
        let mut share = WRITE_SHARE;
        while self.writable && core.wants_write(self.conn) {
            if share == 0 {
                return Ok(true);
            }
            share -= 1;
            let mut slices = bumpalo::collections::Vec::with_capacity_in(MAX_SLICES, arena);
            core.transmit(self.conn, |slice| {
                slices.push(IoSlice::new(slice));
                slices.len() < MAX_SLICES
            });
            let result = stream.write_vectored(&slices);
            drop(slices);
            arena.reset();
            match result {
                Ok(0) => return Err("the socket takes no more bytes".to_owned().into()),
                Ok(n) => core.written(self.conn, n, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Ok(false)
    }

    /// Each round gets all ciphertext out before it makes more.
    fn write_secured(&mut self, core: &mut Core, arena: &mut Bump, now: Time) -> Result<bool, Lost> {
        let (State::Open(stream), Some(tls)) = (&mut self.state, &mut self.tls) else { return Ok(false) };
        let mut share = WRITE_SHARE;
        while self.writable {
            if tls.flush(stream)? {
                core.let_out(self.conn, now);
            } else {
                self.writable = false;
            }
            if !self.writable || !tls.is_secure() || !core.wants_write(self.conn) {
                return Ok(false);
            }
            if share == 0 {
                return Ok(true);
            }
            share -= 1;
            let mut slices = bumpalo::collections::Vec::with_capacity_in(MAX_SLICES, arena);
            let mut bytes = 0;
            core.transmit(self.conn, |slice| {
                slices.push(IoSlice::new(slice));
                bytes += slice.len();
                slices.len() < MAX_SLICES && bytes < AT_ONCE
            });
            let result = tls.accept(&slices);
            drop(slices);
            arena.reset();
            core.taken(self.conn, result?, now);
        }
        Ok(false)
    }

    /// Closes the socket: when this returns, no byte of it can be written any more by us.
    pub(super) fn close(self, registry: &Registry) {
        if let State::Connecting(mut stream) | State::Open(mut stream) = self.state {
            if let Some(mut tls) = self.tls {
                tls.say_goodbye(&mut stream);
            }
            let _ = registry.deregister(&mut stream);
        }
    }
}
