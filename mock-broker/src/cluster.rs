//! What all nodes share: topics, leaders, logs.

use std::collections::HashMap;

use crate::builder::{HOST, Mode};
use crate::error_code;
use crate::log::{Log, Retention};
use crate::producers::Producers;
use crate::protocol::{self, Doorkeeper, produce::Scratch};
use crate::verify::RecordVerifier;

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    pub(crate) partitions: i32,
    pub(crate) max_message_bytes: usize,
    pub(crate) auto_create_topics: bool,
    pub(crate) max_versions: HashMap<i16, i16>,
    /// What clients are told instead of the address: a host, and the first node's port.
    pub(crate) advertised: Option<(String, u16)>,
    /// Asks who comes; none lets in everybody.
    pub(crate) sasl: Option<Doorkeeper>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) port: u16,
    pub(crate) running: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) log: Log,
    pub(crate) producers: Producers,
    pub(crate) records: u64,
    pub(crate) batches: u64,
    pub(crate) bytes: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: [u8; 16],
    pub(crate) partitions: Vec<Partition>,
}

pub(crate) struct Cluster {
    pub(crate) config: Config,
    pub(crate) nodes: Vec<Node>,
    /// By number; a deleted topic leaves a hole, so that numbers stay true.
    pub(crate) topics: Vec<Option<Topic>>,
    by_name: HashMap<String, usize>,
    by_id: HashMap<[u8; 16], usize>,
    pub(crate) retention: Retention,
    pub(crate) verifier: Option<Box<dyn RecordVerifier>>,
    pub(crate) scratch: Scratch,
    next_producer_id: i64,
    pub(crate) requests: [u64; protocol::APIS.len()],
    pub(crate) malformed_requests: u64,
    pub(crate) connections: u64,
    pub(crate) open_connections: u64,
    /// Batches appended: a fetch that waits looks whether it has moved.
    pub(crate) appended: u64,
}

impl Cluster {
    /// The host that clients are told.
    pub(crate) fn host(&self) -> &str {
        self.config.advertised.as_ref().map_or(HOST, |(host, _)| host)
    }

    /// A node's port that clients are told.
    pub(crate) fn port(&self, node: &Node) -> u16 {
        let first = self.config.advertised.as_ref().map(|(_, port)| *port);
        first.map_or(node.port, |first| first.wrapping_add((node.id - 1) as u16))
    }

    pub(crate) fn new(
        config: Config,
        nodes: Vec<Node>,
        max_log_bytes: usize,
        verifier: Option<Box<dyn RecordVerifier>>,
    ) -> Self {
        Self {
            config,
            nodes,
            topics: Vec::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            retention: Retention::new(max_log_bytes),
            verifier,
            scratch: Scratch::default(),
            next_producer_id: 4000,
            requests: [0; protocol::APIS.len()],
            malformed_requests: 0,
            connections: 0,
            open_connections: 0,
            appended: 0,
        }
    }

    pub(crate) fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn by_id(&self, id: &[u8; 16]) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn topic(&self, number: usize) -> Option<&Topic> {
        self.topics.get(number)?.as_ref()
    }

