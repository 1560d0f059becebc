//! One KRaft node (broker and controller) of a real Kafka, on loopback, with a folder of its own: alone or in a quorum.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::java::Kafka;

/// The line that a node logs when it serves clients.
const STARTED: &str = "Kafka Server started";
/// Any valid id will do: every cluster here is one of its own.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// A start takes 2–4 s; past this something hangs.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Where one node listens.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    /// Clients under test.
    pub(crate) client: u16,
    /// Where those clients are sent: the same, or a proxy.
    pub(crate) advertised: u16,
    /// Other brokers, admin tools and readers, past any proxy.
    pub(crate) internal: u16,
    pub(crate) controller: u16,
}

/// What a node has beside the usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// Lines of server.properties; they win over those above them.
    pub(crate) properties: String,
    /// Users of SCRAM, as `StorageTool` takes them.
    pub(crate) users: Vec<String>,
}

impl Ports {
    /// For `count` nodes. Held together, so that all differ.
    pub(crate) fn free(count: usize) -> Vec<Self> {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let held: Vec<[TcpListener; 3]> = (0..count).map(|_| [bind(), bind(), bind()]).collect();
        let port = |held: &TcpListener| held.local_addr().expect("a bound listener has an address").port();
        held.iter()
            .map(|[a, b, c]| Ports { client: port(a), advertised: port(a), internal: port(b), controller: port(c) })
            .collect()
    }
}

/// A node, running or not. Dropping it ends it and removes its folder, unless the test is failing: then the folder stays and is named.
pub(crate) struct Node {
    kafka: Kafka,
    heap: &'static str,
    folder: PathBuf,
    starts: u32,
    java: Option<Child>,
}

impl Node {
    /// Node `id` (from 1) of a cluster of all `ports`, formatted and not started.
    pub(crate) fn format(kafka: &Kafka, heap: &'static str, id: usize, ports: &[Ports]) -> Self {
        Self::format_with(kafka, heap, id, ports, &Extra::default())
    }

    /// The same with more settings.
    pub(crate) fn format_with(kafka: &Kafka, heap: &'static str, id: usize, ports: &[Ports], extra: &Extra) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kafka-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the broker");
        let settings = folder.join("server.properties");
        let properties = server_properties(id, ports, &folder.join("data")) + &extra.properties;
        fs::write(&settings, properties).expect("server.properties");
        let mut format = kafka.java("kafka.tools.StorageTool");
        let made = format
            .args(["format", "-t", CLUSTER_ID, "-c"])
            .arg(&settings)
            .args(extra.users.iter().flat_map(|user| ["--add-scram", user]))
            .output()
            .expect("java runs");
        assert!(made.status.success(), "StorageTool: {}", String::from_utf8_lossy(&made.stderr));
        Self { kafka: kafka.clone(), heap, folder, starts: 0, java: None }
    }

    /// Starts the process; `await_started` waits for the rest.
    pub(crate) fn spawn(&mut self) -> Result<(), String> {
        self.starts += 1;
        let out = File::create(self.log()).map_err(|e| e.to_string())?;
        let err = out.try_clone().map_err(|e| e.to_string())?;
        let mut java = self.kafka.java_with("Broker", self.heap);
        java.arg(self.folder.join("server.properties"));
        // The broker ends when this end of its standard input closes: see Broker.java.
        let child = java.stdin(Stdio::piped()).stdout(out).stderr(err).spawn().map_err(|e| e.to_string())?;
        self.java = Some(child);
        Ok(())
    }

    /// Waits until the node serves clients. A node that is one of several does so only once a quorum is up.
    pub(crate) fn await_started(&mut self) -> Result<(), String> {
        let hung = Instant::now() + START_LIMIT;
        loop {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            if said.contains(STARTED) {
                return Ok(());
            }
            let ended = self.java.as_mut().map_or(Ok(None), Child::try_wait).map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > hung {
                self.kill9();
                return Err(format!("{ended:?}\n{said}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the node as a power cut would end it: SIGKILL, no shutdown. What it had written stays in the page cache.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut java) = self.java.take() {
            java.kill().expect("the broker can be killed");
            java.wait().expect("the broker can be waited for");
        }
    }

    /// Starts the ended node again, with the same data and the same ports.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        // A connection that took the port in between gives it back; anything longer is a failure.
        for attempt in 1..=5 {
            match self.spawn().and_then(|()| self.await_started()) {
                Ok(()) => return,
                Err(why) if attempt < 5 => eprintln!("restart {attempt} failed, once more: {why}"),
                Err(why) => panic!("the broker does not come back: {why}"),
            }
        }
    }

    /// Asks the node to end in order (SIGTERM); kills it where it takes too long.
    pub(crate) fn shut_down(&mut self, limit: Duration) {
        self.signal(Signal::TERM);
        let late = Instant::now() + limit;
        while let Some(java) = self.java.as_mut() {
            if java.try_wait().expect("the broker can be waited for").is_some() || Instant::now() > late {
                self.kill9();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGSTOP, SIGCONT or SIGTERM.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(java) = &self.java else { return };
        let pid = i32::try_from(java.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("broker-{}.log", self.starts))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut java) = self.java.take() {
            let _ = java.kill();
            let _ = java.wait();
        }
        if thread::panicking() {
            eprintln!("the broker's folder is kept: {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Not the defaults: a killed broker may come back only when its old session is over, so the session is short (or each restart
/// would take 12 s); tests choose timestamps long past and far ahead, so nothing is too old to keep or too new to take; few
/// threads, as several nodes share a small machine; an election of controllers is soon, as they die often here.
fn server_properties(id: usize, all: &[Ports], data: &Path) -> String {
    let Ports { client, advertised, internal, controller } = &all[id - 1];
    let mut voters = String::new();
    for (at, ports) in all.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(voters, "{comma}{}@127.0.0.1:{}", at + 1, ports.controller);
    }
    let copies = all.len().min(3);
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=1500
controller.listener.names=CONTROLLER
listeners=CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{advertised},INTERNAL://127.0.0.1:{internal}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=4000
num.io.threads=2
num.network.threads=1
log.cleaner.enable=false
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
",
        data.display()
    )
}
