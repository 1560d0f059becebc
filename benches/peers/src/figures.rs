//! From shots to figures: medians over rounds, percentiles over all rounds' histograms.

use crate::quiet;
use serde_json::Value;

/// One contestant's shots at a scenario.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// As the report names it.
    pub(crate) entry: String,
    pub(crate) shots: Vec<Value>,
}

impl Cell {
    fn each(&self, figure: impl Fn(&Value) -> Option<f64>) -> Vec<f64> {
        self.shots.iter().filter_map(figure).collect()
    }

    /// Client CPU of each shot, nanoseconds per record.
    pub(crate) fn cpu(&self) -> Vec<f64> {
        self.each(|shot| Some(shot["cpu_ns"].as_f64()? / shot["records"].as_f64()?))
    }

    /// What forebay's I/O threads used of that.
    pub(crate) fn io_thread(&self) -> Vec<f64> {
        self.each(|shot| {
            let used: f64 = io_threads(shot)?.sum();
            (used > 0.0).then_some(used / shot["records"].as_f64()?)
        })
    }

    /// What the one that used most did, if there are several.
    pub(crate) fn busiest_io_thread(&self) -> Vec<f64> {
        self.each(|shot| {
            let most = io_threads(shot)?.fold(0.0, f64::max);
            (io_threads(shot)?.count() > 1).then_some(most / shot["records"].as_f64()?)
        })
    }

    /// Million records a second.
    pub(crate) fn rate(&self) -> Vec<f64> {
        self.each(|shot| Some(shot["records"].as_f64()? / shot["seconds"].as_f64()? / 1e6))
    }

    pub(crate) fn seconds(&self) -> Vec<f64> {
        self.each(|shot| shot["seconds"].as_f64())
    }

    /// The most memory resident, MiB.
    pub(crate) fn memory(&self) -> Vec<f64> {
        self.each(|shot| Some(shot["max_rss_bytes"].as_f64()? / 1_048_576.0))
    }

    /// Bytes of batches for each record, as the broker received them.
    pub(crate) fn bytes(&self) -> Vec<f64> {
        self.each(|shot| Some(shot["broker"]["bytes"].as_f64()? / shot["broker"]["records"].as_f64()?))
    }

    /// Records in a Produce request.
    pub(crate) fn per_request(&self) -> Vec<f64> {
        self.each(|shot| Some(shot["broker"]["records"].as_f64()? / shot["broker"]["produce_requests"].as_f64()?))
    }

    /// The quantile of `send_ns` or `ack_ns`, in nanoseconds: the median of the rounds', so that one disturbed round does
    /// not make the tail.
    pub(crate) fn quantile(&self, of: &str, quantile: f64) -> Option<f64> {
        median(&self.each(|shot| quantile_of(&shot[of], quantile)))
    }

    /// Whether the broker got a processor before the client in every shot.
    pub(crate) fn broker_went_first(&self) -> bool {
        self.shots.iter().all(|shot| shot["broker_goes_first"] == true)
    }

    /// How much of the machine the host took during each shot, per cent.
    pub(crate) fn taken(&self) -> Vec<f64> {
        self.each(|shot| shot[quiet::TAKEN].as_f64())
    }

    /// The greatest of `send_ns` or `ack_ns` of each shot that has any, in nanoseconds.
    pub(crate) fn most(&self, of: &str) -> Vec<f64> {
        self.each(|shot| shot[of]["max"].as_f64().filter(|most| *most > 0.0))
    }
}

/// Nanoseconds of each of forebay's I/O threads.
fn io_threads(shot: &Value) -> Option<impl Iterator<Item = f64>> {
    let threads = shot["threads_ns"].as_object()?;
    Some(threads.iter().filter(|(name, _)| name.starts_with("forebay-io")).filter_map(|(_, ns)| ns.as_f64()))
}

/// The middle value; the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

pub(crate) fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

/// The median over rounds of one's figure by the other's: what disturbs a round disturbs both.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    median(&ratios)
}

/// Of a histogram as the drivers write it.
pub(crate) fn quantile_of(histogram: &Value, quantile: f64) -> Option<f64> {
    let counts = histogram["counts"].as_array()?;
    let count = |pair: &Value| pair[1].as_f64().unwrap_or(0.0);
    let total: f64 = counts.iter().map(count).sum();
    let mut seen = 0.0;
    for pair in counts {
        seen += count(pair);
        if seen >= total * quantile {
            return pair[0].as_f64();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Cell, median, quantile_of, ratio};
    use serde_json::json;

    #[test]
    fn quantiles_are_of_the_counts() {
        let histogram = json!({ "max": 900, "counts": [[10, 90], [200, 9], [900, 1]] });
        assert_eq!(quantile_of(&histogram, 0.5), Some(10.0));
        assert_eq!(quantile_of(&histogram, 0.95), Some(200.0));
        assert_eq!(quantile_of(&histogram, 0.999), Some(900.0));
        assert_eq!(quantile_of(&json!({}), 0.5), None);
    }

    #[test]
    fn figures_are_per_record() {
        let shot = json!({ "records": 1000, "cpu_ns": 50_000, "seconds": 0.001, "max_rss_bytes": 1_048_576 });
        let cell = Cell { entry: "x".into(), shots: vec![shot] };
        assert_eq!((cell.cpu(), cell.rate(), cell.memory()), (vec![50.0], vec![1.0], vec![1.0]));
    }

    #[test]
    fn io_threads_are_counted_together_and_the_busiest_apart() {
        let cell = |threads| Cell { entry: "x".into(), shots: vec![json!({ "records": 10, "threads_ns": threads })] };
        let two = cell(json!({ "main": 500, "forebay-io": 100, "forebay-io-1": 200 }));
        assert_eq!((two.io_thread(), two.busiest_io_thread()), (vec![30.0], vec![20.0]));
        let one = cell(json!({ "main": 500, "forebay-io": 100 }));
        assert_eq!((one.io_thread(), one.busiest_io_thread()), (vec![10.0], vec![]));
        let other = cell(json!({ "main": 500 }));
        assert_eq!((other.io_thread(), other.busiest_io_thread()), (vec![], vec![]));
    }

    #[test]
    fn a_histogram_of_nothing_has_no_greatest() {
        let shot = |most| json!({ "records": 10, "ack_ns": { "max": most, "counts": [] } });
        let cell = |most| Cell { entry: "x".into(), shots: vec![shot(most)] };
        assert_eq!((cell(7).most("ack_ns"), cell(0).most("ack_ns")), (vec![7.0], vec![]));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        assert_eq!(ratio(&[1.0, 10.0, 3.0], &[10.0, 100.0, 10.0]), Some(0.1));
        assert_eq!(median(&[]), None);
    }
}
