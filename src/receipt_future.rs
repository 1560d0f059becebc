//! A receipt as a future.

use crate::error::DeliveryError;
use crate::outcomes::SenderLog;
use crate::{Delivery, Receipt};
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
    waiting: bool,
}

impl DeliveryFuture {
    pub(crate) fn new(log: Option<Arc<SenderLog>>, receipt: Receipt) -> Self {
        DeliveryFuture { log, receipt, waiting: false }
    }
}

impl Future for DeliveryFuture {
    type Output = Result<Delivery, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(log) = &self.log else { return Poll::Ready(Err(DeliveryError::Foreign)) };
        let outcome = log.poll(&self.receipt, context.waker());
        self.waiting = outcome == Err(DeliveryError::Pending);
        if self.waiting { Poll::Pending } else { Poll::Ready(outcome) }
    }
}

impl Drop for DeliveryFuture {
    fn drop(&mut self) {
        if let Some(log) = self.log.as_ref().filter(|_| self.waiting) {
            log.forget_waker(&self.receipt);
        }
    }
}
