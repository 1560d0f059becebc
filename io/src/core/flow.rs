//! How much of a connection may be in flight: what follows from its bandwidth and its round trip, as measured.
//!
//! More than bandwidth × round trip in flight makes nothing faster: it waits in buffers on the way, and meanwhile the
//! records leave the caches that they would be sent from. Less starves a long link. Both are measured on requests and their
//! answers: the delivery rate as the largest of the last [`RATE_WINDOW`], the round trip as the smallest of the last
//! [`TRIP_WINDOW`] (as in BBR, Cardwell et al. 2016).
//!
//! A rate is never seen above what the window allows in one round trip, so while the window is what limits, it doubles
//! with each round trip: from [`FLOOR`] to 32 MiB in five.

use std::time::Duration;

use crate::time::Time;

/// The least that may be in flight, in bytes: five requests of 256 KiB, for a link whose round trip is nothing.
pub(crate) const FLOOR: usize = 5 * (256 << 10);
/// In flight is at most so many times bandwidth × round trip: answers come in clumps.
const GAIN: u64 = 2;
/// How long the largest delivery rate counts.
const RATE_WINDOW: Duration = Duration::from_secs(2);
/// How long the smallest round trip counts. Then the window falls to [`FLOOR`] for one round trip, so that what is measured
/// next is the link and not our own queue.
const TRIP_WINDOW: Duration = Duration::from_secs(10);

/// What is in flight on a connection, and what may be.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    in_flight: usize,
    /// Bytes answered so far, and when that last grew.
    delivered: u64,
    delivered_at: Time,
    /// Bytes per second: the largest of this half of the window, and of the half before.
    rates: [u64; 2],
    rates_since: Time,
    /// The smallest round trip, and when it was seen.
    trip: Option<(Duration, Time)>,
    /// Requests made from this moment on measure the round trip anew.
    probing_since: Option<Time>,
    /// What follows from all that, 0 while the round trip is not known: asked for each partition of each turn, and changed by answers
    /// alone.
    window: usize,
}

/// What is remembered of a request until its answer comes.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Departure {
    bytes: usize,
    at: Time,
    delivered: u64,
    delivered_at: Time,
}

impl Flow {
    /// A request of so many bytes is on its way.
    pub(crate) fn departs(&mut self, bytes: usize, now: Time) -> Departure {
        if self.in_flight == 0 {
            // The time before was not spent on delivering.
            self.delivered_at = now;
        }
        self.in_flight += bytes;
        Departure { bytes, at: now, delivered: self.delivered, delivered_at: self.delivered_at }
    }

    /// A request will not be answered: without acks none is.
    pub(crate) fn ends(&mut self, request: Departure) {
        self.in_flight = self.in_flight.saturating_sub(request.bytes);
    }

    /// A request is answered.
    pub(crate) fn arrives(&mut self, request: Departure, now: Time) {
        self.ends(request);
        self.delivered += request.bytes as u64;
        self.delivered_at = now;
        self.see_trip(now.since(request.at), request.at, now);
        let took = u64::try_from(now.since(request.delivered_at).as_nanos()).unwrap_or(u64::MAX).max(1);
        let bytes = u128::from(self.delivered - request.delivered);
        let rate = u64::try_from(bytes * 1_000_000_000 / u128::from(took)).unwrap_or(u64::MAX);
        if now.since(self.rates_since) >= RATE_WINDOW / 2 {
            self.rates = if now.since(self.rates_since) >= RATE_WINDOW { [0, 0] } else { [0, self.rates[0]] };
            self.rates_since = now;
        }
        self.rates[0] = self.rates[0].max(rate);
        self.window = self.measured().unwrap_or_default();
    }

    fn see_trip(&mut self, trip: Duration, from: Time, now: Time) {
        match (self.trip, self.probing_since) {
            (_, Some(since)) if from >= since => {
                self.trip = Some((trip, now));
                self.probing_since = None;
            }
            (Some((least, _)), _) if trip > least => {}
            _ => self.trip = Some((trip, now)),
        }
        if self.probing_since.is_none() && self.trip.is_some_and(|(_, at)| now.since(at) >= TRIP_WINDOW) {
            self.probing_since = Some(now);
        }
    }

    /// The window that was measured; None while the round trip is not known.
    fn measured(&self) -> Option<usize> {
        let (trip, _) = self.trip.filter(|_| self.probing_since.is_none())?;
        let rate = u128::from(self.rates[0].max(self.rates[1]));
        let product = u128::from(GAIN) * rate * trip.as_nanos() / 1_000_000_000;
        Some(usize::try_from(product).unwrap_or(usize::MAX))
    }

