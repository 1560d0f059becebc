//! The memory of forebay: one slab, leased in segments to single-producer lanes, drained by one I/O thread.
//!
//! No I/O, no protocol, no clock: time is the caller's, and the same code runs under loom.
//!
//! ```text
//!   app thread A ── ProducerEnd ──┬─ Lane ──[seg 7]─[seg 2]─▶ publish ─┐
//!                                 └─ Lane ──[seg 9]────────▶           ├─▶ IoSide: take ─▶ Run ─▶ socket ─▶ release
//!   app thread B ── ProducerEnd ──── Lane ──[seg 4]────────▶ ──────────┘                                     │
//!            ▲          ▲                                                                                    │
//!            │          └──────────── free rings (hot, reserve) ◀────────────────────────────────────────────┤
//!            └─────────────────────── grants (mailboxes, first in first out) ◀───────────────────────────────┘
//! ```
//!
//! # Invariants
//!
//! - **I1** The slab is mapped once and outlives everything that points into it: every handle holds it by `Arc`.
//! - **I2** Bytes of a lane from its committed position to the end of the claim in progress belong to the lane's producer.
//! - **I3** Bytes from the taken to the committed position of a lane belong to the I/O side.
//! - **I4** Bytes of a [`Run`] belong to whoever holds it, on whatever thread ([`RunBytes`]); runs never overlap and are not
//!   `Clone`.
//! - **I5** A claim announces itself in `reserved` before it looks at the lane's state, and the I/O side changes the state
//!   before it looks at `reserved`, with an asymmetric barrier between: an open segment is never taken from under a claim.
//! - **I6** A segment has one owner: a free ring, a sender (claim or grant), a lane, the I/O side's holds, or a chain on its way
//!   between them. It changes hands only through the pairs below.
//!   [`IoSide::account`] walks all of them and says which.
//! - **I7** A segment is freed when the lane has left it and every run of it was released; never by a timeout. After the last word a
//!   lane's claim may still be held: its open segment is left to it, and never freed.
//! - **I8** Waiters are granted in the order in which they queued, each whole; nobody takes from the free rings while one waits.
//! - **I9** A lane is in the ready list or the active set exactly while its state is ACTIVE or RETIRING.
//!
//! # Which release meets which acquire
//!
//! | pair | from | to | what becomes visible |
//! |---|---|---|---|
//! | P1 | commit: `committed` | `observe` | record bytes, segment links, ends, windows |
//! | P2 | abort: `reserved` | retire | the abandoned bytes were written before the segment goes elsewhere; links that a refused claim cut |
//! | P3 | `FreeRing::put`: tail | `FreeRing::take` | the last reads of the freed bytes |
//! | P4 | `Mailbox::grant` | `Mailbox::look` | the chain's links, the last reads of its bytes |
//! | P5 | `ReadyList::push` | `take_all` | the list's links, the lane's first publish |
//! | P6 | `Returns::put` | `take_all` | the chain's links, the writes of the aborted claim |
//! | P8 | `finish`: lane state | commit after the end | how far the I/O side read |
//! | P9 | `FreeRing::take`: head | the next `take` | the tail that the taker had seen |
//! | P10 | `FreeRing::take`: known | the next `take` | as P3: what the taker saw with that tail |
//! | D1 | `Doorbell::asleep`: fence | `ring_if`: fence | work made before the look at the sleeper's word |
#![deny(clippy::undocumented_unsafe_blocks)]

#[doc(hidden)]
#[macro_use]
pub mod mutants;

mod account;
mod blocks;
mod doorbell;
mod engine;
mod error;
mod free_ring;
mod io_side;
mod lane;
mod lane_shared;
mod mailbox;
mod memory;
mod order;
mod position;
mod ready;
mod returns;
mod rounds;
mod run;
mod segments;
mod slab;
mod sync;

pub use account::Account;
pub use doorbell::Sleep;
pub use engine::{Engine, Grant, ProducerEnd};
pub use error::{ClaimError, SlabError};
pub use io_side::{IoSide, LaneId};
pub use lane::{Ahead, Claim, Lane};
pub use run::{Run, RunBytes};

/// How an engine is laid out.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Bytes of the slab (`buffer.memory`); rounded down to whole segments.
    pub memory: usize,
    /// Bytes of a segment: a power of two. 2,048 unless you have measured better.
    pub segment_size: usize,
    /// A lane with so many untaken bytes wakes a napping I/O thread (`batch.size`).
    pub due_bytes: u32,
    /// A lane that fills fast takes up to so many bytes of segments at once, those behind each other in memory where it can: fewer
    /// exchanges on the free rings, longer runs. It holds what it has not begun until it is retired. 0: one segment at a time.
    /// Never more than 32 segments. The producer has 64 KiB.
    pub ahead_bytes: u32,
}

/// What wakes the I/O thread: an eventfd, a condition variable, a flag in a simulation.
pub trait Ring: Send + Sync {
    /// Wakes it. May be called from any thread, also when it is awake.
    fn ring(&self);
}

/// Maps the slab and makes both sides of an engine.
///
/// # Errors
/// [`SlabError`] if the memory can't be had, or the layout makes no sense.
pub fn new(config: EngineConfig, bell: std::sync::Arc<dyn Ring>) -> Result<(Engine, IoSide), SlabError> {
    let shared = sync::Arc::new(engine::Shared::new(&config, bell)?);
    Ok((Engine::new(shared.clone()), IoSide::new(shared)))
}
