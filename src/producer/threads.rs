//! A producer's I/O threads (`io.threads`), spoken to as if they were one.

use forebay_io::core::Request;
use forebay_io::driver::{Alarm, DriverHandle, Ended};
use forebay_io::topics::TopicId;
use forebay_io::wall::Wall;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

/// The handles of all I/O threads. Made before them, as each must be able to end the others when it fails.
#[derive(Default)]
pub(crate) struct IoThreads(OnceLock<Box<[DriverHandle]>>);

impl IoThreads {
    /// These have started: all of them, or those before one that did not.
    pub(super) fn have_started(&self, handles: Vec<DriverHandle>) {
        let _first = self.0.set(handles.into());
        // One that failed before now found nobody to end.
        if self.has_one_ended() {
            self.close(Duration::ZERO);
        }
    }

    fn all(&self) -> &[DriverHandle] {
        self.0.get().map_or(&[], |all| all)
    }

    /// Somebody waits for a topic's partitions.
    pub(super) fn want_topic(&self, topic: TopicId) -> Result<(), Ended> {
        self.request(|_| Request::WantTopic(topic))
    }

    /// Somebody waits for a partition that a topic has not had so far.
    pub(super) fn want_more(&self, topic: TopicId) -> Result<(), Ended> {
        self.request(|_| Request::WantMore(topic))
    }

    /// To be answered by each of them.
    pub(super) fn flush(&self, token: u64) -> Result<(), Ended> {
        self.request(|_| Request::Flush { token })
    }

    /// Has one of them call `waker` once, `after` from now; at once if it has ended.
    pub(crate) fn alarm(&self, thread: usize, after: Duration, waker: Waker) -> Option<Alarm> {
        self.all().get(thread).map(|thread| thread.alarm(after, waker))
    }

    /// Takes an alarm back from the thread that it was set on.
    pub(crate) fn cancel(&self, thread: usize, alarm: Alarm) {
        if let Some(thread) = self.all().get(thread) {
            thread.cancel(alarm);
        }
    }

    /// Begins the end of all of them. Those that have ended are left in peace.
    pub(super) fn close(&self, timeout: Duration) {
        for thread in self.all() {
            let _ = thread.request(Request::Close { deadline: thread.time_after(timeout) });
        }
    }

    /// Asks all of them. With one that has ended the producer has.
    fn request(&self, make: impl Fn(&DriverHandle) -> Request) -> Result<(), Ended> {
        self.all().iter().try_for_each(|thread| thread.request(make(thread)))
    }

    /// Waits for the end of all of them. Not to be called on one of them.
    pub(super) fn join(&self) {
        self.all().iter().for_each(DriverHandle::join);
    }

    /// Whether the caller is one of them: a delivery callback.
    pub(super) fn is_one_of_them(&self) -> bool {
        self.all().iter().any(DriverHandle::is_io_thread)
    }

    /// Whether one of them has ended: the others will, and nothing is accepted any more.
    pub(super) fn has_one_ended(&self) -> bool {
        self.all().iter().any(DriverHandle::has_ended)
    }

    /// Whether all of them have ended.
    pub(super) fn have_all_ended(&self) -> bool {
        self.all().iter().all(DriverHandle::has_ended)
    }

    /// The time of day that the first one shows: one clock serves all senders.
    pub(super) fn wall(&self) -> Arc<Wall> {
        self.all().first().map(DriverHandle::wall).unwrap_or_default()
    }
}
