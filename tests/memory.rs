//! Memory: nothing is allocated in steady state, and the process stays within the documented bound.
//!
//! The broker is a child process, so that every allocation and every resident page counted here is the client's.
#![cfg(feature = "cli")]

use forebay::{Producer, Record};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Counts every allocation of the process, on any thread.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is the system allocator's own; the count is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// These tests read figures of the whole process: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    fn start(partitions: u32) -> Broker {
        let mut child = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["mock-broker", "--embedded", "--partitions", &partitions.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("standard output")).read_line(&mut line).expect("an address");
        let address = line.trim().strip_prefix("listening ").expect("an address").to_owned();
        Broker { child, address }
    }
}

impl Drop for Broker {
    /// The broker ends when its input does.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Resident memory that is not the program's own file: unoptimised code is megabytes that a release build has not.
/// In bytes, now or at its highest.
fn own_memory(high_water_mark: bool) -> usize {
    if high_water_mark {
        // From one reading: the file's part changes while a test runs.
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        figure(&status, "VmHWM").saturating_sub(figure(&status, "RssFile"))
    } else {
        // The counters of `status` lag behind by some pages for each processor; this walks the page tables.
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux 4.14");
        figure(&rollup, "Anonymous")
    }
}

/// The kernel's figure of this name, in bytes.
fn figure(text: &str, name: &str) -> usize {
    let line = text.lines().find(|line| line.starts_with(name)).expect("a known figure");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<usize>().expect("a number") * 1024
}

/// Sends in rounds until the pools have grown to what this load needs, and answers how many that took.
///
/// A pool grows when it meets a new high-water mark, which a slow machine may do late; what is allocated for each record, batch or
/// turn is allocated in every round.
fn rounds_until_one_allocates_nothing(what: &str, mut round: impl FnMut()) -> usize {
    const ROUNDS: usize = 30;
    let mut counts = Vec::with_capacity(ROUNDS);
    while counts.len() < ROUNDS {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        round();
        counts.push(ALLOCATIONS.load(Ordering::Relaxed) - before);
        if counts.last() == Some(&0) {
            return counts.len();
        }
    }
    panic!("{what}: each round allocates: {counts:?}");
}

#[test]
fn steady_state_allocates_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (partitions, records, threads) in [(1, 300_000, 1), (16, 300_000, 1), (16, 300_000, 3)] {
        let broker = Broker::start(partitions);
        let builder = Producer::builder().bootstrap_servers(&broker.address);
        // With the feature `metrics` a thread tells the figures every ten seconds, and a slow machine takes longer than that.
        let builder = builder.set("metrics.publish.interval.ms", "0").set("io.threads", threads.to_string());
        let producer = builder.build().expect("a producer");
        let topic = producer.topic("steady").expect("a name");
        let mut sender = producer.sender().expect("open");
        let mut send = |count: u32| {
            for i in 0..count {
                sender
                    .send(Record::to(topic).partition(i % partitions).value(&[7; 100]))
                    .map_err(|e| e.kind)
                    .expect("sent");
            }
        };
        rounds_until_one_allocates_nothing(&format!("{partitions} partitions, {threads} I/O threads"), || {
            send(records);
            producer.flush(LONG).expect("all delivered");
        });
        producer.close(LONG).expect("all delivered");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn resident_memory_stays_within_the_formula() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for threads in [1, 4] {
        stays_within_the_formula(threads);
    }
}

#[cfg(target_os = "linux")]
fn stays_within_the_formula(threads: usize) {
    let broker = Broker::start(100);
    // The highest mark is this test's, not that of one before it.
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux 4.0");
    let before = own_memory(false);
    let memory = 32 << 20;
    let builder = Producer::builder().bootstrap_servers(&broker.address);
    let producer = builder.configure(|config| config.io_threads(threads)).build().expect("a producer");
    assert_eq!(producer.buffer_bytes().1, memory);
    assert!(own_memory(false) >= before + memory, "the buffer is touched at start");
    let topic = producer.topic("bound").expect("a name");
    let (senders, partitions) = (4, 100);
    std::thread::scope(|scope| {
        for _ in 0..senders {
            scope.spawn(|| {
                let mut sender = producer.sender().expect("open");
                for i in 0..300_000u32 {
                    sender
                        .send(Record::to(topic).partition(i % partitions).value(&[7; 200]))
                        .map_err(|e| e.kind)
                        .expect("sent");
                }
            });
        }
    });
    producer.flush(LONG).expect("all delivered");
    // The formula of README.md, "Memory".
    let (segments, lanes, connections) = (memory / 2048, senders * partitions as usize, 2 * threads);
    let threads_overhead = (512 << 10) * (threads - 1);
    let overhead = 60 * segments + (1 << 10) * lanes + (96 << 10) * senders + (512 << 10) * connections + (2 << 20);
    let bound = memory + overhead + threads_overhead;
    let used = own_memory(true) - before;
    eprintln!("{threads} I/O threads: {} KiB beside the buffer, of {}", (used - memory) >> 10, (bound - memory) >> 10);
    assert!(used <= bound, "{threads} I/O threads: {used} bytes resident, the bound is {bound}");
    producer.close(LONG).expect("all delivered");
}

#[test]
fn ten_thousand_partitions_and_four_senders_share_a_small_buffer_for_ever() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let broker = Broker::start(10_000);
    let producer = Producer::builder().bootstrap_servers(&broker.address).build().expect("a producer");
    let topic = producer.topic("wide").expect("a name");
    assert_eq!(producer.partitions_for(topic, LONG).expect("known"), 10_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut sender = producer.sender().expect("open");
                for i in 0..30_000u32 {
                    sender
                        .send(Record::to(topic).partition(i % 10_000).value(b"touched"))
                        .map_err(|e| e.kind)
                        .expect("sent");
                }
            });
        }
    });
    producer.flush(LONG).expect("all delivered");
    assert_eq!(producer.outcomes(), (120_000, 0));
    producer.close(LONG).expect("all delivered");
    let (free, total) = producer.buffer_bytes();
    assert_eq!(free, total, "idle lanes hold nothing");
}

