//! Memory that the partitions have equal parts of. Records are copied into it and written from it, partition after partition.

use crate::request::Request;
use crate::turn::{Turn, after};
use crate::wire::write_all;
use forebay_io::wire::crc::crc32c;
use memmap2::MmapMut;
use std::io::{self, IoSlice, Write};

/// Bytes of each of so many parts of a memory: an odd number of cache lines, or the same place in each part would lie in a few sets of the
/// caches. None if there are no parts.
pub(crate) fn part(bytes: usize, parts: usize) -> Option<usize> {
    const LINE: usize = 64;
    let lines = bytes.checked_div(parts)? / LINE;
    Some((lines - usize::from(lines > 0 && lines.is_multiple_of(2))) * LINE)
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
    bytes: MmapMut,
    parts: Vec<Part>,
    /// Bytes of each part.
    size: usize,
    /// Where records come from, and what is written around them.
    request: Request,
    /// Bytes copied and not yet written.
    pending: usize,
    turn: Turn,
    /// The partition that is written next.
    next: usize,
}

impl Memory {
    /// `bytes` of memory for so many partitions. None if these would not hold two records each, if the
    /// request holds none, or if the system has no memory.
    pub(crate) fn new(bytes: usize, partitions: usize, request: Request, turn: Turn) -> Option<Self> {
        let size = part(bytes, partitions)?;
        if size < 2 * request.record || request.body() < request.record {
            return None;
        }
        let mut bytes = MmapMut::map_anon(bytes).ok()?;
        // As a producer's memory is: huge pages where the system has them, and touched.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(memmap2::Advice::HugePage);
        bytes.fill(1);
        Some(Self { bytes, parts: vec![Part::default(); partitions], size, request, pending: 0, turn, next: 0 })
    }

    /// Copies records until half of the memory is full, or one request if there is but one partition.
    fn fill(&mut self) {
        let body = self.request.body();
        let until = if self.parts.len() == 1 { body } else { (self.bytes.len() / 2).max(body) };
        for record in self.request.values() {
            if self.pending >= until {
                break;
            }
            let to = self.turn.next(self.parts.len());
            let Some(at) = self.parts[to].place(record.len(), self.size) else { continue };
            let at = to * self.size + at;
            self.bytes[at..at + record.len()].copy_from_slice(record);
            self.pending += record.len();
        }
    }

    /// Writes a request's worth: each partition that comes in turn gives all that it has.
    pub(crate) fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
        self.fill();
        let mut slices = vec![IoSlice::new(self.request.head())];
        let mut left = self.request.body();
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
        slices.push(IoSlice::new(self.request.tail()));
        write_all(to, &mut slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::{numbered, records};

    #[test]
    fn what_is_copied_is_written_once_and_in_order_for_each_partition() {
        const RECORD: usize = 16;
        let request = numbered(40, RECORD);
        let mut memory = Memory::new(3 * 500, 3, request.clone(), Turn::After(2)).expect("it fits");
        for _ in 0..20 {
            let mut written = Vec::new();
            memory.write(&mut written).expect("a vector takes all");
            assert_eq!(written.len(), request.bytes.len());
            let whole = |record: &[u8]| record.iter().all(|byte| *byte == record[0]);
            assert!(records(&written).chunks_exact(RECORD).all(whole), "{written:?}");
        }
        let held: usize =
            memory.parts.iter().map(|p| if p.wrap == 0 { p.end - p.start } else { p.wrap - p.start + p.end }).sum();
        assert_eq!(held, memory.pending);
        assert!(Memory::new(30, 3, request.clone(), Turn::After(0)).is_none(), "no room");
        assert!(Memory::new(3_000, 3, numbered(0, RECORD), Turn::After(0)).is_none(), "no record");
    }
}
