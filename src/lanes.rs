//! A sender's lanes: from a record to bytes in the lane of its partition.

use crate::clock::Tick;
use crate::error::{SendError, SendErrorKind};
use crate::hub::Hub;
use crate::interceptor::Chain;
use crate::outcomes::SenderLog;
use crate::partitioner::{Partitioner, Sticky, keyed};
use crate::producer::Inner;
use crate::quick::short_below;
use crate::reservation::{Reservation, Tail};
use crate::sender::Patience;
use crate::waits::{Waits, wait_for_memory};
use crate::{Receipt, Record};
use forebay_engine::{Ahead, Claim, ClaimError, Lane, ProducerEnd};
use forebay_io::core::DeliveryFailure;
use forebay_io::topics::TopicEntry;
use forebay_io::wire::batch::BATCH_HEADER_LEN;
use forebay_io::wire::record::{self, HEAD_MAX, Shape};
use std::num::NonZeroU32;
use std::sync::Arc;

/// What one sender has of its producer: a lane for each partition that it has sent to.
pub(crate) struct Lanes {
    pub(crate) topics: Vec<Option<TopicLanes>>,
    pub(crate) partitioner: Option<Box<dyn Partitioner>>,
    end: ProducerEnd,
    pub(crate) tick: Tick,
    /// The sender's number, as in `log`.
    pub(crate) id: u32,
    log: Arc<SenderLog>,
    hub: Arc<Hub>,
    /// Bytes of a record that fit a batch.
    largest: usize,
    /// Values shorter than this go the short way ([`Lanes::send`]).
    pub(crate) short_below: usize,
    batch_size: usize,
    pub(crate) ignore_keys: bool,
}

/// With so many lanes for a topic, four or five cache lines each, hardly one is in the sender's own cache when its turn comes.
const MANY: usize = 256;

pub(crate) struct TopicLanes {
    pub(crate) entry: Arc<TopicEntry>,
    pub(crate) sticky: Sticky,
    /// By partition.
    pub(crate) lanes: Vec<Option<OpenLane>>,
}

impl TopicLanes {
    /// The lane of a partition, if it is open, about to be written to; and how far ahead of its records to ask for memory.
    #[inline(always)]
    pub(crate) fn lane(&mut self, partition: u32) -> Option<(&mut OpenLane, Ahead)> {
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
pub(crate) struct OpenLane {
    pub(crate) lane: Lane,
    pub(crate) slot: u32,
    pub(crate) ordinal: u64,
}

impl OpenLane {
    /// The record just committed.
    #[inline]
    pub(crate) fn receipt(&mut self, sender: u32, timestamp: i64) -> Receipt {
        let ordinal = self.ordinal;
        self.ordinal += 1;
        Receipt { sender, slot: self.slot, ordinal, timestamp }
    }
}

/// A record that has its partition, its time and its size.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    partition: u32,
    timestamp: i64,
    window: i64,
    shape: Shape,
    ahead: Ahead,
}

impl Lanes {
    pub(crate) fn new(inner: &Inner) -> Self {
        let config = &inner.config;
        let log = inner.hub.new_sender();
        Lanes {
            topics: Vec::new(),
            partitioner: inner.partitioner.as_ref().map(|make| make()),
            end: inner.engine.producer_end(),
            tick: Tick::new(inner.wall()),
            id: log.id,
            log,
            hub: inner.hub.clone(),
            largest: Lanes::first_limit(inner),
            short_below: short_below(Lanes::first_limit(inner)),
            batch_size: config.batch_size(),
            ignore_keys: config.partitioner_ignore_keys(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn take_failures(&self) -> Option<(u64, DeliveryFailure)> {
        self.log.take_failures()
    }

    /// The long way of a send: any record.
    #[inline(never)]
    pub(crate) fn send_any<'a>(
        &mut self,
        inner: &Inner,
        record: Record<'a>,
        patience: Patience,
    ) -> Result<Receipt, SendError<'a>> {
        match self.plan(&record, record.value.map(<[u8]>::len)) {
            Ok((open, id, plan)) => {
                if let Some(receipt) = write_here(open, id, &record, &plan) {
                    return Ok(receipt);
                }
                self.send_where_planned(inner, record, plan, patience)
            }
            Err(refusal) => self.send_slowly(inner, record, patience, refusal),
        }
    }

    /// A record that needs another segment.
    #[inline(never)]
    fn send_where_planned<'a>(
        &mut self,
        inner: &Inner,
        record: Record<'a>,
        plan: Plan,
        patience: Patience,
    ) -> Result<Receipt, SendError<'a>> {
        self.write(inner, &record, &plan, || Waits::new(inner, patience)).map_err(|kind| SendError { record, kind })
    }

