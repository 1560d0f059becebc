//! `ListOffsets`: where a partition begins and ends, and what was written when.

use kafka_protocol::messages::ListOffsetsResponse;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};

use super::metadata::topic_name;
use super::wire::{Parsed, Reader};
use super::{Outcome, Request};
use crate::cluster::Partition;
use crate::error_code;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the highest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;

pub(super) fn handle(request: &mut Request<'_>, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Parsed<Outcome> {
    let version = request.version;
    let _replica_id = reader.i32()?;
    if version >= 2 {
        let _isolation_level = reader.i8()?;
    }
    let mut topics = Vec::new();
    for _ in 0..reader.array_length()?.unwrap_or(0) {
        let name = reader.string()?;
        let number = request.cluster.by_name(name);
        let mut partitions = Vec::new();
        for _ in 0..reader.array_length()?.unwrap_or(0) {
            let index = reader.i32()?;
            if version >= 4 {
                let _leader_epoch = reader.i32()?;
            }
            let timestamp = reader.i64()?;
            reader.tags()?;
            let mut answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
            match number.and_then(|number| request.cluster.partition(number, index)) {
                None => answer.error_code = error_code::UNKNOWN_TOPIC_OR_PARTITION,
                Some(partition) if partition.leader != request.node => {
                    answer.error_code = error_code::NOT_LEADER_OR_FOLLOWER;
                }
                Some(partition) => {
                    (answer.timestamp, answer.offset) = look_up(partition, timestamp);
                    if version >= 4 {
                        answer.leader_epoch = partition.leader_epoch;
                    }
                }
            }
            partitions.push(answer);
        }
        reader.tags()?;
        topics.push(ListOffsetsTopicResponse::default().with_name(topic_name(name)).with_partitions(partitions));
    }
    reader.tags()?;
    request.answer(&ListOffsetsResponse::default().with_topics(topics), out)
}

/// (timestamp, offset); −1 for a timestamp that was not looked for, and both if nothing is found.
fn look_up(partition: &Partition, timestamp: i64) -> (i64, i64) {
    match timestamp {
        LATEST => (-1, partition.log.end()),
        EARLIEST => (-1, partition.log.start()),
        MAX_TIMESTAMP => {
            partition.log.max_timestamp().and_then(|most| partition.log.find_timestamp(most)).unwrap_or((-1, -1))
        }
        timestamp => partition.log.find_timestamp(timestamp).unwrap_or((-1, -1)),
    }
}
