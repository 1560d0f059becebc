//! Where the I/O threads' news arrives: outcomes go to their sender's log and the delivery callback, flushes to who waits.

use crate::Receipt;
use crate::numbers::SENDERS;
use crate::outcomes::{Failures, SenderLog, ended};
use crate::sync::{Condvar, Mutex, lock, wait, wait_until};
use forebay_engine::{LaneId, mutant};
use forebay_io::core::{Delivered, DeliveryFailure, FailureKind, Flushed, Report};
use forebay_io::topics::{TopicId, TopicTable};
use forebay_io::wakers::wake_all;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Logs of senders that are gone and whose receipts can still be asked about.
const GONE_SENDERS: usize = 64;

/// What became of consecutive records of one sender to one partition. Passed to the delivery callback.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeliveryReport<'a> {
    /// The sender's number ([`Sender::id`](crate::Sender::id)).
    pub sender: u32,
    /// The topic's name.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The first record, as [`Receipt::ordinal`] counts them.
    pub first_ordinal: u64,
    /// How many records.
    pub count: u32,
    /// Offset of the first (the others follow; −1 if unknown), or why all of them failed.
    pub result: Result<Delivered, &'a DeliveryFailure>,
    /// Which of the sender's lanes, as [`Receipt::lane`] counts them.
    pub lane: u32,
}

impl DeliveryReport<'_> {
    /// The place of a receipt's record among those of this report, if it is one of them.
    pub fn position_of(&self, receipt: &Receipt) -> Option<u32> {
        let same = receipt.sender == self.sender && receipt.lane == self.lane;
        let place = receipt.ordinal.checked_sub(self.first_ordinal)?;
        (same && place < u64::from(self.count)).then_some(place as u32)
    }
}

