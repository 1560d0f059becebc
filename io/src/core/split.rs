//! A batch that the broker finds too large becomes several: its records are stamped again where they are. A compressed one
//! is decompressed for that, and its parts compressed again, in `pack`.

use std::collections::VecDeque;

use forebay_engine::{Run, mutant};

use super::Core;
use super::batch::{BatchId, HEADER, Identity, Part};
use super::partition::add_sequence;
use crate::time::Time;
use crate::wire::record::MAX_RECORDS;
use crate::wire::walk::Walker;

/// What is left of a batch while it is being split.
pub(super) struct Rest {
    number: u32,
    identity: Identity,
    deadline: Time,
    base_timestamp: i64,
    attempts: u32,
    /// Of the next part.
    order: u64,
    /// Of the next part.
    sequence: i32,
    parts: VecDeque<Part>,
}

impl Core {
    /// Splits a batch of more than one record, which is in no request, into halves or smaller. They carry on its sequence
    /// numbers and are sent in order, without a pause; the attempt that found it too large does not count.
    ///
    /// False if it is compressed and there is no memory for its parts now: nothing has changed then.
    pub(super) fn split(&mut self, id: BatchId, now: Time) -> bool {
        let batch = self.batches.get(id);
        if batch.codec.is_some() {
            return self.split_packed(id, now);
        }
        let half = (batch.wire_len() / 2).max(HEADER + 1);
        let (mut rest, runs) = self.begin_split(id, half);
        let mut runs: VecDeque<Run> = runs.into();
        while !runs.is_empty() {
            let id = self.batches.add();
            let batch = self.batches.get_mut(id);
            let mut walker = Walker::new(MAX_RECORDS, half - HEADER);
            while let Some(mut run) = runs.pop_front() {
                let len = run.len();
                let accepted = walker.walk(self.io.bytes_mut(&mut run));
                if accepted == len {
                    batch.runs.push(run);
                    continue;
                }
                if accepted == 0 {
                    runs.push_front(run);
                } else {
                    let (mine, rest) = self.io.split_run(run, accepted);
                    batch.runs.push(mine);
                    runs.push_front(rest);
                }
                break;
            }
            if walker.count() == 0 || walker.poisoned() {
                // They parsed when they were cut.
                self.poisoned = true;
                batch.done = true;
                self.batches.release(id, &mut self.io, &mut self.ledger);
                break;
            }
            self.part(id, &mut rest, &walker);
        }
        for run in runs {
            self.io.release(run);
        }
        self.end_split(&rest, now);
        true
    }

    /// Takes a batch apart: what its parts inherit, and its memory.
    pub(super) fn begin_split(&mut self, id: BatchId, half: usize) -> (Rest, Vec<Run>) {
        let batch = self.batches.get_mut(id);
        let rest = Rest {
            number: batch.partition,
            identity: batch.identity,
            deadline: batch.deadline,
            base_timestamp: batch.base_timestamp,
            attempts: batch.attempts.saturating_sub(1),
            order: batch.order,
            sequence: batch.base_sequence,
            parts: batch.parts.drain(..).collect(),
        };
        let runs = batch.runs.drain(..).collect();
        batch.done = true;
        self.batches.release(id, &mut self.io, &mut self.ledger);
        let partition = &self.partitions[rest.number as usize];
        let (topic, index) = (partition.topic, partition.index);
        let name = self.metadata.name(topic);
        tracing::info!(target: "forebay::delivery", topic = name, partition = index, bytes = half * 2, "a batch is too large for the broker: split");
        self.metadata.shrink_batches(topic, half);
        (rest, runs)
    }

    /// Makes `id`, which has its runs, the next part: the records that `walker` took. They are plain as far as this goes.
    pub(super) fn part(&mut self, id: BatchId, rest: &mut Rest, walker: &Walker) {
        let batch = self.batches.get_mut(id);
        batch.partition = rest.number;
        batch.order = rest.order;
        batch.count = walker.count();
        batch.records_len = walker.bytes();
        batch.plain_len = walker.bytes();
        batch.records_crc = walker.crc();
        batch.base_timestamp = rest.base_timestamp;
        batch.max_timestamp = rest.base_timestamp.saturating_add(walker.max_ts_delta());
        batch.identity = rest.identity;
        batch.base_sequence = rest.sequence;
        batch.attempts = rest.attempts;
        batch.deadline = rest.deadline;
        self.share_parts(id, &mut rest.parts, walker.count(), walker.bytes() as u64);
        self.partitions[rest.number as usize].requeue(rest.order, id);
        rest.order += u64::from(walker.count());
        if rest.sequence >= 0 && !mutant!("the_parts_of_a_split_share_a_number") {
            rest.sequence = add_sequence(rest.sequence, walker.count());
        }
    }

    /// The parts are queued: they go at once.
    pub(super) fn end_split(&mut self, rest: &Rest, now: Time) {
        self.metrics.split(now);
        self.next_deadline = self.next_deadline.min(rest.deadline);
        self.partitions[rest.number as usize].retry_at = now;
        self.enlist(rest.number);
    }

    /// Moves the next `count` records, of `bytes` bytes, from the parts of the old batch to a new one.
    fn share_parts(&mut self, id: BatchId, parts: &mut VecDeque<Part>, mut count: u32, mut bytes: u64) {
        while count > 0 {
            let Some(mut part) = parts.pop_front() else { break };
            if part.count > count {
                let rest = self.ledger.split_span(part.span, count, bytes);
                parts.push_front(Part {
                    lane: part.lane,
                    span: rest,
                    count: part.count - count,
                    bytes: part.bytes.saturating_sub(bytes),
                });
                part.count = count;
                part.bytes = bytes;
            }
            count -= part.count;
            bytes = bytes.saturating_sub(part.bytes);
            if let Some(lane) = self.ledger.lane_mut(part.lane) {
                lane.held += 1;
            }
            self.batches.get_mut(id).parts.push(part);
        }
    }
}
