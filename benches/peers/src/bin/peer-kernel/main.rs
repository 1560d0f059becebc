//! Floors: ready-made Produce requests, written to the same broker as deep as forebay does. No client at all; what is left is the
//! kernel's part of a producer's work.
//!
//! With `set.memory=BYTES` every record's bytes are copied into so much memory first, go through a CRC-32C there, and are written from
//! there, partition after partition, each sender on a thread of its own: what no producer is spared that copies the values it is given
//! and bounds its memory.
//!
//! With `set.rings=BYTES` the memory is a ring for each sender and partition, which senders copy into and one thread sums and writes:
//! what no producer is spared that has a single-producer ring for each partition and an I/O thread.
//!
//! With `rate=N` one thread writes a request for what comes in each `set.linger.ms=MS` and sleeps until its answer: two wake-ups and
//! two system calls more for each request, which is what the kernel asks of any client at such a pace.

#![forbid(unsafe_code)]

mod memory;
mod pace;
mod request;
mod rings;
mod turn;
mod wire;

use forebay_peer_driver::{Histogram, Job};
use memory::Memory;
use pace::Beat;
use request::Request;
use rings::Rings;
use std::error::Error;
use std::io;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
use turn::Turn;
use wire::Wire;

fn main() -> ExitCode {
    let job = Job::of_command_line();
    match run(&job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kernel: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(job: &Job) -> Result<(), Box<dyn Error>> {
    let setting = |wanted: &str| {
        let found = job.settings.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.parse::<usize>()).transpose()
    };
    let request_bytes = setting("batch.size")?.unwrap_or(1_000_000);
    // From memory a request's framing is that of one batch, whatever partitions its records come from.
    let framed = Job { partitions: 1, ..job.clone() };
    match (setting("rings")?, setting("memory")?) {
        (Some(bytes), _) => run_rings(job, bytes, &Request::filled(&framed, request_bytes)?),
        (None, Some(bytes)) => run_memory(job, bytes, &Request::filled(&framed, request_bytes)?),
        (None, None) if job.rate > 0.0 => {
            let linger = Duration::from_millis(setting("linger.ms")?.unwrap_or(0) as u64);
            let beat = Beat::new(job.rate, linger);
            let request = Request::new(job, 1, beat.records as usize)?;
            run_seats(job, "kernel only", &request, Some(beat), |_| Some(Source::Ready(request.bytes.clone())))
        }
        (None, None) => {
            let request = Request::filled(job, request_bytes)?;
            run_seats(job, "kernel only", &request, None, |_| Some(Source::Ready(request.bytes.clone())))
        }
    }
}

fn run_memory(job: &Job, bytes: usize, request: &Request) -> Result<(), Box<dyn Error>> {
    run_seats(job, "bytes only", request, None, |sender| {
        let (bytes, partitions) = (bytes / job.senders as usize, job.partitions as usize);
        Memory::new(bytes, partitions, request.clone(), Turn::of(job, sender)).map(Source::Memory)
    })
}

fn run_rings(job: &Job, bytes: usize, request: &Request) -> Result<(), Box<dyn Error>> {
    let turns = (0..job.senders).map(|sender| Turn::of(job, sender)).collect();
    let mut rings = Rings::new(bytes, job.partitions as usize, turns, request.record).ok_or(TOO_SMALL)?;
    let mut wire = Wire::to_broker(job)?;
    rings.pump(&mut wire, request, job.warmup.div_ceil(request.records))?;
    let times = job.records.div_ceil(request.records).max(1);
    let meter = forebay_peer_driver::Meter::start();
    rings.pump(&mut wire, request, times)?;
    meter.print("rings only", times * request.records, Histogram::default());
    Ok(())
}

const TOO_SMALL: &str = "memory is too small for so many partitions";

/// One sender that writes by itself: a connection, and what is written to it.
struct Seat {
    wire: Wire,
    source: Source,
}

/// Where requests come from.
enum Source {
    /// The same one again and again.
    Ready(Vec<u8>),
    /// Records copied and summed, each time in other places.
    Memory(Memory),
}

impl Source {
    fn write(&mut self, to: &mut TcpStream) -> io::Result<()> {
        match self {
            Source::Ready(request) => io::Write::write_all(to, request),
            Source::Memory(memory) => memory.write(to),
        }
    }
}

fn run_seats(
    job: &Job,
    name: &str,
    request: &Request,
    beat: Option<Beat>,
    source: impl Fn(u32) -> Option<Source>,
) -> Result<(), Box<dyn Error>> {
    let mut seats = Vec::new();
    for sender in 0..job.senders {
        seats.push(Seat { wire: Wire::to_broker(job)?, source: source(sender).ok_or(TOO_SMALL)? });
    }
    let requests = |records: u64| records.div_ceil(request.records).div_ceil(u64::from(job.senders));
    pump_all(&mut seats, requests(job.warmup), beat)?;
    let times = requests(job.records).max(1);
    let meter = forebay_peer_driver::Meter::start();
    let took = pump_all(&mut seats, times, beat)?;
    meter.print(name, times * request.records * u64::from(job.senders), took);
    Ok(())
}

/// So many requests from each seat, all at once; how long those at a pace took.
fn pump_all(seats: &mut [Seat], times: u64, beat: Option<Beat>) -> io::Result<Histogram> {
    let go = move |Seat { wire, source }: &mut Seat| match beat {
        Some(beat) => pace::pump(wire, source, times, beat),
        None => wire.pump(times, |to| source.write(to)).map(|()| Histogram::default()),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = seats.iter_mut().map(|seat| scope.spawn(move || go(seat))).collect();
        threads.into_iter().try_fold(Histogram::default(), |mut all, thread| {
            all.add(&thread.join().unwrap_or_else(|_| Err(io::Error::other("a sending thread has panicked")))?);
            Ok(all)
        })
    })
}
