//! A send as a future: where a thread would wait, its task does.

use crate::error::{SendError, SendErrorKind};
use crate::interceptor::{InterceptedRecord, borrowed};
use crate::lanes::Lanes;
use crate::line::Line;
use crate::producer::Inner;
use crate::{Receipt, Record};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Resolves to the receipt of a record that is in the buffer, or to why it is not. Made by [`Sender::send_async`](crate::Sender::send_async)
/// and [`Producer::send_async`](crate::Producer::send_async); needs no particular runtime.
///
/// Dropped before it has resolved, it has sent nothing and holds nothing. Interceptors that have
/// seen its record then hear of it by `on_refused`, unless a partitioner panicked.
///
/// # Panics
/// If it is polled again after it has resolved.
#[must_use = "futures do nothing until polled"]
pub struct SendFuture<'s, 'a> {
    way: Way<'s>,
    record: Record<'a>,
    /// What the interceptors have made of it, until they know what became of it.
    changed: Option<InterceptedRecord<'s>>,
    /// Why it was not accepted when it was last tried.
    refused: Option<SendErrorKind>,
    resolved: bool,
    inner: &'s Inner,
    line: Line<'s>,
}

/// Whose lanes the record goes into.
enum Way<'s> {
    Sender(&'s mut Lanes),
    /// Those of the thread that polls.
    Thread,
}

impl fmt::Debug for SendFuture<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendFuture").field(&self.record).finish()
    }
}

impl<'s, 'a: 's> SendFuture<'s, 'a> {
    pub(crate) fn of_sender(lanes: &'s mut Lanes, inner: &'s Inner, record: Record<'a>) -> Self {
        SendFuture::new(Way::Sender(lanes), inner, record)
    }

    pub(crate) fn of_thread(inner: &'s Inner, record: Record<'a>) -> Self {
        SendFuture::new(Way::Thread, inner, record)
    }

    fn new(way: Way<'s>, inner: &'s Inner, record: Record<'a>) -> Self {
        SendFuture { way, record, changed: None, refused: None, resolved: false, inner, line: Line::new(inner) }
    }

    /// Waits, tries, and waits for what the try was refused for.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<Result<Receipt, SendErrorKind>> {
        let mut called = false;
        loop {
            ready!(self.line.poll_memory(context))?;
            match self.attempt() {
                Ok(receipt) => return Poll::Ready(Ok(receipt)),
                Err(refused) => {
                    let named =
                        self.changed.as_ref().map_or(self.record.partition, |changed| changed.partition).is_some();
                    self.refused = Some(refused.clone());
                    ready!(self.line.poll_refused(refused, named, &mut called, context))?;
                }
            }
        }
    }

    fn attempt(&mut self) -> Result<Receipt, SendErrorKind> {
        let SendFuture { way, record, changed, inner, line, .. } = self;
        let inner = *inner;
        let mut work = |lanes: &mut Lanes| {
            let Some(chain) = &inner.interceptors else { return lanes.send_in_line(inner, record, line) };
            // They see it once, however often it is tried.
            let changed = changed.get_or_insert_with(|| chain.on_send(inner, record));
            let headers = borrowed(&changed.headers);
            lanes.with_limit(inner, |lanes| lanes.send_in_line(inner, &changed.as_record(&headers), line))
        };
        match way {
            Way::Sender(lanes) => work(lanes),
            Way::Thread => inner.shared_senders.with(inner, work).flatten(),
        }
    }
}

impl<'s, 'a: 's> Future for SendFuture<'s, 'a> {
    type Output = Result<Receipt, SendError<'a>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(!this.resolved, "a future is not polled after it has resolved");
        let decided = ready!(this.advance(context));
        this.resolved = true;
        this.line = Line::new(this.inner); // what is left of it goes back now
        this.refused = decided.as_ref().err().cloned();
        this.tell_interceptors();
        Poll::Ready(decided.map_err(|kind| SendError { record: this.record, kind }))
    }
}

impl SendFuture<'_, '_> {
    /// The record is in the buffer, or was not accepted: of that they hear here.
    fn tell_interceptors(&mut self) {
        let changed = self.changed.take();
        if let (Some(chain), Some(changed), Some(why)) = (&self.inner.interceptors, &changed, &self.refused) {
            chain.on_refused(changed, why);
        }
    }
}

impl Drop for SendFuture<'_, '_> {
    fn drop(&mut self) {
        self.line = Line::new(self.inner); // nobody waits behind it while interceptors run
        self.tell_interceptors();
    }
}
