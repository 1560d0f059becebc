//! Switches that make the broker misbehave, at start or while it runs.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Which Produce requests a fault strikes, counted from when it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The next so many, then no more.
    Next(u64),
    /// Every n-th: `Every(1)` is each one. 0 is never.
    Every(u64),
}

/// One fault. Its text form (see [`FaultSpec::FORMS`]) parses with [`FromStr`] and is what `Display` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultSpec {
    /// Answer every partition of a Produce request with this error code.
    ProduceError {
        /// The Kafka error code.
        code: i16,
        /// Which requests.
        when: When,
        /// Append first: the client is told of a failure that did not happen.
        after_append: bool,
    },
    /// Close the connection instead of answering a Produce request.
    DropConnection {
        /// Which requests.
        when: When,
        /// Append first: only the answer is lost.
        after_append: bool,
    },
    /// Move the leaders of a Produce request's partitions to the next running node before looking at it.
    LeaderMove(When),
    /// Answer a Produce request with random bytes of the right length, behind a right correlation id.
    Garbage(When),
    /// Send half of the answer to a Produce request, then close the connection.
    Truncate(When),
    /// Hold every answer back for so long.
    Delay(Duration),
    /// Ask the client to be slower: `throttle_time_ms` of Produce answers. Nothing else happens.
    Throttle(Duration),
    /// Write at most so many bytes at once.
    ShortWrites(usize),
    /// Read nothing from any connection until it is lifted.
    StallReads,
    /// Read and append, but send nothing until it is lifted.
    StallResponses,
    /// Read nothing from the connections of one node (ids count from 1) until it is lifted.
    StallNode(i32),
    /// Close new connections at once.
    RejectConnections,
}

impl FaultSpec {
    /// The forms that parse, for help texts. `WHEN` is `every=N` or `next=N` (default `every=1`); `:` and `=` may both
    /// stand inside.
    pub const FORMS: &'static [&'static str] = &[
        "produce-error=CODE[:WHEN][:after-append]",
        "drop-connection[=WHEN][:after-append]",
        "leader-move[=WHEN]",
        "garbage[=WHEN]",
        "truncate[=WHEN]",
        "delay-ms=N",
        "throttle-ms=N",
        "short-writes=N",
        "stall-reads",
        "stall-responses",
        "stall-node=N",
        "reject-connections",
    ];
}

/// A text is not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} in fault {text:?}; the forms are: {}; WHEN is every=N or next=N", FaultSpec::FORMS.join(", "))]
pub struct ParseFaultError {
    text: String,
    reason: String,
}

/// The words of a fault's text after its name.
struct Words<'a> {
    text: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn error(&self, reason: impl Into<String>) -> ParseFaultError {
        ParseFaultError { text: self.text.to_owned(), reason: reason.into() }
    }

    fn next(&mut self) -> Option<&'a str> {
        if self.words.is_empty() { None } else { Some(self.words.remove(0)) }
    }

    fn number<N: FromStr>(&mut self, what: &str) -> Result<N, ParseFaultError> {
        let word = self.next().ok_or_else(|| self.error(format!("{what} is missing")))?;
        word.parse().map_err(|_| self.error(format!("{word:?} is not {what}")))
    }

    fn when(&mut self) -> Result<When, ParseFaultError> {
        let make: fn(u64) -> When = match self.words.first() {
            Some(&"every") => When::Every,
            Some(&"next") => When::Next,
            _ => return Ok(When::Every(1)),
        };
        self.next();
        match self.number("a count")? {
            0 => Err(self.error("a count of 0")),
            count => Ok(make(count)),
        }
    }

    fn after_append(&mut self) -> bool {
        match self.words.first() {
            Some(&"after-append") => self.next().is_some(),
            Some(&"before-append") => self.next().is_none(),
            _ => false,
        }
    }
}

