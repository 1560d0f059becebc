//! Waiting within a send: for how long, and for memory.

use crate::error::SendErrorKind;
use crate::producer::Inner;
use crate::sender::Patience;
use forebay_engine::{ClaimError, Grant, ProducerEnd};
use std::time::{Duration, Instant};

/// The one budget of a call that may wait.
pub(crate) struct Waits {
    pub(crate) begun: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) never: bool,
}

impl Waits {
    pub(crate) fn new(inner: &Inner, patience: Patience) -> Self {
        let begun = Instant::now();
        let (deadline, never) = match patience {
            // What it would wait for is done on this very thread.
            _ if inner.is_io_thread() => (Some(begun), true),
            Patience::None => (Some(begun), true),
            Patience::MaxBlock => (begun.checked_add(inner.config.max_block()), false),
            Patience::For(limit) => (begun.checked_add(limit), false),
            Patience::Until(deadline) => (Some(deadline), false),
        };
        Waits { begun, deadline, never }
    }

    /// The wait is over, and was in vain.
    pub(crate) fn in_vain(&self, inner: &Inner) -> SendErrorKind {
        if inner.is_closed() { SendErrorKind::Closed } else { SendErrorKind::TimedOut { waited: self.begun.elapsed() } }
    }

    /// What is left; None if there is no end.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// Waits in line for the segments that a refused claim needs.
#[cold]
#[inline(never)]
pub(crate) fn wait_for_memory(
    inner: &Inner,
    end: &mut ProducerEnd,
    refused: ClaimError,
    waits: &Waits,
) -> Result<Grant, SendErrorKind> {
    let ClaimError::Full { segments } = refused else { return Err(refused.into()) };
    if waits.never {
        inner.count_exhausted();
        return Err(SendErrorKind::Full);
    }
    end.begin_wait(segments)?;
    let begun = Instant::now();
    let span = tracing::debug_span!(target: "forebay::wait", "memory", segments).entered();
    let end = wait_in_line(inner, end, waits);
    drop(span);
    inner.count_memory_wait(begun, &end);
    end
}

fn wait_in_line(inner: &Inner, end: &mut ProducerEnd, waits: &Waits) -> Result<Grant, SendErrorKind> {
    let spin = crossbeam_utils::Backoff::new();
    loop {
        if let Some(grant) = end.poll_wait()? {
            return Ok(grant);
        }
        if !spin.is_completed() {
            spin.snooze(); // memory is often freed within microseconds; a wake-up costs more than that
            continue;
        }
        match waits.left() {
            Some(Duration::ZERO) => return end.cancel_wait().ok_or_else(|| waits.in_vain(inner)),
            left => end.park(left),
        }
    }
}
