//! What was sent, what was said of it, and whether the log agrees.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What the producer said of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// `send` gave it back.
    Refused,
    /// Accepted, and nothing was said of it: there is no such thing at the end.
    Silent,
    /// In the log, here; the offset is not known after a detected duplicate.
    Acknowledged { partition: u32, offset: Option<i64> },
    /// Failed, and it may be in the log nevertheless.
    InDoubt,
    /// Failed, and it is not in the log.
    NotAppended,
}

/// One sender's records, by number from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) fates: Vec<Fate>,
    /// The longest time from the send to the acknowledgement.
    pub(crate) longest: Duration,
    /// What failures said, and how often.
    pub(crate) failures: HashMap<String, u64>,
}

/// What the comparison of the senders' books with the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: u64,
    pub(crate) in_doubt: u64,
    /// Of those in doubt, how many are in the log.
    pub(crate) in_doubt_stored: u64,
    pub(crate) not_appended: u64,
    pub(crate) refused: u64,
    /// Accepted and without an outcome.
    pub(crate) silent: u64,
    /// Acknowledged and not in the log.
    pub(crate) lost: u64,
    /// In the log more than once.
    pub(crate) duplicated: u64,
    /// Behind a later record of the same sender in the same partition.
    pub(crate) reordered: u64,
    /// In the log although it was said not to be: refused, or failed and not appended.
    pub(crate) untruthful: u64,
    /// Not where its acknowledgement said.
    pub(crate) misplaced: u64,
    /// In the log and never sent.
    pub(crate) strangers: u64,
    /// The first few things that are wrong, in words.
    pub(crate) examples: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub(crate) fn kept(&self) -> bool {
        let broken =
            [self.lost, self.duplicated, self.reordered, self.untruthful, self.misplaced, self.strangers, self.silent];
        broken.iter().all(|&count| count == 0)
    }

    fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.examples.len() < 10 {
            self.examples.push(what());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  acknowledged                      {:>10}", self.acknowledged)?;
        writeln!(f, "  failed, not appended              {:>10}", self.not_appended)?;
        let stored = self.in_doubt_stored;
        writeln!(f, "  failed, in doubt                  {:>10}  (in the log: {stored})", self.in_doubt)?;
        writeln!(f, "  refused by send                   {:>10}", self.refused)?;
        writeln!(f, "  lost                              {:>10}", self.lost)?;
        writeln!(f, "  duplicated                        {:>10}", self.duplicated)?;
        writeln!(f, "  reordered                         {:>10}", self.reordered)?;
        writeln!(f, "  failed as not appended, yet there {:>10}", self.untruthful)?;
        writeln!(f, "  at another offset than reported   {:>10}", self.misplaced)?;
        writeln!(f, "  without an outcome                {:>10}", self.silent)?;
        writeln!(f, "  never sent, yet there             {:>10}", self.strangers)?;
        for example in &self.examples {
            writeln!(f, "  ! {example}")?;
        }
        Ok(())
    }
}

