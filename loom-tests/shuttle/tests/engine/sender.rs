//! A sending thread: records of any size, given up half-way, waited for, or given up waiting for.

use crate::outcomes::Outcomes;
use crate::{Happened, WORD, count};
use forebay_engine::{ClaimError, Engine, Grant, Lane, ProducerEnd};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

/// What became of a sender's records.
pub(crate) struct Sent {
    /// By lane tag: the records that were accepted, as (number, words).
    pub(crate) accepted: Vec<(u64, Vec<(u64, usize)>)>,
}

/// The words of a record: who it is, and a filling that follows from that.
pub(crate) fn words(tag: u64, number: u64, count: usize) -> impl Iterator<Item = u64> {
    let head = tag << 32 | number << 8 | count as u64;
    (0..count as u64).map(move |at| if at == 0 { head } else { head ^ at << 56 })
}

pub(crate) fn run(engine: &Engine, number: u64, records: u64, outcomes: &Outcomes, happened: &Happened) -> Sent {
    let mut end = engine.producer_end();
    let mut sent = Sent { accepted: Vec::new() };
    let (mut lanes, mut bytes) = (0, 0);
    let mut open: Option<Lane> = None;
    for record in 0..records {
        let tag = number << 8 | lanes;
        let lane = match &mut open {
            Some(lane) => lane,
            none => match end.lane(tag) {
                Ok(lane) => {
                    sent.accepted.push((tag, Vec::new()));
                    none.insert(lane)
                }
                Err(error) => {
                    assert_eq!(error, ClaimError::Closed);
                    return sent;
                }
            },
        };
        if thread_rng().gen_range(0..5) == 0 {
            lane.set_window(record as i64 * 8192);
        }
        let most = (engine.total_bytes() / WORD).min(11);
        let words = thread_rng().gen_range(1..=most);
        match send(&mut end, lane, tag, record, words, happened) {
            Ok(()) => {
                count(&happened.records);
                bytes += words * WORD;
                sent.accepted.last_mut().expect("a lane").1.push((record, words));
                if thread_rng().gen_range(0..4) == 0 {
                    count(&happened.flushes);
                    outcomes.wait(tag, bytes);
                }
            }
            Err(Stop::GivenUp) => {}
            Err(Stop::Left) => {
                count(&happened.left);
                return sent;
            }
            Err(Stop::Ended) => {
                count(&happened.refused);
                outcomes.wait(tag, usize::MAX); // as a close does: until the I/O side is done
                return sent;
            }
        }
        if thread_rng().gen_range(0..6) == 0 {
            open = None;
            lanes += 1;
            bytes = 0;
        }
    }
    sent
}

/// Why a record was not accepted.
enum Stop {
    /// The deadline came first, or the sender changed its mind.
    GivenUp,
    /// The sender goes while it waits: whatever was granted to it goes back.
    Left,
    /// The engine has ended, before the claim or during it.
    Ended,
}

impl From<ClaimError> for Stop {
    fn from(error: ClaimError) -> Self {
        assert_eq!(error, ClaimError::Closed);
        Stop::Ended
    }
}

fn send(
    end: &mut ProducerEnd,
    lane: &mut Lane,
    tag: u64,
    record: u64,
    count_of_words: usize,
    happened: &Happened,
) -> Result<(), Stop> {
    let mut claim = lane.claim_or(count_of_words * WORD, WORD, |refused| match refused {
        ClaimError::Full { segments } => {
            let grant = wait(end, segments, happened)?;
            // Now and then it goes back unused.
            if thread_rng().gen_range(0..8) == 0 { Err(Stop::GivenUp) } else { Ok(grant) }
        }
        other => Err(other.into()),
    })?;
    let abort = thread_rng().gen_range(0..5) == 0;
    for (at, word) in words(tag, record, count_of_words).enumerate() {
        if abort && at == count_of_words / 2 {
            break;
        }
        claim.put(&word.to_le_bytes());
        if at == 1 {
            thread::yield_now(); // a claim is held for a while
        }
    }
    if abort {
        count(&happened.aborts);
        return Err(Stop::GivenUp);
    }
    Ok(claim.commit()?)
}

/// Waits for memory. The clock is the schedule: a deadline is any moment.
fn wait(end: &mut ProducerEnd, segments: u32, happened: &Happened) -> Result<Grant, Stop> {
    end.begin_wait(segments)?;
    count(&happened.waits);
    let (patience, leaves) = (thread_rng().gen_range(0..24), thread_rng().gen_range(0..8) == 0);
    for looked in 0.. {
        if let Some(grant) = end.poll_wait()? {
            count(&happened.grants);
            return Ok(grant);
        }
        // Half of the waits never end by themselves: somebody must wake them.
        if patience >= 12 {
            end.park(None);
        } else if looked >= patience {
            if leaves {
                return Err(Stop::Left);
            }
            count(&happened.deadlines);
            return end.cancel_wait().ok_or(Stop::GivenUp);
        } else {
            thread::yield_now();
        }
    }
    unreachable!("a wait ends")
}
