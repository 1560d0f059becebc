//! Batching, pipelining, fairness, flush and close, on a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_io::core::{Acks, CoreConfig, Request, Wake};
use std::time::Duration;

#[test]
fn a_record_is_delivered_with_its_offset_after_linger() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    assert!(w.run_until(secs(1), |w| w.topics.entry(w.topic).is_some_and(|_| w.open_links().len() == 1)));
    for id in 0..3 {
        assert!(w.send(&mut lane, id, 100));
    }
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 3), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2]);
    assert_eq!(w.cluster.seen.len(), 1, "one batch");
    let delivered = w.reports[0].result.as_ref().expect("delivered");
    assert_eq!(delivered.base_offset, 0);
    assert_eq!(w.reports[0].lane_tag, w.topic.lane_tag(0));
    w.run(secs(1));
    assert_eq!(w.core.free_segments(), w.core.total_segments(), "an idle lane holds no memory");
}

#[test]
fn linger_gathers_and_a_full_batch_does_not_wait() {
    let mut w = World::new(CoreConfig { linger: ms(1_000), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(!w.run_until(ms(900), |w| !w.cluster.seen.is_empty()), "before linger is over");
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(ms(200), |w| w.records_delivered() == 2), "after linger");
    assert_eq!(w.cluster.seen.len(), 1);
    let begin = w.now;
    for id in 2..200 {
        w.send(&mut lane, id, 200);
    }
    w.run_until(ms(1), |w| w.cluster.seen.len() > 1);
    assert!(w.now.since(begin) < ms(10), "batch.size is passed: due at once");
}

#[test]
fn lanes_of_one_partition_share_a_batch() {
    let mut w = World::new(config(), 1);
    let mut lanes: Vec<_> = (0..4).map(|_| w.lane(0)).collect();
    for (id, lane) in lanes.iter_mut().enumerate() {
        for n in 0..10 {
            w.send(lane, id as u64 * 100 + n, 50);
        }
    }
    assert!(w.run_until(secs(2), |w| w.records_delivered() == 40));
    assert_eq!(w.cluster.seen.len(), 1);
    // Each lane's report has the offset of its first record.
    for report in &w.reports {
        let at = report.result.as_ref().expect("delivered").base_offset as usize;
        assert_eq!(w.cluster.partitions[0].log[at] % 100, 0);
    }
}

#[test]
fn many_partitions_go_in_one_request_and_requests_keep_their_size() {
    let mut w = World::new(CoreConfig { max_request_size: 30_000, ..config() }, 16);
    let mut lanes: Vec<_> = (0..16).map(|p| w.lane(p)).collect();
    for (p, lane) in lanes.iter_mut().enumerate() {
        w.send(lane, p as u64, 100);
    }
    assert!(w.run_until(secs(2), |w| w.records_delivered() == 16));
    assert_eq!(w.cluster.requests, 1);
    for (p, lane) in lanes.iter_mut().enumerate() {
        for n in 0..20 {
            w.send(lane, (p * 1_000 + n) as u64, 1_000);
        }
    }
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 16 + 320));
    assert!(w.cluster.largest_request <= 30_000, "{}", w.cluster.largest_request);
}

/// Otherwise a few milliseconds of backlog around the turn of a window become seconds of tiny requests.
#[test]
fn partitions_with_records_of_two_windows_share_requests_too() {
    let mut w = World::new(config(), 64);
    let mut lanes: Vec<_> = (0..128).map(|n| w.lane(n / 2)).collect();
    for (n, lane) in lanes.iter_mut().enumerate() {
        assert!(w.send_in(lane, 8_192 * (1 + n as i64 % 2), n as u64, 100));
    }
    assert!(w.run_until(secs(2), |w| w.records_delivered() == 128), "{:?}", w.reports);
    assert_eq!(w.cluster.seen.len(), 128, "a batch has one window");
    assert!(w.cluster.requests <= 3, "{} requests for two batches of each partition", w.cluster.requests);
}