/// The log as it is read back: records of a partition in offset order, partitions in any order.
pub(crate) struct Audit<'a> {
    senders: &'a [Sent],
    /// Where each record was seen, by sender and number; and how often.
    seen: Vec<Vec<(u32, i64, u32)>>,
    /// The highest number of each sender in each partition so far.
    highest: HashMap<(u32, usize), u64>,
    verdict: Verdict,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(senders: &'a [Sent]) -> Self {
        let seen = senders.iter().map(|sent| vec![(0, -1, 0); sent.fates.len()]).collect();
        Self { senders, seen, highest: HashMap::new(), verdict: Verdict::default() }
    }

    /// A record of the log whose value names its sender and number, as `3 1200 …`.
    pub(crate) fn record(&mut self, partition: u32, offset: i64, value: &[u8]) {
        let Some((id, number)) = named(value) else {
            self.verdict.strangers += 1;
            self.verdict.wrong(|| format!("partition {partition}, offset {offset}: not one of ours"));
            return;
        };
        let Some(seen) = self.seen.get_mut(id).and_then(|seen| seen.get_mut(number as usize)) else {
            self.verdict.strangers += 1;
            self.verdict.wrong(|| format!("partition {partition}, offset {offset}: {id} {number} was never sent"));
            return;
        };
        let before = *seen;
        *seen = (partition, offset, before.2 + 1);
        if before.2 > 0 {
            self.verdict.duplicated += 1;
            let (first, at, _) = before;
            self.verdict.wrong(|| format!("{id} {number} is at {first}:{at} and again at {partition}:{offset}"));
            return;
        }
        let highest = self.highest.entry((partition, id)).or_insert(number);
        if number < *highest {
            let later = *highest;
            self.verdict.reordered += 1;
            self.verdict.wrong(|| format!("{id} {number} is at {partition}:{offset}, behind {id} {later}"));
        } else {
            *highest = number;
        }
    }

    /// All of the log has been seen.
    pub(crate) fn verdict(mut self) -> Verdict {
        for (id, (sent, seen)) in self.senders.iter().zip(&self.seen).enumerate() {
            for (number, (fate, &(partition, offset, times))) in sent.fates.iter().zip(seen).enumerate() {
                let verdict = &mut self.verdict;
                match *fate {
                    Fate::Silent => verdict.silent += 1,
                    Fate::InDoubt => {
                        verdict.in_doubt += 1;
                        verdict.in_doubt_stored += u64::from(times > 0);
                    }
                    Fate::Refused | Fate::NotAppended => {
                        let count =
                            if *fate == Fate::Refused { &mut verdict.refused } else { &mut verdict.not_appended };
                        *count += 1;
                        if times > 0 {
                            verdict.untruthful += 1;
                            verdict.wrong(|| format!("{id} {number} is at {partition}:{offset}, but it was {fate:?}"));
                        }
                    }
                    Fate::Acknowledged { partition: promised, offset: at } => {
                        verdict.acknowledged += 1;
                        if times == 0 {
                            verdict.lost += 1;
                            verdict.wrong(|| {
                                format!("{id} {number} was acknowledged at {promised}:{at:?} and is not there")
                            });
                        } else if times == 1 && (promised != partition || at.is_some_and(|at| at != offset)) {
                            verdict.misplaced += 1;
                            verdict.wrong(|| {
                                format!("{id} {number} is at {partition}:{offset}, reported at {promised}:{at:?}")
                            });
                        }
                    }
                }
            }
        }
        self.verdict
    }
}

fn named(value: &[u8]) -> Option<(usize, u64)> {
    let text = str::from_utf8(value).ok()?;
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(fates: &[Fate]) -> Vec<Sent> {
        vec![Sent { fates: fates.to_vec(), ..Sent::default() }]
    }

    fn at(offset: i64) -> Fate {
        Fate::Acknowledged { partition: 0, offset: Some(offset) }
    }

    fn audit(senders: &[Sent], log: &[&str]) -> Verdict {
        let mut audit = Audit::new(senders);
        for (offset, value) in log.iter().enumerate() {
            audit.record(0, offset as i64, value.as_bytes());
        }
        audit.verdict()
    }

    #[test]
    fn the_audit_passes_what_is_true() {
        let nowhere = Fate::Acknowledged { partition: 0, offset: None };
        let senders = sent(&[at(0), Fate::InDoubt, Fate::InDoubt, Fate::NotAppended, Fate::Refused, nowhere]);
        let verdict = audit(&senders, &["0 0 padding", "0 2 padding", "0 5 padding"]);
        assert!(verdict.kept(), "{verdict}");
        assert_eq!((verdict.acknowledged, verdict.in_doubt, verdict.in_doubt_stored), (2, 2, 1));
    }

    #[test]
    fn the_audit_sees_each_kind_of_lie() {
        let two = sent(&[at(0), at(1)]);
        assert_eq!(audit(&two, &["0 0 "]).lost, 1);
        assert_eq!(audit(&two, &["0 0 ", "0 1 ", "0 0 "]).duplicated, 1);
        assert_eq!(audit(&sent(&[at(1), at(0)]), &["0 1 ", "0 0 "]).reordered, 1);
        assert_eq!(audit(&two, &["0 0 ", "nobody", "0 1 "]).strangers, 1);
        assert_eq!(audit(&two, &["0 0 ", "0 1 ", "0 2 ", "1 0 "]).strangers, 2);
        assert_eq!(audit(&sent(&[at(1), at(0)]), &["0 0 ", "0 1 "]).misplaced, 2);
        assert_eq!(audit(&sent(&[Fate::NotAppended, Fate::Refused]), &["0 0 ", "0 1 "]).untruthful, 2);
        assert_eq!(audit(&sent(&[Fate::Silent]), &[]).silent, 1);
        let broken =
            [audit(&two, &["0 0 "]), audit(&two, &["0 0 ", "0 1 ", "0 0 "]), audit(&sent(&[Fate::Silent]), &[])];
        assert!(broken.iter().all(|verdict| !verdict.kept()));
    }
}
