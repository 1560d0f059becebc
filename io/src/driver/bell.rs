//! What wakes the I/O thread out of its poll.

use std::io;
use std::sync::Arc;

use forebay_engine::Ring;
use mio::{Poll, Token, Waker};

/// The token of the bell; connections have the numbers from 0.
pub(super) const BELL: Token = Token(usize::MAX);

/// Wakes the I/O thread. Made before the engine, which needs it, and before the driver, which sleeps on its poll.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Waker>);

impl Bell {
    /// A bell and the poll that it wakes.
    ///
    /// # Errors
    /// The system has no descriptor left, or no memory for one.
    pub fn new() -> io::Result<(Poll, Self)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), BELL)?;
        Ok((poll, Self(Arc::new(waker))))
    }
}

impl Ring for Bell {
    fn ring(&self) {
        // It fails only if the poll is gone, and then there is nobody to wake.
        let _ = self.0.wake();
    }
}
