//! Three KRaft nodes, each a broker and a controller, with a proxy in front of each, and an administrator.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::java::Kafka;
use super::node::{Node, Ports};
use super::proxy::{Proxy, Weather};

/// Small, as there are three and a test machine is no server.
const HEAP: &str = "-Xmx320m";
/// A cluster that is left in peace is whole again within seconds; past this something hangs.
const HEAL_LIMIT: Duration = Duration::from_secs(180);

/// One partition as the administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionState {
    pub(crate) partition: u32,
    /// None where there is none at the moment.
    pub(crate) leader: Option<usize>,
    pub(crate) copies: Vec<usize>,
    pub(crate) in_sync: Vec<usize>,
}

/// A running cluster. Everything ends with it.
pub(crate) struct Cluster {
    kafka: Kafka,
    ports: Vec<Ports>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) proxies: Vec<Proxy>,
    shell: AdminShell,
}

impl Cluster {
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn start(kafka: &Kafka) -> Self {
        let proxies: Vec<Proxy> = (0..3).map(|_| Proxy::new()).collect();
        let mut ports = Ports::free(3);
        for (ports, proxy) in ports.iter_mut().zip(&proxies) {
            ports.advertised = proxy.port();
            proxy.pass_to(ports.client);
        }
        let mut nodes: Vec<Node> = (1..=3).map(|id| Node::format(kafka, HEAP, id, &ports)).collect();
        for node in &mut nodes {
            node.spawn().expect("java starts");
        }
        for node in &mut nodes {
            node.await_started().expect("the node starts");
        }
        let shell = AdminShell::start(kafka, &direct(&ports));
        Self { kafka: kafka.clone(), ports, nodes, proxies, shell }
    }

    pub(crate) fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// For the producer under test: through the proxies.
    pub(crate) fn bootstrap(&self) -> String {
        let servers: Vec<String> = self.proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.port())).collect();
        servers.join(",")
    }

    /// For readers and tools: past the proxies.
    pub(crate) fn direct(&self) -> String {
        direct(&self.ports)
    }

    /// Gives the administrator an order; it may well fail while the cluster is in trouble.
    pub(crate) fn order(&mut self, order: &str) -> Result<String, String> {
        self.shell.order(order)
    }

    /// The partitions of a topic, if the cluster can say.
    pub(crate) fn describe(&mut self, topic: &str) -> Result<Vec<PartitionState>, String> {
        let text = self.order(&format!("describe {topic}"))?;
        text.split_whitespace()
            .map(|word| partition_state(word).ok_or(format!("the administrator said {word}")))
            .collect()
    }

    /// Fair weather, and waits until every partition has three copies in sync.
    ///
    /// # Panics
    /// If that takes too long.
    pub(crate) fn heal(&mut self, topic: &str) {
        for proxy in &self.proxies {
            proxy.set(Weather::Fair);
        }
        let hung = Instant::now() + HEAL_LIMIT;
        loop {
            let state = self.describe(topic);
            let narrow = state.iter().flatten().filter(|p| p.copies.len() < 3);
            // A reassignment may have left two copies.
            for partition in narrow.map(|p| p.partition).collect::<Vec<_>>() {
                let _ = self.order(&format!("reassign {topic} {partition} 1,2,3"));
            }
            let whole = |p: &PartitionState| p.leader.is_some() && p.copies.len() == 3 && p.in_sync.len() == 3;
            if state.as_ref().is_ok_and(|all| !all.is_empty() && all.iter().all(whole)) {
                return;
            }
            assert!(Instant::now() < hung, "the cluster does not heal: {state:?}");
            thread::sleep(Duration::from_millis(250));
        }
    }
}

fn direct(ports: &[Ports]) -> String {
    let servers: Vec<String> = ports.iter().map(|ports| format!("127.0.0.1:{}", ports.internal)).collect();
    servers.join(",")
}

/// `PARTITION:LEADER:COPIES:IN_SYNC`
fn partition_state(word: &str) -> Option<PartitionState> {
    let mut fields = word.split(':');
    let partition = fields.next()?.parse().ok()?;
    let leader = fields.next()?.parse().ok();
    let mut ids = || {
        let ids = fields.next()?.split(',').filter(|id| !id.is_empty());
        ids.map(|id| id.parse().ok()).collect::<Option<Vec<usize>>>()
    };
    Some(PartitionState { partition, leader, copies: ids()?, in_sync: ids()? })
}

/// `AdminShell.java`, running.
struct AdminShell {
    java: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl AdminShell {
    fn start(kafka: &Kafka, bootstrap: &str) -> Self {
        let mut java = kafka.java_with("AdminShell", "-Xmx128m");
        java.arg(bootstrap).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut java = java.spawn().expect("java starts");
        let orders = java.stdin.take().expect("stdin is a pipe");
        let answers = BufReader::new(java.stdout.take().expect("stdout is a pipe"));
        Self { java, orders, answers }
    }

    fn order(&mut self, order: &str) -> Result<String, String> {
        writeln!(self.orders, "{order}").expect("the administrator listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the administrator answers");
        match answer.trim_end().split_once(' ') {
            Some(("ok", rest)) => Ok(rest.to_owned()),
            _ if answer.trim_end() == "ok" => Ok(String::new()),
            _ => Err(answer.trim_end().to_owned()),
        }
    }
}

impl Drop for AdminShell {
    fn drop(&mut self) {
        let _ = self.java.kill();
        let _ = self.java.wait();
    }
}
