//! What became of the records: the log between the I/O thread and whoever asks. An outcome is published once, is whole when it is seen, and
//! wakes everybody who waits for it. A deadline is an event of its own: it may come at any moment.
#![cfg(loom)]

use forebay::model::{Log, Outcomes, deadline_comes};
use forebay::{DeliveryError, DeliveryFailure, FailureKind};
use forebay_engine::LaneId;
use forebay_io::core::{Delivered, Report};
use forebay_loom_tests::{Bell, Ringer, block_on, engine, explore};
use loom::thread;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

const TAG: u64 = 3;
const FAILED: DeliveryFailure =
    DeliveryFailure { kind: FailureKind::TimedOut { sent: false }, possibly_appended: false };

/// A lane's number, as reports carry it.
fn lane() -> LaneId {
    engine(1).0.producer_end().lane(TAG).expect("open").id()
}

/// `count` records from `first` on were stored at `offset`, or failed.
fn report(first: u64, count: u32, offset: Option<i64>) -> Report {
    let delivered = offset.map(|base_offset| Delivered { base_offset, log_append_time: -1 });
    Report { lane: lane(), lane_tag: TAG, first_ordinal: first, count, result: delivered.ok_or(FAILED) }
}

/// One sender of one lane; its slot is 0.
fn one_sender() -> (Arc<Outcomes>, Log) {
    let outcomes = Arc::new(Outcomes::new());
    let log = outcomes.sender();
    assert_eq!(outcomes.lane(lane(), &log, TAG), 0);
    (outcomes, log)
}

/// An offset, a failure, or nothing yet.
fn seen(log: &Log, ordinal: u64) -> Option<Result<Option<i64>, DeliveryError>> {
    match log.look(&log.receipt(0, ordinal)) {
        Err(DeliveryError::Pending) => None,
        Ok(delivery) => Some(Ok(delivery.offset)),
        Err(error) => Some(Err(error)),
    }
}

/// An outcome is there or not, is whole, and stays what it is, while others are written behind it.
#[test]
fn an_outcome_is_published_once_and_whole() {
    explore("an_outcome_is_published_once_and_whole", None, || {
        let (outcomes, log) = one_sender();
        let asker = thread::spawn(move || {
            let (mut first, mut second) = (None, None);
            for _ in 0..2 {
                // The later record first: once it has an outcome, the earlier one does.
                let (late, early) = (seen(&log, 1), seen(&log, 0));
                assert!(late.is_none() || early.is_some(), "outcomes of a lane come in order");
                assert!([None, Some(Ok(Some(7)))].contains(&early), "not the outcome that was published: {early:?}");
                assert!(
                    [None, Some(Err(FAILED.into()))].contains(&late),
                    "not the outcome that was published: {late:?}"
                );
                assert!(first.is_none() || early == first, "an outcome was taken back");
                assert!(second.is_none() || late == second, "an outcome was taken back");
                (first, second) = (early, late);
            }
        });
        outcomes.reports(&[report(0, 1, Some(7))]);
        outcomes.reports(&[report(1, 1, None)]);
        asker.join().expect("the asker");
    });
}

/// What leaves the log while it is asked about is forgotten in one direction only: a failure never becomes a delivery.
#[test]
fn an_outcome_that_leaves_the_log_is_never_a_better_one() {
    explore("an_outcome_that_leaves_the_log_is_never_a_better_one", None, || {
        let (outcomes, log) = one_sender();
        outcomes.reports(&[report(0, 1, None), report(1, 1, Some(50))]);
        let asker = thread::spawn(move || {
            for _ in 0..2 {
                let (failed, delivered) = (seen(&log, 0), seen(&log, 1));
                assert!(
                    [Some(Err(FAILED.into())), Some(Err(DeliveryError::Forgotten))].contains(&failed),
                    "{failed:?}"
                );
                assert!([Some(Ok(Some(50))), Some(Ok(None))].contains(&delivered), "{delivered:?}");
            }
        });
        // A model's log keeps two stretches.
        outcomes.reports(&[report(2, 1, None)]);
        outcomes.reports(&[report(3, 1, Some(90))]);
        asker.join().expect("the asker");
    });
}

