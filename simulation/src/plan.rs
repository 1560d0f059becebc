//! What one seed decides before anything happens: settings, sizes, and which troubles there are at all.
//!
//! Each run has its own few kinds of trouble ("swarm testing"): with all of them in every run, one hides the other.

use std::time::Duration;

use forebay_io::core::{Acks, CoreConfig};

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// A kind of trouble.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) enum Trouble {
    // The network.
    /// Connections break, with or without a word to either side.
    Resets,
    /// A connection swallows what is written and says nothing, for ever.
    HalfOpen,
    /// A connection stands still for a while.
    Stalls,
    /// Nobody listens, or nobody answers a connection attempt.
    Unreachable,
    /// Names do not resolve, or to addresses of which some are dead.
    Names,
    // The brokers.
    /// Brokers die and come back, some at another port.
    Crashes,
    /// Brokers stop and go on later as if nothing had happened (SIGSTOP).
    Pauses,
    /// Brokers take long to answer.
    Slow,
    /// A closed connection's bytes that have arrived are acted on all the same, later.
    Zombies,
    // The cluster.
    /// Leaders move; what was not replicated may be lost.
    Elections,
    /// A partition is without a leader for a while.
    Leaderless,
    /// Some brokers learn of new leaders late.
    StaleViews,
    /// Brokers forget producers that have been silent for long.
    Forgetting,
    /// A topic is deleted and made again under another id.
    Recreation,
    /// A topic gets more partitions.
    Growth,
    /// Limits on the size of a batch change.
    SizeLimits,
    /// Quotas.
    Throttling,
    // Answers.
    /// Batches are refused.
    Refusals,
    /// Batches are appended and refused, as when replicas are missing afterwards.
    AfterAppend,
    /// Single records are named as wrong.
    BadRecords,
    /// Fatal answers: not allowed, not valid, not known.
    Fatal,
    /// `InitProducerId` and `Metadata` fail.
    Control,
    // The client's own machine.
    /// The I/O thread is not scheduled for a while.
    Hiccups,
}

pub(crate) const TROUBLES: [Trouble; 23] = [
    Trouble::Resets,
    Trouble::HalfOpen,
    Trouble::Stalls,
    Trouble::Unreachable,
    Trouble::Names,
    Trouble::Crashes,
    Trouble::Pauses,
    Trouble::Slow,
    Trouble::Zombies,
    Trouble::Elections,
    Trouble::Leaderless,
    Trouble::StaleViews,
    Trouble::Forgetting,
    Trouble::Recreation,
    Trouble::Growth,
    Trouble::SizeLimits,
    Trouble::Throttling,
    Trouble::Refusals,
    Trouble::AfterAppend,
    Trouble::BadRecords,
    Trouble::Fatal,
    Trouble::Control,
    Trouble::Hiccups,
];

/// How the active part of a run ends.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The weather clears, everything is delivered, then a close.
    Calm,
    /// A close in the middle of it all, with so much time.
    Abrupt(Duration),
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) config: CoreConfig,
    pub(crate) memory: usize,
    pub(crate) segment: usize,
    /// Bytes that a lane takes at once, at most.
    pub(crate) ahead: usize,
    pub(crate) max_block: Duration,
    pub(crate) nodes: usize,
    /// Partitions of each topic.
    pub(crate) topics: Vec<u32>,
    pub(crate) senders: usize,
    pub(crate) troubles: Vec<Trouble>,
    /// Mean time between two events of trouble.
    pub(crate) pace: Duration,
    /// Of a hundred batches so many meet one of the answers that the troubles allow.
    pub(crate) refused_percent: u32,
    /// How long senders send.
    pub(crate) active: Duration,
    /// Mean pause of a sender between two things it does.
    pub(crate) think: Duration,
    pub(crate) largest_value: usize,
    /// One way, at least and at most.
    pub(crate) latency: (Duration, Duration),
    /// Bytes that the system's send buffer holds.
    pub(crate) send_buffer: usize,
    /// Bytes that arrive at once.
    pub(crate) read_limit: usize,
    /// At most so many bytes are encrypted at once, and in nobody's hands until the client's system has taken them. None: they are not.
    pub(crate) encrypted: Option<usize>,
    /// The highest Produce version of each broker.
    pub(crate) produce_max: Vec<i16>,
    pub(crate) metadata_max: i16,
    pub(crate) first_epoch: i16,
    /// Brokers before 2.5 answer `UNKNOWN_PRODUCER_ID` where later ones take any sequence number.
    pub(crate) old_brokers: bool,
    /// Partition 0 of topic 0 always refuses for now; its neighbours must not notice.
    pub(crate) sick_partition: bool,
    pub(crate) end: End,
}

