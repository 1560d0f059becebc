//! A real Kafka broker for a test: one KRaft node from Maven's jars.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::java::{Kafka, there};
use super::node::{Extra, Node, Ports};

/// A running broker; it ends when it is dropped.
pub(crate) struct KafkaBroker {
    kafka: Kafka,
    ports: Ports,
    node: Node,
}

impl KafkaBroker {
    /// A broker of the test's own, or `None`, loudly, where Java or Maven is missing.
    ///
    /// # Panics
    /// If the broker cannot be started although the tools are there, or if they are missing and `FOREBAY_REQUIRE_KAFKA=1`.
    pub(crate) fn start() -> Option<Self> {
        Some(Self::of(&there(Kafka::pinned())?, None))
    }

    /// A broker of one version of Kafka, whose clients are sent to the port `advertised`, such as that of a proxy.
    ///
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn of(kafka: &Kafka, advertised: Option<u16>) -> Self {
        Self::with(kafka, advertised, &Extra::default())
    }

    /// The same with more settings: those of the listener `CLIENT` are for the producer under test.
    ///
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn with(kafka: &Kafka, advertised: Option<u16>, extra: &Extra) -> Self {
        // The ports are free when the system names them; another program may still take one before Java does.
        for attempt in 1.. {
            let mut ports = Ports::free(1);
            if let Some(advertised) = advertised {
                ports[0].advertised = advertised;
            }
            let mut node = Node::format_with(kafka, "-Xmx512m", 1, &ports, extra);
            match node.spawn().and_then(|()| node.await_started()) {
                Ok(()) => return Self { kafka: kafka.clone(), ports: ports.remove(0), node },
                Err(why) if attempt < 3 => eprintln!("broker start {attempt} failed, once more: {why}"),
                Err(why) => panic!("the broker does not start: {why}"),
            }
        }
        unreachable!("the loop ends by returning or by panicking")
    }

    /// One broker for all tests that leave it alone; it ends with the last of them.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<KafkaBroker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    pub(crate) fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// `host:port`, for `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    /// The same past any proxy, for readers and tools.
    pub(crate) fn direct(&self) -> String {
        format!("127.0.0.1:{}", self.ports.internal)
    }

    /// Where a proxy is to pass connections on to.
    pub(crate) fn client_port(&self) -> u16 {
        self.ports.client
    }

    /// Makes a topic and waits until it can be written to.
    pub(crate) fn create_topic(&self, name: &str, partitions: u32) {
        self.create_topics(&[&format!("{name}:{partitions}")]);
    }

    /// The same for several, as `NAME:PARTITIONS`.
    pub(crate) fn create_topics(&self, topics: &[&str]) {
        let made = self.kafka.java("Topics").arg(self.direct()).args(topics).output().expect("java runs");
        assert!(made.status.success(), "{topics:?}: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// Ends the broker as a power cut would end it.
    pub(crate) fn kill9(&mut self) {
        self.node.kill9();
    }

    /// Starts the killed broker again, with the same data and the same port.
    pub(crate) fn restart(&mut self) {
        self.node.restart();
    }
}
