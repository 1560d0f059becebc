//! What goes wrong in a chaos run, dealt like cards: every kind once before any comes again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;

use crate::support::cluster::Cluster;
use crate::support::proxy::{Proxy, Weather};

/// More partitions would only make the run's end slower.
const MOST_PARTITIONS: u32 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Kill9,
    KillTwo,
    Pause,
    Restart,
    PreferredElection,
    Reassignment,
    MorePartitions,
    Cut,
    CutInMidFrame,
    Slow,
    Stalled,
    HalfOpen,
    AnswersLost,
    Refused,
}

impl Fault {
    /// All kinds; the quick ones more than once.
    pub(crate) const DECK: [Fault; 20] = [
        Fault::Kill9,
        Fault::KillTwo,
        Fault::Pause,
        Fault::Restart,
        Fault::PreferredElection,
        Fault::PreferredElection,
        Fault::Reassignment,
        Fault::Reassignment,
        Fault::Reassignment,
        Fault::MorePartitions,
        Fault::Cut,
        Fault::Cut,
        Fault::CutInMidFrame,
        Fault::CutInMidFrame,
        Fault::Slow,
        Fault::Stalled,
        Fault::HalfOpen,
        Fault::AnswersLost,
        Fault::AnswersLost,
        Fault::Refused,
    ];
    /// What a proxy alone can do.
    pub(crate) const NETWORK: [Fault; 7] = [
        Fault::Cut,
        Fault::CutInMidFrame,
        Fault::Slow,
        Fault::Stalled,
        Fault::HalfOpen,
        Fault::AnswersLost,
        Fault::Refused,
    ];

    fn name(self) -> &'static str {
        match self {
            Fault::Kill9 => "kill -9 of a node, restart",
            Fault::KillTwo => "kill -9 of two nodes, restart",
            Fault::Pause => "SIGSTOP, SIGCONT",
            Fault::Restart => "restart in order",
            Fault::PreferredElection => "preferred leader election",
            Fault::Reassignment => "partition reassignment",
            Fault::MorePartitions => "partitions added",
            Fault::Cut => "connections cut",
            Fault::CutInMidFrame => "connections cut in mid-frame",
            Fault::Slow => "network slow",
            Fault::Stalled => "network stalled",
            Fault::HalfOpen => "half-open connections",
            Fault::AnswersLost => "answers lost",
            Fault::Refused => "connections refused",
        }
    }
}

/// The source of a run's faults: the same seed deals the same.
pub(crate) struct Faults {
    random: Rng,
    deck: Vec<Fault>,
    dealt: Vec<Fault>,
    /// How many were injected, by kind.
    pub(crate) counts: BTreeMap<Fault, u64>,
    /// Orders that the cluster did not carry out, as it was in trouble.
    pub(crate) declined: u64,
}

