//! From due partitions to Produce requests: one batch per partition, many partitions per request, in turn.

use super::Core;
use super::batch::BatchId;
use super::config::Acks;
use super::connections::Connection;
use super::flow::FLOOR;
use super::partition::Leader;
use super::ports::ConnId;
use super::requests::Kind;
use crate::time::Time;
use crate::wire::batch::BatchHeader;
use crate::wire::produce::{ProduceFraming, ProduceHead};
use crate::wire::versions::PRODUCE_MAX_BY_NAME;

/// Bytes of a request beside its topics, at most, without the client id.
const REQUEST_OVERHEAD: usize = 64;
/// Bytes of a partition in a request beside its batch and its topic's name, at most: index, length, tags, and a topic's
/// id, count and tags in case it is the topic's first.
const PARTITION_OVERHEAD: usize = 48;

/// With so many bytes not yet written no further request is made: what is written at once is still in the caches.
const UNSENT: usize = 64 << 10;
/// The least that a request may hold: framing and system calls count for little, and it is written before the caches of
/// a core have lost what was stamped first.
const SHARE_MIN: usize = FLOOR / 5;

/// What a partition gives for a request.
enum Next {
    Batch(BatchId),
    /// It would have given more, had the request had room.
    Short(BatchId),
    /// It has something, which does not fit any more.
    NoRoom,
    Nothing,
}

/// Puts partitions in order: whoever comes after the one served last is first.
pub(super) fn take_turns(partitions: &mut [u32], last: u32) {
    partitions.sort_unstable();
    let first = partitions.partition_point(|partition| *partition <= last);
    partitions.rotate_left(first);
}

impl Core {
    /// Sends what a broker's ready partitions hold, as far as request slots reach.
    pub(super) fn send_to(&mut self, broker: usize, now: Time) {
        let mut ready = std::mem::take(&mut self.brokers.get_mut(broker).ready);
        if let Some(conn) = self.ready_connection(broker) {
            take_turns(&mut ready, self.brokers.get(broker).cursor);
            self.fill_requests(broker, conn, &mut ready, now);
        } else {
            ready.clear();
        }
        self.brokers.get_mut(broker).ready = ready;
    }

    /// Makes the requests that there was no room for in front of a socket, from what [`Core::turn`] found. To be called
    /// after what that gave rise to was written, until it answers false. It may be left out: the next turn does the same.
    pub fn go_on(&mut self, now: Time) -> bool {
        let mut any = false;
        for broker in 0..self.brokers.len() {
            if self.brokers.get(broker).ready.is_empty() {
                continue;
            }
            let Some(conn) = self.ready_connection(broker).filter(|conn| self.has_slot(*conn)) else { continue };
            let mut ready = std::mem::take(&mut self.brokers.get_mut(broker).ready);
            any |= self.fill_requests(broker, conn, &mut ready, now);
            self.brokers.get_mut(broker).ready = ready;
        }
        any
    }

    /// Makes requests while there is room. Answers whether it made one. Partitions that are still ready stay in the list.
    fn fill_requests(&mut self, broker: usize, conn: ConnId, ready: &mut Vec<u32>, now: Time) -> bool {
        let (mut any, mut carry) = (false, None);
        while (carry.is_some() && self.has_request(conn)) || (!ready.is_empty() && self.has_slot(conn)) {
            carry = self.fill_request(broker, conn, ready, carry, now);
            any = true;
        }
        if let Some(batch) = carry {
            self.put_back(batch);
        }
        if let Some(connection) = self.connection_mut(conn) {
            connection.wanted = !ready.is_empty();
        }
        any
    }

    /// Whether another Produce request may be made for a connection: it has one left, its window is open, and what was made
    /// before is not stuck in front of a full socket (batches that wait in their lanes still grow).
    pub(super) fn has_slot(&self, conn: ConnId) -> bool {
        self.has_request(conn)
            && self.connection(conn).is_some_and(|c| c.unsent < UNSENT && (c.flow.is_open() || !self.answers()))
    }

    fn has_request(&self, conn: ConnId) -> bool {
        self.connection(conn).is_some_and(|c| c.produce_requests < self.cfg.max_in_flight)
    }

    /// How large the next request may be: so that the window is full when all requests are under way.
    fn request_size(&self, conn: ConnId) -> usize {
        let window = self.connection(conn).map_or(0, |c| c.flow.window());
        let share = (window / self.cfg.max_in_flight).max(SHARE_MIN);
        share.min(self.cfg.max_request_size.max(self.cfg.long_request_size))
    }

