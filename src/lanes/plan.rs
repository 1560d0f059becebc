//! What a record is to be: its partition, its time and its size; and the opening of its lane.

use super::Lanes;
use super::topic::{OpenLane, TopicLanes};
use crate::Record;
use crate::error::SendErrorKind;
use crate::partitioner::{Sticky, keyed};
use crate::producer::Inner;
use crate::waits::Waits;
use forebay_engine::Ahead;
use forebay_io::wire::record::Shape;
use std::num::NonZeroU32;

/// A record that has its partition, its time and its size.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) partition: u32,
    pub(super) timestamp: i64,
    pub(super) window: i64,
    pub(super) shape: Shape,
    pub(super) ahead: Ahead,
}

/// Why a record has no plan yet.
pub(super) enum Refusal {
    TooLarge,
    /// Its create time is negative.
    Timestamp(i64),
    /// Its topic is another producer's.
    Foreign,
    /// Nothing is known of its topic.
    Topic,
    /// Its topic has no such partition.
    Partition(u32),
    /// The lane is not open yet.
    Lane(Plan),
}

impl Lanes {
    /// Partition, time and size of a record whose lane is open, and that lane.
    #[inline(always)]
    pub(super) fn plan(
        &mut self,
        record: &Record<'_>,
        value_len: Option<usize>,
    ) -> Result<(&mut OpenLane, u32, Plan), Refusal> {
        let Lanes { producer, topics, partitioner, tick, largest, batch_size, ignore_keys, id, .. } = self;
        tick.look();
        let window = tick.window();
        let timestamp = record.timestamp.unwrap_or(tick.now());
        let shape =
            Shape::measure(timestamp.wrapping_sub(window), record.key.map(<[u8]>::len), value_len, record.headers)
                .filter(|shape| shape.total_len <= *largest)
                .ok_or(Refusal::TooLarge)?;
        if timestamp < 0 {
            return Err(Refusal::Timestamp(timestamp));
        }
        if record.topic.producer != *producer {
            return Err(Refusal::Foreign);
        }
        let topic = topics.get_mut(record.topic.index()).and_then(Option::as_mut).ok_or(Refusal::Topic)?;
        let partitions = NonZeroU32::new(topic.entry.partitions()).ok_or(Refusal::Topic)?;
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, _) if partitioner.is_some() => {
                partitioner.as_mut().map_or(0, |chooser| chooser.partition(record, partitions.get()))
            }
            (None, Some(key)) if !*ignore_keys => keyed(key, partitions),
            _ => topic.sticky.next(shape.total_len, *batch_size, partitions, topic.entry.shares()),
        };
        let plan = |ahead| Plan { partition, timestamp, window, shape, ahead };
        match topic.lane(partition) {
            _ if partition >= partitions.get() => Err(Refusal::Partition(partition)),
            Some((open, ahead)) => Ok((open, *id, plan(ahead))),
            None => Err(Refusal::Lane(plan(Ahead::Stream))),
        }
    }

    /// As [`Lanes::plan`], for those that are not in a hurry.
    #[inline(never)]
    pub(super) fn plan_only(&mut self, record: &Record<'_>, value_len: Option<usize>) -> Result<Plan, Refusal> {
        self.plan(record, value_len).map(|(_, _, plan)| plan)
    }

    /// The plan of a record, its lane opened if need be.
    pub(super) fn prepared(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        value_len: Option<usize>,
        waits: &Waits,
    ) -> Result<Plan, SendErrorKind> {
        match self.plan_only(record, value_len) {
            Ok(plan) => Ok(plan),
            Err(refusal) => self.prepare(inner, record, value_len, waits, refusal),
        }
    }

    /// Brings a record to where its lane is open: metadata known, partition chosen.
    pub(super) fn prepare(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        value_len: Option<usize>,
        waits: &Waits,
        mut refusal: Refusal,
    ) -> Result<Plan, SendErrorKind> {
        loop {
            match refusal {
                Refusal::TooLarge => return Err(inner.too_large(record, value_len)),
                Refusal::Timestamp(timestamp) => return Err(SendErrorKind::InvalidTimestamp { timestamp }),
                Refusal::Foreign => return Err(SendErrorKind::ForeignTopic),
                Refusal::Topic => self.know_topic(inner, record, None, waits)?,
                // The topic may have grown since its metadata was read; a partition of the partitioner's own is an error.
                Refusal::Partition(partition) if record.partition.is_some() => {
                    self.know_topic(inner, record, Some(partition), waits)?;
                }
                Refusal::Partition(partition) => return Err(self.unknown_partition(record, partition)),
                Refusal::Lane(plan) => {
                    self.open(inner, record, plan.partition)?;
                    return Ok(plan);
                }
            }
            refusal = match self.plan_only(record, value_len) {
                Ok(plan) => return Ok(plan),
                Err(refusal) => refusal,
            };
        }
    }

    /// Waits until the topic's partitions are known, and the one asked for among them.
    fn know_topic(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        partition: Option<u32>,
        waits: &Waits,
    ) -> Result<(), SendErrorKind> {
        let index = record.topic.index();
        if self.topics.len() <= index {
            self.topics.resize_with(index + 1, || None);
        }
        if self.topics[index].is_none() {
            let entry = inner.entry(record.topic).ok_or(SendErrorKind::ForeignTopic)?;
            self.topics[index] = Some(TopicLanes { entry, sticky: Sticky::default(), lanes: Vec::new() });
        }
        let Some(topic) = &self.topics[index] else { return Err(SendErrorKind::ForeignTopic) };
        inner.wait_for_partitions(&topic.entry, partition, waits)
    }

    fn unknown_partition(&self, record: &Record<'_>, partition: u32) -> SendErrorKind {
        let entry = self.topics.get(record.topic.index()).and_then(Option::as_ref).map(|topic| &topic.entry);
        SendErrorKind::UnknownPartition {
            topic: entry.map_or_else(String::new, |entry| entry.name().to_string()),
            partition,
            partitions: entry.map_or(0, |entry| entry.partitions()),
        }
    }

    fn open(&mut self, inner: &Inner, record: &Record<'_>, partition: u32) -> Result<(), SendErrorKind> {
        let Some(Some(topic)) = self.topics.get_mut(record.topic.index()) else {
            return Err(SendErrorKind::ForeignTopic);
        };
        let at = partition as usize;
        if topic.lanes.len() <= at {
            topic.lanes.resize_with(at + 1, || None);
        }
        if topic.lanes[at].is_none() {
            let tag = record.topic.id.lane_tag(partition);
            let thread = inner.deal.thread(record.topic.id, partition);
            let lane = self.ends[thread].lane(tag)?;
            let slot = inner.hub.own(thread, lane.id(), &self.log, tag, topic.entry.name().clone());
            topic.lanes[at] = Some(OpenLane { lane, slot, ordinal: 0 });
        }
        Ok(())
    }
}
