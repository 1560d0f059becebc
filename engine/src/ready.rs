//! The ready list: lanes that came to life since the I/O thread last looked.
//!
//! A stack linked through the lanes; many push, the I/O side takes it whole (no ABA). A lane is pushed only by the
//! one exchange RETIRED → ACTIVE, so it is never listed twice.

use crate::lane_shared::LaneShared;
use crate::order::{READY_PUT, READY_TAKE};
use crate::sync::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

pub(crate) const END: u32 = u32::MAX;

pub(crate) struct ReadyList {
    head: AtomicU32,
}

impl ReadyList {
    pub(crate) fn new() -> Self {
        ReadyList { head: AtomicU32::new(END) }
    }

    pub(crate) fn push(&self, lane: &LaneShared) {
        let mut head = self.head.load(Relaxed);
        loop {
            lane.next_ready.store(head, Relaxed);
            if mutant!("ready_put_without_exchange") {
                return self.head.store(lane.index, READY_PUT);
            }
            match self.head.compare_exchange_weak(head, lane.index, READY_PUT, Relaxed) {
                Ok(_) => return, // P5
                Err(now) => head = now,
            }
        }
    }

    /// The newest lane of the list, which is empty afterwards.
    pub(crate) fn take_all(&self) -> Option<u32> {
        if self.head.load(Relaxed) == END {
            return None;
        }
        let head = if mutant!("ready_take_without_exchange") {
            let head = self.head.load(READY_TAKE);
            self.head.store(END, Relaxed);
            head
        } else {
            self.head.swap(END, READY_TAKE) // P5
        };
        (head != END).then_some(head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Relaxed) == END
    }
}
