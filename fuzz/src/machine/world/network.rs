//! What happens to connections and to the bytes on them.

use super::super::peer::Peer;
use super::{Event, Link, World};
use crate::input::Input;
use forebay_io::core::Command;

impl World {
    /// Does what a command says: the first four choices as it wishes, others refuse a connection or leave it open.
    pub(in crate::machine) fn obey(&mut self, how: usize) {
        if self.commands.is_empty() {
            return;
        }
        match self.commands.remove(0) {
            Command::Connect { conn, .. } => {
                self.links.push(Link { conn, open: how < 10, peer: Peer::default() });
                match how {
                    0..10 => self.core.connected(conn, self.now),
                    10..13 => self.reset(self.links.len() - 1),
                    _ => {} // nobody answers
                }
            }
            Command::Credentials { .. } => unreachable!("no broker of this world asks who we are"),
            Command::Close { conn } => {
                if let Some(at) = self.links.iter().position(|link| link.conn == conn) {
                    self.reset(at);
                }
            }
        }
    }

    /// A connection ends.
    pub(in crate::machine) fn reset(&mut self, which: usize) {
        if !self.links.is_empty() {
            let link = self.links.remove(which % self.links.len());
            self.core.closed(link.conn, "closed by the fuzzer", self.now);
        }
    }

    fn link(&mut self, which: usize) -> Option<&mut Link> {
        let count = self.links.len().max(1);
        self.links.get_mut(which % count).filter(|link| link.open)
    }

    /// The socket takes at most so many bytes.
    pub(in crate::machine) fn write(&mut self, which: usize, most: usize) {
        let Some(conn) = self.link(which).map(|link| link.conn) else { return };
        let mut left = most;
        loop {
            let piece = self.piece().min(left);
            let mut bytes = Vec::new();
            self.core.transmit(conn, |slice| {
                assert!(!slice.is_empty(), "nothing is shown to be written");
                bytes.extend_from_slice(&slice[..slice.len().min(piece - bytes.len())]);
                bytes.len() < piece
            });
            if bytes.is_empty() {
                return;
            }
            assert!(self.core.wants_write(conn));
            left -= bytes.len();
            self.core.written(conn, bytes.len(), self.now);
            let Self { links, events, .. } = self;
            let count = links.len();
            let peer = &mut links[which % count].peer;
            peer.read(&bytes, |frame| events.push(Event::Asked { conn: conn.unique(), frame: frame.to_vec() }));
            if left == 0 {
                return;
            }
        }
    }

    /// How many bytes go at once.
    fn piece(&mut self) -> usize {
        let Some(state) = &mut self.pieces else { return usize::MAX };
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        // Single bytes, the lengths of fields, and more.
        [1, 1, 2, 3, 4, 7, 30, 200][*state as usize % 8]
    }

    /// The peer answers its oldest request. True if it had one.
    pub(in crate::machine) fn answer(&mut self, which: usize, details: &[u8]) -> bool {
        let count = self.links.len().max(1);
        let Some(link) = self.links.get_mut(which % count) else { return false };
        link.peer.answer(&mut self.cluster, &mut Input(details))
    }

    pub(in crate::machine) fn answer_all(&mut self) {
        for link in 0..self.links.len() {
            while self.answer(link, &[]) {}
        }
    }

    /// The peer answers with any bytes.
    pub(in crate::machine) fn answer_with(&mut self, which: usize, body: &[u8]) {
        self.tampered = true;
        if let Some(link) = self.link(which) {
            link.peer.answer_with(body);
        }
    }

    /// So many bytes of the answers arrive.
    pub(in crate::machine) fn deliver(&mut self, which: usize, most: usize) {
        let Some(link) = self.link(which) else { return };
        let conn = link.conn;
        let most = most.min(link.peer.outbox.len());
        let bytes: Vec<u8> = link.peer.outbox.drain(..most).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(self.piece().min(rest.len()));
            self.core.received(conn, chunk, self.now);
            rest = after;
        }
    }

    /// Answers are harmed on their way.
    pub(in crate::machine) fn tamper(&mut self, which: usize, kind: u8, at: usize, bytes: &[u8]) {
        self.tampered = true;
        let Some(link) = self.link(which) else { return };
        let outbox = &mut link.peer.outbox;
        let at = at % (outbox.len() + 1);
        match kind % 4 {
            0 => outbox.truncate(at),
            1 => drop(outbox.splice(at..at, bytes.iter().copied())),
            2 => outbox[at..].iter_mut().zip(bytes).for_each(|(old, new)| *old = *new),
            _ => outbox[at..].iter_mut().zip(bytes).for_each(|(old, new)| *old ^= *new),
        }
    }

    /// The peer takes its second request for its first.
    pub(in crate::machine) fn swap(&mut self, which: usize) {
        if let Some(link) = self.link(which)
            && link.peer.asked.len() > 1
        {
            link.peer.asked.swap(0, 1);
        }
    }
}
