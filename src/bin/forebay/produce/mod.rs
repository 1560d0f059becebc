//! `forebay produce`: what a file or standard input holds becomes records.

mod args;
mod ending;
mod format;
mod input;
mod lines;
mod placement;

pub(crate) use args::Args;

use crate::Failure;
use crate::interrupt::Interrupt;
use crate::options;
use ending::{Ending, Stopped};
use forebay::config::Config;
use forebay::{Header, Producer, Record, Topic};
use format::Records;
use input::Input;
use lines::Lines;
use placement::Placement;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// How often, in records, to look whether one has failed and to move the bar.
const LOOK_EVERY: u64 = 4_096;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let parts = args.parts()?;
    let builder = args.producer.builder();
    if builder.value("bootstrap.servers").is_none() {
        return Err(Failure::usage("name the broker: --bootstrap-server HOST:PORT"));
    }
    let config = options::build(builder)?;
    let (input, bar) = input::open(&args.file)?;
    let started = Instant::now();
    let records = Records::new(input, args.input_format, parts, config.max_request_size());
    let lines = Arc::new(Lines::default());
    let patience = config.delivery_timeout() + config.request_timeout();
    let max_block = config.max_block();
    let producer = producer(config, &lines)?;
    let topic = producer.topic(&args.topic).map_err(Failure::usage)?;
    let partitions = producer.partitions_for(topic, max_block).map_err(Failure::cluster)?;
    let partitions = NonZeroU32::new(partitions).unwrap_or(NonZeroU32::MIN);
    let ending = Arc::new(Ending {
        producer,
        lines,
        bar,
        started,
        patience,
        unit: args.input_format.unit(),
        source: args.source().to_owned(),
        claimed: AtomicBool::new(false),
    });
    let interrupt = Interrupt::default();
    interrupt.watch()?;
    ending.on_signal(interrupt);
    let stopped = send(args, topic, partitions, records, &ending).err();
    ending.reached(stopped)
}

fn producer(config: Config, lines: &Arc<Lines>) -> Result<Producer, Failure> {
    let lines = Arc::clone(lines);
    Producer::builder_from(config)
        .on_delivery(move |report| {
            let error = report.result.as_ref().err().map(ToString::to_string);
            lines.outcome(report.partition, u64::from(report.count), error);
        })
        .build()
        .map_err(Failure::build)
}

fn send(
    args: &Args,
    topic: Topic,
    partitions: NonZeroU32,
    mut records: Records<Input>,
    ending: &Ending,
) -> Result<(), Stopped> {
    let stop = |line: u64, why: &dyn std::fmt::Display| Stopped { line, why: why.to_string() };
    let mut sender = ending.producer.sender().map_err(|error| stop(1, &error))?;
    let config = ending.producer.config();
    let mut placement = Placement::new(partitions, config.partitioner_ignore_keys(), config.batch_size().max(1));
    let fixed: Vec<_> = args.header.iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) }).collect();
    while !ending.has_begun() {
        let (place, fields) = match records.next() {
            Ok(None) => break,
            Ok(Some(read)) => read,
            Err(why) => return Err(stop(records.number(), &why)),
        };
        let partition = match fields.partition {
            Some(chosen) if chosen >= partitions.get() => {
                let why =
                    format_args!("topic {} has {partitions} partitions, there is no partition {chosen}", args.topic);
                return Err(stop(place.number, &why));
            }
            Some(chosen) => chosen,
            None => placement.choose(fields.key.as_deref(), place.bytes),
        };
        let mut all = Vec::new();
        if !fields.headers.is_empty() {
            all.extend_from_slice(&fixed);
            all.extend(fields.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }));
        }
        let record = Record {
            topic,
            partition: Some(partition),
            key: fields.key.as_deref(),
            value: fields.value.as_deref(),
            headers: if all.is_empty() { &fixed } else { &all },
            timestamp: fields.timestamp,
        };
        ending.lines.sending(partition, place.number);
        sender.send(record).map_err(|error| stop(place.number, &error))?;
        ending.bar.inc(place.bytes as u64);
        if place.number % LOOK_EVERY == 0 && ending.lines.has_failed() {
            break;
        }
    }
    Ok(())
}
