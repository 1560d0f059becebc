//! Requests at a pace: one whenever a client with that linger would send one, and no second before the first is answered.

use crate::Source;
use crate::wire::Wire;
use forebay_peer_driver::{Histogram, LEAST_SLEEP, Pace};
use std::io;
use std::time::{Duration, Instant};

/// When requests are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    /// Records in a request.
    pub(crate) records: u64,
    /// Requests.
    pace: Pace,
}

impl Beat {
    /// For so many records a second. A client without linger has something to send as often as a driver wakes up.
    pub(crate) fn new(rate: f64, linger: Duration) -> Self {
        let records = (rate * linger.max(LEAST_SLEEP).as_secs_f64()).round().max(1.0);
        let every = Duration::from_secs_f64(records / rate);
        Self { records: records as u64, pace: Pace { every, spins: false } }
    }
}

/// Writes so many requests and reads their answers; how long each took, from the write to the answer.
pub(crate) fn pump(wire: &mut Wire, source: &mut Source, times: u64, beat: Beat) -> io::Result<Histogram> {
    let mut took = Histogram::default();
    let start = Instant::now();
    for sent in 0..times {
        beat.pace.keep(start, sent);
        let before = Instant::now();
        source.write(&mut wire.stream)?;
        wire.read()?;
        took.record(before.elapsed().as_nanos() as u64);
    }
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::Beat;
    use std::time::Duration;

    #[test]
    fn requests_hold_what_comes_between_two_of_them() {
        let beat = Beat::new(10_000.0, Duration::from_millis(5));
        assert_eq!((beat.records, beat.pace.every), (50, Duration::from_millis(5)));
        let beat = Beat::new(10_000.0, Duration::ZERO);
        assert_eq!((beat.records, beat.pace.every), (2, Duration::from_micros(200)));
        assert_eq!(Beat::new(1_000.0, Duration::ZERO).records, 1);
    }
}
