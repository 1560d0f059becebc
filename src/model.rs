//! Doors for the loom models in `loom-tests`: the outcome logs and the flushes, which are private otherwise. Here under `--cfg loom` only.

use crate::error::DeliveryError;
use crate::hub::{FlushEnd, Hub};
use crate::outcomes::SenderLog;
use crate::receipt_future::DeliveryFuture;
use crate::{Delivery, DeliveryFailure, Receipt};
use forebay_engine::LaneId;
use forebay_io::core::{Flushed, Report};
use forebay_io::topics::TopicTable;
use std::sync::Arc;
use std::time::Instant;

/// Where a producer's outcomes and flushes arrive.
pub struct Outcomes(Hub);

/// One sender's outcomes.
#[derive(Clone)]
pub struct Log(Arc<SenderLog>);

/// Some deadline: which moment does not matter, see [`deadline_comes`].
fn moment(given: bool) -> Option<Instant> {
    given.then(Instant::now)
}

/// The clock: from now on every deadline has passed.
pub fn deadline_comes() {
    crate::sync::deadline_comes();
}

impl Outcomes {
    /// Of a producer without senders, with one I/O thread.
    #[expect(clippy::new_without_default, reason = "a model makes one by name")]
    pub fn new() -> Self {
        Outcomes::of_threads(1)
    }

    /// Of one with so many.
    pub fn of_threads(threads: usize) -> Self {
        Outcomes(Hub::new(threads))
    }

    /// A new sender's.
    pub fn sender(&self) -> Log {
        Log(self.0.new_sender())
    }

    /// A new lane of that sender to the first I/O thread; answers its slot in the log.
    pub fn lane(&self, lane: LaneId, log: &Log, tag: u64) -> u32 {
        self.lane_to(0, lane, log, tag)
    }

    /// The same to any of them.
    pub fn lane_to(&self, thread: usize, lane: LaneId, log: &Log, tag: u64) -> u32 {
        self.0.own(thread, lane, &log.0, tag, "topic".into())
    }

    /// The first I/O thread's reports.
    pub fn reports(&self, reports: &[Report]) {
        self.reports_of(0, reports);
    }

    /// Those of any of them.
    pub fn reports_of(&self, thread: usize, reports: &[Report]) {
        self.0.reports(thread, reports, &TopicTable::new(), None);
    }

    /// Failures of the whole producer since the last call: what `Producer::flush` tells.
    pub fn take_failures(&self) -> Option<(u64, DeliveryFailure)> {
        self.0.take_failures()
    }

    /// Begins a flush; answers its token.
    pub fn begin_flush(&self) -> u64 {
        self.0.begin_flush()
    }

    /// Waits for it, with a deadline or without. `None`: the deadline came first; false: the I/O thread has ended.
    pub fn wait_flush(&self, token: u64, deadline: bool) -> Option<bool> {
        match self.0.wait_flush(token, moment(deadline)) {
            FlushEnd::Done => Some(true),
            FlushEnd::Closed => Some(false),
            FlushEnd::TimedOut => None,
        }
    }

    /// An I/O thread's word on a flush.
    pub fn flushed(&self, flushed: Flushed) {
        self.0.flushed(flushed);
    }

    /// Flushes that are remembered.
    pub fn open_flushes(&self) -> usize {
        self.0.open_flushes()
    }

    /// An I/O thread has ended, as after a close.
    pub fn end(&self) {
        self.0.end(false);
    }
}

impl Log {
    /// The receipt of a record.
    pub fn receipt(&self, slot: u32, ordinal: u64) -> Receipt {
        Receipt { sender: self.0.id, lane: slot, ordinal, timestamp: 0 }
    }

    /// As `Producer::poll`.
    ///
    /// # Errors
    /// As there.
    pub fn look(&self, receipt: &Receipt) -> Result<Delivery, DeliveryError> {
        self.0.look(receipt)
    }

    /// As `Producer::wait`, with a deadline or without.
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self, receipt: &Receipt, deadline: bool) -> Result<Delivery, DeliveryError> {
        self.0.wait(receipt, moment(deadline))
    }

    /// As `Producer::delivery`.
    pub fn future(&self, receipt: Receipt) -> DeliveryFuture {
        DeliveryFuture::new(Some(self.0.clone()), receipt)
    }
}
