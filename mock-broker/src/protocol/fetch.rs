//! `Fetch`: reading the log back, for consumers outside groups.
//!
//! No fetch sessions (KIP-227): every answer says session 0, which tells clients to ask in full each time.

use std::time::Duration;

use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchResponse};

use super::metadata::topic_name;
use super::wire::{Parsed, Reader};
use super::{Outcome, Request};
use crate::error_code;

/// The longest that a fetch waits for records, whatever it asks for.
const LONGEST_WAIT_MS: i32 = 5_000;
/// The most bytes in one answer, whatever it asks for.
const MOST_BYTES: usize = 50 << 20;

struct Wanted<'a> {
    name: &'a str,
    partitions: Vec<(i32, i64, i32)>,
}

pub(super) fn handle(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let version = request.version;
    let _replica_id = reader.i32()?;
    let max_wait_ms = reader.i32()?;
    let min_bytes = reader.i32()?;
    let max_bytes = reader.i32()?;
    let _isolation_level = reader.i8()?;
    if version >= 7 {
        let _session_id = reader.i32()?;
        let _session_epoch = reader.i32()?;
    }
    let mut topics = Vec::new();
    for _ in 0..reader.array_length()?.unwrap_or(0) {
        topics.push(wanted(version, reader)?);
    }
    if version >= 7 {
        for _ in 0..reader.array_length()?.unwrap_or(0) {
            let _forgotten = reader.string()?;
            for _ in 0..reader.array_length()?.unwrap_or(0) {
                reader.i32()?;
            }
            reader.tags()?;
        }
    }
    if version >= 11 {
        let _rack = reader.string()?;
    }
    reader.tags()?;

    let wait = Duration::from_millis(u64::try_from(max_wait_ms.min(LONGEST_WAIT_MS)).unwrap_or(0));
    let nothing_yet = !is_ready(request, &topics, usize::try_from(min_bytes).unwrap_or(0));
    if request.may_park && nothing_yet && !wait.is_zero() {
        return Ok(Outcome::Park(wait));
    }
    let mut left = usize::try_from(max_bytes).unwrap_or(0).min(MOST_BYTES);
    let responses = topics.iter().map(|topic| {
        let number = request.cluster.by_name(topic.name);
        let partitions = topic.partitions.iter().map(|&wanted| read(request, number, wanted, &mut left));
        FetchableTopicResponse::default().with_topic(topic_name(topic.name)).with_partitions(partitions.collect())
    });
    let body = FetchResponse::default().with_responses(responses.collect());
    request.answer(&body, out)
}

fn wanted<'a>(version: i16, reader: &mut Reader<'a>) -> Parsed<Wanted<'a>> {
    let name = reader.string()?;
    let mut partitions = Vec::new();
    for _ in 0..reader.array_length()?.unwrap_or(0) {
        let index = reader.i32()?;
        if version >= 9 {
            let _leader_epoch = reader.i32()?;
        }
        let offset = reader.i64()?;
        if version >= 12 {
            let _last_fetched_epoch = reader.i32()?;
        }
        if version >= 5 {
            let _log_start_offset = reader.i64()?;
        }
        let most = reader.i32()?;
        reader.tags()?;
        partitions.push((index, offset, most));
    }
    reader.tags()?;
    Ok(Wanted { name, partitions })
}

/// Whether there is enough to answer at once: bytes, or an error to tell.
fn is_ready(request: &Request<'_>, topics: &[Wanted<'_>], min_bytes: usize) -> bool {
    let mut found = 0;
    for topic in topics {
        let number = request.cluster.by_name(topic.name);
        for (index, offset, _) in &topic.partitions {
            let Some(partition) = number.and_then(|n| request.cluster.partition(n, *index)) else { return true };
            let log = &partition.log;
            if partition.leader != request.node || *offset < log.start() || *offset > log.end() {
                return true;
            }
            found += log.readable(*offset);
        }
    }
    found >= min_bytes
}

fn read(
    request: &Request<'_>,
    number: Option<usize>,
    (index, offset, most): (i32, i64, i32),
    left: &mut usize,
) -> PartitionData {
    let mut data = PartitionData::default()
        .with_partition_index(index)
        .with_preferred_read_replica(BrokerId(-1))
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_records(Some(bytes::Bytes::new()));
    let Some(partition) = number.and_then(|number| request.cluster.partition(number, index)) else {
        return data.with_error_code(error_code::UNKNOWN_TOPIC_OR_PARTITION);
    };
    if partition.leader != request.node {
        return data.with_error_code(error_code::NOT_LEADER_OR_FOLLOWER);
    }
    let log = &partition.log;
    data.high_watermark = log.end();
    data.last_stable_offset = log.end();
    if request.version >= 5 {
        data.log_start_offset = log.start();
    }
    if offset < log.start() || offset > log.end() {
        return data.with_error_code(error_code::OFFSET_OUT_OF_RANGE);
    }
    if *left > 0 {
        let mut records = Vec::new();
        log.read(offset, usize::try_from(most).unwrap_or(0).min(*left), &mut records);
        *left = left.saturating_sub(records.len());
        data.records = Some(records.into());
    }
    data
}
