//! Floors: ready-made Produce requests, written to the same broker as deep as forebay does. No client at all; what is left is the
//! kernel's part of a producer's work.
//!
//! With `set.memory=BYTES` every record's bytes are copied into so much memory first, go through a CRC-32C there, and are written from
//! there, partition after partition, each sender on a thread of its own: what no producer is spared that copies the values it is given
//! and bounds its memory.
//!
//! With `rate=N` one thread writes a request for what comes in each `set.linger.ms=MS` and sleeps until its answer: two wake-ups and
//! two system calls more for each request, which is what the kernel asks of any client at such a pace.

#![forbid(unsafe_code)]

mod memory;
mod pace;

use bytes::Bytes;
use forebay_mock_broker::produce_request;
use forebay_peer_driver::{Histogram, Job, Values};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use memory::{Memory, Turn};
use pace::Beat;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

/// Forebay's default of `max.in.flight.requests.per.connection`.
const IN_FLIGHT: u64 = 5;
/// A Metadata version with flexible headers.
const METADATA: i16 = 9;
/// Bytes of a record beside its value, about.
const RECORD_OVERHEAD: usize = 12;

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

/// One sender: a connection, and what is written to it.
struct Seat {
    broker: TcpStream,
    source: Source,
    answer: Vec<u8>,
}

fn run(job: &Job) -> Result<(), Box<dyn Error>> {
    let setting = |wanted: &str| {
        let found = job.settings.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.parse::<usize>()).transpose()
    };
    let request_bytes = setting("batch.size")?.unwrap_or(1_000_000);
    let memory = setting("memory")?;
    let linger = Duration::from_millis(setting("linger.ms")?.unwrap_or(0) as u64);
    let beat = (job.rate > 0.0).then(|| Beat::new(job.rate, linger));
    // From memory a request's framing is that of one batch, whatever partitions its records come from.
    let framed = Job { partitions: if memory.is_some() { 1 } else { job.partitions }, ..job.clone() };
    let (partitions, in_batch) = beat.map_or_else(|| fill(&framed, request_bytes), |beat| (1, beat.records as usize));
    let (request, in_one) = produce(&framed, partitions, in_batch)?;
    let mut seats = Vec::new();
    for number in 0..job.senders {
        let source = match memory {
            None => Source::Ready(request.clone()),
            Some(bytes) => {
                let turn = if job.keys == 0 { Turn::After(0) } else { Turn::Random(u64::from(number) + 1) };
                let (bytes, record) = (bytes / job.senders as usize, job.size + RECORD_OVERHEAD);
                let memory = Memory::new(bytes, job.partitions as usize, request.clone(), record, turn);
                Source::Memory(memory.ok_or("memory is too small for so many partitions")?)
            }
        };
        let mut broker = TcpStream::connect(&job.bootstrap)?;
        broker.set_nodelay(true)?;
        let mut answer = Vec::new();
        broker.write_all(&metadata(job)?)?;
        read(&mut broker, &mut answer)?;
        seats.push(Seat { broker, source, answer });
    }
    let requests = |records: u64| records.div_ceil(in_one).div_ceil(u64::from(job.senders));
    let run = |seats: &mut [Seat], times| pump_all(seats, times, beat);
    run(&mut seats, requests(job.warmup))?;
    let times = requests(job.records).max(1);
    let meter = forebay_peer_driver::Meter::start();
    let took = run(&mut seats, times)?;
    let name = if memory.is_some() { "bytes only" } else { "kernel only" };
    meter.print(name, times * in_one * u64::from(job.senders), took);
    Ok(())
}

/// Where requests come from.
enum Source {
    /// The same one again and again.
    Ready(Vec<u8>),
    /// Records copied and summed, each time in other places.
    Memory(Memory),
}

impl Source {
    fn write(&mut self, broker: &mut TcpStream) -> io::Result<()> {
        match self {
            Source::Ready(request) => broker.write_all(request),
            Source::Memory(memory) => memory.write(broker),
        }
    }
}

/// So many requests from each seat, all at once; how long those at a pace took.
fn pump_all(seats: &mut [Seat], times: u64, beat: Option<Beat>) -> io::Result<Histogram> {
    let go = move |seat: &mut Seat| match beat {
        Some(beat) => pace::pump(seat, times, beat),
        None => pump(seat, times).map(|()| Histogram::default()),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = seats.iter_mut().map(|seat| scope.spawn(move || go(seat))).collect();
        threads.into_iter().try_fold(Histogram::default(), |mut all, thread| {
            all.add(&thread.join().unwrap_or_else(|_| Err(io::Error::other("a sending thread has panicked")))?);
            Ok(all)
        })
    })
}

/// Writes so many requests, some of them in flight, and reads the answers.
fn pump(seat: &mut Seat, times: u64) -> io::Result<()> {
    let Seat { broker, source, answer } = seat;
    for sent in 0..times {
        source.write(broker)?;
        if sent >= IN_FLIGHT - 1 {
            read(broker, answer)?;
        }
    }
    for _ in 0..times.min(IN_FLIGHT - 1) {
        read(broker, answer)?;
    }
    Ok(())
}

fn read(broker: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut size = [0; 4];
    broker.read_exact(&mut size)?;
    answer.resize(u32::from_be_bytes(size) as usize, 0);
    broker.read_exact(answer)
}

/// Makes the broker create the topic.
fn metadata(job: &Job) -> Result<Vec<u8>, Box<dyn Error>> {
    let topic = MetadataRequestTopic::default().with_name(Some(name(job)));
    let body = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    let mut frame = vec![0; 4];
    let header = RequestHeader::default().with_request_api_key(3).with_request_api_version(METADATA);
    header.encode(&mut frame, 2)?;
    body.encode(&mut frame, METADATA)?;
    Ok(sized(frame))
}

fn name(job: &Job) -> TopicName {
    TopicName(StrBytes::from_string(job.topic.clone()))
}

/// Partitions of a request of about so many bytes, and records for each: one batch for each partition or, where these would be smaller
/// than forebay's smallest, for as many partitions as fit.
fn fill(job: &Job, bytes: usize) -> (usize, usize) {
    let partitions = (job.partitions as usize).min(bytes / 4_096).max(1);
    (partitions, (bytes / partitions / (job.size + RECORD_OVERHEAD)).max(1))
}

/// A request with a batch of so many records for each of so many partitions, and how many records it holds.
fn produce(job: &Job, partitions: usize, in_batch: usize) -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let mut values = Values::new(0, job.size, job.text);
    let mut batch = || (0..in_batch).map(|_| Bytes::copy_from_slice(values.stamp().1)).collect();
    let request = produce_request(&job.topic, (0..partitions).map(|_| batch()))?;
    Ok((request, (partitions * in_batch) as u64))
}

fn sized(mut frame: Vec<u8>) -> Vec<u8> {
    let length = (frame.len() - 4) as u32;
    if let Some(size) = frame.first_chunk_mut::<4>() {
        *size = length.to_be_bytes();
    }
    frame
}