/// Whoever waits for a receipt is woken by its outcome, and by that of no other record.
#[test]
fn a_waiting_receipt_is_woken_by_its_outcome() {
    explore("a_waiting_receipt_is_woken_by_its_outcome", None, || {
        let (outcomes, log) = one_sender();
        let waiters: Vec<_> = [0, 1]
            .map(|ordinal| {
                let log = log.clone();
                thread::spawn(move || log.wait(&log.receipt(0, ordinal), false).expect("delivered").offset)
            })
            .into_iter()
            .collect();
        outcomes.reports(&[report(0, 1, Some(7))]);
        outcomes.reports(&[report(1, 1, Some(20))]);
        let offsets: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().expect("a waiter")).collect();
        assert_eq!(offsets, [Some(7), Some(20)]);
    });
}

/// The I/O thread ends: whoever waits gets the outcome that came before, or the end.
#[test]
fn the_end_wakes_every_receipt() {
    explore("the_end_wakes_every_receipt", None, || {
        let (outcomes, log) = one_sender();
        let waiters: Vec<_> = [0, 1]
            .map(|ordinal| {
                let log = log.clone();
                thread::spawn(move || log.wait(&log.receipt(0, ordinal), false))
            })
            .into_iter()
            .collect();
        outcomes.reports(&[report(0, 1, Some(7))]);
        outcomes.end();
        let mut ends = waiters.into_iter().map(|waiter| waiter.join().expect("a waiter"));
        assert_eq!(ends.next().expect("the first").expect("delivered before the end").offset, Some(7));
        let closed = ends.next().expect("the second").expect_err("never decided");
        assert!(
            matches!(closed, DeliveryError::Failed(why) if why.kind == FailureKind::Closed && why.possibly_appended)
        );
    });
}

/// A sender made while the I/O thread ends has its end told as well, by whoever comes second.
#[test]
fn a_sender_made_at_the_end_hears_of_it() {
    explore("a_sender_made_at_the_end_hears_of_it", None, || {
        let outcomes = Arc::new(Outcomes::new());
        let maker = thread::spawn({
            let outcomes = outcomes.clone();
            move || {
                let log = outcomes.sender();
                outcomes.lane(lane(), &log, TAG);
                assert!(log.wait(&log.receipt(0, 0), false).is_err(), "nobody will decide this record");
            }
        });
        outcomes.end();
        maker.join().expect("the maker");
    });
}

/// One of two I/O threads ends while the other still has an outcome to tell: that one counts, and what has none gets the end.
#[test]
fn the_end_of_one_thread_leaves_the_outcomes_of_the_others() {
    explore("the_end_of_one_thread_leaves_the_outcomes_of_the_others", None, || {
        let outcomes = Arc::new(Outcomes::of_threads(2));
        let (first, second) = (outcomes.sender(), outcomes.sender());
        // Lanes of two threads have the same number.
        assert_eq!(outcomes.lane_to(0, lane(), &first, TAG), 0);
        assert_eq!(outcomes.lane_to(1, lane(), &second, TAG), 0);
        let ends = thread::spawn({
            let outcomes = outcomes.clone();
            move || outcomes.end()
        });
        let tells = thread::spawn({
            let outcomes = outcomes.clone();
            move || {
                outcomes.reports_of(1, &[report(0, 1, Some(7))]);
                outcomes.end();
            }
        });
        let early = seen(&second, 0);
        assert!([None, Some(Ok(Some(7)))].contains(&early), "its thread had not ended: {early:?}");
        ends.join().expect("the first thread");
        tells.join().expect("the second thread");
        assert_eq!(seen(&second, 0), Some(Ok(Some(7))));
        let lost = first.look(&first.receipt(0, 0));
        assert!(
            matches!(lost, Err(DeliveryError::Failed(why)) if why.kind == FailureKind::Closed),
            "nobody told of it"
        );
    });
}

/// The clock races the outcome: the wait ends with the one or the other.
#[test]
fn a_deadline_or_an_outcome_ends_the_wait() {
    explore("a_deadline_or_an_outcome_ends_the_wait", None, || {
        let (outcomes, log) = one_sender();
        let waiter = thread::spawn({
            let log = log.clone();
            move || log.wait(&log.receipt(0, 0), true)
        });
        let clock = thread::spawn(deadline_comes);
        outcomes.reports(&[report(0, 1, Some(7))]);
        match waiter.join().expect("the waiter") {
            Ok(delivery) => assert_eq!(delivery.offset, Some(7)),
            Err(error) => assert_eq!(error, DeliveryError::Pending),
        }
        clock.join().expect("the clock");
        assert_eq!(seen(&log, 0), Some(Ok(Some(7))), "a wait that was given up changes nothing");
    });
}

