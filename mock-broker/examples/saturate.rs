//! How fast the broker takes records, by mode: one client repeats a request of 1 MB, five in flight.
//! `cargo run --release -p forebay-mock-broker --example saturate [RECORD_SIZE]`.
//!
//! The client's part is one `write` per request; where it has a core of its own, the rate is the broker's. On Linux the
//! CPU time of the broker's thread is printed too, which says more on a busy machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_mock_broker::{MockBroker, Mode, Numbering, SequenceVerifier, payload::Stamper, produce_request};

const IN_FLIGHT: usize = 5;
const MEASURED: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let size: usize = std::env::args().nth(1).map_or(Ok(100), |size| size.parse())?;
    let count = (1_000_000 / (size + 10)).clamp(1, 8192);
    for mode in [Mode::Discard, Mode::Verify, Mode::Store] {
        let mut builder = MockBroker::builder().mode(mode);
        if mode == Mode::Verify {
            builder = builder.verifier(Box::new(SequenceVerifier::new(Numbering::PerPartition, 1)));
        }
        let broker = builder.start()?;
        broker.create_topic("t", 1)?;
        let frame = request(size, count)?;
        let mut client = TcpStream::connect(broker.bootstrap())?;
        for _ in 0..IN_FLIGHT {
            client.write_all(&frame)?;
        }
        let begin = Instant::now();
        let mut answered = 0_u32;
        let mut answer = Vec::new();
        while begin.elapsed() < MEASURED {
            let mut length = [0; 4];
            client.read_exact(&mut length)?;
            answer.resize(u32::from_be_bytes(length) as usize, 0);
            client.read_exact(&mut answer)?;
            answered += 1;
            client.write_all(&frame)?;
        }
        let per_second = f64::from(answered) / begin.elapsed().as_secs_f64();
        print!(
            "{mode:?}: {:.1} million records of {size} bytes a second, {:.0} MB/s",
            per_second * count as f64 / 1e6,
            per_second * frame.len() as f64 / 1e6
        );
        match broker_cpu_ns() {
            Some(cpu) => println!(", {:.1} ns of CPU a record", cpu / broker.summary().records() as f64),
            None => println!(),
        }
        if broker.stop().records() < u64::from(answered) * count as u64 {
            return Err("the broker appended less than it acknowledged".into());
        }
    }
    Ok(())
}

/// CPU time of the one broker thread that runs at this moment.
fn broker_cpu_ns() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let paths = threads.filter_map(|thread| Some(thread.ok()?.path()));
    let is_broker = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "mock-broker")
    };
    let of_broker = paths.filter(is_broker).last()?;
    std::fs::read_to_string(of_broker.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

/// A Produce request of one batch.
fn request(size: usize, count: usize) -> Result<Vec<u8>> {
    let mut stamper = Stamper::new(1, size, 1);
    let values = (0..count).map(|_| Bytes::copy_from_slice(stamper.next(0))).collect();
    Ok(produce_request("t", [values])?)
}
