//! A real Kafka: one KRaft node from the jars that the tests use, in a folder of its own.

use crate::drivers::{folder, jars, java, root};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running broker; it ends when it is dropped.
pub(crate) struct Kafka {
    java: Child,
    port: u16,
    folder: PathBuf,
}

impl Kafka {
    pub(crate) fn start() -> Result<Self, String> {
        let folder = folder().join(format!("kafka-{}", std::process::id()));
        let failed = |why: std::io::Error| format!("Kafka: {why}");
        fs::create_dir_all(&folder).map_err(failed)?;
        let free = || -> std::io::Result<TcpListener> { TcpListener::bind("127.0.0.1:0") };
        let held = [free().map_err(failed)?, free().map_err(failed)?];
        let [port, controller] =
            held.each_ref().map(|listener| listener.local_addr().map_or(0, |address| address.port()));
        drop(held);
        let settings = folder.join("server.properties");
        let data = folder.join("data");
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\nauto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\nlog.cleaner.enable=false\n",
            data.display()
        );
        fs::write(&settings, properties).map_err(failed)?;
        let class_path = jars(&root());
        let mut format = Command::new(java("java"));
        format.args(["-cp", &class_path, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]);
        let made = format.arg(&settings).stdin(Stdio::null()).output().map_err(failed)?;
        if !made.status.success() {
            return Err(format!("Kafka's StorageTool: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let log = folder.join("broker.log");
        let out = fs::File::create(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let configuration = root().join("tests/kafka/log4j2.properties");
        let mut command = Command::new(java("java"));
        command.arg(format!("-Dlog4j2.configurationFile={}", configuration.display()));
        // It ends when this end of its standard input closes: see Broker.java.
        command.args(["-Xmx1g", "-cp", &class_path, "Broker"]).arg(&settings).stdin(Stdio::piped());
        let java = command.stdout(out).stderr(err).spawn().map_err(failed)?;
        let mut kafka = Self { java, port, folder };
        let late = Instant::now() + START_LIMIT;
        while !fs::read_to_string(&log).unwrap_or_default().contains("Kafka Server started") {
            if Instant::now() > late || kafka.java.try_wait().map_err(failed)?.is_some() {
                return Err(format!("Kafka does not start: {}", fs::read_to_string(&log).unwrap_or_default()));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(kafka)
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes a topic and waits until it can be written to.
    pub(crate) fn create_topic(&self, name: &str, partitions: u32) -> Result<(), String> {
        let mut command = Command::new(java("java"));
        command.args(["-cp", &jars(&root()), "Topics", &self.bootstrap(), &format!("{name}:{partitions}")]);
        let made = command.stdin(Stdio::null()).output().map_err(|why| format!("Topics: {why}"))?;
        if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let _ = self.java.kill();
        let _ = self.java.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
