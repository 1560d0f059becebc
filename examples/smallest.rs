//! The smallest program: one record, sent and acknowledged. `cargo run --example smallest`

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?; // stands in for your cluster

    let producer = Producer::builder().bootstrap_servers(broker.bootstrap()).build()?;
    let orders = producer.topic("orders")?;
    let mut sender = producer.sender()?;

    let record = Record::to(orders).key(b"customer-7").value(b"12.50");
    let receipt = sender.send(record).map_err(|refused| refused.kind)?;
    let delivery = producer.wait(receipt, Duration::from_secs(30))?;
    println!("{}-{} at offset {:?}", delivery.topic, delivery.partition, delivery.offset);
    producer.close(Duration::from_secs(30))?;

    let stored = broker.records("orders", 0);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].value.as_deref(), Some(&b"12.50"[..]));
    assert_eq!(Some(stored[0].offset), delivery.offset);
    Ok(())
}
