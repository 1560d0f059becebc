//! The application's end of the I/O thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use forebay_engine::Ring;

use super::Bell;
use super::alarms::{Alarm, Alarms};
use super::requests::Requests;
use crate::core::Request;
use crate::time::Time;
use crate::wall::Wall;

/// The application's end of a driver.
///
/// Dropping it does not end the I/O thread: request [`Request::Close`] and [`DriverHandle::join`].
#[derive(Debug)]
pub struct DriverHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) io_thread: ThreadId,
    /// Locked while somebody waits for the end, so that everybody else who does waits as well.
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) requests: Requests,
    pub(super) alarms: Alarms,
    pub(super) bell: Bell,
    pub(super) poisoned: AtomicBool,
    pub(super) clock: Clock,
    pub(super) wall: Arc<Wall>,
}

/// The time that a driver tells its core.
#[derive(Copy, Clone, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The core's moment now.
    pub fn now(&self) -> Time {
        Time::ZERO + self.0.elapsed()
    }
}

/// The I/O thread has ended; nothing can be requested of it any more.
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the I/O thread has ended")]
pub struct Ended;

impl DriverHandle {
    /// Hands a request to the I/O thread.
    ///
    /// # Errors
    /// [`Ended`] if it has ended; nobody will act on the request.
    pub fn request(&self, request: Request) -> Result<(), Ended> {
        self.shared.requests.add(request, || self.shared.bell.ring())
    }

    /// The time of day that the I/O thread shows.
    pub fn wall(&self) -> Arc<Wall> {
        self.shared.wall.clone()
    }

    /// The core's moment that is `after` from now.
    pub fn time_after(&self, after: Duration) -> Time {
        self.shared.now() + after
    }

    /// Has the I/O thread call `waker` once, `after` from now or some milliseconds later; at once if it has ended.
    pub fn alarm(&self, after: Duration, waker: Waker) -> Alarm {
        self.shared.alarms.set(self.time_after(after), waker, || self.shared.bell.ring())
    }

    /// Takes an alarm back: its waker is not called any more, or has been.
    pub fn cancel(&self, alarm: Alarm) {
        self.shared.alarms.cancel(alarm);
    }

    /// Whether the I/O thread has panicked.
    pub fn is_poisoned(&self) -> bool {
        self.shared.poisoned.load(Ordering::Acquire)
    }

    /// Whether the I/O thread has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.requests.have_ended()
    }

    /// Whether the caller is the I/O thread, which must not wait for itself: a delivery callback.
    pub fn is_io_thread(&self) -> bool {
        thread::current().id() == self.io_thread
    }

    /// Waits for the I/O thread to end, however many do. Returns at once when called on that thread.
    pub fn join(&self) {
        if self.is_io_thread() {
            return;
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic was caught and told on the thread itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }
}