    /// Builds one request and queues it. Partitions that were served stay in `ready` if they have more, at its end.
    /// Answers a batch that was cut and did not fit.
    fn fill_request(
        &mut self,
        broker: usize,
        conn: ConnId,
        ready: &mut Vec<u32>,
        carry: Option<BatchId>,
        now: Time,
    ) -> Option<BatchId> {
        let mut chosen = std::mem::take(&mut self.scratch.batches);
        let most = self.request_size(conn);
        let mut size = REQUEST_OVERHEAD + self.cfg.client_id.len();
        let mut left_over = None;
        if let Some(id) = carry {
            size += self.size_in_request(id);
            chosen.push(id);
        }
        let mut served = 0;
        let mut unfinished = None;
        for number in ready.iter() {
            self.look_again(*number, now);
            // The partition of a batch carried over is in the list a second time if it has more: not in this request.
            if carry.is_some_and(|id| self.batches.get(id).partition == *number) {
                break;
            }
            let room = most.saturating_sub(size);
            let next = self.next_batch(*number, room, chosen.is_empty(), now);
            let short = matches!(next, Next::Short(_));
            match next {
                Next::Nothing => {}
                Next::NoRoom => break,
                Next::Batch(id) | Next::Short(id) => {
                    let more = self.size_in_request(id);
                    if !chosen.is_empty() && size + more > most {
                        left_over = Some(id);
                        served += 1;
                        break;
                    }
                    size += more;
                    chosen.push(id);
                    if short {
                        // Its turn is not over: else the same partition would get the scraps of every request.
                        unfinished = Some(*number);
                        served += 1;
                        break;
                    }
                    self.brokers.get_mut(broker).cursor = *number;
                }
            }
            served += 1;
        }
        if !chosen.is_empty() {
            self.queue_produce(broker, conn, &chosen, now);
            chosen.clear();
        }
        self.scratch.batches = chosen;
        // After the request has its batches: they count as in flight.
        let mut again = std::mem::take(&mut self.scratch.again);
        again.extend(ready.drain(..served));
        let carried = left_over.map(|id| self.batches.get(id).partition);
        again.retain(|number| Some(*number) != carried && self.still_due(*number, now));
        if let Some(number) = unfinished {
            if again.last() == Some(&number) {
                ready.splice(..0, again.pop());
            } else {
                self.news(); // it may be due, and others would come before it
            }
        }
        ready.append(&mut again);
        self.scratch.again = again;
        left_over
    }

    fn size_in_request(&self, id: BatchId) -> usize {
        let batch = self.batches.get(id);
        let topic = self.partitions[batch.partition as usize].topic;
        batch.wire_len() + PARTITION_OVERHEAD + self.metadata.name(topic).len()
    }

    fn next_batch(&mut self, number: u32, room: usize, first: bool, now: Time) -> Next {
        let partition = &mut self.partitions[number as usize];
        if let Some((_, id)) = partition.retry.front().copied() {
            if !partition.in_flight.is_empty() {
                return Next::Nothing;
            }
            if !first && self.batches.get(id).wire_len() + PARTITION_OVERHEAD > room {
                return Next::NoRoom;
            }
            partition.retry.pop_front();
            return Next::Batch(id);
        }
        if self.packs_elsewhere() {
            return self.next_packed(number, if first { usize::MAX } else { room });
        }
        let partition = &self.partitions[number as usize];
        let topic = partition.topic;
        let framing = PARTITION_OVERHEAD + self.metadata.name(topic).len();
        let room = room.saturating_sub(framing);
        // Also where a request may be larger, a batch may not.
        let alone = self.cfg.max_request_size.saturating_sub(REQUEST_OVERHEAD + self.cfg.client_id.len() + framing);
        let most = self.cfg.batch_max_bytes.min(self.metadata.largest_batch(topic)).min(alone);
        let pending: usize =
            partition.lanes.iter().filter_map(|id| self.ledger.lane(*id)).map(|lane| lane.pending).sum();
        if !first && room < pending.min(self.cfg.batch_size).min(most) {
            return Next::NoRoom;
        }
        match self.cut(number, room.min(most), now) {
            None => Next::Nothing,
            // Not by what is still pending: records of another window, or of another age, make a batch of their own.
            Some(cut) if !first && room < most && cut.full => Next::Short(cut.batch),
            Some(cut) => Next::Batch(cut.batch),
        }
    }

