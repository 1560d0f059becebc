//! Reading record batches (format v2) in place.
//!
//! Offsets of the header fields are those of Kafka's `DefaultRecordBatch`; the CRC-32C covers everything from the
//! attributes to the end.

use std::borrow::Cow;

use crate::error_code;
use crate::producers::ProducerStamp;
use crate::unpack::unpack;

/// Size of the header before the records.
pub(crate) const HEADER: usize = 61;

const CRC_FROM: usize = 21;
const COMPRESSION_MASK: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Why a batch is refused: an error code, a reason, and the record if it is one record's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i16,
    pub(crate) reason: &'static str,
    pub(crate) record: Option<i32>,
}

impl Refusal {
    pub(crate) const fn new(code: i16, reason: &'static str) -> Self {
        Self { code, reason, record: None }
    }

    const fn corrupt(reason: &'static str) -> Self {
        Self::new(error_code::CORRUPT_MESSAGE, reason)
    }

    const fn invalid(reason: &'static str) -> Self {
        Self::new(error_code::INVALID_RECORD, reason)
    }
}

/// A batch whose header is in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) attributes: i16,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer: ProducerStamp,
    crc: u32,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

impl<'a> Batch<'a> {
    /// Checks everything that the header alone can tell, as a broker does for Produce v3 and later: exactly one batch,
    /// of format v2, with as many records as its last offset says.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.is_empty() {
            return Err(Refusal::invalid("no record batch in the request"));
        }
        if bytes.len() < HEADER {
            return Err(Refusal::corrupt("shorter than a batch header"));
        }
        let [magic] = field(bytes, 16);
        if magic != 2 {
            return Err(Refusal::corrupt("not a batch of format 2"));
        }
        let length = i32::from_be_bytes(field(bytes, 8));
        match usize::try_from(length) {
            Ok(length) if length + 12 == bytes.len() => {}
            Ok(length) if length + 12 >= HEADER && length + 12 < bytes.len() => {
                return Err(Refusal::invalid("more than one batch for a partition"));
            }
            _ => return Err(Refusal::corrupt("the batch length is not that of the bytes sent")),
        }
        let attributes = i16::from_be_bytes(field(bytes, 21));
        let last_offset_delta = i32::from_be_bytes(field(bytes, 23));
        let count = i32::from_be_bytes(field(bytes, 57));
        if attributes & CONTROL != 0 {
            return Err(Refusal::invalid("clients may not write control batches"));
        }
        if count <= 0 || last_offset_delta != count - 1 {
            return Err(Refusal::invalid("the record count does not fit the last offset delta"));
        }
        Ok(Self {
            bytes,
            attributes,
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer: ProducerStamp {
                id: i64::from_be_bytes(field(bytes, 43)),
                epoch: i16::from_be_bytes(field(bytes, 51)),
                base_sequence: i32::from_be_bytes(field(bytes, 53)),
                count,
            },
            crc: u32::from_be_bytes(field(bytes, 17)),
        })
    }

    pub(crate) fn count(&self) -> i32 {
        self.producer.count
    }

    /// The number of the codec, 0 for none.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    /// The bytes of the records, decompressed if need be.
    ///
    /// # Errors
    /// They do not decompress, or by a codec that there is not.
    pub(crate) fn records(&self) -> Result<Cow<'a, [u8]>, Refusal> {
        unpack(self.codec(), self.bytes.get(HEADER..).unwrap_or_default())
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn check_crc(&self) -> Result<(), Refusal> {
        let covered = self.bytes.get(CRC_FROM..).unwrap_or_default();
        if crc_fast::crc32_iscsi(covered) == self.crc {
            Ok(())
        } else {
            Err(Refusal::corrupt("the CRC-32C does not fit the batch"))
        }
    }

    /// Walks the records of a batch in order: `records` is what [`records`](Self::records) has given.
    ///
    /// # Errors
    /// The first record that is malformed, or bytes that are left over.
    #[inline]
    pub(crate) fn walk<'r>(&self, records: &'r [u8], mut visit: impl FnMut(RecordView<'r>)) -> Result<(), Refusal> {
        let mut rest = Cursor { bytes: records };
        for index in 0..self.count() {
            let broken = |reason| Refusal { code: error_code::INVALID_RECORD, reason, record: Some(index) };
            let record = rest.record().map_err(|Broken| broken("the record is malformed"))?;
            if record.offset_delta != index {
                return Err(broken("offset deltas must count up from 0"));
            }
            visit(record);
        }
        if rest.bytes.is_empty() { Ok(()) } else { Err(Refusal::invalid("bytes after the last record")) }
    }
}

/// One record of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordView<'a> {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    header_count: i32,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Name and value of each header; the walk has checked them.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = Cursor { bytes: self.headers };
        (0..self.header_count).map_while(move |_| rest.header().ok())
    }
}