#[test]
fn no_more_requests_than_slots_and_batches_grow_meanwhile() {
    let mut w = World::new(CoreConfig { max_in_flight: 2, ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    w.cluster.act = Box::new(|_| Act::Silent);
    let mut id = 1;
    for _ in 0..10 {
        for _ in 0..20 {
            w.send(&mut lane, id, 1_000);
            id += 1;
        }
        w.run(ms(20));
    }
    assert_eq!(w.cluster.requests, 3, "two unanswered requests at most");
    w.cluster.act = Box::new(|_| Act::Normal);
    w.reset_links();
    assert!(w.run_until(secs(10), |w| w.records_delivered() == id));
    assert_eq!(w.cluster.partitions[0].log, (0..id).collect::<Vec<_>>());
    let largest = w.cluster.seen.iter().map(|s| s.ids.len()).max().expect("some");
    assert!(largest >= 100, "what waited went together: {largest}");
}

#[test]
fn short_writes_at_every_byte_and_split_responses_change_nothing() {
    for write_limit in [1, 2, 3, 7, 61, 100, 4_095] {
        let mut w = World::new(config(), 2);
        (w.write_limit, w.read_limit) = (write_limit, 3);
        let (mut a, mut b) = (w.lane(0), w.lane(1));
        for id in 0..30 {
            w.send(&mut a, id, 300);
            w.send(&mut b, 100 + id, 10);
        }
        assert!(w.run_until(secs(5), |w| w.records_delivered() == 60), "limit {write_limit}");
        assert_eq!(w.cluster.partitions[0].log, (0..30).collect::<Vec<_>>());
        assert_eq!(w.cluster.partitions[1].log, (100..130).collect::<Vec<_>>());
    }
}

#[test]
fn without_acks_written_is_delivered() {
    let mut w = World::new(CoreConfig { acks: Acks::None, enable_idempotence: false, ..config() }, 1);
    let mut lane = w.lane(0);
    for id in 0..10 {
        w.send(&mut lane, id, 100);
    }
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 10));
    assert_eq!(w.reports[0].result.as_ref().expect("delivered").base_offset, -1);
    assert_eq!(w.cluster.seen[0].producer, (-1, -1));
    assert_eq!(w.core.live_batches(), 0);
}

#[test]
fn a_flush_waits_for_what_was_before_it_and_for_nothing_else() {
    let mut w = World::new(CoreConfig { linger: secs(60), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.run(ms(100));
    w.request(Request::Flush { token: 7 });
    w.request(Request::Flush { token: 8 });
    assert!(w.run_until(secs(1), |w| w.flushed.len() == 2), "linger does not hold a flush up");
    assert_eq!(w.records_delivered(), 1);
    // A steady stream does not starve it.
    w.cluster.act = Box::new(|_| Act::Normal);
    for id in 1..50 {
        w.send(&mut lane, id, 100);
    }
    w.request(Request::Flush { token: 9 });
    for id in 50..100 {
        w.send(&mut lane, id, 100);
        w.step();
    }
    assert!(w.flushed.iter().any(|f| f.token == 9 && f.failed == 0), "{:?}", w.flushed);
    w.request(Request::Flush { token: 10 });
    assert!(w.run_until(secs(1), |w| w.flushed.iter().any(|f| f.token == 10)));
    w.request(Request::Flush { token: 11 });
    assert!(w.run_until(ms(1), |w| w.flushed.iter().any(|f| f.token == 11)), "nothing to wait for");
}

#[test]
fn close_delivers_everything_and_ends() {
    let mut w = World::new(CoreConfig { linger: secs(60), ..config() }, 3);
    let mut lanes: Vec<_> = (0..3).map(|p| w.lane(p)).collect();
    for lane in &mut lanes {
        for id in 0..10 {
            w.send(lane, id, 100);
        }
    }
    let deadline = w.now + secs(30);
    w.request(Request::Close { deadline });
    assert!(w.run_until(secs(31), |w| w.core.is_closed()));
    assert!(w.now < deadline, "no need to wait for the deadline");
    assert_eq!(w.records_delivered(), 30);
    assert!(!w.send(&mut lanes[0], 99, 100), "closed");
    assert_eq!(w.core.free_segments(), w.core.total_segments());
}

#[test]
fn at_the_deadline_of_a_close_the_rest_fails() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|_| Act::AppendSilent);
    w.send(&mut lane, 0, 100);
    w.run(ms(100));
    w.unreachable = true;
    w.send(&mut lane, 1, 100);
    let deadline = w.now + secs(2);
    w.request(Request::Close { deadline });
    assert!(w.run_until(secs(3), |w| w.core.is_closed()));
    assert_eq!((w.records_reported(), w.records_delivered()), (2, 0));
    assert!(w.reports[0].result.as_ref().expect_err("failed").possibly_appended);
    assert_eq!(w.core.free_segments(), w.core.total_segments());
}