impl Plan {
    pub(crate) fn of(rng: &mut fastrand::Rng) -> Self {
        let sick_partition = rng.u32(..20) == 0;
        let nodes = rng.usize(1..=4);
        let idempotent = rng.u32(..10) < 8;
        let acks = match rng.u32(..6) {
            _ if idempotent => Acks::All,
            0 | 1 => Acks::None,
            2 | 3 => Acks::Leader,
            _ => Acks::All,
        };
        let linger = if rng.u32(..4) == 0 { Duration::ZERO } else { ms(rng.u64(1..25)) };
        let request_timeout = ms(rng.u64(150..2_000));
        let retries = if rng.u32(..5) == 0 { rng.u32(u32::from(idempotent)..5) } else { i32::MAX as u32 };
        let segment = [512, 1_024, 4_096][rng.usize(..3)];
        let tight = rng.u32(..3) == 0 && !sick_partition;
        let memory = if tight { segment * rng.usize(4..24) } else { rng.usize(128 << 10..512 << 10) };
        // Sockets that are full for so long that batches expire half-written.
        let congested = !sick_partition && rng.u32(..8) == 0;
        let troubles = match () {
            () if sick_partition => Vec::new(),
            () if congested => vec![Trouble::Stalls, Trouble::Stalls, Trouble::Slow],
            () => choose(rng),
        };
        let config = CoreConfig {
            bootstrap: vec!["boot:9092".to_owned(), "b0:9000".to_owned()],
            acks,
            enable_idempotence: idempotent,
            max_in_flight: rng.usize(1..=5),
            // Of a generator of its own: what else a seed stands for is what it was before there were such threads.
            compression_threads: [0, 0, 1, 3][rng.clone().usize(..4)],
            linger,
            batch_size: rng.usize(200..20_000),
            batch_max_bytes: if rng.bool() { 1_000_000 } else { rng.usize(1_500..20_000) },
            max_request_size: rng.usize(3_000..200_000),
            long_request_size: if rng.bool() { 0 } else { rng.usize(3_000..400_000) },
            request_timeout,
            delivery_timeout: request_timeout + linger + ms(rng.u64(if congested { 1..100 } else { 100..15_000 })),
            retry_backoff: ms(rng.u64(5..100)),
            retry_backoff_max: ms(rng.u64(100..800)),
            reconnect_backoff: ms(rng.u64(5..50)),
            reconnect_backoff_max: ms(rng.u64(50..800)),
            retries,
            metadata_max_age: if rng.u32(..4) == 0 { ms(rng.u64(500..5_000)) } else { ms(300_000) },
            metadata_max_idle: if rng.u32(..4) == 0 { ms(rng.u64(500..5_000)) } else { ms(300_000) },
            connection_setup_timeout: ms(rng.u64(100..1_000)),
            connection_setup_timeout_max: ms(rng.u64(1_000..2_000)),
            connections_max_idle: if rng.u32(..4) == 0 { ms(rng.u64(300..3_000)) } else { ms(540_000) },
            allow_auto_create: rng.bool(),
            many_lanes: [1, 3, 128][rng.clone().usize(..3)],
            ..CoreConfig::default()
        };
        let shortest = us(rng.u64(20..2_000));
        Self {
            memory,
            segment,
            // Of a generator of its own, as above.
            ahead: [0, 2 * segment, 64 << 10][rng.clone().usize(..3)],
            max_block: ms(rng.u64(1..3_000)),
            nodes,
            topics: (0..rng.usize(1..=2)).map(|_| rng.u32(1..=4)).collect(),
            senders: rng.usize(2..=5),
            pace: ms(rng.u64(if congested { 30..150 } else { 30..1_500 })),
            refused_percent: rng.u32(1..50),
            active: ms(rng.u64(300..6_000)),
            think: us(rng.u64(10_000..150_000)),
            largest_value: if tight { memory / 3 } else { rng.usize(20..4_000) },
            latency: (shortest, shortest + us(rng.u64(1..5_000))),
            send_buffer: match () {
                () if congested => rng.usize(100..1_000),
                () if sick_partition || rng.bool() => 1 << 20,
                () => rng.usize(200..8_000),
            },
            // Of a generator of its own, as above.
            encrypted: [None, None, Some(600), Some(64 << 10)][rng.clone().usize(..4)],
            read_limit: if rng.bool() { usize::MAX } else { rng.usize(1..200) },
            produce_max: (0..nodes).map(|_| [7, 9, 11, 12, 13, 13, 13][rng.usize(..7)]).collect(),
            metadata_max: [9, 12, 13, 13][rng.usize(..4)],
            first_epoch: if rng.u32(..8) == 0 { i16::MAX - 1 } else { 0 },
            old_brokers: rng.u32(..4) == 0,
            sick_partition,
            end: if rng.u32(..4) == 0 { End::Abrupt(ms([0, 5, 200, 60_000][rng.usize(..4)])) } else { End::Calm },
            config,
            troubles,
        }
    }

    pub(crate) fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }
}

/// None at all, a few, or most.
fn choose(rng: &mut fastrand::Rng) -> Vec<Trouble> {
    let percent = match rng.u32(..10) {
        0 => 0,
        1..=6 => 15,
        7 | 8 => 35,
        _ => 80,
    };
    TROUBLES.into_iter().filter(|_| rng.u32(..100) < percent).collect()
}
