//! The producer: what all senders share. How one is made is in `builder` and `start`; its end and flushes are in `end`.

mod builder;
mod end;
mod sink;
mod start;
mod threads;
mod topics;

pub use self::builder::ProducerBuilder;
pub(crate) use self::topics::ASK_AGAIN;

use self::builder::MakePartitioner;
use self::threads::IoThreads;
use crate::config::Config;
use crate::error::{DeliveryError, SendError, SendErrorKind};
use crate::hub::Hub;
use crate::interceptor::Chain;
use crate::lanes::BATCH_OVERHEAD;
use crate::metrics::{Reporter, Source};
use crate::receipt_future::DeliveryFuture;
use crate::send_future::SendFuture;
use crate::sender::{Patience, Sender};
use crate::shared_senders::SharedSenders;
use crate::sync::Mutex;
use crate::{Delivery, Receipt, Record};
use forebay_engine::Engine;
use forebay_io::deal::Deal;
use forebay_io::metrics::Meters;
use forebay_io::time::Time;
use forebay_io::topics::TopicTable;
use forebay_io::wall::Wall;
use forebay_io::wire::record::Shape;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A Kafka producer: one buffer, one I/O thread (or several: `io.threads`). Cheap to clone; all clones are the same producer.
///
/// Each sending thread takes a [`Sender`] of its own; code that can't keep one uses [`Producer::send`].
///
/// Dropping the last handle (producers and senders) closes the producer as [`Producer::close`] does, waiting for at
/// most `max.block.ms`; what could not be delivered by then is logged as an error (`tracing`). Close it yourself to
/// learn of it.
#[derive(Clone)]
pub struct Producer {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles of one producer share.
pub(crate) struct Inner {
    /// Unique in this process.
    pub(crate) number: u32,
    pub(crate) config: Config,
    /// By I/O thread; there is at least one.
    pub(crate) engines: Box<[Engine]>,
    /// Which partition is which thread's.
    pub(crate) deal: Deal,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) partitioner: Option<MakePartitioner>,
    pub(crate) interceptors: Option<Chain>,
    pub(crate) source: Source,
    reporter: Option<Reporter>,
    pub(crate) shared_senders: SharedSenders,
    pub(crate) threads: Arc<IoThreads>,
    failure: Arc<Mutex<Option<String>>>,
    closed: AtomicBool,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.inner.is_closed();
        f.debug_struct("Producer").field("client_id", &self.inner.config.client_id()).field("closed", &closed).finish()
    }
}

impl Producer {
    /// A way to send for one thread.
    ///
    /// # Errors
    /// `Closed`.
    pub fn sender(&self) -> Result<Sender, SendErrorKind> {
        if self.inner.is_closed() {
            return Err(SendErrorKind::Closed);
        }
        Ok(Sender::new(self.inner.clone()))
    }

