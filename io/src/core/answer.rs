//! Answers to Produce requests.

use forebay_engine::mutant;

use super::Core;
use super::batch::{Batch, BatchId};
use super::ports::ConnId;
use super::produced::Produced;
use super::report::{Delivered, DeliveryFailure, FailureKind};
use super::requests::RequestId;
use crate::time::Time;
use crate::wire::error_code::ErrorClass;
use crate::wire::produce::{ProduceResponse, TopicRef, parse_response};

/// The first Produce version of which the broker expects the client to keep quiet when throttled (KIP-219).
const CLIENT_THROTTLES: i16 = 6;

impl Core {
    /// Reads a whole response before it acts on any of it. An error means that the connection is out of step; its
    /// batches stay in the request until the connection is closed.
    pub(super) fn produce_response(
        &mut self,
        conn: ConnId,
        id: RequestId,
        body: &[u8],
        now: Time,
    ) -> Result<(), String> {
        let mut produced = std::mem::take(&mut self.scratch.produced);
        produced.clear();
        let mut sorted = std::mem::take(&mut self.scratch.sorted);
        sorted.clear();
        let parsed = self.read_answers(id, body, &mut produced, &mut sorted);
        self.scratch.sorted = sorted;
        let result = parsed.map(|response| {
            let version = self.requests.get(id).version;
            let mut batches = std::mem::take(&mut self.scratch.batches);
            batches.extend_from_slice(&self.requests.get(id).batches);
            self.answered(conn, now);
            self.hear(conn, version, &response, now);
            for answer in produced.drain(..) {
                self.apply(batches[answer.number], &answer, now);
            }
            batches.clear();
            self.scratch.batches = batches;
        });
        self.scratch.produced = produced;
        result
    }