/// A delivery callback, called on an I/O thread.
pub(crate) type Callback = Box<dyn FnMut(&DeliveryReport<'_>) + Send>;

/// Whose a lane is, and which of that sender's lanes.
type Owner = (Arc<SenderLog>, u32);

/// Shared between the handles and the I/O threads.
pub(crate) struct Hub {
    owners: Mutex<Owners>,
    /// By I/O thread and lane number.
    lanes: Box<[Mutex<Vec<Option<Owner>>>]>,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
    failures: Failures,
    acked: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct Owners {
    senders: HashMap<u32, Arc<SenderLog>>,
    gone: VecDeque<u32>,
    /// I/O threads that have ended.
    threads_ended: usize,
    /// One of them by a failure.
    poisoned: bool,
    /// All of them have ended, and this is what that means for records without outcome.
    ended: Option<DeliveryFailure>,
}

#[derive(Default)]
struct Flushes {
    next: u64,
    /// How many I/O threads are not through with it. Those that all are through with were not picked up yet.
    open: HashMap<u64, usize>,
    ended: bool,
}

/// How a wait for a flush ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FlushEnd {
    Done,
    TimedOut,
    Closed,
}

impl Hub {
    /// Of a producer with so many I/O threads.
    pub(crate) fn new(threads: usize) -> Self {
        Hub {
            owners: Mutex::default(),
            lanes: (0..threads).map(|_| Mutex::default()).collect(),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
            failures: Failures::default(),
            acked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// A log for a new sender.
    pub(crate) fn new_sender(&self) -> Arc<SenderLog> {
        let id = SENDERS.next();
        let mut owners = lock(&self.owners);
        let log = Arc::new(SenderLog::new(id));
        if let Some(why) = &owners.ended
            && !mutant!("a_late_sender_is_not_told_of_the_end")
        {
            let _nobody = log.end(why.clone());
        }
        owners.senders.insert(id, log.clone());
        log
    }

    /// The sender's handle is gone. Its log stays for a while, for receipts that are still about.
    pub(crate) fn sender_gone(&self, id: u32) {
        let mut owners = lock(&self.owners);
        owners.gone.push_back(id);
        if owners.gone.len() > GONE_SENDERS
            && let Some(oldest) = owners.gone.pop_front()
        {
            owners.senders.remove(&oldest);
        }
    }

    /// A sender has a new lane to an I/O thread; must be called before anything is published in it.
    pub(crate) fn own(&self, thread: usize, lane: LaneId, log: &Arc<SenderLog>, tag: u64, topic: Arc<str>) -> u32 {
        let slot = log.add_lane(tag, topic);
        let mut lanes = lock(&self.lanes[thread]);
        if lanes.len() <= lane.index() {
            lanes.resize_with(lane.index() + 1, || None);
        }
        lanes[lane.index()] = Some((log.clone(), slot));
        slot
    }

    pub(crate) fn log(&self, sender: u32) -> Option<Arc<SenderLog>> {
        lock(&self.owners).senders.get(&sender).cloned()
    }

    /// Failures since the last call.
    pub(crate) fn take_failures(&self) -> Option<(u64, DeliveryFailure)> {
        self.failures.take()
    }

    /// Records with an outcome so far: delivered, failed.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.acked.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Outcomes, on an I/O thread.
    pub(crate) fn reports(
        &self,
        thread: usize,
        reports: &[Report],
        topics: &TopicTable,
        callback: Option<&mut Callback>,
    ) {
        let mut callback = callback;
        for report in reports {
            let owner = lock(&self.lanes[thread]).get(report.lane.index()).cloned().flatten();
            let Some((log, slot)) = owner else {
                debug_assert!(false, "a lane has an owner before it has records");
                continue;
            };
            let count = u64::from(report.count);
            match &report.result {
                Ok(_) => self.acked.fetch_add(count, Ordering::Relaxed),
                Err(why) => {
                    self.failures.add(count, why);
                    self.failed.fetch_add(count, Ordering::Relaxed)
                }
            };
            log.record(slot, report);
            if let Some(callback) = callback.as_deref_mut() {
                let (topic, partition) = TopicId::of_tag(report.lane_tag);
                let entry = topics.entry(topic);
                callback(&DeliveryReport {
                    sender: log.id,
                    topic: entry.as_ref().map_or("", |entry| entry.name()),
                    partition,
                    first_ordinal: report.first_ordinal,
                    count: report.count,
                    result: report.result.as_ref().copied(),
                    lane: slot,
                });
            }
        }
    }

    /// A token for a new flush.
    pub(crate) fn begin_flush(&self) -> u64 {
        let mut flushes = lock(&self.flushes);
        flushes.next += 1;
        let token = flushes.next;
        flushes.open.insert(token, self.lanes.len());
        token
    }

    /// Nobody waits for this one.
    pub(crate) fn abandon_flush(&self, token: u64) {
        lock(&self.flushes).open.remove(&token);
    }

    /// An I/O thread is through with a flush, and says so.
    pub(crate) fn flushed(&self, flushed: Flushed) {
        let mut flushes = lock(&self.flushes);
        // Nobody waits any more if the entry is gone.
        if mutant!("a_late_word_is_remembered") {
            flushes.open.entry(flushed.token).or_default();
        }
        if let Some(left) = flushes.open.get_mut(&flushed.token) {
            *left = if mutant!("a_flush_waits_for_one_thread") { 0 } else { left.saturating_sub(1) };
            if *left == 0 && !mutant!("a_flush_wakes_nobody") {
                self.flushed.notify_all();
            }
        }
    }

    pub(crate) fn wait_flush(&self, token: u64, deadline: Option<Instant>) -> FlushEnd {
        let mut flushes = lock(&self.flushes);
        let mut over = false;
        let end = loop {
            if flushes.open.get(&token) == Some(&0) {
                break FlushEnd::Done;
            }
            if flushes.ended {
                break FlushEnd::Closed;
            }
            if over {
                break FlushEnd::TimedOut;
            }
            if mutant!("a_flush_waits_after_a_moment") {
                drop(flushes);
                flushes = lock(&self.flushes);
            }
            (flushes, over) = match deadline {
                None => (wait(&self.flushed, flushes), false),
                Some(deadline) => wait_until(&self.flushed, &self.flushes, flushes, deadline),
            };
            if deadline.is_some() && mutant!("a_flush_gives_up_before_it_looks") {
                break FlushEnd::TimedOut;
            }
        };
        flushes.open.remove(&token);
        end
    }

    /// Flushes that somebody waits for, or did not pick up yet.
    #[cfg(loom)]
    pub(crate) fn open_flushes(&self) -> usize {
        lock(&self.flushes).open.len()
    }

    /// An I/O thread has ended, by a failure or not. With the last of them everyone who still waits is told so: until then
    /// the others may still have outcomes.
    pub(crate) fn end(&self, poisoned: bool) {
        let mut owners = lock(&self.owners);
        owners.threads_ended += 1;
        owners.poisoned |= poisoned;
        if owners.threads_ended < self.lanes.len() && !mutant!("the_first_thread_ends_everything") {
            return;
        }
        let why = ended(if owners.poisoned { FailureKind::Poisoned } else { FailureKind::Closed });
        owners.ended = Some(why.clone());
        let mut wakers: Vec<_> = owners.senders.values().flat_map(|log| log.end(why.clone())).collect();
        // Of a sender that is gone for long the log is with its lanes only, until their numbers are another sender's.
        for lanes in &self.lanes {
            wakers.extend(lock(lanes).iter().flatten().flat_map(|(log, _)| log.end(why.clone())));
        }
        if !mutant!("futures_are_ended_under_the_lock") {
            drop(owners);
        }
        lock(&self.flushes).ended = true;
        if !mutant!("the_end_wakes_no_flush") {
            self.flushed.notify_all();
        }
        // Nothing is left that a panic in one of them could end.
        let _ = wake_all(wakers);
    }
}
