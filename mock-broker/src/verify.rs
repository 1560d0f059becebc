//! Checks of what arrives, record by record, at the speed at which it arrives.

use std::fmt;
use std::str::FromStr;

use crate::payload;

/// Looks at every record that a broker in [`Mode::Verify`](crate::Mode::Verify) appends, in log order.
///
/// It runs on the broker's one thread: what it costs, every request waits for. Duplicates that idempotence discards
/// and batches that are refused are not shown.
pub trait RecordVerifier: Send {
    /// One new record.
    fn record(&mut self, topic: &str, partition: i32, value: Option<&[u8]>, key: Option<&[u8]>);
    /// What was seen so far, for people and programs.
    fn report(&self) -> String;
}

/// How the sequences in the values count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Each sender counts from 0 in each partition: every partition is checked to have no gap.
    PerPartition,
    /// Each sender counts from 0 over all partitions of all topics: within a partition sequences must rise, and a
    /// sender is complete if count and sum of what arrived fit its highest sequence.
    PerSender,
}

/// Ranges of missing sequences that one sender and partition can have open; beyond it the rest count as lost for good.
const OPEN_GAPS: usize = 1024;

/// Verifies values made by [`payload::fill`]: order, completeness and content.
#[derive(Debug)]
pub struct SequenceVerifier {
    numbering: Numbering,
    senders: u32,
    streams: Vec<Stream>,
    /// The stream of the record before: most records follow one of their own kind.
    last: usize,
    tally: VerifyReport,
    totals: Vec<(u32, Total)>,
}

#[derive(Debug)]
struct Stream {
    topic: String,
    partition: i32,
    sender: u32,
    next: u64,
    gaps: Vec<std::ops::Range<u64>>,
}

#[derive(Debug, Default)]
struct Total {
    count: u64,
    sum: u64,
    end: u64,
}

impl SequenceVerifier {
    /// For values with sequences as `numbering` says. `senders` matters for values below 12 bytes only, which don't
    /// name theirs: of one sender the sequence is inferred and the content checked, of several only the count and the
    /// checksum can be.
    pub fn new(numbering: Numbering, senders: u32) -> Self {
        Self { numbering, senders, streams: Vec::new(), last: 0, tally: VerifyReport::default(), totals: Vec::new() }
    }

    /// What was found so far. Sequences missing at this moment count as lost: ask when all has been acknowledged.
    pub fn verdict(&self) -> VerifyReport {
        let mut report = self.tally.clone();
        match self.numbering {
            Numbering::PerPartition => {
                report.lost += self.streams.iter().flat_map(|s| &s.gaps).map(|gap| gap.end - gap.start).sum::<u64>();
            }
            Numbering::PerSender => {
                for (_, total) in &self.totals {
                    let expected = triangular(total.end);
                    report.lost += total.end.saturating_sub(total.count);
                    report.duplicated += total.count.saturating_sub(total.end);
                    if total.count == total.end && total.sum != expected {
                        // As many lost as duplicated: at least one of each.
                        report.lost += 1;
                        report.duplicated += 1;
                    }
                }
            }
        }
        report.senders = self.totals.len() as u64;
        report
    }

    fn stream(&mut self, topic: &str, partition: i32, sender: u32) -> usize {
        let is_it = |s: &Stream| s.partition == partition && s.sender == sender && s.topic == topic;
        if self.streams.get(self.last).is_some_and(is_it) {
            return self.last;
        }
        self.last = self.streams.iter().position(is_it).unwrap_or_else(|| {
            self.streams.push(Stream { topic: topic.to_owned(), partition, sender, next: 0, gaps: Vec::new() });
            self.streams.len() - 1
        });
        self.last
    }

