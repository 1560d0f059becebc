//! What the host takes away from this machine while something is measured.

use std::fs;
use std::time::{Duration, Instant};

/// For so long a thread looks how often it is kept from running.
const PROBE: Duration = Duration::from_secs(3);
/// Between two readings of the clock: longer than any interrupt of its own.
const GAP: Duration = Duration::from_micros(100);

/// What the host takes away from a thread that does nothing but read the clock: no client's tail can be shorter.
pub(crate) fn hiccups() -> String {
    let start = Instant::now();
    let (mut last, mut lost, mut longest, mut count) = (start, Duration::ZERO, Duration::ZERO, 0);
    while last - start < PROBE {
        let now = Instant::now();
        let gap = now - last;
        if gap > GAP {
            lost += gap;
            longest = longest.max(gap);
            count += 1;
        }
        last = now;
    }
    let part = lost.as_secs_f64() / PROBE.as_secs_f64() * 100.0;
    let longest = longest.as_secs_f64() * 1e3;
    format!(
        "a thread that only reads the clock was stopped {count} times in {} s, {part:.2} % of the time, {longest:.1} ms at most",
        PROBE.as_secs()
    )
}

/// The time of all processors so far, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    all: u64,
    /// The host ran something else though a processor had something to do.
    stolen: u64,
}

impl Ticks {
    /// Nothing where the system does not say.
    pub(crate) fn now() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// From the text of `/proc/stat`, proc(5): user, nice, system, idle, iowait, irq, softirq, steal, and what those contain.
    fn of(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Option<Vec<u64>> = line.split_whitespace().take(8).map(|word| word.parse().ok()).collect();
        let ticks = ticks.filter(|ticks| ticks.len() == 8)?;
        Some(Self { all: ticks.iter().sum(), stolen: ticks[7] })
    }

    /// How much of all processors' time since then the host gave to others, in per cent.
    pub(crate) fn taken_since(self, then: Self) -> f64 {
        let (all, stolen) = (self.all.saturating_sub(then.all), self.stolen.saturating_sub(then.stolen));
        if all == 0 { 0.0 } else { stolen as f64 / all as f64 * 100.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Ticks;

    #[test]
    fn what_the_host_takes_is_the_eighth_of_its_line() {
        let then = Ticks::of("cpu  100 0 50 800 10 0 5 35 7 7\ncpu0 1 2 3\n").unwrap();
        assert_eq!(then, Ticks { all: 1_000, stolen: 35 });
        let now = Ticks::of("cpu  150 0 60 920 10 0 5 55 7 7\n").unwrap();
        assert!((now.taken_since(then) - 10.0).abs() < 1e-9, "{}", now.taken_since(then));
        assert!(then.taken_since(then).abs() < 1e-9, "no time at all");
    }

    #[test]
    fn a_system_that_does_not_say_takes_nothing() {
        for text in ["", "cpu0 1 2 3 4 5 6 7 8\n", "cpu  1 2 3 4 5 6 7\n", "cpu  1 2 3 4 5 6 7 x\n"] {
            assert_eq!(Ticks::of(text), None, "{text:?}");
        }
    }
}
