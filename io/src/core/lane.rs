//! What the core remembers of one lane: how much was taken, how old the rest is, and who waits for it.

use std::collections::VecDeque;
use std::time::Duration;

use forebay_engine::LaneId;

use crate::time::Time;

/// "No entry" in the index lists of the ledger.
pub(crate) const NONE: u32 = u32::MAX;

/// The age of untaken bytes is known to one part in so many of the delivery timeout. The I/O thread wakes up for each part: models are
/// of fewer.
pub(crate) const AGE_PARTS: u32 = if cfg!(loom) { 8 } else { 128 };

/// In two cache lines, the first of which is all that a look at the lane and a take need.
#[repr(C, align(64))]
pub(crate) struct Lane {
    /// Bytes seen and not taken, unused ends of segments included; 0 is exact.
    pub(crate) pending: usize,
    /// Bytes taken since the lane began.
    pub(crate) taken: u64,
    /// A flush wants everything up to this position to be sent.
    pub(crate) flush_to: u64,
    /// Nothing untaken was published before this moment; valid while `pending > 0`.
    since: Time,
    /// When the lane was last looked at.
    looked_at: Time,
    /// When the lane was last seen empty.
    empty_at: Time,
    /// When the lane was first seen empty since it last held bytes.
    pub(crate) drained_at: Time,
    /// Batches that hold memory of this lane.
    pub(crate) held: u32,
    /// In its partition's list of active lanes.
    pub(crate) listed: bool,
    /// Its producer is gone and it is retired: forgotten as soon as nothing here refers to it.
    pub(crate) gone: bool,

    /// (moment, position): bytes from the position on were published after the moment. The first is `since`. There are some
    /// only when bytes stay for a considerable part of the delivery timeout.
    #[expect(clippy::box_collection, reason = "seldom there; in place it would take half a cache line of each lane")]
    marks: Option<Box<VecDeque<(Time, u64)>>>,
    pub(crate) tag: u64,
    /// Bytes whose records have been reported.
    pub(crate) resolved: u64,
    /// Records taken since the lane began.
    pub(crate) next_ordinal: u64,
    pub(crate) id: LaneId,
    /// Index of its partition in the core.
    pub(crate) partition: u32,
    /// Outstanding spans in send order.
    pub(super) head: u32,
    pub(super) tail: u32,
    /// Flushes that wait for this lane, by position.
    pub(super) wait_head: u32,
    pub(super) wait_tail: u32,
}

const _: () = assert!(size_of::<Lane>() == 128 && std::mem::offset_of!(Lane, marks) == 64);

/// Of a lane that has never had one.
static NO_MARKS: VecDeque<(Time, u64)> = VecDeque::new();

impl Lane {
    pub(crate) fn new(id: LaneId, tag: u64, partition: u32) -> Self {
        Self {
            pending: 0,
            taken: 0,
            flush_to: 0,
            since: Time::ZERO,
            looked_at: Time::ZERO,
            empty_at: Time::ZERO,
            drained_at: Time::ZERO,
            held: 0,
            listed: false,
            gone: false,
            marks: None,
            tag,
            resolved: 0,
            next_ordinal: 0,
            id,
            partition,
            head: NONE,
            tail: NONE,
            wait_head: NONE,
            wait_tail: NONE,
        }
    }

    fn marks(&self) -> &VecDeque<(Time, u64)> {
        self.marks.as_deref().unwrap_or(&NO_MARKS)
    }

    /// The bytes up to the second mark are gone: what is left was published after the second, now the first.
    fn pass_mark(&mut self) {
        let Some(marks) = &mut self.marks else { return };
        marks.pop_front();
        if let Some(first) = marks.front() {
            self.since = first.0;
        }
    }

    /// The lane has come to life; nothing in it was published before `earliest`.
    pub(crate) fn activate(&mut self, earliest: Time, now: Time) {
        self.listed = true;
        self.gone = false;
        self.looked_at = earliest;
        self.empty_at = earliest;
        self.drained_at = now;
    }

    /// The lane was looked at and holds `pending` bytes.
    /// `untaken` says it exactly, without the unused ends of segments; asked seldom.
    pub(crate) fn seen(&mut self, pending: usize, now: Time, delivery_timeout: Duration, untaken: impl Fn() -> u64) {
        if pending == 0 {
            if self.pending > 0 {
                self.drained_at = now;
            }
            self.empty_at = now;
        } else if self.pending == 0 {
            self.since = self.empty_at;
        } else if now.since(self.marks().back().map_or(self.since, |mark| mark.0)) >= delivery_timeout / AGE_PARTS {
            let end = self.taken + untaken();
            let marks = self.marks.get_or_insert_default();
            if let Some(last) = marks.back_mut().filter(|mark| mark.1 == end) {
                // Nothing has come since: what comes now is younger still.
                last.0 = now;
            } else if marks.len() + 2 <= AGE_PARTS as usize {
                if marks.is_empty() {
                    marks.push_back((self.since, self.taken));
                }
                marks.push_back((now, end));
            }
        }
        self.pending = pending;
        self.looked_at = now;
    }

