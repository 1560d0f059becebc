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

/// Runs that a new slot makes room for, and how much further each step goes. A run is a segment or more, so these are 128 KiB and
/// 512 KiB of records, and the next is more than a request has by default.
const ROOM: usize = 64;
const ROOM_STEP: usize = 4;

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
///
/// A slot has room for as many runs as any batch has had, in wide steps: else each would grow by itself, little by little,
/// whenever chance first gives it a larger batch than before, and the steady state would be long in coming.
pub(crate) struct Batches {
    slots: Vec<Batch>,
    free: Vec<u32>,
    /// Runs that a slot makes room for: the largest batch so far had no more.
    room: usize,
    /// Runs that slots may yet make room for before they need it. Many small batches must not cost what many large ones do.
    ahead: usize,
}

impl Batches {
    /// Slots make room for at most so many runs ahead of need, all together.
    pub(crate) fn new(ahead: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), room: ROOM, ahead }
    }

    pub(crate) fn add(&mut self) -> BatchId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Batch::empty());
            self.free.reserve(self.slots.capacity());
            (self.slots.len() - 1) as u32
        });
        let batch = &mut self.slots[index as usize];
        batch.live = true;
        let more = self.room.saturating_sub(batch.runs.capacity());
        if more > 0 && more <= self.ahead {
            self.ahead -= more;
            batch.runs.reserve_exact(self.room);
        }
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
        let batch = &mut self.slots[id.0 as usize];
        while self.room < batch.runs.len() {
            self.room *= ROOM_STEP;
        }
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

#[cfg(test)]
mod tests {
    use forebay_engine::EngineConfig;

    use super::*;

    struct Silent;

    impl forebay_engine::Ring for Silent {
        fn ring(&self) {}
    }

    /// Lets go of batches that have nothing but room.
    fn release(batches: &mut Batches, ids: &[BatchId], io: &mut IoSide) {
        for id in ids {
            batches.get_mut(*id).done = true;
            batches.release(*id, io, &mut Ledger::default());
        }
    }

    #[test]
    fn a_large_batch_makes_room_in_every_slot_as_far_as_the_books_may_go() {
        let layout = EngineConfig { memory: 1 << 20, segment_size: 1024, due_bytes: 65_536, ahead_bytes: 0 };
        let (_engine, mut io) = forebay_engine::new(layout, std::sync::Arc::new(Silent)).expect("memory");
        let mut batches = Batches::new(4 * ROOM + 2 * ROOM * (ROOM_STEP - 1));
        let add = |batches: &mut Batches| [(); 4].map(|()| batches.add());
        let room = |batches: &Batches, ids: &[BatchId; 4]| ids.map(|id| batches.get(id).runs.capacity());
        let ids = add(&mut batches);
        assert_eq!(room(&batches, &ids), [64, 64, 64, 64]);
        let mut runs = Vec::new();
        assert!(io.lease(65 << 10, &mut runs), "there is memory");
        batches.get_mut(ids[3]).runs = runs;
        release(&mut batches, &ids, &mut io);
        let ids = add(&mut batches);
        assert_eq!(room(&batches, &ids), [256, 256, 64, 64]);
        release(&mut batches, &ids, &mut io);
        let ids = add(&mut batches);
        assert_eq!(room(&batches, &ids), [64, 64, 256, 256], "nothing grows that need not");
    }
}
