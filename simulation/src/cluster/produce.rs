//! Produce: the append, and later, when the replicas have it or not, the answer.

use bytes::{Bytes, BytesMut};
use forebay_io::time::Time;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use super::Cluster;
use super::batch::Batch;
use super::control::framed;
use super::log::Append;
use crate::plan::Trouble;

/// An answer on its way to being one.
#[derive(Debug)]
pub(crate) enum Pending {
    Ready(Vec<u8>),
    Produce(Produce),
}

#[derive(Debug)]
pub(crate) struct Produce {
    body: BytesMut,
    version: i16,
    acks: i16,
    topics: Vec<(TopicName, Uuid, Vec<Part>)>,
}

#[derive(Debug)]
struct Part {
    topic: Option<usize>,
    /// The topic's id at the append.
    id: Uuid,
    index: i32,
    code: i16,
    offset: i64,
    /// Of the partition at the append.
    epoch: i32,
    appended: bool,
    /// The answer hides what happened.
    says: Option<i16>,
    wrong: Vec<i32>,
    /// For the trace: producer, epoch, first sequence number, first record, how many.
    #[allow(dead_code)] // printed by Debug, which the compiler does not count
    of: (i64, i16, i32, u64, usize),
}

/// What may be answered without an append: retriable, with a refresh, known and unknown.
const REFUSALS: [i16; 11] = [2, 3, 5, 6, 7, 9, 19, 56, 74, 75, 89];
/// What may be answered after an append.
const AFTER: [i16; 7] = [3, 6, 7, 20, 20, 56, -1];
/// What ends a batch.
const FATAL: [i16; 9] = [17, 29, 32, 42, 44, 87, 76, -1, 999];

impl Cluster {
    pub(super) fn produce(
        &mut self,
        node: usize,
        frame: &mut Bytes,
        version: i16,
        body: BytesMut,
        now: Time,
    ) -> Pending {
        let request = ProduceRequest::decode(frame, version).expect("a Produce request");
        assert!(frame.is_empty(), "nothing after the request");
        let mut topics = Vec::new();
        for data in &request.topic_data {
            let topic = self.topics.iter().position(|topic| {
                topic.exists && if version >= 13 { topic.id == data.topic_id } else { topic.name == **data.name }
            });
            let mut parts = Vec::new();
            for partition in &data.partition_data {
                let batch = Batch::read(partition.records.as_ref().expect("records"));
                parts.push(self.append(node, topic, partition.index, &batch, version, now));
            }
            topics.push((data.name.clone(), data.topic_id, parts));
        }
        Pending::Produce(Produce { body, version, acks: request.acks, topics })
    }

    fn append(
        &mut self,
        node: usize,
        topic: Option<usize>,
        index: i32,
        batch: &Batch,
        version: i16,
        now: Time,
    ) -> Part {
        let id = topic.map_or(Uuid::nil(), |t| self.topics[t].id);
        let mut part = Part {
            topic,
            id,
            index,
            code: 0,
            offset: -1,
            epoch: -1,
            appended: false,
            says: None,
            wrong: Vec::new(),
            of: (batch.producer.0, batch.producer.1, batch.sequence, batch.ids[0], batch.ids.len()),
        };
        let refusal = self.refusal(topic, index, batch, &mut part.wrong);
        let hidden = (self.has(Trouble::AfterAppend) && self.percent(self.plan.refused_percent))
            .then(|| AFTER[self.rng.usize(..AFTER.len())]);
        let late = self.rng.u32(..8) == 0;
        let Some(number) = topic else {
            part.code = if version >= 13 { 100 } else { 3 };
            return part;
        };
        let old_brokers = self.plan.old_brokers;
        let of = &mut self.topics[number];
        let Some(partition) = usize::try_from(index).ok().and_then(|i| of.partitions.get_mut(i)) else {
            part.code = 3;
            return part;
        };
        part.epoch = partition.epoch;
        part.code = if partition.leader != node as i32 {
            6
        } else if let Some(code) = refusal {
            self.faults += 1;
            code
        } else if batch.len > of.max_batch {
            10
        } else {
            match partition.log.append(batch, old_brokers, now.0) {
                Append::New(offset) => {
                    part.offset = offset;
                    0
                }
                Append::Duplicate(offset) => {
                    // Some versions say so, most give the offset again.
                    part.offset = offset;
                    part.says = late.then_some(46);
                    0
                }
                Append::Refused(code) => code,
            }
        };
        part.appended = part.code == 0;
        if part.appended && hidden.is_some() {
            self.faults += 1;
            part.says = hidden;
        }
        part
    }