    fn sequence(&mut self, stream: usize, sequence: u64) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        if sequence == stream.next {
            stream.next += 1;
        } else if sequence > stream.next {
            if self.numbering == Numbering::PerPartition {
                if stream.gaps.len() < OPEN_GAPS {
                    stream.gaps.push(stream.next..sequence);
                } else {
                    self.tally.lost += sequence - stream.next;
                }
            }
            stream.next = sequence.saturating_add(1);
        } else if self.numbering == Numbering::PerSender {
            self.tally.reordered += 1;
        } else if let Some(at) = stream.gaps.iter().position(|gap| gap.contains(&sequence)) {
            let gap = stream.gaps.swap_remove(at);
            stream.gaps.extend([gap.start..sequence, sequence + 1..gap.end].into_iter().filter(|g| !g.is_empty()));
            self.tally.reordered += 1;
        } else {
            self.tally.duplicated += 1;
        }
    }

    fn total(&mut self, sender: u32, sequence: u64) {
        let at = self.totals.iter().position(|(of, _)| *of == sender).unwrap_or_else(|| {
            self.totals.push((sender, Total::default()));
            self.totals.len() - 1
        });
        if let Some((_, total)) = self.totals.get_mut(at) {
            total.count += 1;
            total.sum = total.sum.wrapping_add(sequence);
            total.end = total.end.max(sequence.saturating_add(1));
        }
    }
}

/// 0 + 1 + … + (end − 1), wrapping as the sum of what arrives wraps.
fn triangular(end: u64) -> u64 {
    let (even, odd) = if end.is_multiple_of(2) { (end / 2, end.wrapping_sub(1)) } else { (end, (end - 1) / 2) };
    even.wrapping_mul(odd)
}

impl RecordVerifier for SequenceVerifier {
    fn record(&mut self, topic: &str, partition: i32, value: Option<&[u8]>, _key: Option<&[u8]>) {
        self.tally.records += 1;
        let Some(value) = value else {
            self.tally.corrupt += 1;
            return;
        };
        self.tally.bytes += value.len() as u64;
        if let Some((sender, sequence)) = payload::head(value) {
            // A sequence near the end of u64 is no count but a broken head.
            if sequence > u64::MAX / 2 || !payload::matches(value, sequence) {
                self.tally.corrupt += 1;
                return;
            }
            let stream = self.stream(topic, partition, sender);
            self.sequence(stream, sequence);
            self.total(sender, sequence);
        } else {
            self.tally.checksum = self.tally.checksum.wrapping_add(payload::checksum(value));
            if self.senders == 1 && self.numbering == Numbering::PerPartition {
                let stream = self.stream(topic, partition, 0);
                let sequence = self.streams.get(stream).map_or(0, |s| s.next);
                if payload::matches(value, sequence) {
                    self.total(0, sequence);
                } else {
                    self.tally.corrupt += 1;
                }
                self.sequence(stream, sequence);
            }
        }
    }

    fn report(&self) -> String {
        self.verdict().to_string()
    }
}

/// What a [`SequenceVerifier`] found. Its text is one line of `name=value` words that parses back, so that a program
/// can read it from a broker in another process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records seen, whatever was wrong with them.
    pub records: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Senders that values named.
    pub senders: u64,
    /// Sequences that are missing.
    pub lost: u64,
    /// Sequences that came more than once.
    pub duplicated: u64,
    /// Sequences that came after a later one.
    pub reordered: u64,
    /// Values that are not what [`payload::fill`] makes.
    pub corrupt: u64,
    /// Sum of [`payload::checksum`] over values smaller than 12 bytes.
    pub checksum: u64,
}

impl VerifyReport {
    /// Whether everything that came was right. That it is *all* that was sent, only the count can say.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.corrupt == 0
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "records={} bytes={} senders={} lost={} duplicated={} reordered={} corrupt={} checksum={}",
            self.records,
            self.bytes,
            self.senders,
            self.lost,
            self.duplicated,
            self.reordered,
            self.corrupt,
            self.checksum
        )
    }
}

/// A text is not a [`VerifyReport`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a verification report: {0:?}")]
pub struct ParseReportError(String);

