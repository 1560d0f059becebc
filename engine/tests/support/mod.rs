//! What the tests of the engine share.

use forebay_engine::Ring;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts how often it was rung.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Ring for Bell {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
