//! After the run: what was said is compared with what is in the logs.

use std::collections::BTreeMap;

use forebay_io::core::Acks;

use crate::book::Book;
use crate::plan::Trouble;
use crate::world::World;

impl Book {
    /// Nothing here yet depends on a time that is past: the place where a run asserts that it came to rest.
    pub(crate) fn linger_is_over(&self) {
        assert!(self.all_done(), "at rest with records that have no outcome");
    }
}

impl World {
    /// # Panics
    /// If any promise was broken.
    pub(crate) fn check_everything(&self) {
        assert!(self.book.all_done(), "every record has its outcome");
        assert_eq!(self.book.open_flushes(), 0, "every flush has ended");
        assert_eq!(self.core.live_batches(), 0, "no batch is kept");
        if self.late_claims == 0 {
            assert_eq!(self.core.free_segments(), self.core.total_segments(), "all memory is back");
        }
        let places = self.places();
        self.truth(&places);
        self.order();
    }

    /// Where each record is: log and offset.
    fn places(&self) -> BTreeMap<u64, Vec<(usize, i64)>> {
        let mut places: BTreeMap<u64, Vec<(usize, i64)>> = BTreeMap::new();
        for (number, (topic, partition, log)) in self.cluster.logs().enumerate() {
            for (offset, id) in log.ids() {
                let record = self.book.records.get(id as usize).expect("a record that somebody meant to send");
                assert!(record.lane.is_some(), "record {id} was never published");
                let of = (record.topic, record.partition as usize);
                assert_eq!(of, (topic, partition), "record {id} is in another partition's log");
                places.entry(id).or_default().push((number, offset));
            }
        }
        places
    }

    fn truth(&self, places: &BTreeMap<u64, Vec<(usize, i64)>>) {
        let config = &self.plan.config;
        for id in &self.book.order {
            let record = &self.book.records[*id as usize];
            let there = places.get(id).map_or(&[][..], Vec::as_slice);
            let lost = self.cluster.lost.contains(id);
            if config.enable_idempotence && !self.begins_anew_by_name() {
                // A topic made anew knows nothing of the one before.
                let twice = there.windows(2).any(|pair| pair[0].0 == pair[1].0);
                assert!(!twice, "record {id} is in a log more than once: {there:?}");
            }
            match record.outcome.as_ref().expect("every record has its outcome") {
                Ok(offset) => {
                    let excused = config.acks == Acks::None || (config.acks == Acks::Leader && lost);
                    assert!(!there.is_empty() || excused, "record {id} was acknowledged and is in no log");
                    let found = *offset < 0 || there.iter().any(|place| place.1 == *offset);
                    assert!(found || excused, "record {id} is not at its offset {offset}: {there:?}");
                }
                Err(failure) if failure.possibly_appended => {}
                Err(failure) => {
                    assert!(there.is_empty(), "record {id} failed ({failure}) and is in the log: {there:?}");
                    assert!(!lost, "record {id} failed ({failure}) and was in the log");
                }
            }
        }
    }

    /// A topic is made anew while requests name it by its name: the second of two on their way may be the first that the
    /// new log sees, which takes any sequence number as its first. Topic ids (Produce 13) exclude it.
    fn begins_anew_by_name(&self) -> bool {
        let by_name = self.plan.metadata_max < 10 || self.plan.produce_max.iter().any(|version| *version < 13);
        self.plan.has(Trouble::Recreation) && by_name && self.plan.config.max_in_flight > 1
    }

    /// Records of a lane are in the order in which they were sent.
    fn order(&self) {
        let config = &self.plan.config;
        // Without idempotence nothing else than one request at a time keeps the order, and only if no broker acts on
        // what it read from a connection that is closed.
        if !config.enable_idempotence && (config.max_in_flight > 1 || self.plan.has(Trouble::Zombies)) {
            return;
        }
        if self.begins_anew_by_name() {
            return;
        }
        let mut ordinals = BTreeMap::new();
        for (lane, book) in self.book.lanes.iter().enumerate() {
            for (ordinal, id) in book.records.iter().enumerate() {
                ordinals.insert(*id, (lane, ordinal));
            }
        }
        for (topic, partition, log) in self.cluster.logs() {
            let mut last: BTreeMap<usize, (usize, i64)> = BTreeMap::new();
            let mut seen = std::collections::BTreeSet::new();
            for (offset, id, producer) in log.records().filter(|(_, id, _)| seen.insert(*id)) {
                let (lane, ordinal) = ordinals[&id];
                // The epochs are used up, and the producer has a new id: of a request under the old one, which had failed with an
                // unknown outcome, a broker that still acts on it cannot know that it is old.
                let fate = self.book.records[id as usize].outcome.as_ref();
                let unknown = matches!(fate, Some(Err(failure)) if failure.possibly_appended);
                if unknown && last.get(&lane).is_some_and(|(_, newer)| *newer != producer) {
                    continue;
                }
                let before = last.insert(lane, (ordinal, producer)).map(|(before, _)| before);
                assert!(
                    before.is_none_or(|before| before < ordinal),
                    "record {id} (number {ordinal} of lane {lane}) is at offset {offset} of topic {topic} partition \
                     {partition}, after number {before:?}"
                );
            }
        }
    }
}
