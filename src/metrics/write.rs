//! What sending threads count: only where they wait or are refused.

use crate::error::SendErrorKind;
use crate::producer::Inner;
use forebay_engine::Grant;
use std::time::Instant;

impl Inner {
    /// A send was refused because there was no memory.
    pub(crate) fn count_exhausted(&self) {
        self.meters().totals.buffer_exhausted.record_shared(self.now(), 1);
    }

    /// A sender has waited for memory since `begun`.
    pub(crate) fn count_memory_wait(&self, begun: Instant, end: &Result<Grant, SendErrorKind>) {
        self.meters().totals.buffer_wait_ns.record_shared(self.now(), begun.elapsed().as_nanos() as u64);
        if matches!(end, Err(SendErrorKind::TimedOut { .. })) {
            self.count_exhausted();
        }
    }

    /// A thread has waited for metadata since `begun`.
    pub(crate) fn count_metadata_wait(&self, begun: Instant) {
        self.meters().totals.metadata_wait_ns.record_shared(self.now(), begun.elapsed().as_nanos() as u64);
    }

    /// A thread has waited for a flush since `begun`.
    pub(crate) fn count_flush(&self, begun: Instant) {
        self.meters().totals.flush_ns.record_shared(self.now(), begun.elapsed().as_nanos() as u64);
    }
}
