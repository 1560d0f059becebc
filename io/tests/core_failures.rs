//! Bad days: retries, sequences, timeouts, hostile answers, on a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_engine::Lane;
use forebay_io::core::{CoreConfig, DeliveryFailure, FailureKind, Request};
use forebay_io::wire::ErrorCode;

#[test]
fn a_refused_first_batch_is_sent_again_in_order_and_identical() {
    let mut w = World::new(config(), 2);
    let (mut lane, mut other) = (w.lane(0), w.lane(1));
    w.warm_up(&mut lane);
    // NOT_ENOUGH_REPLICAS for the first; those behind it arrive out of order and are refused by the broker itself.
    w.cluster.act = Box::new(|seen| if seen.request == 1 { Act::Refuse(19) } else { Act::Normal });
    for batch in 0..4 {
        for n in 0..3 {
            w.send(&mut lane, batch * 3 + n, 6_000);
        }
        w.step();
    }
    w.send(&mut other, 500, 100);
    assert!(w.run_until(secs(10), |w| w.records_delivered() == 14), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log[1..], (0..12).collect::<Vec<_>>());
    assert_eq!(w.cluster.partitions[1].log, [500]);
    let first: Vec<_> = w.cluster.seen.iter().filter(|s| s.sequence == 1 && s.partition == 0).collect();
    assert_eq!(first.len(), 2);
    assert_eq!(first[0].bytes, first[1].bytes, "byte for byte");
    assert!(w.cluster.seen.iter().all(|s| s.producer.1 == 0), "no new epoch");
    w.run(secs(1));
    w.settled();
}

#[test]
fn a_lost_answer_is_not_a_duplicate() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|seen| if seen.request < 2 { Act::AppendReset } else { Act::Normal });
    w.send_batches(&mut lane, 0, 4, 5);
    assert!(w.run_until(secs(10), |w| w.records_delivered() == 20), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log, (0..20).collect::<Vec<_>>());
    w.run(secs(1));
    w.settled();
}

#[test]
fn a_late_answer_closes_the_connection_and_memory_waits_for_that() {
    let mut w = World::new(CoreConfig { request_timeout: secs(2), delivery_timeout: secs(60), ..config() }, 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.cluster.act = Box::new(|seen| if seen.request == 1 { Act::Silent } else { Act::Normal });
    w.hold_closes = true;
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(3), |w| !w.held_closes.is_empty()), "closed after request.timeout.ms");
    let held = w.core.free_segments();
    assert!(held < w.core.total_segments());
    w.run(secs(5));
    assert_eq!((w.core.free_segments(), w.core.live_batches()), (held, 1), "not before it is closed");
    assert_eq!(w.records_reported(), 1);
    let conn = w.held_closes[0];
    w.hold_closes = false;
    w.finish_close(conn);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 2));
    w.run(secs(1));
    w.settled();
}

#[test]
fn an_expired_batch_in_flight_reports_at_once_and_keeps_its_memory() {
    let mut w = World::new(CoreConfig { request_timeout: secs(30), delivery_timeout: secs(5), ..config() }, 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|seen| if seen.request == 0 { Act::AppendSilent } else { Act::Normal });
    w.send(&mut lane, 1, 100);
    let begin = w.now;
    w.reported(1);
    assert!(w.now.since(begin) <= ms(5_010) && w.now.since(begin) >= ms(4_900), "{:?}", w.now);
    let expected = DeliveryFailure { kind: FailureKind::TimedOut { sent: true }, possibly_appended: true };
    assert_eq!(w.failures(), [expected]);
    assert_eq!(w.core.live_batches(), 1, "in quarantine");
    assert!(w.core.free_segments() < w.core.total_segments());
    // What follows waits until the gap is known, then goes with a new epoch.
    w.send(&mut lane, 2, 100);
    w.run(secs(1));
    assert_eq!(w.cluster.seen.len(), 1, "nothing goes out past a gap");
    w.reset_links();
    assert!(w.run_until(secs(4), |w| w.records_delivered() == 1));
    assert_eq!(w.cluster.seen[1].producer.1, 1, "a new epoch");
    assert_eq!(w.cluster.seen[1].sequence, 0);
    w.run(secs(1));
    w.settled();
}

