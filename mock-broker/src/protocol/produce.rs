//! `Produce` v3 to v13, read and answered in place: no allocation per request once the buffers have grown.

use std::borrow::Cow;
use std::ops::Range;

use super::wire::{Malformed, Parsed, Reader, Writer};
use super::{Outcome, Request, begin, finish};
use crate::batch::{Batch, Refusal};
use crate::builder::Mode;
use crate::cluster::Cluster;
use crate::error_code;
use crate::faults::Strike;
use crate::producers::Check;

/// The places of a request's parts, found before anything is appended: a request that is malformed anywhere changes
/// nothing. Kept between requests for its memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    topics: Vec<TopicPart>,
    partitions: Vec<PartitionPart>,
}

#[derive(Debug)]
struct TopicPart {
    /// Where the name stands in the request; empty where ids are used.
    name: Range<usize>,
    id: [u8; 16],
    number: Option<usize>,
    partitions: Range<usize>,
}

#[derive(Debug)]
struct PartitionPart {
    index: i32,
    records: Range<usize>,
}

/// What is answered for one partition.
struct Answer {
    code: i16,
    base_offset: i64,
    log_start: i64,
    record: Option<i32>,
    reason: Option<&'static str>,
    leader: Option<(i32, i32)>,
}

impl Answer {
    fn error(code: i16, reason: Option<&'static str>) -> Self {
        Self { code, base_offset: -1, log_start: -1, record: None, reason, leader: None }
    }
}

pub(super) fn handle(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let mut scratch = std::mem::take(&mut request.cluster.scratch);
    let outcome = with_scratch(request, reader, &mut scratch, out);
    request.cluster.scratch = scratch;
    outcome
}

