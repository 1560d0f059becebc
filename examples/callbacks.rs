//! Outcomes by callback: one call for each batch of a sender, not for each record. `cargo run --example callbacks`
//!
//! The callback runs on the I/O thread and holds up everything else while it runs: count, or hand on.

use forebay::{DeliveryReport, Producer, Record};
use forebay_mock_broker::{FaultSpec, MockBroker, When};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RECORDS: u64 = 50_000;
/// Kafka's error `INVALID_RECORD`: final, so the batch fails instead of being sent again.
const INVALID_RECORD: i16 = 87;

#[derive(Default)]
struct Totals {
    delivered: AtomicU64,
    failed: AtomicU64,
    calls: AtomicU64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?;
    let totals = Arc::new(Totals::default());
    let counted = totals.clone();
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .on_delivery(move |report: &DeliveryReport| {
            let total = if report.result.is_ok() { &counted.delivered } else { &counted.failed };
            total.fetch_add(report.count.into(), Ordering::Relaxed);
            counted.calls.fetch_add(1, Ordering::Relaxed);
        })
        .build()?;
    let orders = producer.topic("orders")?;
    let mut sender = producer.sender()?;

    for number in 0..RECORDS {
        let value = number.to_be_bytes();
        sender.send(Record::to(orders).value(&value)).map_err(|refused| refused.to_string())?;
    }
    // When a flush returns, the callback has been called for everything before it.
    producer.flush(Duration::from_secs(30))?;
    assert_eq!(totals.delivered.load(Ordering::Relaxed), RECORDS);
    assert_eq!(totals.failed.load(Ordering::Relaxed), 0);

    // Failures come the same way, and the next flush of the producer reports them too.
    broker.faults().set(FaultSpec::ProduceError { code: INVALID_RECORD, when: When::Next(1), after_append: false });
    sender.send(Record::to(orders).value(b"refused")).map_err(|refused| refused.kind)?;
    let error = producer.flush(Duration::from_secs(30)).expect_err("the broker refuses it");
    println!("as it should be: {error}");
    assert_eq!(totals.failed.load(Ordering::Relaxed), 1);

    let calls = totals.calls.load(Ordering::Relaxed);
    println!("{RECORDS} records delivered and 1 failed, told in {calls} calls");
    producer.close(Duration::from_secs(30))?;
    Ok(())
}