    pub(crate) fn partition(&self, number: usize, index: i32) -> Option<&Partition> {
        self.topic(number)?.partitions.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, number: usize, index: i32) -> Option<&mut Partition> {
        self.topics.get_mut(number)?.as_mut()?.partitions.get_mut(usize::try_from(index).ok()?)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.running)
    }

    /// Makes a topic, or finds it as it is.
    ///
    /// # Errors
    /// The error code for a name that Kafka does not take.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) -> Result<usize, i16> {
        if let Some(number) = self.by_name(name) {
            return Ok(number);
        }
        if !is_topic_name(name) {
            return Err(error_code::INVALID_TOPIC);
        }
        let number = self.topics.len();
        // A stopped cluster has no leader to give; its partitions get one when a node starts.
        let leaders: Vec<i32> = self.running().map(|node| node.id).collect();
        let partitions = (0..partitions.max(1) as usize)
            .map(|index| Partition {
                leader: leaders.get((number + index) % leaders.len().max(1)).copied().unwrap_or(-1),
                ..Partition::default()
            })
            .collect();
        let id = uuid_v4();
        self.topics.push(Some(Topic { name: name.to_owned(), id, partitions }));
        self.by_name.insert(name.to_owned(), number);
        self.by_id.insert(id, number);
        Ok(number)
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> bool {
        let Some(number) = self.by_name.remove(name) else { return false };
        let Some(mut topic) = self.topics.get_mut(number).and_then(Option::take) else { return false };
        self.by_id.remove(&topic.id);
        let mut freed = 0;
        for partition in &mut topic.partitions {
            while let Some(bytes) = partition.log.drop_oldest() {
                freed += bytes.len();
            }
        }
        self.retention.forget(number, freed);
        true
    }

    /// Gives the partition to a node, with a new leader epoch. False if there is no such partition or node.
    pub(crate) fn set_leader(&mut self, number: usize, index: i32, node: i32) -> bool {
        if !self.nodes.iter().any(|n| n.id == node) {
            return false;
        }
        let Some(partition) = self.partition_mut(number, index) else { return false };
        if partition.leader != node {
            partition.leader = node;
            partition.leader_epoch += 1;
        }
        true
    }

    /// Moves the partition to the next running node after its leader, if there is another.
    pub(crate) fn move_leader(&mut self, number: usize, index: i32) {
        let Some(leader) = self.partition(number, index).map(|p| p.leader) else { return };
        let next = self.running().find(|n| n.id > leader).or_else(|| self.running().next()).map(|n| n.id);
        if let Some(next) = next {
            self.set_leader(number, index, next);
        }
    }

    pub(crate) fn set_running(&mut self, node: i32, running: bool) {
        if let Some(node) = self.nodes.iter_mut().find(|n| n.id == node) {
            node.running = running;
        }
        // Every log is everyone's replica: whatever has no running leader moves to one that runs.
        let alive: Vec<i32> = self.running().map(|n| n.id).collect();
        if alive.is_empty() {
            return;
        }
        for number in 0..self.topics.len() {
            let count = self.topic(number).map_or(0, |t| t.partitions.len()) as i32;
            for index in 0..count {
                if self.partition(number, index).is_some_and(|p| !alive.contains(&p.leader)) {
                    self.move_leader(number, index);
                }
            }
        }
    }
}

/// Kafka's rule for topic names (`Topic.validate`).
fn is_topic_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.bytes().all(legal)
}

fn uuid_v4() -> [u8; 16] {
    let mut id = fastrand::u128(..).to_be_bytes();
    id[6] = id[6] & 0x0F | 0x40;
    id[8] = id[8] & 0x3F | 0x80;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(nodes: i32) -> Cluster {
        let config = Config {
            mode: Mode::Store,
            partitions: 4,
            max_message_bytes: 1000,
            auto_create_topics: true,
            max_versions: HashMap::new(),
            advertised: None,
            sasl: None,
        };
        let nodes = (1..=nodes).map(|id| Node { id, port: 0, running: true }).collect();
        Cluster::new(config, nodes, 1000, None)
    }

    #[test]
    fn leaders_are_spread_and_leave_a_stopped_node() {
        let mut cluster = cluster(2);
        let number = cluster.create_topic("a", 4).unwrap();
        let leaders = |c: &Cluster| c.topic(number).unwrap().partitions.iter().map(|p| p.leader).collect::<Vec<_>>();
        assert_eq!(leaders(&cluster), [1, 2, 1, 2]);
        cluster.set_running(1, false);
        assert_eq!(leaders(&cluster), [2, 2, 2, 2]);
        assert_eq!(cluster.partition(number, 0).unwrap().leader_epoch, 1);
        cluster.set_running(1, true);
        assert_eq!(leaders(&cluster), [2, 2, 2, 2]);
        cluster.move_leader(number, 3);
        assert_eq!(leaders(&cluster), [2, 2, 2, 1]);
    }

    #[test]
    fn a_deleted_topic_comes_back_as_another() {
        let mut cluster = cluster(1);
        let first = cluster.create_topic("a", 1).unwrap();
        let id = cluster.topic(first).unwrap().id;
        assert_eq!(cluster.create_topic("a", 3), Ok(first));
        assert!(cluster.delete_topic("a"));
        assert!(!cluster.delete_topic("a"));
        let second = cluster.create_topic("a", 1).unwrap();
        assert_ne!(first, second);
        assert_eq!(cluster.by_id(&id), None);
    }

    #[test]
    fn names_are_checked_as_kafka_does() {
        for wrong in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(!is_topic_name(wrong), "{wrong}");
        }
        assert!(is_topic_name("Orders.v-1_x"));
    }
}
