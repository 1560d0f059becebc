//! Queues of fixed elements. An element is an array for the longest record (`inline`), or a box of exactly the record's
//! length (`boxed`): one wastes bytes and moves them twice, the other allocates here and frees there.

use crate::queue::{Queue, Receiver, Sender};
use crate::records::Reader;
use crossbeam_queue::ArrayQueue;
use disruptor::{BusySpin, EventPoller, Polling, Producer as _, SingleProducer, SingleProducerBarrier};
use std::marker::PhantomData;
use std::sync::{Arc, mpsc};

/// What carries a record through a queue of elements.
pub(crate) trait Element: Send + Sized + 'static {
    /// Kept by the sender from record to record.
    type Mould: Send + Default;
    /// Bytes that an element takes of the capacity, for records of so many bytes.
    fn size(mean: usize) -> usize;
    fn make(mould: &mut Self::Mould, record: &[u8]) -> Self;
    fn show(&self, reader: &mut Reader);
}

/// An array for the longest record; the record's own length says where it ends.
#[derive(Clone, Copy)]
pub(crate) struct Inline<const N: usize>([u8; N]);

impl<const N: usize> Default for Inline<N> {
    fn default() -> Self {
        Inline([0; N])
    }
}

impl<const N: usize> Element for Inline<N> {
    /// Written over and over: nothing is cleared for each record.
    type Mould = Inline<N>;

    fn size(_mean: usize) -> usize {
        N
    }

    #[inline]
    fn make(mould: &mut Inline<N>, record: &[u8]) -> Self {
        mould.0[..record.len()].copy_from_slice(record);
        *mould
    }

    #[inline]
    fn show(&self, reader: &mut Reader) {
        let len = self.0.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        reader.record(&self.0[..len]);
    }
}

impl Element for Box<[u8]> {
    type Mould = ();

    fn size(mean: usize) -> usize {
        mean
    }

    #[inline]
    fn make((): &mut (), record: &[u8]) -> Self {
        record.into()
    }

    #[inline]
    fn show(&self, reader: &mut Reader) {
        reader.record(self);
    }
}

/// A sending end with the element that was refused, so that it is not made again.
pub(crate) struct Sending<Q, E: Element> {
    queue: Q,
    mould: E::Mould,
    refused: Option<E>,
}

impl<Q, E: Element> Sending<Q, E> {
    fn new(queue: Q) -> Self {
        Sending { queue, mould: E::Mould::default(), refused: None }
    }

    #[inline]
    fn send_by(&mut self, record: &[u8], push: impl FnOnce(&Q, E) -> Result<(), E>) -> bool {
        let element = self.refused.take().unwrap_or_else(|| E::make(&mut self.mould, record));
        match push(&self.queue, element) {
            Ok(()) => true,
            Err(element) => {
                self.refused = Some(element);
                false
            }
        }
    }
}

#[inline]
fn drain_by<E: Element>(enough: u64, reader: &mut Reader, mut pop: impl FnMut() -> Option<E>) -> bool {
    let mut there = false;
    for _ in 0..enough {
        let Some(element) = pop() else { break };
        element.show(reader);
        there = true;
    }
    there
}

fn places<E: Element>(capacity: usize, longest: usize) -> usize {
    capacity / E::size(longest * 4 / 5)
}

/// `crossbeam_queue::ArrayQueue`.
pub(crate) struct Array<E>(PhantomData<E>);

pub(crate) struct ArrayReceiver<E>(Arc<ArrayQueue<E>>);

impl<E: Element> Queue for Array<E> {
    type Sender = Sending<Arc<ArrayQueue<E>>, E>;
    type Receiver = ArrayReceiver<E>;

    fn open(capacity: usize, longest: usize) -> (Self::Sender, Self::Receiver) {
        let queue = Arc::new(ArrayQueue::new(places::<E>(capacity, longest)));
        (Sending::new(queue.clone()), ArrayReceiver(queue))
    }
}

impl<E: Element> Sender for Sending<Arc<ArrayQueue<E>>, E> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        self.send_by(record, |queue, element| queue.push(element))
    }
}

impl<E: Element> Receiver for ArrayReceiver<E> {
    #[inline]
    fn drain(&mut self, enough: u64, reader: &mut Reader) -> bool {
        drain_by(enough, reader, || self.0.pop())
    }
}

/// `crossbeam_channel::bounded`.
pub(crate) struct Channel<E>(PhantomData<E>);

impl<E: Element> Queue for Channel<E> {
    type Sender = Sending<crossbeam_channel::Sender<E>, E>;
    type Receiver = crossbeam_channel::Receiver<E>;

    fn open(capacity: usize, longest: usize) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = crossbeam_channel::bounded(places::<E>(capacity, longest));
        (Sending::new(sender), receiver)
    }
}

impl<E: Element> Sender for Sending<crossbeam_channel::Sender<E>, E> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        self.send_by(record, |queue, element| {
            queue.try_send(element).map_err(crossbeam_channel::TrySendError::into_inner)
        })
    }
}

impl<E: Element> Receiver for crossbeam_channel::Receiver<E> {
    #[inline]
    fn drain(&mut self, enough: u64, reader: &mut Reader) -> bool {
        drain_by(enough, reader, || self.try_recv().ok())
    }
}

/// `std::sync::mpsc::sync_channel`.
pub(crate) struct Mpsc<E>(PhantomData<E>);

impl<E: Element> Queue for Mpsc<E> {
    type Sender = Sending<mpsc::SyncSender<E>, E>;
    type Receiver = mpsc::Receiver<E>;

    fn open(capacity: usize, longest: usize) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = mpsc::sync_channel(places::<E>(capacity, longest));
        (Sending::new(sender), receiver)
    }
}

impl<E: Element> Sender for Sending<mpsc::SyncSender<E>, E> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        self.send_by(record, |queue, element| {
            queue.try_send(element).map_err(|refused| match refused {
                mpsc::TrySendError::Full(element) | mpsc::TrySendError::Disconnected(element) => element,
            })
        })
    }
}

impl<E: Element> Receiver for mpsc::Receiver<E> {
    #[inline]
    fn drain(&mut self, enough: u64, reader: &mut Reader) -> bool {
        drain_by(enough, reader, || self.try_recv().ok())
    }
}

/// `disruptor` with an array for the longest record in each slot, written in place, and an event poller. Its slots are a power
/// of two: the largest that the capacity holds.
pub(crate) struct Disruptor<const N: usize>;

type Poller<const N: usize> = EventPoller<Inline<N>, SingleProducerBarrier>;

impl<const N: usize> Queue for Disruptor<N> {
    type Sender = SingleProducer<Inline<N>, disruptor::SingleConsumerBarrier>;
    type Receiver = Poller<N>;

    fn open(capacity: usize, _longest: usize) -> (Self::Sender, Self::Receiver) {
        let slots = 1 << (capacity / N).ilog2();
        let (poller, builder) = disruptor::build_single_producer(slots, Inline::default, BusySpin).new_event_poller();
        (builder.build(), poller)
    }
}

impl<const N: usize> Sender for SingleProducer<Inline<N>, disruptor::SingleConsumerBarrier> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        self.try_publish(|slot| slot.0[..record.len()].copy_from_slice(record)).is_ok()
    }
}

impl<const N: usize> Receiver for Poller<N> {
    #[inline]
    fn drain(&mut self, _enough: u64, reader: &mut Reader) -> bool {
        match self.poll() {
            Ok(mut events) => {
                for event in &mut events {
                    event.show(reader);
                }
                true
            }
            Err(Polling::NoEvents | Polling::Shutdown) => false,
        }
    }
}
