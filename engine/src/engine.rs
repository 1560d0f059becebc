//! What both sides share, and the application side's handles.

use crate::doorbell::Doorbell;
use crate::free_ring::{AT_ONCE, FreeRing, Want};
use crate::lane::{Lane, PaceLimits};
use crate::lane_shared::LaneShared;
use crate::mailbox::{Inbox, Look, Mailbox};
use crate::ready::ReadyList;
use crate::returns::Returns;
use crate::segments::{Chain, NIL, SegmentTable, Taken};
use crate::slab::Slab;
use crate::sync::{Arc, AtomicU32, Mutex, Parker, Unparker, lock, park, parker};
use crate::{ClaimError, EngineConfig, Ring, SlabError};
use crossbeam_utils::CachePadded;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

/// The state that producer ends and the I/O side share.
pub(crate) struct Shared {
    pub(crate) slab: Slab,
    pub(crate) table: SegmentTable,
    /// Segments recycled lately: taken first, so that the working set stays small.
    pub(crate) hot: FreeRing,
    /// The rest of the slab.
    pub(crate) reserve: FreeRing,
    pub(crate) ready: ReadyList,
    pub(crate) returns: Returns,
    pub(crate) inbox: Inbox,
    pub(crate) doorbell: Doorbell,
    pub(crate) lanes: Mutex<Registry>,
    due_bytes: u64,
    pub(crate) pace: PaceLimits,
    total: usize,
    /// Segments that the I/O side gives out together. Advice only, as is `kept`: relaxed.
    block: AtomicU32,
    /// Free segments that the I/O side keeps until their neighbours are free.
    kept: CachePadded<AtomicU32>,
}

/// All lanes, by number.
pub(crate) struct Registry {
    pub(crate) lanes: Vec<Option<Arc<LaneShared>>>,
    pub(crate) vacant: Vec<u32>,
    pub(crate) closed: bool,
}

impl Shared {
    pub(crate) fn new(config: &EngineConfig, bell: std::sync::Arc<dyn Ring>) -> Result<Shared, SlabError> {
        if !config.segment_size.is_power_of_two() || config.segment_size > 1 << 30 {
            return Err(SlabError::SegmentSize { segment_size: config.segment_size });
        }
        let total = config.memory / config.segment_size;
        if total == 0 {
            return Err(SlabError::Empty);
        }
        if total >= u32::MAX as usize {
            return Err(SlabError::TooManySegments { segments: total });
        }
        let slab = Slab::map(total, config.segment_size.trailing_zeros())?;
        let shared = Shared {
            slab,
            table: SegmentTable::new(total),
            hot: FreeRing::new(total),
            reserve: FreeRing::new(total),
            ready: ReadyList::new(),
            returns: Returns::new(),
            inbox: Inbox::new(),
            doorbell: Doorbell::new(bell),
            lanes: Mutex::new(Registry { lanes: Vec::new(), vacant: Vec::new(), closed: false }),
            due_bytes: u64::from(config.due_bytes),
            pace: PaceLimits::new(
                (config.ahead_bytes >> config.segment_size.trailing_zeros()).min(AT_ONCE as u32),
                total,
            ),
            total,
            block: AtomicU32::new(1),
            kept: CachePadded::new(AtomicU32::new(0)),
        };
        let all: Vec<u32> = (0..total as u32).collect();
        shared.reserve.put(&all);
        Ok(shared)
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// How many segments the I/O side gives out together, where it can.
    pub(crate) fn block(&self) -> u32 {
        self.block.load(Relaxed)
    }

    /// Only the I/O side calls this.
    pub(crate) fn set_block(&self, block: u32) {
        self.block.store(block, Relaxed);
    }

    /// Free segments beside the rings, for whoever asks: see [`crate::blocks`].
    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Relaxed) as usize
    }

    /// Only the I/O side calls this.
    pub(crate) fn set_kept(&self, kept: usize) {
        self.kept.store(kept as u32, Relaxed);
    }

    /// Segments that a claim of `len` bytes takes at most.
    pub(crate) fn segments_for(&self, len: usize) -> u32 {
        len.div_ceil(self.slab.view().segment_size() as usize).min(u32::MAX as usize) as u32
    }

    pub(crate) fn largest_claim(&self) -> usize {
        self.total * self.slab.view().segment_size() as usize
    }

    /// `wanted` segments, from the grant or from what is free; of that up to `at_once`, if more follow in memory. `most` is what a waiter
    /// should ask for. Their notes are written for a lane whose records belong to `window`.
    pub(crate) fn supply(
        &self,
        wanted: u32,
        at_once: u32,
        most: u32,
        grant: Option<Grant>,
        window: i64,
    ) -> Result<Taken, ClaimError> {
        // Every segment is written to its end, unless the lane leaves it early.
        let end = self.slab.view().segment_size();
        if let Some(grant) = grant {
            return grant.take(wanted, window, end).ok_or(ClaimError::Full { segments: most });
        }
        if wanted == 0 {
            return Ok(Taken::NOTHING);
        }
        // No newcomer takes memory while an older sender waits for it.
        if self.inbox.waiting() > 0 && !mutant!("newcomer_overtakes") {
            return Err(ClaimError::Full { segments: most });
        }
        let want = Want { count: wanted, most: at_once, blocks: self.block() > 1 };
        self.hot
            .take(want, &self.table, window, end, |part| self.return_part(part))
            .or_else(|| self.reserve.take(want, &self.table, window, end, |part| self.return_part(part)))
            .ok_or_else(|| {
                // Whoever waits rings anyway; whoever only tries finds them the next time.
                if self.kept() > 0 {
                    self.doorbell.memory_wanted();
                }
                ClaimError::Full { segments: most }
            })
    }

    /// Segments that were ever taken from the free rings; a snapshot.
    pub(crate) fn taken(&self) -> u64 {
        self.hot.taken() + self.reserve.taken()
    }

    /// The part of a chain that was taken before a ring ran dry.
    fn return_part(&self, chain: Chain) {
        if chain.count > 0 && !mutant!("a_part_of_a_chain_leaks") {
            self.give_back(chain);
        }
    }

    /// Segments that were taken and not used.
    pub(crate) fn give_back(&self, chain: Chain) {
        if mutant!("abort_leaks") {
            return;
        }
        self.returns.put(chain, &self.table);
        if !mutant!("a_return_is_silent") {
            self.doorbell.memory_wanted();
        }
    }

    /// A lane looks after so many bytes whether it is due.
    pub(crate) fn due(&self) -> u32 {
        self.due_bytes.max(self.slab.view().segment_size().into()).min(1 << 30) as u32
    }

    /// A lane holds `bytes` untaken bytes: enough for a batch?
    #[inline]
    pub(crate) fn look_at_due(&self, bytes: u64) {
        if bytes >= self.due_bytes {
            self.doorbell.lane_due();
        }
    }
}

