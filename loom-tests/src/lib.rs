//! What the loom models of the engine share: the harness that counts interleavings, the bells, and short words for an engine of a
//! few segments. The models are in `tests/`; without `--cfg loom` there is nothing here.
#![cfg(loom)]
#![forbid(unsafe_code)]

pub mod driver;

use forebay_engine::{ClaimError, Engine, EngineConfig, Grant, IoSide, Lane, LaneId, ProducerEnd, Ring, Run};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

/// Bytes of a segment in every model: two words.
pub const SEGMENT: usize = 16;
/// Bytes of a word: the grain of the shadow that the engine keeps of its slab under loom.
pub const WORD: usize = 8;

/// Explores every interleaving of `model` with at most `bound` preemptions (`None`: all of them), and prints how many there were.
///
/// # Panics
/// If an interleaving breaks the model's claim, or there is only one: then nothing was raced.
pub fn explore(name: &str, bound: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = bound;
    let start = Instant::now();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let count = count.load(Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    let bound = bound.map_or_else(|| "exhaustive".into(), |bound| format!("preemption bound {bound}"));
    println!("model {name}: interleavings: {count} in {seconds:.2} s ({bound})");
    assert!(count > 1, "a model of one interleaving races nothing");
}

/// A bell that nobody hears, and that orders nothing: for models of memory orderings.
#[derive(Debug)]
pub struct Silent;

impl Ring for Silent {
    fn ring(&self) {}
}

/// A bell that is waited for. A ring before the wait counts, as with an eventfd; one that never comes is a deadlock, which loom reports.
#[derive(Debug, Default)]
pub struct Bell {
    state: loom::sync::Mutex<Rung>,
    changed: loom::sync::Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    pending: bool,
    rings: usize,
}

impl Ring for Bell {
    fn ring(&self) {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        state.pending = true;
        state.rings += 1;
        self.changed.notify_one();
    }
}

impl Bell {
    /// Sleeps until it has been rung.
    pub fn wait(&self) {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        while !state.pending {
            state = self.changed.wait(state).expect("nothing panics under this lock");
        }
        state.pending = false;
    }

    /// The end of a sleep that nobody has rung for: does this, under the bell's lock, and says so. Else the ring is used up.
    pub fn unless_rung(&self, then: impl FnOnce()) -> bool {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        let rung = std::mem::take(&mut state.pending);
        if !rung {
            then();
        }
        !rung
    }

    /// Does this under the bell's lock.
    pub fn quietly<R>(&self, work: impl FnOnce() -> R) -> R {
        let _state = self.state.lock().expect("nothing panics under this lock");
        work()
    }

    /// How often it was rung so far.
    pub fn rings(&self) -> usize {
        self.state.lock().expect("nothing panics under this lock").rings
    }
}

/// An engine of so many segments of two words, whose lanes take one segment at a time.
pub fn engine_with(segments: usize, bell: Arc<dyn Ring>) -> (Engine, IoSide) {
    engine_ahead(segments, 1, bell)
}

/// As [`engine_with`], with lanes that take up to `ahead` segments at once.
pub fn engine_ahead(segments: usize, ahead: usize, bell: Arc<dyn Ring>) -> (Engine, IoSide) {
    let config = EngineConfig {
        memory: segments * SEGMENT,
        segment_size: SEGMENT,
        due_bytes: u32::MAX,
        ahead_bytes: (ahead * SEGMENT) as u32,
    };
    forebay_engine::new(config, bell).expect("a small slab")
}

/// As [`engine_with`], with a bell that is not heard.
pub fn engine(segments: usize) -> (Engine, IoSide) {
    engine_with(segments, Arc::new(Silent))
}

/// Publishes one record of these words; its head is the first.
pub fn publish(lane: &mut Lane, words: &[u64]) -> Result<(), ClaimError> {
    let mut claim = lane.claim(words.len() * WORD, WORD)?;
    for word in words {
        claim.put(&word.to_le_bytes());
    }
    claim.commit()
}

/// As [`publish`], with memory that was waited for.
pub fn publish_with(grant: Grant, lane: &mut Lane, words: &[u64]) -> Result<(), ClaimError> {
    let mut claim = lane.claim_with(grant, words.len() * WORD, WORD)?;
    for word in words {
        claim.put(&word.to_le_bytes());
    }
    claim.commit()
}

/// Claims so many words, writes them all, and lets go without a commit.
pub fn abandon(lane: &mut Lane, words: usize) -> Result<(), ClaimError> {
    let mut claim = lane.claim(words * WORD, WORD)?;
    claim.put(&vec![0xEE; words * WORD]);
    drop(claim);
    Ok(())
}

/// Queues for memory and parks until it is there or the engine is closed.
pub fn wait_for_memory(end: &mut ProducerEnd, segments: u32) -> Result<Grant, ClaimError> {
    end.begin_wait(segments)?;
    loop {
        if let Some(grant) = end.poll_wait()? {
            return Ok(grant);
        }
        end.park(None);
    }
}

/// Publishes, waiting for memory if need be.
pub fn publish_patiently(end: &mut ProducerEnd, lane: &mut Lane, words: &[u64]) -> Result<(), ClaimError> {
    match publish(lane, words) {
        Err(ClaimError::Full { segments }) => {
            let grant = wait_for_memory(end, segments)?;
            publish_with(grant, lane, words)
        }
        other => other,
    }
}

/// Takes what the lane has published, as words; the runs are appended to `runs`.
pub fn take(io: &mut IoSide, lane: LaneId, runs: &mut Vec<Run>) -> Vec<u64> {
    io.observe(lane);
    let mut words = Vec::new();
    io.take(lane, runs, |slice| {
        words.extend(slice.chunks_exact(WORD).map(|word| u64::from_le_bytes(word.try_into().expect("a word"))));
        slice.len()
    });
    words
}

/// The words of runs that were taken: what a socket would read.
pub fn words(io: &IoSide, runs: &[Run]) -> Vec<u64> {
    let bytes: Vec<u8> = runs.iter().flat_map(|run| io.bytes(run)).copied().collect();
    bytes.chunks_exact(WORD).map(|word| u64::from_le_bytes(word.try_into().expect("a word"))).collect()
}

/// The I/O side of a model, with the lanes that it watches.
#[derive(Default)]
pub struct Turns {
    /// The active set: listed and not retired since.
    pub active: Vec<LaneId>,
    /// Every word taken, by lane tag, in order.
    pub seen: std::collections::BTreeMap<u64, Vec<u64>>,
    /// Lanes reported gone, and forgotten.
    pub gone: Vec<LaneId>,
}

impl Turns {
    /// One turn as a driver makes it: new lanes, what they hold (released at once), idle lanes retired, memory handed on.
    ///
    /// # Panics
    /// If a lane is listed that is active already.
    pub fn turn(&mut self, io: &mut IoSide) {
        self.collect(io);
        self.drain(io);
        self.retire(io);
        io.settle();
    }

    /// Lanes that came to life.
    ///
    /// # Panics
    /// If one of them is in the active set already, or listed twice.
    pub fn collect(&mut self, io: &mut IoSide) {
        io.collect_ready(&mut self.active);
        let mut once = self.active.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), self.active.len(), "a lane is listed once until it is retired");
    }

    /// Takes and releases all that is published.
    pub fn drain(&mut self, io: &mut IoSide) {
        for lane in &self.active {
            let mut runs = Vec::new();
            let words = take(io, *lane, &mut runs);
            self.seen.entry(io.lane_tag(*lane)).or_default().extend(words);
            for run in runs {
                io.release(run);
            }
        }
    }

    /// Retires what can be, and forgets what is gone.
    pub fn retire(&mut self, io: &mut IoSide) {
        let mut gone = Vec::new();
        io.retire(&mut self.active, &mut gone);
        for lane in gone {
            io.forget(lane);
            self.gone.push(lane);
        }
    }

    /// The words of one lane so far.
    pub fn of(&self, tag: u64) -> &[u64] {
        self.seen.get(&tag).map_or(&[], Vec::as_slice)
    }
}