    fn refusal(&mut self, topic: Option<usize>, index: i32, batch: &Batch, wrong: &mut Vec<i32>) -> Option<i16> {
        if self.plan.sick_partition && self.troubled && topic == Some(0) && index == 0 {
            return Some(19);
        }
        let percent = self.plan.refused_percent;
        if self.has(Trouble::Refusals) && self.percent(percent) {
            return Some(REFUSALS[self.rng.usize(..REFUSALS.len())]);
        }
        if self.has(Trouble::Fatal) && self.percent(percent / 4) {
            return Some(FATAL[self.rng.usize(..FATAL.len())]);
        }
        if self.has(Trouble::BadRecords) && self.percent(percent / 4) {
            let count = batch.ids.len() as i32;
            *wrong = (0..count).filter(|_| self.rng.u32(..4) == 0).collect();
            return Some(87);
        }
        None
    }

    /// The time for an answer has come. None: there is none. An error: the broker hangs up.
    pub(crate) fn answer(&mut self, node: usize, pending: Pending, now: Time) -> Result<Option<Vec<u8>>, &'static str> {
        let mut produce = match pending {
            Pending::Ready(bytes) => return Ok(Some(bytes)),
            Pending::Produce(produce) => produce,
        };
        let (version, acks) = (produce.version, produce.acks);
        let mut failed = false;
        let mut topics = Vec::new();
        let mut endpoints = Vec::new();
        for (name, id, parts) in produce.topics {
            let mut responses = Vec::new();
            for part in parts {
                let response = self.part_answer(&part, version, acks);
                failed |= response.error_code != 0;
                responses.push(self.with_hint(node, response, &part, version, now, &mut endpoints));
            }
            let topic = TopicProduceResponse::default().with_partition_responses(responses);
            topics.push(if version >= 13 { topic.with_topic_id(id) } else { topic.with_name(name) });
        }
        if acks == 0 {
            return if failed { Err("the broker hangs up on acks=0") } else { Ok(None) };
        }
        let throttled = self.has(Trouble::Throttling) && self.percent(15);
        self.faults += u64::from(throttled);
        ProduceResponse::default()
            .with_responses(topics)
            .with_throttle_time_ms(if throttled { self.rng.i32(1..300) } else { 0 })
            .with_node_endpoints(if version >= 10 { endpoints } else { Vec::new() })
            .encode(&mut produce.body, version)
            .expect("an answer that the library can write");
        Ok(Some(framed(&produce.body)))
    }

    fn part_answer(&mut self, part: &Part, version: i16, acks: i16) -> PartitionProduceResponse {
        let mut code = part.code;
        if part.appended {
            let lucky = self.rng.u32(..4) > 0;
            let topic = part.topic.filter(|t| self.topics[*t].exists && self.topics[*t].id == part.id);
            let partition = topic.and_then(|t| self.topics[t].partitions.get_mut(part.index as usize));
            match partition {
                Some(partition) if partition.epoch == part.epoch && partition.leader >= 0 => {
                    // An answer of success by all means that all have it; by the leader alone, or an error, not.
                    let all = (acks == -1 && part.says.is_none_or(|says| says == 46)) || lucky;
                    partition.log.replicate(if all { part.offset } else { -1 });
                }
                Some(_) if acks == -1 => code = 6,
                None if acks == -1 => code = if version >= 13 { 100 } else { 3 },
                _ => {}
            }
            if code == 0 {
                code = part.says.unwrap_or(0);
            }
        }
        let good = code == 0;
        let errors = part.wrong.iter().map(|at| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(*at)
                .with_batch_index_error_message(Some(StrBytes::from_static_str("wrong")))
        });
        let errors: Vec<_> = if version >= 8 && code == 87 { errors.collect() } else { Vec::new() };
        PartitionProduceResponse::default()
            .with_index(part.index)
            .with_error_code(code)
            .with_base_offset(if good { part.offset } else { -1 })
            .with_log_start_offset(if good || code == 59 { 0 } else { -1 })
            .with_record_errors(errors)
    }

    /// KIP-951: who leads, if not we.
    fn with_hint(
        &mut self,
        node: usize,
        response: PartitionProduceResponse,
        part: &Part,
        version: i16,
        now: Time,
        endpoints: &mut Vec<NodeEndpoint>,
    ) -> PartitionProduceResponse {
        if version < 10 || !matches!(response.error_code, 6 | 74) || self.rng.u32(..4) == 0 {
            return response;
        }
        let Some(partition) = part.topic.and_then(|t| self.topics[t].partitions.get(part.index as usize)) else {
            return response;
        };
        let (leader, epoch) = self.view(node, partition, now);
        if let Some(of) = usize::try_from(leader).ok().and_then(|n| self.nodes.get(n)) {
            endpoints.push(
                NodeEndpoint::default()
                    .with_node_id(BrokerId(leader))
                    .with_host(StrBytes::from_string(format!("b{leader}")))
                    .with_port(of.port.into()),
            );
        }
        let hint = LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
        response.with_current_leader(hint)
    }
}

impl Pending {
    /// For a trace.
    pub(crate) fn describe(&self) -> String {
        match self {
            Pending::Ready(bytes) => format!("a control request, {} bytes of answer", bytes.len()),
            Pending::Produce(produce) => format!("{produce:?}"),
        }
    }
}