/// Segments that a sender waited for, for a lane of the same engine. Dropped, they go back.
#[must_use = "a grant that is not used goes back"]
pub struct Grant {
    chain: Chain,
    engine: Arc<Shared>,
}

impl Grant {
    /// Whether its segments are of this engine's slab.
    pub(crate) fn is_of(&self, engine: &Shared) -> bool {
        std::ptr::eq(&raw const *self.engine, engine)
    }

    /// The first `count` segments, begun; the rest goes back. None if there are fewer.
    fn take(mut self, count: u32, window: i64, end: u32) -> Option<Taken> {
        let chain = self.chain;
        if chain.count < count {
            return None; // drop gives all of it back
        }
        if count == 0 {
            return Some(Taken::NOTHING);
        }
        let (mut last, mut next) = (NIL, chain.first);
        for _ in 0..count {
            last = next;
            next = self.engine.table.next(last);
            self.engine.table.begin(last, next, window, end);
        }
        self.chain = Chain { first: next, count: chain.count - count };
        Some(Taken { chain: Chain { first: chain.first, count }, last })
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.chain.count > 0 && !mutant!("an_unused_grant_leaks") {
            self.engine.give_back(self.chain);
        }
    }
}

/// The application side of an engine: makes a [`ProducerEnd`] for each sending thread.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Engine { shared }
    }

    /// A new producer end, with a mailbox of its own.
    pub fn producer_end(&self) -> ProducerEnd {
        let (parker, waker) = parker();
        ProducerEnd { mailbox: Arc::new(Mailbox::new(waker.clone())), parker, waker, shared: self.shared.clone() }
    }

    /// Wakes the I/O thread whatever it is doing.
    pub fn nudge(&self) {
        self.shared.doorbell.always();
    }

    /// Free bytes; a snapshot that may be stale. Until sixteen slabs were used since a sender last waited for memory, the I/O
    /// side may keep up to an eighth of one: a claim that finds no others is refused with [`ClaimError::Full`] and calls for them.
    pub fn available_bytes(&self) -> usize {
        let Shared { hot, reserve, .. } = &*self.shared;
        (hot.len() + reserve.len() + self.shared.kept()) * self.shared.slab.view().segment_size() as usize
    }

    /// Keeps the slab in RAM (`mlock`): no access to it ever waits for a page that was swapped out.
    ///
    /// # Errors
    /// [`SlabError::NotLocked`]: the limit on locked memory is too low, or the system has no such thing.
    pub fn lock_memory(&self) -> Result<(), SlabError> {
        self.shared.slab.lock()
    }

    /// All bytes of the slab.
    pub fn total_bytes(&self) -> usize {
        self.shared.largest_claim()
    }

    /// Senders that wait for memory now.
    pub fn waiting_senders(&self) -> usize {
        self.shared.inbox.waiting() as usize
    }

    /// The size of a segment in bytes: the granularity of the slab.
    pub fn segment_size(&self) -> usize {
        self.shared.slab.view().segment_size() as usize
    }
}

