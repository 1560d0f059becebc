//! Numbers that one thread writes and any thread reads.
//!
//! A series keeps its sum for ever and, as Kafka's clients do, what came within the last few *samples*
//! (`metrics.sample.window.ms` × `metrics.num.samples`): that is where averages, maxima and rates come from. All of it has
//! its size from the start; recording stores a handful of words and allocates nothing.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use super::buckets::{self, BUCKETS};
use crate::time::Time;

/// Samples kept at most: more of them share one.
const MOST_SAMPLES: u32 = 8;
/// The number of a sample that was not used yet, or is being emptied.
const NONE: u64 = u64::MAX;

/// How long a sample is, and how many are kept.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Windows {
    nanos: u64,
    samples: u32,
}

impl Windows {
    /// `metrics.sample.window.ms` and `metrics.num.samples`. The whole period is kept to; of more than eight samples several
    /// are counted as one.
    pub fn new(window: Duration, samples: u32) -> Self {
        let (asked, samples) = (samples.max(1), samples.clamp(1, MOST_SAMPLES));
        let whole = window.max(Duration::from_millis(1)).as_nanos().saturating_mul(u128::from(asked));
        // A quarter of all time is for ever.
        let nanos = (whole / u128::from(samples)).min(u128::from(u64::MAX / 4)) as u64;
        Self { nanos: nanos.max(1), samples }
    }

    /// The number of the sample that a moment belongs to.
    pub fn sample(self, now: Time) -> u64 {
        now.0 / self.nanos
    }

    /// The first moment after a sample.
    pub fn end(self, sample: u64) -> Time {
        Time(sample.saturating_add(1).saturating_mul(self.nanos))
    }

    /// Seconds that the samples cover at a moment: less while there were not so many.
    fn seconds(self, now: Time) -> f64 {
        let whole = u64::from(self.samples - 1).saturating_mul(self.nanos);
        let covered = now.0.min(whole.saturating_add(now.0 % self.nanos));
        (covered as f64 / 1e9).max(1.0)
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::new(Duration::from_secs(30), 2)
    }
}

/// One kind of number.
#[derive(Debug)]
pub struct Series {
    windows: Windows,
    sum: AtomicU64,
    count: AtomicU64,
    samples: Box<[Sample]>,
}

#[derive(Debug)]
struct Sample {
    number: AtomicU64,
    sum: AtomicU64,
    count: AtomicU64,
    max: AtomicU64,
    /// How often a value fell into each bucket; empty if quantiles are not asked for.
    buckets: Box<[AtomicU32]>,
}

