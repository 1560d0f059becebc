//! Builds the drivers, and says loudly which cannot be had.

use crate::peers::{Peer, Tuning};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The drivers that are there.
pub(crate) struct Drivers {
    root: PathBuf,
    built: BTreeMap<Peer, PathBuf>,
    /// Who cannot take part, and why.
    pub(crate) missing: Vec<(Peer, String)>,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where drivers and results go.
pub(crate) fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("peers")
}

/// A program that cargo has put beside this one.
pub(crate) fn beside(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name(name)
}

impl Drivers {
    /// Builds those that are asked for, or trusts that they are built. `timed`: for speed, whatever profile this program has.
    pub(crate) fn of(peers: &[Peer], build: bool, timed: bool) -> Self {
        let mut drivers = Self { root: root(), built: BTreeMap::new(), missing: Vec::new() };
        for peer in peers {
            match drivers.make(*peer, build, timed) {
                Ok(path) => {
                    drivers.built.insert(*peer, path);
                }
                Err(why) => {
                    eprintln!("SKIPPED {}: {why}", peer.name());
                    drivers.missing.push((*peer, why));
                }
            }
        }
        drivers
    }

    pub(crate) fn has(&self, peer: Peer) -> bool {
        self.built.contains_key(&peer)
    }

    fn make(&self, peer: Peer, build: bool, timed: bool) -> Result<PathBuf, String> {
        let sources = self.root.join("benches/peers/drivers");
        let path = match peer {
            Peer::Forebay => beside("peer-forebay"),
            Peer::Kernel | Peer::Bytes | Peer::Rings => beside("peer-kernel"),
            Peer::Driver => beside("peer-driver"),
            Peer::Librdkafka => {
                // librdkafka itself as well, whose C code cargo's profile optimises or not.
                let (options, profile): (&[_], _) = if timed { (&["--release"], "release") } else { (&[], "debug") };
                let target = folder().join("rdkafka");
                if build {
                    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                    cargo.args(["build", "--quiet", "--locked"]).args(options).arg("--target-dir").arg(&target);
                    cargo.arg("--manifest-path").arg(sources.join("rdkafka/Cargo.toml"));
                    if Path::new("/usr/include/openssl/ssl.h").exists() {
                        cargo.args(["--features", "tls"]);
                    }
                    succeeds(&mut cargo)?;
                }
                target.join(profile).join("forebay-peer-rdkafka")
            }
            Peer::FranzGo => {
                let program = folder().join("peer-franz-go");
                if build {
                    let mut go = Command::new("go");
                    go.current_dir(sources.join("go")).args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".");
                    succeeds(&mut go)?;
                }
                program
            }
            Peer::Java => {
                let classes = folder().join("java");
                if build {
                    // The jars of the broker that the tests start: the producer is one of them.
                    succeeds(Command::new("bash").arg(self.root.join("tests/kafka/fetch.sh")))?;
                    let mut javac = Command::new(java("javac"));
                    javac.args(["-nowarn", "-cp"]).arg(jars(&self.root)).arg("-d").arg(&classes);
                    succeeds(javac.arg(sources.join("java/JavaDriver.java")))?;
                }
                classes
            }
        };
        if path.exists() { Ok(path) } else { Err(format!("{} is not built", path.display())) }
    }

    /// The driver as a command, to be given its job.
    pub(crate) fn command(&self, peer: Peer, tuning: Tuning) -> Command {
        let path = self.built.get(&peer).cloned().unwrap_or_default();
        if peer != Peer::Java {
            let mut command = Command::new(path);
            if peer == Peer::Rings {
                // Huge pages for its rings, which forebay's memory has.
                command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
            }
            return command;
        }
        let mut command = Command::new(java("java"));
        if tuning == Tuning::Tuned {
            command.args(["-XX:+UseParallelGC", "-Xmx512m"]);
        }
        let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off";
        command.arg(quiet).arg("-cp").arg(format!("{}:{}", jars(&self.root), path.display())).arg("JavaDriver");
        command
    }
}

/// A program of the JDK.
pub(crate) fn java(name: &str) -> PathBuf {
    std::env::var_os("JAVA_HOME").map_or_else(|| name.into(), |home| Path::new(&home).join("bin").join(name))
}

/// The class path of Kafka's jars.
pub(crate) fn jars(root: &Path) -> String {
    let pom = std::fs::read_to_string(root.join("tests/kafka/pom.xml")).unwrap_or_default();
    let version = pom.split("<kafka.version>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("4.2.0");
    let folder = root.join(".kafka").join(version);
    format!("{0}/*:{0}-classes", folder.display())
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    eprintln!("building with {name}");
    let done = command.stdin(Stdio::null()).output().map_err(|why| format!("{name} cannot be run: {why}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{name}: {}: {}", done.status, said.trim())) }
}
