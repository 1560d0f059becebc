//! A sender's lanes: from a record to bytes in the lane of its partition.

mod encode;
mod intercepted;
mod plan;
mod quick;
mod topic;

use crate::clock::Tick;
use crate::error::{SendError, SendErrorKind};
use crate::hub::Hub;
use crate::interceptor::Chain;
use crate::line::Line;
use crate::outcomes::SenderLog;
use crate::partitioner::Partitioner;
use crate::producer::Inner;
use crate::reservation::{Reservation, Tail};
use crate::sender::Patience;
use crate::waits::{Waits, wait_for_memory};
use crate::{Receipt, Record, Topic};
use encode::{encode, write_here};
use forebay_engine::{ClaimError, Engine, Grant, ProducerEnd};
use forebay_io::core::DeliveryFailure;
use forebay_io::wire::batch::BATCH_HEADER_LEN;
use forebay_io::wire::record::HEAD_MAX;
use plan::{Plan, Refusal};
use quick::short_below;
use std::sync::Arc;
use topic::{TopicLanes, open_lane};

/// What one sender has of its producer: a lane for each partition that it has sent to.
pub(crate) struct Lanes {
    /// The producer's number, as in its topics.
    producer: u32,
    topics: Vec<Option<TopicLanes>>,
    partitioner: Option<Box<dyn Partitioner>>,
    /// By I/O thread.
    ends: Box<[ProducerEnd]>,
    tick: Tick,
    /// The sender's number, as in `log`.
    id: u32,
    log: Arc<SenderLog>,
    hub: Arc<Hub>,
    /// Bytes of a record that fit a batch.
    largest: usize,
    /// Values shorter than this go the short way ([`Lanes::send`]).
    short_below: usize,
    batch_size: usize,
    ignore_keys: bool,
}

impl Lanes {
    pub(crate) fn new(inner: &Inner) -> Self {
        let config = &inner.config;
        let log = inner.hub.new_sender();
        Lanes {
            producer: inner.number,
            topics: Vec::new(),
            partitioner: inner.partitioner.as_ref().map(|make| make()),
            ends: inner.engines.iter().map(Engine::producer_end).collect(),
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
    fn send_any<'a>(
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
        self.claim_and_write(record, plan, |ends, refused| {
            wait_at_its_thread(inner, ends, record.topic, plan.partition, refused, &waits())
        })
    }

    /// The same with another way to memory.
    #[inline(always)]
    fn claim_and_write(
        &mut self,
        record: &Record<'_>,
        plan: &Plan,
        wait: impl FnOnce(&mut [ProducerEnd], ClaimError) -> Result<Grant, SendErrorKind>,
    ) -> Result<Receipt, SendErrorKind> {
        let Lanes { topics, ends, id, .. } = self;
        let open = open_lane(topics, record, plan.partition).ok_or(SendErrorKind::Closed)?;
        open.lane.set_window(plan.window);
        let total = plan.shape.total_len;
        let claim = open.lane.claim_or(total, total.min(HEAD_MAX), |refused| wait(ends, refused))?;
        encode(claim, record, plan)?;
        Ok(open.receipt(*id, plan.timestamp))
    }

    /// Accepts a record, or lines up for what it lacks: the error says which. Never blocks.
    pub(crate) fn send_in_line(
        &mut self,
        inner: &Inner,
        record: &Record<'_>,
        line: &mut Line<'_>,
    ) -> Result<Receipt, SendErrorKind> {
        // In line it stays with its partition, and with the I/O thread that has granted it memory.
        let record = &Record { partition: line.partition().or(record.partition), ..*record };
        if let Some(receipt) = self.send_quickly(record) {
            return Ok(receipt);
        }
        let plan = self.prepared(inner, record, record.value.map(<[u8]>::len), &Waits::new(inner, Patience::None))?;
        let thread = inner.deal.thread(record.topic.id, plan.partition);
        self.claim_and_write(record, &plan, |_, refused| line.enter(thread, plan.partition, refused))
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

    fn claim_value<'s, 'a>(
        &'s mut self,
        inner: &Inner,
        record: &Record<'_>,
        tail: Tail<'a>,
        len: usize,
        waits: impl FnOnce() -> Waits,
        plan: &Plan,
    ) -> Result<Reservation<'s, 'a>, SendErrorKind> {
        let Lanes { topics, ends, id, .. } = self;
        let open = open_lane(topics, record, plan.partition).ok_or(SendErrorKind::Closed)?;
        open.lane.set_window(plan.window);
        // A record that fits a segment is contiguous, so that its value is one slice.
        let total = plan.shape.total_len;
        let head = if total <= inner.engines[0].segment_size() { total } else { HEAD_MAX };
        let receipt = Receipt { sender: *id, lane: open.slot, ordinal: open.ordinal, timestamp: plan.timestamp };
        let wait = |refused| wait_at_its_thread(inner, ends, record.topic, plan.partition, refused, &waits());
        let claim = open.lane.claim_or(total, head, wait)?;
        let delta = plan.timestamp.wrapping_sub(plan.window);
        Ok(Reservation::new(claim, &mut open.ordinal, receipt, record.key, tail, &plan.shape, delta, len))
    }

    /// The interceptors, if a record is where it is because it must go through them first.
    fn intercepted<'i>(&self, inner: &'i Inner, refusal: &Refusal) -> Option<&'i Chain> {
        inner.interceptors.as_ref().filter(|_| self.largest == 0 && matches!(refusal, Refusal::TooLarge))
    }

    fn set_limit(&mut self, largest: usize) {
        self.largest = largest;
    }
}

/// Waits for memory of the I/O thread that a partition belongs to.
#[cold]
#[inline(never)]
fn wait_at_its_thread(
    inner: &Inner,
    ends: &mut [ProducerEnd],
    topic: Topic,
    partition: u32,
    refused: ClaimError,
    waits: &Waits,
) -> Result<Grant, SendErrorKind> {
    wait_for_memory(inner, &mut ends[inner.deal.thread(topic.id, partition)], refused, waits)
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
