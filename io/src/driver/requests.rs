//! The application's requests on their way to the I/O thread.

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use forebay_engine::mutant;

use super::Ended;
use crate::core::Request;

/// A queue that is swapped out whole. Whoever fills an empty one rings; who adds to one that is not was rung for by that.
#[derive(Debug, Default)]
pub struct Requests(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Request>,
    ended: bool,
}

impl Requests {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request; `ring` wakes the I/O thread if that is needed.
    ///
    /// # Errors
    /// [`Ended`] if nobody will act on it.
    pub fn add(&self, request: Request, ring: impl FnOnce()) -> Result<(), Ended> {
        let first = {
            let mut queue = self.queue();
            if queue.ended {
                return Err(Ended);
            }
            queue.waiting.push(request);
            queue.waiting.len() == 1
        };
        if first && !mutant!("a_request_is_silent") {
            ring();
        }
        Ok(())
    }

    /// What came since the last call; `into` is empty.
    pub fn take(&self, into: &mut Vec<Request>) {
        if mutant!("requests_are_read_and_then_cleared") {
            into.clone_from(&self.queue().waiting);
            self.queue().waiting.clear();
            return;
        }
        std::mem::swap(into, &mut self.queue().waiting);
    }

    /// Nothing came since the last [`Requests::take`].
    pub fn is_empty(&self) -> bool {
        self.queue().waiting.is_empty()
    }

    /// Nobody acts on requests any more.
    pub fn end(&self) {
        self.queue().ended = true;
    }

    /// Whether [`Requests::end`] was called.
    pub fn have_ended(&self) -> bool {
        self.queue().ended
    }
}
