//! The whole chain, sender to receipt, with time as an event: linger, `delivery.timeout.ms`, flush and close, while senders append. The
//! cluster cannot be reached, so every record that is accepted fails in time; what is modelled is that each has its outcome, once.
#![cfg(loom)]

use forebay::DeliveryError;
use forebay_engine::ClaimError;
use forebay_io::core::Request;
use forebay_io::time::Time;
use forebay_loom_tests::driver::{DELIVERY_TIMEOUT, LINGER, producer};
use forebay_loom_tests::explore;
use loom::thread;
use std::time::Duration;

/// What the core may be late by: a nap, and its looks at old bytes.
const SLACK: Duration = LINGER.saturating_add(DELIVERY_TIMEOUT.checked_div(8).expect("not by zero"));

/// A record has its outcome by `delivery.timeout.ms` after it was accepted, whatever the I/O thread was doing then, and no later record
/// is needed for that.
#[test]
fn every_record_has_its_outcome_in_time() {
    explore("every_record_has_its_outcome_in_time", Some(3), || {
        let (application, mut driver) = producer(2);
        let sender = thread::spawn(move || {
            let mut sender = application.sender(0).expect("open");
            let accepted = [(); 2].map(|()| {
                sender.send().expect("a segment for each");
                application.now()
            });
            for ordinal in 0..2 {
                let outcome = sender.log.wait(&sender.log.receipt(0, ordinal), false);
                assert!(matches!(outcome, Err(DeliveryError::Failed(_))), "{outcome:?}");
            }
            accepted
        });
        driver.run_until_reported(2);
        let accepted = sender.join().expect("the sender");
        for (at, report) in &driver.reports {
            for ordinal in report.first_ordinal..report.first_ordinal + u64::from(report.count) {
                let limit = accepted[ordinal as usize] + DELIVERY_TIMEOUT + SLACK;
                assert!(*at <= limit, "record {ordinal} waited until {at:?}, and should not beyond {limit:?}");
            }
        }
    });
}

/// A flush waits for what was published before it, and not for what others publish meanwhile.
#[test]
fn a_flush_covers_what_came_before_it() {
    explore("a_flush_covers_what_came_before_it", Some(2), || {
        let (application, mut driver) = producer(2);
        let mut other = application.sender(1).expect("open");
        let appender = thread::spawn(move || other.send().expect("room"));
        let flusher = thread::spawn(move || {
            let mut sender = application.sender(0).expect("open");
            sender.send().expect("room");
            let token = application.outcomes.begin_flush();
            assert!(application.request(Request::Flush { token }), "open");
            assert_eq!(application.outcomes.wait_flush(token, false), Some(true));
            let outcome = sender.log.look(&sender.log.receipt(0, 0));
            assert_ne!(outcome, Err(DeliveryError::Pending), "flushed, and still on its way");
        });
        driver.run_until_reported(2);
        appender.join().expect("the other sender");
        flusher.join().expect("the flusher");
    });
}

/// A request ends whatever sleep the I/O thread is in: it is acted on before the clock moves on.
#[test]
fn a_request_is_heard_at_once() {
    explore("a_request_is_heard_at_once", Some(3), || {
        let (application, mut driver) = producer(1);
        let flusher = thread::spawn(move || {
            let token = application.outcomes.begin_flush();
            assert!(application.request(Request::Flush { token }), "open");
            let asked = application.now();
            assert_eq!(application.outcomes.wait_flush(token, false), Some(true));
            assert_eq!(application.now(), asked, "the I/O thread slept on");
        });
        driver.run_until_flushed();
        flusher.join().expect("the flusher");
    });
}

/// Close, its deadline and a sender race: an accepted record has one outcome, and a refused one has none.
#[test]
fn a_close_decides_every_record() {
    explore("a_close_decides_every_record", Some(2), || {
        let (application, mut driver) = producer(2);
        let mut sender = application.sender(0).expect("open");
        let deadline = Time::ZERO + Duration::from_millis(1);
        let sender = thread::spawn(move || {
            let mut accepted = 0;
            while accepted < 2 && sender.send().map_err(|error| assert_eq!(error, ClaimError::Closed)).is_ok() {
                accepted += 1;
            }
            for ordinal in 0..u64::from(accepted) {
                let outcome = sender.log.wait(&sender.log.receipt(0, ordinal), false);
                assert!(matches!(outcome, Err(DeliveryError::Failed(_))), "{outcome:?}");
            }
            accepted
        });
        let closer = thread::spawn(move || assert!(application.request(Request::Close { deadline }), "open"));
        driver.run_until_closed();
        let accepted = sender.join().expect("the sender");
        closer.join().expect("the closer");
        assert_eq!(driver.reported(), accepted, "an outcome for each accepted record, and for no other");
    });
}
