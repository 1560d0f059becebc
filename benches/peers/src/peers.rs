//! Who takes part, and with which settings. BENCHMARKING.md says the same in words.

use crate::scenario::{Against, Scenario, Who};
use std::fmt;

/// A producer, the part of one that the kernel has or that its bytes or its rings make, or what the driver itself costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Peer {
    Forebay,
    Librdkafka,
    FranzGo,
    Java,
    Kernel,
    Bytes,
    Rings,
    Driver,
}

/// Out of the box, or with what is known to help it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tuning {
    Default,
    Tuned,
}

/// One contestant of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) peer: Peer,
    pub(crate) tuning: Tuning,
}

impl Peer {
    pub(crate) const ALL: [Peer; 8] = [
        Peer::Forebay,
        Peer::Librdkafka,
        Peer::FranzGo,
        Peer::Java,
        Peer::Kernel,
        Peer::Driver,
        Peer::Bytes,
        Peer::Rings,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Forebay => "forebay",
            Peer::Librdkafka => "librdkafka",
            Peer::FranzGo => "franz-go",
            Peer::Java => "java",
            Peer::Kernel => "kernel",
            Peer::Bytes => "bytes",
            Peer::Rings => "rings",
            Peer::Driver => "driver",
        }
    }

    /// Whether it is a producer; else it is a part of what one costs.
    pub(crate) fn is_producer(self) -> bool {
        self == Peer::Forebay || self.is_another()
    }

    /// Whether it is a producer beside forebay.
    pub(crate) fn is_another(self) -> bool {
        matches!(self, Peer::Librdkafka | Peer::FranzGo | Peer::Java)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.peer, self.tuning) {
            (Peer::Forebay, Tuning::Default) => f.write_str("forebay"),
            (Peer::Forebay, Tuning::Tuned) => f.write_str("forebay, low latency"),
            (Peer::Kernel, _) => f.write_str("kernel only"),
            (Peer::Bytes, _) => f.write_str("bytes only"),
            (Peer::Rings, _) => f.write_str("rings only"),
            (Peer::Driver, _) => f.write_str("driver only"),
            (peer, Tuning::Default) => write!(f, "{}, default", peer.name()),
            (peer, Tuning::Tuned) => write!(f, "{}, tuned", peer.name()),
        }
    }
}

/// Who takes part in a scenario. Forebay runs with its defaults, as that is what is claimed; where only latency counts, also with the
/// profile for it (docs/latency.md).
pub(crate) fn entries(scenario: &Scenario) -> Vec<Entry> {
    let entry = |peer, tuning| Entry { peer, tuning };
    let mut entries = vec![entry(Peer::Forebay, Tuning::Default)];
    if scenario.is_paced() && scenario.linger_ms == 0 {
        entries.push(entry(Peer::Forebay, Tuning::Tuned));
    }
    let others: &[Peer] = match scenario.who {
        Who::Forebay | Who::Floors => &[],
        Who::Two => &[Peer::Librdkafka],
        Who::All | Who::AllAndKernel => &[Peer::Librdkafka, Peer::FranzGo, Peer::Java],
    };
    for peer in others {
        // Late answers at the default settings take a peer a minute and say nothing new.
        let both = !matches!(scenario.against, Against::LateStub) && scenario.who != Who::Two && !scenario.is_paced();
        if both {
            entries.push(entry(*peer, Tuning::Default));
        }
        entries.push(entry(*peer, Tuning::Tuned));
    }
    // The kernel alone has no sender that could spin.
    let sleeps = scenario.is_paced() && !scenario.spins;
    let paced = sleeps && scenario.who == Who::All && scenario.against == Against::Stub;
    if paced || matches!(scenario.who, Who::AllAndKernel | Who::Floors) {
        entries.push(entry(Peer::Kernel, Tuning::Default));
    }
    if scenario.who == Who::Floors {
        entries.push(entry(Peer::Bytes, Tuning::Default));
        entries.push(entry(Peer::Rings, Tuning::Default));
    }
    // Its outcomes may be told by one thread only.
    let all = matches!(scenario.who, Who::All | Who::AllAndKernel | Who::Floors);
    if all && scenario.senders == 1 && matches!(scenario.against, Against::Stub | Against::Kafka) {
        entries.push(entry(Peer::Driver, Tuning::Default));
    }
    entries
}

