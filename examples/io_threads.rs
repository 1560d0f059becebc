//! A producer with several I/O threads, for links that one cannot fill. `cargo run --example io_threads`
//!
//! Partitions and the memory are dealt out among the threads. Nothing else changes: senders, flush, close and figures are those of
//! one producer.

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const THREADS: usize = 2;
const PARTITIONS: u32 = 8;
const RECORDS: u32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().nodes(2).partitions(PARTITIONS).start()?;
    // How many records each I/O thread reported. The callback is called by one thread at a time.
    let reported = Arc::new(Mutex::new(BTreeMap::<String, u64>::new()));
    let counts = reported.clone();
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        // 16 MiB for each: what one partition can have at most.
        .configure(|config| config.io_threads(THREADS).buffer_memory(THREADS * (16 << 20)))
        .on_delivery(move |report| {
            let thread = thread::current().name().unwrap_or_default().to_owned();
            if let Ok(mut counts) = counts.lock() {
                *counts.entry(thread).or_default() += u64::from(report.count);
            }
        })
        .build()?;
    let readings = producer.topic("readings")?;
    let mut sender = producer.sender()?;
    for number in 0..RECORDS {
        let value = number.to_be_bytes();
        let record = Record::to(readings).partition(number % PARTITIONS).value(&value);
        sender.send(record).map_err(|refused| refused.to_string())?;
    }
    // Each thread has delivered what it had.
    producer.flush(Duration::from_secs(30))?;
    let metrics = producer.metrics();
    producer.close(Duration::from_secs(30))?;

    assert_eq!(metrics.record_delivered.total, u64::from(RECORDS));
    let reported = reported.lock().map_err(|_| "the callback panicked")?;
    assert_eq!(reported.values().sum::<u64>(), u64::from(RECORDS));
    assert_eq!(reported.len(), THREADS, "each thread has partitions of its own");
    for (thread, records) in reported.iter() {
        println!("{thread}: {records} records");
    }
    println!("{} records in {} requests", metrics.record_delivered.total, metrics.records_per_request.count);
    Ok(())
}
