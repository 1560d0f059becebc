//! What the I/O side does with lanes and runs.

use crate::rest::{Held, Rest};
use forebay_engine::LaneId;

impl Rest {
    pub(crate) fn collect(&mut self) {
        let mut ready = Vec::new();
        self.io.collect_ready(&mut ready);
        self.activate(&ready);
        for (index, queue) in self.queues.iter().enumerate() {
            let Some(queue) = queue else { continue };
            assert!(queue.active || queue.bytes.is_empty(), "lane {index} holds bytes and is not listed");
        }
    }

    pub(crate) fn activate(&mut self, lanes: &[LaneId]) {
        for lane in lanes {
            assert!(!std::mem::replace(&mut self.queue(*lane).active, true), "listed twice");
            self.active.push(*lane);
        }
    }

    /// Answers the bytes taken.
    pub(crate) fn take_from(&mut self, lane: LaneId, most: usize) -> usize {
        let seen = self.io.observe(lane);
        let queue = self.queues[lane.index()].as_mut().expect("registered");
        queue.unseen = 0;
        assert!(seen >= queue.bytes.len() && (seen == 0) == queue.bytes.is_empty(), "{seen} bytes seen");
        let window = queue.bytes.front().map(|&(window, _)| window);
        assert_eq!(self.io.peek_window(lane), window);
        let (mut taken, mut runs, mut left) = (Vec::new(), Vec::new(), most);
        let count = self.io.take(lane, &mut runs, |slice| {
            assert!(!slice.is_empty());
            let accepted = slice.len().min(left);
            left -= accepted;
            taken.extend_from_slice(&slice[..accepted]);
            accepted
        });
        assert_eq!(count, taken.len());
        let available = queue.bytes.iter().take_while(|&&(tag, _)| Some(tag) == window).count();
        assert_eq!(count, available.min(most), "all of the first window, up to the limit");
        for byte in &taken {
            assert_eq!(queue.bytes.pop_front(), window.map(|window| (window, *byte)));
        }
        assert_eq!(self.io.merged(&runs).collect::<Vec<_>>().concat(), taken);
        queue.held += runs.len();
        let mut rest = &taken[..];
        for run in runs {
            let (bytes, after) = rest.split_at(run.len());
            rest = after;
            self.held.push(Held { lane, run, bytes: bytes.to_vec() });
        }
        assert!(rest.is_empty());
        count
    }

    pub(crate) fn answer(&mut self, at: usize) {
        let Held { lane, run, bytes } = self.held.swap_remove(at);
        assert_eq!(self.io.bytes(&run), bytes);
        self.io.release(run);
        self.queue(lane).held -= 1;
        self.forget();
    }

    pub(crate) fn retry(&mut self, at: usize) {
        let held = &mut self.held[at];
        let bytes = self.io.bytes_mut(&mut held.run);
        assert_eq!(bytes, held.bytes);
        bytes[0] = !bytes[0];
        held.bytes[0] = !held.bytes[0];
    }

    pub(crate) fn split(&mut self, at: usize, cut: usize) {
        let len = self.held[at].run.len();
        if len < 2 {
            return;
        }
        let cut = 1 + cut % (len - 1);
        let Held { lane, run, mut bytes } = self.held.swap_remove(at);
        let (first, second) = self.io.split_run(run, cut);
        assert!(self.io.slices_adjacent(&first, &second));
        let tail = bytes.split_off(cut);
        self.held.push(Held { lane, run: first, bytes });
        self.held.push(Held { lane, run: second, bytes: tail });
        self.queue(lane).held += 1;
    }

    pub(crate) fn retire(&mut self) {
        self.collect();
        let mut gone = Vec::new();
        let before = std::mem::take(&mut self.active);
        let mut lanes = before.clone();
        self.io.retire(&mut lanes, &mut gone);
        let finished = self.finished;
        let mut left = 0;
        for lane in before {
            let active = lanes.contains(&lane);
            let queue = self.queue(lane);
            queue.active = active;
            queue.unseen = 0;
            // Of a claim that is held beyond the last word, the lane's other segments are not touched.
            if !active && !queue.claimed {
                queue.ahead = 0;
            }
            let busy = !queue.bytes.is_empty() || (queue.claimed && !finished);
            assert_eq!(active, busy, "drained lanes retire, and only they");
            left += usize::from(!active && (queue.claimed || queue.refused));
        }
        self.left += left;
        self.active = lanes;
        self.gone.extend(gone);
        self.forget();
    }

    /// Forgets lanes that are gone once nothing of theirs is held.
    pub(crate) fn forget(&mut self) {
        let Self { io, queues, gone, .. } = self;
        gone.retain(|lane| {
            if queues[lane.index()].as_ref().is_some_and(|queue| queue.held > 0) {
                return true;
            }
            let queue = queues[lane.index()].take().expect("gone once");
            assert!(queue.bytes.is_empty() && !queue.active, "gone with bytes, or while it is listed");
            io.forget(*lane);
            false
        });
    }
}
