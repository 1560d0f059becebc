//! What is sent: the rows of the table of targets, and how forebay scales.

/// What stands on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    /// The stub: parses, acknowledges, stores nothing.
    Stub,
    /// The same, and each answer 20 ms late.
    LateStub,
    /// The same on three nodes, with ten errors and dropped connections spread over the records.
    TroubledStub,
    /// The same on three nodes, one of which goes away for the middle third of the records.
    FailingStub,
    /// The stub behind a process that ends TLS.
    TlsStub,
    /// A real Kafka on this machine.
    Kafka,
}

/// Who is asked to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody, and the kernel alone.
    AllAndKernel,
    /// Everybody.
    All,
    /// Forebay, the kernel alone, and bytes alone: copied, summed and sent, also by way of rings.
    Floors,
    /// Forebay and librdkafka.
    Two,
    /// Forebay alone.
    Forebay,
}

/// One row of what is measured.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Unique; the part before the first `-` is its group.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) against: Against,
    pub(crate) who: Who,
    pub(crate) size: usize,
    pub(crate) partitions: u32,
    pub(crate) senders: u32,
    /// Different keys; 0 goes round the partitions.
    pub(crate) keys: u32,
    /// Records per second; 0 is as fast as it goes.
    pub(crate) rate: f64,
    /// Paced senders wait on the clock instead of sleeping.
    pub(crate) spins: bool,
    /// If not chosen by the time that a shot is to take.
    pub(crate) records: Option<u64>,
    pub(crate) nodes: u16,
    pub(crate) linger_ms: u32,
    pub(crate) codec: Option<&'static str>,
    /// Forebay's `buffer.memory`, where it is not the default.
    pub(crate) memory: Option<u64>,
    /// Forebay's `io.threads`.
    pub(crate) io_threads: u32,
}

impl Scenario {
    fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            against: Against::Stub,
            who: Who::All,
            size: 100,
            partitions: 4,
            senders: 1,
            keys: 0,
            rate: 0.0,
            spins: false,
            records: None,
            nodes: 1,
            linger_ms: 5,
            codec: None,
            memory: None,
            io_threads: 1,
        }
    }

    pub(crate) fn group(&self) -> &str {
        self.name.split('-').next().unwrap_or(&self.name)
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.rate > 0.0
    }
}

