//! What became of the records: a log of fixed size per sender, written by the I/O thread.

use crate::error::DeliveryError;
use crate::sync::{Condvar, Mutex, lock, wait, wait_until};
use crate::{Delivery, Receipt};
use forebay_engine::mutant;
use forebay_io::core::{Delivered, DeliveryFailure, FailureKind, Report};
use forebay_io::topics::TopicId;
use forebay_io::wakers::wake_all;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// Stretches that a log keeps. Few under loom, so that a model can see one forgotten.
const KEPT: usize = if cfg!(loom) { 2 } else { 1024 };
/// Stretches with failures that a lane keeps after they have left the log.
const KEPT_FAILURES: usize = 8;
/// "No stretch."
const NONE: u64 = u64::MAX;

/// The outcomes of one sender's records.
pub(crate) struct SenderLog {
    pub(crate) id: u32,
    state: Mutex<State>,
    changed: Condvar,
    failures: Failures,
}

struct State {
    lanes: Vec<LaneLog>,
    ring: Vec<Stretch>,
    /// Stretches ever written; stretch `n` is at `n % KEPT` while `n + KEPT >= written`.
    written: u64,
    /// Threads in `wait`.
    waiting: usize,
    /// Futures that have waited so far.
    futures: u64,
    /// Nothing more will come: what has no outcome by now gets this.
    ended: Option<DeliveryFailure>,
}

/// What is known of one lane's records.
struct LaneLog {
    tag: u64,
    topic: Arc<str>,
    /// Records before this one have an outcome.
    resolved: u64,
    /// The newest stretch of this lane.
    newest: u64,
    /// Futures that wait, by record and number: those of the first records have their outcome first.
    waiting: BTreeMap<(u64, u64), Waker>,
    /// First and last record of stretches with failures that are no longer in the ring; exact, or merged.
    forgotten: Vec<(u64, u64)>,
}

/// Consecutive records of one lane with one outcome.
struct Stretch {
    slot: u32,
    first: u64,
    count: u64,
    base_offset: i64,
    log_append_time: i64,
    failure: Option<DeliveryFailure>,
    /// The stretch of the same lane before this one.
    previous: u64,
}

/// Failures not yet reported by a flush: how many, and why the first one.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Option<(u64, DeliveryFailure)>>);

impl Failures {
    pub(crate) fn add(&self, count: u64, why: &DeliveryFailure) {
        lock(&self.0).get_or_insert_with(|| (0, why.clone())).0 += count;
    }

    /// Takes what has gathered since the last call.
    pub(crate) fn take(&self) -> Option<(u64, DeliveryFailure)> {
        if mutant!("failures_are_taken_by_two") {
            let found = lock(&self.0).clone();
            *lock(&self.0) = None;
            return found;
        }
        lock(&self.0).take()
    }
}

impl SenderLog {
    pub(crate) fn new(id: u32) -> Self {
        SenderLog {
            id,
            state: Mutex::new(State {
                lanes: Vec::new(),
                ring: Vec::with_capacity(KEPT),
                written: 0,
                waiting: 0,
                futures: 0,
                ended: None,
            }),
            changed: Condvar::new(),
            failures: Failures::default(),
        }
    }

    /// A new lane of this sender; answers its slot.
    pub(crate) fn add_lane(&self, tag: u64, topic: Arc<str>) -> u32 {
        let mut state = lock(&self.state);
        state.lanes.push(LaneLog {
            tag,
            topic,
            resolved: 0,
            newest: NONE,
            waiting: BTreeMap::new(),
            forgotten: Vec::new(),
        });
        state.lanes.len() as u32 - 1
    }

    /// Failures of this sender since the last call.
    pub(crate) fn take_failures(&self) -> Option<(u64, DeliveryFailure)> {
        self.failures.take()
    }

