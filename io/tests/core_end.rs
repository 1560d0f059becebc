//! Flushes, closes and deadlines: what waits for what, and for how long. On a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_io::core::{CoreConfig, DeliveryFailure, FailureKind, Request};
use forebay_io::time::Time;

fn is_flushed(w: &World, token: u64) -> bool {
    w.flushed.iter().any(|flush| flush.token == token)
}

#[test]
fn a_flush_does_not_wait_for_records_behind_the_unused_end_of_a_segment() {
    // Each window of timestamps begins a segment: what is left of the one before holds nothing, and nothing to wait for.
    let mut w = World::new(CoreConfig { max_in_flight: 1, ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.stalled = true;
    for window in 1..4 {
        assert!(w.send_in(&mut lane, window * 8_192, window as u64, 100));
    }
    w.request(Request::Flush { token: 7 });
    w.step();
    for id in 4..20 {
        w.send_in(&mut lane, 4 * 8_192, id, 100);
    }
    // The later ones are never answered.
    w.cluster.act = Box::new(|seen| if seen.ids[0] >= 4 { Act::Silent } else { Act::Normal });
    w.stalled = false;
    assert!(w.run_until(secs(5), |w| is_flushed(w, 7)), "{:?}", w.reports);
    assert_eq!(w.records_delivered(), 4);
}

#[test]
fn a_flush_is_not_starved_by_senders_that_go_on() {
    let mut w = World::new(CoreConfig { linger: secs(60), batch_max_bytes: 2_000, max_in_flight: 1, ..config() }, 3);
    let mut lanes: Vec<_> = (0..6).map(|lane| w.lane(lane % 3)).collect();
    let mut sent = 0;
    for token in 0..50 {
        for lane in &mut lanes {
            for _ in 0..5 {
                sent += u64::from(w.send(lane, sent, 200));
            }
        }
        let due = sent;
        w.request(Request::Flush { token });
        let mut turns = 0;
        while !is_flushed(&w, token) {
            turns += 1;
            assert!(turns < 60, "flush {token} is starved");
            for lane in &mut lanes {
                sent += u64::from(w.send(lane, sent, 200));
            }
            w.step();
        }
        assert!(w.records_reported() >= due, "what was before the flush has its outcome");
    }
}

#[test]
fn a_flush_counts_the_failures_of_what_it_waited_for() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|seen| if seen.ids[0] < 10 { Act::Refuse(87) } else { Act::Normal });
    for id in 0..10 {
        w.send(&mut lane, id, 100);
    }
    w.request(Request::Flush { token: 1 });
    assert!(w.run_until(secs(5), |w| is_flushed(w, 1)));
    assert_eq!(w.flushed[0].failed, 10);
    for id in 10..20 {
        w.send(&mut lane, id, 100);
    }
    w.request(Request::Flush { token: 2 });
    assert!(w.run_until(secs(5), |w| is_flushed(w, 2)));
    assert_eq!(w.flushed[1].failed, 0);
}

#[test]
fn a_close_ends_from_every_state_and_leaves_nothing_behind() {
    type Prepare = fn(&mut World);
    let states: &[(&str, Prepare)] = &[
        ("nobody answers", |w| w.unreachable = true),
        ("nobody listens", |w| assert!(w.refusing.insert(0))),
        ("greeting", |w| assert!(w.deaf.insert(0))),
        ("without metadata", |w| w.cluster.no_metadata_from = vec![0]),
        ("without a topic", |w| w.cluster.topic_error = 3),
        ("without a leader", |w| w.cluster.partitions[0].leader = -1),
        ("without a producer id", |w| w.cluster.init_errors.extend([14; 200])),
        ("in flight", |w| w.cluster.act = Box::new(|_| Act::Silent)),
        ("backing off", |w| w.cluster.act = Box::new(|_| Act::Refuse(19))),
        ("out of sequence", |w| w.cluster.act = Box::new(|_| Act::Refuse(45))),
        ("unknown", |w| w.cluster.act = Box::new(|_| Act::RefuseFrom(59, 0))),
        ("losing connections", |w| w.cluster.act = Box::new(|_| Act::Reset)),
        ("throttled", |w| (w.cluster.throttle_ms, w.cluster.max_batch) = (100_000, 200)),
        ("half written", |w| w.write_limit = 1),
    ];
    for warm in [false, true] {
        for (name, prepare) in states {
            let mut w = World::new(config(), 2);
            let mut lanes = [w.lane(0), w.lane(1)];
            let mut sent = 0;
            if warm {
                w.send(&mut lanes[0], 0, 100);
                w.send(&mut lanes[1], 0, 100);
                w.delivered(2);
                sent = 2;
                w.reset_links();
            }
            prepare(&mut w);
            for lane in &mut lanes {
                for id in 1..6 {
                    w.send(lane, id, 100);
                    sent += 1;
                }
            }
            w.run(ms(300));
            w.request(Request::Flush { token: 1 });
            let deadline = w.now + secs(3);
            w.request(Request::Close { deadline });
            assert!(w.run_until(secs(4), |w| w.core.is_closed()), "{name}: the close does not end");
            assert!(w.now <= deadline + ms(1), "{name}: {:?} after the deadline", w.now.since(deadline));
            assert_eq!(w.records_reported(), sent, "{name}: one outcome per record");
            assert!(is_flushed(&w, 1), "{name}: the flush ends with it");
            assert_eq!(w.core.free_segments(), w.core.total_segments(), "{name}: all memory is back");
            assert!(w.linked_nodes().is_empty(), "{name}: connections are closed");
        }
    }
}

