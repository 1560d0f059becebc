//! The queue of what is to happen: by time, and in order of entry where the time is the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use forebay_io::core::ConnId;
use forebay_io::time::Time;

/// Something that happens at a moment.
#[derive(Debug)]
pub(crate) enum Event {
    /// The I/O thread wakes, unless it was woken since by something else.
    Io { generation: u64 },
    /// A connection attempt ends.
    Connected { conn: ConnId, result: Result<usize, &'static str> },
    /// Bytes arrive at a broker.
    ToBroker { link: usize, bytes: Vec<u8> },
    /// A broker takes the next request of a connection, if it is free to.
    Serve { link: usize },
    /// A broker has done what a request asked for, replication included.
    Answer { link: usize, epoch: u32, answer: crate::cluster::Pending },
    /// Bytes arrive at the client.
    ToClient { link: usize, bytes: Vec<u8> },
    /// The client's end learns that the connection is gone.
    Broken { link: usize, why: &'static str },
    /// A closed connection is closed for the broker as well.
    Forgotten { link: usize },
    /// A sender does the next thing, or looks whether it may go on.
    Sender { number: usize, generation: u64 },
    /// A compression thread has done a job.
    Packed,
    /// Trouble.
    Trouble,
    /// A trouble ends.
    Relief(crate::faults::Relief),
}

struct Entry {
    at: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

impl Events {
    pub(crate) fn add(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at, number: self.count, event }));
    }

    /// The next event, if it is not after `end`.
    pub(crate) fn next(&mut self, end: Time) -> Option<(Time, Event)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.0.at, entry.0.event))
    }

    /// How many there have been.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}
