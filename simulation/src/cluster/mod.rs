//! The model cluster: brokers, topics, leaders, logs; what Kafka does, and where the plan says so, what Kafka does on
//! its bad days.

mod batch;
mod control;
mod log;
mod produce;

use std::collections::BTreeSet;
use std::time::Duration;

use forebay_io::time::Time;
use uuid::Uuid;

pub(crate) use self::batch::filling;
pub(crate) use self::log::Log;
pub(crate) use self::produce::Pending;
use crate::plan::{Plan, Trouble};

pub(crate) struct Node {
    pub(crate) up: bool,
    /// Counts its starts: what it was doing before is forgotten.
    pub(crate) generation: u32,
    pub(crate) port: u16,
    pub(crate) paused_until: Time,
    /// A connection attempt finds nobody (true: it is refused; false: nobody answers).
    pub(crate) unreachable: Option<bool>,
    /// How much later than others it learns of new leaders.
    pub(crate) lag: Duration,
    pub(crate) slow_until: Time,
}

pub(crate) struct Partition {
    /// −1: none.
    pub(crate) leader: i32,
    pub(crate) epoch: i32,
    /// Leader and epoch before the last election, for those who have not heard of it.
    before: (i32, i32),
    elected_at: Time,
    pub(crate) log: Log,
}

pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) exists: bool,
    pub(crate) partitions: Vec<Partition>,
    /// Largest batch that is taken.
    pub(crate) max_batch: usize,
    /// What metadata says of it in place of its partitions.
    pub(crate) error: i16,
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) topics: Vec<Topic>,
    /// Logs of deleted topics: topic, partition, log.
    pub(crate) buried: Vec<(usize, usize, Log)>,
    /// Records that an election has lost.
    pub(crate) lost: BTreeSet<u64>,
    pub(crate) rng: fastrand::Rng,
    /// The plan's troubles happen.
    pub(crate) troubled: bool,
    /// The answers that were not what the client hoped for because the plan said so.
    pub(crate) faults: u64,
    pub(crate) requests: u64,
    pub(crate) control_error: i16,
    next_producer: i64,
    first_epoch: i16,
    next_topic_id: u128,
    plan: Plan,
}

impl Cluster {
    pub(crate) fn new(plan: &Plan, mut rng: fastrand::Rng) -> Self {
        let nodes = (0..plan.nodes).map(|number| Node {
            up: true,
            generation: 0,
            port: 9_000 + number as u16,
            paused_until: Time::ZERO,
            unreachable: None,
            lag: Duration::ZERO,
            slow_until: Time::ZERO,
        });
        let mut cluster = Self {
            nodes: nodes.collect(),
            topics: Vec::new(),
            buried: Vec::new(),
            lost: BTreeSet::new(),
            troubled: !plan.troubles.is_empty() || plan.sick_partition,
            faults: 0,
            requests: 0,
            control_error: 0,
            next_producer: 1_000,
            first_epoch: plan.first_epoch,
            next_topic_id: 1,
            rng: rng.fork(),
            plan: plan.clone(),
        };
        for (number, partitions) in plan.topics.iter().enumerate() {
            cluster.topics.push(Topic {
                name: format!("topic-{number}"),
                id: Uuid::nil(),
                exists: false,
                partitions: Vec::new(),
                max_batch: 1_048_588,
                error: 0,
            });
            cluster.create(number, *partitions);
        }
        cluster
    }

    pub(crate) fn has(&self, trouble: Trouble) -> bool {
        self.troubled && self.plan.has(trouble)
    }

    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn create(&mut self, topic: usize, partitions: u32) {
        let id = Uuid::from_u128(0xf0_0000 + self.next_topic_id);
        self.next_topic_id += 1;
        let nodes = self.nodes.len() as i32;
        let of = &mut self.topics[topic];
        of.id = id;
        of.exists = true;
        of.partitions.clear();
        for _ in 0..partitions {
            let leader = self.rng.i32(0..nodes);
            of.partitions.push(new_partition(leader));
        }
    }

