//! Sending through interceptors: the way of every record of a producer that has some, and of none of one that has not.
//!
//! With interceptors a sender takes its limit on a record's size to be 0, so that each record leaves the hot path where it
//! would for its size, and comes here. That costs a producer without interceptors no instruction.

use super::Lanes;
use crate::error::SendError;
use crate::interceptor::{Chain, borrowed};
use crate::producer::Inner;
use crate::reservation::{Reservation, Tail};
use crate::sender::Patience;
use crate::waits::Waits;
use crate::{Receipt, Record};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

impl Lanes {
    /// The limit with which a sender begins.
    pub(super) fn first_limit(inner: &Inner) -> usize {
        if inner.interceptors.is_some() { 0 } else { inner.largest_record() }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn send_intercepted<'a>(
        &mut self,
        inner: &Inner,
        chain: &Chain,
        record: Record<'a>,
        patience: Patience,
    ) -> Result<Receipt, SendError<'a>> {
        let changed = chain.on_send(inner, &record);
        let headers = borrowed(&changed.headers);
        let result = self.with_limit(inner, |lanes| {
            lanes.send_any(inner, changed.as_record(&headers), patience).map_err(|refused| refused.kind)
        });
        result.map_err(|kind| {
            chain.on_refused(&changed, &kind);
            SendError { record, kind }
        })
    }

    #[cold]
    #[inline(never)]
    pub(super) fn reserve_intercepted<'s, 'a>(
        &'s mut self,
        inner: &Inner,
        chain: &Chain,
        record: Record<'a>,
        len: usize,
        patience: Patience,
    ) -> Result<Reservation<'s, 'a>, SendError<'a>> {
        let changed = chain.on_send(inner, &Record { value: None, ..record });
        let headers = borrowed(&changed.headers);
        let new = changed.as_record(&headers);
        let waits = Waits::new(inner, patience);
        let planned = self.with_limit(inner, |lanes| lanes.prepared(inner, &new, Some(len), &waits));
        let result = planned.and_then(|plan| self.claim_value(inner, &new, Tail::of(&headers), len, || waits, &plan));
        result.map_err(|kind| {
            chain.on_refused(&changed, &kind);
            SendError { record, kind }
        })
    }

    /// Does something with the limit that really holds.
    pub(crate) fn with_limit<T>(&mut self, inner: &Inner, work: impl FnOnce(&mut Self) -> T) -> T {
        self.set_limit(inner.largest_record());
        // A partitioner of the application may panic.
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        self.set_limit(0);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
