//! The single consumer of all lanes: sees what was published, takes it, and gives the memory back.

mod retire;

use crate::account::Book;
use crate::doorbell::Sleep;
use crate::engine::Shared;
use crate::lane_shared::LaneShared;
use crate::memory::Memory;
use crate::position::Position;
use crate::ready::END;
use crate::run::{Run, RunBytes, last_segment, place};
use crate::segments::{NIL, SegmentTable};
use crate::sync::{Arc, lock};
use std::sync::atomic::Ordering::Relaxed;

/// The number of a lane: dense, reused after [`IoSide::forget`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LaneId(pub(crate) u32);

impl LaneId {
    /// As an index into a table of lanes.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Pairs of cache lines that [`IoSide::take`] asks for where a lane goes on elsewhere in memory: the first 1,024 bytes. The rest of them
/// the processor sees coming.
const PAIRS_AHEAD: usize = 8;

/// The I/O thread's end of an engine. One exists per engine; dropping it closes the engine.
pub struct IoSide {
    pub(crate) shared: Arc<Shared>,
    /// By lane number. A lane appears when it is first collected.
    pub(crate) lanes: Vec<Option<Reader>>,
    pub(crate) memory: Memory,
    pub(crate) book: Book,
    /// Lanes handed out and not retired since.
    pub(crate) live: usize,
    closed: bool,
    finished: bool,
}

/// The I/O side's view of one lane.
pub(crate) struct Reader {
    pub(crate) shared: Arc<LaneShared>,
    /// Segment of the first untaken byte, or NIL: the next one is `shared.first()`.
    pub(crate) segment: u32,
    /// Everything before was taken.
    pub(crate) position: Position,
    /// Last observed; may be stale, never ahead.
    pub(crate) committed: Position,
    /// A byte of `segment` was taken.
    begun: bool,
    /// Handed out by `collect_ready` and not retired since.
    pub(crate) active: bool,
    /// Came to life before the close and was not collected by then: in the ready list, or about to be. Not gone until it
    /// is met there.
    listed: bool,
}

impl Reader {
    /// Where `segment` begins.
    #[inline]
    pub(crate) fn start(&self, shift: u32) -> Position {
        if self.begun { self.position.segment_before(shift) } else { self.position }
    }
}

impl IoSide {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let memory = Memory::new(&shared);
        IoSide { memory, shared, lanes: Vec::new(), book: Book::default(), live: 0, closed: false, finished: false }
    }

