//! When a thread's records are due, and how it waits for that.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

/// A thread that is ahead of its pace by less than this goes on: sleeping for less would cost more than it keeps apart.
pub const LEAST_SLEEP: Duration = Duration::from_micros(200);

/// Records at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time from one to the next.
    pub every: Duration,
    /// Waits on the clock instead of sleeping: no record comes early, and the thread keeps its processor and its caches.
    pub spins: bool,
}

impl Pace {
    /// Waits until number `record`, from 0, of what began at `start` is due. True: the thread slept.
    pub fn keep(self, start: Instant, record: u64) -> bool {
        let due = Duration::from_nanos((self.every.as_nanos() as u64).saturating_mul(record));
        if self.spins {
            while start.elapsed() < due {
                hint::spin_loop();
            }
            return false;
        }
        let ahead = due.saturating_sub(start.elapsed());
        let sleeps = ahead >= LEAST_SLEEP || (!ahead.is_zero() && self.every >= LEAST_SLEEP);
        if sleeps {
            thread::sleep(ahead);
        }
        sleeps
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST_SLEEP, Pace};
    use std::time::{Duration, Instant};

    #[test]
    fn no_record_of_one_that_spins_comes_early() {
        let pace = Pace { every: Duration::from_micros(100), spins: true };
        let start = Instant::now();
        for record in 0..20 {
            assert!(!pace.keep(start, record), "it slept");
            assert!(start.elapsed() >= pace.every * record as u32);
        }
    }

    #[test]
    fn one_that_sleeps_goes_on_while_it_is_hardly_ahead() {
        let pace = Pace { every: Duration::from_secs(1), spins: false };
        assert!(!pace.keep(Instant::now(), 0), "due at once");
        let pace = Pace { every: Duration::from_micros(1), spins: false };
        assert!(!pace.keep(Instant::now(), 100), "ahead by less than a sleep is worth");
        // Far enough that a machine that is busy is not there before.
        let pace = Pace { every: LEAST_SLEEP, spins: false };
        let start = Instant::now();
        assert!(pace.keep(start, 1_000));
        assert!(start.elapsed() >= 1_000 * LEAST_SLEEP);
        assert!(!pace.keep(start, 1_000), "due by now");
    }
}