#[test]
fn what_was_never_sent_expires_without_a_trace() {
    let mut w = World::new(CoreConfig { delivery_timeout: secs(5), ..config() }, 1);
    w.unreachable = true;
    let mut lane = w.lane(0);
    for id in 0..10 {
        w.send(&mut lane, id, 100);
    }
    assert!(w.run_until(secs(6), |w| w.records_reported() == 10));
    assert!(w.now >= forebay_io::time::Time::ZERO + ms(4_800), "{:?}", w.now);
    let expected = DeliveryFailure { kind: FailureKind::TimedOut { sent: false }, possibly_appended: false };
    assert!(w.failures().iter().all(|f| *f == expected));
    w.unreachable = false;
    w.send(&mut lane, 10, 100);
    assert!(w.run_until(secs(60), |w| w.records_reported() == 11));
    w.run(secs(1));
    w.settled();
}

#[test]
fn a_backlog_keeps_its_time() {
    // Records published over 10 s into a stalled producer expire each at its own time.
    let mut w = World::new(CoreConfig { delivery_timeout: secs(20), request_timeout: secs(15), ..config() }, 1);
    w.unreachable = true;
    let mut lane = w.lane(0);
    for id in 0..100 {
        w.send(&mut lane, id, 100);
        w.run(ms(100));
    }
    w.run(secs(9));
    assert_eq!(w.records_reported(), 0, "none is 20 s old");
    w.run(secs(6));
    let half = w.records_reported();
    assert!((40..=62).contains(&half), "{half} expired after 25 s");
    w.run(secs(6));
    assert_eq!(w.records_reported(), 100);
    w.settled();
}

#[test]
fn too_large_batches_are_split_and_stay_in_order() {
    let mut w = World::new(config(), 1);
    let (mut a, mut b) = (w.lane(0), w.lane(0));
    w.cluster.max_batch = 3_000;
    for id in 0..20 {
        w.send(&mut a, id, 700);
        w.send(&mut b, 100 + id, 700);
    }
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 40), "{:?}", w.reports);
    let log = &w.cluster.partitions[0].log;
    for range in [0..20_u64, 100..120] {
        let of: Vec<_> = log.iter().copied().filter(|id| range.contains(id)).collect();
        assert_eq!(of, range.collect::<Vec<_>>());
    }
    // The offsets reported are those of the log.
    for report in &w.reports {
        let base = report.result.as_ref().expect("delivered").base_offset as usize;
        let first = log[base];
        assert_eq!(first % 100, report.first_ordinal);
    }
    w.send(&mut a, 20, 5_000);
    assert!(w.run_until(secs(5), |w| w.records_reported() == 41));
    assert!(matches!(w.failures()[0].kind, FailureKind::TooLarge { size, .. } if size > 5_000));
    w.send(&mut a, 21, 100);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 41));
    w.run(secs(1));
    w.settled();
}

#[test]
fn a_record_the_broker_finds_wrong_fails_with_its_mates() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|seen| if seen.request == 0 { Act::RefuseRecords(87, vec![1, 3]) } else { Act::Normal });
    for id in 0..5 {
        w.send(&mut lane, id, 100);
    }
    assert!(w.run_until(secs(1), |w| w.records_reported() == 5));
    let kinds: Vec<_> =
        w.reports.iter().map(|r| (r.first_ordinal, r.count, r.result.clone().expect_err("failed").kind)).collect();
    assert_eq!(kinds.len(), 5);
    for (ordinal, count, kind) in kinds {
        assert_eq!(count, 1);
        match kind {
            FailureKind::Broker { code, message } => {
                assert!(ordinal % 2 == 1 && code == ErrorCode(87) && message.as_deref() == Some("bad"));
            }
            FailureKind::BatchMate { .. } => assert_eq!(ordinal % 2, 0),
            other => panic!("{other:?}"),
        }
    }
    w.cluster.act = Box::new(|_| Act::Normal);
    w.send(&mut lane, 5, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    assert_eq!(w.cluster.seen[1].sequence, 0, "the sequence numbers were taken back");
}

