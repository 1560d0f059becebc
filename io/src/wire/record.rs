//! The record encoder of the send path: Kafka record format v2, written once and in place.
//!
//! ```text
//! ┌──────── head, at most 18 bytes ─────────┐
//! length  attributes  ts delta  offset delta  key len  key  value len  value  header count  headers
//! varint  i8 = 0      varlong   varint, 2 B   varint   …    varint     …      varint        …
//! ```
//!
//! All varints are zigzag-coded, −1 as a length is null. The offset delta has a fixed width of two bytes, padded: 5 is
//! zigzag 10, written `0x8a 0x00`. So a record's encoding does not depend on its place in a batch, which is only known
//! when the batch is cut; [`walk`](super::walk) then stamps it.

use super::varint::{MAX_LEN_64, len32, len64, put64, spread14, spread28, two_bytes, zigzag32, zigzag64};

/// The most bytes of a record's head: length (5), attributes (1), timestamp delta (10), offset delta (2).
pub const HEAD_MAX: usize = 18;
/// The most records of a batch: what a two-byte zigzag varint can number.
pub const MAX_RECORDS: u32 = 8192;
/// The width of the window that timestamp deltas count from, in milliseconds.
pub const WINDOW_MS: i64 = 8192;

/// Key and value together up to which [`Shape::measure`] has a short cut: the body is below 2^13 bytes then, so its
/// length takes at most two.
const USUAL: usize = 8000;

/// The offset delta before it is stamped: 0, padded to two bytes.
const UNSTAMPED: [u8; 2] = [0x80, 0x00];

/// A record header: a name and a value, which may be null.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// The name. Kafka allows the same one several times.
    pub key: &'a str,
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// The lengths of a record's encoding, measured once before memory for it is claimed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What the length field says: all bytes after it.
    pub body_len: u32,
    /// All bytes, the length field included.
    pub total_len: usize,
    /// Bytes before the value's first: head, key length, key, value length.
    pub prefix_len: usize,
}

