//! Memory that is dealt out as rings, one for each sender and partition. Senders copy records into them; one thread sums what they hold
//! and writes it, ring after ring.

use crate::memory::part;
use crate::request::Request;
use crate::turn::{Turn, after};
use crate::wire::{Wire, write_all};
use forebay_io::wire::crc::crc32c;
use rtrb::chunks::ReadChunk;
use rtrb::{Consumer, Producer, RingBuffer};
use std::io::{self, IoSlice, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Who has nothing to do sleeps for so long.
const NAP: Duration = Duration::from_micros(50);
/// A sender looks so often before it sleeps.
const SPINS: u32 = 64;

/// All rings, both ends.
pub(crate) struct Rings {
    senders: Vec<Sender>,
    lines: Lines,
}

/// A sender's ends, by partition.
struct Sender {
    rings: Vec<Producer<u8>>,
    turn: Turn,
}

/// The other ends, those of a partition side by side.
struct Lines {
    all: Vec<Line>,
    /// Bytes that the lines are known to hold.
    known: usize,
    /// The line that is written next.
    next: usize,
}

struct Line {
    bytes: Consumer<u8>,
    known: usize,
}

impl Rings {
    /// `bytes` of memory for so many partitions, with a sender for each turn. None if a ring would not hold two records.
    pub(crate) fn new(bytes: usize, partitions: usize, turns: Vec<Turn>, record: usize) -> Option<Self> {
        let size = part(bytes, partitions * turns.len())?;
        if size < 2 * record {
            return None;
        }
        let mut senders: Vec<_> = turns.into_iter().map(|turn| Sender { rings: Vec::new(), turn }).collect();
        let mut lines = Vec::new();
        for _ in 0..partitions {
            for sender in &mut senders {
                let (ring, bytes) = RingBuffer::new(size);
                sender.rings.push(ring);
                lines.push(Line { bytes, known: 0 });
            }
        }
        Some(Self { senders, lines: Lines { all: lines, known: 0, next: 0 } })
    }

    /// Writes so many requests, while the senders fill their rings as fast as they are emptied.
    pub(crate) fn pump(&mut self, wire: &mut Wire, request: &Request, times: u64) -> io::Result<()> {
        let over = AtomicBool::new(false);
        let Self { senders, lines } = self;
        thread::scope(|scope| {
            for sender in senders {
                thread::Builder::new().name("sender".to_owned()).spawn_scoped(scope, || sender.send(request, &over))?;
            }
            let result = wire.pump(times, |to| lines.write(request, to));
            over.store(true, Ordering::Relaxed);
            result
        })
    }
}

impl Sender {
    /// Copies records until it is `over`.
    fn send(&mut self, request: &Request, over: &AtomicBool) {
        let mut spins = 0;
        for record in request.values() {
            let to = self.turn.next(self.rings.len());
            let mut rest = record;
            while !rest.is_empty() {
                if let Ok(copied) = self.rings[to].write(rest) {
                    (rest, spins) = (&rest[copied..], 0);
                } else if over.load(Ordering::Relaxed) {
                    return;
                } else if spins < SPINS {
                    spins += 1;
                    std::hint::spin_loop();
                } else {
                    thread::sleep(NAP);
                }
            }
        }
    }
}

impl Lines {
    /// Waits for a request's worth and writes it: each line that comes in turn gives all that it is known to have.
    fn write(&mut self, request: &Request, to: &mut impl Write) -> io::Result<()> {
        while self.known < request.body() {
            self.look();
            if self.known < request.body() {
                thread::sleep(NAP);
            }
        }
        let chunks = self.take(request.body());
        let mut slices = vec![IoSlice::new(request.head())];
        for chunk in &chunks {
            let (first, second) = chunk.as_slices();
            for bytes in [first, second].into_iter().filter(|bytes| !bytes.is_empty()) {
                std::hint::black_box(crc32c(bytes));
                slices.push(IoSlice::new(bytes));
            }
        }
        slices.push(IoSlice::new(request.tail()));
        write_all(to, &mut slices)?;
        drop(slices);
        chunks.into_iter().for_each(ReadChunk::commit_all);
        Ok(())
    }

    fn look(&mut self) {
        self.known = 0;
        for line in &mut self.all {
            line.known = line.bytes.slots();
            self.known += line.known;
        }
    }

    /// So many bytes, which are known to be there.
    fn take(&mut self, mut left: usize) -> Vec<ReadChunk<'_, u8>> {
        self.known -= left;
        let count = self.all.len();
        let (before, from) = self.all.split_at_mut(self.next);
        let mut chunks = Vec::new();
        for line in from.iter_mut().chain(before) {
            let most = left.min(line.known);
            if most > 0
                && let Ok(chunk) = line.bytes.read_chunk(most)
            {
                line.known -= most;
                left -= most;
                chunks.push(chunk);
            }
            if left == 0 {
                break;
            }
            self.next = after(self.next, count);
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::Rings;
    use crate::request::tests::{numbered, records};
    use crate::turn::Turn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    /// Not a part of a ring's size: records lie around its end.
    const RECORD: usize = 28;
    /// Different records.
    const COUNT: u8 = 39;

    #[test]
    fn what_is_copied_is_written_once_and_in_order_for_each_ring() {
        let request = numbered(COUNT.into(), RECORD);
        for partitions in [1, 3] {
            let mut rings =
                Rings::new(partitions * 2_000, partitions, vec![Turn::After(0)], RECORD).expect("there is room");
            let Rings { senders, lines } = &mut rings;
            let over = AtomicBool::new(false);
            // By ring, as numbers tell it: bytes, of which the last record may be a part.
            let mut got: Vec<Vec<u8>> = vec![Vec::new(); partitions];
            thread::scope(|scope| {
                scope.spawn(|| senders[0].send(&request, &over));
                for _ in 0..50 {
                    let mut written = Vec::new();
                    lines.write(&request, &mut written).expect("a vector takes all");
                    assert_eq!(written.len(), request.bytes.len());
                    for byte in records(&written) {
                        got[usize::from(*byte) % partitions].push(*byte);
                    }
                }
                over.store(true, Ordering::Relaxed);
            });
            for (ring, bytes) in got.iter().enumerate() {
                let first = bytes[0];
                assert_eq!(usize::from(first), ring, "the first record of each ring is among the first");
                for (at, byte) in bytes.iter().enumerate() {
                    let expected = (usize::from(first) + at / RECORD * partitions) % usize::from(COUNT);
                    assert_eq!(usize::from(*byte), expected, "byte {at} of ring {ring} of {partitions}");
                }
            }
        }
    }

    #[test]
    fn a_ring_holds_two_records() {
        let rings = |bytes, partitions| Rings::new(bytes, partitions, vec![Turn::After(0)], RECORD);
        assert!(rings(63, 1).is_none() && rings(127, 2).is_none() && rings(64, 0).is_none());
        assert!(rings(64, 1).is_some());
    }
}
