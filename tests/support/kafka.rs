//! A real Kafka broker for a test: one KRaft node (broker and controller) from Maven's jars, on loopback, with a folder of its own.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Set to 1 where a missing Java or Maven is a failure, not a reason to skip.
const REQUIRE: &str = "FOREBAY_REQUIRE_KAFKA";
/// The line that the broker logs when it serves clients.
const STARTED: &str = "Kafka Server started";
/// Any valid id will do: every broker here is a cluster of its own.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// A start takes 2–4 s; past this something hangs.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A running broker. Dropping it ends it and removes its folder, unless the test is failing: then the folder stays and is named.
pub(crate) struct KafkaBroker {
    folder: PathBuf,
    port: u16,
    starts: u32,
    java: Option<Child>,
}

impl KafkaBroker {
    /// A broker of the test's own, or `None`, loudly, where Java or Maven is missing.
    ///
    /// # Panics
    /// If the broker cannot be started although the tools are there, or if they are missing and `FOREBAY_REQUIRE_KAFKA=1`.
    pub(crate) fn start() -> Option<Self> {
        if let Err(missing) = jars() {
            assert!(env::var_os(REQUIRE).is_none_or(|v| v != "1"), "{REQUIRE}=1, but there is no Kafka: {missing}");
            eprintln!("\n*** NOT RUN: this test needs a real Kafka, and there is none: {missing}\n");
            return None;
        }
        // The ports are free when the system names them; another program may still take one before Java does.
        for attempt in 1.. {
            let mut broker = Self::format();
            match broker.launch() {
                Ok(()) => return Some(broker),
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

    /// `host:port`, for `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes a topic and waits until it can be written to.
    pub(crate) fn create_topic(&self, name: &str, partitions: u32) {
        let made =
            java("Topics").arg(self.bootstrap()).arg(format!("{name}:{partitions}")).output().expect("java runs");
        assert!(made.status.success(), "topic {name}: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// Ends the broker as a power cut would end it: SIGKILL, no shutdown. What it had written stays in the page cache.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut java) = self.java.take() {
            java.kill().expect("the broker can be killed");
            java.wait().expect("the broker can be waited for");
        }
    }

    /// Starts the killed broker again, with the same data and the same port.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        // A connection that took the port in between gives it back; anything longer is a failure.
        for attempt in 1..=5 {
            match self.launch() {
                Ok(()) => return,
                Err(why) if attempt < 5 => eprintln!("restart {attempt} failed, once more: {why}"),
                Err(why) => panic!("the broker does not come back: {why}"),
            }
        }
    }

    fn format() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kafka-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the broker");
        let [port, controller] = free_ports();
        let data = folder.join("data");
        let settings = folder.join("server.properties");
        fs::write(&settings, server_properties(port, controller, &data)).expect("server.properties");
        let made = java("kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER_ID, "-c"])
            .arg(&settings)
            .output()
            .expect("java runs");
        assert!(made.status.success(), "StorageTool: {}", String::from_utf8_lossy(&made.stderr));
        Self { folder, port, starts: 0, java: None }
    }

    fn launch(&mut self) -> Result<(), String> {
        self.starts += 1;
        let log = self.folder.join(format!("broker-{}.log", self.starts));
        let out = File::create(&log).map_err(|e| e.to_string())?;
        let err = out.try_clone().map_err(|e| e.to_string())?;
        let mut child = java("Broker")
            .arg(self.folder.join("server.properties"))
            .stdin(Stdio::piped()) // the broker ends when this end closes: see Broker.java
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| e.to_string())?;
        let hung = Instant::now() + START_LIMIT;
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if said.contains(STARTED) {
                self.java = Some(child);
                return Ok(());
            }
            let ended = child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > hung {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{ended:?}\n{said}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for KafkaBroker {
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

/// A Java program of Kafka's or of `tests/kafka`, by class name. Call only where `jars()` has been found.
pub(crate) fn java(class: &str) -> Command {
    let path = jars().as_ref().expect("the jars have been fetched");
    let mut command = Command::new(java_program("java"));
    command
        .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"])
        .arg(format!("-Dlog4j2.configurationFile=file:{}", sources().join("log4j2.properties").display()))
        .arg("-cp")
        .arg(path)
        .arg(class)
        .stdin(Stdio::null());
    command
}

/// The class path, fetched once per test program; or why there is none.
fn jars() -> &'static Result<OsString, String> {
    static JARS: OnceLock<Result<OsString, String>> = OnceLock::new();
    JARS.get_or_init(|| {
        for tool in [java_program("java"), java_program("javac"), "mvn".into()] {
            let found = Command::new(&tool).arg("-version").stdin(Stdio::null()).output();
            if !found.is_ok_and(|output| output.status.success()) {
                return Err(format!("{} cannot be run", tool.display()));
            }
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".kafka");
        let fetched = Command::new("bash").arg(sources().join("fetch.sh")).arg(&folder).stdin(Stdio::null()).output();
        let fetched = fetched.map_err(|e| format!("bash: {e}"))?;
        if !fetched.status.success() {
            return Err(format!("fetch.sh failed:\n{}", String::from_utf8_lossy(&fetched.stderr)));
        }
        let version = kafka_version();
        let mut path = OsString::from(folder.join(&version).join("*"));
        path.push(":");
        path.push(folder.join(format!("{version}-classes")));
        Ok(path)
    })
}

fn kafka_version() -> String {
    let pom = fs::read_to_string(sources().join("pom.xml")).expect("pom.xml is readable");
    let after = pom.split("<kafka.version>").nth(1).expect("pom.xml names a version");
    after.split('<').next().unwrap_or_default().to_owned()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka")
}

fn java_program(name: &str) -> PathBuf {
    env::var_os("JAVA_HOME").map_or_else(|| name.into(), |home| Path::new(&home).join("bin").join(name))
}

/// Held together, so that the two differ.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("a bound listener has an address").port())
}

/// Not the defaults: a killed broker may come back only when its old session is over, so the session is short (or each restart
/// would take 12 s); tests choose timestamps long past and far ahead, so nothing is too old to keep or too new to take.
fn server_properties(port: u16, controller: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
",
        data.display()
    )
}
