//! The time of a record, read cheaply.

use forebay_io::wall::Wall;
use forebay_io::wire::compact::Moment;
use forebay_io::wire::record::WINDOW_MS;
use std::sync::Arc;

/// Before the first look. No moment that is ever shown, nor [`Wall::HIDDEN`].
const NEVER: i64 = i64::MIN;

/// A sender's clock: what its records of one tick have in common is worked out once a tick.
///
/// The time is the one that the I/O thread shows, or else the system's coarse clock. To read that one for each record takes
/// 7 to 10 ns.
pub(crate) struct Tick {
    now: i64,
    window: i64,
    moment: Moment,
    wall: Arc<Wall>,
}

impl Tick {
    pub(crate) fn new(wall: Arc<Wall>) -> Self {
        Tick { now: NEVER, window: 0, moment: Moment::START, wall }
    }

    /// Looks at the time. What the other functions answer is of this moment.
    #[inline(always)]
    pub(crate) fn look(&mut self) {
        let shown = self.wall.shown();
        if shown != self.now {
            self.advance(shown);
        }
    }

    #[inline(never)]
    fn advance(&mut self, shown: i64) {
        let now = if shown == Wall::HIDDEN { Wall::read() } else { shown };
        if now != self.now {
            self.now = now;
            self.window = now & !(WINDOW_MS - 1);
            self.moment = Moment::of(now - self.window).unwrap_or(Moment::START);
        }
    }

    /// Milliseconds since 1970.
    #[inline(always)]
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// The start of the window that it lies in.
    #[inline(always)]
    pub(crate) fn window(&self) -> i64 {
        self.window
    }

    /// Timestamp and encoding of a record's time: its own, or now. None if its own is not in the window.
    #[inline(always)]
    pub(crate) fn moment(&self, own: Option<i64>) -> Option<(i64, Moment)> {
        match own {
            None => Some((self.now, self.moment)),
            Some(own) => Moment::of(own.wrapping_sub(self.window)).map(|moment| (own, moment)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_believed_and_else_the_systems_clock() {
        let wall = Arc::new(Wall::default());
        let mut tick = Tick::new(wall.clone());
        let before = Wall::read();
        tick.look();
        assert!((before..=Wall::read()).contains(&tick.now()), "nobody shows the time");
        wall.set(1_700_000_000_123);
        tick.look();
        assert_eq!((tick.now(), tick.window()), (1_700_000_000_123, 1_700_000_000_123 - 1_700_000_000_123 % 8192));
        assert_eq!(tick.moment(None), Some((tick.now(), Moment::of(tick.now() - tick.window()).expect("in it"))));
        assert_eq!(tick.moment(Some(tick.window() + 5)), Some((tick.window() + 5, Moment::of(5).expect("in it"))));
        assert_eq!(tick.moment(Some(tick.window() - 1)), None);
        wall.hide();
        tick.look();
        assert!(tick.now() >= before);
    }
}
