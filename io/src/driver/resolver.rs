//! Names to addresses on threads of their own: `getaddrinfo` blocks. Each look-up has one, which ends with it: a name server that is slow
//! for one name holds up no other.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
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
    found: Arc<Found>,
    look: fn(&Lookup) -> io::Result<SocketAddr>,
}

impl Resolver {
    pub(super) fn new(bell: Bell) -> Self {
        Self::by(bell, pick)
    }

    fn by(bell: Bell, look: fn(&Lookup) -> io::Result<SocketAddr>) -> Self {
        Self { bell, found: Arc::default(), look }
    }

    /// Looks a name up; the answer comes with [`Resolver::found`]. A connection that is given up meanwhile gets one all the same, so that
    /// there are no more threads than connections were begun in the time that the slowest look-up takes.
    pub(super) fn look_up(&self, lookup: Lookup) {
        if let Ok(address) = lookup.host.parse::<IpAddr>() {
            put(&self.found, lookup.conn, Ok(SocketAddr::new(address, lookup.port)));
            return;
        }
        let (conn, look) = (lookup.conn, self.look);
        let (found, bell) = (self.found.clone(), self.bell.clone());
        let started = thread::Builder::new().name("forebay-dns".to_owned()).spawn(move || {
            put(&found, lookup.conn, look(&lookup));
            bell.ring();
        });
        if let Err(error) = started {
            put(&self.found, conn, Err(error));
        }
    }

    /// Answers since the last call.
    pub(super) fn found(&self) -> Vec<(ConnId, io::Result<SocketAddr>)> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn put(found: &Found, conn: ConnId, result: io::Result<SocketAddr>) {
    found.lock().unwrap_or_else(PoisonError::into_inner).push((conn, result));
}

/// Of a name's addresses the one whose turn it is.
fn pick(lookup: &Lookup) -> io::Result<SocketAddr> {
    let all: Vec<_> = (&*lookup.host, lookup.port).to_socket_addrs()?.collect();
    all.get(lookup.attempt as usize % all.len().max(1))
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    static SLOW: Mutex<()> = Mutex::new(());

    fn look(lookup: &Lookup) -> io::Result<SocketAddr> {
        match &*lookup.host {
            "unknown" => return Err(io::ErrorKind::NotFound.into()),
            "slow" => drop(SLOW.lock()),
            _ => {}
        }
        Ok(SocketAddr::from(([10, 0, 0, 1], lookup.port)))
    }

    #[test]
    fn names_do_not_wait_for_each_other_and_addresses_for_nobody() {
        let (_poll, bell) = Bell::new().expect("a poll");
        let resolver = Resolver::by(bell.clone(), look);
        let slow = SLOW.lock();
        for (port, host) in [(1, "slow"), (2, "quick"), (3, "127.0.0.1"), (4, "unknown")] {
            let conn = ConnId { index: u32::from(port), generation: 0 };
            resolver.look_up(Lookup { conn, host: host.into(), port, attempt: 0 });
        }
        let begun = Instant::now();
        let patience = || {
            assert!(begun.elapsed() < Duration::from_secs(30), "a look-up waits for another");
            thread::yield_now();
        };
        let found = |count: usize| {
            let mut ports = Vec::new();
            while ports.len() < count {
                patience();
                let found = resolver.found().into_iter();
                ports.extend(found.map(|(conn, result)| (conn.index, result.ok().map(|found| found.port()))));
            }
            ports.sort_unstable();
            ports
        };
        assert_eq!(found(3), [(2, Some(2)), (3, Some(3)), (4, None)]);
        while bell.answer().is_none() {
            patience(); // until the driver is woken
        }
        drop(slow);
        assert_eq!(found(1), [(1, Some(1))]);
    }
}
