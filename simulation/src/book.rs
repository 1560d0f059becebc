//! What was sent, what became of it, and the rules that hold at every moment.

use std::time::Duration;

use forebay_engine::LaneId;
use forebay_io::core::{Delivered, DeliveryFailure, FailureKind, Flushed, Report};
use forebay_io::time::Time;
use forebay_io::wire::error_code::ErrorCode;

/// A turn of the I/O thread, timers rounded up to whole milliseconds, and the millisecond between two looks at old bytes.
pub(crate) const SLACK: Duration = Duration::from_millis(12);
/// The age of bytes not yet in a batch is known to one part in so many.
const AGE_PARTS: u32 = 64;

pub(crate) struct Record {
    pub(crate) topic: usize,
    pub(crate) partition: u32,
    /// Number of the lane that holds it; `None` if it was never published.
    pub(crate) lane: Option<u32>,
    pub(crate) committed: Time,
    pub(crate) ended: Time,
    pub(crate) outcome: Option<Result<i64, DeliveryFailure>>,
}

/// One life of a lane.
pub(crate) struct LaneBook {
    id: LaneId,
    tag: u64,
    /// Ids of its records, by ordinal.
    pub(crate) records: Vec<u64>,
    reported: usize,
    pub(crate) dropped: bool,
}

struct Flush {
    token: u64,
    /// Everything committed before the call.
    must: usize,
    /// Everything committed before the core heard of it.
    may: Option<usize>,
    failed: u64,
}

pub(crate) struct Book {
    pub(crate) records: Vec<Record>,
    pub(crate) lanes: Vec<LaneBook>,
    /// By lane number of the engine: its present life.
    present: Vec<Option<u32>>,
    /// Ids in order of their commits.
    pub(crate) order: Vec<u64>,
    /// Everything before this place in `order` has its outcome.
    pub(crate) first_open: usize,
    flushes: Vec<Flush>,
    pub(crate) flushes_done: u64,
    delivery_timeout: Duration,
    linger: Duration,
    /// The last time that the I/O thread was kept from running.
    hiccup: (Time, Time),
    /// The longest of those times: what came to a lane then counts from its beginning.
    longest_hiccup: Duration,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// A running sum of all that was decided: two runs of a seed have the same.
    pub(crate) digest: u64,
}

