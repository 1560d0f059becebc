//! The whole client on a model cluster, single-threaded under a seeded scheduler and a virtual clock.
//!
//! ```text
//!   senders ── claim, commit, wait, flush ──▶ engine ──▶ core ──▶ network ──▶ model cluster
//!      (real)                                 (real)    (real)   (simulated)   (logs, leaders, replicas)
//! ```
//!
//! A seed decides everything: settings, sizes, troubles, who goes first. The same seed gives the same run, so that a
//! failure found once can be looked at as often as need be: `cargo xtask sim --seed N --trace`.
//!
//! What is promised is checked while the run goes on (`book`) and against the logs after it (`check`).
#![forbid(unsafe_code)]

mod book;
mod check;
mod cluster;
mod events;
mod faults;
mod io;
mod net;
mod packers;
mod plan;
mod senders;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What happened in one run or in many.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Records published.
    pub records: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Records reported as failed.
    pub failed: u64,
    /// Flushes that ended.
    pub flushes: u64,
    /// Times that a sender had to wait for memory.
    pub waits: u64,
    /// Of those, times that it was in vain.
    pub timeouts: u64,
    /// Troubles made.
    pub faults: u64,
    /// Requests that brokers acted on.
    pub requests: u64,
    /// Turns of the I/O thread.
    pub turns: u64,
    /// Two runs of a seed have the same; over several, all of them mixed.
    pub digest: u64,
}

impl Summary {
    /// Adds another run or other runs.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.records += other.records;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.flushes += other.flushes;
        self.waits += other.waits;
        self.timeouts += other.timeouts;
        self.faults += other.faults;
        self.requests += other.requests;
        self.turns += other.turns;
        // Whatever the order.
        self.digest = self.digest.wrapping_add(other.digest);
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} seeds: {} records, {} acknowledged, {} failed, {} faults injected, {} requests, {} flushes, {} waits \
             for memory ({} in vain), {} turns, digest {:016x}",
            self.seeds,
            self.records,
            self.delivered,
            self.failed,
            self.faults,
            self.requests,
            self.flushes,
            self.waits,
            self.timeouts,
            self.turns,
            self.digest
        )
    }
}

thread_local! {
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs one seed. With `traced` everything that happens is printed to standard error.
///
/// # Errors
/// The promise that was broken, and where.
pub fn run(seed: u64, traced: bool) -> Result<Summary, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            LAST_WORDS.with(|words| *words.borrow_mut() = panic.to_string());
        }));
    });
    catch_unwind(AssertUnwindSafe(|| world::World::new(seed, traced).live()))
        .map_err(|_| LAST_WORDS.with(|words| words.borrow().clone()))
}
