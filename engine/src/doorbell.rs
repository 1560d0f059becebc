//! Waking the I/O thread without a fence per record: the sleeper pays.
//!
//! The I/O thread says how it sleeps before it sleeps and then looks once more for work. A sender that made work looks
//! at that word only on its slow paths: a lane that comes to life, a segment taken, memory wanted.

use crate::Ring;
use crate::sync::{AtomicU32, fence};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// How the I/O thread sleeps, and so who wakes it. `Engine::nudge` and `Ring` wake it always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// With a timer of at most `linger.ms`: woken by a lane that passes the due size, or a sender that wants memory.
    Nap,
    /// No batch could go out anyhow (all request slots in use): woken only by a sender that wants memory.
    Blocked,
    /// With nothing to do: woken by any lane that comes to life. All lanes must have been retired.
    Deep,
}

const AWAKE: u32 = 0;
const NAP: u32 = 1;
const BLOCKED: u32 = 2;
const DEEP: u32 = 3;

pub(crate) struct Doorbell {
    state: AtomicU32,
    bell: std::sync::Arc<dyn Ring>,
}

impl Doorbell {
    pub(crate) fn new(bell: std::sync::Arc<dyn Ring>) -> Self {
        Doorbell { state: AtomicU32::new(AWAKE), bell }
    }

    /// The I/O thread is about to sleep; it must look for work once more after this.
    pub(crate) fn asleep(&self, how: Sleep) {
        let state = match how {
            Sleep::Nap => NAP,
            Sleep::Blocked => BLOCKED,
            Sleep::Deep => DEEP,
        };
        self.state.store(state, Relaxed);
        if !mutant!("doorbell_sleeper_fence_missing") {
            fence(SeqCst); // D1: meets the fence in `ring_if`
        }
    }

    pub(crate) fn awake(&self) {
        self.state.store(AWAKE, Relaxed);
    }

    /// A lane has come to life and is in the ready list.
    pub(crate) fn lane_ready(&self) {
        self.ring_if(|state| state == DEEP && !mutant!("a_lane_comes_to_life_silently"));
    }

    /// Whether a full batch would wake the I/O thread. No fence: a ring missed for it is a nap slept to its end, which the
    /// contract of `linger.ms` allows.
    #[inline]
    pub(crate) fn is_napping(&self) -> bool {
        self.state.load(Relaxed) == NAP
    }

    /// A lane holds as many bytes as a batch wants, and the I/O thread naps.
    pub(crate) fn lane_due(&self) {
        self.ring_if(|state| state == NAP || state == DEEP);
    }

    /// A sender waits for memory, or gave segments back.
    pub(crate) fn memory_wanted(&self) {
        self.ring_if(|state| state != AWAKE);
    }

    /// Rings whatever the state.
    pub(crate) fn always(&self) {
        self.bell.ring();
    }

    fn ring_if(&self, wanted: impl Fn(u32) -> bool) {
        if !mutant!("doorbell_ringer_fence_missing") {
            fence(SeqCst); // D1: our work is visible to a sleeper whose word we do not see, and the other way round
        }
        let state = self.state.load(Relaxed);
        // One ring a sleep: whoever turns the word rings.
        if wanted(state)
            && (mutant!("doorbell_rings_twice") || self.state.compare_exchange(state, AWAKE, Relaxed, Relaxed).is_ok())
        {
            self.bell.ring();
        }
    }
}
