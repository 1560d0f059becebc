//! Every memory ordering of the engine, by name, with the load or store it meets.
//!
//! Each has a mutant that weakens it; a loom model must then fail (`cargo xtask mutants`).

use std::sync::atomic::Ordering;

#[cfg(not(loom))]
macro_rules! ordering {
    ($(#[$doc:meta])* $name:ident = $strong:ident, $mutant:literal) => {
        $(#[$doc])*
        pub(crate) const $name: Ordering = Ordering::$strong;
    };
}

#[cfg(loom)]
macro_rules! ordering {
    ($(#[$doc:meta])* $name:ident = $strong:ident, $mutant:literal) => {
        $(#[$doc])*
        pub(crate) const $name: Weakened = Weakened { ordering: Ordering::$strong, mutant: $mutant };
    };
}

/// An ordering that a mutant relaxes. The atomics of `sync.rs` take it as they take an ordering.
#[cfg(loom)]
#[derive(Clone, Copy)]
pub(crate) struct Weakened {
    ordering: Ordering,
    mutant: &'static str,
}

#[cfg(loom)]
impl From<Weakened> for Ordering {
    fn from(this: Weakened) -> Ordering {
        if crate::mutants::chosen(this.mutant) { Ordering::Relaxed } else { this.ordering }
    }
}

ordering!(
    /// P1: the producer's publish. Meets [`OBSERVE`]: record bytes, links, ends and windows become visible.
    PUBLISH = Release, "publish_relaxed"
);
ordering!(
    /// P1: the I/O thread's look at a lane's committed position.
    OBSERVE = Acquire, "observe_relaxed"
);
ordering!(
    /// P2: an aborted claim lowers `reserved`. Meets [`RECLAIM_LOOK`]: the abandoned bytes are written before the
    /// segment can be taken away and leased to another sender.
    ABORT = Release, "abort_relaxed"
);
ordering!(
    /// P2: the I/O thread's look at `reserved` when it reclaims an idle lane's segment.
    RECLAIM_LOOK = Acquire, "reclaim_look_relaxed"
);
ordering!(
    /// P3: the I/O thread puts freed segments into a free ring. Meets [`FREE_TAKE`]: its last reads of the bytes
    /// come before the next owner's writes.
    FREE_PUT = Release, "free_put_relaxed"
);
ordering!(
    /// P3: a sender's look at the end of a free ring before it takes.
    FREE_TAKE = Acquire, "free_take_relaxed"
);
ordering!(
    /// P4: the I/O thread grants segments through a mailbox. Meets [`GRANT_SEE`]: the chain's links and the last reads
    /// of its bytes.
    GRANT = Release, "grant_relaxed"
);
ordering!(
    /// P4: the waiting sender sees its grant.
    GRANT_SEE = Acquire, "grant_see_relaxed"
);
ordering!(
    /// P5: a lane enters the ready list. Meets [`READY_TAKE`]: `next_ready` of each lane in the list.
    READY_PUT = Release, "ready_put_relaxed"
);
ordering!(
    /// P5: the I/O thread empties the ready list.
    READY_TAKE = Acquire, "ready_take_relaxed"
);
ordering!(
    /// P6: a sender returns segments that it took and did not use. Meets [`RETURN_TAKE`].
    RETURN_PUT = Release, "return_put_relaxed"
);
ordering!(
    /// P6: the I/O thread collects returned segments.
    RETURN_TAKE = Acquire, "return_take_relaxed"
);
ordering!(
    /// P8: the last word of the I/O side on a lane: how far it read. Meets [`FINAL_SEE`].
    FINAL_PUT = Release, "final_put_relaxed"
);
ordering!(
    /// P8: a producer whose commit raced the end of the I/O side sees the lane's last state, and with it whether its record
    /// was seen.
    FINAL_SEE = Acquire, "final_see_relaxed"
);
ordering!(
    /// P9: a taker moves the head of a free ring. Meets [`FREE_HEAD_SEE`]: the tail that it had seen.
    FREE_HEAD_PUT = Release, "free_head_put_relaxed"
);
ordering!(
    /// P9: the next taker starts from that head, and so sees a tail that is not behind it.
    FREE_HEAD_SEE = Acquire, "free_head_see_relaxed"
);
ordering!(
    /// P10: a taker notes for all takers which tail it saw. Meets [`FREE_KNOWN_SEE`]: what it saw with that tail.
    FREE_KNOWN_PUT = Release, "free_known_put_relaxed"
);
ordering!(
    /// P10: a taker goes by what another one saw, without the putter's line.
    FREE_KNOWN_SEE = Acquire, "free_known_see_relaxed"
);
