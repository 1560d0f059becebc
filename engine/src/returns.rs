//! Segments that a sender took and did not use, on their way back to the I/O side.
//!
//! A stack that many push to and one empties whole, so there is no ABA.

use crate::order::{RETURN_PUT, RETURN_TAKE};
use crate::segments::{Chain, NIL, SegmentTable};
use crate::sync::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

pub(crate) struct Returns {
    head: AtomicU32,
}

impl Returns {
    pub(crate) fn new() -> Self {
        Returns { head: AtomicU32::new(NIL) }
    }

    /// Gives a chain back.
    pub(crate) fn put(&self, chain: Chain, table: &SegmentTable) {
        if chain.count == 0 {
            return;
        }
        let mut last = chain.first;
        for _ in 1..chain.count {
            last = table.next(last);
        }
        let mut head = self.head.load(Relaxed);
        loop {
            table.set_next(last, head);
            if mutant!("return_put_without_exchange") {
                return self.head.store(chain.first, RETURN_PUT);
            }
            match self.head.compare_exchange_weak(head, chain.first, RETURN_PUT, Relaxed) {
                Ok(_) => return, // P6
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything that was returned into `out`. Only the I/O side calls this.
    pub(crate) fn take_all(&self, table: &SegmentTable, out: &mut Vec<u32>) {
        if self.head.load(Relaxed) == NIL {
            return;
        }
        let mut segment = if mutant!("return_take_without_exchange") {
            let head = self.head.load(RETURN_TAKE);
            self.head.store(NIL, Relaxed);
            head
        } else {
            self.head.swap(NIL, RETURN_TAKE) // P6
        };
        while segment != NIL {
            out.push(segment);
            segment = table.next(segment);
        }
    }

    /// Visits everything that was returned; it stays. Only the I/O side calls this: nobody else takes from here.
    pub(crate) fn each(&self, table: &SegmentTable, mut visit: impl FnMut(u32)) {
        let mut segment = self.head.load(RETURN_TAKE); // P6
        while segment != NIL {
            visit(segment);
            segment = table.next(segment);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Relaxed) == NIL
    }
}
