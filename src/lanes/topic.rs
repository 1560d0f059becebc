//! A topic's lanes: one for each partition that the sender has sent to.

use crate::partitioner::Sticky;
use crate::{Receipt, Record};
use forebay_engine::{Ahead, Lane};
use forebay_io::topics::TopicEntry;
use std::sync::Arc;

/// With so many lanes for a topic, four or five cache lines each, hardly one is in the sender's own cache when its turn comes.
const MANY: usize = 256;

pub(super) struct TopicLanes {
    pub(super) entry: Arc<TopicEntry>,
    pub(super) sticky: Sticky,
    /// By partition.
    pub(super) lanes: Vec<Option<OpenLane>>,
}

impl TopicLanes {
    /// The lane of a partition, if it is open, about to be written to; and how far ahead of its records to ask for memory.
    #[inline(always)]
    pub(super) fn lane(&mut self, partition: u32) -> Option<(&mut OpenLane, Ahead)> {
        let many = self.lanes.len() >= MANY;
        let open = self.lanes.get_mut(partition as usize)?.as_mut()?;
        if many {
            open.lane.prefetch();
        }
        Some((open, if many { Ahead::Next } else { Ahead::Stream }))
    }
}

/// A lane and the count of its records: one cache line of a sender's own, beside the two that the lane shares with the I/O side.
#[repr(align(64))]
pub(super) struct OpenLane {
    pub(super) lane: Lane,
    pub(super) slot: u32,
    pub(super) ordinal: u64,
}

impl OpenLane {
    /// The record just committed.
    #[inline]
    pub(super) fn receipt(&mut self, sender: u32, timestamp: i64) -> Receipt {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        Receipt { sender, lane: self.slot, ordinal, timestamp }
    }
}

/// The lane of a record, if it is open.
#[inline]
pub(super) fn open_lane<'l>(
    topics: &'l mut [Option<TopicLanes>],
    record: &Record<'_>,
    partition: u32,
) -> Option<&'l mut OpenLane> {
    topics.get_mut(record.topic.index())?.as_mut()?.lanes.get_mut(partition as usize)?.as_mut()
}
