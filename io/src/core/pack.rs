//! Compressing batches where they are: the compressed bytes overwrite the front of the batch's own runs, and the rest of
//! its memory goes back at once.
//!
//! # The one batch that needs more memory than it has
//!
//! A compressed batch that the broker finds too large is decompressed, stamped again in parts, and compressed part by
//! part. The parts together are a little larger than the whole was, and the batch holds no byte more than that: the
//! difference is leased from what is free in the slab. Where nothing is free the batch is sent again later as it is, and
//! the split is tried again when the broker refuses it again, until `delivery.timeout.ms` is over. The plain and the
//! compressed parts lie outside the slab while the split lasts: twice `batch.max.bytes` at most.

use std::collections::VecDeque;

use forebay_engine::{IoSide, Run};

use super::Core;
use super::batch::{BatchId, HEADER};
use crate::compress::{Codec, Compressor, unpack};
use crate::time::Time;
use crate::wire::crc::crc32c;
use crate::wire::record::MAX_RECORDS;
use crate::wire::walk::Walker;

/// The parts of a batch that is being split.
#[derive(Default)]
struct Parts {
    /// All of them as they will be sent, one behind the other.
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

struct Part {
    /// What it knows of the part's records.
    walker: Walker,
    /// None if it did not shrink.
    codec: Option<Codec>,
    len: usize,
}

impl Core {
    /// Compresses a batch that was just cut, if the producer compresses and the batch shrinks.
    pub(super) fn pack(&mut self, id: BatchId) {
        let Some(compressor) = &mut self.compressor else { return };
        let batch = self.batches.get_mut(id);
        let codec = compressor.codec();
        let Some(packed) = compressor.compress(self.io.merged(&batch.runs), batch.records_len) else { return };
        batch.codec = Some(codec);
        batch.records_len = packed.len();
        batch.records_crc = crc32c(packed);
        overwrite(&mut batch.runs, packed, |run, bytes| self.io.bytes_mut(run)[..bytes.len()].copy_from_slice(bytes));
        give_back(&mut self.io, &mut batch.runs, packed.len());
    }

    /// [`Core::split`] for a compressed batch. False if there is no memory for its parts now.
    pub(super) fn split_packed(&mut self, id: BatchId, now: Time) -> bool {
        let batch = self.batches.get(id);
        let (Some(codec), plain_len, packed_len) = (batch.codec, batch.plain_len, batch.records_len) else {
            return false;
        };
        let half = usize::midpoint(HEADER, plain_len).max(HEADER + 1);
        let mut packed = Vec::with_capacity(packed_len);
        self.io.merged(&batch.runs).for_each(|slice| packed.extend_from_slice(slice));
        let plain = unpack(codec, &packed, plain_len);
        drop(packed);
        let parts = plain.ok().and_then(|plain| Parts::of(plain, half, self.compressor.as_mut()));
        let Some(parts) = parts else {
            // It parsed when it was cut, and was compressed here.
            self.poisoned = true;
            return true;
        };
        let mut leased = Vec::new();
        if !self.io.lease(parts.bytes.len().saturating_sub(packed_len), &mut leased) {
            tracing::info!(target: "forebay::delivery", "a compressed batch is too large for the broker, and there is no memory to split it now");
            return false;
        }
        let (mut rest, runs) = self.begin_split(id, half);
        let mut runs: VecDeque<Run> = runs.into_iter().chain(leased).collect();
        let mut bytes = &parts.bytes[..];
        for part in parts.parts {
            let (mine, behind) = bytes.split_at(part.len);
            bytes = behind;
            let id = self.batches.add();
            let batch = self.batches.get_mut(id);
            fill(&mut self.io, &mut runs, mine, &mut batch.runs);
            self.part(id, &mut rest, &part.walker);
            let batch = self.batches.get_mut(id);
            batch.codec = part.codec;
            batch.records_len = part.len;
            batch.records_crc = crc32c(mine);
        }
        for run in runs {
            self.io.release(run);
        }
        self.end_split(&rest, now);
        true
    }
}

impl Parts {
    /// Parts of at most `half` bytes before compression, header included. None if the records do not parse.
    fn of(mut plain: Vec<u8>, half: usize, mut compressor: Option<&mut Compressor>) -> Option<Self> {
        let mut parts = Self::default();
        let mut rest = &mut plain[..];
        while !rest.is_empty() {
            let mut walker = Walker::new(MAX_RECORDS, half - HEADER);
            let accepted = walker.walk(rest);
            if accepted == 0 || walker.poisoned() || walker.pending() > 0 {
                return None;
            }
            let (part, behind) = rest.split_at_mut(accepted);
            rest = behind;
            let packed = compressor.as_deref_mut().and_then(|c| Some((c.codec(), c.compress([&*part], part.len())?)));
            let (codec, bytes) = packed.map_or((None, &*part), |(codec, bytes)| (Some(codec), bytes));
            parts.bytes.extend_from_slice(bytes);
            parts.parts.push(Part { walker, codec, len: bytes.len() });
        }
        Some(parts)
    }
}

/// Writes `bytes` over the front of `runs`, which are larger; `put` writes to the front of one.
pub(super) fn overwrite(runs: &mut [Run], bytes: &[u8], mut put: impl FnMut(&mut Run, &[u8])) {
    let mut rest = bytes;
    for run in runs {
        let (now, behind) = rest.split_at(run.len().min(rest.len()));
        put(run, now);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    debug_assert!(rest.is_empty(), "what shrank fits where it was");
}

/// Gives back what is behind the first `len` bytes of `runs`, of which there are some.
pub(super) fn give_back(io: &mut IoSide, runs: &mut Vec<Run>, len: usize) {
    let (mut kept, mut used) = (0, 0);
    let mut rest = len;
    while rest > 0 {
        let Some(run) = runs.get(kept) else { break };
        used = run.len().min(rest);
        rest -= used;
        kept += 1;
    }
    for run in runs.drain(kept..) {
        io.release(run);
    }
    if let Some(last) = runs.pop() {
        runs.push(shorten(io, last, used));
    }
}

/// Writes `bytes` into the first of `from`, and moves what holds them to `to`.
fn fill(io: &mut IoSide, from: &mut VecDeque<Run>, mut bytes: &[u8], to: &mut Vec<Run>) {
    while !bytes.is_empty() {
        let Some(mut run) = from.pop_front() else { break };
        let n = run.len().min(bytes.len());
        let (now, behind) = bytes.split_at(n);
        bytes = behind;
        io.bytes_mut(&mut run)[..n].copy_from_slice(now);
        if n < run.len() {
            let (mine, rest) = io.split_run(run, n);
            from.push_front(rest);
            run = mine;
        }
        to.push(run);
    }
    debug_assert!(bytes.is_empty(), "as much as was leased");
}

/// The first `len` bytes of a run, of which there are some; the rest goes back.
fn shorten(io: &mut IoSide, run: Run, len: usize) -> Run {
    if len >= run.len() {
        return run;
    }
    let (mine, rest) = io.split_run(run, len);
    io.release(rest);
    mine
}
