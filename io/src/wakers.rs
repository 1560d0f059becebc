//! Tasks that wait: their wakers are the application's code, and are called by whoever decides what they wait for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::thread;

/// Wakes all. A panic in one must not keep the others asleep: answers with the first one. Call it without a lock.
///
/// # Errors
/// What the first waker that panicked said.
pub fn wake_all(wakers: impl IntoIterator<Item = Waker>) -> thread::Result<()> {
    wakers.into_iter().map(|waker| catch_unwind(AssertUnwindSafe(|| waker.wake()))).fold(Ok(()), Result::and)
}

/// The same where nobody is to end for it.
pub(crate) fn wake_all_and_go_on(wakers: impl IntoIterator<Item = Waker>) {
    if wake_all(wakers).is_err() {
        tracing::error!(target: "forebay::io", "a waker has panicked; its task is not called again");
    }
}

/// What the crate's tests of wakers share.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    /// Counts how often it is called.
    #[derive(Debug, Default)]
    pub(crate) struct Calls(AtomicU32);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Calls {
        pub(crate) fn count(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Panics when it is called.
    pub(crate) struct Broken;

    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("a bug of the application's");
        }
    }
}
