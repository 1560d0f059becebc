//! The send path.

use crate::error::{FlushError, SendError};
use crate::lanes::Lanes;
use crate::producer::Inner;
use crate::reservation::Reservation;
use crate::send_future::SendFuture;
use crate::{Header, Receipt, Record, Topic};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One thread's way into the buffer: the single producer of each of its lanes.
///
/// `Send`, but not `Sync`, and sending takes `&mut self`: give each thread its own, made by
/// [`Producer::sender`](crate::Producer::sender). Records of one sender to one partition keep their order.
///
/// Dropping a sender loses nothing: what was accepted is still sent.
pub struct Sender {
    lanes: Lanes,
    inner: Arc<Inner>,
}

/// How long a call may wait.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// `max.block.ms` from when waiting begins.
    MaxBlock,
    /// So long from when waiting begins.
    For(Duration),
    /// Until then.
    Until(Instant),
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Sender {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Sender { lanes: Lanes::new(&inner), inner }
    }

    /// The number of this sender, unique in this process. Delivery reports carry it.
    pub fn id(&self) -> u32 {
        self.lanes.id()
    }

    /// Puts a record into the buffer and returns. It is sent by the I/O thread.
    ///
    /// Blocks while the buffer is full or the topic's partitions are not known yet, at most `max.block.ms` for both
    /// together; never for the network.
    ///
    /// # Errors
    /// The record, with the limit that it hit: see [`SendErrorKind`](crate::SendErrorKind).
    #[inline(always)]
    pub fn send<'a>(&mut self, record: Record<'a>) -> Result<Receipt, SendError<'a>> {
        self.lanes.send(&self.inner, record, Patience::MaxBlock)
    }

    /// As [`Sender::send`], but never blocks.
    ///
    /// # Errors
    /// `Full` at once if there is no room now (where senders have waited for memory lately, up to an eighth of it may be free
    /// all the same: the call has asked for it, and the next one finds it; and a record of more than half of the buffer may be
    /// refused while there is room for it in several places, which only [`Sender::send`] brings together); `UnknownTopic` if the topic's partitions are not
    /// known yet (they have been asked for); otherwise as [`Sender::send`].
    #[inline(always)]
    pub fn try_send<'a>(&mut self, record: Record<'a>) -> Result<Receipt, SendError<'a>> {
        self.lanes.send(&self.inner, record, Patience::None)
    }

    /// As [`Sender::send`], but blocks until `deadline` at most, whatever `max.block.ms` says.
    ///
    /// # Errors
    /// As [`Sender::send`].
    #[inline(always)]
    pub fn send_deadline<'a>(&mut self, record: Record<'a>, deadline: Instant) -> Result<Receipt, SendError<'a>> {
        self.lanes.send(&self.inner, record, Patience::Until(deadline))
    }

    /// As [`Sender::send`], for an async task: instead of its thread, the task waits. For any runtime.
    ///
    /// It resolves at once unless the buffer is full or the topic's partitions are not known yet. Then it waits for `max.block.ms` at
    /// most (from its first poll, to within some milliseconds), in one line with threads that wait in [`Sender::send`], first come,
    /// first served.
    ///
    /// The record is not accepted before the future has resolved: dropped earlier, it has sent nothing and holds nothing (interceptors may
    /// have seen the record). Poll it or drop it, and do not put it aside: memory that has been granted to a future is nobody else's. First polled
    /// in a delivery callback it never waits. The I/O thread tells the time here: a delivery callback that takes long makes the limit later.
    ///
    /// # Errors
    /// It resolves to those of [`Sender::send`].
    ///
    /// ```
    /// # async fn demo(producer: &forebay::Producer, orders: forebay::Topic) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay::Record;
    /// let mut sender = producer.sender()?;
    /// let receipt = sender.send_async(Record::to(orders).value(b"12.50")).await.map_err(|refused| refused.kind)?;
    /// let delivery = producer.delivery(receipt).await?;
    /// # let _ = delivery; Ok(()) }
    /// ```
    pub fn send_async<'s, 'a: 's>(&'s mut self, record: Record<'a>) -> SendFuture<'s, 'a> {
        SendFuture::of_sender(&mut self.lanes, &self.inner, record)
    }

    /// Claims room for a record whose value of `len` bytes the caller writes in place: no copy is made of it.
    ///
    /// `record` gives everything but the value, which is ignored. Write the value through the reservation, then
    /// [`commit`](Reservation::commit). A reservation that is dropped leaves no trace. While it is held, nothing else of
    /// this sender can be sent and its memory can't be freed: hold it briefly.
    ///
    /// Blocks as [`Sender::send`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    ///
    /// ```
    /// # fn demo(sender: &mut forebay::Sender, ticks: forebay::Topic) -> Result<(), Box<dyn std::error::Error>> {
    /// use forebay::Record;
    /// let mut reservation = sender.reserve(Record::to(ticks).key(b"EURUSD"), 16).map_err(|e| e.to_string())?;
    /// if let Some(value) = reservation.value_mut() {
    ///     value[..8].copy_from_slice(&1.0842_f64.to_be_bytes());
    ///     value[8..].copy_from_slice(&7_u64.to_be_bytes());
    /// }
    /// let receipt = reservation.commit()?;
    /// # let _ = receipt; Ok(()) }
    /// ```
    pub fn reserve<'s, 'a>(&'s mut self, record: Record<'a>, len: usize) -> Result<Reservation<'s, 'a>, SendError<'a>> {
        self.lanes.reserve(&self.inner, record, len, Patience::MaxBlock)
    }

    /// As [`Sender::reserve`], but never blocks.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    pub fn try_reserve<'s, 'a>(
        &'s mut self,
        record: Record<'a>,
        len: usize,
    ) -> Result<Reservation<'s, 'a>, SendError<'a>> {
        self.lanes.reserve(&self.inner, record, len, Patience::None)
    }

    /// Sends a value with a key, the common case in one line.
    ///
    /// # Errors
    /// As [`Sender::send`].
    #[inline]
    pub fn send_keyed<'a>(
        &mut self,
        topic: Topic,
        key: &'a [u8],
        value: &'a [u8],
        headers: &'a [Header<'a>],
    ) -> Result<Receipt, SendError<'a>> {
        self.send(Record::to(topic).key(key).value(value).headers(headers))
    }

    /// Waits until everything that was sent before, by any sender of the producer, has an outcome; `linger.ms` does not
    /// hold it back. Records sent meanwhile by others are not waited for.
    ///
    /// # Errors
    /// `Failed` if records of *this sender* were not delivered since its last flush; `TimedOut` after `timeout`; `Closed`;
    /// `InCallback` in a delivery callback.
    pub fn flush(&mut self, timeout: Duration) -> Result<(), FlushError> {
        self.inner.wait_flush(timeout)?;
        match self.lanes.take_failures() {
            Some((failed, first)) => Err(FlushError::Failed { failed, first }),
            None => Ok(()),
        }
    }
}