impl Entry {
    /// All that there can be, in the order of their colours in the plots.
    pub(crate) fn all() -> impl Iterator<Item = Entry> {
        let usual = Peer::ALL.into_iter().flat_map(|peer| {
            let tunings: &[Tuning] =
                if peer.is_another() { &[Tuning::Default, Tuning::Tuned] } else { &[Tuning::Default] };
            tunings.iter().map(move |tuning| Entry { peer, tuning: *tuning })
        });
        usual.chain([Entry { peer: Peer::Forebay, tuning: Tuning::Tuned }])
    }

    /// Whether it runs at the best settings that it has here.
    pub(crate) fn is_best(self) -> bool {
        self.tuning == Tuning::Tuned || !self.peer.is_another()
    }

    /// About how many records a second: a shot's records are chosen by it.
    pub(crate) fn about(self, scenario: &Scenario) -> f64 {
        let of_size = |small: f64, bytes: f64| small.min(bytes / scenario.size as f64);
        let fast = match self.peer {
            Peer::Forebay => of_size(10e6, 1.2e9),
            Peer::Kernel => of_size(30e6, 4e9),
            Peer::Bytes | Peer::Rings => of_size(10e6, 1.5e9),
            Peer::Driver => 100e6,
            Peer::Librdkafka | Peer::FranzGo | Peer::Java => of_size(2.2e6, 0.7e9),
        };
        match (scenario.against, scenario.codec) {
            (Against::Kafka, _) => fast.min(1e6),
            (Against::LateStub, _) if self.peer != Peer::Forebay => 1e6,
            (Against::TlsStub, _) | (_, Some("gzip")) => fast * 0.3,
            _ => fast,
        }
    }

    /// In the client's own words.
    pub(crate) fn settings(self, scenario: &Scenario) -> Vec<(String, String)> {
        let mut settings: Vec<(&str, String)> = Vec::new();
        let tuned = self.tuning == Tuning::Tuned;
        let linger = scenario.linger_ms.to_string();
        match self.peer {
            Peer::Forebay => {
                settings.push(("linger.ms", linger));
                if tuned {
                    // `io.cpu` and `memory.lock` not: two processors are for three threads here, and locked memory has a limit.
                    settings.push(("io.spin.us", "2000".into()));
                    settings.push(("buffer.memory", (4 << 20).to_string()));
                } else if let Some(memory) = scenario.memory {
                    settings.push(("buffer.memory", memory.to_string()));
                }
                if scenario.io_threads > 1 {
                    settings.push(("io.threads", scenario.io_threads.to_string()));
                }
            }
            Peer::Kernel if scenario.is_paced() => settings.push(("linger.ms", linger)),
            Peer::Kernel => settings.push(("batch.size", "1000000".into())),
            Peer::Bytes | Peer::Rings => {
                // Forebay's requests, and its memory.
                settings.push(("batch.size", (256 << 10).to_string()));
                let memory = if self.peer == Peer::Rings { "rings" } else { "memory" };
                settings.push((memory, (32 << 20).to_string()));
            }
            Peer::Driver => {}
            Peer::Librdkafka => {
                settings.push(("enable.idempotence", "true".into()));
                settings.push(("linger.ms", linger));
                settings.push(("partitioner", "murmur2".into()));
                if tuned {
                    // Room for as many small records as for bytes, and batches that only their bytes end.
                    settings.push(("queue.buffering.max.messages", "1000000".into()));
                    settings.push(("queue.buffering.max.kbytes", "32768".into()));
                    settings.push(("batch.num.messages", "100000".into()));
                    settings.push(("socket.nagle.disable", "true".into()));
                }
            }
            Peer::FranzGo => {
                settings.push(("ProducerLinger", linger));
                if tuned {
                    let records = ((32 << 20) / scenario.size).clamp(10_000, 1_000_000);
                    settings.push(("MaxBufferedRecords", records.to_string()));
                    settings.push(("GOGC", "400".into()));
                }
            }
            Peer::Java => {
                settings.push(("linger.ms", linger));
                if tuned {
                    // An open batch holds its full size: large ones for many partitions would fill the memory.
                    let few = scenario.partitions <= 6;
                    settings.push(("batch.size", if few { "1000000" } else { "65536" }.into()));
                    let memory: u64 = if scenario.partitions > 64 { 256 << 20 } else { 64 << 20 };
                    settings.push(("buffer.memory", memory.to_string()));
                    settings.push(("send.buffer.bytes", "-1".into()));
                }
            }
        }
        if let Some(codec) = scenario.codec {
            settings.push(("compression.type", codec.into()));
        }
        if scenario.size >= 1_000_000 {
            settings.push(("max.request.size", (4 << 20).to_string()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
