//! Walking records that are already encoded: counting them, cutting a batch at its limits, stamping offset deltas and
//! summing the bytes, in one pass.

use crc_fast::{CrcAlgorithm, Digest};

use super::head::Heads;
use super::record::MAX_RECORDS;

/// Bytes that are fetched, walked and summed together: few enough to stay in a first-level cache meanwhile.
const BLOCK: usize = 4096;

/// Takes records for one batch, slice by slice, from one or several lanes.
///
/// A slice holds whole records, the rest of one that began in the slice before, or both; its last record may go on in
/// the next. A record's head (length to offset delta) never straddles two slices.
///
/// No bytes, however malformed, make it panic.
#[derive(Clone, Debug)]
pub struct Walker {
    max_records: u32,
    max_bytes: usize,
    count: u32,
    /// Bytes of the records accepted, those of the last one that are still to come included.
    bytes: usize,
    /// Bytes of the last record that the next slice begins with.
    skip: usize,
    max_ts_delta: i64,
    poisoned: bool,
    digest: Digest,
}

impl Walker {
    /// A walker for a batch of at most `max_records` records (and never more than [`MAX_RECORDS`]) and `max_bytes`
    /// bytes of records. The first record is accepted whatever its size: the broker is the judge of that, and refusing
    /// it here would only mean asking again for ever.
    pub fn new(max_records: u32, max_bytes: usize) -> Self {
        Self {
            max_records: max_records.min(MAX_RECORDS),
            max_bytes,
            count: 0,
            bytes: 0,
            skip: 0,
            max_ts_delta: i64::MIN,
            poisoned: false,
            digest: Digest::new(CrcAlgorithm::Crc32Iscsi),
        }
    }

    /// Changes the most bytes of the batch for the records to come, to take less of the next lane than would fit.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Accepts records from the front of `slice`, stamps them, and returns how many bytes it took. Fewer than
    /// `slice.len()` means that the batch is full (or [`poisoned`](Self::poisoned)).
    pub fn walk(&mut self, slice: &mut [u8]) -> usize {
        if self.poisoned {
            return 0;
        }
        let mut at = self.skip.min(slice.len());
        self.skip -= at;
        let mut summed = 0;
        loop {
            let block = slice.len().min(at + BLOCK);
            fetch(&slice[at..block.min(at + self.max_bytes.saturating_sub(self.bytes))]);
            let full = self.walk_to(block, &mut at, slice);
            // Summed after stamping, while the block is in L1; one call per block, because small ones cost more a byte.
            self.digest.update(&slice[summed..at]);
            summed = at;
            if full || at == slice.len() {
                return at;
            }
        }
    }

    /// Accepts the records that begin before `block`. True: the batch is full.
    ///
    /// What changes with each record stays in registers until the end: of a short record that is a good part of the time.
    #[inline(always)]
    fn walk_to(&mut self, block: usize, at: &mut usize, slice: &mut [u8]) -> bool {
        let from = *at;
        let limit = from.saturating_add(self.max_bytes.saturating_sub(self.bytes));
        let (mut here, mut count, mut latest) = (from, self.count, self.max_ts_delta);
        let mut heads = Heads::NONE;
        let full = loop {
            if here >= block {
                break false;
            }
            if count >= self.max_records {
                break true;
            }
            let rest = &mut slice[here..];
            let Some(head) = heads.read(rest) else {
                self.poisoned = true;
                break true;
            };
            let next = here.saturating_add(head.total);
            if next > limit && count > 0 {
                break true;
            }
            let Some(field) = rest.get_mut(head.offset_at..).and_then(<[u8]>::first_chunk_mut::<2>) else {
                self.poisoned = true;
                break true;
            };
            // zigzag of a number that is not negative is its double; count < 8192, so 14 bits hold it
            *field = (((count << 1) & 0x7f | 0x80 | (count >> 6) << 8) as u16).to_le_bytes();
            count += 1;
            latest = latest.max(head.ts_delta);
            here = next;
        };
        self.count = count;
        self.max_ts_delta = latest;
        self.bytes = self.bytes.saturating_add(here - from);
        if here > slice.len() {
            self.skip = here - slice.len();
            here = slice.len();
        }
        *at = here;
        full
    }

    /// Records accepted.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of the records accepted, including those of a last record whose remainder is still to be walked.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the last record that the next slice must begin with; 0 between records, as at the end of a batch.
    pub fn pending(&self) -> usize {
        self.skip
    }

    /// The largest timestamp delta of the records accepted, in milliseconds; 0 if there are none.
    pub fn max_ts_delta(&self) -> i64 {
        if self.count == 0 { 0 } else { self.max_ts_delta }
    }

    /// CRC-32C of the bytes accepted so far, as stamped.
    pub fn crc(&self) -> u32 {
        self.digest.finalize() as u32
    }

    /// True once a head did not parse. The bytes come from our own encoder, so this is a bug of ours; what was accepted
    /// before is sound.
    pub fn poisoned(&self) -> bool {
        self.poisoned
    }
}

/// Reads one byte of each cache line. A record's place is known only when the one before has been read, so a walk over lines
/// that another core wrote waits for one line after the other; asked for beforehand they come together.
#[inline(always)]
fn fetch(bytes: &[u8]) {
    let mut all = 0;
    for line in bytes.chunks(64) {
        all ^= line[0];
    }
    std::hint::black_box(all);
}
