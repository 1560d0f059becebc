//! Runs a cluster of two nodes inside a program and prints what arrives:
//! `cargo run --example embedded -- --seconds 60 --fault delay-ms=20`, then for example
//! `seq 1000 | kcat -P -b ADDRESS -t numbers`.

use std::time::{Duration, Instant};

use forebay_mock_broker::{FaultSpec, MockBroker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = MockBroker::builder().nodes(2).partitions(4);
    let mut seconds = 1;
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or("every option needs a value")?;
        builder = match option.as_str() {
            "--seconds" => {
                seconds = value.parse()?;
                builder
            }
            "--port" => builder.port(value.parse()?),
            "--partitions" => builder.partitions(value.parse()?),
            "--fault" => builder.fault(value.parse::<FaultSpec>()?),
            _ => return Err(format!("unknown option {option}").into()),
        };
    }
    let broker = builder.start()?;
    println!("listening on {}", broker.bootstrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seen = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        let records = broker.summary().records();
        if records != seen {
            println!("{records} records");
            seen = records;
        }
    }
    println!("{}", broker.stop());
    Ok(())
}
