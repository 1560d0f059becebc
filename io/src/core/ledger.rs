//! Who is owed an outcome: every record taken from a lane, in order, exactly once; and the flushes that wait.
//!
//! A *span* is a stretch of consecutive records of one lane that went into one batch. The spans of a lane form a list in
//! send order; an outcome that comes early is kept until all before it are known. Spans and waiters live in two vectors
//! with free lists, so a steady state allocates nothing.

use forebay_engine::{LaneId, mutant};

use super::lane::{Lane, NONE};
use super::ports::Flushed;
use super::report::{Delivered, DeliveryFailure, Report};
use crate::time::Time;

pub(crate) type Outcome = Result<Delivered, DeliveryFailure>;

/// Index of a span; valid until its outcome is given.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct SpanId(u32);

struct Span {
    lane: LaneId,
    first_ordinal: u64,
    count: u32,
    bytes: u64,
    outcome: Option<Outcome>,
    next: u32,
}

struct Waiter {
    flush: u32,
    target: u64,
    next: u32,
}

struct Flush {
    token: u64,
    /// Lanes that are not there yet, and one for the registration itself.
    left: u32,
    failed: u64,
}

#[derive(Default)]
pub(crate) struct Ledger {
    lanes: Vec<Option<Lane>>,
    spans: Pool<Span>,
    waiters: Pool<Waiter>,
    flushes: Pool<Flush>,
    pub(crate) reports: Vec<Report>,
    pub(crate) flushed: Vec<Flushed>,
    open: usize,
    /// Lanes that are gone for good. Their numbers are given back once the reports that carry them are handed on.
    pub(crate) gone: Vec<LaneId>,
}

impl Ledger {
    pub(crate) fn lane(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(id.index()).and_then(Option::as_ref)
    }

