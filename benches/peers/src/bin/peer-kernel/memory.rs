//! Memory that the partitions have equal parts of. Records are copied into it and written from it, partition after partition.

use forebay_io::wire::crc::crc32c;
use forebay_peer_driver::next_random;
use std::io::{self, IoSlice, Write};

/// How many bytes at the ends of a request are framing, or may be: what lies between them is records.
const HEAD: usize = 128;
const TAIL: usize = 16;
/// Slices that a system call takes.
const IOV_MAX: usize = 1_024;

/// Whose turn it is to get a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    /// The partition after this one.
    After(usize),
    /// Any: the state of a generator.
    Random(u64),
}

impl Turn {
    fn next(&mut self, partitions: usize) -> usize {
        match self {
            Turn::After(last) => {
                *last = after(*last, partitions);
                *last
            }
            Turn::Random(state) => {
                *state = next_random(*state);
                (*state >> 33) as usize % partitions
            }
        }
    }
}

/// The partition after this one.
fn after(partition: usize, partitions: usize) -> usize {
    if partition + 1 < partitions { partition + 1 } else { 0 }
}

/// A partition's part, used from its beginning to its end and again.
#[derive(Debug, Clone, Default)]
struct Part {
    /// The first byte that is not written yet, and where the next record goes.
    start: usize,
    end: usize,
    /// Where the bytes before the beginning's end, if `end` is at the beginning again. 0: it is not.
    wrap: usize,
}

impl Part {
    /// A place for a record of so many bytes, if there is one.
    fn place(&mut self, len: usize, size: usize) -> Option<usize> {
        if self.wrap == 0 && self.end + len > size {
            (self.wrap, self.end) = (self.end, 0);
        }
        if self.wrap != 0 && self.end + len > self.start {
            return None;
        }
        self.end += len;
        Some(self.end - len)
    }

    /// At most so many bytes to be written: where they begin, and how many they are.
    fn take(&mut self, most: usize) -> (usize, usize) {
        let (start, until) = (self.start, if self.wrap == 0 { self.end } else { self.wrap });
        let len = most.min(until - start);
        self.start += len;
        if self.wrap != 0 && self.start == self.wrap {
            (self.start, self.wrap) = (0, 0);
        }
        (start, len)
    }

    fn is_empty(&self) -> bool {
        self.wrap == 0 && self.start == self.end
    }
}

/// The memory, and what is copied into it.
pub(crate) struct Memory {
    bytes: Vec<u8>,
    parts: Vec<Part>,
    /// Bytes of each part.
    size: usize,
    /// Where records come from, and what is written around them: a broker reads no further than a batch's header.
    request: Vec<u8>,
    /// Bytes of each record.
    record: usize,
    /// Bytes copied and not yet written.
    pending: usize,
    turn: Turn,
    /// The partition that is written next.
    next: usize,
}

impl Memory {
    /// `bytes` of memory for so many partitions. None if these would not hold a record each, or if the request holds none.
    pub(crate) fn new(bytes: usize, partitions: usize, request: Vec<u8>, record: usize, turn: Turn) -> Option<Self> {
        let size = bytes.checked_div(partitions)?;
        let holds = size >= 2 * record && request.len() >= HEAD + TAIL + record;
        // Touched, so that no page is given during the measurement.
        holds.then(|| Self {
            bytes: vec![1; bytes],
            parts: vec![Part::default(); partitions],
            size,
            request,
            record,
            pending: 0,
            turn,
            next: 0,
        })
    }

    /// Bytes of records in a request.
    fn body(&self) -> usize {
        self.request.len() - HEAD - TAIL
    }

    /// Copies records until half of the memory is full, or one request if there is but one partition.
    fn fill(&mut self) {
        let until = if self.parts.len() == 1 { self.body() } else { (self.bytes.len() / 2).max(self.body()) };
        let records = self.request[HEAD..].chunks_exact(self.record).take(64);
        for record in records.cycle() {
            if self.pending >= until {
                break;
            }
            let to = self.turn.next(self.parts.len());
            let Some(at) = self.parts[to].place(self.record, self.size) else { continue };
            let at = to * self.size + at;
            self.bytes[at..at + self.record].copy_from_slice(record);
            self.pending += self.record;
        }
    }

    /// Writes a request's worth: each partition that comes in turn gives all that it has.
    pub(crate) fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
        self.fill();
        let (head, tail) = (&self.request[..HEAD], &self.request[self.request.len() - TAIL..]);
        let mut slices = vec![IoSlice::new(head)];
        let mut left = self.body();
        while left > 0 {
            let (start, len) = self.parts[self.next].take(left);
            let start = self.next * self.size + start;
            let bytes = &self.bytes[start..start + len];
            if len > 0 {
                std::hint::black_box(crc32c(bytes));
                slices.push(IoSlice::new(bytes));
            }
            left -= len;
            self.pending -= len;
            if self.parts[self.next].is_empty() {
                self.next = after(self.next, self.parts.len());
            }
        }
        slices.push(IoSlice::new(tail));
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let most = left.len().min(IOV_MAX);
            let written = to.write_vectored(&left[..most])?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_written_once_and_in_order_for_each_partition() {
        const RECORD: usize = 16;
        let mut request = vec![0; HEAD + 40 * RECORD + TAIL];
        for (at, record) in request[HEAD..].chunks_exact_mut(RECORD).enumerate() {
            record.fill(at as u8);
        }
        let mut memory = Memory::new(3 * 500, 3, request, RECORD, Turn::After(2)).expect("it fits");
        for _ in 0..20 {
            let mut written = Vec::new();
            memory.write(&mut written).expect("a vector takes all");
            assert_eq!(written.len(), HEAD + 40 * RECORD + TAIL);
            let records = &written[HEAD..HEAD + 40 * RECORD];
            assert!(records.chunks_exact(RECORD).all(|record| record.iter().all(|byte| *byte == record[0])));
        }
        let held: usize =
            memory.parts.iter().map(|p| if p.wrap == 0 { p.end - p.start } else { p.wrap - p.start + p.end }).sum();
        assert_eq!(held, memory.pending);
        assert!(Memory::new(30, 3, vec![0; 1_000], RECORD, Turn::After(0)).is_none(), "no room");
    }
}
