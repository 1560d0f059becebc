//! Trouble and its end.

use forebay_io::time::Time;

use crate::events::Event;
use crate::plan::{Trouble, ms};
use crate::world::World;

/// The end of a trouble.
#[derive(Debug)]
pub(crate) enum Relief {
    Restart {
        node: usize,
        moved: bool,
    },
    Reachable {
        node: usize,
    },
    Elect {
        topic: usize,
        partition: usize,
    },
    Recreate {
        topic: usize,
    },
    Allow {
        topic: usize,
    },
    Raise {
        topic: usize,
    },
    /// The controller has noticed that a broker is gone.
    Rescue,
}

impl World {
    /// The next trouble comes after a while.
    pub(crate) fn brew(&mut self) {
        let mean = self.plan.pace.as_micros() as u64;
        let at = self.now + crate::plan::us(self.rng.u64(0..mean * 2));
        self.events.add(at, Event::Trouble);
    }

    /// Something happens, of the kinds that the plan has.
    pub(crate) fn trouble(&mut self) {
        if !self.cluster.troubled || self.plan.troubles.is_empty() {
            return;
        }
        self.brew();
        let trouble = self.plan.troubles[self.rng.usize(..self.plan.troubles.len())];
        let node = self.rng.usize(..self.cluster.nodes.len());
        let living = self.living();
        let link = (!living.is_empty()).then(|| living[self.rng.usize(..living.len())]);
        let topic = self.rng.usize(..self.topics.len());
        let partitions = self.cluster.topics[topic].partitions.len();
        let partition = self.rng.usize(..partitions.max(1));
        let now = self.now;
        self.trace(|| format!("TROUBLE {trouble:?} node {node} link {link:?} topic {topic} partition {partition}"));
        self.faults += 1;
        match trouble {
            Trouble::Resets => {
                if let Some(link) = link {
                    self.reset(link, "connection reset");
                }
            }
            Trouble::HalfOpen => {
                if let Some(link) = link {
                    self.links[link].half_open = true;
                }
            }
            Trouble::Stalls => {
                if let Some(link) = link {
                    self.links[link].stalled_until = now + ms(self.rng.u64(1..2_500));
                }
            }
            Trouble::Unreachable => {
                self.cluster.nodes[node].unreachable = Some(self.rng.bool());
                self.relieve(2_000, Relief::Reachable { node });
            }
            Trouble::Crashes => self.crash_one(node),
            Trouble::Pauses => {
                self.cluster.nodes[node].paused_until = now + ms(self.rng.u64(1..3_000));
                if self.rng.bool() {
                    self.relieve(1_000, Relief::Rescue);
                }
            }
            Trouble::Slow => self.cluster.nodes[node].slow_until = now + ms(self.rng.u64(100..3_000)),
            Trouble::Elections if partitions > 0 => self.cluster.elect(topic, partition, now),
            Trouble::Leaderless if partitions > 0 => {
                self.cluster.lead(topic, partition, -1, now);
                self.relieve(1_500, Relief::Elect { topic, partition });
            }
            Trouble::StaleViews => self.cluster.nodes[node].lag = ms(self.rng.u64(0..1_500)),
            Trouble::Forgetting => self.forget(),
            Trouble::Recreation => {
                self.cluster.delete(topic);
                self.relieve(1_500, Relief::Recreate { topic });
            }
            Trouble::Growth => self.cluster.grow(topic),
            Trouble::SizeLimits => {
                self.cluster.topics[topic].max_batch = self.rng.usize(200..5_000);
                self.relieve(2_000, Relief::Raise { topic });
            }
            Trouble::Fatal => {
                self.cluster.topics[topic].error = [29, 5, 3, 17][self.rng.usize(..4)];
                self.relieve(600, Relief::Allow { topic });
            }
            // Conditions, not events.
            _ => self.faults -= 1,
        }
    }

    fn relieve(&mut self, most_ms: u64, relief: Relief) {
        let at = self.now + ms(self.rng.u64(1..most_ms));
        self.events.add(at, Event::Relief(relief));
    }

    fn crash_one(&mut self, node: usize) {
        if !self.cluster.nodes[node].up {
            return;
        }
        self.crash(node);
        let moved = self.rng.u32(..4) == 0;
        self.relieve(1_500, Relief::Restart { node, moved });
        // The controller may notice sooner than the broker is back.
        self.relieve(1_500, Relief::Rescue);
    }

    /// Brokers forget producers that have been silent for longer than any of their batches can be under way.
    fn forget(&mut self) {
        let patience = self.plan.config.delivery_timeout + ms(5_000);
        let Some(before) = self.now.0.checked_sub(patience.as_nanos() as u64) else { return };
        let logs = self.cluster.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        let forgotten: usize = logs.map(|partition| partition.log.forget(before)).sum();
        self.trace(|| format!("{forgotten} producers forgotten"));
    }

    pub(crate) fn relief(&mut self, relief: &Relief) {
        let now = self.now;
        self.trace(|| format!("RELIEF {relief:?}"));
        match *relief {
            Relief::Restart { node, moved } => {
                let of = &mut self.cluster.nodes[node];
                of.up = true;
                of.paused_until = Time::ZERO;
                if moved && self.cluster.troubled {
                    of.port = if of.port < 9_100 { of.port + 100 } else { of.port - 100 };
                }
                self.cluster.rescue_all(now);
            }
            Relief::Reachable { node } => self.cluster.nodes[node].unreachable = None,
            Relief::Elect { topic, partition } => {
                if self.cluster.topics[topic].partitions.get(partition).is_some_and(|p| p.leader < 0) {
                    self.cluster.elect(topic, partition, now);
                }
            }
            Relief::Recreate { topic } => {
                let partitions = self.plan.topics[topic];
                self.cluster.recreate(topic, partitions);
            }
            Relief::Allow { topic } => self.cluster.topics[topic].error = 0,
            Relief::Raise { topic } => self.cluster.topics[topic].max_batch = 1_048_588,
            Relief::Rescue => self.cluster.rescue_all(now),
        }
    }
}
