//! Names to addresses on a thread of its own: `getaddrinfo` blocks.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use forebay_engine::Ring;

use super::bell::Bell;
use crate::core::ConnId;

/// A name to look up for a connection.
pub(super) struct Lookup {
    pub(super) conn: ConnId,
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    pub(super) attempt: u32,
}

/// Addresses found, for whoever asked.
type Found = Mutex<Vec<(ConnId, io::Result<SocketAddr>)>>;

pub(super) struct Resolver {
    bell: Bell,
    /// Begins with the first name that is not an address.
    thread: Option<Sender<Lookup>>,
    found: Arc<Found>,
}

impl Resolver {
    pub(super) fn new(bell: Bell) -> Self {
        Self { bell, thread: None, found: Arc::default() }
    }

    /// Looks a name up; the answer comes with [`Resolver::found`].
    pub(super) fn look_up(&mut self, lookup: Lookup) {
        if let Ok(address) = lookup.host.parse::<IpAddr>() {
            self.answer(lookup.conn, Ok(SocketAddr::new(address, lookup.port)));
            return;
        }
        let conn = lookup.conn;
        if self.thread.is_none() {
            let (ask, asked) = channel();
            let (found, bell) = (self.found.clone(), self.bell.clone());
            let thread = thread::Builder::new().name("forebay-dns".to_owned());
            match thread.spawn(move || resolve(&asked, &found, &bell)) {
                Ok(_) => self.thread = Some(ask),
                Err(error) => {
                    self.answer(conn, Err(error));
                    return;
                }
            }
        }
        if self.thread.as_ref().is_none_or(|thread| thread.send(lookup).is_err()) {
            self.thread = None;
            self.answer(conn, Err(io::Error::other("the resolver thread has ended")));
        }
    }

    /// Answers since the last call.
    pub(super) fn found(&self) -> Vec<(ConnId, io::Result<SocketAddr>)> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, conn: ConnId, result: io::Result<SocketAddr>) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push((conn, result));
    }
}

fn resolve(asked: &Receiver<Lookup>, found: &Found, bell: &Bell) {
    while let Ok(lookup) = asked.recv() {
        let result = pick(&lookup);
        found.lock().unwrap_or_else(PoisonError::into_inner).push((lookup.conn, result));
        bell.ring();
    }
}

/// Of a name's addresses the one whose turn it is.
fn pick(lookup: &Lookup) -> io::Result<SocketAddr> {
    let all: Vec<_> = (&*lookup.host, lookup.port).to_socket_addrs()?.collect();
    all.get(lookup.attempt as usize % all.len().max(1))
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