/// The bytes are no record.
#[derive(Debug)]
struct Broken;

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    #[inline(always)]
    fn record(&mut self) -> Result<RecordView<'a>, Broken> {
        let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
        let mut body = Cursor { bytes: self.take(length)? };
        let (_attributes, rest) = body.bytes.split_first().ok_or(Broken)?;
        body.bytes = rest;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable()?;
        let value = body.nullable()?;
        let header_count = body.varint()?;
        if header_count < 0 {
            return Err(Broken);
        }
        let headers = body.bytes;
        for _ in 0..header_count {
            body.header()?;
        }
        if !body.bytes.is_empty() {
            return Err(Broken);
        }
        Ok(RecordView { offset_delta, timestamp_delta, key, value, header_count, headers })
    }

    fn header(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), Broken> {
        let name = self.nullable()?.ok_or(Broken)?;
        std::str::from_utf8(name).map_err(|_| Broken)?;
        Ok((name, self.nullable()?))
    }

    #[inline(always)]
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| Broken)?).map(Some),
        }
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Broken)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A zigzag varint of at most five bytes; padded ones are legal, as they are to Kafka.
    #[inline(always)]
    fn varint(&mut self) -> Result<i32, Broken> {
        let raw = self.unsigned(5)? as u32;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    #[inline(always)]
    fn varlong(&mut self) -> Result<i64, Broken> {
        let raw = self.unsigned(10)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Nearly all are of one or two bytes; the others are not worth their room in the walk's loop.
    #[inline(always)]
    fn unsigned(&mut self, most: usize) -> Result<u64, Broken> {
        match self.bytes {
            [a, rest @ ..] if *a < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*a))
            }
            [a, b, rest @ ..] if *b < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(a & 0x7F) | u64::from(*b) << 7)
            }
            _ => self.unsigned_long(most),
        }
    }

    #[cold]
    fn unsigned_long(&mut self, most: usize) -> Result<u64, Broken> {
        let mut raw = 0;
        for (at, byte) in self.bytes.iter().take(most).enumerate() {
            raw |= u64::from(byte & 0x7F) << (7 * at);
            if *byte < 0x80 {
                self.bytes = self.bytes.get(at + 1..).ok_or(Broken)?;
                return Ok(raw);
            }
        }
        Err(Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of these record bytes with a right header.
    fn batch(records: &[u8], count: i32) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[8..12].copy_from_slice(&((HEADER + records.len() - 12) as i32).to_be_bytes());
        bytes[16] = 2;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[43..51].copy_from_slice(&(-1_i64).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(records);
        let crc = crc_fast::crc32_iscsi(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    // length, attributes, timestamp delta, offset delta, key, value, headers
    const PLAIN: &[u8] = &[16, 0, 0, 0, 1, 4, b'h', b'i', 0];
    const PADDED: &[u8] = &[18, 0, 0, 0x82, 0x00, 1, 4, b'h', b'o', 0];

    fn code(bytes: &[u8]) -> i16 {
        let result = Batch::parse(bytes).and_then(|b| b.check_crc().and_then(|()| b.walk(&b.records()?, |_| {})));
        result.map_or_else(|refusal| refusal.code, |()| error_code::NONE)
    }

    #[test]
    fn padded_offset_deltas_are_legal() {
        let bytes = batch(&[PLAIN, PADDED].concat(), 2);
        let mut seen = Vec::new();
        Batch::parse(&bytes).unwrap().walk(&bytes[HEADER..], |r| seen.push((r.offset_delta, r.key, r.value))).unwrap();
        assert_eq!(seen, [(0, None, Some(&b"hi"[..])), (1, None, Some(&b"ho"[..]))]);
    }

    #[test]
    fn headers_are_read() {
        let record = &[26, 0, 0, 0, 0, 1, 4, 2, b'a', 2, b'1', 2, b'b', 1];
        let record = [&[record.len() as u8 * 2 - 2], &record[1..]].concat();
        let bytes = batch(&record, 1);
        let mut headers = Vec::new();
        Batch::parse(&bytes).unwrap().walk(&bytes[HEADER..], |r| headers.extend(r.headers())).unwrap();
        assert_eq!(headers, [(&b"a"[..], Some(&b"1"[..])), (&b"b"[..], None)]);
    }

    #[test]
    fn what_is_wrong_decides_the_code() {
        let good = batch(&[PLAIN, PADDED].concat(), 2);
        assert_eq!(code(&good), error_code::NONE);
        let wrong_order = batch(&[PADDED, PLAIN].concat(), 2);
        assert_eq!(code(&wrong_order), error_code::INVALID_RECORD);
        assert_eq!(code(&batch(PLAIN, 2)), error_code::INVALID_RECORD, "fewer records than said");
        assert_eq!(code(&batch(&[PLAIN, &[0]].concat(), 1)), error_code::INVALID_RECORD, "bytes left over");
        assert_eq!(code(&batch(&[], 0)), error_code::INVALID_RECORD, "an empty batch");
        assert_eq!(code(&[good.clone(), good.clone()].concat()), error_code::INVALID_RECORD, "two batches");
        assert_eq!(code(&[]), error_code::INVALID_RECORD);
        assert_eq!(code(&good[..good.len() - 1]), error_code::CORRUPT_MESSAGE, "cut short");
        assert_eq!(code(&good[..30]), error_code::CORRUPT_MESSAGE);
        let mut flipped = good.clone();
        flipped[HEADER + 3] ^= 1;
        assert_eq!(code(&flipped), error_code::CORRUPT_MESSAGE, "a wrong CRC");
        let mut old = good;
        old[16] = 1;
        assert_eq!(code(&old), error_code::CORRUPT_MESSAGE);
    }

    #[test]
    fn no_bytes_make_the_walk_panic() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..20_000 {
            let mut records = [PLAIN, PADDED, PLAIN].concat();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..records.len());
                records[at] = random.u8(..);
            }
            records.truncate(random.usize(..=records.len()));
            let bytes = batch(&records, 3);
            let _ = Batch::parse(&bytes).and_then(|b| b.walk(&b.records()?, |r| r.headers().for_each(drop)));
        }
    }
}