/// An outcome that came before the deadline is told, though both came during the wait.
#[test]
fn an_outcome_before_the_deadline_is_told() {
    explore("an_outcome_before_the_deadline_is_told", None, || {
        let (outcomes, log) = one_sender();
        let waiter = thread::spawn(move || log.wait(&log.receipt(0, 0), true));
        outcomes.reports(&[report(0, 1, Some(7))]);
        deadline_comes();
        assert_eq!(waiter.join().expect("the waiter").expect("before the deadline").offset, Some(7));
    });
}

/// A future is woken by its outcome, or finds it there, whichever of its wakers was the last.
#[test]
fn a_future_is_woken_through_its_last_waker() {
    explore("a_future_is_woken_through_its_last_waker", None, || {
        let (outcomes, log) = one_sender();
        let asker = thread::spawn(move || {
            let mut future = pin!(log.future(log.receipt(0, 0)));
            // Another task looked first; that one is not asked any more.
            let other: Waker = Arc::new(Ringer(Arc::new(Bell::default()))).into();
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&other)) {
                return outcome;
            }
            block_on(future)
        });
        outcomes.reports(&[report(0, 1, Some(7))]);
        assert_eq!(asker.join().expect("the asker").expect("delivered").offset, Some(7));
    });
}

/// The end wakes futures too.
#[test]
fn the_end_wakes_every_future() {
    explore("the_end_wakes_every_future", None, || {
        let (outcomes, log) = one_sender();
        let asker = thread::spawn(move || block_on(pin!(log.future(log.receipt(0, 0)))));
        outcomes.end();
        assert!(asker.join().expect("the asker").is_err());
    });
}

/// A future that is dropped while its outcome comes leaves nothing behind in the log.
#[test]
fn a_dropped_future_leaves_no_waker() {
    explore("a_dropped_future_leaves_no_waker", None, || {
        let (outcomes, log) = one_sender();
        let ringer = Arc::new(Ringer(Arc::new(Bell::default())));
        let asker = thread::spawn({
            let (log, waker) = (log.clone(), Waker::from(ringer.clone()));
            move || {
                let mut future = log.future(log.receipt(0, 1));
                assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
            }
        });
        outcomes.reports(&[report(0, 1, Some(7))]);
        asker.join().expect("the asker");
        assert_eq!(Arc::strong_count(&ringer), 1, "the log holds a waker of nobody");
    });
}

/// A waker is the application's code: it may ask the log when it is called, and when it goes. So it is never called or dropped under a
/// lock of ours, or this would be a deadlock.
#[test]
fn a_waker_may_ask_the_log() {
    explore("a_waker_may_ask_the_log", Some(2), || {
        let (outcomes, log) = one_sender();
        let told = thread::spawn({
            let outcomes = outcomes.clone();
            move || {
                outcomes.reports(&[report(0, 1, Some(7))]);
                outcomes.end();
            }
        });
        let mut futures = [0, 1].map(|ordinal| log.future(log.receipt(0, ordinal)));
        for future in &mut futures {
            // A waker each time: the second takes the place of the first.
            for _ in 0..2 {
                let waker = Waker::from(Arc::new(Nosy(outcomes.clone(), log.clone())));
                let _ = Pin::new(&mut *future).poll(&mut Context::from_waker(&waker));
            }
        }
        told.join().expect("the I/O thread");
        drop(futures);
    });
}

/// Asks when it is woken, as a task that is run in place, and when it is dropped, as the last holder of a task.
struct Nosy(Arc<Outcomes>, Log);

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        let _ = self.0.sender();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        let _ = self.1.look(&self.1.receipt(0, 0));
    }
}

/// Each failure is told by exactly one flush, whoever flushes at once.
#[test]
fn each_failure_is_told_by_one_flush() {
    explore("each_failure_is_told_by_one_flush", None, || {
        let (outcomes, _log) = one_sender();
        let taker = thread::spawn({
            let outcomes = outcomes.clone();
            move || outcomes.take_failures().map_or(0, |(count, _)| count)
        });
        outcomes.reports(&[report(0, 2, None)]);
        let ours = outcomes.take_failures().map_or(0, |(count, _)| count);
        let theirs = taker.join().expect("the other flush");
        assert!([(2, 0), (0, 2)].contains(&(ours, theirs)), "{ours} and {theirs} of 2 failures were told");
    });
}
