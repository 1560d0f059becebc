//! In a tokio program: tasks send without blocking a worker and await outcomes. `cargo run --example tokio`
//!
//! `send` may block its thread while the buffer is full, which a task must not do: `send_async` has the task wait instead. The records'
//! outcomes are futures of any runtime.

use forebay::{Producer, Record, Topic};
use forebay_mock_broker::MockBroker;
use std::time::Duration;

const TASKS: u32 = 8;
const RECORDS: u32 = 500;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let broker = MockBroker::builder().partitions(3).start()?;
    // Small enough to fill: 64 KiB.
    let producer = Producer::builder().bootstrap_servers(broker.bootstrap()).set("buffer.memory", "65536").build()?;
    let orders = producer.topic("orders")?;

    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(producer.clone(), orders, task))).collect();
    let mut delivered = 0;
    for task in tasks {
        delivered += task.await??;
    }
    assert_eq!(delivered, TASKS * RECORDS);

    // `close` waits for the I/O thread, so it has a thread of its own too.
    tokio::task::spawn_blocking(move || producer.close(Duration::from_secs(30))).await??;
    let stored: usize = (0..3).map(|partition| broker.records("orders", partition).len()).sum();
    assert_eq!(stored, (TASKS * RECORDS) as usize);
    println!("{delivered} records of {TASKS} tasks awaited");
    Ok(())
}

/// One task with a sender of its own. Answers how many of its records were delivered.
async fn work(producer: Producer, orders: Topic, task: u32) -> Result<u32, AnyError> {
    let mut sender = producer.sender()?;
    let mut receipts = Vec::new();
    for number in 0..RECORDS {
        let value = format!("{task}:{number}");
        let record = Record::to(orders).value(value.as_bytes());
        receipts.push(sender.send_async(record).await.map_err(|refused| refused.kind)?);
    }
    let mut delivered = 0;
    for receipt in receipts {
        producer.delivery(receipt).await?;
        delivered += 1;
    }
    Ok(delivered)
}
