//! A sender per thread under the hood, for code that shares a producer without keeping a [`Sender`](crate::Sender).

use crate::error::{SendError, SendErrorKind};
use crate::lanes::Lanes;
use crate::producer::Inner;
use crate::sender::Patience;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::{Receipt, Record};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, TryLockError, Weak};

/// One thread's lanes of one producer, made with its first send. The thread holds it and locks it for each send; the producer
/// empties it when it closes.
type Slot = Arc<Mutex<Option<Lanes>>>;

thread_local! {
    /// This thread's slots, by producer.
    static MINE: RefCell<Vec<(u32, Slot)>> = const { RefCell::new(Vec::new()) };
}

/// What one producer knows of the slots that threads hold.
pub(crate) struct SharedSenders {
    /// The producer's number.
    id: u32,
    held: Mutex<Vec<Weak<Mutex<Option<Lanes>>>>>,
    closed: AtomicBool,
}

impl SharedSenders {
    /// Of the producer with this number.
    pub(crate) fn new(id: u32) -> Self {
        SharedSenders { id, held: Mutex::new(Vec::new()), closed: AtomicBool::new(false) }
    }

    #[inline]
    pub(crate) fn send<'a>(
        &self,
        inner: &Inner,
        record: Record<'a>,
        patience: Patience,
    ) -> Result<Receipt, SendError<'a>> {
        match self.with(inner, |lanes| lanes.send(inner, record, patience)) {
            Ok(sent) => sent,
            Err(kind) => Err(SendError { record, kind }),
        }
    }

    /// Does something with this thread's lanes.
    #[inline]
    pub(crate) fn with<T>(&self, inner: &Inner, work: impl FnOnce(&mut Lanes) -> T) -> Result<T, SendErrorKind> {
        let found =
            MINE.try_with(|mine| mine.borrow().iter().find(|(id, _)| *id == self.id).map(|(_, slot)| slot.clone()));
        let slot = match found {
            Ok(Some(slot)) => slot,
            Ok(None) => self.new_slot(),
            // The thread ends, and what it had is gone: lanes for this record alone.
            Err(_) => Slot::default(),
        };
        // Held by nobody but this thread, and by `clear` once the producer has ended.
        let Some(mut lanes) = try_lock(&slot) else {
            return Err(if inner.is_closed() { SendErrorKind::Closed } else { SendErrorKind::WithinSend });
        };
        if let Some(lanes) = lanes.as_mut() {
            return Ok(work(lanes));
        }
        // A partitioner of the application is made in here: it finds the slot locked, but nothing else.
        let made = if self.is_closed() { None } else { Some(Lanes::new(inner)) };
        match made.filter(|_| !self.is_closed()) {
            Some(made) => Ok(work(lanes.insert(made))),
            None => Err(SendErrorKind::Closed),
        }
    }

    #[cold]
    fn new_slot(&self) -> Slot {
        let slot = Slot::default();
        let mut held = lock(&self.held);
        held.retain(|slot| slot.strong_count() > 0);
        held.push(Arc::downgrade(&slot));
        drop(held);
        MINE.with_borrow_mut(|mine| {
            // Slots of closed producers are empty: they go when the thread meets a new producer.
            mine.retain(|(_, slot)| try_lock(slot).is_none_or(|lanes| lanes.is_some()));
            mine.push((self.id, slot.clone()));
        });
        slot
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The producer is closed: no thread keeps memory of it. Where one is sending (or closes from within a send), it is kept until
    /// [`SharedSenders::end`].
    pub(crate) fn clear(&self) {
        self.empty(|slot| try_lock(slot).map(|mut lanes| lanes.take()));
    }

    /// The producer's last handle is gone: nobody can be sending.
    pub(crate) fn end(&self) {
        self.empty(|slot| Some(lock(slot).take()));
    }

    fn empty(&self, take: impl Fn(&Mutex<Option<Lanes>>) -> Option<Option<Lanes>>) {
        self.closed.store(true, Ordering::Relaxed);
        let mut emptied = Vec::new();
        lock(&self.held).retain(|slot| {
            let Some(slot) = slot.upgrade() else { return false };
            let taken = take(&slot);
            let stays = taken.is_none();
            emptied.push(taken);
            stays
        });
        // Partitioners are dropped without any lock: they are the application's code.
        drop(emptied);
    }
}

/// The lock, unless somebody has it. What a panic has left behind is still good.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
