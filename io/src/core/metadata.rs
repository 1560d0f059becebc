//! What is known of the cluster's topics: who leads which partition, and when to ask again.

use forebay_engine::mutant;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::backoff::delay;
use super::partition::Leader;
use super::ports::ConnId;
use super::report::{DeliveryFailure, FailureKind};
use super::requests::Kind;
use crate::time::Time;
use crate::topics::{TopicEntry, TopicId};
use crate::wire::control::{self, TopicMeta, encode_metadata};
use crate::wire::error_code::{ErrorClass, ErrorCode};

struct Topic {
    entry: Arc<TopicEntry>,
    kafka_id: [u8; 16],
    leaders: Vec<Leader>,
    error: ErrorCode,
    last_used: Time,
    /// Asked about; ends when nobody has used it for `metadata.max.idle.ms`.
    asked_about: bool,
    /// What is known of its leaders was refused by one of them; only without an id.
    doubted: bool,
    /// Batches above this were refused as too large.
    largest_batch: usize,
    /// The largest batch that was acknowledged.
    accepted: usize,
}

pub(crate) struct Metadata {
    topics: Vec<Option<Topic>>,
    by_name: HashMap<Arc<str>, TopicId>,
    /// Something is missing or known to be wrong.
    wanted: bool,
    asked: Option<ConnId>,
    failures: u32,
    not_before: Time,
    learned_at: Time,
    /// When the first attempt since the last good answer was made.
    trying_since: Option<Time>,
}

impl Metadata {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            topics: Vec::new(),
            by_name: HashMap::new(),
            wanted: true,
            asked: None,
            failures: 0,
            not_before: now,
            learned_at: now,
            trying_since: None,
        }
    }

    fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(id.index()).and_then(Option::as_ref)
    }

    fn topic_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        self.topics.get_mut(id.index()).and_then(Option::as_mut)
    }

    pub(crate) fn leader(&self, topic: TopicId, index: i32) -> Leader {
        let leader = self.topic(topic).and_then(|t| t.leaders.get(usize::try_from(index).ok()?));
        leader.copied().unwrap_or(Leader::NONE)
    }

    pub(crate) fn name(&self, topic: TopicId) -> &str {
        self.topic(topic).map_or("", |t| t.entry.name())
    }

    /// The topic's id in the cluster; zeros if it has none.
    pub(crate) fn kafka_id(&self, topic: TopicId) -> [u8; 16] {
        self.topic(topic).map_or([0; 16], |t| t.kafka_id)
    }

    pub(crate) fn largest_batch(&self, topic: TopicId) -> usize {
        self.topic(topic).map_or(usize::MAX, |t| t.largest_batch)
    }

    /// A batch of `len` bytes was acknowledged.
    pub(crate) fn accepted(&mut self, topic: TopicId, len: usize) {
        if let Some(topic) = self.topic_mut(topic) {
            topic.accepted = topic.accepted.max(len);
        }
    }

    pub(crate) fn largest_accepted(&self, topic: TopicId) -> usize {
        self.topic(topic).map_or(0, |t| t.accepted)
    }

    /// A batch of `len` bytes was too large for a topic: the next ones are at most `smaller`. Forgotten with the next
    /// regular refresh, for the limit may be raised.
    pub(crate) fn shrink_batches(&mut self, topic: TopicId, smaller: usize) {
        if let Some(topic) = self.topic_mut(topic) {
            topic.largest_batch = topic.largest_batch.min(smaller);
        }
    }

    /// Why nothing can be sent to a topic, if waiting does not help.
    pub(crate) fn refusal(&self, topic: TopicId) -> Option<DeliveryFailure> {
        let code = self.topic(topic)?.error;
        code.refuses_topic()
            .then_some(DeliveryFailure { kind: FailureKind::Broker { code, message: None }, possibly_appended: false })
    }

    /// Ask again as soon as the backoff allows.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted || self.asked.is_some()
    }

    pub(crate) fn lost(&mut self, conn: ConnId) {
        if self.asked == Some(conn) {
            self.asked = None;
            self.wanted = true;
        }
    }

    /// When to give the known brokers up and start again from the bootstrap servers, if nobody answers until then.
    pub(crate) fn rebootstrap_due(&self, trigger: Option<Duration>) -> Time {
        trigger.zip(self.trying_since).map_or(Time::MAX, |(trigger, since)| since + trigger)
    }

    /// When to ask next.
    pub(crate) fn due(&self, max_age: Duration) -> Time {
        match (self.asked, self.wanted) {
            (Some(_), _) => Time::MAX,
            (None, true) => self.not_before,
            (None, false) => (self.learned_at + max_age).max(self.not_before),
        }
    }

    /// A broker names a partition's leader (KIP-951). Only news count: without any, the metadata must tell.
    pub(crate) fn hint(&mut self, topic: TopicId, index: i32, leader: Leader) {
        let known = self.topic_mut(topic).and_then(|topic| topic.leaders.get_mut(usize::try_from(index).ok()?));
        match known {
            Some(known) if leader.epoch > known.epoch => *known = leader,
            _ => self.want(),
        }
    }

    /// A broker refuses what it was asked as a partition's leader. Brokers before 2.8 give topics no ids: one that was
    /// deleted and created again shows only in that its epochs begin anew, so that the next metadata is believed even
    /// where it names an older epoch.
    pub(crate) fn doubt(&mut self, topic: TopicId) {
        if let Some(topic) = self.topic_mut(topic).filter(|topic| topic.kafka_id == [0; 16]) {
            topic.doubted = true;
        }
    }

    /// Everything that was known of the cluster may be another cluster's: only topics' names and ids are kept.
    fn forget_leaders(&mut self) {
        for topic in self.topics.iter_mut().flatten() {
            topic.leaders.fill(Leader::NONE);
        }
        self.trying_since = None;
        self.wanted = true;
    }

    /// Learns about one topic. `is_there` tells whether the cluster still has a node.
    fn learn(&mut self, id: TopicId, meta: &TopicMeta, is_there: impl Fn(i32) -> bool) -> Learned {
        let Some(topic) = self.topic_mut(id) else { return Learned::Known };
        topic.error = meta.error;
        if !meta.error.is_none() && meta.partitions.is_empty() {
            return if meta.error.refuses_topic() { Learned::Known } else { Learned::Missing };
        }
        let recreated = topic.kafka_id != meta.id && !mutant!("a_topic_made_anew_is_not_noticed");
        let named_before = topic.kafka_id != [0; 16];
        let doubted = std::mem::take(&mut topic.doubted);
        topic.kafka_id = meta.id;
        topic.leaders.resize(meta.partitions.len(), Leader::NONE);
        for partition in &meta.partitions {
            let Some(known) = usize::try_from(partition.index).ok().and_then(|i| topic.leaders.get_mut(i)) else {
                continue;
            };
            // A broker that lags behind may name an old leader; better that than one who has left.
            let epoch = partition.leader_epoch;
            if recreated || doubted || epoch >= known.epoch || epoch < 0 || !is_there(known.node) {
                *known = Leader { node: partition.leader, epoch: partition.leader_epoch };
            }
        }
        if recreated && named_before { Learned::Recreated } else { Learned::Known }
    }
}