impl FromStr for VerifyReport {
    type Err = ParseReportError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseReportError(text.to_owned());
        let mut report = Self::default();
        let mut words = 0;
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            let field = match name {
                "records" => &mut report.records,
                "bytes" => &mut report.bytes,
                "senders" => &mut report.senders,
                "lost" => &mut report.lost,
                "duplicated" => &mut report.duplicated,
                "reordered" => &mut report.reordered,
                "corrupt" => &mut report.corrupt,
                "checksum" => &mut report.checksum,
                _ => return Err(wrong()),
            };
            *field = value.parse().map_err(|_| wrong())?;
            words += 1;
        }
        if words == 8 { Ok(report) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(verifier: &mut SequenceVerifier, partition: i32, sender: u32, sequences: impl IntoIterator<Item = u64>) {
        let mut value = [0; 40];
        for sequence in sequences {
            payload::fill(&mut value, sender, sequence);
            verifier.record("t", partition, Some(&value), None);
        }
    }

    #[test]
    fn senders_and_partitions_count_apart() {
        let mut verifier = SequenceVerifier::new(Numbering::PerPartition, 2);
        feed(&mut verifier, 0, 1, 0..5);
        feed(&mut verifier, 1, 1, 0..3);
        feed(&mut verifier, 0, 2, 0..4);
        feed(&mut verifier, 0, 1, 5..9);
        let report = verifier.verdict();
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.records, report.senders, report.bytes), (16, 2, 640));
    }

    #[test]
    fn loss_duplication_and_disorder_are_told_apart() {
        let mut verifier = SequenceVerifier::new(Numbering::PerPartition, 1);
        feed(&mut verifier, 0, 1, [0, 1, 4, 5, 3, 5]);
        let report = verifier.verdict();
        assert_eq!((report.lost, report.reordered, report.duplicated), (1, 1, 1), "{report}");
    }

    #[test]
    fn a_changed_or_missing_value_is_corrupt() {
        let mut verifier = SequenceVerifier::new(Numbering::PerPartition, 1);
        let mut value = [0; 40];
        payload::fill(&mut value, 1, 0);
        value[39] ^= 4;
        verifier.record("t", 0, Some(&value), None);
        verifier.record("t", 0, None, None);
        assert_eq!(verifier.verdict().corrupt, 2);
    }

    #[test]
    fn a_sender_may_spread_one_sequence_over_partitions() {
        let mut verifier = SequenceVerifier::new(Numbering::PerSender, 1);
        feed(&mut verifier, 0, 1, [0, 1, 4, 5]);
        feed(&mut verifier, 1, 1, [2, 3]);
        assert!(verifier.verdict().is_clean(), "{}", verifier.verdict());
        feed(&mut verifier, 1, 1, [7]);
        assert_eq!(verifier.verdict().lost, 1);
        feed(&mut verifier, 0, 1, [4]);
        let report = verifier.verdict();
        assert_eq!((report.lost, report.duplicated, report.reordered), (1, 1, 1), "{report}");
    }

    #[test]
    fn small_values_of_one_sender_are_checked_by_their_place() {
        let mut verifier = SequenceVerifier::new(Numbering::PerPartition, 1);
        let mut value = [0; 8];
        for sequence in [0, 1, 2, 4] {
            payload::fill(&mut value, 0, sequence);
            verifier.record("t", 0, Some(&value), None);
        }
        assert_eq!(verifier.verdict().corrupt, 1);
    }

    #[test]
    fn a_report_parses_back() {
        let mut verifier = SequenceVerifier::new(Numbering::PerPartition, 1);
        feed(&mut verifier, 0, 1, [0, 2]);
        let report = verifier.verdict();
        assert_eq!(verifier.report().parse(), Ok(report));
        assert!("records=1".parse::<VerifyReport>().is_err());
        assert!("hello".parse::<VerifyReport>().is_err());
    }

    #[test]
    fn the_triangular_sum_wraps_like_a_sum() {
        for end in [0_u64, 1, 2, 7, 1000] {
            assert_eq!(triangular(end), (0..end).sum::<u64>());
        }
    }
}
