//! SIGINT and SIGTERM. While records are being sent, the first one ends the sending in good order, the second one the program.

use crate::Failure;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Until it watches, a signal ends the program at once, as it does everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    came: Arc<AtomicUsize>,
}

impl Interrupt {
    /// From now on signals are noted.
    pub(crate) fn watch(&self) -> Result<(), Failure> {
        let once = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In the order in which they act: the second signal finds the flag that the first one has set.
            flag::register_conditional_default(signal, Arc::clone(&once)).map_err(Failure::run)?;
            flag::register(signal, Arc::clone(&once)).map_err(Failure::run)?;
            flag::register_usize(signal, Arc::clone(&self.came), signal as usize).map_err(Failure::run)?;
        }
        Ok(())
    }

    /// The signal that came.
    pub(crate) fn signal(&self) -> Option<i32> {
        match self.came.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}

/// The same two, for who does nothing but wait for one of them.
#[cfg(all(unix, not(forebay_portable)))]
pub(crate) struct Awaited(signal_hook::iterator::Signals);

#[cfg(all(unix, not(forebay_portable)))]
impl Awaited {
    /// From now on they are noted.
    pub(crate) fn new() -> io::Result<Self> {
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    pub(crate) fn wait(mut self) {
        // Only ends without a signal if the handle is closed, and nobody has it.
        let _ = self.0.forever().next();
    }
}

/// The same two, where a thread cannot sleep until a signal comes.
#[cfg(any(not(unix), forebay_portable))]
pub(crate) struct Awaited(Arc<AtomicBool>);

#[cfg(any(not(unix), forebay_portable))]
impl Awaited {
    /// From now on they are noted.
    pub(crate) fn new() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&came))?;
        }
        Ok(Self(came))
    }

    pub(crate) fn wait(self) {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
