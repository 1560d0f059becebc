//! The hot paths for an instruction counter: `cargo xtask instructions` runs each under callgrind, which counts what
//! happens inside of `counted` on the calling thread, and compares with `benches/instructions.txt`.
//!
//! `instructions` alone names the paths; `instructions PATH` runs one and prints how many records or turns it counted.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use forebay::{Producer, Record, Sender, Topic};
use forebay_benches::pipe::{Pipe, RECORDS, VALUE};
use forebay_benches::{MIXED, engine, publish, release, slice_of, take};
use forebay_io::wire::record::{Shape, encode};
use forebay_io::wire::walk::Walker;
use forebay_mock_broker::MockBroker;

/// What is counted: everything that this calls. Callgrind finds it by its name.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// A path: its name, what it counts, and the run that answers how often that was done.
struct Path {
    name: &'static str,
    unit: &'static str,
    run: fn() -> u64,
}

const PATHS: [Path; 15] = [
    Path { name: "send/100", unit: "record", run: || send(1, 100, None) },
    Path { name: "send/16", unit: "record", run: || send(1, 16, None) },
    Path { name: "send/1024", unit: "record", run: || send(1, 1024, None) },
    Path { name: "send/64-partitions/100", unit: "record", run: || send(64, 100, None) },
    Path { name: "send/64-partitions/keyed/100", unit: "record", run: || send(64, 100, Some(b"customer-4711")) },
    // So many lanes that each is asked for before it is written to.
    Path { name: "send/1000-partitions/100", unit: "record", run: || send(1000, 100, None) },
    Path { name: "engine/publish/100", unit: "record", run: publish_100 },
    Path { name: "engine/take_release/100", unit: "record", run: take_release_100 },
    Path { name: "codec/measure_encode/100", unit: "record", run: measure_encode_100 },
    Path { name: "codec/walk_stamp_crc/100", unit: "record", run: || walk(&[100]) },
    // No head is that of the record before.
    Path { name: "codec/walk_stamp_crc/mixed", unit: "record", run: || walk(&MIXED) },
    Path { name: "core/turn/1-partition/100", unit: "record", run: || turn(1, 0) },
    Path { name: "core/turn/16-partitions/100", unit: "record", run: || turn(16, 0) },
    // A turn's cost follows the active lanes: the same as the one above.
    Path { name: "core/turn/16-of-10000-partitions/100", unit: "record", run: || turn(16, 10_000 - 16) },
    Path { name: "core/turn/idle", unit: "turn", run: idle_turn },
];

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        for path in PATHS {
            println!("{} {}", path.name, path.unit);
        }
        return ExitCode::SUCCESS;
    };
    let Some(path) = PATHS.iter().find(|path| path.name == name) else {
        eprintln!("not a path: {name}; without an argument this program names them");
        return ExitCode::FAILURE;
    };
    println!("{}", (path.run)());
    ExitCode::SUCCESS
}

/// `Sender::send` with everything known and memory to spare, beside an I/O thread that sleeps.
fn send(partitions: u32, size: usize, key: Option<&[u8]>) -> u64 {
    const LONG: Duration = Duration::from_secs(60);
    // Less than a batch, so that nobody is woken.
    let count = if size > 100 { 512 } else { 4_096 };
    let broker = MockBroker::builder().partitions(partitions).start().expect("a broker on loopback");
    // Nothing is due meanwhile, so that this thread alone works, and no lane loses its memory.
    let producer = Producer::builder()
        .bootstrap_servers(broker.bootstrap())
        .set("linger.ms", "60000")
        .set("batch.size", "1000000")
        .set("delivery.timeout.ms", "120000")
        .build()
        .expect("a producer");
    let topic = producer.topic("counted").expect("a name");
    let mut sender = producer.sender().expect("open");
    let value = vec![7; size];
    // Every lane lives, and metadata is there.
    sends(&mut sender, topic, partitions, key, &value, u64::from(partitions) * 4);
    // While the I/O thread is awake it shows the time. It is to sleep, in every run: each record reads the system's clock then.
    std::thread::sleep(Duration::from_millis(200));
    counted(|| sends(&mut sender, topic, partitions, key, &value, count));
    drop(sender);
    producer.close(LONG).expect("all delivered");
    count
}