fn with_scratch(
    request: &mut Request<'_>,
    reader: &mut Reader<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Parsed<Outcome> {
    let acks = parse(request, reader, scratch)?;
    let strike = request.faults.strike();
    if strike.drop == Some(false) {
        return Ok(Outcome::Close);
    }
    if strike.leader_move {
        for topic in &scratch.topics {
            let Some(number) = topic.number else { continue };
            for part in scratch.partitions.get(topic.partitions.clone()).unwrap_or_default() {
                request.cluster.move_leader(number, part.index);
            }
        }
    }
    let start = begin(request.correlation_id, request.flexible, out);
    let all_well = respond(request, reader, scratch, acks, strike, out);
    finish(start, out);
    if acks == 0 {
        out.truncate(start);
        // Kafka closes the connection, as there is no other way to tell (`KafkaApis.handleProduceRequest`).
        return Ok(if all_well && strike.drop.is_none() { Outcome::Silent } else { Outcome::Close });
    }
    if strike.drop.is_some() {
        out.truncate(start);
        return Ok(Outcome::Close);
    }
    if strike.garbage {
        // Behind size and correlation id, so that it reaches the client's parser.
        out.get_mut(start + 8..).unwrap_or_default().fill_with(|| fastrand::u8(..));
    }
    if strike.truncate {
        out.truncate(start + (out.len() - start) / 2);
        return Ok(Outcome::Close);
    }
    Ok(Outcome::Answer)
}

/// Finds the parts of the request and returns acks.
fn parse(request: &Request<'_>, reader: &mut Reader<'_>, scratch: &mut Scratch) -> Parsed<i16> {
    scratch.topics.clear();
    scratch.partitions.clear();
    let _transactional_id = reader.nullable_string()?;
    let acks = reader.i16()?;
    let _timeout_ms = reader.i32()?;
    for _ in 0..reader.array_length()?.ok_or(Malformed)? {
        let (name, id, number) = if request.version >= 13 {
            let id = reader.uuid()?;
            (0..0, id, request.cluster.by_id(&id))
        } else {
            let name = reader.string()?;
            (reader.position() - name.len()..reader.position(), [0; 16], request.cluster.by_name(name))
        };
        let first = scratch.partitions.len();
        for _ in 0..reader.array_length()?.ok_or(Malformed)? {
            let index = reader.i32()?;
            let length = reader.nullable_bytes()?.map_or(0, <[u8]>::len);
            let records = reader.position() - length..reader.position();
            reader.tags()?;
            scratch.partitions.push(PartitionPart { index, records });
        }
        reader.tags()?;
        let partitions = first..scratch.partitions.len();
        scratch.topics.push(TopicPart { name, id, number, partitions });
    }
    reader.tags()?;
    if reader.remaining() == 0 { Ok(acks) } else { Err(Malformed) }
}

/// Appends and writes the body of the answer. Returns whether every partition went well.
fn respond(
    request: &mut Request<'_>,
    reader: &Reader<'_>,
    scratch: &Scratch,
    acks: i16,
    strike: Strike,
    out: &mut Vec<u8>,
) -> bool {
    let version = request.version;
    let mut writer = Writer { out, flexible: request.flexible };
    let mut all_well = true;
    let mut moved = false;
    writer.array_length(scratch.topics.len());
    for topic in &scratch.topics {
        let parts = scratch.partitions.get(topic.partitions.clone()).unwrap_or_default();
        if version >= 13 {
            writer.out.extend_from_slice(&topic.id);
        } else {
            writer.nullable_string(Some(reader.text(topic.name.clone())));
        }
        writer.array_length(parts.len());
        for part in parts {
            let records = reader.slice(part.records.clone());
            let mut answer = match strike.error {
                Some((code, false)) => Answer::error(code, None),
                _ if !matches!(acks, -1..=1) => Answer::error(error_code::INVALID_REQUIRED_ACKS, None),
                _ => append(request.cluster, request.node, topic.number, version, part.index, records),
            };
            if let (Some((code, true)), error_code::NONE) = (strike.error, answer.code) {
                answer = Answer::error(code, None);
            }
            all_well &= answer.code == error_code::NONE;
            moved |= answer.leader.is_some();
            write_partition(&mut writer, version, part.index, &answer);
        }
        writer.no_tags();
    }
    writer.i32(request.standing.throttle_ms);
    if version >= 10 && moved {
        write_endpoints(&mut writer, request.cluster);
    } else {
        writer.no_tags();
    }
    all_well
}

fn append(cluster: &mut Cluster, node: i32, number: Option<usize>, version: i16, index: i32, bytes: &[u8]) -> Answer {
    let Cluster { topics, config, retention, verifier, appended, .. } = cluster;
    let Some((number, topic)) = number.and_then(|n| Some((n, topics.get_mut(n)?.as_mut()?))) else {
        let by_id = version >= 13;
        let code = if by_id { error_code::UNKNOWN_TOPIC_ID } else { error_code::UNKNOWN_TOPIC_OR_PARTITION };
        return Answer::error(code, None);
    };
    let position = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(partition) = topic.partitions.get_mut(position) else {
        return Answer::error(error_code::UNKNOWN_TOPIC_OR_PARTITION, None);
    };
    if partition.leader != node {
        let mut answer = Answer::error(error_code::NOT_LEADER_OR_FOLLOWER, None);
        answer.leader = Some((partition.leader, partition.leader_epoch));
        return answer;
    }
    let (batch, records) = match check(bytes, config.mode, config.max_message_bytes) {
        Ok(checked) => checked,
        Err(refusal) => {
            partition.refused += 1;
            let mut answer = Answer::error(refusal.code, Some(refusal.reason));
            answer.record = refusal.record;
            return answer;
        }
    };
    let base_offset = match partition.producers.check(batch.producer) {
        Check::Refused(code, reason) => {
            partition.refused += 1;
            return Answer::error(code, Some(reason));
        }
        Check::Duplicate(base_offset) => {
            partition.duplicates += 1;
            base_offset
        }
        Check::New => {
            let base_offset = if config.mode == Mode::Store {
                let buffer = retention.buffer(bytes.len());
                retention.stored((number, position), bytes.len());
                partition.log.append(&batch, partition.leader_epoch, buffer)
            } else {
                partition.log.skip(batch.count())
            };
            partition.producers.appended(batch.producer, base_offset);
            partition.records += u64::from(batch.count().unsigned_abs());
            partition.batches += 1;
            partition.bytes += bytes.len() as u64;
            *appended += 1;
            if let (Some(verifier), true) = (verifier, config.mode != Mode::Discard) {
                // The walk has succeeded once, in `check`.
                let _ = batch.walk(&records, |record| verifier.record(&topic.name, index, record.value, record.key));
            }
            base_offset
        }
    };
    cluster.enforce_retention();
    let log_start = cluster.partition(number, index).map_or(-1, |partition| partition.log.start());
    Answer { code: error_code::NONE, base_offset, log_start, record: None, reason: None, leader: None }
}

/// Everything that a batch must be on its own, whatever came before it. Its records come decompressed.
fn check(bytes: &[u8], mode: Mode, most: usize) -> Result<(Batch<'_>, Cow<'_, [u8]>), Refusal> {
    let batch = Batch::parse(bytes)?;
    if bytes.len() > most {
        return Err(Refusal::new(error_code::MESSAGE_TOO_LARGE, "the batch is larger than message.max.bytes"));
    }
    if batch.is_transactional() {
        return Err(Refusal::new(error_code::INVALID_TXN_STATE, "this broker has no transactions"));
    }
    if mode != Mode::Discard {
        batch.check_crc()?;
        let records = batch.records()?;
        batch.walk(&records, |_| {})?;
        return Ok((batch, records));
    }
    Ok((batch, Cow::Borrowed(&[])))
}

impl Cluster {
    fn enforce_retention(&mut self) {
        while let Some((number, position)) = self.retention.over() {
            let Some(topic) = self.topics.get_mut(number).and_then(Option::as_mut) else { continue };
            let oldest = topic.partitions.get_mut(position).and_then(|partition| partition.log.drop_oldest());
            if let Some(bytes) = oldest {
                self.retention.dropped(bytes);
            }
        }
    }
}

fn write_partition(writer: &mut Writer<'_>, version: i16, index: i32, answer: &Answer) {
    writer.i32(index);
    writer.i16(answer.code);
    writer.i64(answer.base_offset);
    writer.i64(-1); // log append time: records keep the producer's timestamps
    if version >= 5 {
        writer.i64(answer.log_start);
    }
    if version >= 8 {
        writer.array_length(usize::from(answer.record.is_some()));
        if let Some(record) = answer.record {
            writer.i32(record);
            writer.nullable_string(answer.reason);
            writer.no_tags();
        }
        writer.nullable_string(answer.reason);
    }
    match answer.leader {
        Some((leader, epoch)) if version >= 10 => {
            // One tagged field: number 0, 9 bytes long.
            writer.out.extend_from_slice(&[1, 0, 9]);
            writer.i32(leader);
            writer.i32(epoch);
            writer.no_tags();
        }
        _ => writer.no_tags(),
    }
}

/// The `node_endpoints` tag: where the new leaders are (KIP-951).
fn write_endpoints(writer: &mut Writer<'_>, cluster: &Cluster) {
    let count = cluster.running().count();
    // Compact array: its length, then for each node id, host, port, no rack, no tags.
    let mut field = Vec::new();
    let mut inner = Writer { out: &mut field, flexible: true };
    inner.array_length(count);
    for node in cluster.running() {
        inner.i32(node.id);
        inner.nullable_string(Some(cluster.host()));
        inner.i32(i32::from(cluster.port(node)));
        inner.nullable_string(None);
        inner.no_tags();
    }
    writer.out.extend_from_slice(&[1, 0]);
    writer.unsigned_varint(field.len() as u32);
    writer.out.extend_from_slice(&field);
}