    /// `bytes` were taken off its front; `drained` if that was all that had been seen. What was seen is counted in
    /// positions, which include the unused ends of segments, so only the engine knows whether it was all.
    pub(crate) fn took(&mut self, bytes: usize, drained: bool, now: Time) {
        self.taken += bytes as u64;
        if drained {
            self.pending = 0;
            if let Some(marks) = &mut self.marks {
                marks.clear();
            }
            // What was published since the look counts from it: the look may be turns ago.
            self.empty_at = self.looked_at;
            self.drained_at = now;
            return;
        }
        self.pending = self.pending.saturating_sub(bytes).max(1);
        while self.marks().get(1).is_some_and(|mark| mark.1 <= self.taken) {
            self.pass_mark();
        }
    }

    /// Nothing untaken is older than this. Only while bytes are pending.
    pub(crate) fn oldest(&self) -> Time {
        self.since
    }

    /// Bytes at the front that are older than `timeout`, as exactly as the marks tell; rounded down to whole records by
    /// whoever takes them.
    pub(crate) fn expired(&mut self, now: Time, timeout: Duration) -> usize {
        while self.pending > 0 && self.since + timeout <= now {
            let end = self.marks().get(1).map_or(self.taken + self.pending as u64, |mark| mark.1);
            if end > self.taken {
                return (end - self.taken) as usize;
            }
            self.pass_mark();
        }
        0
    }

    /// Bytes at the front that may have been published before `cutoff`; None if that is all of them.
    pub(crate) fn until(&self, cutoff: Time) -> Option<usize> {
        if self.since >= cutoff {
            return Some(0);
        }
        self.marks().iter().find(|mark| mark.0 >= cutoff).map(|mark| mark.1.saturating_sub(self.taken) as usize)
    }

    /// True if a flush waits for bytes that are still in the lane.
    pub(crate) fn is_flushed(&self) -> bool {
        self.pending > 0 && self.flush_to > self.taken
    }

    /// True if nothing in the core refers to the lane any more.
    pub(crate) fn is_unused(&self) -> bool {
        self.head == NONE && self.held == 0 && self.wait_head == NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    /// A lane of which nothing was ever seen.
    fn fresh() -> Lane {
        let (engine, mut io) = forebay_engine::new(
            forebay_engine::EngineConfig { memory: 4096, segment_size: 256, due_bytes: 256, ahead_bytes: 0 },
            std::sync::Arc::new(Silent),
        )
        .expect("a small slab");
        let mut end = engine.producer_end().lane(1).expect("open");
        end.claim(8, 1).expect("there is room").commit().expect("open");
        let mut listed = Vec::new();
        io.collect_ready(&mut listed);
        let mut lane = Lane::new(listed[0], 1, 0);
        lane.activate(Time(1), Time(5));
        lane
    }

    #[test]
    fn what_came_after_the_look_is_as_old_as_the_look_however_late_it_is_taken() {
        let mut lane = fresh();
        lane.seen(8, Time(10), TIMEOUT, || 8);
        lane.took(8, true, Time(50));
        lane.seen(8, Time(51), TIMEOUT, || 8);
        assert_eq!(lane.oldest(), Time(10), "it may have come just after the look");
    }

    /// How far looks must be apart to leave a mark.
    const APART: u64 = TIMEOUT.as_nanos() as u64 / AGE_PARTS as u64;

    /// Looked at four times while 100 bytes came before each look.
    fn filling() -> Lane {
        let mut lane = fresh();
        for look in 1..=4 {
            lane.seen(100 * look as usize, Time(APART * look), TIMEOUT, || 100 * look);
        }
        lane
    }

    #[test]
    fn what_stays_is_as_old_as_the_last_look_before_it() {
        let mut lane = filling();
        assert_eq!(lane.oldest(), Time(1));
        assert_eq!(lane.until(Time(APART * 3)), Some(300), "what was there at the third look");
        lane.took(250, false, Time(APART * 4));
        assert_eq!(lane.oldest(), Time(APART * 2), "50 bytes that came before the third look");
        lane.took(50, false, Time(APART * 4));
        assert_eq!(lane.oldest(), Time(APART * 3), "all of them gone, 100 that came after it");
    }

    #[test]
    fn bytes_expire_with_the_look_before_them() {
        let mut lane = filling();
        assert_eq!(lane.expired(Time(APART * 2 - 1) + TIMEOUT, TIMEOUT), 200);
        lane.took(200, false, Time(APART * 5));
        assert_eq!(lane.expired(Time(APART * 2 - 1) + TIMEOUT, TIMEOUT), 0);
        assert_eq!(lane.expired(Time(APART * 2) + TIMEOUT, TIMEOUT), 100);
    }

    #[test]
    fn while_nothing_comes_the_last_mark_grows_older() {
        let mut lane = filling();
        lane.seen(400, Time(APART * 9), TIMEOUT, || 400);
        lane.seen(500, Time(APART * 20), TIMEOUT, || 500);
        lane.took(400, false, Time(APART * 20));
        assert_eq!(lane.oldest(), Time(APART * 9), "nothing had come by then");
    }

    #[test]
    fn a_drained_lane_remembers_no_ages() {
        let mut lane = filling();
        let last_look = Time(APART * 4 + 1);
        lane.seen(400, last_look, TIMEOUT, || 400);
        lane.took(400, true, Time(APART * 5));
        lane.seen(100, Time(APART * 9), TIMEOUT, || 100);
        lane.took(50, false, Time(APART * 9));
        assert_eq!(lane.oldest(), last_look, "too soon to leave a mark");
    }

    struct Silent;

    impl forebay_engine::Ring for Silent {
        fn ring(&self) {}
    }
}