impl Sample {
    fn empty(&self) {
        self.sum.store(0, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
        self.max.store(0, Ordering::Relaxed);
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

/// Adds where there is one writer: a load and a store, and no bus lock.
fn add(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

impl Series {
    /// A series of which sums, averages, maxima and rates are asked.
    pub fn new(windows: Windows) -> Self {
        Self::with_buckets(windows, 0)
    }

    /// A series of which quantiles are asked as well.
    pub fn distribution(windows: Windows) -> Self {
        Self::with_buckets(windows, BUCKETS)
    }

    fn with_buckets(windows: Windows, buckets: usize) -> Self {
        let sample = |_| Sample {
            number: AtomicU64::new(NONE),
            sum: AtomicU64::new(0),
            count: AtomicU64::new(0),
            max: AtomicU64::new(0),
            buckets: (0..buckets).map(|_| AtomicU32::new(0)).collect(),
        };
        let samples = (0..windows.samples).map(sample).collect();
        Self { windows, sum: AtomicU64::new(0), count: AtomicU64::new(0), samples }
    }

    fn place(&self, number: u64) -> &Sample {
        &self.samples[(number % self.samples.len() as u64) as usize]
    }

    /// A value, in the sample with this number ([`Windows::sample`]). For the one thread that writes the series.
    pub fn record(&self, number: u64, value: u64) {
        add(&self.sum, value);
        add(&self.count, 1);
        let sample = self.place(number);
        if sample.number.load(Ordering::Relaxed) != number {
            sample.number.store(NONE, Ordering::Relaxed);
            fence(Ordering::Release); // a reader that sees a zero sees `NONE` as well
            sample.empty();
            sample.number.store(number, Ordering::Release);
        }
        add(&sample.sum, value);
        add(&sample.count, 1);
        if value > sample.max.load(Ordering::Relaxed) {
            sample.max.store(value, Ordering::Relaxed);
        }
        if let Some(bucket) = sample.buckets.get(buckets::of(value)) {
            bucket.store(bucket.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// A value from any of several threads, on a path that may cost an atomic addition or five. The sum is exact; of
    /// values that come in the very moment in which a sample begins, the sample may miss some.
    pub fn record_shared(&self, now: Time, value: u64) {
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        let number = self.windows.sample(now);
        let sample = self.place(number);
        let seen = sample.number.load(Ordering::Relaxed);
        if seen != number && sample.number.compare_exchange(seen, number, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            sample.empty();
        }
        sample.sum.fetch_add(value, Ordering::Relaxed);
        sample.count.fetch_add(1, Ordering::Relaxed);
        sample.max.fetch_max(value, Ordering::Relaxed);
    }

    /// The sum of all values since the start.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// All that is known, as of a moment.
    pub fn read(&self, now: Time) -> Reading {
        let newest = self.windows.sample(now);
        let oldest = newest.saturating_sub(u64::from(self.windows.samples - 1));
        let mut reading = Reading {
            sum: self.sum(),
            count: self.count.load(Ordering::Relaxed),
            seconds: self.windows.seconds(now),
            ..Reading::default()
        };
        for sample in &self.samples {
            // A sample that changes while it is read is new, and near enough empty.
            for _ in 0..2 {
                let number = sample.number.load(Ordering::Acquire);
                // The writer's clock may be a little ahead of the reader's.
                if number == NONE || number < oldest {
                    break;
                }
                let mut read = Reading {
                    recent_sum: sample.sum.load(Ordering::Relaxed),
                    recent_count: sample.count.load(Ordering::Relaxed),
                    recent_max: sample.max.load(Ordering::Relaxed),
                    ..Reading::default()
                };
                read.buckets.extend(sample.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)));
                fence(Ordering::Acquire);
                if sample.number.load(Ordering::Relaxed) == number {
                    reading.add(&read);
                    break;
                }
            }
        }
        reading
    }
}

/// What a series holds at a moment. *Recent* is what the samples hold.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Sum of all values since the start.
    pub sum: u64,
    /// How many there were.
    pub count: u64,
    /// Sum of the recent ones.
    pub recent_sum: u64,
    /// How many recent ones there were.
    pub recent_count: u64,
    /// The largest of the recent ones.
    pub recent_max: u64,
    /// Seconds that count as recent, at least one.
    pub seconds: f64,
    buckets: Vec<u32>,
}

impl Reading {
    /// Adds what another series of the same kind and windows held at the same moment.
    pub fn add(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count = self.count.wrapping_add(other.count);
        self.seconds = self.seconds.max(other.seconds);
        self.recent_sum = self.recent_sum.wrapping_add(other.recent_sum);
        self.recent_count = self.recent_count.wrapping_add(other.recent_count);
        self.recent_max = self.recent_max.max(other.recent_max);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        }
    }

    /// The mean of the recent values; 0 if there were none.
    pub fn average(&self) -> f64 {
        if self.recent_count == 0 { 0.0 } else { self.recent_sum as f64 / self.recent_count as f64 }
    }

    /// What came a second, recently.
    pub fn per_second(&self) -> f64 {
        self.recent_sum as f64 / self.seconds
    }

    /// The recent value below which a part `q` of them lies, to within a 16th; 0 if there were none, or the series keeps
    /// no quantiles.
    pub fn quantile(&self, q: f64) -> u64 {
        buckets::quantile(&self.buckets, q).min(self.recent_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Time {
        Time::ZERO + SECOND * seconds as u32
    }

    fn put(series: &Series, now: Time, value: u64) {
        series.record(series.windows.sample(now), value);
    }

    #[test]
    fn sums_stay_and_samples_pass() {
        let series = Series::distribution(Windows::new(SECOND * 30, 2));
        put(&series, at(1), 10);
        put(&series, at(2), 30);
        let reading = series.read(at(4));
        assert_eq!((reading.sum, reading.count, reading.recent_max), (40, 2, 30));
        assert!((reading.average() - 20.0).abs() < 1e-9);
        assert!((reading.per_second() - 10.0).abs() < 1e-9, "40 in 4 s: {}", reading.per_second());
        put(&series, at(31), 5);
        assert_eq!(series.read(at(59)).recent_count, 3, "the sample before still counts");
        let later = series.read(at(60));
        assert_eq!((later.recent_count, later.recent_max, later.sum), (1, 5, 45), "the first sample has passed");
        assert_eq!(series.read(at(600)).recent_count, 0);
        put(&series, at(600), 7);
        assert_eq!(series.read(at(600)).recent_sum, 7, "a sample that is used again begins at 0");
    }

    #[test]
    fn many_samples_share_few_places_and_cover_the_same_time() {
        let series = Series::new(Windows::new(SECOND, 100));
        assert_eq!(series.samples.len(), 8);
        put(&series, at(0), 1);
        assert_eq!(series.read(at(87)).recent_count, 1);
        assert_eq!(series.read(at(100)).recent_count, 0);
    }

    #[test]
    fn an_endless_window_does_not_overflow() {
        let windows = Windows::new(Duration::MAX, u32::MAX);
        assert_eq!(windows.sample(at(1_000_000)), 0);
        let series = Series::new(windows);
        put(&series, at(10), 20);
        assert!((series.read(at(10)).per_second() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn threads_that_share_a_series_lose_nothing_of_its_sum() {
        let series = Series::new(Windows::new(SECOND, 2));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| series.record_shared(at(n / 300), 2)));
            }
        });
        assert_eq!((series.sum(), series.read(at(3)).count), (8000, 4000));
    }

    #[test]
    fn a_reader_beside_the_writer_sees_no_half_emptied_sample() {
        // Each sample holds one value many times: a mean that is another number is a torn reading.
        let series = Series::new(Windows::new(Duration::from_millis(1), 1));
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..200_000_u64).for_each(|n| series.record(n / 10, 64));
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let reading = series.read(Time::ZERO);
                // Between the stores of one value the sum may lead by one value.
                let torn = reading.recent_sum.abs_diff(reading.recent_count * 64);
                assert!(torn <= 64 * 10, "{reading:?}");
                assert!(reading.recent_max == 64 || reading.recent_max == 0);
            }
        });
    }
}
