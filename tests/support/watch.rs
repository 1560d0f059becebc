//! Keeps everything that is logged in this process, at any level, through `tracing` and through `log`.
#![allow(dead_code)] // each test binary uses its own part of it

use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static LOG: Mutex<String> = Mutex::new(String::new());

fn log() -> MutexGuard<'static, String> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Everything;

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut log()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut log()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = log();
        let _ = write!(log, "{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut Fields(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl ::log::Log for Everything {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        let _ = writeln!(log(), "{} {} {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Begins to keep what is logged, once for the process.
pub(crate) fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Everything).expect("the only one");
        ::log::set_logger(&Everything).expect("the only one");
        ::log::set_max_level(::log::LevelFilter::Trace);
    });
}

/// All of it so far.
pub(crate) fn text() -> String {
    log().clone()
}

/// Nothing that was logged has one of these in it.
#[track_caller]
pub(crate) fn assert_silent(secrets: &[&str]) {
    let log = text();
    assert!(log.contains("ureq") && log.contains("forebay"), "both kinds of log are kept");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}