#[inline(always)]
fn sends(sender: &mut Sender, topic: Topic, partitions: u32, key: Option<&[u8]>, value: &[u8], count: u64) {
    for number in 0..count {
        let record = Record::to(topic).value(black_box(value));
        let record = match key {
            Some(key) => record.key(black_box(key)),
            None => record.partition(number as u32 % partitions),
        };
        black_box(sender.send(record).expect("accepted"));
    }
}

const BURSTS: u64 = 64;
const BURST: u64 = 64;

/// Bursts through a lane, of which one half is counted.
fn lane(counts_publish: bool) -> u64 {
    let (engine, mut io, _) = engine(256);
    let end = engine.producer_end();
    let mut lane = end.lane(1).expect("open");
    let (mut runs, mut ready) = (Vec::with_capacity(64), Vec::new());
    publish(&mut lane, &VALUE).expect("there is room");
    io.collect_ready(&mut ready);
    for _ in 0..BURSTS {
        let mut sends = || {
            for _ in 0..BURST {
                publish(&mut lane, black_box(&VALUE)).expect("there is room");
            }
        };
        if counts_publish {
            counted(sends);
        } else {
            sends();
        }
        let id = lane.id();
        let mut takes = || {
            let taken = take(&mut io, id, &mut runs, |slice| _ = black_box(slice));
            release(&mut io, &mut runs);
            taken
        };
        let taken = if counts_publish { takes() } else { counted(takes) };
        assert!(taken >= BURST as usize * VALUE.len());
    }
    BURSTS * BURST
}

fn publish_100() -> u64 {
    lane(true)
}

fn take_release_100() -> u64 {
    lane(false)
}

fn encoded(size: usize) -> Vec<u8> {
    let shape = Shape::measure(5, None, Some(size), &[]).expect("a small record");
    let mut out = vec![0; shape.total_len];
    encode(&shape, 5, None, Some(&vec![0x5a; size]), &[], &mut out);
    out
}

fn measure_encode_100() -> u64 {
    const COUNT: u64 = 1_000;
    let mut out = encoded(VALUE.len());
    counted(|| {
        for _ in 0..COUNT {
            let value = black_box(&VALUE[..]);
            let shape = Shape::measure(5, None, Some(value.len()), &[]).expect("a small record");
            encode(&shape, black_box(5), None, Some(value), &[], &mut out[..shape.total_len]);
            black_box(&mut out);
        }
    });
    COUNT
}

/// A batch of 16 KiB in slices of 4, with values of these sizes over and over.
fn walk(sizes: &[usize]) -> u64 {
    const BATCHES: usize = 32;
    let (mut slice, per_slice) = slice_of(sizes, encoded);
    counted(|| {
        for _ in 0..BATCHES {
            let mut walker = Walker::new(8192, 16 * 1024);
            for _ in 0..4 {
                assert_eq!(walker.walk(black_box(&mut slice)), slice.len());
            }
            black_box(walker.crc());
        }
    });
    (BATCHES * 4 * per_slice) as u64
}

/// Turns of the I/O core with a batch in each: cut, stamped, summed, framed, written, answered, reported, freed.
fn turn(partitions: usize, idle: usize) -> u64 {
    const TURNS: u64 = 64;
    let mut pipe = Pipe::among(partitions, idle);
    for _ in 0..TURNS {
        pipe.publish();
        let before = pipe.delivered();
        counted(|| pipe.turn());
        assert_eq!(pipe.delivered() - before, RECORDS as u64, "all of it in one turn");
    }
    TURNS * RECORDS as u64
}

fn idle_turn() -> u64 {
    const TURNS: u64 = 1_000;
    let mut pipe = Pipe::new(1);
    counted(|| {
        for _ in 0..TURNS {
            black_box(pipe.turn());
        }
    });
    TURNS
}
