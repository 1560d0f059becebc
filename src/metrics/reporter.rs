//! A thread that tells the figures on an interval: to the statistics callback, and to the `metrics` facade.
//!
//! There is none unless one of the two is asked for. It holds nothing that keeps a producer open.

use super::read::Source;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// One thing that is told on an interval.
pub(crate) struct Task {
    every: Duration,
    tell: Box<dyn FnMut(&Source) + Send>,
}

#[cfg(any(feature = "statistics", feature = "metrics"))]
impl Task {
    pub(crate) fn new(every: Duration, tell: impl FnMut(&Source) + Send + 'static) -> Self {
        Task { every, tell: Box::new(tell) }
    }
}

/// The application's end of the thread.
pub(crate) struct Reporter {
    shared: Arc<Shared>,
    id: ThreadId,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Reporter {
    /// Starts the thread, if there is something to tell.
    pub(crate) fn start(source: Source, tasks: Vec<Task>) -> std::io::Result<Option<Reporter>> {
        if tasks.is_empty() {
            return Ok(None);
        }
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread =
            thread::Builder::new().name("forebay-report".to_owned()).spawn(move || run(&source, tasks, &theirs))?;
        Ok(Some(Reporter { shared, id: thread.thread().id(), thread: Mutex::new(Some(thread)) }))
    }

    /// Has everything told once more, and ends the thread. `waits` for that, unless called on the thread itself.
    pub(crate) fn end(&self, waits: bool) {
        *lock(&self.shared.ended) = true;
        self.shared.changed.notify_all();
        if waits && thread::current().id() != self.id {
            let thread = lock(&self.thread).take();
            if let Some(thread) = thread {
                // A panic of the callback was caught on the thread.
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.end(false);
    }
}

fn run(source: &Source, mut tasks: Vec<Task>, shared: &Shared) {
    let begun = Instant::now();
    let mut due: Vec<_> = tasks.iter().map(|task| begun.checked_add(task.every)).collect();
    loop {
        let next = due.iter().flatten().min().copied();
        let ended = sleep(shared, next);
        let now = Instant::now();
        for (task, due) in tasks.iter_mut().zip(&mut due) {
            if ended || due.is_some_and(|due| due <= now) {
                // From now on, not from when it was due: after a pause of the machine there is no burst.
                *due = now.checked_add(task.every);
                if catch_unwind(AssertUnwindSafe(|| (task.tell)(source))).is_err() {
                    tracing::error!(target: "forebay::statistics", "a statistics callback or a metrics recorder has panicked");
                }
            }
        }
        if ended {
            return;
        }
    }
}

/// Waits for a moment or the end; answers whether it was the end.
fn sleep(shared: &Shared, until: Option<Instant>) -> bool {
    let mut ended = lock(&shared.ended);
    while !*ended {
        let Some(until) = until else {
            ended = shared.changed.wait(ended).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        ended = shared.changed.wait_timeout(ended, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    *ended
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
