//! A lane of forebay's engine, driven as the I/O core drives it: one look, one take, everything released.

use crate::queue::{Queue, Receiver, Sender};
use crate::records::Reader;
use forebay_engine::{Ahead, ClaimError, EngineConfig, IoSide, Lane, LaneId, ProducerEnd, Ring, Run};
use std::sync::Arc;

/// As much of a record as a producer keeps together.
const HEAD: usize = 18;
/// `batch.size`, by default.
const DUE: u32 = 16 * 1024;

/// The consumer never sleeps: nothing to wake.
struct Awake;

impl Ring for Awake {
    fn ring(&self) {}
}

/// A lane in a slab of its own, of segments of so many bytes, or of four if there is no room for more; it takes up to `AHEAD` bytes of
/// them at once.
pub(crate) struct OneLane<const SEGMENT: usize, const AHEAD: u32>;

pub(crate) struct LaneSender {
    lane: Lane,
    /// Lives as long as its lane.
    _end: ProducerEnd,
}

pub(crate) struct LaneReceiver {
    io: IoSide,
    ready: Vec<LaneId>,
    runs: Vec<Run>,
}

impl<const SEGMENT: usize, const AHEAD: u32> Queue for OneLane<SEGMENT, AHEAD> {
    type Sender = LaneSender;
    type Receiver = LaneReceiver;

    fn open(capacity: usize, _longest: usize) -> (LaneSender, LaneReceiver) {
        // A lane keeps the segment that it is in: with one or two in all, neither end would find any to go on with.
        let config = EngineConfig {
            memory: capacity,
            segment_size: SEGMENT.min(1 << (capacity / 4).ilog2()),
            due_bytes: DUE,
            ahead_bytes: AHEAD,
        };
        let (engine, io) = forebay_engine::new(config, Arc::new(Awake)).expect("the slab fits in memory");
        let end = engine.producer_end();
        let lane = end.lane(1).expect("a new engine is open");
        (LaneSender { lane, _end: end }, LaneReceiver { io, ready: Vec::new(), runs: Vec::new() })
    }
}

impl Sender for LaneSender {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        // As the producer does it: the usual record fits the open segment.
        if let Some(mut claim) = self.lane.claim_here(record.len(), Ahead::Stream) {
            claim.chunk().copy_from_slice(record);
            return claim.commit().is_ok();
        }
        self.send_in_next(record)
    }
}

impl LaneSender {
    #[cold]
    #[inline(never)]
    fn send_in_next(&mut self, record: &[u8]) -> bool {
        match self.lane.claim(record.len(), record.len().min(HEAD)) {
            Ok(mut claim) => {
                claim.put(record);
                claim.commit().expect("the I/O side is there");
                true
            }
            Err(ClaimError::Full { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }
}

impl Receiver for LaneReceiver {
    #[inline]
    fn drain(&mut self, _enough: u64, reader: &mut Reader) -> bool {
        self.io.collect_ready(&mut self.ready);
        let Some(&lane) = self.ready.first() else { return false };
        if self.io.observe(lane) == 0 {
            return false;
        }
        let taken = self.io.take(lane, &mut self.runs, |slice| {
            reader.stream(slice);
            slice.len()
        });
        for run in self.runs.drain(..) {
            self.io.release(run);
        }
        self.io.settle();
        taken > 0
    }
}
