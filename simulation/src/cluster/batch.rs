//! A record batch as it arrives: everything that a broker validates, and what the simulation wrote into its records.

use bytes::{Buf, Bytes};
use forebay_io::wire::crc::crc32c;

pub(crate) struct Batch {
    pub(crate) producer: (i64, i16),
    pub(crate) sequence: i32,
    pub(crate) ids: Vec<u64>,
    pub(crate) len: usize,
}

/// A record's id and what its value must be filled with.
pub(crate) fn filling(id: u64) -> u8 {
    (id as u8).wrapping_mul(31).wrapping_add(7)
}

impl Batch {
    /// # Panics
    /// If a byte is not what it must be: memory was reused, or was never right.
    pub(crate) fn read(bytes: &Bytes) -> Self {
        let at = |from: usize, len: usize| bytes[from..from + len].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        assert!(bytes.len() > 61, "a batch has a header and records");
        assert_eq!(at(8, 4) as usize + 12, bytes.len(), "batch length");
        assert_eq!(at(16, 1), 2, "magic");
        assert_eq!(at(17, 4) as u32, crc32c(&bytes[21..]), "checksum");
        let count = at(57, 4) as usize;
        assert_eq!(at(23, 4) as usize + 1, count, "last offset delta");
        let (base, max) = (at(27, 8) as i64, at(35, 8) as i64);
        let (mut ids, mut rest, mut latest) = (Vec::with_capacity(count), &bytes[61..], i64::MIN);
        while !rest.is_empty() {
            let len = varint(&mut rest) as usize;
            assert!(len <= rest.len(), "a record ends in its batch");
            let (mut record, after) = rest.split_at(len);
            rest = after;
            assert_eq!(record.get_u8(), 0, "attributes");
            latest = latest.max(base + varint(&mut record));
            assert_eq!(varint(&mut record), ids.len() as i64, "offset delta");
            assert_eq!(varint(&mut record), -1, "no key");
            let value = varint(&mut record) as usize;
            assert_eq!(value + 1, record.len(), "value length");
            let id = record.get_u64();
            assert!(record[..value - 8].iter().all(|byte| *byte == filling(id)), "the value of record {id}");
            assert_eq!(record[value - 8], 0, "no headers");
            ids.push(id);
        }
        assert_eq!(ids.len(), count, "records");
        assert_eq!(latest, max, "max timestamp");
        let producer = (at(43, 8) as i64, at(51, 2) as i16);
        Self { producer, sequence: at(53, 4) as i32, ids, len: bytes.len() }
    }
}

fn varint(bytes: &mut &[u8]) -> i64 {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (value >> 1) as i64 ^ -((value & 1) as i64);
        }
    }
}