    /// How many bytes may be in flight.
    pub(crate) fn window(&self) -> usize {
        self.window.max(FLOOR)
    }

    /// Whether the window is open.
    pub(crate) fn is_open(&self) -> bool {
        self.in_flight < self.window()
    }

    /// Bytes in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A link that carries so many bytes per second and answers a request so long after its last byte has come.
    struct Link {
        bytes_per_sec: u64,
        delay: Duration,
        flow: Flow,
        now: Time,
        free_at: Time,
        answers: VecDeque<(Time, Departure)>,
        answered: u64,
    }

    impl Link {
        fn new(bytes_per_sec: u64, delay: Duration) -> Self {
            Link {
                bytes_per_sec,
                delay,
                flow: Flow::default(),
                now: Time(1),
                free_at: Time(1),
                answers: VecDeque::new(),
                answered: 0,
            }
        }

        fn send(&mut self, bytes: usize) {
            let departure = self.flow.departs(bytes, self.now);
            let carried = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_per_sec);
            self.free_at = self.free_at.max(self.now) + carried;
            self.answers.push_back((self.free_at + self.delay, departure));
        }

        fn hear(&mut self) {
            let (at, departure) = self.answers.pop_front().expect("something is in flight");
            self.now = self.now.max(at);
            self.flow.arrives(departure, self.now);
            self.answered += departure.bytes as u64;
        }

        /// As much as the window allows, in `most` requests at most, for so long; answers bytes per second.
        fn saturate(&mut self, most: usize, time: Duration) -> u64 {
            let (end, before) = (self.now + time, self.answered);
            while self.now < end {
                while self.flow.is_open() && self.answers.len() < most {
                    self.send(self.flow.window() / most);
                }
                self.hear();
            }
            ((self.answered - before) as f64 / time.as_secs_f64()) as u64
        }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_short_link_keeps_little_in_flight_and_is_full() {
        let mut link = Link::new(1_000_000_000, MS / 10);
        link.saturate(5, 100 * MS);
        let rate = link.saturate(5, 1000 * MS);
        assert!(rate > 990_000_000, "{rate}");
        assert!(link.flow.window() <= 2 * FLOOR, "{}", link.flow.window());
    }

    #[test]
    fn a_long_link_is_filled_within_a_few_round_trips() {
        let mut link = Link::new(1_000_000_000, 20 * MS);
        link.saturate(5, 200 * MS);
        assert!(link.flow.window() >= 20_000_000, "bandwidth times round trip: {}", link.flow.window());
        let rate = link.saturate(5, 1000 * MS);
        assert!(rate > 950_000_000, "{rate}");
    }

    #[test]
    fn our_own_queue_is_not_taken_for_the_link() {
        // Ten times slower than it was: what is in flight waits, and round trips are long because of us.
        let mut link = Link::new(1_000_000_000, 20 * MS);
        link.saturate(5, 1000 * MS);
        link.bytes_per_sec /= 10;
        link.saturate(5, 15_000 * MS);
        let product = 100_000_000 / 1000 * 20;
        let mut largest = 0;
        for _ in 0..300 {
            link.saturate(5, 100 * MS);
            largest = largest.max(link.flow.window());
        }
        assert!(largest < 2 * (product + FLOOR) * 2, "{largest}");
    }

    #[test]
    fn a_round_trip_that_has_grown_is_found_out() {
        let mut link = Link::new(1_000_000_000, MS);
        link.saturate(5, 1000 * MS);
        link.delay = 20 * MS;
        link.saturate(5, 15_000 * MS);
        let rate = link.saturate(5, 5_000 * MS);
        assert!(rate > 900_000_000, "{rate}");
    }

    #[test]
    fn a_light_load_does_not_close_the_window() {
        let mut link = Link::new(1_000_000_000, 20 * MS);
        for _ in 0..1000 {
            link.send(1000);
            link.hear();
            link.now = link.now + 5 * MS;
        }
        assert_eq!(link.flow.window(), FLOOR);
        assert_eq!(link.flow.in_flight(), 0);
    }

    #[test]
    fn what_is_not_answered_leaves_no_trace() {
        let mut flow = Flow::default();
        let request = flow.departs(FLOOR, Time(5));
        assert!(!flow.is_open());
        flow.ends(request);
        assert!(flow.is_open());
        assert_eq!(flow.window(), FLOOR);
    }
}
