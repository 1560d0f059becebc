//! What a send that is a future waits for: memory, in one line with threads, or news of a topic; and for how long.

use crate::error::SendErrorKind;
use crate::producer::{ASK_AGAIN, Inner};
use forebay_engine::{ClaimError, Grant, ProducerEnd};
use forebay_io::driver::Alarm;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// One send's place in line. Dropped, it is the next one's.
pub(crate) struct Line<'i> {
    inner: &'i Inner,
    /// When waiting began: one budget for metadata and memory.
    begun: Option<Instant>,
    memory: Memory,
    topic: News,
    /// Ends the wait, or has the topic asked for again.
    alarm: Option<Alarm>,
}

/// Memory of one I/O thread.
#[derive(Default)]
enum Memory {
    #[default]
    NotWanted,
    InLine {
        thread: usize,
        end: ProducerEnd,
        since: Instant,
    },
    Granted {
        thread: usize,
        grant: Grant,
    },
}

/// A change of what is known of the topics.
#[derive(Default)]
struct News {
    /// Our number among those who are called at the next one.
    call: Option<u64>,
    /// Waited for since then.
    since: Option<Instant>,
}

impl<'i> Line<'i> {
    pub(crate) fn new(inner: &'i Inner) -> Self {
        Line { inner, begun: None, memory: Memory::NotWanted, topic: News::default(), alarm: None }
    }

    /// A claim was refused: it gets what has been granted, or a place in line.
    ///
    /// # Errors
    /// `Full` with a place in line; in a delivery callback, which must not wait, without one. And what else the claim was refused for.
    pub(crate) fn enter(&mut self, thread: usize, refused: ClaimError) -> Result<Grant, SendErrorKind> {
        let ClaimError::Full { segments } = refused else { return Err(refused.into()) };
        match std::mem::take(&mut self.memory) {
            Memory::Granted { thread: granted, grant } if granted == thread => return Ok(grant),
            // Another I/O thread's goes back: the record has another partition now.
            _ => {}
        }
        if !self.inner.is_io_thread() {
            let mut end = self.inner.engines[thread].producer_end();
            end.begin_wait(segments)?;
            self.memory = Memory::InLine { thread, end, since: Instant::now() };
        }
        Err(SendErrorKind::Full)
    }

    /// Before a try: waits for the memory that it is in line for, if it is.
    pub(crate) fn poll_memory(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendErrorKind>> {
        let (thread, mut end, since) = match std::mem::take(&mut self.memory) {
            Memory::InLine { thread, end, since } => (thread, end, since),
            other => {
                self.memory = other;
                return Poll::Ready(Ok(()));
            }
        };
        let decided = match end.poll_wait_with(context) {
            Poll::Ready(decided) => decided.map_err(SendErrorKind::from),
            Poll::Pending => match self.left() {
                // A grant that came first counts.
                Some(Duration::ZERO) => end.cancel_wait().ok_or_else(|| self.timed_out()),
                left => {
                    self.memory = Memory::InLine { thread, end, since };
                    self.call_after(left, context);
                    return Poll::Pending;
                }
            },
        };
        self.inner.count_memory_wait(since, &decided);
        Poll::Ready(decided.map(|grant| self.memory = Memory::Granted { thread, grant }))
    }

    /// After a try that was refused: worth another one (now, or once it has waited for news of the topic), or an error. `called` is
    /// this poll's.
    pub(crate) fn poll_refused(
        &mut self,
        refused: SendErrorKind,
        called: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendErrorKind>> {
        self.stop_waiting_for_news();
        if self.inner.is_io_thread() || !refused.is_retriable() {
            return Poll::Ready(Err(refused));
        }
        if refused == SendErrorKind::Full {
            return Poll::Ready(Ok(())); // in line
        }
        self.memory = Memory::NotWanted; // a grant is not kept for as long as that takes
        let left = self.left();
        if left == Some(Duration::ZERO) {
            return Poll::Ready(Err(self.at_last(refused)));
        }
        let call = self.inner.topics.call_at_change(context.waker().clone());
        self.topic.call = Some(call);
        if !std::mem::replace(called, true) {
            return Poll::Ready(Ok(())); // what changed before that call is told nobody: one more look
        }
        self.topic.since = Some(Instant::now());
        self.call_after(Some(left.unwrap_or(ASK_AGAIN).min(ASK_AGAIN)), context);
        Poll::Pending
    }

    /// What is left of `max.block.ms`; None if there is no end.
    fn left(&mut self) -> Option<Duration> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let deadline = begun.checked_add(self.inner.config.max_block());
        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn waited(&self) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }

    fn timed_out(&self) -> SendErrorKind {
        if self.inner.is_closed() { SendErrorKind::Closed } else { SendErrorKind::TimedOut { waited: self.waited() } }
    }

    /// The last refusal, and how long the whole of it took.
    fn at_last(&self, mut refused: SendErrorKind) -> SendErrorKind {
        if let SendErrorKind::UnknownTopic { waited, .. } = &mut refused {
            *waited = self.waited();
        }
        refused
    }

    fn call_after(&mut self, after: Option<Duration>, context: &mut Context<'_>) {
        self.cancel_alarm();
        self.alarm = after.and_then(|after| self.inner.threads.alarm(after, context.waker().clone()));
    }

    fn cancel_alarm(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            self.inner.threads.cancel(alarm);
        }
    }

    fn stop_waiting_for_news(&mut self) {
        if let Some(call) = self.topic.call.take() {
            self.inner.topics.forget_call(call);
        }
        if let Some(since) = self.topic.since.take() {
            self.inner.count_metadata_wait(since);
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.stop_waiting_for_news();
        self.cancel_alarm();
    }
}