    /// Sends without a [`Sender`]: each thread has one under the hood, found by a thread-local look-up and an uncontended
    /// lock (some 20 ns more than a sender's own `send`). It goes when the thread ends or the producer is closed.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn send<'a>(&self, record: Record<'a>) -> Result<Receipt, SendError<'a>> {
        self.inner.shared_senders.send(&self.inner, record, Patience::MaxBlock)
    }

    /// As [`Producer::send`], but never blocks.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    pub fn try_send<'a>(&self, record: Record<'a>) -> Result<Receipt, SendError<'a>> {
        self.inner.shared_senders.send(&self.inner, record, Patience::None)
    }

    /// As [`Producer::send`], but blocks until `deadline` at most, whatever `max.block.ms` says.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn send_deadline<'a>(&self, record: Record<'a>, deadline: Instant) -> Result<Receipt, SendError<'a>> {
        self.inner.shared_senders.send(&self.inner, record, Patience::Until(deadline))
    }

    /// As [`Producer::send`], for an async task: instead of its thread, the task waits. See [`Sender::send_async`].
    ///
    /// Each thread that polls has its own way into the buffer, so records of one task that moves between threads may overtake each
    /// other. A [`Sender`] keeps their order.
    pub fn send_async<'s, 'a: 's>(&'s self, record: Record<'a>) -> SendFuture<'s, 'a> {
        SendFuture::of_thread(&self.inner, record)
    }

    /// Waits for a record's outcome, for `timeout` at most. Does not hurry it: see [`Producer::flush`].
    ///
    /// # Errors
    /// [`DeliveryError::Pending`] if there is none yet; otherwise why it was not delivered.
    pub fn wait(&self, receipt: Receipt, timeout: Duration) -> Result<Delivery, DeliveryError> {
        let log = self.inner.hub.log(receipt.sender).ok_or(DeliveryError::Foreign)?;
        if self.inner.is_io_thread() {
            return log.look(&receipt);
        }
        log.wait(&receipt, Instant::now().checked_add(timeout))
    }

    /// A record's outcome, if there is one by now.
    pub fn poll(&self, receipt: Receipt) -> Option<Result<Delivery, DeliveryError>> {
        let outcome = match self.inner.hub.log(receipt.sender) {
            Some(log) => log.look(&receipt),
            None => Err(DeliveryError::Foreign),
        };
        (outcome != Err(DeliveryError::Pending)).then_some(outcome)
    }

    /// A record's outcome as a future, for any async runtime.
    pub fn delivery(&self, receipt: Receipt) -> DeliveryFuture {
        DeliveryFuture::new(self.inner.hub.log(receipt.sender), receipt)
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Free and total bytes of the buffer; a snapshot.
    pub fn buffer_bytes(&self) -> (usize, usize) {
        (self.inner.source.sum(Engine::available_bytes), self.inner.source.sum(Engine::total_bytes))
    }

    /// Records with an outcome so far: delivered and failed.
    pub fn outcomes(&self) -> (u64, u64) {
        self.inner.hub.totals()
    }

    /// Threads and tasks that wait for memory now.
    pub fn waiting_senders(&self) -> usize {
        self.inner.source.sum(Engine::waiting_senders)
    }
}

impl Inner {
    /// The encoded size that a record may have.
    pub(crate) fn largest_record(&self) -> usize {
        self.limit().0
    }

    /// The smallest limit on a record, and the setting behind it.
    fn limit(&self) -> (usize, &'static str) {
        let config = &self.config;
        [
            (config.max_request_size().saturating_sub(BATCH_OVERHEAD), "max.request.size"),
            (self.engines[0].total_bytes(), self.memory_setting()),
        ]
        .into_iter()
        .min()
        .unwrap_or((0, ""))
    }

    /// What bounds the memory of one I/O thread, and with that a record.
    pub(crate) fn memory_setting(&self) -> &'static str {
        if self.engines.len() > 1 { "buffer.memory / io.threads" } else { "buffer.memory" }
    }

    pub(crate) fn too_large(&self, record: &Record<'_>, value_len: Option<usize>) -> SendErrorKind {
        let (limit, setting) = self.limit();
        let shape = Shape::measure(0, record.key.map(<[u8]>::len), value_len, record.headers);
        let size = shape.map_or(usize::MAX, |shape| shape.total_len.max(limit + 1) + BATCH_OVERHEAD);
        SendErrorKind::TooLarge { size, limit: limit + BATCH_OVERHEAD, setting }
    }

    /// The time of day that an I/O thread shows.
    pub(crate) fn wall(&self) -> Arc<Wall> {
        self.threads.wall()
    }

    /// Whether the caller is a delivery callback, which must not wait for anything that an I/O thread does.
    pub(crate) fn is_io_thread(&self) -> bool {
        self.threads.is_one_of_them()
    }

    /// Where sending threads count.
    pub(crate) fn meters(&self) -> &Meters {
        self.source.shared_meters()
    }

    /// The moment, as the meters count time.
    pub(crate) fn now(&self) -> Time {
        self.source.clock.now()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.threads.has_one_ended()
    }
}