    fn reader(&mut self, index: u32) -> &mut Reader {
        let at = index as usize;
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, || None);
        }
        self.lanes[at].get_or_insert_with(|| {
            let shared = lock(&self.shared.lanes).lanes[at].clone().expect("a listed lane is registered");
            Reader {
                shared,
                segment: NIL,
                position: Position::START,
                committed: Position::START,
                begun: false,
                active: false,
                listed: false,
            }
        })
    }

    /// Appends the lane to `out`, unless it is the caller's to watch already.
    fn hand_out(&mut self, index: u32, out: &mut Vec<LaneId>) {
        if !std::mem::replace(&mut self.reader(index).active, true) {
            out.push(LaneId(index));
            self.live += 1;
        }
    }

    fn known(&mut self, lane: LaneId) -> &mut Reader {
        self.lanes[lane.index()].as_mut().expect("a lane is used between collect_ready and forget")
    }

    /// The start of a turn: lanes that came to life since the last call are appended to `ready`, oldest first. Each is
    /// listed once and stays the caller's to watch until it is retired.
    pub fn collect_ready(&mut self, ready: &mut Vec<LaneId>) {
        self.memory.collect_returns(&self.shared);
        let Some(mut index) = self.shared.ready.take_all() else { return };
        let from = ready.len();
        while index != END {
            let reader = self.reader(index);
            let next = reader.shared.next_ready.load(Relaxed);
            reader.listed = false;
            self.hand_out(index, ready);
            index = next;
        }
        ready[from..].reverse();
    }

    /// What the lane's maker tagged it with.
    ///
    /// # Panics
    /// As all calls with a lane: if it was never collected, or was forgotten.
    pub fn lane_tag(&self, lane: LaneId) -> u64 {
        self.lanes[lane.index()].as_ref().expect("a lane is used between collect_ready and forget").shared.tag
    }

    /// Looks how much is published and not taken, in bytes (a segment's unused end may be counted; zero is exact).
    /// One load. What it saw is what [`IoSide::take`] works on.
    #[inline]
    pub fn observe(&mut self, lane: LaneId) -> usize {
        let finished = self.finished;
        let reader = self.known(lane);
        if !finished {
            reader.committed = reader.shared.observe();
        }
        reader.position.distance(reader.committed) as usize
    }

    /// Exactly how many bytes were published and not taken, as of the last [`IoSide::observe`]: unused ends of segments
    /// are not counted. Walks the segments.
    pub fn untaken(&self, lane: LaneId) -> u64 {
        let (shift, table) = (self.shared.slab.view().shift(), &self.shared.table);
        let reader = self.lanes[lane.index()].as_ref().expect("a lane is used between collect_ready and forget");
        let (mut segment, mut start, mut at) = (reader.segment, reader.start(shift), reader.position);
        if at < reader.committed && segment == NIL {
            start = at.next_segment(shift);
            (segment, at) = (reader.shared.first(), start);
        }
        let mut bytes = 0;
        while at < reader.committed {
            let end = filled(table, segment, start, reader.committed, shift);
            bytes += at.distance(end);
            (segment, start) = (table.next(segment), start.skip(1, shift));
            at = start;
        }
        bytes
    }

    /// The window tag of the first untaken byte, as of the last [`IoSide::observe`].
    pub fn peek_window(&mut self, lane: LaneId) -> Option<i64> {
        self.step(lane).then(|| {
            let segment = self.known(lane).segment;
            self.shared.table.window(segment)
        })
    }

    /// Moves past segments that are read to their end. False: nothing untaken.
    fn step(&mut self, lane: LaneId) -> bool {
        let (shift, table) = (self.shared.slab.view().shift(), &self.shared.table);
        let reader = self.lanes[lane.index()].as_mut().expect("a lane is used between collect_ready and forget");
        while reader.position < reader.committed {
            let next = if reader.segment == NIL {
                reader.position = reader.position.next_segment(shift);
                reader.shared.first()
            } else {
                let start = reader.start(shift);
                if reader.position < filled(table, reader.segment, start, reader.committed, shift) {
                    return true;
                }
                reader.position = start.skip(1, shift);
                self.memory.let_go(reader.segment);
                table.next(reader.segment)
            };
            reader.segment = next;
            reader.begun = false;
            self.memory.hold(next);
        }
        false
    }

    /// Visits published, untaken bytes of one window (the first that is found), slice by slice and in order; a slice ends where the
    /// next segment does not follow in memory, and no claim's head goes on there. The visitor answers how many bytes of the
    /// slice it accepts; fewer than all ends the visit. What is accepted is taken from the lane and appended to `out`.
    /// Answers the bytes taken.
    ///
    /// # Panics
    /// If the visitor accepts more than the slice has.
    pub fn take(&mut self, lane: LaneId, out: &mut Vec<Run>, mut visit: impl FnMut(&mut [u8]) -> usize) -> usize {
        let view = self.shared.slab.view();
        let shift = view.shift();
        let mut window = None;
        let mut total = 0;
        while self.step(lane) {
            let table = &self.shared.table;
            let reader = self.lanes[lane.index()].as_mut().expect("stepped");
            let segment = reader.segment;
            let tag = table.window(segment);
            if *window.get_or_insert(tag) != tag {
                break;
            }
            // As many segments as follow each other and are full.
            let begin = reader.start(shift);
            let start = begin.distance(reader.position) as u32;
            let (mut last, mut begin) = (segment, begin);
            let mut end = filled(table, last, begin, reader.committed, shift);
            while end == begin.skip(1, shift)
                && end < reader.committed
                && table.next(last) == last + 1
                && table.window(last + 1) == tag
            {
                (last, begin) = (last + 1, end);
                end = filled(table, last, begin, reader.committed, shift);
            }
            if end < reader.committed {
                // Of a chain in many places the processor sees no stream: it learns of the next piece while it goes through this one.
                view.segment(table.next(last)).prefetch_write(0, PAIRS_AHEAD);
            }
            // More than four gigabytes of one lane are visited in parts.
            let len = reader.position.distance(end).min(u32::MAX.into()) as usize;
            self.shared.slab.witness_write(segment, start, len as u32);
            // SAFETY: I3: bytes from the taken to the committed position belong to the I/O side, of which there is one.
            let slice = unsafe { view.slice_mut(segment, start, len) };
            let accepted = visit(slice);
            assert!(accepted <= slice.len(), "a visitor accepts at most the slice");
            if accepted > 0 {
                reader.position = reader.position.advance(accepted);
                reader.begun = true;
                total += accepted;
                self.memory.mint(segment, start, accepted as u32, out);
                // The reader stands in the segment of the last byte taken.
                let last = last_segment(segment, start, accepted as u32, shift);
                if last != segment {
                    self.memory.let_go(segment);
                    reader.segment = last;
                    self.memory.hold_more(last);
                }
            }
            if accepted < len {
                break;
            }
        }
        let reader = self.known(lane);
        reader.shared.set_consumed(reader.position);
        total
    }

    /// The bytes of a run.
    ///
    /// # Panics
    /// If the run is another engine's.
    #[inline]
    pub fn bytes(&self, run: &Run) -> &[u8] {
        self.memory.check(run);
        self.shared.slab.witness_read(run.segment, run.start, run.len);
        // SAFETY: I4: whoever holds the run owns its bytes; it is borrowed for reading as long as the slice lives.
        unsafe { self.shared.slab.view().slice(run.segment, run.start, run.len()) }
    }

    /// The bytes of a run, to be stamped again: only while nothing else, such as a socket, may still read them.
    ///
    /// # Panics
    /// If the run is another engine's.
    pub fn bytes_mut(&mut self, run: &mut Run) -> &mut [u8] {
        self.memory.check(run);
        self.shared.slab.witness_write(run.segment, run.start, run.len);
        // SAFETY: I4: the run is held exclusively for as long as the slice lives.
        unsafe { self.shared.slab.view().slice_mut(run.segment, run.start, run.len()) }
    }

    /// The runs' bytes in order, with runs that lie behind each other in memory merged into one slice.
    ///
    /// # Panics
    /// If a run is another engine's.
    pub fn merged<'a>(&'a self, runs: &'a [Run]) -> impl Iterator<Item = &'a [u8]> + 'a {
        let view = self.shared.slab.view();
        let mut rest = runs;
        std::iter::from_fn(move || {
            let first = rest.first()?;
            let mut count = 1;
            let mut len = first.len as usize;
            while rest.get(count).is_some_and(|next| self.slices_adjacent(&rest[count - 1], next)) {
                len += rest[count].len as usize;
                count += 1;
            }
            for run in &rest[..count] {
                self.memory.check(run);
                self.shared.slab.witness_read(run.segment, run.start, run.len);
            }
            rest = &rest[count..];
            // SAFETY: I4 for each run of the stretch; they are borrowed for reading as long as the slice lives.
            Some(unsafe { view.slice(first.segment, first.start, len) })
        })
    }

    /// How many segments a run touches.
    pub fn segments_of(&self, run: &Run) -> usize {
        self.memory.check(run);
        self.memory.touches(run)
    }

    /// For whoever runs are handed to on another thread.
    pub fn run_bytes(&self) -> RunBytes {
        RunBytes { shared: self.shared.clone(), slab: self.memory.slab() }
    }

    /// Whether `b`'s bytes follow `a`'s in memory.
    #[inline]
    pub fn slices_adjacent(&self, a: &Run, b: &Run) -> bool {
        let shift = self.shared.slab.view().shift();
        place(a.segment, a.start, shift) + u64::from(a.len) == place(b.segment, b.start, shift)
    }

    /// Divides a run in two, the first of `at` bytes.
    ///
    /// # Panics
    /// If `at` is not inside the run, or the run is another engine's.
    pub fn split_run(&mut self, run: Run, at: usize) -> (Run, Run) {
        self.memory.check(&run);
        self.memory.split(run, at)
    }

    /// Takes free memory for the I/O side's own use: runs of at least `len` bytes together, appended to `out`, or nothing.
    /// They are released like any other. False: there is not enough that no waiting sender has a claim to (I8).
    pub fn lease(&mut self, len: usize, out: &mut Vec<Run>) -> bool {
        let segment_size = self.segment_size();
        self.memory.lease(len.div_ceil(segment_size), segment_size as u32, &self.shared, out)
    }

    /// Gives a run's bytes back: the broker has answered, or the connection that could still write them is closed.
    /// The segment is free once all of it was given back and the lane has moved on; see [`IoSide::settle`].
    ///
    /// # Panics
    /// If the run is another engine's.
    pub fn release(&mut self, run: Run) {
        self.memory.check(&run);
        self.memory.release(run);
    }

    /// The end of a turn: freed segments go to waiting senders, first in first out, and then to the free rings.
    pub fn settle(&mut self) {
        self.memory.settle(&self.shared, self.live);
    }

    /// Senders that wait for memory. Not zero: every lane is due, linger or not.
    #[inline]
    pub fn waiting_senders(&self) -> usize {
        self.shared.inbox.waiting() as usize
    }

    /// Free segments, those set aside for the oldest waiter included.
    pub fn free_segments(&self) -> usize {
        self.memory.free(&self.shared)
    }

    /// Segments that the I/O side holds: being read, or in runs not released yet.
    pub fn held_segments(&self) -> usize {
        self.memory.held()
    }

    /// Lanes that were handed out and are not retired.
    pub fn live_lanes(&self) -> usize {
        self.live
    }

    /// All segments of the slab.
    pub fn total_segments(&self) -> usize {
        self.shared.total()
    }

    /// Bytes of a segment.
    pub fn segment_size(&self) -> usize {
        self.shared.slab.view().segment_size() as usize
    }

    /// Before blocking: tells senders how to wake the I/O thread. False: there is something to do, don't sleep.
    pub fn prepare_sleep(&mut self, how: Sleep) -> bool {
        self.shared.doorbell.asleep(how);
        let work = (how == Sleep::Deep && !self.shared.ready.is_empty() && !mutant!("sleeps_without_a_last_look"))
            || self.memory.has_new_work(&self.shared);
        if work {
            self.shared.doorbell.awake();
        }
        !work
    }

    /// After blocking.
    pub fn awake(&mut self) {
        self.shared.doorbell.awake();
    }

    /// Whether [`IoSide::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Up to where a lane's segment that begins at `start` holds bytes, as of a look at `committed`.
#[inline]
fn filled(table: &SegmentTable, segment: u32, start: Position, committed: Position, shift: u32) -> Position {
    // Of a segment that the lane has left the notes are final: something behind it is published.
    if committed > start.skip(1, shift) { start.advance(table.end(segment) as usize) } else { committed }
}

impl Drop for IoSide {
    /// Closes the engine: no sender waits for ever for a thread that is gone.
    fn drop(&mut self) {
        self.finish(&mut Vec::new());
    }
}
