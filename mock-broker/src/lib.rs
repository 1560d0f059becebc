//! A small, honest Kafka broker in memory, over real TCP, for tests and measurements of producers.
//!
//! It speaks `ApiVersions`, `Metadata`, `InitProducerId` and `Produce` as Kafka 2.1 to 4.x do, and enough of `Fetch`,
//! `ListOffsets` and `FindCoordinator` for `kcat -C` and a consumer outside groups to read back. Batches are checked
//! as Kafka checks them, duplicates of idempotent producers are discarded by Kafka's rules, and [`Faults`] make it
//! misbehave on demand. One thread serves a cluster of any number of nodes.
//!
//! ```
//! use forebay_mock_broker::MockBroker;
//! use std::io::{Read, Write};
//!
//! let broker = MockBroker::builder().nodes(2).partitions(4).start()?;
//! assert_eq!(broker.bootstrap().split(',').count(), 2);
//!
//! // Any Kafka client can talk to it. By hand: ApiVersions v0, correlation id 7, no client id.
//! let first = broker.bootstrap().split(',').next().unwrap().to_owned();
//! let mut client = std::net::TcpStream::connect(first)?;
//! client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xFF, 0xFF])?;
//! let mut answer = [0; 8];
//! client.read_exact(&mut answer)?;
//! assert_eq!(answer[4..], [0, 0, 0, 7]);
//!
//! let summary = broker.stop();
//! assert_eq!(summary.requests("ApiVersions"), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it is not
//! No groups, no transactions, no TLS, no replication (every node sees the same log). Compressed batches are looked
//! into and kept as they came; it does not compress by itself.
//!
//! # How it is built
//! `server` polls the sockets of all nodes on one thread; `connection` cuts bytes into requests; `protocol` answers
//! each; `cluster` is what the nodes share: topics, leaders, `log`s and `producers` (deduplication). Requests are read
//! by hand in place, `Produce` is answered by hand too; other answers are encoded by the `kafka-protocol` crate, whose
//! decoders believe the lengths they read and so never see a request.

#![forbid(unsafe_code)]

mod batch;
mod builder;
mod cluster;
mod connection;
mod error_code;
mod faults;
mod log;
pub mod payload;
mod producers;
mod protocol;
mod ready;
mod server;
mod summary;
mod unpack;
mod verify;

use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use mio::Waker;

pub use builder::{Builder, Mode, StartError};
pub use faults::{FaultSpec, Faults, ParseFaultError, When};
pub use log::StoredRecord;
pub use ready::produce_request;
pub use summary::{PartitionSummary, Summary};
pub use verify::{Numbering, ParseReportError, RecordVerifier, SequenceVerifier, VerifyReport};

use cluster::{Cluster, Node};
use server::{Command, Server, listen};

/// A topic or node operation could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Kafka takes no topic of this name: letters, digits, `.`, `_` and `-`, 1 to 249 of them.
    #[error("{0:?} is no name for a topic")]
    InvalidTopicName(String),
    /// There is one already.
    #[error("there is a topic {0:?} already")]
    TopicExists(String),
    /// There is no such topic, partition or node.
    #[error("there is no {0}")]
    NotFound(String),
    /// The node's port could not be had again.
    #[error("the node cannot be started: {0}")]
    Start(#[from] io::Error),
    /// The broker's thread has ended: it panicked (in a verifier, say) or could not poll.
    #[error("the broker does not run any more")]
    Stopped,
}

/// A running cluster on the loopback address. Stops when dropped.
pub struct MockBroker {
    cluster: Arc<Mutex<Cluster>>,
    faults: Faults,
    commands: Sender<Command>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
    ports: Vec<u16>,
}

impl std::fmt::Debug for MockBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockBroker").field("bootstrap", &self.bootstrap()).finish_non_exhaustive()
    }
}