impl FromStr for FaultSpec {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = Words { text, words: text.trim().split(['=', ':']).collect() };
        let spec = match words.next().unwrap_or_default() {
            "produce-error" => {
                let code = words.number("an error code")?;
                FaultSpec::ProduceError { code, when: words.when()?, after_append: words.after_append() }
            }
            "drop-connection" => FaultSpec::DropConnection { when: words.when()?, after_append: words.after_append() },
            "leader-move" => FaultSpec::LeaderMove(words.when()?),
            "garbage" => FaultSpec::Garbage(words.when()?),
            "truncate" => FaultSpec::Truncate(words.when()?),
            "delay-ms" => FaultSpec::Delay(Duration::from_millis(words.number("a time in milliseconds")?)),
            "throttle-ms" => FaultSpec::Throttle(Duration::from_millis(words.number("a time in milliseconds")?)),
            "short-writes" => match words.number("a number of bytes")? {
                0 => return Err(words.error("0 bytes at once")),
                bytes => FaultSpec::ShortWrites(bytes),
            },
            "stall-reads" => FaultSpec::StallReads,
            "stall-responses" => FaultSpec::StallResponses,
            "stall-node" => match words.number("a node's id")? {
                node @ 1.. => FaultSpec::StallNode(node),
                node => return Err(words.error(format!("there is no node {node}: ids count from 1"))),
            },
            "reject-connections" => FaultSpec::RejectConnections,
            _ => return Err(words.error("unknown name")),
        };
        match words.next() {
            None => Ok(spec),
            Some(word) => Err(words.error(format!("unexpected {word:?}"))),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Next(count) => write!(f, "next={count}"),
            When::Every(count) => write!(f, "every={count}"),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |after: bool| if after { ":after-append" } else { "" };
        match *self {
            FaultSpec::ProduceError { code, when, after_append } => {
                write!(f, "produce-error={code}:{when}{}", place(after_append))
            }
            FaultSpec::DropConnection { when, after_append } => {
                write!(f, "drop-connection={when}{}", place(after_append))
            }
            FaultSpec::LeaderMove(when) => write!(f, "leader-move={when}"),
            FaultSpec::Garbage(when) => write!(f, "garbage={when}"),
            FaultSpec::Truncate(when) => write!(f, "truncate={when}"),
            FaultSpec::Delay(time) => write!(f, "delay-ms={}", time.as_millis()),
            FaultSpec::Throttle(time) => write!(f, "throttle-ms={}", time.as_millis()),
            FaultSpec::ShortWrites(bytes) => write!(f, "short-writes={bytes}"),
            FaultSpec::StallReads => f.write_str("stall-reads"),
            FaultSpec::StallResponses => f.write_str("stall-responses"),
            FaultSpec::StallNode(node) => write!(f, "stall-node={node}"),
            FaultSpec::RejectConnections => f.write_str("reject-connections"),
        }
    }
}

/// What holds for every connection at this moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    pub(crate) delay: Duration,
    pub(crate) throttle_ms: i32,
    pub(crate) short_writes: Option<usize>,
    pub(crate) stall_reads: bool,
    pub(crate) stall_responses: bool,
    pub(crate) stalled_node: Option<i32>,
    pub(crate) reject_connections: bool,
}

/// What strikes one Produce request. For errors and drops the flag says "after appending".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) error: Option<(i16, bool)>,
    pub(crate) drop: Option<bool>,
    pub(crate) leader_move: bool,
    pub(crate) garbage: bool,
    pub(crate) truncate: bool,
}

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    /// Faults that count Produce requests, each with its count so far.
    counted: Vec<(FaultSpec, u64)>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    waker: OnceLock<Arc<mio::Waker>>,
}

/// The fault switches of a running broker. Clones are the same switches; a change counts from the next request on.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    inner: Arc<Inner>,
}

impl Faults {
    /// Sets a fault. Those that count requests add up, in the order they were set; the others replace their like.
    pub fn set(&self, spec: FaultSpec) {
        let mut state = self.lock();
        let standing = &mut state.standing;
        match spec {
            FaultSpec::Delay(time) => standing.delay = time,
            FaultSpec::Throttle(time) => standing.throttle_ms = i32::try_from(time.as_millis()).unwrap_or(i32::MAX),
            FaultSpec::ShortWrites(bytes) => standing.short_writes = Some(bytes.max(1)),
            FaultSpec::StallReads => standing.stall_reads = true,
            FaultSpec::StallResponses => standing.stall_responses = true,
            FaultSpec::StallNode(node) => standing.stalled_node = Some(node),
            FaultSpec::RejectConnections => standing.reject_connections = true,
            counted => state.counted.push((counted, 0)),
        }
        drop(state);
        self.wake();
    }

    /// Stops or resumes reading from every connection.
    pub fn stall_reads(&self, stall: bool) {
        self.lock().standing.stall_reads = stall;
        self.wake();
    }

    /// Stops or resumes sending answers; what is read meanwhile is appended.
    pub fn stall_responses(&self, stall: bool) {
        self.lock().standing.stall_responses = stall;
        self.wake();
    }

    /// One node stops reading, or with `None` none does.
    pub fn stall_node(&self, node: Option<i32>) {
        self.lock().standing.stalled_node = node;
        self.wake();
    }

