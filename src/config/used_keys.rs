//! The rows of the keys that do something here.

use super::CompressionType;
use super::key::{KeySpec, Kind, Origin, Standing, Value};
use super::settings::{Acks, Settings};

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

pub(super) const fn row(
    group: &'static str,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    apply: fn(&mut Settings, Value),
    doc: &'static str,
    interacts: &'static str,
) -> KeySpec {
    KeySpec {
        name,
        group,
        kind,
        default,
        doc,
        interacts,
        origin: Origin::Kafka,
        standing: Standing::Used,
        apply: Some(apply),
    }
}

pub(super) const fn of(origin: Origin, row: KeySpec) -> KeySpec {
    KeySpec { origin, ..row }
}

const BUFFER: &str = "Buffering and batching";
const COMPRESSION: &str = "Compression";
const DELIVERY: &str = "Delivery";
const CONNECTION: &str = "Cluster and connections";
const PARTITION: &str = "Partitioning";

// A row reads as a row of a table, not one argument a line.
#[rustfmt::skip]
pub(super) const USED: &[KeySpec] = &[
    row(BUFFER, "buffer.memory", Kind::Bytes(65_536, LONG), "33554432", |s, v| s.buffer_memory = v.int() as usize,
        "All the memory for records, from the moment they are sent until the broker has acknowledged them. Taken once at start and never exceeded.",
        "When it is full, a send waits at most `max.block.ms`. A record that is larger than all of it never fits."),
    row(BUFFER, "batch.size", Kind::Bytes(0, INT), "16384", |s, v| s.batch_size = v.int() as usize,
        "A partition that holds this many bytes, before compression, is sent without waiting for `linger.ms`. It says when, not how much: under backlog batches grow up to `batch.max.bytes`.",
        "A value above `batch.max.bytes` raises that where it was not set, and counts as that where it was."),
    of(Origin::Forebay, row(BUFFER, "batch.max.bytes", Kind::Bytes(1_024, INT), "1000000", |s, v| s.batch_max_bytes = v.int() as usize,
        "The largest batch before compression, header included, unless it is a single record that is larger. Keep it under the broker's `max.message.bytes` (1,048,588 by default).",
        "Must leave room for a request's framing within `max.request.size`; where it was not set, it is lowered to fit.")),
    row(BUFFER, "linger.ms", Kind::Millis(0, LONG), "5", |s, v| s.linger = v.duration(),
        "How long a record may wait for others to share its batch. 0 sends as soon as the I/O thread sees it.",
        "`batch.size`, `flush`, `close` and waiting senders end the wait early. With 0, see `io.spin.us`."),
    row(BUFFER, "max.block.ms", Kind::Millis(0, LONG), "60000", |s, v| s.max_block = v.duration(),
        "How long a send may wait, for memory and for the topic's metadata together, before it gives the record back.",
        "Does not count into `delivery.timeout.ms`, which begins when the record is in the buffer."),
    row(BUFFER, "max.request.size", Kind::Bytes(2_048, INT), "1048576", |s, v| s.max_request_size = v.int() as usize,
        "The largest Produce request, and with that the largest record.",
        "Bounds `batch.max.bytes`."),
    of(Origin::Forebay, row(BUFFER, "io.spin.us", Kind::Micros(0, 1_000_000), "0", |s, v| s.io_spin = v.duration(),
        "How long the I/O thread polls for more work before it sleeps: buys latency with CPU.",
        "Of use with `linger.ms=0`.")),
    row(COMPRESSION, "compression.type", Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]), "none",
        |s, v| s.compression = CompressionType::of_name(&v.text()),
        "How batches are compressed, by the I/O thread when they are sent. A batch that does not shrink is sent as it is.",
        "`batch.size` and `batch.max.bytes` count what records take before compression. One codec is one Cargo feature of this library, all on by default."),
    row(COMPRESSION, "compression.gzip.level", Kind::Int(-1, 9), "-1", |s, v| s.gzip_level = v.int() as i32,
        "1 is quickest, 9 smallest; -1 is the usual 6.",
        "With `compression.type=gzip`."),
    row(COMPRESSION, "compression.lz4.level", Kind::Int(1, 17), "9", |s, v| s.lz4_level = v.int() as i32,
        "9 is lz4's fast compressor, as in Kafka; the others are its thorough one (LZ4 HC), for which anything above 12 is 12.",
        "With `compression.type=lz4`."),
    row(COMPRESSION, "compression.zstd.level", Kind::Int(-131_072, 22), "3", |s, v| s.zstd_level = v.int() as i32,
        "Higher is smaller and slower. Levels above 12 also take tens of MiB of memory for the I/O thread.",
        "With `compression.type=zstd`."),
    row(DELIVERY, "acks", Kind::Choice(&["all", "-1", "1", "0"]), "all", |s, v| s.acks = match v.text().as_str() {
            "0" => Acks::None,
            "1" => Acks::Leader,
            _ => Acks::All,
        },
        "Who must have a record before it counts as delivered: `all` (or -1) every in-sync replica, 1 the leader, 0 nobody.",
        "Idempotence needs `all`."),
    row(DELIVERY, "enable.idempotence", Kind::Bool, "true", |s, v| s.enable_idempotence = v.bool(),
        "Each record is stored exactly once and in the sender's order, whatever is retried.",
        "Needs `acks=all`, `retries` above 0 and `max.in.flight.requests.per.connection` of at most 5. Where it was not set, other values of `acks` and `retries` turn it off."),
    row(DELIVERY, "max.in.flight.requests.per.connection", Kind::Int(1, 1_000), "5", |s, v| s.max_in_flight = v.int() as usize,
        "How many requests may be unanswered on one connection.",
        "At most 5 with idempotence. Without idempotence, retries may reorder records unless it is 1."),
    row(DELIVERY, "delivery.timeout.ms", Kind::Millis(0, INT), "120000", |s, v| s.delivery_timeout = v.duration(),
        "How long after its send a record may be undelivered before it is reported as failed, all retries included.",
        "At least `linger.ms` and `request.timeout.ms` together; where it was not set, it is raised to that."),
    row(DELIVERY, "request.timeout.ms", Kind::Millis(1, INT), "30000", |s, v| s.request_timeout = v.duration(),
        "How long to wait for an answer before the connection is given up and its requests are retried.",
        "Part of the least `delivery.timeout.ms`. The broker waits as long for its replicas."),
    row(DELIVERY, "retries", Kind::Int(0, INT), "2147483647", |s, v| s.retries = v.int() as u32,
        "How often a batch is retried at most. Better left alone: `delivery.timeout.ms` is the bound that matters.",
        "0 turns idempotence off."),
    row(DELIVERY, "retry.backoff.ms", Kind::Millis(0, LONG), "100", |s, v| s.retry_backoff = v.duration(),
        "How long to wait before the first retry; doubles with each, with jitter of 20 %.",
        "Up to `retry.backoff.max.ms`."),
    row(DELIVERY, "retry.backoff.max.ms", Kind::Millis(0, LONG), "1000", |s, v| s.retry_backoff_max = v.duration(),
        "The longest wait before a retry.",
        "At least `retry.backoff.ms`."),
    row(PARTITION, "partitioner.ignore.keys", Kind::Bool, "false", |s, v| s.partitioner_ignore_keys = v.bool(),
        "Partition records with a key like those without: by the sticky partitioner, not by the key's hash.",
        "Without effect on records that name their partition."),
    row(CONNECTION, "bootstrap.servers", Kind::List, "", |s, v| s.bootstrap_servers = v.list(),
        "Brokers to ask for the cluster's members, as `host:port`. Required. One that answers is enough.",
        ""),
    row(CONNECTION, "client.id", Kind::Text, "", |s, v| s.client_id = v.text(),
        "The name under which brokers list, log and throttle this producer. Where it is empty, `forebay-producer-N` with N counted up within the process.",
        ""),
    of(Origin::Librdkafka, row(CONNECTION, "allow.auto.create.topics", Kind::Bool, "true", |s, v| s.allow_auto_create_topics = v.bool(),
        "Ask the broker to create a topic that does not exist, which it does if its own `auto.create.topics.enable` says so. The Java producer always asks.",
        "")),
    row(CONNECTION, "metadata.max.age.ms", Kind::Millis(1, LONG), "300000", |s, v| s.metadata_max_age = v.duration(),
        "Metadata older than this is fetched again even when nothing seems to have changed.",
        ""),
    row(CONNECTION, "metadata.max.idle.ms", Kind::Millis(5_000, LONG), "300000", |s, v| s.metadata_max_idle = v.duration(),
        "A topic that nothing was sent to for this long is left out of the next fetch.",
        ""),
    row(CONNECTION, "metadata.recovery.strategy", Kind::Choice(&["rebootstrap", "none"]), "rebootstrap", |s, v| s.metadata_recovery = v.text() != "none",
        "With `rebootstrap`, `bootstrap.servers` are asked again when the known brokers cannot be reached, give no metadata for too long, or say so. With `none` they are asked once, and then only the brokers that they named.",
        "How long is too long is `metadata.recovery.rebootstrap.trigger.ms`."),
    row(CONNECTION, "metadata.recovery.rebootstrap.trigger.ms", Kind::Millis(0, LONG), "300000", |s, v| s.rebootstrap_trigger = v.duration(),
        "When no broker has given metadata for this long although it was asked for, every connection is closed and the producer begins again with `bootstrap.servers`, whose names are looked up anew.",
        "Without effect with `metadata.recovery.strategy=none`. A bootstrap server is also asked as soon as no known broker can be reached."),
    row(CONNECTION, "connections.max.idle.ms", Kind::Millis(-1, LONG), "540000", |s, v| s.connections_max_idle = v.duration(),
        "A connection without traffic for this long is closed; -1 never closes one.",
        "Keep it under the broker's own `connections.max.idle.ms`."),
    row(CONNECTION, "reconnect.backoff.ms", Kind::Millis(0, LONG), "50", |s, v| s.reconnect_backoff = v.duration(),
        "How long to wait before connecting again to a broker that could not be reached; doubles with each failure, with jitter of 20 %.",
        "Up to `reconnect.backoff.max.ms`."),
    row(CONNECTION, "reconnect.backoff.max.ms", Kind::Millis(0, LONG), "1000", |s, v| s.reconnect_backoff_max = v.duration(),
        "The longest wait before connecting again.",
        "At least `reconnect.backoff.ms`."),
    row(CONNECTION, "socket.connection.setup.timeout.ms", Kind::Millis(1, LONG), "10000", |s, v| s.connection_setup_timeout = v.duration(),
        "How long a connection may take to be set up; doubles with each failure, with jitter of 20 %.",
        "Up to `socket.connection.setup.timeout.max.ms`."),
    row(CONNECTION, "socket.connection.setup.timeout.max.ms", Kind::Millis(1, LONG), "30000", |s, v| s.connection_setup_timeout_max = v.duration(),
        "The longest time a connection may take to be set up.",
        "At least `socket.connection.setup.timeout.ms`."),
    row(CONNECTION, "send.buffer.bytes", Kind::Bytes(-1, INT), "131072", |s, v| s.send_buffer = usize::try_from(v.int()).ok(),
        "The socket's send buffer (`SO_SNDBUF`); -1 leaves it to the operating system.",
        ""),
    row(CONNECTION, "receive.buffer.bytes", Kind::Bytes(-1, INT), "32768", |s, v| s.receive_buffer = usize::try_from(v.int()).ok(),
        "The socket's receive buffer (`SO_RCVBUF`); -1 leaves it to the operating system.",
        ""),
];
