//! The time of day that the I/O thread shows to senders.
//!
//! A record's timestamp is milliseconds; to ask the system for it costs a sender 7 to 10 ns. The I/O
//! thread looks at the clock anyway. So it shows the time while it is at work or naps briefly, and takes it away before it
//! sleeps or runs code of the application: then senders ask the system. What is shown is as old as a turn or a short nap of
//! that thread, and what the system's coarse clock is behind.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// See the module's page.
#[derive(Debug, Default)]
#[repr(align(64))] // read for each record, written once a tick of the clock: nothing else may be written here
pub struct Wall(AtomicI64);

impl Wall {
    /// Nobody shows the time.
    pub const HIDDEN: i64 = 0;
    /// A longer sleep is too long for the time to stay up.
    pub const NAP: Duration = Duration::from_millis(5);

    /// The time that is shown, in milliseconds since 1970, or [`Wall::HIDDEN`].
    #[inline(always)]
    pub fn shown(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Shows the time, freshly read.
    pub fn show(&self) {
        self.set(Self::read());
    }

    /// Shows this time.
    pub fn set(&self, now: i64) {
        // Written only when it changes, so that the line stays in the senders' caches.
        if self.shown() != now {
            self.0.store(now, Ordering::Relaxed);
        }
    }

    /// Takes the time away.
    pub fn hide(&self) {
        self.set(Self::HIDDEN);
    }

    /// Milliseconds since 1970 from the system's coarse clock: up to one kernel tick (1–10 ms) behind, and several times cheaper than
    /// the exact one.
    #[cfg(all(target_os = "linux", not(forebay_portable)))]
    pub fn read() -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
    }

    /// Milliseconds since 1970.
    #[cfg(any(not(target_os = "linux"), forebay_portable))]
    pub fn read() -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Wall;

    #[test]
    fn it_is_the_time_of_day_until_it_is_hidden() {
        let exact = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let wall = Wall::default();
        assert_eq!(wall.shown(), Wall::HIDDEN);
        wall.show();
        assert!((exact.as_millis() as i64 - wall.shown()).abs() < 60_000, "{} is not now", wall.shown());
        wall.hide();
        assert_eq!(wall.shown(), Wall::HIDDEN);
    }
}