#[test]
#[cfg(all(target_os = "linux", feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]
fn compression_stays_within_the_formula_and_allocates_nothing_in_steady_state() {
    /// What a compression thread uses of its stack: of the 2 MiB that it may, no more is ever touched.
    const STACK: usize = 128 << 10;
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let by_the_io_thread = [("snappy", 1 << 20, 0), ("lz4", 1 << 20, 0), ("gzip", 1 << 20, 0), ("zstd", 8 << 20, 0)];
    let by_threads = [("lz4", 1 << 20, 2), ("zstd", 8 << 20, 2)];
    for (codec, state, threads) in by_the_io_thread.into_iter().chain(by_threads) {
        let broker = Broker::start(4);
        let before = own_memory(false);
        let builder = Producer::builder().bootstrap_servers(&broker.address).set("compression.type", codec);
        let builder =
            builder.set("io.compression.threads", threads.to_string()).set("metrics.publish.interval.ms", "0");
        let producer = builder.build().expect("a producer");
        let topic = producer.topic("packed").expect("a name");
        let mut sender = producer.sender().expect("open");
        let mut send = |count: u32| {
            for i in 0..count {
                let mut value = [b'x'; 100];
                value[..4].copy_from_slice(&i.wrapping_mul(2_654_435_761).to_le_bytes());
                sender.send(Record::to(topic).partition(i % 4).value(&value)).map_err(|e| e.kind).expect("sent");
            }
        };
        let rounds = rounds_until_one_allocates_nothing(&format!("{codec}, {threads} threads"), || {
            send(16_000);
            producer.flush(LONG).expect("all delivered");
        });
        // The formula of README.md, "Memory": one sender, four lanes, two connections; max.request.size and the codec, and the same
        // with a stack for each thread.
        let memory = 32 << 20;
        let overhead = 60 * (memory / 2048) + 4 * (1 << 10) + (96 << 10) + 2 * (512 << 10) + (2 << 20);
        let overhead = overhead + (1 << 20) + state + threads * ((1 << 20) + state + STACK);
        let used = own_memory(false).saturating_sub(before);
        eprintln!("{codec}, {threads} threads: {used} bytes resident of {}, {rounds} rounds", memory + overhead);
        let bound = memory + overhead;
        assert!(used <= bound, "{codec}, {threads} threads: {used} bytes resident, the bound is {bound}");
        producer.close(LONG).expect("all delivered");
    }
}
