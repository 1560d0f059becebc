//! The compression threads (`io.compression.threads`): jobs that take their time and come back in any order. No batch shrinks
//! here: what the codecs do is not this simulation's business.

use std::time::Duration;

use crate::events::Event;
use crate::plan::us;
use crate::world::World;

/// Of one in eight; a close does not wait for them beyond its deadline.
const LONGEST_JOB: Duration = Duration::from_millis(40);

impl World {
    /// The I/O thread hands out what the core wants compressed.
    pub(crate) fn hand_out_jobs(&mut self) {
        while let Some(job) = self.core.next_job() {
            self.trace(|| format!("out: {job:?}"));
            self.jobs.push(job);
            let long = if self.rng.u32(..8) == 0 { LONGEST_JOB } else { us(2_000) };
            let at = self.now + us(self.rng.u64(1..long.as_micros() as u64));
            self.events.add(at, Event::Packed);
        }
    }

    /// One of the jobs is done.
    pub(crate) fn job_done(&mut self) {
        let at = self.rng.usize(..self.jobs.len());
        self.packed.push(self.jobs.swap_remove(at));
        self.wake_io();
    }

    /// The I/O thread takes back what is done.
    pub(crate) fn take_jobs_back(&mut self) {
        for job in std::mem::take(&mut self.packed) {
            self.trace(|| format!("back: {job:?}"));
            self.core.packed(job);
        }
    }
}
