//! What a send that is a future waits for: memory, in one line with threads, or news of a topic; and for how long.

use crate::error::SendErrorKind;
use crate::producer::{ASK_AGAIN, Inner};
use crate::sender::Patience;
use crate::waits::Waits;
use forebay_engine::{ClaimError, Grant, ProducerEnd};
use forebay_io::driver::Alarm;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// One send's place in line. Dropped, it is the next one's.
pub(crate) struct Line<'i> {
    inner: &'i Inner,
    /// Since it first had to wait: one budget for metadata and memory. A wait does not begin in a delivery callback, where what it would be
    /// for is done on that very thread; one that has begun goes on there, where a waker polls.
    waits: Option<Waits>,
    /// Of the record that waits for memory: it is not chosen again.
    partition: Option<u32>,
    memory: Memory,
    topic: News,
    alarm: Option<Set>,
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
    Granted(Grant),
}

/// A change of what is known of the topics.
#[derive(Default)]
struct News {
    /// Our number among those who are called at the next one.
    call: Option<u64>,
    /// Waited for since then.
    since: Option<Instant>,
}

/// An alarm that ends the wait, or has the topic asked for again.
struct Set {
    thread: usize,
    alarm: Alarm,
    at: Instant,
    task: Waker,
}

impl<'i> Line<'i> {
    pub(crate) fn new(inner: &'i Inner) -> Self {
        let (memory, topic) = (Memory::NotWanted, News::default());
        Line { inner, waits: None, partition: None, memory, topic, alarm: None }
    }

    /// The partition of the record that waits for memory.
    pub(crate) fn partition(&self) -> Option<u32> {
        self.partition
    }

    /// A claim was refused: it gets what has been granted, or a place in line at the partition's I/O thread.
    ///
    /// # Errors
    /// `Full` with a place in line; where the wait would begin in a delivery callback, without one. And what else the claim was refused for.
    pub(crate) fn enter(&mut self, thread: usize, partition: u32, refused: ClaimError) -> Result<Grant, SendErrorKind> {
        let ClaimError::Full { segments } = refused else { return Err(refused.into()) };
        if let Memory::Granted(grant) = std::mem::take(&mut self.memory) {
            return Ok(grant);
        }
        if self.waits().never {
            self.inner.count_exhausted();
        } else {
            let mut end = self.inner.engines[thread].producer_end();
            end.begin_wait(segments)?;
            self.memory = Memory::InLine { thread, end, since: Instant::now() };
            self.partition = Some(partition);
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
        let inner = self.inner;
        let decided = match end.poll_wait_with(context) {
            Poll::Ready(decided) => decided.map_err(SendErrorKind::from),
            Poll::Pending => match self.waits() {
                // A grant that came first counts.
                waits if waits.left() == Some(Duration::ZERO) => end.cancel_wait().ok_or_else(|| waits.in_vain(inner)),
                waits => {
                    let deadline = waits.deadline;
                    self.memory = Memory::InLine { thread, end, since };
                    self.call_at(deadline, thread, context);
                    return Poll::Pending;
                }
            },
        };
        self.inner.count_memory_wait(since, &decided);
        Poll::Ready(decided.map(|grant| self.memory = Memory::Granted(grant)))
    }

    /// After a try that was refused: worth another one (now, or once it has waited for news of the topic), or an error. `named`: the record
    /// names its partition. `called` is this poll's.
    pub(crate) fn poll_refused(
        &mut self,
        refused: SendErrorKind,
        named: bool,
        called: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendErrorKind>> {
        // A partition that does not exist may come, but a partitioner's answer is an error.
        let is_wrong = !named && matches!(refused, SendErrorKind::UnknownPartition { .. });
        if is_wrong || self.waits().never || !refused.is_retriable() {
            return Poll::Ready(Err(refused));
        }
        if refused == SendErrorKind::Full {
            self.stop_waiting_for_news();
            return Poll::Ready(Ok(())); // in line
        }
        self.memory = Memory::NotWanted; // a grant is not kept for as long as this takes
        let (deadline, left) = (self.waits().deadline, self.waits().left());
        if left == Some(Duration::ZERO) {
            return Poll::Ready(Err(self.at_last(refused)));
        }
        if !std::mem::replace(called, true) {
            self.stop_waiting_for_news();
            self.topic.call = Some(self.inner.topics.call_at_change(context.waker().clone()));
            return Poll::Ready(Ok(())); // what changed before that call is told nobody: one more look
        }
        let now = Instant::now();
        self.topic.since = Some(now);
        let again = now + ASK_AGAIN;
        self.call_at(Some(deadline.map_or(again, |deadline| deadline.min(again))), 0, context);
        Poll::Pending
    }

    /// The last refusal, and how long the whole of it took.
    fn at_last(&mut self, mut refused: SendErrorKind) -> SendErrorKind {
        if let SendErrorKind::UnknownTopic { waited, .. } = &mut refused {
            *waited = self.waits().begun.elapsed();
        }
        refused
    }

    /// What is left of `max.block.ms`, from the first call of this.
    fn waits(&mut self) -> &Waits {
        self.waits.get_or_insert_with(|| Waits::new(self.inner, Patience::MaxBlock))
    }

    /// Has an I/O thread call the task then, unless it will already.
    fn call_at(&mut self, at: Option<Instant>, thread: usize, context: &mut Context<'_>) {
        let is_set = |set: &Set| Some(set.at) == at && set.thread == thread && set.task.will_wake(context.waker());
        if self.alarm.as_ref().is_some_and(is_set) {
            return;
        }
        self.cancel_alarm();
        self.alarm = at.and_then(|at| {
            let (task, after) = (context.waker().clone(), at.saturating_duration_since(Instant::now()));
            let alarm = self.inner.threads.alarm(thread, after, task.clone())?;
            Some(Set { thread, alarm, at, task })
        });
    }

    fn cancel_alarm(&mut self) {
        if let Some(Set { thread, alarm, .. }) = self.alarm.take() {
            self.inner.threads.cancel(thread, alarm);
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
        if let Memory::InLine { since, .. } = &self.memory {
            self.inner.count_memory_wait(*since, &Err(SendErrorKind::Full)); // given up
        }
        self.stop_waiting_for_news();
        self.cancel_alarm();
    }
}
