//! The log of one partition in memory, and the bound on all logs together.

use std::collections::VecDeque;

use crate::batch::Batch;

/// One record as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its timestamp in milliseconds since the epoch, as the producer sent it.
    pub timestamp: i64,
    /// Its key; none and empty are different.
    pub key: Option<Vec<u8>>,
    /// Its value; none and empty are different.
    pub value: Option<Vec<u8>>,
    /// Names and values of its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Debug)]
struct Stored {
    base_offset: i64,
    count: i32,
    max_timestamp: i64,
    bytes: Vec<u8>,
}

/// A partition's batches, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<Stored>,
    start: i64,
    end: i64,
}

impl Log {
    /// Offset of the oldest record that is still there (or the next to come).
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// Offset of the next record.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Counts a batch in without keeping it: the log is empty and begins behind it.
    pub(crate) fn skip(&mut self, count: i32) -> i64 {
        let base = self.end;
        self.end += i64::from(count);
        self.start = self.end;
        base
    }

    /// Copies a batch to the end, with the offset and leader epoch that a broker writes (neither is under the CRC).
    pub(crate) fn append(&mut self, batch: &Batch<'_>, leader_epoch: i32, mut bytes: Vec<u8>) -> i64 {
        let base_offset = self.end;
        bytes.clear();
        bytes.extend_from_slice(batch.bytes);
        if let Some(field) = bytes.get_mut(0..8) {
            field.copy_from_slice(&base_offset.to_be_bytes());
        }
        if let Some(field) = bytes.get_mut(12..16) {
            field.copy_from_slice(&leader_epoch.to_be_bytes());
        }
        let count = batch.count();
        self.batches.push_back(Stored { base_offset, count, max_timestamp: batch.max_timestamp, bytes });
        self.end += i64::from(count);
        base_offset
    }

    /// Drops the oldest batch and gives its bytes back for another.
    pub(crate) fn drop_oldest(&mut self) -> Option<Vec<u8>> {
        let oldest = self.batches.pop_front()?;
        self.start = oldest.base_offset + i64::from(oldest.count);
        Some(oldest.bytes)
    }

    fn position(&self, offset: i64) -> usize {
        self.batches.partition_point(|b| b.base_offset + i64::from(b.count) <= offset)
    }

    /// Whole batches from the one that holds `offset`, up to `most` bytes, but always at least one.
    pub(crate) fn read(&self, offset: i64, most: usize, out: &mut Vec<u8>) {
        let before = out.len();
        for batch in self.batches.range(self.position(offset)..) {
            if out.len() > before && out.len() - before + batch.bytes.len() > most {
                break;
            }
            out.extend_from_slice(&batch.bytes);
        }
    }

    /// Bytes that [`read`](Self::read) could give from this offset on.
    pub(crate) fn readable(&self, offset: i64) -> usize {
        self.batches.range(self.position(offset)..).map(|b| b.bytes.len()).sum()
    }

    /// The highest timestamp of any record that is still there.
    pub(crate) fn max_timestamp(&self) -> Option<i64> {
        self.batches.iter().map(|b| b.max_timestamp).max()
    }

    /// The first record at or after a timestamp, as (timestamp, offset).
    pub(crate) fn find_timestamp(&self, timestamp: i64) -> Option<(i64, i64)> {
        let batch = self.batches.iter().find(|b| b.max_timestamp >= timestamp)?;
        let mut found = None;
        each_record(batch, |at, record_timestamp, _| {
            if found.is_none() && record_timestamp >= timestamp {
                found = Some((record_timestamp, at));
            }
        });
        found.or(Some((batch.max_timestamp, batch.base_offset)))
    }

    /// Everything there is, decoded.
    pub(crate) fn records(&self) -> Vec<StoredRecord> {
        let mut records = Vec::new();
        for batch in &self.batches {
            each_record(batch, |offset, timestamp, view| {
                records.push(StoredRecord {
                    offset,
                    timestamp,
                    key: view.key.map(<[u8]>::to_vec),
                    value: view.value.map(<[u8]>::to_vec),
                    headers: view
                        .headers()
                        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec)))
                        .collect(),
                });
            });
        }
        records
    }
}

fn each_record(stored: &Stored, mut visit: impl FnMut(i64, i64, &crate::batch::RecordView<'_>)) {
    let Ok(batch) = Batch::parse(&stored.bytes) else { return };
    // What is stored was walked when it came in, so the result holds no news.
    let Ok(records) = batch.records() else { return };
    let _ = batch.walk(&records, |record| {
        let offset = stored.base_offset + i64::from(record.offset_delta);
        visit(offset, batch.base_timestamp.wrapping_add(record.timestamp_delta), &record);
    });
}

/// The bound on the bytes of all logs: which batch is the oldest of all, whichever partition it is in.
#[derive(Debug)]
pub(crate) struct Retention {
    most: usize,
    total: usize,
    /// The partition of each stored batch, in the order they came: a partition's first mention is its oldest batch.
    order: VecDeque<(usize, usize)>,
    spare: Option<Vec<u8>>,
}

impl Retention {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, total: 0, order: VecDeque::new(), spare: None }
    }

    /// A buffer for a batch of `length` bytes, a used one if there is one of about that size.
    pub(crate) fn buffer(&mut self, length: usize) -> Vec<u8> {
        match self.spare.take() {
            Some(spare) if spare.capacity() >= length && spare.capacity() <= length.saturating_mul(2) => spare,
            _ => Vec::with_capacity(length),
        }
    }

    pub(crate) fn stored(&mut self, at: (usize, usize), length: usize) {
        self.total += length;
        self.order.push_back(at);
    }

    /// The partition that must lose its oldest batch now, if the bound is passed.
    pub(crate) fn over(&mut self) -> Option<(usize, usize)> {
        if self.total > self.most { self.order.pop_front() } else { None }
    }

    pub(crate) fn dropped(&mut self, bytes: Vec<u8>) {
        self.total = self.total.saturating_sub(bytes.len());
        self.spare = Some(bytes);
    }

    /// Forgets a topic whose batches were dropped all together, `length` bytes of them.
    pub(crate) fn forget(&mut self, topic: usize, length: usize) {
        self.total = self.total.saturating_sub(length);
        self.order.retain(|(of, _)| *of != topic);
    }
}