impl Book {
    pub(crate) fn new(delivery_timeout: Duration, linger: Duration) -> Self {
        Self {
            records: Vec::new(),
            lanes: Vec::new(),
            present: Vec::new(),
            order: Vec::new(),
            first_open: 0,
            flushes: Vec::new(),
            flushes_done: 0,
            delivery_timeout,
            linger,
            hiccup: (Time::ZERO, Time::ZERO),
            longest_hiccup: Duration::ZERO,
            delivered: 0,
            failed: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(crate) fn mix(&mut self, value: u64) {
        self.digest = (self.digest ^ value).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// An id for a record that somebody tries to send.
    pub(crate) fn intend(&mut self, topic: usize, partition: u32) -> u64 {
        self.records.push(Record {
            topic,
            partition,
            lane: None,
            committed: Time::MAX,
            ended: Time::MAX,
            outcome: None,
        });
        self.records.len() as u64 - 1
    }

    pub(crate) fn lane_opened(&mut self, id: LaneId, tag: u64) -> u32 {
        let number = self.lanes.len() as u32;
        if self.present.len() <= id.index() {
            self.present.resize(id.index() + 1, None);
        }
        if let Some(former) = self.present[id.index()].replace(number) {
            let former = &self.lanes[former as usize];
            assert!(
                former.dropped && former.reported == former.records.len(),
                "a lane's number is used again before all its records have their outcome"
            );
        }
        self.lanes.push(LaneBook { id, tag, records: Vec::new(), reported: 0, dropped: false });
        number
    }

    pub(crate) fn committed(&mut self, id: u64, lane: u32, now: Time) {
        let record = &mut self.records[id as usize];
        record.lane = Some(lane);
        record.committed = now;
        self.lanes[lane as usize].records.push(id);
        self.order.push(id);
        self.mix(id);
    }

    pub(crate) fn flush_called(&mut self, token: u64) {
        self.flushes.push(Flush { token, must: self.order.len(), may: None, failed: 0 });
    }

    pub(crate) fn flush_heard(&mut self, token: u64) {
        let may = self.order.len();
        if let Some(flush) = self.flushes.iter_mut().find(|flush| flush.token == token) {
            flush.may = Some(may);
        }
    }

    pub(crate) fn is_flushing(&self, token: u64) -> bool {
        self.flushes.iter().any(|flush| flush.token == token)
    }

    pub(crate) fn report(&mut self, report: &Report, now: Time) {
        let number =
            self.present.get(report.lane.index()).copied().flatten().expect("a report of a lane that is known");
        let lane = &mut self.lanes[number as usize];
        assert_eq!((lane.id, lane.tag), (report.lane, report.lane_tag), "a report names its lane and its tag");
        assert_eq!(report.first_ordinal, lane.reported as u64, "reports come in order, without a hole or an overlap");
        let from = lane.reported;
        lane.reported += report.count as usize;
        assert!(lane.reported <= lane.records.len(), "a report of records that were never sent");
        let ids = lane.records[from..from + report.count as usize].to_vec();
        for (at, id) in ids.into_iter().enumerate() {
            let outcome = match &report.result {
                Ok(Delivered { base_offset: -1, .. }) => Ok(-1),
                Ok(delivered) => Ok(delivered.base_offset + at as i64),
                Err(failure) => Err(failure.clone()),
            };
            match &outcome {
                Ok(_) => self.delivered += 1,
                Err(_) => self.failed += 1,
            }
            self.mix(id ^ now.0 << 20 ^ u64::from(outcome.is_ok()));
            if outcome.is_err() {
                for flush in &mut self.flushes {
                    flush.failed += 1;
                }
            }
            if let Err(DeliveryFailure { kind: FailureKind::Broker { code, .. }, .. }) = &outcome {
                assert_ne!(*code, ErrorCode::DUPLICATE_SEQUENCE_NUMBER, "what the broker has is delivered");
            }
            let record = &mut self.records[id as usize];
            assert!(record.outcome.is_none(), "one outcome for each record");
            record.outcome = Some(outcome);
            record.ended = now;
        }
    }

    /// After the reports of a turn.
    pub(crate) fn settle(&mut self, flushed: &[Flushed], now: Time) {
        while let Some(id) = self.order.get(self.first_open)
            && self.records[*id as usize].outcome.is_some()
        {
            self.first_open += 1;
        }
        for done in flushed {
            let at = self.flushes.iter().position(|flush| flush.token == done.token).expect("a flush ends once");
            let flush = self.flushes.remove(at);
            assert!(self.first_open >= flush.must, "a flush ended before everything sent before it had its outcome");
            assert!(done.failed <= flush.failed, "a flush counts failures that did not happen");
            self.flushes_done += 1;
        }
        for flush in &self.flushes {
            let through = flush.may.is_some_and(|may| self.first_open >= may);
            assert!(!through, "a flush waits for records that were sent after it");
        }
        self.on_time(now);
    }

    /// No record may be without its outcome after its time.
    pub(crate) fn on_time(&self, now: Time) {
        let Some(id) = self.order.get(self.first_open) else { return };
        let record = &self.records[*id as usize];
        let due = record.committed + self.delivery_timeout + SLACK;
        let (from, to) = self.hiccup;
        let excused = from <= due && now <= to + SLACK;
        assert!(
            record.outcome.is_some() || now <= due || excused,
            "record {id} of lane {:?}, committed at {:?}, has no outcome {:?} after its delivery timeout",
            record.lane,
            record.committed,
            now.since(record.committed + self.delivery_timeout)
        );
    }

    /// A batch expires by its oldest record: somebody in the partition is that old.
    pub(crate) fn not_too_early(&self, reports: &[Report], now: Time) {
        for report in reports {
            let Err(DeliveryFailure { kind: FailureKind::TimedOut { .. }, .. }) = report.result else { continue };
            let lane = self.present[report.lane.index()].expect("known");
            let first = self.lanes[lane as usize].records[report.first_ordinal as usize];
            let of = &self.records[first as usize];
            let least = self.delivery_timeout.saturating_sub(self.delivery_timeout / AGE_PARTS);
            let least = least.saturating_sub(self.linger + SLACK + self.longest_hiccup);
            if now.since(of.committed) >= least {
                continue;
            }
            // It may have waited for the one before it in its lane, whose batch was answered only now: its mates were told then.
            let before = report.first_ordinal.checked_sub(1).map(|at| self.lanes[lane as usize].records[at as usize]);
            if before.is_some_and(|id| self.records[id as usize].ended >= of.ended) {
                continue;
            }
            // Mates of its batch had their outcome in this turn too, or wait for older ones of their lanes.
            let oldest = self.records.iter().filter(|r| {
                (r.topic, r.partition) == (of.topic, of.partition) && r.lane.is_some() && r.ended >= of.ended
            });
            let oldest = oldest.map(|r| r.committed).min().unwrap_or(of.committed);
            assert!(now.since(oldest) >= least, "record {first} timed out after {:?}", now.since(of.committed));
        }
    }

    /// The I/O thread does not run for that time: one hiccup with another after which it had no time to catch up.
    pub(crate) fn hiccup(&mut self, from: Time, to: Time) {
        let from = if from <= self.hiccup.1 + SLACK { self.hiccup.0 } else { from };
        self.hiccup = (from, to);
        self.longest_hiccup = self.longest_hiccup.max(to.since(from));
    }

    /// When the I/O thread ran again the last time that it was kept from it.
    pub(crate) fn ran_again(&self) -> Time {
        self.hiccup.1
    }

    /// Every record that was sent has its outcome.
    pub(crate) fn all_done(&self) -> bool {
        self.first_open == self.order.len()
    }

    /// Flushes that the core has heard of and that have not ended. Of one that came after the end the caller is told at once.
    pub(crate) fn open_flushes(&self) -> usize {
        self.flushes.iter().filter(|flush| flush.may.is_some()).count()
    }
}