    /// Claims, waiting for memory where need be, encodes and publishes.
    fn write(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        plan: &Plan,
        waits: impl FnOnce() -> Waits,
    ) -> Result<Receipt, SendErrorKind> {
        let Lanes { topics, end, id, .. } = self;
        let open = open_lane(topics, record, plan.partition).ok_or(SendErrorKind::Closed)?;
        open.lane.set_window(plan.window);
        let total = plan.shape.total_len;
        let claim =
            open.lane.claim_or(total, total.min(HEAD_MAX), |refused| wait_for_memory(inner, end, refused, &waits()))?;
        encode(claim, record, plan)?;
        Ok(open.receipt(*id, plan.timestamp))
    }

    /// Partition, time and size of a record whose lane is open, and that lane.
    #[inline(always)]
    fn plan(&mut self, record: &Record<'_>, value_len: Option<usize>) -> Result<(&mut OpenLane, u32, Plan), Refusal> {
        let Lanes { topics, partitioner, tick, largest, batch_size, ignore_keys, id, .. } = self;
        tick.look();
        let window = tick.window();
        let timestamp = record.timestamp.unwrap_or(tick.now());
        let shape =
            Shape::measure(timestamp.wrapping_sub(window), record.key.map(<[u8]>::len), value_len, record.headers)
                .filter(|shape| shape.total_len <= *largest)
                .ok_or(Refusal::TooLarge)?;
        let topic = topics.get_mut(record.topic.0.0 as usize).and_then(Option::as_mut).ok_or(Refusal::Topic)?;
        let partitions = NonZeroU32::new(topic.entry.partitions()).ok_or(Refusal::Topic)?;
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, _) if partitioner.is_some() => {
                partitioner.as_mut().map_or(0, |chooser| chooser.partition(record, partitions.get()))
            }
            (None, Some(key)) if !*ignore_keys => keyed(key, partitions),
            _ => topic.sticky.next(shape.total_len, *batch_size, partitions, topic.entry.shares()),
        };
        let plan = Plan { partition, timestamp, window, shape, ahead: Ahead::Stream };
        match topic.lane(partition) {
            _ if partition >= partitions.get() => Err(Refusal::Partition(partition)),
            Some((open, ahead)) => Ok((open, *id, Plan { ahead, ..plan })),
            None => Err(Refusal::Lane(plan)),
        }
    }

    /// As [`Lanes::plan`], for those that are not in a hurry.
    #[inline(never)]
    fn plan_only(&mut self, record: &Record<'_>, value_len: Option<usize>) -> Result<Plan, Refusal> {
        self.plan(record, value_len).map(|(_, _, plan)| plan)
    }

    /// Everything that is not the hot path: unknown topics, new lanes, errors.
    #[cold]
    #[inline(never)]
    fn send_slowly<'a>(
        &mut self,
        inner: &Inner,
        record: Record<'a>,
        patience: Patience,
        refusal: Refusal,
    ) -> Result<Receipt, SendError<'a>> {
        if let Some(chain) = self.intercepted(inner, &refusal) {
            return self.send_intercepted(inner, chain, record, patience);
        }
        let waits = Waits::new(inner, patience);
        self.prepare(inner, &record, record.value.map(<[u8]>::len), &waits, refusal)
            .and_then(|plan| self.write(inner, &record, &plan, || waits))
            .map_err(|kind| SendError { record, kind })
    }

    /// Claims room for a record whose value the caller writes.
    pub(crate) fn reserve<'s, 'a>(
        &'s mut self,
        inner: &Inner,
        record: Record<'a>,
        len: usize,
        patience: Patience,
    ) -> Result<Reservation<'s, 'a>, SendError<'a>> {
        // One budget for metadata and memory.
        let mut waits = None;
        let planned = match self.plan_only(&record, Some(len)) {
            Err(refusal) => {
                if let Some(chain) = self.intercepted(inner, &refusal) {
                    return self.reserve_intercepted(inner, chain, record, len, patience);
                }
                let waits = waits.insert(Waits::new(inner, patience));
                self.prepare(inner, &record, Some(len), waits, refusal)
            }
            Ok(plan) => Ok(plan),
        };
        let waits = || waits.unwrap_or_else(|| Waits::new(inner, patience));
        planned
            .and_then(|plan| self.claim_value(inner, &record, Tail::Headers(record.headers), len, waits, &plan))
            .map_err(|kind| SendError { record, kind })
    }

    pub(crate) fn claim_value<'s, 'a>(
        &'s mut self,
        inner: &Inner,
        record: &Record<'_>,
        tail: Tail<'a>,
        len: usize,
        waits: impl FnOnce() -> Waits,
        plan: &Plan,
    ) -> Result<Reservation<'s, 'a>, SendErrorKind> {
        let Lanes { topics, end, id, .. } = self;
        let open = open_lane(topics, record, plan.partition).ok_or(SendErrorKind::Closed)?;
        open.lane.set_window(plan.window);
        // A record that fits a segment is contiguous, so that its value is one slice.
        let total = plan.shape.total_len;
        let head = if total <= inner.engine.segment_size() { total } else { HEAD_MAX };
        let receipt = Receipt { sender: *id, slot: open.slot, ordinal: open.ordinal, timestamp: plan.timestamp };
        let claim = open.lane.claim_or(total, head, |refused| wait_for_memory(inner, end, refused, &waits()))?;
        let delta = plan.timestamp.wrapping_sub(plan.window);
        Ok(Reservation::new(claim, &mut open.ordinal, receipt, record.key, tail, &plan.shape, delta, len))
    }

    /// The interceptors, if a record is where it is because it must go through them first.
    fn intercepted<'i>(&self, inner: &'i Inner, refusal: &Refusal) -> Option<&'i Chain> {
        inner.interceptors.as_ref().filter(|_| self.largest == 0 && matches!(refusal, Refusal::TooLarge))
    }

    pub(crate) fn set_limit(&mut self, largest: usize) {
        self.largest = largest;
    }

    /// The plan of a record whose value the caller writes.
    pub(crate) fn prepared(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        len: usize,
        waits: &Waits,
    ) -> Result<Plan, SendErrorKind> {
        match self.plan_only(record, Some(len)) {
            Ok(plan) => Ok(plan),
            Err(refusal) => self.prepare(inner, record, Some(len), waits, refusal),
        }
    }

    /// Brings a record to where its lane is open: metadata known, partition chosen.
    fn prepare(
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
        let index = record.topic.0.0 as usize;
        if self.topics.len() <= index {
            self.topics.resize_with(index + 1, || None);
        }
        if self.topics[index].is_none() {
            let entry = inner.topics.entry(record.topic.0).ok_or(SendErrorKind::ForeignTopic)?;
            self.topics[index] = Some(TopicLanes { entry, sticky: Sticky::default(), lanes: Vec::new() });
        }
        let Some(topic) = &self.topics[index] else { return Err(SendErrorKind::ForeignTopic) };
        inner.wait_for_partitions(&topic.entry, partition, waits)
    }

    fn unknown_partition(&self, record: &Record<'_>, partition: u32) -> SendErrorKind {
        let entry = self.topics.get(record.topic.0.0 as usize).and_then(Option::as_ref).map(|topic| &topic.entry);
        SendErrorKind::UnknownPartition {
            topic: entry.map_or_else(String::new, |entry| entry.name().to_string()),
            partition,
            partitions: entry.map_or(0, |entry| entry.partitions()),
        }
    }

    fn open(&mut self, inner: &Inner, record: &Record<'_>, partition: u32) -> Result<(), SendErrorKind> {
        let Some(Some(topic)) = self.topics.get_mut(record.topic.0.0 as usize) else {
            return Err(SendErrorKind::ForeignTopic);
        };
        let at = partition as usize;
        if topic.lanes.len() <= at {
            topic.lanes.resize_with(at + 1, || None);
        }
        if topic.lanes[at].is_none() {
            let tag = record.topic.0.lane_tag(partition);
            let lane = self.end.lane(tag)?;
            let slot = inner.hub.own(lane.id(), &self.log, tag, topic.entry.name().clone());
            topic.lanes[at] = Some(OpenLane { lane, slot, ordinal: 0 });
        }
        Ok(())
    }
}

