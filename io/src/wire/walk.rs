//! Walking records that are already encoded: counting them, cutting a batch at its limits, stamping offset deltas and
//! summing the bytes, in one pass.

use crc_fast::{CrcAlgorithm, Digest};

use super::record::MAX_RECORDS;
use super::varint::{read32, read64, unzigzag32, unzigzag64};

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

/// A record's head as parsed.
struct Head {
    /// Bytes of the whole record.
    total: usize,
    /// Where in the record its offset delta stands.
    offset_at: usize,
    ts_delta: i64,
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
    #[inline(always)]
    fn walk_to(&mut self, block: usize, at: &mut usize, slice: &mut [u8]) -> bool {
        while *at < block {
            if self.count >= self.max_records || self.poisoned {
                return true;
            }
            let Some(head) = parse_head(&slice[*at..]) else {
                self.poisoned = true;
                return true;
            };
            if self.count > 0 && head.total > self.max_bytes.saturating_sub(self.bytes) {
                return true;
            }
            let Some(field) = slice[*at + head.offset_at..].first_chunk_mut::<2>() else {
                self.poisoned = true;
                return true;
            };
            // zigzag of a number that is not negative is its double; count < 8192, so 14 bits hold it
            *field = [(self.count << 1) as u8 | 0x80, (self.count >> 6) as u8];
            self.count += 1;
            self.bytes = self.bytes.saturating_add(head.total);
            self.max_ts_delta = self.max_ts_delta.max(head.ts_delta);
            let left = slice.len() - *at;
            if head.total > left {
                self.skip = head.total - left;
                *at = slice.len();
            } else {
                *at += head.total;
            }
        }
        false
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

/// Parses the head at the front of `bytes`. `None` if it is not one that the record encoder writes.
#[inline(always)]
fn parse_head(bytes: &[u8]) -> Option<Head> {
    if let Some(word) = bytes.first_chunk::<8>()
        && let Some(head) = parse_head_word(u64::from_le_bytes(*word))
    {
        return Some(head);
    }
    parse_head_plainly(bytes)
}

/// The usual head, which fits eight bytes: a length of one or two bytes or three, a delta of one or two.
///
/// The branches predict well, and so the next record's address does not wait for arithmetic over the lengths' lengths.
#[inline(always)]
fn parse_head_word(word: u64) -> Option<Head> {
    let (zlen, n) = if word & 0x80 == 0 {
        (word & 0x7f, 1)
    } else if word & 0x8000 == 0 {
        ((word & 0x7f) | ((word >> 1) & 0x3f80), 2)
    } else if word & 0x80_0000 == 0 {
        ((word & 0x7f) | ((word >> 1) & 0x3f80) | ((word >> 2) & 0x1f_c000), 3)
    } else {
        return None;
    };
    let rest = word >> (8 * n);
    let (zts, m) = if rest & 0x8000 == 0 {
        ((rest >> 8) & 0x7f, 1)
    } else if rest & 0x80_0000 == 0 {
        (((rest >> 8) & 0x7f) | ((rest >> 9) & 0x3f80), 2)
    } else {
        return None;
    };
    // attributes 0; first byte of the offset delta continues, second ends; length not negative and not too small
    let offset = rest >> (8 + 8 * m);
    let body = zlen >> 1;
    if rest & 0xff != 0 || offset & 0x8080 != 0x0080 || zlen & 1 != 0 || body < min_body(m) {
        return None;
    }
    let ts_delta = unzigzag64(zts);
    Some(Head { total: n + body as usize, offset_at: n + 1 + m as usize, ts_delta })
}

#[cold]
#[inline(never)]
fn parse_head_plainly(bytes: &[u8]) -> Option<Head> {
    let (zlen, n) = read32(bytes)?;
    let (&attributes, rest) = bytes.get(n..)?.split_first()?;
    let (zts, m) = read64(rest)?;
    let offset = rest.get(m..)?.first_chunk::<2>()?;
    let body = u64::try_from(unzigzag32(zlen)).ok()?;
    if attributes != 0 || offset[0] < 0x80 || offset[1] >= 0x80 || body < min_body(m as u64) {
        return None;
    }
    let total = n.checked_add(usize::try_from(body).ok()?)?;
    Some(Head { total, offset_at: n + 1 + m, ts_delta: unzigzag64(zts) })
}

/// The smallest body with a timestamp delta of `ts_len` bytes: attributes, offset delta, and three lengths of one byte.
#[inline(always)]
const fn min_body(ts_len: u64) -> u64 {
    1 + ts_len + 2 + 3
}
