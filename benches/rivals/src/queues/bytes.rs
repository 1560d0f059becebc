//! Rings of bytes. A record carries its own length, so each needs one copy and one publish a record, and the consumer reads
//! in place and frees what one look found with one store.

use crate::queue::{Queue, Receiver, Sender};
use crate::records::Reader;
use bbqueue::nicknames::GogiGui;
use bbqueue::prod_cons::framed::{FramedConsumer, FramedProducer};
use bbqueue::prod_cons::stream::{StreamConsumer, StreamProducer};
use bbqueue::traits::storage::BoxedSlice;
use ringbuf::traits::{Consumer as _, Observer as _, Producer as _, Split as _};
use std::sync::Arc;

/// `rtrb` with elements of one byte.
pub(crate) struct Rtrb;

impl Queue for Rtrb {
    type Sender = rtrb::Producer<u8>;
    type Receiver = rtrb::Consumer<u8>;

    fn open(capacity: usize, _longest: usize) -> (Self::Sender, Self::Receiver) {
        rtrb::RingBuffer::new(capacity)
    }
}

impl Sender for rtrb::Producer<u8> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        self.push_entire_slice(record).is_ok()
    }
}

impl Receiver for rtrb::Consumer<u8> {
    #[inline]
    fn drain(&mut self, _enough: u64, reader: &mut Reader) -> bool {
        let there = self.slots();
        let Ok(chunk) = self.read_chunk(there) else { return false };
        let (one, two) = chunk.as_slices();
        reader.stream(one);
        reader.stream(two);
        chunk.commit_all();
        there > 0
    }
}

/// `ringbuf` with elements of one byte.
pub(crate) struct Ringbuf;

pub(crate) struct RingbufSender {
    ring: ringbuf::HeapProd<u8>,
    /// Room that was seen and not used since: the consumer's index is not asked for each record twice.
    room: usize,
}

impl Queue for Ringbuf {
    type Sender = RingbufSender;
    type Receiver = ringbuf::HeapCons<u8>;

    fn open(capacity: usize, _longest: usize) -> (Self::Sender, Self::Receiver) {
        let (ring, receiver) = ringbuf::HeapRb::new(capacity).split();
        (RingbufSender { ring, room: 0 }, receiver)
    }
}

impl Sender for RingbufSender {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        if self.room < record.len() {
            self.room = self.ring.vacant_len();
            if self.room < record.len() {
                return false;
            }
        }
        let pushed = self.ring.push_slice(record);
        assert_eq!(pushed, record.len(), "there was room");
        self.room -= pushed;
        true
    }
}

impl Receiver for ringbuf::HeapCons<u8> {
    #[inline]
    fn drain(&mut self, _enough: u64, reader: &mut Reader) -> bool {
        let (one, two) = self.as_slices();
        let there = one.len() + two.len();
        reader.stream(one);
        reader.stream(two);
        self.skip(there);
        there > 0
    }
}

type Handle = Arc<bbqueue::BBQueue<BoxedSlice, bbqueue::traits::coordination::cas::AtomicCoord, Polling>>;
type Polling = bbqueue::traits::notifier::polling::Polling;

/// `bbqueue` as a stream of bytes.
pub(crate) struct BbStream;

impl Queue for BbStream {
    type Sender = StreamProducer<Handle>;
    type Receiver = StreamConsumer<Handle>;

    fn open(capacity: usize, _longest: usize) -> (Self::Sender, Self::Receiver) {
        let queue = GogiGui::new_with_storage(BoxedSlice::new(capacity));
        (queue.stream_producer(), queue.stream_consumer())
    }
}

impl Sender for StreamProducer<Handle> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        let Ok(mut grant) = self.grant_exact(record.len()) else { return false };
        grant.copy_from_slice(record);
        grant.commit(record.len());
        true
    }
}

impl Receiver for StreamConsumer<Handle> {
    #[inline]
    fn drain(&mut self, _enough: u64, reader: &mut Reader) -> bool {
        let Ok(grant) = self.read() else { return false };
        reader.stream(&grant);
        let there = grant.len();
        grant.release(there);
        true
    }
}

/// `bbqueue` with its own frames.
pub(crate) struct BbFramed;

impl Queue for BbFramed {
    type Sender = FramedProducer<Handle, u16>;
    type Receiver = FramedConsumer<Handle, u16>;

    fn open(capacity: usize, _longest: usize) -> (Self::Sender, Self::Receiver) {
        let queue = GogiGui::new_with_storage(BoxedSlice::new(capacity));
        (queue.framed_producer(), queue.framed_consumer())
    }
}

impl Sender for FramedProducer<Handle, u16> {
    #[inline]
    fn send(&mut self, record: &[u8]) -> bool {
        let Ok(mut grant) = self.grant(record.len() as u16) else { return false };
        grant.copy_from_slice(record);
        grant.commit(record.len() as u16);
        true
    }
}

impl Receiver for FramedConsumer<Handle, u16> {
    #[inline]
    fn drain(&mut self, enough: u64, reader: &mut Reader) -> bool {
        let mut there = false;
        for _ in 0..enough {
            let Ok(grant) = self.read() else { break };
            reader.record(&grant);
            grant.release();
            there = true;
        }
        there
    }
}