    /// Deletes a topic; its logs stay known to the simulation.
    pub(crate) fn delete(&mut self, topic: usize) {
        let of = &mut self.topics[topic];
        if std::mem::replace(&mut of.exists, false) {
            for (number, partition) in of.partitions.drain(..).enumerate() {
                self.buried.push((topic, number, partition.log));
            }
        }
    }

    /// Makes a topic again that was deleted.
    pub(crate) fn recreate(&mut self, topic: usize, partitions: u32) {
        if !self.topics[topic].exists {
            self.create(topic, partitions);
            self.rescue(topic, Time::ZERO);
        }
    }

    pub(crate) fn grow(&mut self, topic: usize) {
        let nodes = self.nodes.len() as i32;
        if self.topics[topic].exists && self.topics[topic].partitions.len() < 8 {
            let leader = self.rng.i32(0..nodes);
            self.topics[topic].partitions.push(new_partition(leader));
            self.rescue(topic, Time::ZERO);
        }
    }

    /// A new leader, or the same one elected again.
    pub(crate) fn elect(&mut self, topic: usize, partition: usize, now: Time) {
        let living: Vec<i32> = (0..self.nodes.len()).filter(|n| self.nodes[*n].up).map(|n| n as i32).collect();
        let leader = if living.is_empty() { -1 } else { living[self.rng.usize(..living.len())] };
        self.lead(topic, partition, leader, now);
    }

    pub(crate) fn lead(&mut self, topic: usize, partition: usize, leader: i32, now: Time) {
        let loses = self.rng.bool();
        let Some(of) = self.topics[topic].partitions.get_mut(partition) else { return };
        of.before = (of.leader, of.epoch);
        of.leader = leader;
        of.epoch += 1;
        of.elected_at = now;
        if loses {
            self.lost.extend(of.log.truncate());
        } else {
            of.log.replicate(i64::MAX);
        }
    }

    /// Partitions of a topic whose leader is not there get another.
    fn rescue(&mut self, topic: usize, now: Time) {
        for number in 0..self.topics[topic].partitions.len() {
            let leader = self.topics[topic].partitions[number].leader;
            if usize::try_from(leader).ok().is_none_or(|node| !self.nodes[node].up) {
                self.elect(topic, number, now);
            }
        }
    }

    pub(crate) fn rescue_all(&mut self, now: Time) {
        for topic in 0..self.topics.len() {
            self.rescue(topic, now);
        }
    }

    /// Ends all troubles of the cluster.
    pub(crate) fn heal(&mut self, now: Time) {
        self.troubled = false;
        self.control_error = 0;
        for node in &mut self.nodes {
            node.up = true;
            node.paused_until = now;
            node.unreachable = None;
            node.lag = Duration::ZERO;
            node.slow_until = now;
        }
        for topic in 0..self.topics.len() {
            let partitions = self.plan.topics[topic];
            self.recreate(topic, partitions);
            self.topics[topic].error = 0;
            self.topics[topic].max_batch = 1_048_588;
        }
        self.rescue_all(now);
    }

    /// Who leads a partition, as far as a broker knows.
    fn view(&self, node: usize, partition: &Partition, now: Time) -> (i32, i32) {
        if now < partition.elected_at + self.nodes[node].lag {
            partition.before
        } else {
            (partition.leader, partition.epoch)
        }
    }

    /// All logs there ever were: topic, partition, log.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (usize, usize, &Log)> {
        let living = self.topics.iter().enumerate().flat_map(|(topic, of)| {
            of.partitions.iter().enumerate().map(move |(number, partition)| (topic, number, &partition.log))
        });
        living.chain(self.buried.iter().map(|(topic, number, log)| (*topic, *number, log)))
    }
}

fn new_partition(leader: i32) -> Partition {
    Partition { leader, epoch: 0, before: (-1, -1), elected_at: Time::ZERO, log: Log::default() }
}
