//! The one door to atomics, locks and parking: the standard library's, or loom's under `cfg(loom)`.

#[cfg(not(loom))]
mod imp {
    pub(crate) type AtomicU32 = std::sync::atomic::AtomicU32;
    pub(crate) type AtomicU64 = std::sync::atomic::AtomicU64;
    pub(crate) type AtomicI64 = std::sync::atomic::AtomicI64;
    pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;
    pub(crate) type Arc<T> = std::sync::Arc<T>;
    pub(crate) type Parker = crossbeam_utils::sync::Parker;
    pub(crate) type Unparker = crossbeam_utils::sync::Unparker;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::fence;

    /// The producer's half of the asymmetric barrier: a compiler fence where the system has `membarrier`.
    #[inline(always)]
    pub(crate) fn light_barrier() {
        membarrier2::light();
    }

    /// The sleeper's half: after it, every thread has seen what every other stored before its light half.
    pub(crate) fn heavy_barrier() {
        membarrier2::heavy();
    }

    pub(crate) fn park(parker: &Parker, timeout: Option<std::time::Duration>) {
        match timeout {
            Some(limit) => parker.park_timeout(limit),
            None => parker.park(),
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) type AtomicU32 = loom::sync::atomic::AtomicU32;
    pub(crate) type AtomicU64 = loom::sync::atomic::AtomicU64;
    pub(crate) type AtomicI64 = loom::sync::atomic::AtomicI64;
    pub(crate) type AtomicBool = loom::sync::atomic::AtomicBool;
    pub(crate) type Mutex<T> = loom::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;
    pub(crate) type Arc<T> = loom::sync::Arc<T>;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::fence;
    use std::sync::atomic::Ordering;

    /// loom has no asymmetric barrier: both halves are real fences, which is what the pair promises.
    pub(crate) fn light_barrier() {
        if !cfg!(mutant = "light_barrier_missing") {
            fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy_barrier() {
        if !cfg!(mutant = "heavy_barrier_missing") {
            fence(Ordering::SeqCst);
        }
    }

    /// A parker on loom's own primitives. `park_timeout` never times out in loom: a deadline is an event of the model.
    pub(crate) struct Parker(Arc<(Mutex<bool>, loom::sync::Condvar)>);

    #[derive(Clone)]
    pub(crate) struct Unparker(Arc<(Mutex<bool>, loom::sync::Condvar)>);

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker(Arc::new((Mutex::new(false), loom::sync::Condvar::new())))
        }

        pub(crate) fn new_unparker(&self) -> Unparker {
            Unparker(self.0.clone())
        }
    }

    impl Unparker {
        pub(crate) fn unpark(&self) {
            let mut token = self.0.0.lock().unwrap();
            *token = true;
            self.0.1.notify_one();
        }
    }

    pub(crate) fn park(parker: &Parker, _timeout: Option<std::time::Duration>) {
        let mut token = parker.0.0.lock().unwrap();
        while !*token {
            token = parker.0.1.wait(token).unwrap();
        }
        *token = false;
    }
}

pub(crate) use imp::*;

/// A parker and a handle that wakes it.
pub(crate) fn parker() -> (Parker, Unparker) {
    let parker = Parker::new();
    #[cfg(not(loom))]
    let unparker = parker.unparker().clone();
    #[cfg(loom)]
    let unparker = parker.new_unparker();
    (parker, unparker)
}

/// Locks; a panic elsewhere never poisons what these locks guard, because nothing under them can panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
