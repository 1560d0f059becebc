//! When an I/O thread that only polls (`io.spin.us`) lets others have its processor.

use std::time::Duration;

use crate::time::Time;

/// Who has the processor for longer than this is none of those that the thread waits for: they sleep again after microseconds.
const KEPT: Duration = Duration::from_micros(200);
/// For so many times as long as that took it is not offered again: beside threads that compute, a hundredth of the time is lost by offers.
const PAUSE: u32 = 128;
/// But not for longer than this: the host may have stopped us, or a signal.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The sender that is to send and the broker that is to answer may wait for this very processor. They would get it after this thread's slice
/// of some milliseconds; they need it for microseconds. So it is offered to them between two looks. Where nobody takes it that is a system
/// call; where somebody keeps it, the next offer waits.
#[derive(Debug, Default)]
pub(super) struct GiveWay {
    next: Time,
}

impl GiveWay {
    /// Whether to offer it now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.next
    }

    /// It was offered at `then`, and is back.
    pub(super) fn is_back(&mut self, then: Time, now: Time) {
        let took = now.since(then);
        if took > KEPT {
            self.next = now + took.saturating_mul(PAUSE).min(PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_offered_each_time_until_somebody_keeps_it() {
        let mut way = GiveWay::default();
        let at = |us| Time::ZERO + Duration::from_micros(us);
        for us in [0, 300, 600] {
            assert!(way.is_due(at(us)));
            way.is_back(at(us), at(us + 200));
        }
        assert!(way.is_due(at(800)));
        way.is_back(at(800), at(4_800));
        assert!(!way.is_due(at(4_800)), "kept for 4 ms");
        assert!(!way.is_due(at(4_800 + 511_999)));
        assert!(way.is_due(at(4_800 + 512_000)));
        way.is_back(at(1_000_000), at(11_000_000));
        assert!(!way.is_due(at(11_999_999)), "stopped for 10 s");
        assert!(way.is_due(at(12_000_000)));
    }
}