    /// The I/O thread's word on a stretch of records. Reports of a lane come in order and cover each record once.
    pub(crate) fn record(&self, slot: u32, report: &Report) {
        if let Err(why) = &report.result {
            self.failures.add(u64::from(report.count), why);
        }
        let mut guard = lock(&self.state);
        if mutant!("an_outcome_is_known_before_it_is_there") {
            guard.lanes[slot as usize].resolved = report.first_ordinal + u64::from(report.count);
            drop(guard);
            guard = lock(&self.state);
        }
        let state = &mut *guard;
        state.push(slot, report);
        let mut decided = Vec::new();
        let lane = &mut state.lanes[slot as usize];
        while let Some(first) = lane.waiting.first_entry()
            && first.key().0 < lane.resolved
            && !mutant!("an_outcome_wakes_no_future")
        {
            decided.push(first.remove());
        }
        if state.waiting > 0 && !mutant!("an_outcome_wakes_nobody") {
            self.changed.notify_all();
        }
        if mutant!("wakers_are_called_under_the_lock") {
            decided.drain(..).for_each(Waker::wake);
        }
        drop(guard);
        // A waker is the application's code, and may poll or drop futures of this log at once.
        if let Err(panic) = wake_all(decided) {
            resume_unwind(panic);
        }
    }

    /// No report comes any more: the I/O thread has ended. Records without outcome get `why`. Answers who is to be woken.
    #[must_use]
    pub(crate) fn end(&self, why: DeliveryFailure) -> Vec<Waker> {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(why);
        if !mutant!("the_end_wakes_no_receipt") {
            self.changed.notify_all();
        }
        if mutant!("the_end_wakes_no_future") {
            return Vec::new();
        }
        state.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.waiting).into_values()).collect()
    }

    /// The outcome of a receipt, if there is one.
    pub(crate) fn look(&self, receipt: &Receipt) -> Result<Delivery, DeliveryError> {
        lock(&self.state).look(receipt)
    }

    /// Waits for an outcome until `deadline`.
    pub(crate) fn wait(&self, receipt: &Receipt, deadline: Option<Instant>) -> Result<Delivery, DeliveryError> {
        let mut state = lock(&self.state);
        loop {
            let outcome = state.look(receipt);
            if outcome != Err(DeliveryError::Pending) {
                return outcome;
            }
            if mutant!("a_receipt_waits_after_a_moment") {
                drop(state);
                state = lock(&self.state);
            }
            state.waiting += 1;
            let over;
            (state, over) = match deadline {
                None => (wait(&self.changed, state), false),
                Some(deadline) => wait_until(&self.changed, &self.state, state, deadline),
            };
            state.waiting -= 1;
            if over || (deadline.is_some() && mutant!("a_receipt_gives_up_before_it_looks")) {
                return outcome; // looked at under this lock
            }
        }
    }

    /// The outcome, or `waker` is woken once there is one. `id` is the future's number among those who wait, if it has one
    /// already, and is set if it gets one.
    pub(crate) fn poll(
        &self,
        receipt: &Receipt,
        id: &mut Option<u64>,
        waker: &Waker,
    ) -> Result<Delivery, DeliveryError> {
        // Wakers are cloned and dropped without the lock: both are the application's code.
        let mut waker = waker.clone();
        let mut guard = lock(&self.state);
        let outcome = guard.look(receipt);
        if mutant!("a_future_registers_after_a_moment") {
            drop(guard);
            guard = lock(&self.state);
        }
        let state = &mut *guard;
        if outcome == Err(DeliveryError::Pending)
            && let Some(lane) = state.lanes.get_mut(receipt.lane as usize)
        {
            if let Some(old) = id.and_then(|id| lane.waiting.get_mut(&(receipt.ordinal, id))) {
                if !mutant!("a_future_keeps_its_first_waker") {
                    std::mem::swap(old, &mut waker);
                }
                if mutant!("an_old_waker_ends_under_the_lock") {
                    drop(waker);
                    return outcome;
                }
            } else {
                lane.waiting.insert((receipt.ordinal, state.futures), waker);
                *id = Some(state.futures);
                state.futures += 1;
            }
        }
        drop(guard);
        outcome
    }

    /// A future that waited for this record was dropped.
    pub(crate) fn forget_waker(&self, receipt: &Receipt, id: u64) {
        if mutant!("a_dropped_future_is_still_woken") {
            return;
        }
        let mut state = lock(&self.state);
        let lane = state.lanes.get_mut(receipt.lane as usize);
        let forgotten = lane.and_then(|lane| lane.waiting.remove(&(receipt.ordinal, id)));
        drop(state);
        drop(forgotten);
    }
}