    pub(crate) fn lane_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(id.index()).and_then(Option::as_mut)
    }

    pub(crate) fn add_lane(&mut self, lane: Lane) {
        let index = lane.id.index();
        if self.lanes.len() <= index {
            self.lanes.resize_with(index + 1, || None);
        }
        self.lanes[index] = Some(lane);
    }

    pub(crate) fn remove_lane(&mut self, id: LaneId) {
        if let Some(slot) = self.lanes.get_mut(id.index()) {
            debug_assert!(slot.as_ref().is_none_or(Lane::is_unused), "a lane that is still owed something");
            *slot = None;
            self.gone.push(id);
        }
    }

    /// Records without an outcome exist.
    pub(crate) fn has_open_spans(&self) -> bool {
        self.open > 0
    }

    /// `count` records of `bytes` bytes have just been taken from a lane.
    pub(crate) fn open_span(&mut self, id: LaneId, count: u32, bytes: u64) -> Option<SpanId> {
        let lane = self.lanes.get_mut(id.index()).and_then(Option::as_mut)?;
        let first_ordinal = lane.next_ordinal;
        lane.next_ordinal += u64::from(count);
        let span = self.spans.add(Span { lane: id, first_ordinal, count, bytes, outcome: None, next: NONE });
        match lane.tail {
            NONE => lane.head = span,
            tail => self.spans.get(tail).next = span,
        }
        lane.tail = span;
        self.open += 1;
        Some(SpanId(span))
    }

    /// Cuts a span after its first `count` records; returns the rest.
    pub(crate) fn split_span(&mut self, SpanId(first): SpanId, count: u32, bytes: u64) -> SpanId {
        let span = self.spans.get(first);
        debug_assert!(count > 0 && count < span.count && bytes <= span.bytes, "a split inside the span");
        let rest = Span {
            lane: span.lane,
            first_ordinal: span.first_ordinal + u64::from(count),
            count: span.count - count,
            bytes: span.bytes - bytes,
            outcome: None,
            next: span.next,
        };
        let lane = span.lane;
        span.count = count;
        span.bytes = bytes;
        let rest = self.spans.add(rest);
        self.spans.get(first).next = rest;
        self.open += 1;
        if let Some(lane) = self.lane_mut(lane)
            && lane.tail == first
        {
            lane.tail = rest;
        }
        SpanId(rest)
    }

    /// Gives a span its outcome, once; reports what can be reported now.
    pub(crate) fn resolve(&mut self, SpanId(index): SpanId, outcome: Outcome) {
        let span = self.spans.get(index);
        debug_assert!(span.outcome.is_none(), "one outcome per record");
        span.outcome = Some(outcome);
        let id = span.lane;
        self.open -= 1;
        let Some(lane) = self.lanes.get_mut(id.index()).and_then(Option::as_mut) else { return };
        while lane.head != NONE && self.spans.get(lane.head).outcome.is_some() {
            let span = self.spans.remove(lane.head);
            lane.head = span.next;
            if span.next == NONE {
                lane.tail = NONE;
            }
            lane.resolved += span.bytes;
            let Some(result) = span.outcome else { break };
            if result.is_err() {
                let mut waiter = lane.wait_head;
                while waiter != NONE {
                    let entry = self.waiters.get(waiter);
                    waiter = entry.next;
                    self.flushes.get(entry.flush).failed += u64::from(span.count);
                }
            }
            self.reports.push(Report {
                lane: id,
                lane_tag: lane.tag,
                first_ordinal: span.first_ordinal,
                count: span.count,
                result,
            });
            wake(lane, &mut self.waiters, &mut self.flushes, &mut self.flushed);
        }
    }

    /// `bytes` were taken off a lane's front; see [`Lane::took`].
    pub(crate) fn took(&mut self, id: LaneId, bytes: usize, drained: bool, now: Time) {
        if let Some(lane) = self.lane_mut(id) {
            lane.took(bytes, drained, now);
        }
    }

    /// A new flush: waits for every lane at what was last seen of it. `untaken` says how many bytes a lane holds, exactly:
    /// with `pending` for it a flush would wait for later records where segments have unused ends.
    pub(crate) fn flush(&mut self, token: u64, untaken: impl Fn(LaneId) -> u64) {
        let flush = self.flushes.add(Flush { token, left: 1, failed: 0 });
        for lane in self.lanes.iter_mut().flatten() {
            let target = lane.taken + if lane.pending > 0 { untaken(lane.id) } else { 0 };
            if lane.resolved >= target {
                continue;
            }
            let target = if mutant!("a_flush_ends_with_what_is_sent") { lane.taken } else { target };
            let target = target + u64::from(mutant!("a_flush_waits_for_the_next_record"));
            lane.flush_to = lane.flush_to.max(target);
            let waiter = self.waiters.add(Waiter { flush, target, next: NONE });
            match lane.wait_tail {
                NONE => lane.wait_head = waiter,
                tail => self.waiters.get(tail).next = waiter,
            }
            lane.wait_tail = waiter;
            self.flushes.get(flush).left += 1;
        }
        arrive(&mut self.flushes, &mut self.flushed, flush);
    }
}

/// Flushes that waited for what this lane has resolved by now wait for it no longer.
fn wake(lane: &mut Lane, waiters: &mut Pool<Waiter>, flushes: &mut Pool<Flush>, flushed: &mut Vec<Flushed>) {
    while lane.wait_head != NONE && waiters.get(lane.wait_head).target <= lane.resolved {
        let waiter = waiters.remove(lane.wait_head);
        lane.wait_head = waiter.next;
        if waiter.next == NONE {
            lane.wait_tail = NONE;
        }
        arrive(flushes, flushed, waiter.flush);
    }
}

fn arrive(flushes: &mut Pool<Flush>, flushed: &mut Vec<Flushed>, index: u32) {
    let flush = flushes.get(index);
    flush.left -= 1;
    if flush.left == 0 {
        let flush = flushes.remove(index);
        flushed.push(Flushed { token: flush.token, failed: flush.failed });
    }
}

/// A vector whose free places are used again.
struct Pool<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Pool<T> {
    fn add(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(value);
            return index;
        }
        self.slots.push(Some(value));
        // So that `remove` never allocates: every slot has a place among the free ones.
        self.free.reserve(self.slots.capacity().saturating_sub(self.free.len()));
        (self.slots.len() - 1) as u32
    }

    fn get(&mut self, index: u32) -> &mut T {
        self.slots[index as usize].as_mut().expect("an index is used until its entry is removed")
    }

    fn remove(&mut self, index: u32) -> T {
        self.free.push(index);
        self.slots[index as usize].take().expect("an entry is removed once")
    }
}
