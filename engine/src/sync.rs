//! The one door to atomics, locks and parking: the standard library's, loom's under `cfg(loom)`, or shuttle's under
//! `cfg(shuttle)`.

#[cfg(not(any(loom, shuttle)))]
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
        #[cfg(not(forebay_portable))]
        membarrier2::light();
        // What membarrier2 does where there is no such call.
        #[cfg(forebay_portable)]
        fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// The sleeper's half: after it, every thread has seen what every other stored before its light half.
    pub(crate) fn heavy_barrier() {
        #[cfg(not(forebay_portable))]
        membarrier2::heavy();
        #[cfg(forebay_portable)]
        fence(std::sync::atomic::Ordering::SeqCst);
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
    pub(crate) type Mutex<T> = loom::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;
    pub(crate) type Condvar = loom::sync::Condvar;
    pub(crate) type Arc<T> = loom::sync::Arc<T>;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::fence;
    use std::sync::atomic::Ordering;

    /// An atomic of loom's that also shows it every load. loom remembers only the last access to an atomic: a load that another
    /// thread's load follows is forgotten, and the store after that is then never tried before it (seen with loom 0.7.3: a model
    /// of "load; the other loads and exchanges" explored one interleaving). A relaxed write to a word of its own beside each load
    /// makes loads count, and orders nothing.
    macro_rules! atomic {
        ($name:ident, $value:ty) => {
            pub(crate) struct $name {
                value: loom::sync::atomic::$name,
                loads: loom::sync::atomic::AtomicUsize,
            }

            #[allow(dead_code)] // each type has what some atomic of the engine needs
            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    $name {
                        value: loom::sync::atomic::$name::new(value),
                        loads: loom::sync::atomic::AtomicUsize::new(0),
                    }
                }

                pub(crate) fn load(&self, order: impl Into<Ordering>) -> $value {
                    self.loads.fetch_add(1, Ordering::Relaxed);
                    self.value.load(order.into())
                }

                pub(crate) fn store(&self, value: $value, order: impl Into<Ordering>) {
                    self.value.store(value, order.into());
                }

                pub(crate) fn swap(&self, value: $value, order: impl Into<Ordering>) -> $value {
                    self.value.swap(value, order.into())
                }

                pub(crate) fn compare_exchange(
                    &self,
                    from: $value,
                    to: $value,
                    order: impl Into<Ordering>,
                    failed: impl Into<Ordering>,
                ) -> Result<$value, $value> {
                    self.value.compare_exchange(from, to, order.into(), failed.into())
                }

                pub(crate) fn compare_exchange_weak(
                    &self,
                    from: $value,
                    to: $value,
                    order: impl Into<Ordering>,
                    failed: impl Into<Ordering>,
                ) -> Result<$value, $value> {
                    self.value.compare_exchange_weak(from, to, order.into(), failed.into())
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
    atomic!(AtomicI64, i64);
    atomic!(AtomicBool, bool);

    impl AtomicU32 {
        pub(crate) fn fetch_add(&self, value: u32, order: impl Into<Ordering>) -> u32 {
            self.value.fetch_add(value, order.into())
        }

        pub(crate) fn fetch_sub(&self, value: u32, order: impl Into<Ordering>) -> u32 {
            self.value.fetch_sub(value, order.into())
        }
    }

    /// loom has no asymmetric barrier: both halves are real fences, which is what the pair promises.
    pub(crate) fn light_barrier() {
        if !mutant!("light_barrier_missing") {
            fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy_barrier() {
        if !mutant!("heavy_barrier_missing") {
            fence(Ordering::SeqCst);
        }
    }
}

/// Every access is a point where shuttle may switch threads, and all of them are sequentially consistent: what is looked for
/// here is wrong steps, not wrong orderings, which are loom's.
#[cfg(all(shuttle, not(loom)))]
mod imp {
    pub(crate) type AtomicU32 = shuttle::sync::atomic::AtomicU32;
    pub(crate) type AtomicU64 = shuttle::sync::atomic::AtomicU64;
    pub(crate) type AtomicI64 = shuttle::sync::atomic::AtomicI64;
    pub(crate) type AtomicBool = shuttle::sync::atomic::AtomicBool;
    pub(crate) type Mutex<T> = shuttle::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;
    pub(crate) type Condvar = shuttle::sync::Condvar;
    pub(crate) type Arc<T> = shuttle::sync::Arc<T>;
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::fence;

    /// Nothing to order: see above.
    pub(crate) fn light_barrier() {}

    pub(crate) fn heavy_barrier() {}
}

/// A parker on the model's own primitives. Models have no time: a park with a limit returns at once, as any may, and its caller looks
/// again whether the deadline has come, which is an event of the model.
#[cfg(any(loom, shuttle))]
mod parking {
    use super::imp::{Arc, Condvar, Mutex};

    pub(crate) struct Parker(Arc<(Mutex<bool>, Condvar)>);

    #[derive(Clone)]
    pub(crate) struct Unparker(Arc<(Mutex<bool>, Condvar)>);

    impl Parker {
        pub(crate) fn new() -> Self {
            Parker(Arc::new((Mutex::new(false), Condvar::new())))
        }

        pub(crate) fn unparker(&self) -> Unparker {
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

    pub(crate) fn park(parker: &Parker, timeout: Option<std::time::Duration>) {
        if timeout.is_some() {
            #[cfg(loom)]
            loom::thread::yield_now();
            #[cfg(not(loom))]
            shuttle::thread::yield_now();
            return;
        }
        let mut token = parker.0.0.lock().unwrap();
        while !*token {
            token = parker.0.1.wait(token).unwrap();
        }
        *token = false;
    }
}

pub(crate) use imp::*;
#[cfg(any(loom, shuttle))]
pub(crate) use parking::*;

/// A parker and a handle that wakes it.
pub(crate) fn parker() -> (Parker, Unparker) {
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    (parker, unparker)
}

/// Locks; a panic elsewhere never poisons what these locks guard, because nothing under them can panic half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
