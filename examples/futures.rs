//! Outcomes as futures, for any async runtime, and here for none. `cargo run --example futures`
//!
//! `Producer::delivery` needs no runtime: the I/O thread wakes whichever task polled it.

use forebay::{Producer, Record};
use forebay_mock_broker::MockBroker;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

const RECORDS: u32 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?;
    let producer = Producer::builder().bootstrap_servers(broker.bootstrap()).build()?;
    let last = block_on(produce(&producer))?;
    println!("{RECORDS} records awaited, the last one at offset {last}");
    producer.close(Duration::from_secs(30))?;

    assert_eq!(last, i64::from(RECORDS) - 1);
    assert_eq!(broker.records("orders", 0).len(), RECORDS as usize);
    Ok(())
}

/// The offset of the last record.
async fn produce(producer: &Producer) -> Result<i64, Box<dyn std::error::Error>> {
    let orders = producer.topic("orders")?;
    let mut sender = producer.sender()?;
    // `send` returns as soon as the record is in the buffer; while that is full it blocks its thread, which is this future's own. In
    // a runtime, await `send_async` instead.
    let mut receipts = Vec::new();
    for number in 0..RECORDS {
        let value = number.to_string();
        let record = Record::to(orders).value(value.as_bytes());
        receipts.push(sender.send(record).map_err(|refused| refused.to_string())?);
    }
    let mut last = -1;
    for receipt in receipts {
        let offset = producer.delivery(receipt).await?.offset.ok_or("the offset is known with acks=all")?;
        assert_eq!(offset, last + 1, "records are stored in the order in which they were sent");
        last = offset;
    }
    Ok(last)
}

/// The smallest executor: one future, on this thread, which sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}
