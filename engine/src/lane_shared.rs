//! What both ends of a lane see.

use crate::order::{FINAL_SEE, OBSERVE};
use crate::position::Position;
use crate::segments::NIL;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::atomic::Ordering::Relaxed;

/// In the I/O side's active set, or in the ready list on the way there.
pub(crate) const ACTIVE: u32 = 0;
/// The I/O side wants to take the open segment; whoever exchanges first wins.
pub(crate) const RETIRING: u32 = 1;
/// Holds no memory and is in no list; the next commit brings it back.
pub(crate) const RETIRED: u32 = 2;
/// No new claims; those under way may still commit.
pub(crate) const CLOSED: u32 = 3;
/// The I/O side is gone or going; a commit waits for its last word.
pub(crate) const DEAD: u32 = 4;
/// The last word (`final_position`) is there.
pub(crate) const DEAD_FINAL: u32 = 5;
/// Retired after its producer end was dropped: in no list, and never again.
pub(crate) const GONE: u32 = 6;

/// What both ends of a lane see: a line that the producer alone writes to claim, one that it alone writes to publish, and what the
/// I/O side writes. A send touches the first two.
pub(crate) struct LaneShared {
    pub(crate) claim: ClaimLine,
    pub(crate) producer: ProducerLine,
    /// How far the I/O side has taken: written by it whenever it takes, read by the producer once a segment.
    pub(crate) consumed: AtomicU64,
    /// Link of the ready list; valid while listed.
    pub(crate) next_ready: AtomicU32,
    pub(crate) index: u32,
    pub(crate) tag: u64,
}

/// Written by the producer for each claim. The I/O side looks here only when the lane begins or ends to live, so it stays in the
/// producer's cache however closely the I/O side watches `committed`.
#[repr(align(64))]
pub(crate) struct ClaimLine {
    /// Where the claim in progress will end; equals `committed` while there is none.
    pub(crate) reserved: AtomicU64,
    /// Looked at by the producer twice a record; written by either end, when the lane begins or ends to live.
    pub(crate) state: AtomicU32,
    /// First segment after a retirement; published with `committed`.
    pub(crate) first: AtomicU32,
    /// The last word: records committed up to here were seen.
    pub(crate) final_position: AtomicU64,
    pub(crate) dropped: AtomicBool,
}

/// Written by the producer once a record, watched by the I/O side: nothing else is written here.
#[repr(align(64))]
pub(crate) struct ProducerLine {
    /// Everything before this is published.
    pub(crate) committed: AtomicU64,
}

impl LaneShared {
    pub(crate) fn new(index: u32, tag: u64) -> Self {
        LaneShared {
            claim: ClaimLine {
                reserved: AtomicU64::new(0),
                state: AtomicU32::new(RETIRED),
                first: AtomicU32::new(NIL),
                final_position: AtomicU64::new(0),
                dropped: AtomicBool::new(false),
            },
            producer: ProducerLine { committed: AtomicU64::new(0) },
            consumed: AtomicU64::new(0),
            next_ready: AtomicU32::new(crate::ready::END),
            index,
            tag,
        }
    }

    /// P1: everything before the answer may be read.
    #[inline]
    pub(crate) fn observe(&self) -> Position {
        Position::from_raw(self.producer.committed.load(OBSERVE))
    }

    /// P2: where a claim in progress would end.
    pub(crate) fn reserved(&self) -> Position {
        Position::from_raw(self.claim.reserved.load(crate::order::RECLAIM_LOOK))
    }

    pub(crate) fn first(&self) -> u32 {
        self.claim.first.load(Relaxed)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.claim.dropped.load(Relaxed)
    }

    pub(crate) fn set_consumed(&self, position: Position) {
        self.consumed.store(position.raw(), Relaxed);
    }

    pub(crate) fn state(&self) -> u32 {
        self.claim.state.load(FINAL_SEE)
    }

    /// Moves the state if it is `from`: exactly one end does. Relaxed: what the ends owe each other besides is ordered by the
    /// barriers of I5 and by P1, P2 and P5; no model can tell a stronger ordering from this one.
    pub(crate) fn exchange(&self, from: u32, to: u32) -> Result<u32, u32> {
        if mutant!("lane_state_without_exchange") && self.state() == from {
            self.claim.state.store(to, Relaxed);
            return Ok(from);
        }
        self.claim.state.compare_exchange(from, to, Relaxed, Relaxed)
    }

    /// No claim may begin any more. Answers the state before.
    pub(crate) fn set_state(&self, to: u32) -> u32 {
        if mutant!("close_without_exchange") {
            let before = self.state();
            self.claim.state.store(to, Relaxed);
            return before;
        }
        self.claim.state.swap(to, Relaxed)
    }

    /// P8: the I/O side's last word: commits up to `position` were seen, later ones were not.
    pub(crate) fn finish(&self, position: Position) {
        self.claim.final_position.store(position.raw(), Relaxed);
        self.claim.state.store(DEAD_FINAL, crate::order::FINAL_PUT);
    }
}
