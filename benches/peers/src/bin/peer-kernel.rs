//! Floors: ready-made Produce requests, written to the same broker as deep as forebay does. No client at all; what is left is the
//! kernel's part of a producer's work.
//!
//! With `set.memory=BYTES` every record's bytes are copied into so much memory first, go through a CRC-32C there, and are written from
//! there, all on one thread and in order: what no producer is spared that copies the values it is given and bounds its memory.

#![forbid(unsafe_code)]

use bytes::Bytes;
use forebay_io::wire::crc::crc32c;
use forebay_mock_broker::produce_request;
use forebay_peer_driver::{Job, Values};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, RequestHeader, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

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

fn run(job: &Job) -> Result<(), Box<dyn Error>> {
    let setting = |wanted: &str| {
        let found = job.settings.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.parse::<usize>()).transpose()
    };
    let request_bytes = setting("batch.size")?.unwrap_or(1_000_000);
    let mut broker = TcpStream::connect(&job.bootstrap)?;
    broker.set_nodelay(true)?;
    let mut answer = Vec::new();
    broker.write_all(&metadata(job)?)?;
    read(&mut broker, &mut answer)?;

    let (request, in_one) = produce(job, request_bytes)?;
    let (name, mut source) = match setting("memory")? {
        Some(bytes) => ("bytes only", Source::Memory(Memory::new(bytes, request, job.size + RECORD_OVERHEAD))),
        None => ("kernel only", Source::Ready(request)),
    };
    pump(&mut broker, &mut source, job.warmup.div_ceil(in_one), &mut answer)?;
    let requests = job.records.div_ceil(in_one).max(1);
    let meter = forebay_peer_driver::Meter::start();
    pump(&mut broker, &mut source, requests, &mut answer)?;
    meter.print(name, requests * in_one);
    Ok(())
}

/// Where requests come from.
enum Source {
    /// The same one again and again.
    Ready(Vec<u8>),
    /// A copy of it, each time in another place.
    Memory(Memory),
}

impl Source {
    fn next(&mut self) -> &[u8] {
        match self {
            Source::Ready(request) => request,
            Source::Memory(memory) => memory.next(),
        }
    }
}

/// Memory that is used from its beginning to its end and again.
struct Memory {
    bytes: Vec<u8>,
    at: usize,
    request: Vec<u8>,
    record: usize,
}

impl Memory {
    fn new(bytes: usize, request: Vec<u8>, record: usize) -> Self {
        // Touched, so that no page is given during the measurement.
        Self { bytes: vec![1; bytes.max(request.len())], at: 0, request, record }
    }

    /// Copies the request record by record, as records come, and sums it.
    fn next(&mut self) -> &[u8] {
        if self.bytes.len() - self.at < self.request.len() {
            self.at = 0;
        }
        let place = &mut self.bytes[self.at..self.at + self.request.len()];
        self.at += place.len();
        for (to, from) in place.chunks_mut(self.record).zip(self.request.chunks(self.record)) {
            to.copy_from_slice(from);
        }
        std::hint::black_box(crc32c(place));
        place
    }
}

/// Writes so many requests, some of them in flight, and reads the answers.
fn pump(broker: &mut TcpStream, source: &mut Source, times: u64, answer: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    for sent in 0..times {
        broker.write_all(source.next())?;
        if sent >= IN_FLIGHT - 1 {
            read(broker, answer)?;
        }
    }
    for _ in 0..times.min(IN_FLIGHT - 1) {
        read(broker, answer)?;
    }
    Ok(())
}

fn read(broker: &mut TcpStream, answer: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    let mut size = [0; 4];
    broker.read_exact(&mut size)?;
    answer.resize(u32::from_be_bytes(size) as usize, 0);
    Ok(broker.read_exact(answer)?)
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

/// A request of about so many bytes, one batch for each partition or, where these would be smaller than forebay's smallest,
/// for as many partitions as fit; and how many records it holds.
fn produce(job: &Job, bytes: usize) -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let per_record = job.size + RECORD_OVERHEAD;
    let partitions = (job.partitions as usize).min(bytes / 4_096).max(1);
    let in_batch = (bytes / partitions / per_record).max(1);
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
