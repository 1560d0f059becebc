//! A thread that must not be held up: values made in place, sent at once, never blocking. `cargo run --release --example low_latency`
//!
//! - `linger.ms=0`: a record is sent as soon as the I/O thread sees it.
//! - `io.spin.us`: the I/O thread looks for records for that long before it sleeps, so that the sender seldom has to wake it
//!   (a system call of some microseconds).
//! - `try_reserve` refuses instead of waiting; what to do without room is the thread's own decision. Here it counts.
//! - The topic is known before the first record: `partitions_for` waits for it once.
//!
//! It prints what the calls took. Run it with `--release`; on a machine with few cores the I/O thread and the broker in memory
//! compete with the thread that is measured.

use forebay::{Producer, Record, SendErrorKind};
use forebay_mock_broker::MockBroker;
use std::time::{Duration, Instant};

const TICKS: u32 = 20_000;
/// 50,000 a second.
const PACE: Duration = Duration::from_micros(20);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::builder().start()?;
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("linger.ms", "0")
        .set("io.spin.us", "50")
        .build()?;
    let ticks = producer.topic("ticks")?;
    producer.partitions_for(ticks, Duration::from_secs(30))?;
    let mut sender = producer.sender()?;

    let mut took = Vec::with_capacity(TICKS as usize);
    let (mut sent, mut refused) = (0_u32, 0_u32);
    let start = Instant::now();
    for number in 0..TICKS {
        while start.elapsed() < PACE * number {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        match sender.try_reserve(Record::to(ticks).partition(0), 16) {
            Ok(mut reservation) => {
                let value = reservation.value_mut().ok_or("a small record is in one piece")?;
                value[..4].copy_from_slice(&number.to_be_bytes());
                value[4..].fill(7);
                reservation.commit()?;
                sent += 1;
            }
            Err(error) if error.kind == SendErrorKind::Full => refused += 1,
            Err(error) => return Err(error.kind.into()),
        }
        took.push(begun.elapsed());
    }
    producer.close(Duration::from_secs(30))?;

    assert_eq!(broker.records("ticks", 0).len(), sent as usize, "what was accepted is delivered");
    took.sort_unstable();
    let percentile = |per_mille: usize| took[took.len() * per_mille / 1000];
    println!("{sent} sent, {refused} refused for want of room");
    println!("a call took {:?} (p50), {:?} (p99), {:?} (p99.9)", percentile(500), percentile(990), percentile(999));
    Ok(())
}