/// What the metadata told about a topic.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Learned {
    Known,
    /// Nothing yet that could be used.
    Missing,
    /// It has another id: its logs begin anew.
    Recreated,
}

impl Core {
    /// Somebody waits for a topic's partitions.
    pub(super) fn want_topic(&mut self, id: TopicId, now: Time) {
        self.use_topic(id, now);
        if self.metadata.topic(id).is_some_and(|t| t.leaders.is_empty() || !t.error.is_none()) {
            self.metadata.want();
        }
    }

    /// A partition's leader is not known, nor, maybe, the partition.
    pub(super) fn want_leader(&mut self, id: TopicId, now: Time) {
        self.use_topic(id, now);
        self.metadata.want();
    }

    /// A topic is in use; it will be asked about.
    pub(super) fn use_topic(&mut self, id: TopicId, now: Time) {
        if self.metadata.topic(id).is_none() {
            let Some(entry) = self.topics.entry(id) else { return };
            let metadata = &mut self.metadata;
            if metadata.topics.len() <= id.index() {
                metadata.topics.resize_with(id.index() + 1, || None);
            }
            metadata.by_name.insert(entry.name().clone(), id);
            self.metrics.add_topic(id, entry.name());
            metadata.topics[id.index()] = Some(Topic {
                entry,
                kafka_id: [0; 16],
                leaders: Vec::new(),
                error: ErrorCode::NONE,
                last_used: now,
                asked_about: false,
                doubted: false,
                largest_batch: usize::MAX,
                accepted: 0,
            });
        }
        if let Some(topic) = self.metadata.topic_mut(id) {
            topic.last_used = now;
            if !std::mem::replace(&mut topic.asked_about, true) {
                self.metadata.wanted = true;
                if self.metadata.failures == 0 {
                    // The pause after an answer is for asking the same again.
                    self.metadata.not_before = now;
                }
            }
        }
    }