    /// The oldest batch that was compressed elsewhere, if it is back.
    fn next_packed(&mut self, number: u32, room: usize) -> Next {
        // Another partition may have used up the last epoch in this very turn.
        let Some(id) = self.packed_head(number).filter(|_| self.has_identity(number)) else { return Next::Nothing };
        if self.size_in_request(id) > room {
            return Next::NoRoom;
        }
        self.partitions[number as usize].packing.retain(|other| *other != id);
        self.number(number, id);
        Next::Batch(id)
    }

    /// A batch that found no request after all is the first to go next time.
    fn put_back(&mut self, id: BatchId) {
        let batch = self.batches.get(id);
        let (number, order) = (batch.partition, batch.order);
        self.partitions[number as usize].requeue(order, id);
        self.enlist(number);
        self.news();
    }

    fn put_all_back(&mut self, batches: &[BatchId]) {
        for id in batches {
            self.put_back(*id);
        }
    }

    fn queue_produce(&mut self, broker: usize, conn: ConnId, chosen: &[BatchId], now: Time) {
        let leader = Leader { node: self.brokers.get(broker).node, epoch: -1 };
        let Some(correlation) = self.next_correlation(conn) else {
            self.put_all_back(chosen);
            return;
        };
        let id = self.requests.add(Kind::Produce);
        let request = self.requests.get_mut(id);
        request.batches.extend_from_slice(chosen);
        let (partitions, batches, metadata) = (&mut self.partitions, &mut self.batches, &self.metadata);
        let key = |id: &BatchId| {
            let partition = &partitions[batches.get(*id).partition as usize];
            (partition.topic, partition.index)
        };
        request.batches.sort_unstable_by_key(key);
        let mut version = self.connections[conn.index()].as_ref().map_or(0, Connection::produce_version);
        if version > PRODUCE_MAX_BY_NAME && request.batches.iter().any(|id| metadata.kafka_id(key(id).0) == [0; 16]) {
            version = PRODUCE_MAX_BY_NAME;
        }
        let topics = request.batches.chunk_by(|a, b| key(a).0 == key(b).0).count();
        let head = ProduceHead {
            version,
            correlation_id: correlation,
            client_id: &self.cfg.client_id,
            acks: self.cfg.acks.code(),
            timeout_ms: i32::try_from(self.cfg.request_timeout.as_millis()).unwrap_or(i32::MAX),
        };
        let framed = ProduceFraming::begin(&mut request.framing, &head, topics).and_then(|mut framing| {
            for topic in request.batches.chunk_by(|a, b| key(a).0 == key(b).0) {
                let Some(of) = topic.first().map(|id| key(id).0) else { continue };
                framing.topic(metadata.name(of), metadata.kafka_id(of), topic.len());
                for id in topic {
                    let header: BatchHeader = batches.get(*id).header();
                    request.cuts.push(framing.partition_with_header(key(id).1, &header));
                    framing.end_partition();
                }
                framing.end_topic();
            }
            framing.finish()
        });
        let len = match framed {
            Ok(len) => len,
            Err(error) => {
                tracing::error!(target: "forebay::request", %error, "a Produce request cannot be written");
                self.requests.remove(id);
                self.put_all_back(chosen);
                self.close_connection(conn, "a request cannot be written", now);
                return;
            }
        };
        request.version = version;
        request.correlation = correlation;
        request.len = len;
        request.deadline = now + self.cfg.request_timeout;
        for id in &request.batches {
            let batch = batches.get_mut(*id);
            request.topic_ids.push(metadata.kafka_id(partitions[batch.partition as usize].topic));
            batch.in_request = true;
            batch.written = false;
            let partition = &mut partitions[batch.partition as usize];
            partition.in_flight.push_back(*id);
            partition.conn = Some(conn);
            partition.resending |= batch.attempts > 0;
            let known = metadata.leader(partition.topic, partition.index);
            partition.leader_used = if known.node == leader.node { known } else { leader };
        }
        self.brokers.get_mut(broker).owed_since = None;
        self.queue(conn, id, now);
    }

    /// Without acks there is no answer: what the socket has taken is delivered as far as anyone will ever know.
    pub(super) fn answers(&self) -> bool {
        self.cfg.acks != Acks::None
    }
}