impl State {
    fn push(&mut self, slot: u32, report: &Report) {
        let count = u64::from(report.count);
        let (base_offset, log_append_time, failure) = match &report.result {
            Ok(Delivered { base_offset, log_append_time }) => (*base_offset, *log_append_time, None),
            Err(why) => (-1, -1, Some(why.clone())),
        };
        let newest = self.lanes[slot as usize].newest;
        self.lanes[slot as usize].resolved = report.first_ordinal + count;
        // Successes with consecutive offsets make one stretch, however many batches they were.
        if failure.is_none()
            && self.is_kept(newest)
            && let last = &mut self.ring[(newest % KEPT as u64) as usize]
            && last.failure.is_none()
            && last.first + last.count == report.first_ordinal
            && last.log_append_time == log_append_time
            && follows(last.base_offset, last.count, base_offset)
        {
            last.count += count;
            return;
        }
        let stretch = Stretch {
            slot,
            first: report.first_ordinal,
            count,
            base_offset,
            log_append_time,
            failure,
            previous: newest,
        };
        self.lanes[slot as usize].newest = self.written;
        let at = (self.written % KEPT as u64) as usize;
        self.written += 1;
        if at == self.ring.len() {
            self.ring.push(stretch);
            return;
        }
        let old = std::mem::replace(&mut self.ring[at], stretch);
        if old.failure.is_some() {
            self.lanes[old.slot as usize].remember_failure(old.first, old.first + old.count - 1);
        }
    }

    fn is_kept(&self, stretch: u64) -> bool {
        stretch != NONE && stretch + KEPT as u64 >= self.written
    }

    fn look(&self, receipt: &Receipt) -> Result<Delivery, DeliveryError> {
        let Some(lane) = self.lanes.get(receipt.lane as usize) else { return Err(DeliveryError::Foreign) };
        if receipt.ordinal >= lane.resolved {
            return Err(self.ended.clone().map_or(DeliveryError::Pending, DeliveryError::Failed));
        }
        let mut next = lane.newest;
        while self.is_kept(next) {
            let stretch = &self.ring[(next % KEPT as u64) as usize];
            if stretch.first <= receipt.ordinal {
                return match &stretch.failure {
                    Some(why) => Err(DeliveryError::Failed(why.clone())),
                    None => Ok(lane.delivery(receipt, Some(stretch))),
                };
            }
            next = stretch.previous;
        }
        let failed = lane.forgotten.iter().any(|(first, last)| (*first..=*last).contains(&receipt.ordinal));
        if failed { Err(DeliveryError::Forgotten) } else { Ok(lane.delivery(receipt, None)) }
    }
}

impl LaneLog {
    fn delivery(&self, receipt: &Receipt, stretch: Option<&Stretch>) -> Delivery {
        let offset = stretch
            .filter(|stretch| stretch.base_offset >= 0)
            .map(|stretch| stretch.base_offset.saturating_add_unsigned(receipt.ordinal - stretch.first));
        let timestamp =
            stretch.map(|stretch| stretch.log_append_time).filter(|time| *time >= 0).unwrap_or(receipt.timestamp);
        Delivery { topic: self.topic.clone(), partition: TopicId::of_tag(self.tag).1, offset, timestamp }
    }

    /// Keeps the newest failed stretches apart and merges the two oldest when there are too many: what lies between them
    /// then counts as failed too, never the other way round.
    fn remember_failure(&mut self, first: u64, last: u64) {
        match self.forgotten.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => self.forgotten.push((first, last)),
        }
        if self.forgotten.len() > KEPT_FAILURES {
            let oldest = self.forgotten.remove(0);
            self.forgotten[0].0 = oldest.0;
        }
    }
}

/// Whether offset `next` continues a stretch of `count` records at `base`. Unknown offsets continue unknown ones.
fn follows(base: i64, count: u64, next: i64) -> bool {
    if base < 0 { next < 0 } else { base.saturating_add_unsigned(count) == next }
}

/// What a record without outcome gets when the I/O thread has ended.
pub(crate) fn ended(kind: FailureKind) -> DeliveryFailure {
    DeliveryFailure { kind, possibly_appended: true }
}
