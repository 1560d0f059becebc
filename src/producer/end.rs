//! Flushes, and the end.

use super::{Inner, Producer};
use crate::error::{CloseError, FlushError};
use crate::hub::FlushEnd;
use crate::sync::lock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl Producer {
    /// Waits until everything that was sent before, by any sender, has an outcome; `linger.ms` does not hold it back.
    /// Records sent meanwhile are not waited for.
    ///
    /// # Errors
    /// `Failed` if records of *this producer* were not delivered since its last `flush` (each failure is told by one
    /// flush); `TimedOut` after `timeout`; `Closed`; `InCallback` in a delivery callback.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.inner.wait_flush(timeout)?;
        match self.inner.hub.take_failures() {
            Some((failed, first)) => Err(FlushError::Failed { failed, first }),
            None => Ok(()),
        }
    }

    /// Closes the producer: no record is accepted from now on, what is in the buffer is delivered until `timeout`, and
    /// what is left then fails with `Closed`. Always returns, with every I/O thread ended and every record decided,
    /// whichever of several threads closes: the earliest deadline counts.
    /// From a delivery callback it only begins the closing and returns.
    ///
    /// # Errors
    /// `Failed` if records were not delivered since the last flush (of several who close, one is told); `Poisoned` if an
    /// I/O thread had failed.
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.inner.close(timeout)
    }
}

impl Inner {
    pub(crate) fn wait_flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.is_io_thread() {
            return Err(FlushError::InCallback);
        }
        let token = self.hub.begin_flush();
        if self.threads.flush(token).is_err() {
            self.hub.abandon_flush(token);
            return Err(FlushError::Closed);
        }
        let _span = tracing::debug_span!(target: "forebay::wait", "flush").entered();
        let begun = Instant::now();
        let end = self.hub.wait_flush(token, begun.checked_add(timeout));
        self.count_flush(begun);
        match end {
            FlushEnd::Done => Ok(()),
            FlushEnd::TimedOut => Err(FlushError::TimedOut),
            FlushEnd::Closed => Err(FlushError::Closed),
        }
    }

    fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.closed.store(true, Ordering::Relaxed);
        self.threads.close(timeout);
        if self.is_io_thread() {
            // Whoever blocks in a shared sender waits for this thread: nothing here may wait for them.
            return Ok(());
        }
        let span = tracing::debug_span!(target: "forebay::wait", "close").entered();
        self.threads.join();
        drop(span);
        self.shared_senders.clear();
        self.end_reports();
        if let Some(why) = lock(&self.failure).clone() {
            return Err(CloseError::Poisoned(why));
        }
        match self.hub.take_failures() {
            Some((failed, first)) => Err(CloseError::Failed { failed, first }),
            None => Ok(()),
        }
    }

    /// The figures are told a last time. The I/O thread does not wait for that: a callback may wait for it.
    fn end_reports(&self) {
        if let Some(reporter) = &self.reporter {
            reporter.end(!self.is_io_thread());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.threads.have_all_ended()
            && let Err(error) = self.close(self.config.max_block())
        {
            tracing::error!(target: "forebay::delivery", %error, "records were lost when the last handle of a producer was dropped");
        }
        self.shared_senders.end();
        self.end_reports();
    }
}
