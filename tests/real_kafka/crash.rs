//! The broker is killed and comes back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use forebay::Record;

use crate::support::kafka::KafkaBroker;
use crate::{PATIENCE, by_partition, numbered, producer};

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn an_acknowledged_record_survives_kill_nine() {
    let Some(mut broker) = KafkaBroker::start() else { return };
    broker.create_topic("survivor", 1);
    let producer = producer(&broker, &[]);
    let topic = producer.topic("survivor").expect("a topic");
    let mut sender = producer.sender().expect("a sender");
    let receipt = sender.send(Record::to(topic).partition(0).value(b"here")).expect("sent");
    assert_eq!(producer.wait(receipt, PATIENCE).expect("acknowledged").offset, Some(0));
    broker.kill9();
    broker.restart();
    let receipt = sender.send(Record::to(topic).partition(0).value(b"still here")).expect("sent");
    assert_eq!(producer.wait(receipt, PATIENCE).expect("acknowledged").offset, Some(1));
    producer.close(PATIENCE).expect("closed");
    let values: Vec<_> = broker.consume_java("survivor").into_iter().filter_map(|r| r.value).collect();
    assert_eq!(values, [b"here".to_vec(), b"still here".to_vec()]);
}

/// Ends the senders, also where the test fails: or the threads' scope would wait for them for ever.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What became of one number of one sender.
struct Outcome {
    number: u64,
    offset: Option<i64>,
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn every_acknowledged_record_is_there_once_and_in_order_after_kill_nine_in_mid_stream() {
    killed_in_mid_stream(&[("linger.ms", "1")]);
}

#[test]
#[ignore = "needs a real Kafka: cargo xtask kafka"]
fn the_same_holds_with_two_io_threads() {
    killed_in_mid_stream(&[("linger.ms", "1"), ("io.threads", "2")]);
}

fn killed_in_mid_stream(settings: &[(&str, &str)]) {
    const SENDERS: u64 = 2;
    const STEP: u64 = 20_000;
    let Some(mut broker) = KafkaBroker::start() else { return };
    broker.create_topic("killed", 2);
    let producer = producer(&broker, settings);
    let topic = producer.topic("killed").expect("a topic");
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let wait_for = |count: u64| {
        let hung = Instant::now() + PATIENCE;
        while acknowledged.load(Ordering::Relaxed) < count {
            assert!(Instant::now() < hung, "{count} acknowledgements do not come");
            thread::sleep(Duration::from_millis(1));
        }
    };
    let outcomes = thread::scope(|scope| {
        let senders_end = StopOnDrop(&stop);
        let waiters: Vec<_> = (0..SENDERS)
            .map(|id| {
                let (producer, stop, acknowledged) = (&producer, &stop, &acknowledged);
                let (sent, receipts) = mpsc::sync_channel(1 << 16);
                scope.spawn(move || {
                    let mut sender = producer.sender().expect("a sender");
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        if number % 32 == 0 {
                            thread::sleep(Duration::from_millis(1)); // a stream that the kills hit, not a flood that outruns them
                        }
                        let value = format!("{id} {number}");
                        let record = Record::to(topic).partition((number % 2) as u32).value(value.as_bytes());
                        sent.send((number, sender.send(record).expect("sent"))).expect("the waiter listens");
                    }
                });
                scope.spawn(move || {
                    let mut outcomes = Vec::new();
                    for (number, receipt) in receipts {
                        let delivery = producer.wait(receipt, PATIENCE).expect("acknowledged");
                        assert_eq!(delivery.partition, (number % 2) as u32);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        outcomes.push(Outcome { number, offset: delivery.offset });
                    }
                    outcomes
                })
            })
            .collect();
        for kill in 1..=2 {
            wait_for(kill * STEP);
            broker.kill9();
            thread::sleep(Duration::from_millis(500)); // long enough for refused connections, short of every timeout
            broker.restart();
        }
        wait_for(3 * STEP);
        drop(senders_end);
        waiters.into_iter().map(|waiter| waiter.join().expect("a waiter ends")).collect::<Vec<_>>()
    });
    producer.close(PATIENCE).expect("closed");

    let log = by_partition(broker.consume_java("killed"));
    let total: usize = log.values().map(Vec::len).sum();
    assert_eq!(
        total,
        outcomes.iter().map(Vec::len).sum::<usize>(),
        "every record was acknowledged, and each is there once"
    );
    for (&partition, records) in &log {
        let mut next = [u64::from(partition); SENDERS as usize];
        for record in records {
            let (id, number) = numbered(record);
            assert_eq!(number, next[id as usize], "sender {id}, partition {partition}, offset {}", record.offset);
            next[id as usize] += 2;
        }
    }
    let mut placed = 0;
    for (id, outcomes) in outcomes.iter().enumerate() {
        for outcome in outcomes {
            // A duplicate that the broker recognised is a success without an offset.
            let Some(offset) = outcome.offset else { continue };
            placed += 1;
            let record = &log[&((outcome.number % 2) as u32)][offset as usize];
            assert_eq!(numbered(record), (id as u64, outcome.number), "the offset that was reported");
        }
    }
    assert!(placed > total / 2, "only what was in flight at a kill may lack its offset: {placed} of {total} have one");
}
