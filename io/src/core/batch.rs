//! Batches: records taken from lanes, waiting for an answer.
//!
//! A batch has two lives. Its *outcome* is given once, as soon as it is known. Its *memory* goes back only when no
//! socket can write it any more: after the answer, or after the connection is closed. A batch with an outcome that
//! still has to keep its memory is in quarantine (KAFKA-19012 is what happens otherwise).

use forebay_engine::{IoSide, LaneId, Run, mutant};

use super::ledger::{Ledger, Outcome, SpanId};
use super::report::Delivered;
use crate::compress::Codec;
use crate::time::Time;
use crate::wire::batch::BatchHeader;

pub(crate) use crate::wire::batch::BATCH_HEADER_LEN as HEADER;

/// Index of a batch in the pool.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct BatchId(pub(crate) u32);

/// A producer id and epoch; −1 and −1 without idempotence.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Identity {
    pub(crate) const NONE: Self = Self { id: -1, epoch: -1 };
}

/// The records of one lane within a batch.
#[derive(Copy, Clone)]
pub(crate) struct Part {
    pub(crate) lane: LaneId,
    pub(crate) span: SpanId,
    pub(crate) count: u32,
    pub(crate) bytes: u64,
}

#[allow(clippy::struct_excessive_bools)] // independent facts, not states: each pairing of them occurs
pub(crate) struct Batch {
    pub(crate) partition: u32,
    pub(crate) runs: Vec<Run>,
    pub(crate) parts: Vec<Part>,
    /// Position among the partition's batches: retries keep it.
    pub(crate) order: u64,
    pub(crate) count: u32,
    /// Bytes of the records as they are sent.
    pub(crate) records_len: usize,
    /// Bytes of the records before compression.
    pub(crate) plain_len: usize,
    /// The codec, if it is compressed.
    pub(crate) codec: Option<Codec>,
    pub(crate) records_crc: u32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) identity: Identity,
    pub(crate) base_sequence: i32,
    /// Times it was written to a socket as a whole.
    pub(crate) attempts: u32,
    pub(crate) deadline: Time,
    /// No answer excludes that an earlier attempt was appended.
    pub(crate) maybe_appended: bool,
    /// The request that carries it has been written as a whole; cleared by the answer.
    pub(crate) written: bool,
    /// A request on a connection refers to its memory.
    pub(crate) in_request: bool,
    /// Segments of runs that are with a job, each run's by itself: its memory is not ours until the job is back.
    pub(crate) lent: usize,
    /// Its records have their outcome.
    pub(crate) done: bool,
    /// The slot is in use.
    pub(crate) live: bool,
}

impl Batch {
    fn empty() -> Self {
        Self {
            partition: 0,
            runs: Vec::new(),
            parts: Vec::new(),
            order: 0,
            count: 0,
            records_len: 0,
            plain_len: 0,
            codec: None,
            records_crc: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            identity: Identity::NONE,
            base_sequence: -1,
            attempts: 0,
            deadline: Time::MAX,
            maybe_appended: false,
            written: false,
            in_request: false,
            lent: 0,
            done: false,
            live: false,
        }
    }

    /// Bytes on the wire: header and records.
    pub(crate) fn wire_len(&self) -> usize {
        HEADER + self.records_len
    }

    pub(crate) fn header(&self) -> BatchHeader {
        BatchHeader {
            records_len: self.records_len,
            count: self.count,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.identity.id,
            producer_epoch: self.identity.epoch,
            base_sequence: self.base_sequence,
            attributes: self.codec.map_or(0, Codec::attributes),
            records_crc: self.records_crc,
        }
    }

    /// What a failure must say about the log.
    pub(crate) fn possibly_appended(&self) -> bool {
        self.maybe_appended || self.written
    }
}

/// All batches. Slots keep their vectors, so a steady state allocates nothing.
#[derive(Default)]
pub(crate) struct Batches {
    slots: Vec<Batch>,
    free: Vec<u32>,
}

impl Batches {
    pub(crate) fn add(&mut self) -> BatchId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Batch::empty());
            self.free.reserve(self.slots.capacity());
            (self.slots.len() - 1) as u32
        });
        self.slots[index as usize].live = true;
        BatchId(index)
    }

    pub(crate) fn get(&self, id: BatchId) -> &Batch {
        &self.slots[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: BatchId) -> &mut Batch {
        &mut self.slots[id.0 as usize]
    }

    /// Live batches.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BatchId, &Batch)> {
        self.slots.iter().enumerate().filter(|(_, batch)| batch.live).map(|(i, batch)| (BatchId(i as u32), batch))
    }

    /// How many are live, in quarantine or not.
    pub(crate) fn live(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Gives all records of a batch one outcome; offsets count on from part to part. Nothing if it was done already.
    pub(crate) fn resolve(&mut self, id: BatchId, ledger: &mut Ledger, outcome: &Outcome) {
        let batch = self.get_mut(id);
        if std::mem::replace(&mut batch.done, true) && !mutant!("an_outcome_after_the_timeout") {
            return;
        }
        let mut position = 0;
        for part in &batch.parts {
            let outcome = match outcome {
                Ok(d) if d.base_offset >= 0 => {
                    Ok(Delivered { base_offset: d.base_offset.saturating_add(position), ..*d })
                }
                other => other.clone(),
            };
            ledger.resolve(part.span, outcome);
            position += i64::from(part.count);
        }
    }

    /// Gives the memory of a batch back and forgets it. Its outcome must have been given.
    pub(crate) fn release(&mut self, id: BatchId, io: &mut IoSide, ledger: &mut Ledger) {
        let batch = self.get_mut(id);
        debug_assert!(
            batch.done && !batch.in_request && batch.lent == 0 && batch.live,
            "released with an outcome, out of every request and every job"
        );
        for run in batch.runs.drain(..) {
            io.release(run);
        }
        for part in batch.parts.drain(..) {
            let Some(lane) = ledger.lane_mut(part.lane) else { continue };
            lane.held -= 1;
            if lane.gone && lane.is_unused() {
                ledger.remove_lane(part.lane);
            }
        }
        let (runs, parts) = (std::mem::take(&mut batch.runs), std::mem::take(&mut batch.parts));
        *batch = Batch { runs, parts, ..Batch::empty() };
        self.free.push(id.0);
    }
}