#[test]
fn of_two_closes_the_earlier_deadline_counts() {
    for deadlines in [[30, 2], [2, 30]] {
        let mut w = World::new(config(), 1);
        let mut lane = w.lane(0);
        w.cluster.act = Box::new(|_| Act::Silent);
        w.send(&mut lane, 0, 100);
        w.run(ms(100));
        let begin = w.now;
        for deadline in deadlines {
            w.request(Request::Close { deadline: begin + secs(deadline) });
        }
        assert!(w.run_until(secs(40), |w| w.core.is_closed()));
        assert_eq!(w.now.since(begin), secs(2));
        let failure = DeliveryFailure { kind: FailureKind::Closed, possibly_appended: true };
        assert_eq!(w.reports[0].result, Err(failure));
    }
}

#[test]
fn no_outcome_comes_later_than_delivery_timeout_whatever_holds_it_up() {
    type Prepare = fn(&mut World);
    let states: &[(&str, Prepare)] = &[
        ("nobody answers", |w| w.unreachable = true),
        ("nobody listens", |w| assert!(w.refusing.insert(0))),
        ("deaf", |w| assert!(w.deaf.insert(0))),
        ("without metadata", |w| w.cluster.no_metadata_from = vec![0]),
        ("without a topic", |w| w.cluster.topic_error = 3),
        ("without a leader", |w| (w.cluster.partitions[0].leader, w.cluster.partitions[0].epoch) = (-1, 7)),
        ("without a producer id", |w| w.cluster.init_errors.extend([14; 200])),
        ("in flight", |w| w.cluster.act = Box::new(|_| Act::Silent)),
        ("in flight, appended", |w| w.cluster.act = Box::new(|_| Act::AppendSilent)),
        ("backing off", |w| w.cluster.act = Box::new(|_| Act::Refuse(19))),
        ("out of sequence", |w| w.cluster.act = Box::new(|_| Act::Refuse(45))),
        ("losing connections", |w| w.cluster.act = Box::new(|_| Act::Reset)),
        ("throttled", |w| w.cluster.throttle_ms = 100_000),
        ("half written", |w| w.stalled = true),
    ];
    for warm in [false, true] {
        for (name, prepare) in states {
            let settings = CoreConfig { request_timeout: secs(4), delivery_timeout: secs(10), ..config() };
            let mut w = World::new(settings, 1);
            let mut lane = w.lane(0);
            // When each record was sent.
            let mut sent: Vec<Time> = Vec::new();
            if warm {
                w.send(&mut lane, 0, 100);
                sent.push(w.now);
                w.delivered(1);
                prepare(&mut w);
                w.reset_links();
            } else {
                prepare(&mut w);
            }
            // A backlog of ten seconds, and what becomes of it, record by record.
            let mut decided = 0;
            let mut earliest = secs(10);
            for round in 0..900 {
                if round < 400 {
                    assert!(w.send(&mut lane, 1 + round, 100), "{name}");
                    sent.push(w.now);
                }
                w.run(ms(25));
                for report in w.reports.drain(..) {
                    for _ in 0..report.count {
                        let age = w.now.since(sent[decided]);
                        assert!(age <= secs(10) + ms(25), "{name}: record {decided} waited for {age:?}");
                        if report.result.is_err() {
                            earliest = earliest.min(age);
                        }
                        decided += 1;
                    }
                }
            }
            assert_eq!(decided, sent.len(), "{name}: an outcome for each");
            // What waits in its lane loses at most a 64th, and what shares a batch with an older record at most a 16th more.
            assert!(earliest + secs(10) / 64 + secs(10) / 16 + ms(25) >= secs(10), "{name}: failed after {earliest:?}");
        }
    }
}

#[test]
fn what_waits_in_its_lane_loses_at_most_a_64th_of_its_time() {
    let settings = CoreConfig { delivery_timeout: secs(20), request_timeout: secs(15), ..config() };
    let mut w = World::new(settings, 1);
    w.unreachable = true;
    let mut lane = w.lane(0);
    let mut sent = Vec::new();
    let mut decided = 0;
    for round in 0..1_600_u64 {
        if round < 800 {
            // Windows with unused ends between them, as time brings them.
            assert!(w.send_in(&mut lane, round as i64 / 80 * 8_192, round, 100));
            sent.push(w.now);
        }
        w.run(ms(25));
        for report in w.reports.drain(..) {
            for _ in 0..report.count {
                let age = w.now.since(sent[decided]);
                assert!(age <= secs(20) + ms(25), "record {decided} waited for {age:?}");
                // One part because marks are so far apart, one because lanes are looked at so often.
                assert!(age + secs(20) / 64 + ms(25) >= secs(20), "record {decided} failed after {age:?}");
                decided += 1;
            }
        }
    }
    assert_eq!(decided, sent.len());
}