/// Runs taken apart where segments meet, so that each can be released by itself.
pub fn by_segment(io: &mut IoSide, runs: Vec<Run>) -> Vec<Run> {
    let mut apart = Vec::new();
    for mut run in runs {
        while io.segments_of(&run) > 1 {
            let (first, rest) = io.split_run(run, SEGMENT);
            apart.push(first);
            run = rest;
        }
        apart.push(run);
    }
    apart
}

/// At rest, after the producers are done: everything published is taken, every lane retired, every segment free.
///
/// # Panics
/// If a segment is missing.
pub fn assert_at_rest(turns: &mut Turns, io: &mut IoSide) {
    for _ in 0..2 {
        turns.turn(io);
    }
    assert!(turns.active.is_empty(), "an idle lane is retired");
    assert_eq!(io.held_segments(), 0, "nothing is in flight");
    assert_eq!(io.free_segments(), io.total_segments(), "every segment is back");
    // Walked one by one: none is there twice, and none is with a sender.
    assert_eq!(io.account().free, io.total_segments(), "every segment is free once");
}

/// A task's waker that rings a bell.
pub struct Ringer(pub Arc<Bell>);

impl std::task::Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }
}

/// Polls until ready, asleep in between.
pub fn block_on<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let bell = Arc::new(Bell::default());
    let waker = Arc::new(Ringer(bell.clone())).into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}