#[test]
fn a_fatal_batch_leaves_the_later_ones_to_a_new_epoch() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.cluster.act = Box::new(|seen| if seen.request == 1 { Act::Refuse(87) } else { Act::Normal });
    w.stalled = true;
    for batch in 0..3 {
        for n in 0..3 {
            w.send(&mut lane, batch * 3 + n, 6_000);
        }
        w.step();
    }
    w.stalled = false;
    assert!(w.run_until(secs(5), |w| w.records_reported() == 10), "{:?}", w.reports);
    assert_eq!(w.records_delivered(), 7);
    assert_eq!(w.cluster.partitions[0].log[1..], (3..9).collect::<Vec<_>>());
    assert_eq!(w.cluster.seen.last().expect("seen").producer.1, 1);
}

#[test]
fn after_the_last_epoch_comes_a_new_producer_id() {
    let mut w = World::new(config(), 1);
    w.cluster.first_epoch = i16::MAX;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    w.cluster.act = Box::new(|seen| if seen.request == 1 { Act::Refuse(59) } else { Act::Normal });
    w.send(&mut lane, 1, 100);
    w.run(ms(200));
    // UNKNOWN_PRODUCER_ID without a log start offset is only retried: the broker may know better next time.
    assert_eq!(w.records_delivered(), 2);
    w.cluster.act = Box::new(|seen| if seen.request == 3 { Act::Refuse(45) } else { Act::Normal });
    w.send(&mut lane, 2, 100);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 3), "{:?}", w.cluster.seen);
    let last = w.cluster.seen.last().expect("seen");
    assert_eq!((last.producer, last.sequence), ((102, 0), 0));
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2]);
}

#[test]
fn duplicate_sequence_is_a_success_without_an_offset() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|_| Act::AppendRefuse(46));
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    assert_eq!(w.reports[0].result.as_ref().expect("delivered").base_offset, -1);
}

#[test]
fn hostile_answers_close_the_connection_and_lose_nothing() {
    let wrong_partition = {
        // correlation id, one topic "orders", partition 77, no error
        let mut bytes = vec![0, 0, 0, 0];
        bytes.extend([0, 2, 7]);
        bytes.extend(b"orders");
        bytes.extend([2, 0, 0, 0, 77, 0, 0]);
        bytes.extend([0; 24]);
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    };
    for garbage in [vec![], vec![0; 3], vec![0xff; 40], vec![0x7f; 200], wrong_partition] {
        let mut w = World::new(config(), 1);
        let mut lane = w.lane(0);
        let bytes = garbage.clone();
        let mut first = true;
        w.cluster.act =
            Box::new(move |_| if std::mem::take(&mut first) { Act::Garbage(bytes.clone()) } else { Act::Normal });
        w.send(&mut lane, 0, 100);
        assert!(w.run_until(secs(5), |w| w.records_delivered() == 1), "{garbage:?}: {:?}", w.reports);
        assert!(w.now < forebay_io::time::Time::ZERO + secs(1), "without waiting for another timer: {:?}", w.now);
        assert!(w.cluster.seen.len() > 1, "sent again");
        assert_eq!(w.cluster.partitions[0].log, [0]);
    }
}

#[test]
fn a_throttled_broker_is_left_alone_for_so_long() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.cluster.throttle_ms = 700;
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    let begin = w.now;
    w.cluster.throttle_ms = 0;
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(2), |w| w.records_delivered() == 2));
    assert!(w.now.since(begin) >= ms(700) && w.now.since(begin) < ms(720), "{:?}", w.now.since(begin));
}

