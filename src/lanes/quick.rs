//! The hot path of a send: a usual record whose lane is open, and the step into the next segment if one is free.

use super::Lanes;
use crate::partitioner::keyed;
use crate::producer::Inner;
use crate::sender::Patience;
use crate::{Header, Receipt, Record, SendError, Topic};
use forebay_engine::Lane;
use forebay_io::wire::compact::{Compact, KEY_MAX, OVERHEAD_MAX, VALUE_MAX};
use forebay_io::wire::record::HEAD_MAX;
use std::num::NonZeroU32;

/// Values shorter than this make no record of more than `largest` bytes on the short way, and none that is too long for it.
pub(super) fn short_below(largest: usize) -> usize {
    largest.saturating_sub(KEY_MAX + OVERHEAD_MAX).min(VALUE_MAX)
}

/// Puts a record into a lane whose open segment has no room for it, if memory is free. None: nothing has happened.
///
/// Once in some hundred records, so that nothing of it is in a cache when its turn comes, code least of all: it is short, and the
/// long way is not.
#[cold]
#[inline(never)]
fn go_beyond(lane: &mut Lane, record: &Compact, key: Option<&[u8]>, value: &[u8]) -> Option<()> {
    let total = record.total_len();
    let mut claim = lane.claim(total, total.min(HEAD_MAX)).ok()?;
    record.encode_to(key, value, &mut |piece| claim.put(piece));
    claim.commit().ok()
}

impl Lanes {
    /// Accepts a record: the short way if it can, else the long one.
    ///
    /// In line, so that what the caller knows of the record is decided when it is compiled, and nothing of the record or its receipt
    /// comes through memory. All that is rare is behind one call.
    #[inline(always)]
    pub(crate) fn send<'a>(
        &mut self,
        inner: &Inner,
        record: Record<'a>,
        patience: Patience,
    ) -> Result<Receipt, SendError<'a>> {
        if let Some(receipt) = self.send_quickly(&record) {
            return Ok(receipt);
        }
        let Record { topic, partition, key, value, headers, timestamp } = record;
        self.send_in_parts(inner, topic, partition, key, value, headers, timestamp, patience)
    }

    /// The long way. In parts: a record that is handed over as one lies in memory, and is put there before it is known which way it goes.
    /// That is six stores more for each send, and a store waits in a queue for the cache lines of the sends before.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the parts of a record")]
    fn send_in_parts<'a>(
        &mut self,
        inner: &Inner,
        topic: Topic,
        partition: Option<u32>,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: &'a [Header<'a>],
        timestamp: Option<i64>,
        patience: Patience,
    ) -> Result<Receipt, SendError<'a>> {
        self.send_any(inner, Record { topic, partition, key, value, headers, timestamp }, patience)
    }

    /// None if the record has to go the long way; nothing has happened then.
    #[inline(always)]
    pub(super) fn send_quickly(&mut self, record: &Record<'_>) -> Option<Receipt> {
        let value = record.value?;
        if !record.headers.is_empty() || value.len() >= self.short_below {
            return None;
        }
        self.tick.look();
        let window = self.tick.window();
        let (timestamp, moment) = self.tick.moment(record.timestamp)?;
        let compact = Compact::measure(moment, record.key.map(<[u8]>::len), value.len())?;
        let total = compact.total_len();
        if record.topic.producer != self.producer {
            return None;
        }
        let topic = self.topics.get_mut(record.topic.index())?.as_mut()?;
        let partitions = topic.entry.partitions();
        let (partition, sticks) = match (record.partition, record.key) {
            (Some(partition), _) => (partition, false),
            _ if self.partitioner.is_some() => return None,
            (None, Some(key)) if !self.ignore_keys => (keyed(key, NonZeroU32::new(partitions)?), false),
            _ => (topic.sticky.same(total)?, true),
        };
        if partition >= partitions {
            return None;
        }
        let (open, ahead) = topic.lane(partition)?;
        open.lane.set_window(window);
        if let Some(mut claim) = open.lane.claim_here(total, ahead) {
            compact.encode(record.key, value, claim.chunk());
            // Refused: the I/O side has ended, and the long way will be told so.
            claim.commit().ok()?;
        } else {
            go_beyond(&mut open.lane, &compact, record.key, value)?;
        }
        let receipt = open.receipt(self.id, timestamp);
        if sticks {
            topic.sticky.took(total);
        }
        Some(receipt)
    }
}