impl Faults {
    pub(crate) fn new(seed: u64, deck: &[Fault]) -> Self {
        let random = Rng::with_seed(seed);
        Self { random, deck: deck.to_vec(), dealt: Vec::new(), counts: BTreeMap::new(), declined: 0 }
    }

    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (fault, count) in &self.counts {
            let _ = writeln!(text, "  {:<33} {count:>10}", fault.name());
        }
        text
    }

    fn deal(&mut self) -> Fault {
        if self.dealt.is_empty() {
            self.dealt.clone_from(&self.deck);
            self.random.shuffle(&mut self.dealt);
        }
        self.dealt.pop().expect("a deck has cards")
    }

    fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random.u64(from..to))
    }

    /// The next fault, from its beginning to its end; of a node's, half come with one of the network's.
    /// Gives back what it was.
    pub(crate) fn next(&mut self, cluster: &mut Cluster, topic: &str) -> &'static str {
        let fault = self.deal();
        let company = match fault {
            Fault::Kill9 | Fault::KillTwo | Fault::Pause | Fault::Restart if self.random.bool() => {
                let proxy = self.random.usize(..cluster.proxies.len());
                let weather = self.random.choice(Fault::NETWORK).unwrap_or(Fault::Cut);
                self.begin(weather, &cluster.proxies[proxy]);
                true
            }
            _ => false,
        };
        match fault {
            Fault::Kill9 => {
                let node = self.random.usize(..cluster.nodes.len());
                self.count(fault);
                cluster.nodes[node].kill9();
                self.meanwhile(cluster, topic, 500, 5_000);
                cluster.nodes[node].restart();
            }
            Fault::KillTwo => {
                let spared = self.random.usize(..cluster.nodes.len());
                let killed: Vec<usize> = (0..cluster.nodes.len()).filter(|&node| node != spared).collect();
                self.count(fault);
                for &node in &killed {
                    cluster.nodes[node].kill9();
                }
                thread::sleep(self.millis(500, 3_000));
                // Both at once: neither has a quorum without the other where the third is in trouble.
                for &node in &killed {
                    cluster.nodes[node].spawn().expect("java starts");
                }
                for &node in &killed {
                    if cluster.nodes[node].await_started().is_err() {
                        cluster.nodes[node].restart();
                    }
                }
            }
            Fault::Pause => {
                let node = self.random.usize(..cluster.nodes.len());
                self.count(fault);
                cluster.nodes[node].signal(Signal::STOP);
                // Up to past the session, so that some stopped leaders are deposed and some are not.
                self.meanwhile(cluster, topic, 300, 7_000);
                cluster.nodes[node].signal(Signal::CONT);
            }
            Fault::Restart => {
                let node = self.random.usize(..cluster.nodes.len());
                self.count(fault);
                cluster.nodes[node].shut_down(Duration::from_secs(15));
                cluster.nodes[node].restart();
            }
            Fault::PreferredElection | Fault::Reassignment | Fault::MorePartitions => self.order(fault, cluster, topic),
            _ => {
                let proxy = self.random.usize(..cluster.proxies.len());
                self.spell(fault, &cluster.proxies[proxy]);
            }
        }
        if company {
            for proxy in &cluster.proxies {
                proxy.set(Weather::Fair);
            }
        }
        thread::sleep(self.millis(100, 1_500));
        fault.name()
    }

    /// A fault of the network by itself, from its beginning to its end.
    pub(crate) fn next_of_network(&mut self, proxies: &[Proxy]) {
        let (fault, proxy) = (self.deal(), self.random.usize(..proxies.len()));
        self.spell(fault, &proxies[proxy]);
        thread::sleep(self.millis(50, 300));
    }

    fn spell(&mut self, fault: Fault, proxy: &Proxy) {
        self.begin(fault, proxy);
        let lasts = match fault {
            Fault::Cut => self.millis(0, 50),
            Fault::Stalled | Fault::HalfOpen => self.millis(200, 4_000), // some past request.timeout.ms, some not
            _ => self.millis(100, 1_500),
        };
        thread::sleep(lasts);
        proxy.set(Weather::Fair);
    }

    fn begin(&mut self, fault: Fault, proxy: &Proxy) {
        self.count(fault);
        match fault {
            Fault::CutInMidFrame => proxy.set(Weather::CutInMidFrame),
            Fault::Slow => proxy.set(Weather::Slow(self.millis(5, 300))),
            Fault::Stalled => proxy.set(Weather::Stalled),
            Fault::HalfOpen => proxy.set(Weather::HalfOpen),
            Fault::AnswersLost => proxy.set(Weather::AnswersLost),
            Fault::Refused => proxy.set(Weather::Refused),
            _ => proxy.cut(),
        }
    }

    /// While a node is away, at times the administrator goes on with his work.
    fn meanwhile(&mut self, cluster: &mut Cluster, topic: &str, from: u64, to: u64) {
        let lasts = self.millis(from, to);
        thread::sleep(lasts / 2);
        if self.random.u32(..3) == 0 {
            let order = if self.random.bool() { Fault::PreferredElection } else { Fault::Reassignment };
            self.order(order, cluster, topic);
        }
        thread::sleep(lasts / 2);
    }

    fn order(&mut self, fault: Fault, cluster: &mut Cluster, topic: &str) {
        let Ok(partitions) = cluster.describe(topic) else {
            self.declined += 1;
            return;
        };
        let count = partitions.len() as u32;
        let partition = self.random.u32(..count.max(1));
        let order = match fault {
            Fault::MorePartitions if count >= MOST_PARTITIONS => return,
            Fault::MorePartitions => format!("grow {topic} {}", count + self.random.u32(1..4)),
            Fault::PreferredElection => format!("elect {topic} {partition}"),
            _ => {
                // In a new order, so that the preferred leader changes too; at times with two copies, as min.insync.replicas allows.
                let mut copies = [1, 2, 3];
                self.random.shuffle(&mut copies);
                let [a, b, c] = copies;
                let narrow = self.random.u32(..3) == 0;
                let copies = if narrow { format!("{a},{b}") } else { format!("{a},{b},{c}") };
                format!("reassign {topic} {partition} {copies}")
            }
        };
        match cluster.order(&order) {
            Ok(_) => self.count(fault),
            Err(_) => self.declined += 1,
        }
    }
}
