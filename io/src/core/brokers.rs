//! The brokers that are known: the bootstrap servers first, then the nodes of the cluster.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::denial::Denial;
use super::ports::ConnId;
use crate::time::Time;

/// Bootstrap servers have node ids from here downwards; −1 means "no leader" in the protocol.
const BOOTSTRAP: i32 = -2;

pub(crate) struct Broker {
    pub(crate) node: i32,
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    pub(crate) conn: Option<ConnId>,
    /// Connections that failed since the last one that worked.
    pub(crate) failures: u32,
    /// Connections that took too long to be set up since the last one that worked.
    pub(crate) slow_setups: u32,
    /// No new connection before.
    pub(crate) retry_at: Time,
    /// Attempts to connect, ever: picks among the addresses of the name.
    pub(crate) attempt: u32,
    /// The broker asked for quiet until then (quota).
    pub(crate) throttled_until: Time,
    /// The partition served last.
    pub(crate) cursor: u32,
    /// At the last look, records were due that it had not taken.
    pub(crate) owed: bool,
    /// Since when that is so, and it has taken nothing; see `load`.
    pub(crate) owed_since: Option<Time>,
    /// Partitions that can be sent this turn.
    pub(crate) ready: Vec<u32>,
    /// Why the last attempt to authenticate failed, if it did.
    pub(crate) denied: Option<Denial>,
    /// In the last metadata; a bootstrap server always is.
    pub(crate) known: bool,
}

impl Broker {
    fn new(node: i32, host: &str, port: u16) -> Self {
        Self {
            node,
            host: Arc::from(host),
            port,
            conn: None,
            failures: 0,
            slow_setups: 0,
            retry_at: Time::ZERO,
            attempt: 0,
            throttled_until: Time::ZERO,
            cursor: u32::MAX,
            owed: false,
            owed_since: None,
            ready: Vec::new(),
            denied: None,
            known: true,
        }
    }

    pub(crate) fn is_bootstrap(&self) -> bool {
        self.node <= BOOTSTRAP
    }

    pub(crate) fn worked(&mut self) {
        self.failures = 0;
        self.slow_setups = 0;
        self.retry_at = Time::ZERO;
    }

    pub(crate) fn failed(&mut self, now: Time, delay: Duration) {
        self.retry_at = now + delay;
    }
}

pub(crate) struct Brokers {
    all: Vec<Broker>,
    by_node: HashMap<i32, usize, BuildHasherDefault<NodeHasher>>,
}

/// Looked up for each partition of each turn. Node ids are few and the cluster's own: they need spreading, not a defence.
#[derive(Default)]
struct NodeHasher(u64);

impl Hasher for NodeHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(SPREAD);
        }
    }

    fn write_i32(&mut self, node: i32) {
        self.0 = (self.0 ^ node as u64).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// 2⁶⁴ divided by the golden ratio, odd (Knuth, multiplicative hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Brokers {
    pub(crate) fn new(bootstrap: &[String]) -> Self {
        let mut brokers = Self { all: Vec::new(), by_node: HashMap::default() };
        for server in bootstrap {
            let Some((host, port)) = host_and_port(server) else {
                tracing::error!(target: "forebay::connection", server, "not a host:port");
                continue;
            };
            let node = BOOTSTRAP - brokers.all.len() as i32;
            brokers.all.push(Broker::new(node, host, port));
        }
        brokers
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, index: usize) -> &Broker {
        &self.all[index]
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> &mut Broker {
        &mut self.all[index]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Broker)> {
        self.all.iter().enumerate()
    }

    /// The broker with a node id, if the cluster still has it.
    pub(crate) fn find(&self, node: i32) -> Option<usize> {
        self.by_node.get(&node).copied().filter(|index| self.all[*index].known)
    }

    pub(crate) fn knows_nodes(&self) -> bool {
        self.all.iter().any(|broker| broker.known && !broker.is_bootstrap())
    }

    /// Forgets all nodes; those named again are known again.
    pub(crate) fn forget_nodes(&mut self) {
        for broker in self.all.iter_mut().filter(|broker| !broker.is_bootstrap()) {
            broker.known = false;
        }
    }

    /// The cluster names a node. Answers the connection to its former address, if it has moved.
    pub(crate) fn name(&mut self, node: i32, host: &str, port: i32) -> Option<ConnId> {
        let Ok(port) = u16::try_from(port) else { return None };
        if node < 0 || host.is_empty() {
            return None;
        }
        let index = *self.by_node.entry(node).or_insert(self.all.len());
        if index == self.all.len() {
            self.all.push(Broker::new(node, host, port));
            return None;
        }
        let broker = &mut self.all[index];
        broker.known = true;
        if *broker.host == *host && broker.port == port {
            return None;
        }
        broker.host = Arc::from(host);
        broker.port = port;
        broker.worked();
        broker.conn
    }
}

/// `host:port` or `[v6]:port`.
fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.trim().rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_host_and_port() {
        assert_eq!(host_and_port("kafka:9092"), Some(("kafka", 9092)));
        assert_eq!(host_and_port(" [::1]:9093"), Some(("::1", 9093)));
        assert_eq!(host_and_port("kafka"), None);
        assert_eq!(host_and_port(":9092"), None);
        assert_eq!(host_and_port("kafka:99999"), None);
    }

    #[test]
    fn a_node_that_moves_keeps_its_place() {
        let mut brokers = Brokers::new(&["a:1".to_owned()]);
        assert_eq!(brokers.name(0, "b", 2), None);
        let index = brokers.find(0).expect("named");
        brokers.get_mut(index).conn = Some(ConnId { index: 7, generation: 1 });
        assert_eq!(brokers.name(0, "b", 2), None);
        assert!(brokers.name(0, "c", 2).is_some());
        assert_eq!(brokers.find(0), Some(index));
        brokers.forget_nodes();
        assert_eq!((brokers.find(0), brokers.knows_nodes()), (None, false));
    }
}