/// One sender's side, a thread's or a task's: makes its lanes, and waits for memory on its behalf.
pub struct ProducerEnd {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    parker: Parker,
    waker: Unparker,
}

impl ProducerEnd {
    /// A new lane. `tag` is opaque; the I/O side sees it.
    ///
    /// # Errors
    /// [`ClaimError::Closed`].
    pub fn lane(&self, tag: u64) -> Result<Lane, ClaimError> {
        let mut registry = lock(&self.shared.lanes);
        if registry.closed && !mutant!("a_closed_engine_makes_lanes") {
            return Err(ClaimError::Closed);
        }
        let index = if let Some(index) = registry.vacant.pop() {
            index
        } else {
            registry.lanes.push(None);
            registry.lanes.len() as u32 - 1
        };
        let lane = Arc::new(LaneShared::new(index, tag));
        registry.lanes[index as usize] = Some(lane.clone());
        Ok(Lane::new(lane, self.shared.clone()))
    }

    /// Queues for `segments` segments ([`ClaimError::Full`] says how many). Follow with [`ProducerEnd::poll_wait`] (a task:
    /// [`ProducerEnd::poll_wait_with`]) until it answers, or [`ProducerEnd::cancel_wait`].
    ///
    /// # Errors
    /// [`ClaimError::Closed`]; [`ClaimError::NeverFits`] if the slab has fewer.
    pub fn begin_wait(&mut self, segments: u32) -> Result<(), ClaimError> {
        if segments as usize > self.shared.total() {
            return Err(ClaimError::NeverFits { limit: self.shared.largest_claim() });
        }
        if !self.shared.inbox.enter(&self.mailbox, segments) {
            return Err(ClaimError::Closed);
        }
        if !mutant!("a_wait_is_silent") {
            self.shared.doorbell.memory_wanted();
        }
        Ok(())
    }

    /// Looks for the grant. `None`: still waiting.
    ///
    /// # Errors
    /// [`ClaimError::Closed`]: the wait is over without a grant.
    pub fn poll_wait(&mut self) -> Result<Option<Grant>, ClaimError> {
        match self.mailbox.look() {
            Look::Waiting => Ok(None),
            Look::Granted(chain) => Ok(Some(Grant { chain, engine: self.shared.clone() })),
            Look::Closed => Err(ClaimError::Closed),
        }
    }

    /// As [`ProducerEnd::poll_wait`], for a task: while it is pending, `context`'s waker is called when that changes. The last one counts.
    ///
    /// The waker is called by the I/O side. If it panics, that ends there.
    ///
    /// # Errors
    /// [`ClaimError::Closed`]: the wait is over without a grant.
    pub fn poll_wait_with(&mut self, context: &mut Context<'_>) -> Poll<Result<Grant, ClaimError>> {
        if let Some(decided) = self.poll_wait().transpose() {
            return Poll::Ready(decided);
        }
        self.mailbox.call(context.waker());
        if mutant!("a_task_does_not_look_again") {
            return Poll::Pending;
        }
        // Decided between the look and the call: nobody was there to be told.
        let Some(decided) = self.poll_wait().transpose() else { return Poll::Pending };
        if !mutant!("a_served_task_is_kept") {
            self.mailbox.forget();
        }
        Poll::Ready(decided)
    }

    /// The deadline of a wait. A grant that came first is returned and counts.
    pub fn cancel_wait(&mut self) -> Option<Grant> {
        if self.mailbox.cancel() {
            if !mutant!("who_gave_up_still_counts") {
                self.shared.inbox.leave();
            }
            // The old mailbox stays in the I/O side's queue until it is met there; the next wait begins at the end.
            if !mutant!("a_task_that_gives_up_is_kept") {
                self.mailbox.forget();
            }
            self.mailbox = Arc::new(Mailbox::new(self.waker.clone()));
            // Whoever waits behind us must not wait for us: the next in line may fit now.
            if !mutant!("who_gives_up_is_silent") {
                self.shared.doorbell.memory_wanted();
            }
            return None;
        }
        self.poll_wait().ok().flatten()
    }

    /// Sleeps until the mailbox may have changed, or for `timeout`. May wake early.
    pub fn park(&self, timeout: Option<Duration>) {
        park(&self.parker, timeout);
    }
}

impl Drop for ProducerEnd {
    fn drop(&mut self) {
        // Also without a wait, or after it: a grant that came and was not looked at goes back.
        if !mutant!("a_dropped_sender_keeps_its_grant") || self.mailbox.is_waiting() {
            drop(self.cancel_wait());
        }
    }
}
