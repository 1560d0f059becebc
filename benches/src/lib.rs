//! What the benches share: an engine whose bell is counted, and the steps of an I/O thread.
//!
//! `cargo bench --package forebay-benches` measures; `cargo test --package forebay-benches --benches` runs each bench once.
//! Every bench checks first that what it measures works, and has the cost of its loop alone beside it.
#![forbid(unsafe_code)]

pub mod pipe;
pub mod text;

use forebay_engine::{Ahead, ClaimError, Engine, EngineConfig, IoSide, Lane, LaneId, Ring, Run};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sizes of values of which no two that follow each other are alike.
pub const MIXED: [usize; 12] = [40, 212, 97, 300, 63, 151, 78, 260, 119, 45, 183, 230];

/// A slice of 4 KiB at most, filled with whole records whose values have these sizes, over and over; and how many they are.
pub fn slice_of(sizes: &[usize], encoded: impl Fn(usize) -> Vec<u8>) -> (Vec<u8>, usize) {
    let (mut slice, mut count) = (Vec::new(), 0);
    for record in sizes.iter().cycle().map(|size| encoded(*size)) {
        if slice.len() + record.len() > 4096 {
            break;
        }
        slice.extend(record);
        count += 1;
    }
    (slice, count)
}

/// Bytes of a segment, as a producer uses them by default.
pub const SEGMENT: usize = 2048;
/// Bytes of a record's head, which must not straddle segments.
pub const HEAD: usize = 18;

/// Counts how often the I/O thread is woken.
#[derive(Debug, Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    /// Rings so far.
    pub fn rings(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Ring for Bell {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// So many segments, used as a producer uses them by default.
pub(crate) fn layout(segments: usize) -> EngineConfig {
    EngineConfig { memory: segments * SEGMENT, segment_size: SEGMENT, due_bytes: 16 * 1024, ahead_bytes: 64 * 1024 }
}

/// An engine of so many segments.
///
/// # Panics
/// If the system refuses the memory.
pub fn engine(segments: usize) -> (Engine, IoSide, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let (engine, io) = forebay_engine::new(layout(segments), bell.clone()).expect("a small slab");
    (engine, io, bell)
}

/// Claims, writes and commits one record, as a producer does: in the open segment if it fits there.
///
/// # Errors
/// Those of the claim and the commit.
#[inline(always)]
pub fn publish(lane: &mut Lane, record: &[u8]) -> Result<(), ClaimError> {
    let Some(mut claim) = lane.claim_here(record.len(), Ahead::Stream) else { return publish_in_next(lane, record) };
    claim.chunk().copy_from_slice(record);
    claim.commit()
}

#[inline(never)]
fn publish_in_next(lane: &mut Lane, record: &[u8]) -> Result<(), ClaimError> {
    let mut claim = lane.claim(record.len(), record.len().min(HEAD))?;
    claim.put(record);
    claim.commit()
}

/// Takes all that is published, whatever its windows; answers its bytes. `visit` sees each slice.
#[inline]
pub fn take(io: &mut IoSide, lane: LaneId, runs: &mut Vec<Run>, mut visit: impl FnMut(&mut [u8])) -> usize {
    let mut total = 0;
    if io.observe(lane) == 0 {
        return 0;
    }
    loop {
        let taken = io.take(lane, runs, |slice| {
            visit(slice);
            slice.len()
        });
        total += taken;
        if taken == 0 {
            return total;
        }
    }
}

/// Gives runs back and ends the turn.
#[inline]
pub fn release(io: &mut IoSide, runs: &mut Vec<Run>) {
    for run in runs.drain(..) {
        io.release(run);
    }
    io.settle();
}
