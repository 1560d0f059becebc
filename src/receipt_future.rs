//! A receipt as a future.

use crate::error::DeliveryError;
use crate::outcomes::SenderLog;
use crate::{Delivery, Receipt};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Resolves to a record's outcome; never to [`DeliveryError::Pending`]. Made by
/// [`Producer::delivery`](crate::Producer::delivery); needs no particular runtime. Does not keep the producer open: if
/// that is closed, the record's outcome is `Closed`.
#[must_use = "futures do nothing until polled"]
pub struct DeliveryFuture {
    log: Option<Arc<SenderLog>>,
    receipt: Receipt,
    /// Our number among those who wait, if any.
    waiting: Option<u64>,
}

impl fmt::Debug for DeliveryFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeliveryFuture").field(&self.receipt).finish()
    }
}

impl DeliveryFuture {
    pub(crate) fn new(log: Option<Arc<SenderLog>>, receipt: Receipt) -> Self {
        DeliveryFuture { log, receipt, waiting: None }
    }
}

impl Future for DeliveryFuture {
    type Output = Result<Delivery, DeliveryError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(log) = &this.log else { return Poll::Ready(Err(DeliveryError::Foreign)) };
        match log.poll(&this.receipt, &mut this.waiting, context.waker()) {
            Err(DeliveryError::Pending) => Poll::Pending,
            outcome => Poll::Ready(outcome),
        }
    }
}

impl Drop for DeliveryFuture {
    fn drop(&mut self) {
        if let (Some(log), Some(id)) = (&self.log, self.waiting) {
            log.forget_waker(&self.receipt, id);
        }
    }
}
