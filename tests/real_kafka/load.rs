//! Several senders at work, and a book of what was said of every record.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use forebay::{DeliveryError, Producer, Receipt, Record};

use crate::PATIENCE;
use crate::ledger::{Fate, Sent};

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Senders of each producer.
    pub(crate) senders: usize,
    /// Records between two pauses.
    pub(crate) burst: u64,
    pub(crate) pause: Duration,
    /// Each sender ends after this many; or when all is over.
    pub(crate) limit: u64,
}

/// A record that was sent.
struct Posted {
    number: u64,
    /// The partition that the sender chose. Outcomes of one sender and partition come in order, so that each queue of these is
    /// asked at its head; where the producer chooses, a head may hold up others, which costs some offsets and no truth.
    chosen: Option<u32>,
    receipt: Option<Receipt>,
    at: Instant,
}

/// Runs senders of each producer while `meanwhile` runs on this thread; then waits for every outcome.
/// Senders are numbered through all producers, from 0.
pub(crate) fn under_load(producers: &[&Producer], topic: &str, pace: Pace, meanwhile: impl FnOnce()) -> Vec<Sent> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _senders_end = StopOnDrop(&stop);
        let count = producers.len() * pace.senders;
        let books: Vec<_> = (0..count)
            .map(|id| {
                let (producer, stop) = (producers[id / pace.senders], &stop);
                let (posted, to_book) = mpsc::channel();
                scope.spawn(move || send(producer, topic, id, pace, stop, &posted));
                scope.spawn(move || book(producer, &to_book))
            })
            .collect();
        meanwhile();
        if pace.limit == u64::MAX {
            stop.store(true, Ordering::Relaxed);
        }
        books.into_iter().map(|book| book.join().expect("the book is kept")).collect()
    })
}

/// Ends the senders, also where the test fails: or the threads' scope would wait for them for ever.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn send(producer: &Producer, topic: &str, id: usize, pace: Pace, stop: &AtomicBool, posted: &Sender<Posted>) {
    let topic = producer.topic(topic).expect("a topic");
    let mut sender = producer.sender().expect("a sender");
    let mut random = fastrand::Rng::with_seed(id as u64);
    let mut partitions = 1;
    let mut value = String::new();
    for number in 0..pace.limit {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if number % pace.burst == 0 {
            thread::sleep(pace.pause);
            partitions = producer.partitions_for(topic, Duration::ZERO).unwrap_or(partitions);
        }
        value.clear();
        let padding = random.usize(..100);
        let _ = write!(value, "{id} {number} {:padding$}", "");
        // Three of four choose their partition; of the others, half leave it to a key's hash and half to the sticky partitioner.
        let chosen = (number % 4 != 3).then(|| random.u32(..partitions));
        let key = number.to_be_bytes();
        let mut record = Record::to(topic).value(value.as_bytes());
        match chosen {
            Some(partition) => record = record.partition(partition),
            None if number % 8 == 3 => record = record.key(&key),
            None => {}
        }
        let at = Instant::now();
        let receipt = sender.send(record).ok();
        posted.send(Posted { number, chosen, receipt, at }).expect("the book is kept until the last record");
    }
}

fn book(producer: &Producer, posted: &Receiver<Posted>) -> Sent {
    let mut book = Sent::default();
    let mut open: BTreeMap<Option<u32>, VecDeque<(Posted, Receipt)>> = BTreeMap::new();
    let mut over: Option<Instant> = None;
    loop {
        while over.is_none() {
            match posted.try_recv() {
                Ok(record) => {
                    let fate = if record.receipt.is_some() { Fate::Silent } else { Fate::Refused };
                    book.fates.push(fate);
                    if let Some(receipt) = record.receipt {
                        open.entry(record.chosen).or_default().push_back((record, receipt));
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => over = Some(Instant::now()),
            }
        }
        for queue in open.values_mut() {
            while let Some((record, outcome)) = queue.front().and_then(|(p, r)| Some((p, producer.poll(*r)?))) {
                let fate = match outcome {
                    Ok(delivery) => {
                        book.longest = book.longest.max(record.at.elapsed());
                        Fate::Acknowledged { partition: delivery.partition, offset: delivery.offset }
                    }
                    Err(why) => {
                        *book.failures.entry(why.to_string()).or_default() += 1;
                        match why {
                            DeliveryError::Failed(failure) if !failure.possibly_appended => Fate::NotAppended,
                            _ => Fate::InDoubt,
                        }
                    }
                };
                book.fates[record.number as usize] = fate;
                queue.pop_front();
            }
        }
        let all = open.values().all(VecDeque::is_empty);
        // What has no outcome after such a time gets none: the verdict says so.
        if over.is_some_and(|since| all || since.elapsed() > PATIENCE) {
            return book;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
