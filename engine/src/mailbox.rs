//! Waiting for memory: a mailbox per waiting sender, served first in, first out.
//!
//! `WAITING → GRANTED` (by the I/O side, with the segments) or `→ CANCELLED` (by the waiter's deadline) or
//! `→ CLOSED`, by compare-exchange, so that a grant and a timeout can race and exactly one wins.

use crate::order::{GRANT, GRANT_SEE};
use crate::segments::{Chain, NIL};
use crate::sync::{Arc, AtomicU32, Mutex, Unparker, lock};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

/// So many waiters that gave up, and as many as wait, may stand in line.
pub(crate) const GIVEN_UP: usize = 64;

pub(crate) const IDLE: u32 = 0;
pub(crate) const WAITING: u32 = 1;
pub(crate) const GRANTED: u32 = 2;
pub(crate) const CANCELLED: u32 = 3;
pub(crate) const CLOSED: u32 = 4;

/// One sender's place in the queue for memory.
pub(crate) struct Mailbox {
    state: AtomicU32,
    /// Segments wanted; written before the mailbox is queued.
    need: AtomicU32,
    /// First segment of the grant; written before GRANTED.
    first: AtomicU32,
    /// A thread that waits.
    thread: Unparker,
    /// A task that waits: set by the waiter, taken by who decides.
    task: Mutex<Option<Waker>>,
}

impl Mailbox {
    pub(crate) fn new(thread: Unparker) -> Self {
        let task = Mutex::new(None);
        Mailbox { state: AtomicU32::new(IDLE), need: AtomicU32::new(0), first: AtomicU32::new(NIL), thread, task }
    }

    /// The waiter is a task, and is to be called when it is decided. What was decided before this is not told: look again afterwards.
    pub(crate) fn call(&self, task: &Waker) {
        // Cloned, and the one before it dropped, without the lock: both are the application's code.
        let task = task.clone();
        let before = lock(&self.task).replace(task);
        drop(before);
    }

    /// Calls nobody any more.
    pub(crate) fn forget(&self) {
        let task = lock(&self.task).take();
        drop(task); // without the lock
    }

    /// It is decided: tells whoever waits.
    #[cold]
    #[inline(never)]
    fn tell(&self) {
        self.thread.unpark();
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // The application's code, on the I/O side: its panic is not ours. What it missed it finds when it looks.
            let _ = catch_unwind(AssertUnwindSafe(|| task.wake()));
        }
    }

    /// The waiter, before it queues.
    pub(crate) fn begin(&self, need: u32) {
        self.need.store(need, Relaxed);
        self.state.store(WAITING, Relaxed); // travels with the queue's lock
    }

    pub(crate) fn need(&self) -> u32 {
        self.need.load(Relaxed)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.state.load(Relaxed) == WAITING
    }

    /// The I/O side offers exactly `need` segments. False: the waiter gave up first, and the segments stay with the caller.
    pub(crate) fn grant(&self, chain: Chain) -> bool {
        self.first.store(chain.first, Relaxed);
        let won = if mutant!("grant_ignores_cancel") {
            self.state.swap(GRANTED, GRANT);
            true
        } else {
            self.state.compare_exchange(WAITING, GRANTED, GRANT, Relaxed).is_ok() // P4
        };
        if won && !mutant!("a_grant_wakes_nobody") {
            self.tell();
        }
        won
    }

    /// The I/O side ends the wait without a grant.
    pub(crate) fn close(&self) -> bool {
        let won = if mutant!("closed_wait_without_exchange") {
            let waiting = self.is_waiting();
            self.state.store(CLOSED, Relaxed);
            waiting
        } else {
            self.state.compare_exchange(WAITING, CLOSED, Relaxed, Relaxed).is_ok()
        };
        if won && !mutant!("a_close_wakes_nobody") {
            self.tell();
        }
        won
    }

    /// The waiter looks. A grant is taken out: the mailbox is idle again.
    pub(crate) fn look(&self) -> Look {
        match self.state.load(GRANT_SEE) {
            GRANTED => {
                self.state.store(IDLE, Relaxed); // nobody else looks at a granted mailbox
                Look::Granted(Chain { first: self.first.load(Relaxed), count: self.need.load(Relaxed) })
            }
            CLOSED => Look::Closed,
            _ => Look::Waiting,
        }
    }

    /// The waiter's deadline. False: something was decided first; look.
    pub(crate) fn cancel(&self) -> bool {
        if mutant!("cancel_without_exchange") && self.is_waiting() {
            self.state.store(CANCELLED, Relaxed);
            return true;
        }
        self.state.compare_exchange(WAITING, CANCELLED, Relaxed, Relaxed).is_ok()
    }
}

/// What a waiter finds in its mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Waiting,
    Granted(Chain),
    Closed,
}

/// Where waiters queue before the I/O side picks them up.
pub(crate) struct Inbox {
    queue: Mutex<InboxState>,
    /// Mailboxes in state WAITING, here or at the I/O side. Not zero: nobody takes from the free rings.
    waiting: AtomicU32,
}

struct InboxState {
    new: VecDeque<Arc<Mailbox>>,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Inbox { queue: Mutex::new(InboxState { new: VecDeque::new(), closed: false }), waiting: AtomicU32::new(0) }
    }

    #[inline]
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Queues a mailbox whose wait has begun. False: closed.
    pub(crate) fn enter(&self, mailbox: &Arc<Mailbox>, need: u32) -> bool {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return false;
        }
        mailbox.begin(need);
        if mutant!("a_wait_begins_without_exchange") {
            self.waiting.store(self.waiting() + 1, Relaxed);
        } else {
            self.waiting.fetch_add(1, Relaxed);
        }
        self.thin_out(&mut queue.new); // with nobody waiting none is picked up
        queue.new.push_back(mailbox.clone());
        true
    }

    /// One wait has ended, whoever ended it.
    pub(crate) fn leave(&self) {
        if mutant!("waiting_without_exchange") {
            return self.waiting.store(self.waiting() - 1, Relaxed);
        }
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// The I/O side picks up those who came since.
    pub(crate) fn pick_up(&self, into: &mut VecDeque<Arc<Mailbox>>) {
        into.append(&mut lock(&self.queue).new);
    }

    /// Those that gave up are met late behind one who waits on, and may be many: a part of the line without them, if it is long.
    pub(crate) fn thin_out(&self, line: &mut VecDeque<Arc<Mailbox>>) {
        if line.len() > GIVEN_UP && line.len() > 2 * self.waiting() as usize + GIVEN_UP {
            line.retain(|waiter| waiter.is_waiting());
        }
    }

    pub(crate) fn close(&self) {
        lock(&self.queue).closed = true;
    }

    /// How many have not been picked up.
    #[cfg(all(test, not(loom), not(shuttle)))]
    pub(crate) fn not_picked_up(&self) -> usize {
        lock(&self.queue).new.len()
    }
}
