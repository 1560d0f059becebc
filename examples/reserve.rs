//! Zero copies: values are written where the socket will read them. `cargo run --example reserve`
//!
//! `send` copies a value once, into the buffer. `reserve` claims its place there and lends it out, for values that are
//! made on the spot and would otherwise be made elsewhere first.

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use std::time::Duration;

const TICKS: u64 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?;
    let producer = Producer::builder().bootstrap_servers(broker.bootstrap()).build()?;
    let ticks = producer.topic("ticks")?;
    let mut sender = producer.sender()?;

    for number in 0..TICKS {
        let record = Record::to(ticks).key(b"EURUSD");
        let mut reservation = sender.reserve(record, 16).map_err(|refused| refused.kind)?;
        // In one piece, as the whole record fits a segment of the buffer.
        let value = reservation.value_mut().ok_or("a small record is in one piece")?;
        value[..8].copy_from_slice(&number.to_be_bytes());
        value[8..].copy_from_slice(&1.0842_f64.to_be_bytes());
        reservation.commit()?;
    }

    // A reservation that is dropped leaves no trace.
    drop(sender.reserve(Record::to(ticks), 1_000).map_err(|refused| refused.kind)?);

    sender.flush(Duration::from_secs(30))?;
    producer.close(Duration::from_secs(30))?;

    let stored = broker.records("ticks", 0);
    assert_eq!(stored.len() as u64, TICKS);
    for (number, record) in (0..).zip(&stored) {
        let value = record.value.as_deref().unwrap_or_default();
        assert_eq!(value[..8], u64::to_be_bytes(number));
        assert_eq!(value[8..], 1.0842_f64.to_be_bytes());
    }
    println!("{TICKS} values of 16 bytes were written in place and arrived in order");
    Ok(())
}