impl MockBroker {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn start(builder: Builder) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        let mut nodes = Vec::new();
        for id in 1..=builder.nodes {
            let asked = if builder.port == 0 { 0 } else { builder.port + (id - 1) as u16 };
            let failed = |source| StartError::Listen { node: id, port: asked, source };
            let listener = listen(asked).map_err(failed)?;
            let port = listener.local_addr().map_err(failed)?.port();
            listeners.push((id, port, listener));
            nodes.push(Node { id, port, running: true });
        }
        let ports = nodes.iter().map(|node| node.port).collect();
        let cluster = Cluster::new(builder.config, nodes, builder.max_log_bytes, builder.verifier);
        let cluster = Arc::new(Mutex::new(cluster));
        let faults = Faults::default();
        let (commands, inbox) = mpsc::channel();
        let (server, waker) =
            Server::new(listeners, Arc::clone(&cluster), faults.clone(), inbox, builder.socket_buffer)?;
        faults.attach(Arc::clone(&waker));
        for fault in builder.faults {
            faults.set(fault);
        }
        let thread = std::thread::Builder::new().name("mock-broker".into()).spawn(move || server.run())?;
        Ok(Self { cluster, faults, commands, waker, thread: Some(thread), ports })
    }

    /// `host:port` of every node, running or not, with commas: for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.ports.iter().map(|port| format!("{}:{port}", builder::HOST)).collect::<Vec<_>>().join(",")
    }

    /// The fault switches.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What has been received up to now.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.lock())
    }

    /// The records of a partition that are stored now, oldest first; none if there is no such partition.
    pub fn records(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let cluster = self.lock();
        let partition = cluster.by_name(topic).and_then(|number| cluster.partition(number, partition));
        partition.map(|partition| partition.log.records()).unwrap_or_default()
    }

    /// Makes a topic, its leaders spread over the running nodes.
    ///
    /// # Errors
    /// If there is one, or Kafka takes no such name.
    pub fn create_topic(&self, name: &str, partitions: u32) -> Result<(), ClusterError> {
        let mut cluster = self.lock();
        if cluster.by_name(name).is_some() {
            return Err(ClusterError::TopicExists(name.to_owned()));
        }
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        match cluster.create_topic(name, partitions) {
            Ok(_) => Ok(()),
            Err(_) => Err(ClusterError::InvalidTopicName(name.to_owned())),
        }
    }

    /// Deletes a topic with all that is in it. Made again, it has another topic id.
    ///
    /// # Errors
    /// If there is no such topic.
    pub fn delete_topic(&self, name: &str) -> Result<(), ClusterError> {
        let deleted = self.lock().delete_topic(name);
        if deleted { Ok(()) } else { Err(ClusterError::NotFound(format!("topic {name:?}"))) }
    }

    /// Gives a partition to a node (ids count from 1), with a new leader epoch.
    ///
    /// # Errors
    /// If there is no such topic, partition or node.
    pub fn set_leader(&self, topic: &str, partition: i32, node: i32) -> Result<(), ClusterError> {
        let mut cluster = self.lock();
        let set = cluster.by_name(topic).is_some_and(|number| cluster.set_leader(number, partition, node));
        if set { Ok(()) } else { Err(ClusterError::NotFound(format!("partition {topic}-{partition} or node {node}"))) }
    }

    /// Takes a node away: its port closes, its connections break, its partitions move to nodes that run. The log stays.
    /// When it returns the node is gone. A node that is stopped stays so.
    ///
    /// # Errors
    /// If the broker's thread has ended.
    pub fn stop_node(&self, node: i32) -> Result<(), ClusterError> {
        self.ask(|done| Command::StopNode(node, done))
    }

    /// Brings a node back on its port. It leads nothing until leaders move, unless no other node runs.
    ///
    /// # Errors
    /// If there is no such node, or its port has been taken meanwhile, or the broker's thread has ended.
    pub fn start_node(&self, node: i32) -> Result<(), ClusterError> {
        Ok(self.ask(|done| Command::StartNode(node, done))??)
    }

    /// Closes all connections and ports and says what was received.
    pub fn stop(mut self) -> Summary {
        self.shut_down();
        self.summary()
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, ClusterError> {
        let (done, answer) = mpsc::channel();
        self.commands.send(command(done)).map_err(|_| ClusterError::Stopped)?;
        self.waker.wake().map_err(|_| ClusterError::Stopped)?;
        answer.recv().map_err(|_| ClusterError::Stopped)
    }

    fn shut_down(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Both fail only if the thread has ended already.
            let _ = self.commands.send(Command::Stop);
            let _ = self.waker.wake();
            if thread.join().is_err() {
                tracing::error!("the mock broker's thread panicked");
            }
            self.lock().open_connections = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MockBroker {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// The README's example compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
