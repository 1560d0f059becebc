//! What wakes the I/O thread out of its poll.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forebay_engine::Ring;
use mio::{Poll, Token, Waker};

use super::Clock;
use crate::time::Time;

/// The token of the bell; connections have the numbers from 0.
pub(super) const BELL: Token = Token(usize::MAX);

/// Wakes the I/O thread. Made before the engine, which needs it, and before the driver, which sleeps on its poll.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waker: Waker,
    clock: Clock,
    /// When it was first rung since somebody asked; the end of time if it was not.
    rung: AtomicU64,
}

impl Bell {
    /// A bell and the poll that it wakes. Its clock is the driver's, and begins now.
    ///
    /// # Errors
    /// The system has no descriptor left, or no memory for one.
    pub fn new() -> io::Result<(Poll, Self)> {
        Self::with(Clock::start())
    }

    /// As [`Bell::new`], for a driver that tells the time of another one's clock.
    ///
    /// # Errors
    /// As [`Bell::new`].
    pub fn with(clock: Clock) -> io::Result<(Poll, Self)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), BELL)?;
        Ok((poll, Self(Arc::new(Inner { waker, clock, rung: AtomicU64::new(Time::MAX.0) }))))
    }

    /// The time that the driver tells its core.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// When it was first rung since the last call, if it was.
    pub(super) fn answer(&self) -> Option<Time> {
        let rung = Time(self.0.rung.swap(Time::MAX.0, Ordering::Relaxed));
        (rung != Time::MAX).then_some(rung)
    }
}

impl Ring for Bell {
    fn ring(&self) {
        // The time goes before: whoever wakes by this ring finds it.
        self.0.rung.fetch_min(self.0.clock.now().0, Ordering::Relaxed);
        // It fails only if the poll is gone, and then there is nobody to wake.
        let _ = self.0.waker.wake();
    }
}