/// Why a record has no plan yet.
enum Refusal {
    TooLarge,
    /// Nothing is known of its topic.
    Topic,
    /// Its topic has no such partition.
    Partition(u32),
    /// The lane is not open yet.
    Lane(Plan),
}

/// The lane of a record, if it is open.
#[inline]
fn open_lane<'l>(
    topics: &'l mut [Option<TopicLanes>],
    record: &Record<'_>,
    partition: u32,
) -> Option<&'l mut OpenLane> {
    topics.get_mut(record.topic.0.0 as usize)?.as_mut()?.lanes.get_mut(partition as usize)?.as_mut()
}

/// Encodes a record into its lane's open segment and publishes it. None if it does not fit there, or the lane is not
/// what it was: nothing has happened then.
#[inline(always)]
fn write_here(open: &mut OpenLane, sender: u32, record: &Record<'_>, plan: &Plan) -> Option<Receipt> {
    open.lane.set_window(plan.window);
    let mut claim = open.lane.claim_here(plan.shape.total_len)?;
    let delta = plan.timestamp.wrapping_sub(plan.window);
    record::encode(&plan.shape, delta, record.key, record.value, record.headers, claim.chunk());
    // Refused: the I/O side has ended, and what comes next will be told so.
    claim.commit_ahead(plan.ahead).ok()?;
    Some(open.receipt(sender, plan.timestamp))
}

