//! A sender per thread under the hood, for code that shares a producer without keeping a [`Sender`](crate::Sender).

use crate::error::{SendError, SendErrorKind};
use crate::lanes::Lanes;
use crate::producer::Inner;
use crate::sender::Patience;
use crate::sync::{Mutex, lock};
use crate::{Receipt, Record};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, TryLockError, Weak};

/// One thread's lanes of one producer. The thread holds it and locks it for each send; the producer empties it when it closes.
type Slot = Arc<Mutex<Option<Lanes>>>;

thread_local! {
    /// This thread's slots, by producer.
    static MINE: RefCell<Vec<(u64, Slot)>> = const { RefCell::new(Vec::new()) };
}

/// What one producer knows of the slots that threads hold.
pub(crate) struct SharedSenders {
    id: u64,
    slots: Mutex<Slots>,
}

struct Slots {
    held: Vec<Weak<Mutex<Option<Lanes>>>>,
    closed: bool,
}

impl SharedSenders {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        SharedSenders {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            slots: Mutex::new(Slots { held: Vec::new(), closed: false }),
        }
    }

    pub(crate) fn send<'a>(&self, inner: &Inner, record: Record<'a>) -> Result<Receipt, SendError<'a>> {
        let slot = MINE.with_borrow_mut(|mine| match mine.iter().find(|(id, _)| *id == self.id) {
            Some((_, slot)) => slot.clone(),
            None => self.new_slot(inner, mine),
        });
        // Held by nobody but this thread, and by `clear` once the producer has ended.
        let mut lanes = match slot.try_lock() {
            Ok(lanes) => lanes,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let kind = if inner.is_closed() { SendErrorKind::Closed } else { SendErrorKind::WithinSend };
                return Err(SendError { record, kind });
            }
        };
        match lanes.as_mut() {
            Some(lanes) => lanes.send(inner, record, Patience::MaxBlock),
            None => Err(SendError { record, kind: SendErrorKind::Closed }),
        }
    }

    #[cold]
    fn new_slot(&self, inner: &Inner, mine: &mut Vec<(u64, Slot)>) -> Slot {
        // Slots of closed producers are empty: they go when the thread meets a new producer.
        mine.retain(|(_, slot)| !slot.try_lock().is_ok_and(|lanes| lanes.is_none()));
        let mut slots = lock(&self.slots);
        slots.held.retain(|slot| slot.strong_count() > 0);
        let slot = Arc::new(Mutex::new((!slots.closed).then(|| Lanes::new(inner))));
        slots.held.push(Arc::downgrade(&slot));
        mine.push((self.id, slot.clone()));
        slot
    }

    /// The producer is closed: no thread keeps memory of it.
    pub(crate) fn clear(&self) {
        let mut slots = lock(&self.slots);
        slots.closed = true;
        for slot in slots.held.drain(..).filter_map(|slot| slot.upgrade()) {
            lock(&slot).take();
        }
    }
}
