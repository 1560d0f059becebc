//! Batches that go again: how long after a failure, how often, and to whom. On a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, NOT_ENOUGH_REPLICAS, World, between, config, ms, secs, within_a_fifth};
use forebay_io::core::{CoreConfig, FailureKind};
use forebay_io::wire::ErrorCode;
use std::time::Duration;

/// How long after each attempt at the first batch after a warm-up the next one came, if all but the last end so.
fn pauses(end: fn() -> Act, attempts: usize) -> Vec<Duration> {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.cluster.act = Box::new(move |seen| if seen.request < attempts { end() } else { Act::Normal });
    w.send(&mut lane, 0, 100);
    let mut times = Vec::new();
    for attempt in 0..attempts {
        assert!(w.run_until(secs(10), |w| w.cluster.seen.len() == 2 + attempt), "attempt {attempt}");
        times.push(w.now);
    }
    assert!(w.run_until(secs(10), |w| w.records_delivered() == 2));
    w.run(secs(1));
    w.settled();
    between(&times)
}

#[track_caller]
fn assert_about(pauses: &[Duration], nominal: &[u64]) {
    assert_eq!(pauses.len(), nominal.len());
    for (pause, nominal) in pauses.iter().zip(nominal) {
        assert!(within_a_fifth(*pause, ms(*nominal)), "{nominal} ms nominal: {pauses:?}");
    }
}

#[test]
fn refused_batches_back_off_twofold_up_to_a_limit() {
    assert_about(&pauses(|| Act::Refuse(NOT_ENOUGH_REPLICAS), 7), &[100, 200, 400, 800, 1_000, 1_000]);
}

#[test]
fn after_a_lost_connection_a_batch_waits_for_the_next_one_only_and_then_as_ever() {
    // 50 ms is reconnect.backoff.ms.
    assert_about(&pauses(|| Act::AppendReset, 6), &[50, 100, 200, 400, 800]);
}

#[test]
fn a_lost_connection_does_not_shorten_the_pause_after_a_refusal() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.warm_up(&mut lane);
    w.cluster.act = Box::new(|seen| match seen.request {
        1 => Act::Refuse(NOT_ENOUGH_REPLICAS),
        2 => Act::Silent,
        _ => Act::Normal,
    });
    // So that both are on their way before the first is refused.
    w.delay = ms(5);
    w.send_batches(&mut lane, 0, 2, 1);
    w.run(ms(12));
    assert_eq!(w.cluster.seen.len(), 3);
    let begin = w.now;
    w.reset_links();
    assert!(w.run_until(secs(1), |w| w.cluster.seen.len() == 4));
    assert!(w.now.since(begin) >= ms(70), "{:?}", w.now.since(begin));
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 3));
    w.run(secs(1));
    w.settled();
}

#[test]
fn retries_end_and_the_last_error_is_reported() {
    let mut w = World::new(CoreConfig { retries: 2, ..config() }, 1);
    let mut lane = w.lane(0);
    w.cluster.act = Box::new(|_| Act::Refuse(7));
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(10), |w| w.records_reported() == 1));
    assert_eq!(w.cluster.seen.len(), 3);
    let failure = &w.failures()[0];
    assert!(matches!(failure.kind, FailureKind::Broker { code: ErrorCode::REQUEST_TIMED_OUT, .. }));
    assert!(failure.possibly_appended);
}

#[test]
fn a_moved_leader_is_followed_at_once() {
    let mut w = World::new(config(), 2);
    w.cluster.nodes = 2;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    w.cluster.partitions[0].leader = 1;
    w.cluster.partitions[0].epoch = 5;
    w.cluster.act = Box::new(|seen| if seen.node == 0 { Act::Hint(1, 5) } else { Act::Normal });
    let (begin, metadata) = (w.now, w.cluster.metadata_requests);
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 2));
    assert!(w.now.since(begin) < ms(50), "no backoff for a new leader");
    assert_eq!(w.cluster.metadata_requests, metadata, "the hint is enough");
    assert_eq!(w.cluster.seen.last().expect("seen").node, 1);
    // Without a hint the metadata is asked.
    w.cluster.partitions[0].leader = 0;
    w.cluster.partitions[0].epoch = 6;
    w.cluster.act = Box::new(|_| Act::Normal);
    w.send(&mut lane, 2, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 3));
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2]);
}

#[test]
fn one_partition_in_trouble_does_not_stop_its_neighbours() {
    let mut w = World::new(CoreConfig { retry_backoff: secs(5), retry_backoff_max: secs(5), ..config() }, 4);
    let mut lanes: Vec<_> = (0..4).map(|p| w.lane(p)).collect();
    w.cluster.act = Box::new(|seen| if seen.partition == 0 { Act::Refuse(NOT_ENOUGH_REPLICAS) } else { Act::Normal });
    for round in 0..20 {
        for lane in &mut lanes {
            w.send(lane, round, 500);
        }
        w.run(ms(50));
    }
    for partition in 1..4 {
        assert_eq!(w.cluster.partitions[partition].log.len(), 20);
    }
    w.cluster.act = Box::new(|_| Act::Normal);
    assert!(w.run_until(secs(20), |w| w.records_delivered() == 80));
    assert_eq!(w.cluster.partitions[0].log, (0..20).collect::<Vec<_>>());
}
