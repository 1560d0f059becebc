//! A batch that the broker finds too large becomes several: its records are stamped again where they are.

use std::collections::VecDeque;

use forebay_engine::Run;

use super::Core;
use super::batch::{BatchId, HEADER, Part};
use super::partition::add_sequence;
use crate::time::Time;
use crate::wire::record::MAX_RECORDS;
use crate::wire::walk::Walker;

impl Core {
    /// Splits a batch of more than one record, which is in no request, into halves or smaller. They carry on its sequence
    /// numbers and are sent in order, without a pause; the attempt that found it too large does not count.
    pub(super) fn split(&mut self, id: BatchId, now: Time) {
        let batch = self.batches.get_mut(id);
        let half = (batch.wire_len() / 2).max(HEADER + 1);
        let (number, identity, deadline) = (batch.partition, batch.identity, batch.deadline);
        let (base_timestamp, attempts) = (batch.base_timestamp, batch.attempts.saturating_sub(1));
        let (mut order, mut sequence) = (batch.order, batch.base_sequence);
        let mut runs: VecDeque<Run> = batch.runs.drain(..).collect();
        let mut parts: VecDeque<Part> = batch.parts.drain(..).collect();
        batch.done = true;
        self.batches.release(id, &mut self.io, &mut self.ledger);
        tracing::info!(bytes = half * 2, "a batch is too large for the broker: split");
        let topic = self.partitions[number as usize].topic;
        self.metadata.shrink_batches(topic, half);
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
            batch.partition = number;
            batch.order = order;
            batch.count = walker.count();
            batch.records_len = walker.bytes();
            batch.records_crc = walker.crc();
            batch.base_timestamp = base_timestamp;
            batch.max_timestamp = base_timestamp.saturating_add(walker.max_ts_delta());
            batch.identity = identity;
            batch.base_sequence = sequence;
            batch.attempts = attempts;
            batch.deadline = deadline;
            order += u64::from(batch.count);
            if sequence >= 0 {
                sequence = add_sequence(sequence, batch.count);
            }
            let (count, bytes) = (walker.count(), walker.bytes() as u64);
            self.share_parts(id, &mut parts, count, bytes);
            let order = self.batches.get(id).order;
            self.partitions[number as usize].requeue(order, id);
        }
        for run in runs {
            self.io.release(run);
        }
        self.next_deadline = self.next_deadline.min(deadline);
        self.partitions[number as usize].retry_at = now;
        self.enlist(number);
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
