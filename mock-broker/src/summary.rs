//! What a broker has received.

use std::fmt;

use crate::cluster::Cluster;
use crate::protocol::APIS;

/// One partition's counts since its topic was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSummary {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The node that leads it.
    pub leader: i32,
    /// Records appended.
    pub records: u64,
    /// Batches appended.
    pub batches: u64,
    /// Bytes of those batches, headers included.
    pub bytes: u64,
    /// Batches that were in the log already and were acknowledged without being appended again.
    pub duplicates: u64,
    /// Batches refused for what they were, or for their sequence; wrong leaders and injected errors don't count.
    pub refused: u64,
    /// Offset of the oldest record stored.
    pub log_start: i64,
    /// Offset of the next record.
    pub log_end: i64,
}

/// What a broker has received so far. Its text is meant for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// By topic in the order of creation, then by partition; deleted topics are gone.
    pub partitions: Vec<PartitionSummary>,
    /// Connections accepted.
    pub connections: u64,
    /// Of those, how many are open.
    pub open_connections: u64,
    /// How many requests of each API were handled, by name.
    pub requests: Vec<(&'static str, u64)>,
    /// Requests that were not what the protocol says, or of versions not announced; each cost its connection.
    pub malformed_requests: u64,
    /// What the [verifier](crate::RecordVerifier) reports, if there is one.
    pub verification: Option<String>,
}

impl Summary {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let topics = cluster.topics.iter().flatten();
        let partitions = topics.flat_map(|topic| {
            topic.partitions.iter().enumerate().map(|(index, partition)| PartitionSummary {
                topic: topic.name.clone(),
                partition: index as i32,
                leader: partition.leader,
                records: partition.records,
                batches: partition.batches,
                bytes: partition.bytes,
                duplicates: partition.duplicates,
                refused: partition.refused,
                log_start: partition.log.start(),
                log_end: partition.log.end(),
            })
        });
        Self {
            partitions: partitions.collect(),
            connections: cluster.connections,
            open_connections: cluster.open_connections,
            requests: APIS.iter().map(|api| api.name).zip(cluster.requests).collect(),
            malformed_requests: cluster.malformed_requests,
            verification: cluster.verifier.as_ref().map(|verifier| verifier.report()),
        }
    }

    /// Records appended to all partitions.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.records).sum()
    }

    /// Batches that were in the log already, of all partitions.
    pub fn duplicates(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.duplicates).sum()
    }

    /// How many requests of this API were handled; 0 for a name that there is not.
    pub fn requests(&self, api: &str) -> u64 {
        self.requests.iter().find(|(name, _)| *name == api).map_or(0, |(_, count)| *count)
    }

    /// One partition's counts.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionSummary> {
        self.partitions.iter().find(|p| p.partition == partition && p.topic == topic)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&PartitionSummary) -> u64| self.partitions.iter().map(count).sum::<u64>();
        writeln!(
            f,
            "received {} records in {} batches ({} bytes), {} duplicate batches discarded, {} refused",
            self.records(),
            sum(|p| p.batches),
            sum(|p| p.bytes),
            self.duplicates(),
            sum(|p| p.refused),
        )?;
        for p in self.partitions.iter().filter(|p| p.batches + p.duplicates + p.refused > 0) {
            writeln!(
                f,
                "  {}-{} on node {}: {} records, {} batches, {} bytes, {} duplicates, {} refused, offsets {}..{}",
                p.topic,
                p.partition,
                p.leader,
                p.records,
                p.batches,
                p.bytes,
                p.duplicates,
                p.refused,
                p.log_start,
                p.log_end
            )?;
        }
        write!(f, "connections {} ({} open); requests:", self.connections, self.open_connections)?;
        for (name, count) in self.requests.iter().filter(|(_, count)| *count > 0) {
            write!(f, " {name} {count}")?;
        }
        if self.malformed_requests > 0 {
            write!(f, " malformed {}", self.malformed_requests)?;
        }
        if let Some(verification) = &self.verification {
            write!(f, "\nverified: {verification}")?;
        }
        Ok(())
    }
}
