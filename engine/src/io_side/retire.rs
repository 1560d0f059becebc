//! How lanes leave: retired when they are drained, and all of them when the engine ends.

use super::{IoSide, LaneId};
use crate::lane_shared::{ACTIVE, CLOSED, DEAD, DEAD_FINAL, GONE, RETIRED, RETIRING};
use crate::segments::NIL;
use crate::sync::{heavy_barrier, lock};

impl IoSide {
    /// Retires lanes that are drained, with one heavy barrier for all: a retired lane gives its open segment back and
    /// leaves the active set until [`IoSide::collect_ready`] lists it again. Retired lanes are removed from `lanes`;
    /// those with new bytes, or a claim in progress, stay. A retired lane whose producer end was dropped is
    /// added to `gone`: after [`IoSide::forget`] its number is free.
    pub fn retire(&mut self, lanes: &mut Vec<LaneId>, gone: &mut Vec<LaneId>) {
        let mut asked = false;
        for lane in lanes.iter() {
            self.observe(*lane);
            let reader = self.known(*lane);
            if reader.position == reader.committed && reader.shared.exchange(ACTIVE, RETIRING).is_ok() {
                asked = true;
            }
        }
        if (asked || self.closed) && !mutant!("retire_barrier_missing") {
            heavy_barrier(); // meets the light barrier of each claim (I5)
        }
        lanes.retain(|lane| {
            let reader = self.lanes[lane.index()].as_mut().expect("a lane is used between collect_ready and forget");
            let state = reader.shared.state();
            if state != RETIRING && state < CLOSED {
                return true;
            }
            // The order matters: a claim in progress shows in `reserved` first.
            let reserved = reader.shared.reserved();
            let drained = if state == DEAD_FINAL {
                reader.committed == reader.position // later commits failed at their producer
            } else {
                reader.committed = reader.shared.observe();
                (reserved == reader.committed || mutant!("retire_ignores_claim")) && reader.committed == reader.position
            };
            // Looked at before the exchange: a producer end that is dropped later finds RETIRING or RETIRED and lists the lane.
            let dropped = reader.shared.is_dropped();
            if state == RETIRING {
                let to = match (drained, dropped) {
                    (false, _) => ACTIVE,
                    (true, true) if !mutant!("a_gone_lane_can_come_back") => GONE,
                    (true, _) => RETIRED,
                };
                let won = reader.shared.exchange(RETIRING, to).is_ok();
                if !drained || !won {
                    return true; // the producer was quicker, or has published meanwhile
                }
            } else if !drained {
                return true; // closing, with a claim that may still commit
            } else if state != DEAD_FINAL {
                reader.shared.finish(reader.position);
            }
            if reader.segment != NIL {
                // The segment that is open, and what the lane has not begun. After the last word a claim that is still held, or about to be
                // refused, may be writing to the one and changing the links to the other: they stay the claim's then, until the engine goes.
                let mut ahead = self.shared.table.next(reader.segment);
                let claimed = reserved != reader.committed;
                let quiet = !claimed || mutant!("links_are_read_under_a_claim");
                while ahead != NIL && quiet && !mutant!("segments_ahead_leak") {
                    self.memory.take_back(ahead);
                    ahead = self.shared.table.next(ahead);
                }
                if claimed && !mutant!("a_segment_is_freed_under_a_claim") {
                    self.memory.leave(reader.segment);
                } else if !mutant!("a_retired_segment_leaks") {
                    self.memory.let_go(reader.segment);
                }
                reader.segment = NIL;
            }
            self.live -= usize::from(reader.active);
            reader.active = mutant!("a_retired_lane_stays_active");
            if dropped && (!reader.listed || mutant!("a_listed_lane_is_gone")) {
                gone.push(*lane);
            }
            false
        });
    }

    /// The caller keeps nothing about a lane reported gone; its number may be reused.
    pub fn forget(&mut self, lane: LaneId) {
        self.lanes[lane.index()] = None;
        let mut registry = lock(&self.shared.lanes);
        registry.lanes[lane.index()] = None;
        registry.vacant.push(lane.0);
    }

    /// No claim begins any more: the next one fails with `Closed`, and senders that wait for memory are woken with it.
    /// Claims in progress may still commit and what is published stays readable; lanes that hold something and were not listed yet are
    /// appended to `pending`.
    pub fn close(&mut self, pending: &mut Vec<LaneId>) {
        if self.closed {
            return;
        }
        self.closed = true;
        let all = {
            let mut registry = lock(&self.shared.lanes);
            registry.closed = true;
            registry.lanes.iter().flatten().cloned().collect::<Vec<_>>()
        };
        for lane in &all {
            let alive = lane.set_state(CLOSED) == ACTIVE;
            let reader = self.reader(lane.index);
            reader.listed = alive && !reader.active;
        }
        if !mutant!("close_barrier_missing") {
            heavy_barrier(); // a claim that began before is in `reserved` by now (I5)
        }
        for lane in &all {
            let reader = self.reader(lane.index);
            reader.committed = reader.shared.observe();
            let idle = reader.shared.reserved() == reader.committed && reader.committed == reader.position;
            if !idle {
                self.hand_out(lane.index, pending);
            }
        }
        self.memory.close(&self.shared);
    }

    /// The last word: nothing that commits from now on is seen; it fails at its producer. What [`IoSide::observe`] shows
    /// after this is all there will ever be. Lanes that hold something and were not listed yet are appended to `pending`.
    pub fn finish(&mut self, pending: &mut Vec<LaneId>) {
        self.close(pending);
        if self.finished {
            return;
        }
        self.finished = true;
        let all: Vec<_> = lock(&self.shared.lanes).lanes.iter().flatten().cloned().collect();
        for lane in &all {
            if lane.state() != DEAD_FINAL {
                lane.set_state(DEAD);
            }
        }
        if !mutant!("finish_barrier_missing") {
            heavy_barrier(); // a commit either shows now, or sees DEAD
        }
        for lane in &all {
            let reader = self.reader(lane.index);
            if reader.shared.state() == DEAD {
                reader.committed = reader.shared.observe();
                reader.shared.finish(reader.committed);
            }
            if reader.committed != reader.position {
                self.hand_out(lane.index, pending);
            }
        }
    }
}
