//! The end: what is on its way is waited for, and what came of it is said.
//!
//! A signal may come while standard input is being read, for hours. So a thread waits for it, and whoever claims the end first,
//! that thread or the one that reads, brings it about.

use super::lines::Lines;
use crate::Failure;
use crate::interrupt::Interrupt;
use forebay::Producer;
use indicatif::ProgressBar;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

/// How often the thread looks whether a signal came.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why reading and sending ended before the end of the input.
pub(super) struct Stopped {
    pub(super) line: u64,
    pub(super) why: String,
}

pub(super) struct Ending {
    pub(super) producer: Producer,
    pub(super) lines: Arc<Lines>,
    pub(super) bar: ProgressBar,
    pub(super) started: Instant,
    pub(super) patience: Duration,
    /// "line 7 of standard input" is made from these.
    pub(super) unit: &'static str,
    pub(super) source: String,
    pub(super) claimed: AtomicBool,
}

impl Ending {
    /// Whether nobody else ends it.
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::SeqCst)
    }

    /// Whether there is nothing more to send.
    pub(super) fn has_begun(&self) -> bool {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Ends the program when a signal comes, unless it is at its end already: then the next one does.
    pub(super) fn on_signal(self: &Arc<Self>, interrupt: Interrupt) {
        let ending = Arc::clone(self);
        thread::spawn(move || {
            loop {
                thread::sleep(LOOK_EVERY);
                let Some(signal) = interrupt.signal() else { continue };
                if ending.claim() {
                    let failure = ending.finish(None).err();
                    let failure = failure.map_or_else(
                        || "every record that was sent is acknowledged".to_owned(),
                        |failure| failure.to_string(),
                    );
                    let failure = Failure::Signal(signal, failure);
                    failure.tell();
                    process::exit(failure.status());
                }
                return;
            }
        });
    }

    /// The end of the input, or of the sending. Does not return where a signal came before it.
    pub(super) fn reached(&self, stopped: Option<Stopped>) -> Result<(), Failure> {
        if self.claim() {
            return self.finish(stopped);
        }
        loop {
            thread::park();
        }
    }

    fn finish(&self, stopped: Option<Stopped>) -> Result<(), Failure> {
        let flushed = self.producer.flush(self.patience).map_err(|error| error.to_string());
        let closed = self.producer.close(Duration::from_secs(5)).map_err(|error| error.to_string());
        self.bar.finish_and_clear();
        let acknowledged = self.lines.acknowledged();
        let took = self.started.elapsed().as_secs_f64();
        eprintln!(
            "{acknowledged} records acknowledged in {took:.3} s, {:.0} per second",
            acknowledged as f64 / took.max(1e-9)
        );
        let stopped = stopped.map(|stopped| (stopped.line, stopped.why));
        let unacknowledged = self.lines.first_unacknowledged().map(|(line, why)| {
            let no_outcome = || flushed.clone().err().unwrap_or_else(|| "it has no outcome".to_owned());
            (line, why.unwrap_or_else(no_outcome))
        });
        // Of two reasons for one line the first counts: that of a send which was refused.
        match [stopped, unacknowledged].into_iter().flatten().min_by_key(|(line, _)| *line) {
            Some((line, why)) => {
                Err(Failure::Run(format!("{} {line} of {} was not acknowledged: {why}", self.unit, self.source)))
            }
            None => flushed.and(closed).map_err(Failure::Run),
        }
    }
}