/// All there are, in the order of the report.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (size, partitions) in [(16, 1), (16, 4), (100, 1), (100, 4), (100, 64), (1_024, 1), (1_024, 4), (1_024, 64)] {
        let title = format!("saturated, {size} B, {}", counted(partitions, "partition"));
        let name = format!("saturated-{size}b-{partitions}p");
        all.push(Scenario { size, partitions, who: Who::AllAndKernel, ..Scenario::new(name, title) });
    }
    for size in [16, 100, 1_024] {
        let title = format!("what no producer is spared, {size} B, 1 partition");
        let name = format!("floor-{size}b");
        all.push(Scenario { size, partitions: 1, who: Who::Floors, ..Scenario::new(name, title) });
    }
    for (partitions, senders, keys) in
        [(64, 1, 0), (10_000, 1, 0), (64, 1, 100_000), (64, 4, 100_000), (1_000, 1, 100_000), (1_000, 4, 100_000)]
    {
        let keyed = if keys == 0 { "" } else { "keyed, " };
        let title = format!(
            "what no producer is spared, 100 B, {keyed}{partitions} partitions, {}",
            counted(senders, "sender")
        );
        let name = format!("floor-{}{partitions}p-{senders}s", if keys == 0 { "" } else { "keyed-" });
        all.push(Scenario { partitions, senders, keys, who: Who::Floors, ..Scenario::new(name, title) });
    }
    for (partitions, senders) in [(64, 1), (64, 4), (1_000, 1), (1_000, 4)] {
        let title = format!("keyed (murmur2), 100 B, {partitions} partitions, {}", counted(senders, "sender"));
        let name = format!("keyed-{partitions}p-{senders}s");
        all.push(Scenario { partitions, senders, keys: 100_000, ..Scenario::new(name, title) });
    }
    all.push(Scenario {
        against: Against::LateStub,
        ..Scenario::new("late-20ms", "acknowledgements 20 ms late, 100 B, 4 partitions")
    });
    let recovery = Scenario {
        against: Against::TroubledStub,
        nodes: 3,
        partitions: 6,
        records: Some(1_500_000),
        ..Scenario::new("recovery-10faults", "10 injected errors and dropped connections, 3 nodes, 1.5 M records")
    };
    all.push(recovery.clone());
    all.push(Scenario {
        name: "recovery-1m".into(),
        title: "the same 10 faults at 1 M/s, a pace that peers keep as well".into(),
        rate: 1_000_000.0,
        ..recovery
    });
    all.push(Scenario {
        against: Against::FailingStub,
        nodes: 3,
        partitions: 6,
        rate: 100_000.0,
        records: Some(300_000),
        ..Scenario::new("failover-node", "a node of 3 goes away and comes back, 100 k/s for 3 s")
    });
    all.push(Scenario { partitions: 10_000, ..Scenario::new("many-10000p", "saturated, 100 B, 10,000 partitions") });
    let paces = [("1m", 1e6, 5), ("100k", 1e5, 0), ("100k", 1e5, 5), ("10k", 1e4, 0), ("10k", 1e4, 5)];
    for (short, rate, linger_ms) in paces {
        let title = format!("{short}/s, 100 B, 4 partitions, linger {linger_ms} ms");
        let name = format!("paced-{short}-linger{linger_ms}");
        all.push(Scenario { rate, linger_ms, ..Scenario::new(name, title) });
    }
    all.push(Scenario {
        rate: 100_000.0,
        spins: true,
        ..Scenario::new(
            "paced-100k-linger5-spin",
            "100k/s, 100 B, 4 partitions, linger 5 ms, the sender waits on the clock and does not sleep",
        )
    });
    for partitions in [1, 64] {
        let title =
            format!("real Kafka 4.2 on the same machine, saturated, 100 B, {}", counted(partitions, "partition"));
        let name = format!("kafka-100b-{partitions}p");
        all.push(Scenario { partitions, against: Against::Kafka, ..Scenario::new(name, title) });
    }
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let title = format!("log lines of 200 B, 4 partitions, compression {codec}");
        let name = format!("codec-{codec}");
        all.push(Scenario { size: 200, codec: Some(codec), who: Who::Two, ..Scenario::new(name, title) });
    }
    let title = "over TLS 1.3, saturated, 100 B, 4 partitions";
    all.push(Scenario { against: Against::TlsStub, who: Who::Two, ..Scenario::new("tls-100b-4p", title) });
    all.extend(scale());
    all
}

/// One thing changes at a time; the rest is 100 B to 4 partitions with the default settings.
fn scale() -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut add = |name: String, title: String, change: &dyn Fn(&mut Scenario)| {
        let mut scenario = Scenario { who: Who::Forebay, ..Scenario::new(format!("scale-{name}"), title) };
        change(&mut scenario);
        all.push(scenario);
    };
    for senders in [1, 2, 4, 8] {
        add(format!("senders-{senders}"), counted(senders, "sender"), &|s| s.senders = senders);
    }
    for partitions in [1, 10, 100, 1_000, 10_000] {
        add(format!("partitions-{partitions}"), counted(partitions, "partition"), &|s| s.partitions = partitions);
    }
    for nodes in [1_u16, 2, 4, 8] {
        add(format!("brokers-{nodes}"), format!("{}, 8 partitions", counted(u32::from(nodes), "broker")), &|s| {
            s.nodes = nodes;
            s.partitions = 8;
        });
    }
    for mib in [1_u64, 4, 8, 32, 128, 1_024] {
        add(format!("memory-{mib}"), format!("buffer.memory of {mib} MiB"), &|s| s.memory = Some(mib << 20));
    }
    for threads in [1, 2, 4] {
        let title = format!("{}, 64 partitions", counted(threads, "I/O thread"));
        add(format!("io-threads-{threads}"), title, &|s| {
            s.io_threads = threads;
            s.partitions = 64;
        });
    }
    for size in [16, 100, 1_000, 10_000, 100_000, 1_000_000] {
        add(format!("size-{size}"), format!("values of {size} B"), &|s| s.size = size);
    }
    all
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::all;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_grouped() {
        let all = all();
        let names: HashSet<_> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|scenario| scenario.name.contains('-')));
    }
}