#[test]
fn a_topic_that_may_not_be_written_fails_its_records() {
    let mut w = World::new(config(), 1);
    w.cluster.topic_error = 29;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(2), |w| w.records_reported() == 1));
    assert!(matches!(w.failures()[0].kind, FailureKind::Broker { code: ErrorCode::TOPIC_AUTHORIZATION_FAILED, .. }));
    assert_eq!(w.topics.entry(w.topic).expect("known").error(), 29);
    w.cluster.topic_error = 0;
    w.request(Request::WantTopic(w.topic));
    w.run(secs(1));
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
}

#[test]
fn without_authorisation_for_a_producer_id_records_fail_and_the_next_may_fare_better() {
    let mut w = World::new(config(), 1);
    w.cluster.init_errors.extend([14, 31]);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(5), |w| w.records_reported() == 1));
    assert!(matches!(w.failures()[0].kind, FailureKind::Broker { code: ErrorCode(31), .. }));
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 1));
}

#[test]
fn memory_pressure_makes_everything_due_and_waiters_get_what_comes_back() {
    let mut w = World::with_memory(CoreConfig { linger: secs(1_000), ..config() }, 2, 64 * 1024);
    let mut lane = w.lane(0);
    let mut id = 0;
    while w.send(&mut lane, id, 1_000) {
        id += 1;
    }
    assert!(id > 50);
    w.end.begin_wait(1).expect("waits");
    let mut granted = false;
    w.run_until(secs(5), |_| false);
    granted |= w.end.poll_wait().expect("open").is_some();
    assert!(granted, "{} delivered", w.records_delivered());
}

/// A sender waits for two segments. Of two lanes the first will be drained with a batch under way and holds at least that many that it
/// has not begun, the second holds all other memory. Answers take longer than any test, and with one request at a time nobody
/// is looked at until then.
fn starved() -> (World, [Lane; 2]) {
    let mut w = World::with_memory(CoreConfig { linger: ms(100), max_in_flight: 1, ..config() }, 2, 256 * 1024);
    let mut lanes = [w.lane(0), w.lane(1)];
    let mut id = 0;
    while lanes[0].segments_ahead() < 2 {
        assert!(w.send(&mut lanes[0], id, 4_000));
        id += 1;
    }
    assert!(w.send(&mut lanes[1], 0, 100));
    assert!(w.run_until(secs(1), |w| w.records_delivered() == id + 1));
    w.step(); // what they were in is free again
    w.delay = secs(10);
    assert!(w.send(&mut lanes[0], id, 4_000), "something of it is under way");
    while lanes[0].segments_ahead() < 2 {
        id += 1;
        assert!(w.send(&mut lanes[0], id, 4_000));
    }
    let mut hogs = 1;
    while w.send(&mut lanes[1], hogs, 1_000) {
        hogs += 1;
    }
    assert!(hogs > 100, "{hogs} records fill the rest");
    w.end.begin_wait(2).expect("waits");
    (w, lanes)
}

#[test]
fn memory_that_is_wanted_is_not_looked_for_in_lanes_with_something_under_way() {
    let (mut w, lanes) = starved();
    let ahead = lanes[0].segments_ahead();
    w.run(ms(4));
    assert_eq!(lanes[0].segments_ahead(), ahead, "it was drained just now");
    assert!(w.end.poll_wait().expect("open").is_none());
}

#[test]
fn memory_that_is_wanted_is_taken_from_idle_lanes_whatever_is_under_way() {
    let (mut w, lanes) = starved();
    let begin = w.now;
    assert!(w.run_until(secs(5), |_| lanes[0].segments_ahead() == 0));
    assert!(w.now.since(begin) < ms(20), "{:?}", w.now.since(begin));
    assert!(w.end.poll_wait().expect("open").is_some(), "long before the first answer comes");
}

