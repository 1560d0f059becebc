//! Fairness between partitions and brokers, and order where there is no idempotence. On a model cluster with a virtual
//! clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_io::core::{Acks, CoreConfig, FailureKind};

#[test]
fn partitions_that_all_have_more_than_fits_get_equal_shares() {
    // Whatever fits a request: one batch and a bit, three batches less a bit, or exactly two.
    for (request, partitions) in [(5_500, 2), (5_500, 3), (9_000, 6), (9_000, 5), (8_400, 4)] {
        let settings = CoreConfig {
            batch_max_bytes: 4_000,
            batch_size: 1_000,
            max_request_size: request,
            max_in_flight: 1,
            ..config()
        };
        let mut w = World::with_memory(settings, partitions, 8 << 20);
        let mut lanes: Vec<_> = (0..partitions as u32).map(|p| w.lane(p)).collect();
        w.stalled = true;
        for (p, lane) in lanes.iter_mut().enumerate() {
            // Some have much more than others.
            for id in 0..if p == 0 { 1_500 } else { 500 } {
                w.send(lane, id, 300);
            }
        }
        w.run(ms(10));
        w.stalled = false;
        assert!(w.run_until(secs(5), |w| w.cluster.partitions.iter().any(|p| p.log.len() > 300)));
        let served: Vec<_> = w.cluster.partitions.iter().map(|p| p.log.len()).collect();
        let (least, most) = (served.iter().min().expect("some"), served.iter().max().expect("some"));
        assert!(least * 10 >= most * 7, "requests of {request} bytes: {served:?}");
    }
}

#[test]
fn senders_of_one_partition_take_turns() {
    let settings = CoreConfig { batch_max_bytes: 4_000, max_in_flight: 1, ..config() };
    let mut w = World::with_memory(settings, 1, 8 << 20);
    let mut lanes: Vec<_> = (0..3).map(|_| w.lane(0)).collect();
    w.stalled = true;
    for (n, lane) in lanes.iter_mut().enumerate() {
        for id in 0..if n == 0 { 300 } else { 30 } {
            w.send(lane, n as u64 * 1_000 + id, 1_000);
        }
    }
    w.run(ms(10));
    w.stalled = false;
    assert!(w.run_until(secs(5), |w| w.cluster.seen.len() >= 30));
    for n in 1..3_u64 {
        let served = w.cluster.partitions[0].log.iter().filter(|id| **id / 1_000 == n).count();
        assert!(served >= 24, "a sender with little is not behind one with much: {served} of 30");
    }
}

#[test]
fn a_broker_that_does_not_read_holds_up_its_own_partitions_only() {
    let mut w = World::new(config(), 2);
    w.cluster.nodes = 2;
    w.cluster.partitions[1].leader = 1;
    let (mut a, mut b) = (w.lane(0), w.lane(1));
    w.send(&mut a, 0, 100);
    w.send(&mut b, 0, 100);
    w.delivered(2);
    w.deaf.insert(0);
    for id in 1..50 {
        w.send(&mut a, id, 500);
        w.send(&mut b, id, 500);
        let begin = w.now;
        assert!(w.run_until(ms(100), |w| w.records_delivered() == 2 + id), "{id}");
        assert!(w.now.since(begin) <= ms(10), "not later than its linger");
    }
    w.deaf.clear();
    w.delivered(100);
}

#[test]
fn one_in_flight_keeps_the_order_without_idempotence() {
    // Refusals, lost connections, moving leaders: everything may come twice, and nothing out of order.
    for seed in 0..40 {
        let settings =
            CoreConfig { enable_idempotence: false, acks: Acks::Leader, max_in_flight: 1, batch_size: 500, ..config() };
        let mut w = World::new(settings, 2);
        w.cluster.nodes = 2;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut dice = rng.fork();
        w.cluster.act = Box::new(move |_| match dice.u32(0..12) {
            0 => Act::Refuse(19),
            1 => Act::AppendRefuse(7),
            2 => Act::AppendReset,
            3 => Act::Reset,
            _ => Act::Normal,
        });
        let mut lanes = [w.lane(0), w.lane(1)];
        for id in 0..60 {
            for lane in &mut lanes {
                w.send(lane, id, 100);
            }
            if rng.u32(0..15) == 0 {
                let p = rng.usize(0..2);
                w.cluster.partitions[p].leader ^= 1;
                w.cluster.partitions[p].epoch += 1;
            }
            w.run(ms(rng.u64(0..30)));
        }
        w.cluster.act = Box::new(|_| Act::Normal);
        w.delivered(120);
        for partition in &w.cluster.partitions {
            let mut first = std::collections::BTreeSet::new();
            let order: Vec<_> = partition.log.iter().filter(|id| first.insert(**id)).copied().collect();
            assert_eq!(order, (0..60).collect::<Vec<_>>(), "seed {seed}");
            // A repeated batch repeats a stretch that was the newest then: a batch never overtakes another.
            let mut newest = 0;
            for id in &partition.log {
                assert!(*id <= newest + 1, "seed {seed}: {id} after {newest}");
                newest = newest.max(*id);
            }
        }
        assert!(w.cluster.seen.iter().all(|seen| seen.producer == (-1, -1) && seen.sequence == -1));
    }
}

#[test]
fn order_holds_without_idempotence_when_a_batch_expires_and_the_next_goes() {
    let settings = CoreConfig {
        enable_idempotence: false,
        max_in_flight: 1,
        request_timeout: secs(1),
        delivery_timeout: secs(3),
        ..config()
    };
    let mut w = World::new(settings, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.cluster.act = Box::new(|seen| if seen.ids.contains(&1) { Act::Refuse(19) } else { Act::Normal });
    w.send(&mut lane, 1, 100);
    w.run(ms(50));
    w.send(&mut lane, 2, 100);
    w.run(secs(2));
    assert_eq!(w.cluster.partitions[0].log, [0], "the second is not sent past the first");
    assert!(w.run_until(secs(5), |w| w.records_reported() == 3));
    assert_eq!(w.cluster.partitions[0].log, [0, 2]);
}

#[test]
fn without_acks_what_was_written_is_delivered_and_what_was_not_is_sent_again() {
    let settings = CoreConfig { acks: Acks::None, enable_idempotence: false, ..config() };
    let mut w = World::new(settings, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    // Half a request is through when the connection is lost.
    w.write_limit = 200;
    w.send(&mut lane, 1, 3_000);
    assert!(w.run_until(secs(1), |w| w.core.live_batches() == 1));
    w.step();
    assert_eq!(w.records_delivered(), 1, "not yet");
    w.write_limit = usize::MAX;
    w.reset_links();
    w.delivered(2);
    assert_eq!(w.cluster.partitions[0].log, [0, 1]);
    // The broker's own refusals are not heard.
    w.cluster.act = Box::new(|_| Act::Refuse(29));
    w.send(&mut lane, 2, 100);
    w.delivered(3);
    assert_eq!(w.core.live_batches(), 0);
}

#[test]
fn without_acks_a_leader_that_cannot_be_reached_fails_records_in_time() {
    let settings = CoreConfig { acks: Acks::None, enable_idempotence: false, delivery_timeout: secs(40), ..config() };
    let mut w = World::new(settings, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.refusing.insert(0);
    w.reset_links();
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(50), |w| w.records_reported() == 2));
    let failure = w.reports[1].result.clone().expect_err("nobody is there");
    assert_eq!((failure.kind, failure.possibly_appended), (FailureKind::TimedOut { sent: false }, false));
}