    fn read_answers(
        &self,
        id: RequestId,
        body: &[u8],
        produced: &mut Vec<Produced>,
        sorted: &mut Vec<u32>,
    ) -> Result<ProduceResponse, String> {
        let request = self.requests.get(id);
        let count = request.batches.len();
        let of = |number: usize| &self.partitions[self.batches.get(request.batches[number]).partition as usize];
        // Where a batch of the request lies to a topic's partition, in the order of topics and partitions.
        let compare = |number: usize, topic: TopicRef<'_>, index: i32| {
            let partition = of(number);
            let by_topic = match topic {
                TopicRef::Name(name) => self.metadata.name(partition.topic).cmp(name),
                // The id may have changed since the request was made: it is looked up where the request says.
                TopicRef::Id(id) => request.topic_ids[number].cmp(&id),
            };
            by_topic.then(partition.index.cmp(&index))
        };
        let mut strange = None;
        let response = parse_response(request.version, body, |answer| {
            // In the order of the request, if a broker keeps that. Kafka has them in hash tables meanwhile: of many they come in any order.
            let next = produced.len();
            let found = if next < count && compare(next, answer.topic, answer.index).is_eq() {
                Some(next)
            } else {
                if sorted.is_empty() {
                    sorted.extend(0..count as u32);
                    sorted.sort_unstable_by(|a, b| {
                        let (b, other) = (*b as usize, of(*b as usize));
                        let topic = match answer.topic {
                            TopicRef::Name(_) => TopicRef::Name(self.metadata.name(other.topic)),
                            TopicRef::Id(_) => TopicRef::Id(request.topic_ids[b]),
                        };
                        compare(*a as usize, topic, other.index)
                    });
                }
                let place = sorted.binary_search_by(|number| compare(*number as usize, answer.topic, answer.index));
                place.ok().map(|place| sorted[place] as usize)
            };
            match found {
                Some(number) => produced.push(Produced::new(number, &answer)),
                None => strange = Some(format!("an answer for a partition not asked about: {:?}", answer.topic)),
            }
        });
        let response = response.map_err(|error| error.to_string())?;
        if let Some(strange) = strange {
            return Err(strange);
        }
        if !produced.is_sorted_by_key(|answer| answer.number) {
            produced.sort_by_key(|answer| answer.number);
        }
        let each_once = produced.iter().enumerate().all(|(at, answer)| answer.number == at);
        if !each_once || produced.len() != request.batches.len() {
            return Err("a response that does not answer each partition once".to_owned());
        }
        Ok(response)
    }

    /// What a response says beside its batches.
    fn hear(&mut self, conn: ConnId, version: i16, response: &ProduceResponse, now: Time) {
        self.throttle(conn, response.throttle_ms, version >= CLIENT_THROTTLES, now);
        for node in &response.node_endpoints {
            if let Some(moved) = self.brokers.name(node.node_id, &node.host, node.port) {
                tracing::info!(target: "forebay::connection", node = node.node_id, "the broker has moved");
                self.close_quietly(moved);
            }
        }
    }

    /// A broker's quota is used up: it is sent nothing for so long. A broker that does not expect that of its clients has
    /// held back the answer instead.
    pub(super) fn throttle(&mut self, conn: ConnId, ms: i32, expected: bool, now: Time) {
        if let Ok(ms) = u64::try_from(ms)
            && ms > 0
            && expected
            && let Some(broker) = self.connection(conn).map(|c| c.broker)
        {
            self.meter_throttle(conn, ms, now);
            self.news();
            let until = now + std::time::Duration::from_millis(ms);
            let broker = self.brokers.get_mut(broker);
            broker.throttled_until = broker.throttled_until.max(until);
        }
    }

    /// Takes a batch out of the request that carried it.
    pub(super) fn leave_request(&mut self, id: BatchId) {
        let batch = self.batches.get_mut(id);
        batch.in_request = false;
        batch.written = false;
        let number = batch.partition as usize;
        self.partitions[number].remove_in_flight(id);
    }

    fn apply(&mut self, id: BatchId, answer: &Produced, now: Time) {
        self.leave_request(id);
        let class = answer.code.class();
        if class != ErrorClass::None {
            self.news();
        }
        let batch = self.batches.get_mut(id);
        let partition = &mut self.partitions[batch.partition as usize];
        if class == ErrorClass::None || (class == ErrorClass::DuplicateSequence && !mutant!("a_duplicate_is_a_failure"))
        {
            if batch.identity == partition.identity {
                partition.appended(batch.order);
            }
            self.metadata.accepted(partition.topic, batch.wire_len());
            let duplicate = class == ErrorClass::DuplicateSequence;
            let base_offset = if duplicate { -1 } else { answer.base_offset.max(-1) };
            if base_offset >= 0 {
                partition.last_acked_offset = base_offset.saturating_add(i64::from(batch.count) - 1);
            }
            let log_append_time = if duplicate { -1 } else { answer.log_append_time };
            let delivered = Ok(Delivered { base_offset, log_append_time });
            self.batches.resolve(id, &mut self.ledger, &delivered);
            self.batches.release(id, &mut self.io, &mut self.ledger);
            return;
        }
        let (in_doubt_before, number) = (batch.maybe_appended, batch.partition);
        batch.maybe_appended |= answer.leaves_doubt() && !mutant!("an_error_means_not_appended");
        if batch.done {
            self.batches.release(id, &mut self.io, &mut self.ledger);
            return;
        }
        let topic = self.metadata.name(partition.topic);
        let (index, attempts) = (partition.index, batch.attempts);
        tracing::debug!(target: "forebay::delivery", topic, partition = index, attempts, error = %answer.code, "a batch was refused");
        let oldest = self.is_oldest(number, id);
        let batch = self.batches.get_mut(id);
        let partition = &mut self.partitions[number as usize];
        match class {
            ErrorClass::RetriableRefresh => {
                let (topic, index) = (partition.topic, partition.index);
                self.metadata.doubt(topic);
                match answer.leader {
                    _ if mutant!("a_former_leader_is_kept") => {}
                    Some(leader) => self.metadata.hint(topic, index, leader),
                    None => self.metadata.want(),
                }
                self.retry_or_fail(id, answer, now);
            }
            ErrorClass::Retriable => self.retry_or_fail(id, answer, now),
            // The broker has looked for it: it is not in this log. If an earlier attempt was never answered, that one may yet come
            // to the log, on a connection that only our end has closed: then it may be sent again as it is, behind what the
            // broker waits for, but under a new epoch it could be there twice.
            ErrorClass::OutOfOrderSequence if !(in_doubt_before && oldest) => {
                batch.maybe_appended = in_doubt_before;
                if oldest {
                    // Nothing before it is under way, so what the broker waits for will never come.
                    self.mark_gap(id);
                }
                self.retry_or_fail(id, answer, now);
            }
            ErrorClass::UnknownProducerId if answer.log_start_offset == -1 => self.retry_or_fail(id, answer, now),
            ErrorClass::UnknownProducerId | ErrorClass::InvalidProducerEpoch if !in_doubt_before => {
                self.mark_gap(id);
                self.retry_or_fail(id, answer, now);
            }
            ErrorClass::MessageTooLarge if batch.count > 1 && !batch.maybe_appended => {
                if !self.split(id, now) {
                    self.retry_or_fail(id, answer, now);
                }
            }
            ErrorClass::MessageTooLarge if batch.count == 1 => {
                let accepted = self.metadata.largest_accepted(partition.topic);
                let kind = FailureKind::TooLarge { size: batch.wire_len(), accepted, message: answer.message.clone() };
                let possibly_appended = batch.maybe_appended;
                self.fail_batch(id, &DeliveryFailure { kind, possibly_appended });
            }
            _ => {
                let failure = answer.failure(batch.maybe_appended);
                if batch.count > 1 && !answer.wrong.is_empty() {
                    self.abandon(id);
                    let batch = self.batches.get_mut(id);
                    answer.fail_records(batch, &mut self.ledger, failure.possibly_appended);
                    self.batches.release(id, &mut self.io, &mut self.ledger);
                } else {
                    self.fail_batch(id, &failure);
                }
            }
        }
    }

    /// Whether no older batch of the partition is under way.
    fn is_oldest(&self, number: u32, id: BatchId) -> bool {
        let partition = &self.partitions[number as usize];
        let order = self.batches.get(id).order;
        let older = |other: &Batch| other.order < order;
        !partition.in_flight.iter().any(|other| older(self.batches.get(*other)))
            && partition.retry.front().is_none_or(|head| head.0 > order)
    }

    fn mark_gap(&mut self, id: BatchId) {
        let batch = self.batches.get(id);
        let partition = &mut self.partitions[batch.partition as usize];
        if batch.identity == partition.identity {
            partition.gap = Some(partition.gap.map_or(batch.order, |gap| gap.max(batch.order)));
        }
    }

    fn retry_or_fail(&mut self, id: BatchId, answer: &Produced, now: Time) {
        let batch = self.batches.get(id);
        if batch.attempts > self.cfg.retries {
            let failure = answer.failure(batch.maybe_appended);
            self.fail_batch(id, &failure);
        } else {
            self.retry_refused(id, now);
        }
    }
}