#[test]
fn reconnects_back_off_and_return_to_the_bootstrap_servers() {
    let mut w = World::new(config(), 1);
    w.run(ms(100));
    let before = w.connects.len();
    w.cluster.act = Box::new(|_| Act::Reset);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.run(secs(10));
    let attempts = w.connects.len() - before;
    assert!((5..150).contains(&attempts), "{attempts} attempts in 10 s");
    w.cluster.act = Box::new(|_| Act::Normal);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 1));
}

#[test]
fn an_expired_batch_whose_answer_comes_late_leaves_no_gap() {
    let mut w = World::new(CoreConfig { request_timeout: secs(30), delivery_timeout: secs(5), ..config() }, 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.stalled = true;
    w.send(&mut lane, 1, 100);
    w.reported(2);
    assert!(w.failures()[0].possibly_appended, "half a request may still be written");
    w.send(&mut lane, 2, 100);
    w.stalled = false;
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 2));
    assert_eq!(w.cluster.partitions[0].log, [999, 1, 2]);
    assert!(w.cluster.seen.iter().all(|s| s.producer.1 == 0), "no new epoch: {:?}", w.cluster.seen);
    w.run(secs(1));
    w.settled();
}

#[test]
fn a_small_limit_of_the_broker_does_not_part_partitions_into_requests() {
    let mut w = World::new(config(), 8);
    w.cluster.max_batch = 1_000;
    let mut lanes: Vec<_> = (0..8).map(|p| w.lane(p)).collect();
    for round in 0..2 {
        w.cluster.requests = 0;
        for lane in &mut lanes {
            for id in 0..6 {
                w.send(lane, round * 10 + id, 300);
            }
        }
        let all = (round + 1) * 48;
        assert!(w.run_until(secs(5), |w| w.records_delivered() == all));
        w.run(ms(100));
    }
    assert!(w.cluster.requests <= 8, "{} requests for 8 partitions of 3 batches each", w.cluster.requests);
}

#[test]
fn a_batch_in_doubt_is_not_renumbered() {
    // The first batch is appended and its answer lost with the connection; the broker then refuses it once for another
    // reason. Whatever happens between, it goes with its own numbers, and the broker finds the duplicate.
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.cluster.act = Box::new(|seen| match seen.request {
        1 => Act::AppendReset,
        2 => Act::Refuse(19),
        _ => Act::Normal,
    });
    w.send(&mut lane, 1, 100);
    w.run(ms(20));
    w.send(&mut lane, 2, 100);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 3));
    assert_eq!(w.cluster.partitions[0].log, [999, 1, 2]);
    assert!(w.cluster.seen.iter().all(|s| s.producer.1 == 0));
}

#[test]
fn an_unknown_producer_in_doubt_fails_rather_than_doubles() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.cluster.act = Box::new(|seen| match seen.request {
        1 => Act::AppendReset,
        2 => Act::Refuse(47),
        _ => Act::Normal,
    });
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(5), |w| w.records_reported() == 2));
    assert!(w.failures()[0].possibly_appended);
    w.send(&mut lane, 2, 100);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 2));
    assert_eq!(w.cluster.partitions[0].log, [999, 1, 2]);
    assert_eq!(w.cluster.seen.last().expect("seen").producer.1, 1);
}

#[test]
fn the_first_batch_of_a_producer_goes_alone() {
    // The leader moves away for the first request and back for the second: a broker that knows nothing of the producer
    // would take the second batch as its first.
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.run(ms(100));
    w.cluster.act = Box::new(|seen| if seen.request == 0 { Act::Refuse(6) } else { Act::Normal });
    w.stalled = true;
    for batch in 0..3 {
        for n in 0..3 {
            w.send(&mut lane, batch * 3 + n, 6_000);
        }
        for _ in 0..10 {
            w.step();
        }
        w.stalled = batch == 0;
    }
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 9), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log, (0..9).collect::<Vec<_>>());
}
