//! A TCP proxy that misbehaves on request: what networks do to a producer on a bad day.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How soon a pump sees that the weather has changed.
const TICK: Duration = Duration::from_millis(10);

/// What a proxy does to its connections for as long as it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Passes everything on.
    Fair,
    /// Every piece comes late by this much.
    Slow(Duration),
    /// Nothing passes, either way; connections stay open and what was sent waits.
    Stalled,
    /// The broker's end is closed; the client's stays open, silent, and takes what it is given.
    HalfOpen,
    /// Requests pass, answers do not: the broker has appended what the client must think lost. The connections are cut at the end.
    AnswersLost,
    /// The next piece of each connection is cut in half and the connection with it.
    CutInMidFrame,
    /// New connections are closed at once, the old ones too.
    Refused,
}

struct Shared {
    upstream: AtomicU16,
    weather: Mutex<Weather>,
    /// Connections of an older generation are cut.
    generation: AtomicU64,
    accepted: AtomicU64,
    ended: AtomicBool,
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on a port of its own and passes connections on to a broker. Ends with its value.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// To a broker on loopback; `upstream` may be set later, where the broker must know the proxy's port first.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(0),
            weather: Mutex::new(Weather::Fair),
            generation: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let listener = thread::spawn(move || accept(&listener, &theirs));
        Self { port, shared, listener: Some(listener) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pass_to(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Closes every connection there is.
    pub(crate) fn cut(&self) {
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections taken so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut pumps: Vec<JoinHandle<()>> = Vec::new();
    while !shared.ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if shared.weather() != Weather::Refused {
                    pumps.extend(connect(client, shared));
                }
            }
            Err(_) => thread::sleep(TICK / 2),
        }
        pumps.retain(|pump| !pump.is_finished());
    }
    for pump in pumps {
        let _ = pump.join();
    }
}

/// A pump each way. A broker that is not there closes the client's connection, as its own system would refuse it.
fn connect(client: TcpStream, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let upstream = shared.upstream.load(Ordering::Relaxed);
    let ends = || -> io::Result<_> {
        let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
        for end in [&client, &broker] {
            end.set_nonblocking(false)?;
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(TICK))?;
            end.set_write_timeout(Some(TICK))?;
        }
        Ok([(client.try_clone()?, broker.try_clone()?), (broker, client)])
    };
    let Ok([requests, answers]) = ends() else { return Vec::new() };
    let generation = shared.generation.load(Ordering::Relaxed);
    [(requests, false), (answers, true)]
        .into_iter()
        .map(|((from, to), answers)| {
            let pump = Pump { from, to, answers, shared: Arc::clone(shared), generation };
            thread::spawn(move || pump.run())
        })
        .collect()
}

struct Pump {
    from: TcpStream,
    to: TcpStream,
    /// From the broker to the client.
    answers: bool,
    shared: Arc<Shared>,
    generation: u64,
}

impl Pump {
    fn run(mut self) {
        let _ = self.pass(); // an error ends the connection, as it does without a proxy
        for end in [&self.from, &self.to] {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn over(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed) || self.shared.generation.load(Ordering::Relaxed) != self.generation
    }

    fn pass(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        let mut lossy = false;
        while !self.over() {
            let weather = self.shared.weather();
            match weather {
                Weather::Stalled => {
                    thread::sleep(TICK);
                    continue;
                }
                Weather::Refused => return Ok(()),
                Weather::HalfOpen => return self.hold(),
                // A stream that has lost bytes makes no sense any more.
                Weather::Fair | Weather::Slow(_) | Weather::CutInMidFrame if lossy => return Ok(()),
                _ => {}
            }
            let len = match self.from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(len) => len,
                Err(e) if waits(&e) => continue,
                Err(e) => return Err(e),
            };
            match self.shared.weather() {
                Weather::AnswersLost if self.answers => lossy = true,
                Weather::CutInMidFrame => return self.write(&piece[..len / 2]),
                Weather::Slow(by) => {
                    thread::sleep(by);
                    self.write(&piece[..len])?;
                }
                _ => self.write(&piece[..len])?,
            }
        }
        Ok(())
    }

    /// The broker's end closes; the client's stays open for as long as the weather lasts, and what the client sends goes nowhere.
    fn hold(&mut self) -> io::Result<()> {
        let (client, broker) = if self.answers { (&self.to, &self.from) } else { (&self.from, &self.to) };
        let _ = broker.shutdown(Shutdown::Both);
        let mut client = client;
        let mut piece = [0; 16 * 1024];
        while !self.over() && self.shared.weather() == Weather::HalfOpen {
            // Both pumps read here: between them the client's bytes vanish.
            match client.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if waits(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes all of it; a peer that does not read is waited for until the connection is cut.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.over() {
            match self.to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => bytes = &bytes[len..],
                Err(e) if waits(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
