//! A partition's log, as a Kafka broker keeps it for idempotent producers.

use std::collections::{BTreeMap, VecDeque};

use super::batch::Batch;

/// Batches of a producer that a broker remembers (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
const REMEMBERED: usize = 5;

#[derive(Default)]
struct Producer {
    epoch: i16,
    /// (first sequence, last sequence, offset), oldest first.
    batches: VecDeque<(i32, i32, i64)>,
    last_append: u64,
}

/// A batch in the log.
pub(crate) struct Appended {
    pub(crate) offset: i64,
    pub(crate) ids: Vec<u64>,
    producer: (i64, i16),
    sequence: i32,
    /// All replicas have it: it survives an election.
    pub(crate) replicated: bool,
    /// Moment of the append.
    at: u64,
    /// The broker has forgotten the producer since.
    forgotten: bool,
}

/// What an append came to.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Append {
    New(i64),
    /// It was there.
    Duplicate(i64),
    Refused(i16),
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) batches: Vec<Appended>,
    producers: BTreeMap<i64, Producer>,
    next: i64,
}

impl Log {
    pub(crate) fn append(&mut self, batch: &Batch, old_brokers: bool, now: u64) -> Append {
        let (id, epoch) = batch.producer;
        let last = wrap(i64::from(batch.sequence) + batch.ids.len() as i64 - 1);
        if id >= 0 {
            match self.producers.get(&id) {
                None if old_brokers && batch.sequence != 0 => return Append::Refused(59),
                None => {}
                Some(known) if epoch < known.epoch => return Append::Refused(47),
                Some(known) if epoch > known.epoch && batch.sequence != 0 => return Append::Refused(45),
                Some(known) if epoch > known.epoch => {}
                Some(known) => {
                    if let Some(twin) = known.batches.iter().find(|b| (b.0, b.1) == (batch.sequence, last)) {
                        return Append::Duplicate(twin.2);
                    }
                    let expected = known.batches.back().map_or(0, |b| wrap(i64::from(b.1) + 1));
                    if batch.sequence != expected {
                        return Append::Refused(45);
                    }
                }
            }
            let producer = self.producers.entry(id).or_default();
            if epoch > producer.epoch {
                producer.batches.clear();
                producer.epoch = epoch;
            }
            remember(producer, (batch.sequence, last, self.next), now);
        }
        let offset = self.next;
        self.next += batch.ids.len() as i64;
        self.batches.push(Appended {
            offset,
            ids: batch.ids.clone(),
            producer: batch.producer,
            sequence: batch.sequence,
            replicated: false,
            at: now,
            forgotten: false,
        });
        Append::New(offset)
    }

    /// Everything up to an offset is on all replicas.
    pub(crate) fn replicate(&mut self, offset: i64) {
        for batch in self.batches.iter_mut().rev().filter(|b| b.offset <= offset) {
            if std::mem::replace(&mut batch.replicated, true) {
                break;
            }
        }
    }

    /// An election: what no other replica had is lost, and with it what was known of its producers. Answers its records.
    pub(crate) fn truncate(&mut self) -> Vec<u64> {
        let keep = self.batches.iter().take_while(|b| b.replicated).count();
        let lost = self.batches.split_off(keep);
        self.next = self.batches.last().map_or(0, |b| b.offset + b.ids.len() as i64);
        if !lost.is_empty() {
            self.producers.clear();
            for batch in self.batches.iter().filter(|b| !b.forgotten && b.producer.0 >= 0) {
                let producer = self.producers.entry(batch.producer.0).or_default();
                if batch.producer.1 > producer.epoch {
                    producer.batches.clear();
                    producer.epoch = batch.producer.1;
                }
                let last = wrap(i64::from(batch.sequence) + batch.ids.len() as i64 - 1);
                remember(producer, (batch.sequence, last, batch.offset), batch.at);
            }
        }
        lost.into_iter().flat_map(|b| b.ids).collect()
    }

    /// `producer.id.expiration.ms`: forgets producers whose last append was before `before`. Answers how many.
    pub(crate) fn forget(&mut self, before: u64) -> usize {
        let count = self.producers.len();
        self.producers.retain(|_, producer| producer.last_append >= before);
        for batch in &mut self.batches {
            batch.forgotten |= !self.producers.contains_key(&batch.producer.0);
        }
        count - self.producers.len()
    }

    /// All records, by offset.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.records().map(|(offset, id, _)| (offset, id))
    }

    /// The same with the producer id that they came under.
    pub(crate) fn records(&self) -> impl Iterator<Item = (i64, u64, i64)> + '_ {
        self.batches
            .iter()
            .flat_map(|b| b.ids.iter().enumerate().map(|(n, id)| (b.offset + n as i64, *id, b.producer.0)))
    }
}

fn remember(producer: &mut Producer, batch: (i32, i32, i64), now: u64) {
    producer.batches.push_back(batch);
    if producer.batches.len() > REMEMBERED {
        producer.batches.pop_front();
    }
    producer.last_append = now;
}

/// Sequence numbers wrap from 2³¹−1 to 0.
fn wrap(sequence: i64) -> i32 {
    (sequence & i64::from(i32::MAX)) as i32
}