#[test]
fn an_idle_producer_sleeps_until_its_metadata_is_old() {
    let mut w = World::new(CoreConfig { connections_max_idle: secs(100_000), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.run(secs(1));
    w.step();
    match w.core.rest(w.now) {
        forebay_io::core::Wake::At(at) => assert!(at.since(w.now) > secs(200), "{at:?}"),
        other => panic!("{other:?}"),
    }
    let rings = w.rings();
    w.send(&mut lane, 1, 100);
    assert_eq!(w.rings(), rings + 1, "the first record of an idle lane rings");
    w.send(&mut lane, 2, 100);
    assert_eq!(w.rings(), rings + 1, "the second does not");
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 3));
}

#[test]
fn each_lane_gives_its_memory_back_soon_after_it_was_drained_whenever_others_were() {
    // Drained after a linger of 5 ms, idle 10 ms later, and noticed at the end of a nap.
    let mut w = World::new(config(), 2);
    let mut lanes = [w.lane(0), w.lane(1)];
    for id in 0..40 {
        w.send(&mut lanes[0], id, 100);
        w.run(Duration::from_micros(600) * id as u32);
        w.send(&mut lanes[1], id, 100);
        let took = (0..100).find(|_| {
            w.run(ms(1));
            w.core.free_segments() == w.core.total_segments()
        });
        assert!(took.is_some_and(|took| (10..=21).contains(&took)), "{id}: {took:?} ms");
    }
}

#[test]
fn with_no_linger_a_record_goes_at_once() {
    let mut w = World::new(CoreConfig { linger: ms(0), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    for id in 1..20 {
        w.run(ms(50));
        let rings = w.rings();
        let begin = w.now;
        w.send(&mut lane, id, 100);
        assert_eq!(w.rings(), rings + 1);
        assert!(w.run_until(secs(1), |w| w.records_delivered() == id + 1));
        assert_eq!(w.now, begin);
    }
}

#[test]
fn whatever_is_fed_in_asks_for_another_turn_before_sleep() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    w.run(secs(1));
    assert_ne!(w.core.rest(w.now), Wake::Now);
    let conn = w.open_links()[0];
    w.finish_close(conn);
    assert_eq!(w.core.rest(w.now), Wake::Now, "a closed connection");
    w.step();
    w.request(Request::Flush { token: 1 });
    assert_eq!(w.core.rest(w.now), Wake::Now, "a request");
}

#[test]
fn lanes_of_dropped_senders_are_forgotten_and_their_numbers_used_again() {
    let mut w = World::new(config(), 1);
    for round in 0..50 {
        let mut lane = w.lane(0);
        assert!(lane.id().index() < 2, "round {round}: {:?}", lane.id());
        w.forget_ordinals(lane.id());
        w.send(&mut lane, round, 100);
        // Half of them are dropped with a record on its way, which is delivered nevertheless.
        if round % 2 == 0 {
            drop(lane);
            assert!(w.run_until(secs(1), |w| w.records_delivered() == round + 1));
        } else {
            assert!(w.run_until(secs(1), |w| w.records_delivered() == round + 1));
            drop(lane);
        }
        w.run(secs(1));
    }
    assert_eq!(w.core.free_segments(), w.core.total_segments());
}

/// Kafka gathers its answers in hash tables: of many partitions they come in no order.
#[test]
fn answers_in_any_order_are_those_of_their_partitions() {
    for produce_max in [11, 13] {
        let mut w = World::new(CoreConfig { enable_idempotence: false, ..config() }, 200);
        (w.cluster.produce_max, w.cluster.metadata_max, w.cluster.topic_id) = (produce_max, 13, [7; 16]);
        w.cluster.hashes = true;
        w.cluster.act = Box::new(|seen| if seen.partition % 3 == 0 { Act::Refuse(87) } else { Act::Normal });
        let mut lanes: Vec<_> = (0..200).map(|partition| w.lane(partition)).collect();
        for (id, lane) in lanes.iter_mut().enumerate() {
            assert!(w.send(lane, id as u64, 100));
        }
        assert!(w.run_until(secs(5), |w| w.records_reported() == 200));
        assert!(w.cluster.requests < 10, "many partitions in a request");
        for (partition, lane) in lanes.iter().enumerate() {
            let report = w.reports.iter().find(|report| report.lane == lane.id()).expect("one for each");
            assert_eq!(report.result.is_err(), partition % 3 == 0, "{partition}: {:?}", report.result);
        }
    }
}
