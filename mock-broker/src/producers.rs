//! Idempotent deduplication of one partition, by Kafka's rules (`ProducerStateManager`, `ProducerAppendInfo`).

use std::collections::{HashMap, VecDeque};

use crate::error_code;

/// Batches remembered for each producer: Kafka's `NUM_BATCHES_TO_RETAIN`, and so the most that a producer may have in
/// flight.
pub(crate) const REMEMBERED: usize = 5;

/// What a batch says about its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerStamp {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

#[derive(Debug)]
struct Entry {
    epoch: i16,
    batches: VecDeque<Remembered>,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Append it.
    New,
    /// It is in the log already, from this offset.
    Duplicate(i64),
    /// Refuse it with this error code.
    Refused(i16, &'static str),
}

/// The producers that have written to one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    entries: HashMap<i64, Entry>,
}

impl Producers {
    /// Looks, and changes nothing. A producer never seen may begin at any sequence, as with Kafka, which forgets
    /// producers whose records have expired.
    pub(crate) fn check(&self, stamp: ProducerStamp) -> Check {
        if stamp.id < 0 {
            return Check::New;
        }
        if stamp.epoch < 0 || stamp.base_sequence < 0 {
            return Check::Refused(error_code::INVALID_RECORD, "negative epoch or sequence with a producer id");
        }
        let Some(entry) = self.entries.get(&stamp.id) else { return Check::New };
        let last_sequence = advance(stamp.base_sequence, stamp.count - 1);
        if stamp.epoch < entry.epoch {
            return Check::Refused(
                error_code::INVALID_PRODUCER_EPOCH,
                "the producer epoch is older than the last seen",
            );
        }
        if stamp.epoch > entry.epoch {
            return if stamp.base_sequence == 0 {
                Check::New
            } else {
                Check::Refused(error_code::OUT_OF_ORDER_SEQUENCE, "a new producer epoch must begin at sequence 0")
            };
        }
        let same = |b: &&Remembered| b.base_sequence == stamp.base_sequence && b.last_sequence == last_sequence;
        if let Some(batch) = entry.batches.iter().find(same) {
            return Check::Duplicate(batch.base_offset);
        }
        let (Some(oldest), Some(newest)) = (entry.batches.front(), entry.batches.back()) else { return Check::New };
        if stamp.base_sequence == advance(newest.last_sequence, 1) {
            Check::New
        } else if is_before(last_sequence, oldest.base_sequence) {
            Check::Refused(error_code::DUPLICATE_SEQUENCE_NUMBER, "older than the batches remembered")
        } else {
            Check::Refused(error_code::OUT_OF_ORDER_SEQUENCE, "the sequence does not follow the last one")
        }
    }

    /// Remembers a batch that was appended.
    pub(crate) fn appended(&mut self, stamp: ProducerStamp, base_offset: i64) {
        if stamp.id < 0 {
            return;
        }
        let entry = self
            .entries
            .entry(stamp.id)
            .or_insert_with(|| Entry { epoch: stamp.epoch, batches: VecDeque::with_capacity(REMEMBERED) });
        if entry.epoch != stamp.epoch {
            entry.epoch = stamp.epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == REMEMBERED {
            entry.batches.pop_front();
        }
        entry.batches.push_back(Remembered {
            base_sequence: stamp.base_sequence,
            last_sequence: advance(stamp.base_sequence, stamp.count - 1),
            base_offset,
        });
    }
}

/// Sequences run from 0 to `i32::MAX` and on to 0.
fn advance(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}

/// Whether `a` lies in the half circle before `b`.
fn is_before(a: i32, b: i32) -> bool {
    let distance = b.wrapping_sub(a) & i32::MAX;
    distance != 0 && distance < 1 << 30
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: i16, base_sequence: i32, count: i32) -> ProducerStamp {
        ProducerStamp { id: 4000, epoch, base_sequence, count }
    }

    fn with(batches: &[(i16, i32, i32)]) -> Producers {
        let mut producers = Producers::default();
        let mut offset = 0;
        for &(epoch, base, count) in batches {
            assert_eq!(producers.check(stamp(epoch, base, count)), Check::New);
            producers.appended(stamp(epoch, base, count), offset);
            offset += i64::from(count);
        }
        producers
    }

    fn code(check: Check) -> i16 {
        match check {
            Check::Refused(code, _) => code,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn the_last_five_batches_are_answered_with_their_first_offset() {
        let producers = with(&[(0, 0, 10), (0, 10, 10), (0, 20, 10), (0, 30, 10), (0, 40, 10), (0, 50, 10)]);
        assert_eq!(producers.check(stamp(0, 10, 10)), Check::Duplicate(10));
        assert_eq!(producers.check(stamp(0, 50, 10)), Check::Duplicate(50));
        assert_eq!(code(producers.check(stamp(0, 0, 10))), error_code::DUPLICATE_SEQUENCE_NUMBER);
    }

    #[test]
    fn a_gap_or_a_batch_cut_otherwise_is_out_of_order() {
        let producers = with(&[(0, 0, 10)]);
        assert_eq!(code(producers.check(stamp(0, 11, 1))), error_code::OUT_OF_ORDER_SEQUENCE);
        assert_eq!(code(producers.check(stamp(0, 0, 5))), error_code::OUT_OF_ORDER_SEQUENCE);
        assert_eq!(code(producers.check(stamp(0, 5, 10))), error_code::OUT_OF_ORDER_SEQUENCE);
        assert_eq!(producers.check(stamp(0, 10, 1)), Check::New);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut producers = Producers::default();
        producers.appended(stamp(0, i32::MAX - 9, 10), 0);
        assert_eq!(producers.check(stamp(0, 0, 5)), Check::New);
        producers.appended(stamp(0, 0, 5), 10);
        assert_eq!(producers.check(stamp(0, i32::MAX - 9, 10)), Check::Duplicate(0));
        assert_eq!(producers.check(stamp(0, 5, 1)), Check::New);
        assert_eq!(code(producers.check(stamp(0, i32::MAX - 19, 10))), error_code::DUPLICATE_SEQUENCE_NUMBER);

        let mut straddling = Producers::default();
        straddling.appended(stamp(0, i32::MAX - 1, 4), 0);
        assert_eq!(straddling.check(stamp(0, 2, 1)), Check::New);
    }

    #[test]
    fn an_older_epoch_is_fenced_and_a_newer_one_begins_at_zero() {
        let mut producers = with(&[(3, 0, 10)]);
        assert_eq!(code(producers.check(stamp(2, 10, 1))), error_code::INVALID_PRODUCER_EPOCH);
        assert_eq!(code(producers.check(stamp(4, 10, 1))), error_code::OUT_OF_ORDER_SEQUENCE);
        assert_eq!(producers.check(stamp(4, 0, 1)), Check::New);
        producers.appended(stamp(4, 0, 1), 10);
        assert_eq!(code(producers.check(stamp(3, 10, 1))), error_code::INVALID_PRODUCER_EPOCH);
        assert_eq!(producers.check(stamp(4, 0, 1)), Check::Duplicate(10));
    }

    #[test]
    fn without_a_producer_id_nothing_is_checked() {
        let plain = ProducerStamp { id: -1, epoch: -1, base_sequence: -1, count: 3 };
        let mut producers = with(&[(0, 0, 1)]);
        assert_eq!(producers.check(plain), Check::New);
        producers.appended(plain, 7);
        assert_eq!(producers.check(plain), Check::New);
        let broken = ProducerStamp { id: 1, epoch: -1, base_sequence: 0, count: 1 };
        assert_eq!(code(producers.check(broken)), error_code::INVALID_RECORD);
    }
}