    /// Closes new connections at once, or takes them again.
    pub fn reject_connections(&self, reject: bool) {
        self.lock().standing.reject_connections = reject;
        self.wake();
    }

    /// Lifts every fault. Answers that a delay holds back already still wait for their time.
    pub fn clear(&self) {
        *self.lock() = State::default();
        self.wake();
    }

    pub(crate) fn standing(&self) -> Standing {
        self.lock().standing
    }

    /// Counts one Produce request and says what strikes it. Of several errors or drops the last one set wins.
    pub(crate) fn strike(&self) -> Strike {
        let mut state = self.lock();
        let mut strike = Strike::default();
        if state.counted.is_empty() {
            return strike;
        }
        state.counted.retain_mut(|(spec, seen)| {
            *seen += 1;
            let (FaultSpec::ProduceError { when, .. }
            | FaultSpec::DropConnection { when, .. }
            | FaultSpec::LeaderMove(when)
            | FaultSpec::Garbage(when)
            | FaultSpec::Truncate(when)) = *spec
            else {
                return false;
            };
            let (strikes, stays) = match when {
                When::Next(count) => (*seen <= count, *seen < count),
                When::Every(count) => (count > 0 && seen.is_multiple_of(count), true),
            };
            if strikes {
                match *spec {
                    FaultSpec::ProduceError { code, after_append, .. } => strike.error = Some((code, after_append)),
                    FaultSpec::DropConnection { after_append, .. } => strike.drop = Some(after_append),
                    FaultSpec::LeaderMove(_) => strike.leader_move = true,
                    FaultSpec::Garbage(_) => strike.garbage = true,
                    FaultSpec::Truncate(_) => strike.truncate = true,
                    _ => {}
                }
            }
            stays
        });
        strike
    }

    pub(crate) fn attach(&self, waker: Arc<mio::Waker>) {
        // A second broker cannot get these switches, so the cell is empty here.
        let _ = self.inner.waker.set(waker);
    }

    fn wake(&self) {
        if let Some(waker) = self.inner.waker.get() {
            // The only failure is a poll that is gone, and then nobody is left to hear of the change.
            let _ = waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_parses_and_is_written_back() {
        for (text, written) in [
            ("produce-error=6", "produce-error=6:every=1"),
            ("produce-error=-1:next=3", "produce-error=-1:next=3"),
            ("produce-error=6:every=100:after-append", "produce-error=6:every=100:after-append"),
            ("drop-connection=every:1000:after-append", "drop-connection=every=1000:after-append"),
            ("drop-connection=next=1:before-append", "drop-connection=next=1"),
            ("drop-connection", "drop-connection=every=1"),
            ("leader-move=every:500", "leader-move=every=500"),
            ("garbage=next=2", "garbage=next=2"),
            ("truncate", "truncate=every=1"),
            ("delay-ms=20", "delay-ms=20"),
            ("throttle-ms=50", "throttle-ms=50"),
            ("short-writes=3", "short-writes=3"),
            ("stall-reads", "stall-reads"),
            ("stall-responses", "stall-responses"),
            ("stall-node=2", "stall-node=2"),
            ("reject-connections", "reject-connections"),
        ] {
            let spec: FaultSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), written);
            assert_eq!(written.parse(), Ok(spec));
        }
    }

    #[test]
    fn a_wrong_text_is_told_the_forms() {
        for text in [
            "",
            "explode",
            "produce-error",
            "produce-error=x",
            "delay-ms=soon",
            "delay-ms=1:2",
            "leader-move=every",
            "garbage=every=0",
            "short-writes=0",
            "stall-reads=now",
            "stall-node",
            "stall-node=0",
        ] {
            let error = text.parse::<FaultSpec>().unwrap_err().to_string();
            assert!(error.contains("drop-connection[=WHEN]"), "{text}: {error}");
        }
    }

    #[test]
    fn counted_faults_strike_when_they_should() {
        let faults = Faults::default();
        faults.set(FaultSpec::ProduceError { code: 6, when: When::Every(3), after_append: false });
        faults.set(FaultSpec::DropConnection { when: When::Next(2), after_append: true });
        let strikes: Vec<_> = (0..6).map(|_| faults.strike()).map(|s| (s.error.is_some(), s.drop)).collect();
        assert_eq!(
            strikes,
            [(false, Some(true)), (false, Some(true)), (true, None), (false, None), (false, None), (true, None)]
        );
        faults.clear();
        assert!((0..6).all(|_| faults.strike() == Strike::default()));
    }
}