/// A record of at most so many bytes that goes over the end of a segment is encoded in one piece and then copied.
const ASIDE: usize = 256;

/// Encodes a record into its claim and publishes it.
fn encode(mut claim: Claim<'_>, record: &Record<'_>, plan: &Plan) -> Result<(), ClaimError> {
    let delta = plan.timestamp.wrapping_sub(plan.window);
    let total = plan.shape.total_len;
    let chunk = claim.chunk();
    if chunk.len() == total {
        record::encode(&plan.shape, delta, record.key, record.value, record.headers, chunk);
    } else if let Some(aside) = [0; ASIDE].get_mut(..total) {
        record::encode(&plan.shape, delta, record.key, record.value, record.headers, aside);
        claim.put(aside);
    } else {
        record::encode_to(&plan.shape, delta, record.key, record.value, record.headers, &mut |piece: &[u8]| {
            claim.put(piece);
        });
    }
    claim.commit_ahead(plan.ahead)
}

impl From<ClaimError> for SendErrorKind {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Full { .. } => SendErrorKind::Full,
            ClaimError::NeverFits { limit } => {
                SendErrorKind::TooLarge { size: limit + 1, limit, setting: "buffer.memory" }
            }
            ClaimError::Closed => SendErrorKind::Closed,
        }
    }
}

/// Bytes that a lone record's batch adds.
pub(crate) const BATCH_OVERHEAD: usize = BATCH_HEADER_LEN;

impl Drop for Lanes {
    fn drop(&mut self) {
        self.hub.sender_gone(self.id);
    }
}
