//! Compression on other threads (`io.compression.threads`): batches on their way to be compressed, and back.
//!
//! A batch is taken out of its lanes as usual and goes out as a job, runs and all: whoever has the job owns the bytes. When
//! it is back it waits its turn in the partition's `packing`, and only what leaves that for a request gets its place in the
//! order and its sequence numbers. So for all else that is decided here, a batch that is being compressed is a backlog that
//! has not been cut: it expires without a gap, a new epoch does not touch it, and it goes after what is sent again.
//!
//! Its outcome may come before the job does (expiry, a close, a topic that is refused). Then its memory is in quarantine
//! until the job is back, as that of a batch in a request is until the answer.

use forebay_engine::{Run, RunBytes, mutant};

use super::Core;
use super::batch::BatchId;
use super::cut::Cut;
use super::pack::{give_back, overwrite};
use super::report::{DeliveryFailure, FailureKind};
use super::send::take_turns;
use crate::compress::{Codec, Compressor};
use crate::time::Time;
use crate::wire::crc::crc32c;

/// Jobs for each thread at once: one that it does, and the next.
const JOBS_PER_THREAD: usize = 2;

/// A batch to be compressed: from [`Core::next_job`], to be given to [`Core::packed`], done or not.
#[derive(Debug)]
#[must_use = "a job that is not given back keeps its memory for good"]
pub struct PackJob {
    batch: BatchId,
    runs: Vec<Run>,
    len: usize,
    packed: Option<Packed>,
}

#[derive(Copy, Clone, Debug)]
struct Packed {
    codec: Codec,
    len: usize,
    crc: u32,
}

impl PackJob {
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self { batch: BatchId(0), runs: Vec::new(), len: 0, packed: None }
    }

    /// Compresses the batch over its own bytes. One that does not shrink is left as it is. A second time it does nothing.
    pub fn run(&mut self, compressor: &mut Compressor, bytes: &RunBytes) {
        if self.packed.is_some() {
            return;
        }
        let codec = compressor.codec();
        let slices = self.runs.iter().map(|run| bytes.get(run));
        let Some(packed) = compressor.compress(slices, self.len) else { return };
        self.packed = Some(Packed { codec, len: packed.len(), crc: crc32c(packed) });
        overwrite(&mut self.runs, packed, |run, packed| bytes.get_mut(run)[..packed.len()].copy_from_slice(packed));
    }
}

impl Core {
    pub(super) fn packs_elsewhere(&self) -> bool {
        self.cfg.compression_threads > 0
    }

    /// The next batch to be compressed on another thread. Only with [`CoreConfig::compression_threads`](super::CoreConfig).
    pub fn next_job(&mut self) -> Option<PackJob> {
        self.jobs.pop_front()
    }

    /// For those who do the jobs.
    pub fn run_bytes(&self) -> RunBytes {
        self.io.run_bytes()
    }

    /// A job is back. Jobs may come back in any order.
    pub fn packed(&mut self, job: PackJob) {
        self.stirred = true;
        self.lent_jobs -= 1;
        let batch = self.batches.get_mut(job.batch);
        batch.lent = 0;
        batch.runs = job.runs;
        if batch.done {
            if mutant!("a_job_that_was_given_up_leaks") {
                return;
            }
            self.batches.release(job.batch, &mut self.io, &mut self.ledger);
            return;
        }
        if let Some(packed) = job.packed {
            batch.codec = Some(packed.codec);
            batch.records_len = packed.len;
            batch.records_crc = packed.crc;
            give_back(&mut self.io, &mut batch.runs, packed.len);
        }
        let number = batch.partition;
        self.enlist(number);
    }

    /// The partition's oldest batch that was handed out, if it is back.
    pub(super) fn packed_head(&self, number: u32) -> Option<BatchId> {
        let packing = &self.partitions[number as usize].packing;
        let is_back = |id: &BatchId| self.batches.get(*id).lent == 0;
        if mutant!("a_packed_batch_overtakes") {
            return packing.iter().copied().find(is_back);
        }
        packing.front().copied().filter(is_back)
    }

    /// Has what is due compressed elsewhere, as far as that may be. Partitions take turns: whoever comes after the one served last
    /// is first, and each gives one batch before any gives another. Else the first ones would keep the threads busy for ever.
    pub(super) fn hand_out(&mut self, pressure: bool, now: Time) {
        let mut waiting = std::mem::take(&mut self.scratch.to_pack);
        take_turns(&mut waiting, self.packed_last);
        let mut any = true;
        while any {
            any = false;
            for number in &waiting {
                let more = self.is_due(*number, pressure, now);
                if more && self.may_hand_out(*number) && self.begin_job(*number, now) {
                    self.packed_last = *number;
                    any = true;
                }
            }
        }
        for number in waiting.drain(..) {
            if self.packed_head(number).is_none() && self.is_due(number, pressure, now) {
                // A job that comes back is the next that can change anything.
                self.partitions[number as usize].blocked = true;
            } else {
                self.listening = true;
            }
        }
        self.scratch.to_pack = waiting;
    }

    fn is_due(&mut self, number: u32, pressure: bool, now: Time) -> bool {
        self.due(number, pressure, now).is_some_and(|due| due <= now)
    }

    /// Whether another batch of a partition may go out: no more than may be in flight, so that what is cut later still
    /// grows, and no more than keeps the threads busy.
    fn may_hand_out(&self, number: u32) -> bool {
        let partition = &self.partitions[number as usize];
        let limit = partition.in_flight_limit(self.cfg.max_in_flight, self.cfg.enable_idempotence);
        partition.in_flight.len() + partition.packing.len() < limit
            && self.lent_jobs < self.cfg.compression_threads * JOBS_PER_THREAD
    }

    /// Segments that runs touch, each run's by itself.
    pub(super) fn segments_of(&self, runs: &[Run]) -> usize {
        runs.iter().map(|run| self.io.segments_of(run)).sum()
    }

    /// Makes a job of what a partition's lanes hold. False if that is nothing.
    fn begin_job(&mut self, number: u32, now: Time) -> bool {
        let topic = self.partitions[number as usize].topic;
        let limit = self.cfg.batch_max_bytes.min(self.metadata.largest_batch(topic));
        let Some(Cut { batch: id, .. }) = self.gather(number, limit, now) else { return false };
        let runs = std::mem::take(&mut self.batches.get_mut(id).runs);
        let lent = self.segments_of(&runs);
        let batch = self.batches.get_mut(id);
        batch.lent = lent;
        let len = batch.records_len;
        self.partitions[number as usize].packing.push_back(id);
        self.lent_jobs += 1;
        self.jobs.push_back(PackJob { batch: id, runs, len, packed: None });
        true
    }

    /// Fails what a partition has handed out, back or not.
    pub(super) fn fail_packing(&mut self, number: u32, failure: &DeliveryFailure) {
        while let Some(id) = self.partitions[number as usize].packing.front().copied() {
            let kind: FailureKind = failure.kind.clone();
            self.give_up(id, kind);
        }
    }
}
