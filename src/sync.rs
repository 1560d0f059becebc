//! The one door to the locks and waits that application threads and the I/O thread share: the standard library's, or loom's under
//! `cfg(loom)`.

#[cfg(not(loom))]
mod imp {
    use std::sync::PoisonError;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    use std::time::Instant;

    /// Waits for `changed` until `deadline`; may wake early. True: the deadline has passed, and nothing was waited for.
    pub(crate) fn wait_until<'a, T>(
        changed: &Condvar,
        _mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (guard, true);
        }
        (changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0, false)
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    use std::sync::atomic::Ordering::{Acquire, Release};
    use std::time::Instant;

    loom::lazy_static! {
        static ref PASSED: loom::sync::atomic::AtomicBool = loom::sync::atomic::AtomicBool::new(false);
    }

    /// loom has no time: the deadline, which is the same for everybody, is an event of the model.
    pub(crate) fn deadline_comes() {
        PASSED.store(true, Release);
    }

    pub(crate) fn wait_until<'a, T>(
        _changed: &Condvar,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        _deadline: Instant,
    ) -> (MutexGuard<'a, T>, bool) {
        if PASSED.load(Acquire) {
            return (guard, true);
        }
        drop(guard);
        loom::thread::yield_now();
        (super::lock(mutex), false)
    }
}

pub(crate) use imp::*;
use std::sync::PoisonError;

/// Locks; what these locks guard is whole again after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for `changed`; may wake early.
pub(crate) fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
