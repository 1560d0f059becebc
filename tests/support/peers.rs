//! Clusters and readers of other clients: franz-go (Go) and librdkafka and kafka-python (Python), from `tests/kafka/interop`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use super::java::{Kafka, sources};
use super::proxy::Proxy;
use super::readers::{ConsumedRecord, dumped, lines, parse_dump, read_java};

/// The Go program and the Python that has the clients.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    go: PathBuf,
    python: PathBuf,
}

impl Tools {
    /// Built and installed once per test program; or why that cannot be.
    pub(crate) fn made() -> Result<Self, String> {
        static MADE: OnceLock<Result<Tools, String>> = OnceLock::new();
        MADE.get_or_init(|| Ok(Self { go: go_program()?, python: python()? })).clone()
    }
}

fn folder() -> PathBuf {
    sources().join("interop")
}

fn ok(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let done = command.stdin(Stdio::null()).output().map_err(|e| format!("{name} cannot be run: {e}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{name}: {}\n{said}", done.status)) }
}

/// Versions are those of go.mod and go.sum.
fn go_program() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    ok(Command::new("go").current_dir(folder()).args(["build", "-mod=readonly", "-o"]).arg(&program).arg("."))?;
    Ok(program)
}

/// A virtual environment with what requirements.txt pins, made again when that changes.
fn python() -> Result<PathBuf, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let program = environment.join("bin/python");
    let (wanted, installed) = (folder().join("requirements.txt"), environment.join("installed.txt"));
    let text = fs::read(&wanted).map_err(|e| format!("{}: {e}", wanted.display()))?;
    if fs::read(&installed).is_ok_and(|have| have == text) {
        return Ok(program);
    }
    ok(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    ok(Command::new(&program)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&wanted))?;
    fs::write(&installed, text).map_err(|e| format!("{}: {e}", installed.display()))?;
    Ok(program)
}

/// Who reads a topic back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Java,
    FranzGo,
    Librdkafka,
    KafkaPython,
}

impl Reader {
    pub(crate) const ALL: [Reader; 4] = [Reader::Java, Reader::FranzGo, Reader::Librdkafka, Reader::KafkaPython];

    /// Every record of a topic, by partition and offset.
    pub(crate) fn read(self, tools: &Tools, kafka: &Kafka, bootstrap: &str, topic: &str) -> Vec<ConsumedRecord> {
        let mut records = Vec::new();
        let mut each = |line: &str| {
            records.push(parse_dump(line).unwrap_or_else(|| panic!("{self:?} printed: {line}")));
        };
        let script = folder().join("read.py");
        match self {
            Reader::Java => read_java(kafka, bootstrap, topic, |record| records.push(record)),
            Reader::FranzGo => lines(Command::new(&tools.go).args(["read", bootstrap, topic]), b"", each),
            Reader::Librdkafka | Reader::KafkaPython => {
                let client = if self == Reader::Librdkafka { "librdkafka" } else { "kafka-python" };
                lines(Command::new(&tools.python).arg(script).args([client, bootstrap, topic]), b"", &mut each);
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }
}

/// Who sends, compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Java,
    FranzGo,
    Librdkafka,
    KafkaPython,
}

impl Writer {
    pub(crate) const ALL: [Writer; 4] = [Writer::Java, Writer::FranzGo, Writer::Librdkafka, Writer::KafkaPython];

    /// kafka-python refuses a record with neither key nor value, and a header without a value.
    pub(crate) fn takes(self, record: &ConsumedRecord) -> bool {
        let whole = record.key.is_some() || record.value.is_some();
        self != Writer::KafkaPython || (whole && record.headers.iter().all(|header| header.1.is_some()))
    }

    /// Sends records to the partitions that they name; all are acknowledged when it returns.
    pub(crate) fn send(self, tools: &Tools, kafka: &Kafka, to: [&str; 3], records: &[ConsumedRecord]) {
        let input: String = records.iter().map(dumped).collect();
        let script = folder().join("send.py");
        let mut command = match self {
            Writer::Java => kafka.java("Send"),
            Writer::FranzGo => Command::new(&tools.go),
            Writer::Librdkafka | Writer::KafkaPython => Command::new(&tools.python),
        };
        match self {
            Writer::Java => &mut command,
            Writer::FranzGo => command.arg("send"),
            Writer::Librdkafka => command.arg(script).arg("librdkafka"),
            Writer::KafkaPython => command.arg(script).arg("kafka-python"),
        };
        lines(command.args(to), input.as_bytes(), |line| eprintln!("{self:?}: {line}"));
    }
}

/// A cluster in another process, with a proxy in front of each broker. Ends with its value.
pub(crate) struct Fake {
    child: Child,
    orders: ChildStdin,
    pub(crate) proxies: Vec<Proxy>,
}

impl Fake {
    /// franz-go's kfake.
    pub(crate) fn kfake(tools: &Tools, topics: &[&str]) -> Self {
        Self::start(Command::new(&tools.go).arg("fake"), topics)
    }

    /// librdkafka's mock cluster.
    pub(crate) fn librdkafka(tools: &Tools, topics: &[&str]) -> Self {
        Self::start(Command::new(&tools.python).arg(folder().join("mock.py")), topics)
    }

    fn start(command: &mut Command, topics: &[&str]) -> Self {
        let proxies: Vec<Proxy> = (0..3).map(|_| Proxy::new()).collect();
        let ports: Vec<String> = proxies.iter().map(|proxy| proxy.port().to_string()).collect();
        command.arg(ports.join(",")).args(topics).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the cluster starts");
        let orders = child.stdin.take().expect("stdin is a pipe");
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        out.read_line(&mut said).expect("the cluster speaks");
        let fake = Self { child, orders, proxies }; // from here on it ends with its value
        let behind: Vec<u16> = said.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        assert_eq!(behind.len(), fake.proxies.len(), "the cluster names its ports: {said:?}");
        for (proxy, port) in fake.proxies.iter().zip(behind) {
            proxy.pass_to(port);
        }
        fake
    }

    /// The next produce requests are answered with an error.
    pub(crate) fn trouble(&mut self) {
        writeln!(self.orders, "trouble").expect("the cluster listens");
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