impl Shape {
    /// Measures a record. `None` if it cannot be expressed: any length above `i32::MAX`.
    #[inline]
    pub fn measure(
        ts_delta: i64,
        key_len: Option<usize>,
        value_len: Option<usize>,
        headers: &[RecordHeader<'_>],
    ) -> Option<Self> {
        let key = key_len.unwrap_or(0);
        let value = value_len.unwrap_or(0);
        let zts = zigzag64(ts_delta);
        let (before_value, body, length_len);
        if headers.is_empty() && key.saturating_add(value) <= USUAL && zts < 1 << 14 {
            // every length field has one byte or two
            let wide = usize::from(zts >= 0x80) + usize::from(key >= 0x40) + usize::from(value >= 0x40);
            before_value = 6 + wide + key;
            body = before_value + value + 1;
            length_len = 1 + usize::from(body >= 0x40);
        } else {
            // Returned in one register: as a struct it would come through memory, and the short cut's result with it.
            let packed = measure_unusual(zts, key_len, value_len, headers);
            if packed == 0 {
                return None;
            }
            before_value = (packed & 0xffff_ffff) as usize;
            body = (packed >> 32) as usize;
            length_len = len32((body as u32) << 1);
        }
        Some(Self { body_len: body as u32, total_len: body + length_len, prefix_len: before_value + length_len })
    }

    /// Bytes after the value: the header count and the headers.
    #[inline]
    pub fn suffix_len(&self, value_len: Option<usize>) -> usize {
        self.total_len - self.prefix_len - value_len.unwrap_or(0)
    }
}

/// Encodes a record into `out`, the hot path.
///
/// # Panics
/// If `out` is not `shape.total_len` bytes long, or `shape` was measured from other arguments.
#[inline(always)] // where it is not, the shape comes through memory
pub fn encode(
    shape: &Shape,
    ts_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader<'_>],
    out: &mut [u8],
) {
    assert_eq!(out.len(), shape.total_len, "the slice is not the record's size");
    let at = write_prefix(shape, ts_delta, key, value.map(<[u8]>::len), out);
    let (dest, tail) = out[at..].split_at_mut(value.map_or(0, <[u8]>::len));
    if let Some(value) = value {
        dest.copy_from_slice(value);
    }
    if let ([count], true) = (&mut *tail, headers.is_empty()) {
        *count = 0;
    } else {
        encode_suffix(headers, tail);
    }
}

/// Encodes everything before the value's bytes and returns how many bytes that is (`shape.prefix_len`). With
/// [`encode_suffix`] the path of a caller who fills in the value in place.
///
/// # Panics
/// If `out` is shorter than `shape.prefix_len`, or `shape` was measured from other arguments.
#[inline]
pub fn encode_prefix(
    shape: &Shape,
    ts_delta: i64,
    key: Option<&[u8]>,
    value_len: Option<usize>,
    out: &mut [u8],
) -> usize {
    write_prefix(shape, ts_delta, key, value_len, &mut out[..shape.prefix_len])
}

/// Encodes the header count and the headers and returns how many bytes that is (`shape.suffix_len`).
///
/// # Panics
/// If `out` is too short.
#[inline]
pub fn encode_suffix(headers: &[RecordHeader<'_>], out: &mut [u8]) -> usize {
    let mut at = 0;
    suffix_to(headers, &mut |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    });
    at
}

/// Encodes a record piece by piece, for one whose memory is not contiguous. The first call of `put` carries the whole
/// head in one slice; the pieces joined are what [`encode`] writes.
#[inline]
pub fn encode_to(
    shape: &Shape,
    ts_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader<'_>],
    put: &mut impl FnMut(&[u8]),
) {
    encode_prefix_to(shape, ts_delta, key, value.map(<[u8]>::len), put);
    if let Some(value) = value {
        put(value);
    }
    suffix_to(headers, put);
}

/// As [`encode_to`], but only what stands before the value's bytes.
pub fn encode_prefix_to(
    shape: &Shape,
    ts_delta: i64,
    key: Option<&[u8]>,
    value_len: Option<usize>,
    put: &mut impl FnMut(&[u8]),
) {
    let mut head = [0; HEAD_MAX];
    let mut varint = [0; MAX_LEN_64];
    let mut at = 0;
    let mut push = |bytes: &[u8]| {
        head[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    let n = put64(&mut varint, zigzag32(shape.body_len as i32).into());
    push(&varint[..n]);
    push(&[0]);
    let n = put64(&mut varint, zigzag64(ts_delta));
    push(&varint[..n]);
    push(&UNSTAMPED);
    put(&head[..at]);
    put_length(key.map(<[u8]>::len), put);
    if let Some(key) = key {
        put(key);
    }
    put_length(value_len, put);
}

/// As [`encode_to`], but only the header count and the headers.
pub fn suffix_to(headers: &[RecordHeader<'_>], put: &mut impl FnMut(&[u8])) {
    put_length(Some(headers.len()), put);
    for header in headers {
        put_length(Some(header.key.len()), put);
        put(header.key.as_bytes());
        put_length(header.value.map(<[u8]>::len), put);
        if let Some(value) = header.value {
            put(value);
        }
    }
}

/// Writes the prefix at the start of `out`, which is at least that long and no shorter than the record may be.
#[inline(always)]
fn write_prefix(shape: &Shape, ts_delta: i64, key: Option<&[u8]>, value_len: Option<usize>, out: &mut [u8]) -> usize {
    let zlen = zigzag32(shape.body_len as i32);
    let zts = zigzag64(ts_delta);
    let zkey = zigzag_len(key.map(<[u8]>::len));
    // Words are stored whole and then overwritten from the right, so the first 16 bytes must be ours. Three tiers: what
    // nearly all records are like, with one branch and at most two bytes a field; long or late records; the rest.
    let mut at = match out.first_chunk_mut::<16>() {
        Some(first) if zlen < 1 << 14 && zts < 1 << 14 && zkey < 0x80 => {
            let (word, n) = spread14(zlen);
            *first = u128::from(word).to_le_bytes(); // the length and attributes 0
            let at = n + 1;
            let (word, n) = spread14(zts as u32);
            let word = word | u32::from(UNSTAMPED[0]) << (8 * n);
            first[at & 3..(at & 3) + 4].copy_from_slice(&word.to_le_bytes());
            let at = at + n + 2;
            first[at & 7] = zkey as u8;
            at + 1
        }
        Some(first) if (u64::from(zlen | zkey) | zts) < 1 << 28 => write_long_head(zlen, zts as u32, zkey, first),
        _ => return write_prefix_plainly(shape, ts_delta, key, value_len, out),
    };
    if let Some(key) = key {
        out[at..at + key.len()].copy_from_slice(key);
        at += key.len();
    }
    let zvalue = zigzag_len(value_len);
    if zvalue < 0x80 {
        out[at] = zvalue as u8;
        at += 1;
    } else if zvalue < 1 << 14 {
        // the value has 64 bytes or more, so there is room
        out[at..at + 2].copy_from_slice(&two_bytes(zvalue).to_le_bytes());
        at += 2;
    } else {
        let mut varint = [0; MAX_LEN_64];
        let n = put64(&mut varint, zvalue.into());
        out[at..at + n].copy_from_slice(&varint[..n]);
        at += n;
    }
    debug_assert_eq!(at, shape.prefix_len, "the shape was measured from other arguments");
    at
}

/// Head and key length where each field has at most four bytes: 15 bytes together. Returns how many they are.
#[inline(never)]
fn write_long_head(zlen: u32, zts: u32, zkey: u32, first: &mut [u8; 16]) -> usize {
    let (word, n) = spread28(zlen);
    first[..8].copy_from_slice(&u64::from(word).to_le_bytes());
    let at = n + 1;
    // timestamp delta and offset delta: up to the 11th byte
    let (word, n) = spread28(zts);
    let word = u64::from(word) | u64::from(UNSTAMPED[0]) << (8 * n);
    first[at & 7..(at & 7) + 8].copy_from_slice(&word.to_le_bytes());
    let at = at + n + 2;
    // key length: up to the 15th
    let (word, n) = spread28(zkey);
    first[at..at + 4].copy_from_slice(&word.to_le_bytes());
    at + n
}

#[cold]
#[inline(never)]
fn write_prefix_plainly(
    shape: &Shape,
    ts_delta: i64,
    key: Option<&[u8]>,
    value_len: Option<usize>,
    out: &mut [u8],
) -> usize {
    let mut at = 0;
    encode_prefix_to(shape, ts_delta, key, value_len, &mut |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    });
    at
}

/// Length of the body (high half) and of what stands in it before the value (low half); 0 if the record cannot be
/// expressed.
#[inline(never)]
fn measure_unusual(zts: u64, key_len: Option<usize>, value_len: Option<usize>, headers: &[RecordHeader<'_>]) -> u64 {
    const LIMIT: u64 = i32::MAX as u64;
    let key = key_len.unwrap_or(0) as u64;
    let value = value_len.unwrap_or(0) as u64;
    // Each is below 2^31 after this, so the sums below cannot wrap.
    let (true, Some(headers)) = ((key | value) <= LIMIT, headers_len(headers)) else { return 0 };
    // attributes, timestamp delta, offset delta, key length, key, value length
    let before_value =
        3 + len64(zts) as u64 + len32(zigzag_len(key_len)) as u64 + key + len32(zigzag_len(value_len)) as u64;
    let body = before_value + value + headers;
    // the length field has five bytes where this matters
    if body + 5 > LIMIT { 0 } else { body << 32 | before_value }
}

fn put_length(len: Option<usize>, put: &mut impl FnMut(&[u8])) {
    let mut varint = [0; MAX_LEN_64];
    let n = put64(&mut varint, zigzag_len(len).into());
    put(&varint[..n]);
}

/// A length as it stands on the wire: zigzag-coded, 1 for null.
#[inline(always)]
fn zigzag_len(len: Option<usize>) -> u32 {
    // Both arms are below 2^32: `measure` refuses lengths above i32::MAX.
    len.map_or(1, |len| (len as u32) << 1)
}

/// Bytes of the header count and the headers; `None` above `i32::MAX`.
fn headers_len(headers: &[RecordHeader<'_>]) -> Option<u64> {
    const LIMIT: usize = i32::MAX as usize;
    let mut sum = len32(zigzag_len(Some(Some(headers.len()).filter(|&n| n <= LIMIT)?)));
    for header in headers {
        let value_len = header.value.map(<[u8]>::len);
        if header.key.len() > LIMIT || value_len > Some(LIMIT) {
            return None;
        }
        sum = sum
            .checked_add(len32(zigzag_len(Some(header.key.len()))) + len32(zigzag_len(value_len)))?
            .checked_add(header.key.len())?
            .checked_add(value_len.unwrap_or(0))?;
        if sum > LIMIT {
            return None;
        }
    }
    Some(sum as u64)
}