    /// Asks for metadata when it is time.
    pub(super) fn metadata_turn(&mut self, now: Time) {
        if self.metadata.rebootstrap_due(self.cfg.rebootstrap) <= now {
            self.rebootstrap();
        }
        if self.metadata.due(self.cfg.metadata_max_age) > now || self.closing.is_over() {
            return;
        }
        if self.brokers.knows_nodes() {
            self.metadata.trying_since.get_or_insert(now);
        }
        let Some(conn) = self.any_ready_connection(now) else {
            if let Some(at) = self.connect_anywhere(now) {
                self.due_at = self.due_at.min(at);
            }
            return;
        };
        let Some(version) = self.connection(conn).and_then(|c| c.versions).map(|v| v.metadata) else { return };
        let regular = !self.metadata.wanted;
        for topic in self.metadata.topics.iter_mut().flatten() {
            topic.asked_about = topic.last_used + self.cfg.metadata_max_idle > now;
            if regular {
                topic.largest_batch = usize::MAX;
            }
        }
        for at in 0..self.active.len() {
            let topic = self.partitions[self.active[at] as usize].topic;
            if let Some(topic) = self.metadata.topic_mut(topic) {
                topic.last_used = now;
                topic.asked_about = true;
            }
        }
        let create = self.cfg.allow_auto_create;
        let asked = self.ask(conn, Kind::Metadata, version, now, |core, buf, header| {
            let topics = core.metadata.topics.iter().flatten().filter(|t| t.asked_about);
            encode_metadata(buf, header, topics.map(|t| &**t.entry.name()), create)
        });
        if asked {
            self.metadata.asked = Some(conn);
            self.metadata.wanted = false;
        }
    }

    pub(super) fn learn(&mut self, answer: &control::Metadata, now: Time) {
        self.metadata.asked = None;
        self.metadata.learned_at = now;
        // Leaders may have changed: who is in line for one of them is found anew.
        self.news();
        let mut missing = !answer.error.is_none() || answer.brokers.is_empty();
        if answer.error.class() == ErrorClass::Rebootstrap && self.cfg.rebootstrap.is_some() {
            self.rebootstrap();
        } else if !missing {
            self.metadata.trying_since = None;
            self.metrics.learned(now);
            self.brokers.forget_nodes();
            for broker in &answer.brokers {
                if let Some(moved) = self.brokers.name(broker.node_id, &broker.host, broker.port) {
                    tracing::info!(target: "forebay::connection", node = broker.node_id, "the broker has moved");
                    self.close_quietly(moved);
                }
            }
        }
        // An answer that is an error as a whole says nothing of any topic, and neither does one of a broker that knows no brokers (yet):
        // each topic has an error then, which may be any.
        let topics = if missing { &[][..] } else { &answer.topics[..] };
        for meta in topics {
            let Some(id) = meta.name.as_deref().and_then(|name| self.metadata.by_name.get(name).copied()) else {
                continue;
            };
            if !meta.error.is_none() {
                tracing::warn!(target: "forebay::metadata", topic = meta.name, error = %meta.error, "a topic cannot be used");
            }
            match self.metadata.learn(id, meta, |node| self.brokers.find(node).is_some()) {
                Learned::Known => {}
                Learned::Missing => missing = true,
                Learned::Recreated => self.recreated(id),
            }
            self.topics.update(id, meta.partitions.len() as u32, meta.error.0);
        }
        tracing::debug!(target: "forebay::metadata", brokers = answer.brokers.len(), topics = answer.topics.len(), missing, "learned");
        self.metadata.wanted |= missing;
        self.metadata.failures = if missing { self.metadata.failures.saturating_add(1) } else { 0 };
        let (first, largest) = (self.cfg.retry_backoff, self.cfg.retry_backoff_max);
        self.metadata.not_before = now + delay(first, largest, self.metadata.failures.max(1), &mut self.rng);
    }

    /// A topic's partitions have new logs, which know nothing of this producer: a new leader would take the second of two
    /// batches as its first, so the next ones go one at a time until one is acknowledged.
    fn recreated(&mut self, id: TopicId) {
        tracing::warn!(target: "forebay::metadata", topic = self.metadata.name(id), "the topic was deleted and created again");
        for partition in self.partitions.iter_mut().filter(|partition| partition.topic == id) {
            partition.proven = false;
            partition.last_acked_offset = -1;
        }
    }

    /// Gives all known brokers up and starts again from the bootstrap servers, whose names are looked up anew (KIP-1102).
    fn rebootstrap(&mut self) {
        tracing::warn!(target: "forebay::metadata", "starting again from the bootstrap servers");
        self.brokers.forget_nodes();
        self.metadata.forget_leaders();
        for slot in 0..self.connections.len() {
            if let Some(conn) = self.connections[slot].as_ref().map(|c| c.id) {
                self.close_quietly(conn);
            }
        }
    }
}
