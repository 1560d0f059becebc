//! One producer, many threads: each has a sender of its own. `cargo run --example many_threads`
//!
//! Threads never wait for each other: each writes into lanes of its own, and the I/O thread makes one batch of the
//! lanes of a partition. What one sender sends to one partition keeps its order.

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use std::thread;
use std::time::Duration;

const THREADS: u32 = 4;
const RECORDS: u32 = 10_000;
const PARTITIONS: u16 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().partitions(PARTITIONS.into()).start()?;
    let producer = Producer::builder().bootstrap_servers(broker.bootstrap()).build()?;
    let clicks = producer.topic("clicks")?;

    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let producer = producer.clone();
                scope.spawn(move || -> Result<(), String> {
                    let mut sender = producer.sender().map_err(|e| e.to_string())?;
                    for number in 0..RECORDS {
                        let value = [thread.to_be_bytes(), number.to_be_bytes()].concat();
                        let record = Record::to(clicks).value(&value);
                        sender.send(record).map_err(|refused| refused.to_string())?;
                    }
                    // What this sender sent has been acknowledged, or the error says how much was not.
                    sender.flush(Duration::from_secs(30)).map_err(|e| e.to_string())
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a sending thread panicked")??;
        }
        Ok::<_, String>(())
    })?;
    producer.close(Duration::from_secs(30))?;

    let mut total = 0;
    for partition in 0..PARTITIONS {
        let mut last = [None; THREADS as usize];
        for record in broker.records("clicks", partition.into()) {
            let value = record.value.ok_or("a record without a value")?;
            let (thread, number) = value.split_at(4);
            let last = &mut last[u32::from_be_bytes(thread.try_into()?) as usize];
            let number = u32::from_be_bytes(number.try_into()?);
            assert!(*last < Some(number), "the records of a sender keep their order in a partition");
            *last = Some(number);
            total += 1;
        }
    }
    assert_eq!(total, THREADS * RECORDS);
    println!("{total} records of {THREADS} threads, each thread's in order in each partition");
    Ok(())
}
