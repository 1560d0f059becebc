//! What a producer counts: written by its I/O thread (a few figures by sending threads that wait anyhow), read by any thread
//! at any time, without a lock on the writer's side.
//!
//! Nothing here is touched for a single record: figures of records come from batches, which know how many they hold.

mod buckets;
mod series;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub use self::series::{Reading, Series, Windows};

/// A number that goes up and down, written by the I/O thread alone.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) {
        self.set(self.get().wrapping_add(1));
    }

    pub(crate) fn down(&self) {
        self.set(self.get().saturating_sub(1));
    }
}

/// Declares a set of series, all of the same windows.
macro_rules! series {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            $($(#[doc = $field_doc:literal])* $field:ident: $kind:ident,)*
        }
        $($(#[doc = $extra_doc:literal])* $extra:ident: $type:ty,)*
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub struct $name {
            $($(#[doc = $extra_doc])* pub $extra: $type,)*
            $($(#[doc = $field_doc])* pub $field: Series,)*
        }

        impl $name {
            #[allow(clippy::too_many_arguments, reason = "made by the macro, from its own list")]
            fn made($($extra: $type,)* windows: Windows) -> Self {
                Self { $($extra,)* $($field: Series::$kind(windows),)* }
            }
        }
    };
}

series! {
    /// The figures of one producer. Times are in nanoseconds where the name says so, else in microseconds.
    Totals {
        /// Bytes of a batch as it is sent, header included.
        batch_size: distribution,
        /// Batches that became several because a broker found them too large.
        batch_split: new,
        /// Millionths: bytes of a batch's records as they are sent, to those before compression.
        compression: new,
        /// Bytes before compression; the count is that of batches.
        plain_bytes: new,
        /// Records of a Produce request.
        records_per_request: distribution,
        /// From when a batch's oldest record may have been sent, to its first request.
        queue_time: distribution,
        /// From when a Produce request was made, to its answer.
        request_latency: distribution,
        /// Bytes of a request of any kind.
        request_size: new,
        /// Requests of any kind: 1 each.
        requests: new,
        /// Answers of any kind: 1 each.
        responses: new,
        /// Records of Produce requests, those sent again included.
        record_send: new,
        /// Records of batches that go again.
        record_retry: new,
        /// Records that were not delivered.
        record_error: new,
        /// Records that were.
        record_delivered: new,
        /// Pauses that brokers asked for, in milliseconds; answers without a pause are not counted.
        throttle: new,
        /// Connections that were opened.
        connection_creation: new,
        /// Connections that were open and were closed.
        connection_close: new,
        /// Connections that could not be opened, or ended by an error.
        connection_failure: new,
        /// Connections on which a broker has believed who we are.
        authentication_success: new,
        /// Connections on which one side did not believe the other.
        authentication_failure: new,
        /// Bytes received.
        incoming_bytes: new,
        /// Bytes sent.
        outgoing_bytes: new,
        /// Reads and writes of sockets: 1 each.
        network_io: new,
        /// How long the I/O thread slept, in nanoseconds; the count is that of its polls.
        io_wait_ns: new,
        /// How long it was awake, in nanoseconds.
        io_time_ns: new,
        /// Sends that were refused for want of memory: 1 each. By sending threads.
        buffer_exhausted: new,
        /// How long sending threads waited for memory, in nanoseconds. By sending threads.
        buffer_wait_ns: new,
        /// How long threads waited for metadata, in nanoseconds. By those threads.
        metadata_wait_ns: new,
        /// How long threads waited for flushes, in nanoseconds. By those threads.
        flush_ns: new,
    }
    /// Requests without an answer, of any kind.
    in_flight: Gauge,
    /// Connections that are open.
    connections: Gauge,
    /// When metadata was learned last, in nanoseconds of the core's time; 0 for never.
    metadata_at: Gauge,
}

series! {
    /// The figures of one broker.
    NodeMeters {
        /// From when a Produce request was made, to its answer, in microseconds.
        request_latency: distribution,
        /// Bytes of a request of any kind.
        request_size: new,
        /// Requests of any kind: 1 each.
        requests: new,
        /// Answers of any kind: 1 each.
        responses: new,
        /// Bytes received.
        incoming_bytes: new,
        /// Bytes sent.
        outgoing_bytes: new,
        /// Pauses that it asked for, in milliseconds.
        throttle: new,
        /// Connections that were opened.
        connection_creation: new,
        /// Connections that could not be opened, or ended by an error.
        connection_failure: new,
    }
    /// Its id in the cluster; a bootstrap server has one below −1.
    node: i32,
    /// Host and port.
    address: RwLock<(Arc<str>, u16)>,
    /// Requests without an answer, of any kind.
    in_flight: Gauge,
    /// 1 while a connection is open.
    connected: Gauge,
}

series! {
    /// The figures of one topic.
    TopicMeters {
        /// Records of Produce requests, those sent again included.
        record_send: new,
        /// Bytes of its batches as they are sent.
        bytes: new,
        /// Millionths: bytes of a batch's records as they are sent, to those before compression.
        compression: new,
        /// Records of batches that go again.
        record_retry: new,
        /// Records that were not delivered.
        record_error: new,
        /// Records that were.
        record_delivered: new,
    }
    /// Its name.
    name: Arc<str>,
}

/// All figures of one producer, shared between its I/O thread and whoever reads them.
#[derive(Debug)]
pub struct Meters {
    windows: Windows,
    /// Of the producer as a whole.
    pub totals: Totals,
    nodes: RwLock<Vec<Arc<NodeMeters>>>,
    topics: RwLock<Vec<Arc<TopicMeters>>>,
}

impl Meters {
    /// Nothing counted yet.
    pub fn new(windows: Windows) -> Self {
        Self {
            windows,
            totals: Totals::made(Gauge::default(), Gauge::default(), Gauge::default(), windows),
            nodes: RwLock::default(),
            topics: RwLock::default(),
        }
    }

    /// The samples of its series.
    pub fn windows(&self) -> Windows {
        self.windows
    }

    /// Every broker that a connection was tried with.
    pub fn nodes(&self) -> Vec<Arc<NodeMeters>> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every topic in use.
    pub fn topics(&self) -> Vec<Arc<TopicMeters>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_node(&self, node: i32, host: Arc<str>, port: u16) -> Arc<NodeMeters> {
        let address = RwLock::new((host, port));
        let meters = Arc::new(NodeMeters::made(node, address, Gauge::default(), Gauge::default(), self.windows));
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).push(meters.clone());
        meters
    }

    pub(crate) fn add_topic(&self, name: Arc<str>) -> Arc<TopicMeters> {
        let meters = Arc::new(TopicMeters::made(name, self.windows));
        self.topics.write().unwrap_or_else(PoisonError::into_inner).push(meters.clone());
        meters
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new(Windows::default())
    }
}

impl NodeMeters {
    /// Its host and port as last known.
    pub fn address(&self) -> (Arc<str>, u16) {
        self.address.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn moved(&self, host: &Arc<str>, port: u16) {
        *self.address.write().unwrap_or_else(PoisonError::into_inner) = (host.clone(), port);
    }
}
