//! Brokers that let nobody in, on a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_engine::Lane;
use forebay_io::core::{ConnId, CoreConfig, FailureKind, Request};
use std::time::Duration;

/// Fails every connection attempt for want of trust until `end`, and answers how many there were.
fn refuse_until(w: &mut World, end: Duration) -> usize {
    let before = w.connects.len();
    w.unreachable = true;
    let until = w.now + end;
    while w.now < until {
        w.step();
        deny(w, &[], "a wrong password");
        w.now = w.now + ms(10);
    }
    w.connects.len() - before
}

#[test]
fn without_trust_waiters_are_told_records_fail_and_attempts_keep_their_distance() {
    let mut w = World::new(CoreConfig { reconnect_backoff_max: secs(2), ..config() }, 1);
    w.request(Request::WantTopic(w.topic));
    let mut lane = w.lane(0);
    w.send(&mut lane, 1, 100);
    let attempts = refuse_until(&mut w, secs(20));
    assert_eq!(w.topics.denied().as_deref(), Some("a wrong password"));
    // 50 ms doubling up to 2 s, ± 20 %: about 5 attempts to get there, and then one each 2 s.
    assert!((8..=25).contains(&attempts), "{attempts} attempts in 20 s");
    let failure = w.reports[0].result.clone().expect_err("failed");
    assert!(matches!(failure.kind, FailureKind::Authentication { .. }) && !failure.possibly_appended, "{failure:?}");
    assert_eq!(w.core.free_segments() + 1, w.core.total_segments(), "only the lane's open segment is held");
    w.unreachable = false;
    w.run(secs(5));
    assert_eq!(w.topics.denied(), None, "all is well again");
    w.cluster.act = Box::new(|_| Act::Normal);
    w.send(&mut lane, 2, 100);
    assert!(w.run_until(secs(10), |w| w.records_delivered() == 1), "{:?}", w.reports);
}

#[test]
fn a_leader_that_lets_nobody_in_fails_its_own_records_and_is_asked_again() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
    deny(&mut w, &[], "an expired token");
    w.send(&mut lane, 2, 100);
    assert!(w.run_until(secs(5), |w| w.records_reported() == 2), "{:?}", w.reports);
    w.run(secs(2));
    w.send(&mut lane, 3, 100);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 2), "{:?}", w.reports);
}

/// The second of two nodes, of which the first is well: nothing but records goes to it, as all else goes to the first. Nothing is opened
/// while records gather. Its lane, and the connections without its own.
fn second_node(config: CoreConfig) -> (World, Lane, Vec<ConnId>) {
    let (mut w, [mut others, lane]) = World::two_nodes(CoreConfig { linger: Duration::ZERO, ..config });
    w.send(&mut others, 0, 100);
    w.delivered(1);
    let before = w.open_links();
    (w, lane, before)
}

/// Closes all connections but these, for want of trust.
fn deny(w: &mut World, but: &[ConnId], why: &str) {
    for conn in w.open_links().into_iter().filter(|conn| !but.contains(conn)) {
        w.core.untrusted(conn, why);
        w.finish_close(conn);
    }
}

/// What is wrong may have been put right long ago: the first record finds out, and need not fail for that.
#[test]
fn a_leader_that_let_nobody_in_once_is_tried_before_anything_fails() {
    let (mut w, mut lane, before) = second_node(config());
    w.send(&mut lane, 1, 100);
    w.delivered(2);
    deny(&mut w, &before, "a token that nobody would give");
    w.run(secs(100));
    w.send(&mut lane, 2, 100);
    w.delivered(3);
}

/// TLS tells of a stranger and closes at once: also where a connection is tried again without a pause, records fail and do not wait for
/// `delivery.timeout.ms`.
#[test]
fn without_a_backoff_a_denial_fails_records_as_well() {
    let backoff = Duration::ZERO;
    let settings = CoreConfig { reconnect_backoff: backoff, reconnect_backoff_max: backoff, ..config() };
    let (mut w, mut lane, before) = second_node(settings);
    w.send(&mut lane, 1, 100);
    w.unreachable = true;
    for _ in 0..100 {
        w.step();
        deny(&mut w, &before, "a stranger");
        w.now = w.now + ms(1);
    }
    assert_eq!(w.failures().len(), 1, "{:?}", w.reports);
    assert!(matches!(w.failures()[0].kind, FailureKind::Authentication { .. }));
}

/// A denial is no reason any more where the next attempt fails for another one.
#[test]
fn a_leader_that_cannot_be_reached_is_waited_for_whatever_it_said_before() {
    let (mut w, mut lane, before) = second_node(config());
    w.send(&mut lane, 1, 100);
    w.delivered(2);
    deny(&mut w, &before, "an expired certificate");
    w.run(secs(10));
    w.refusing.insert(1);
    w.send(&mut lane, 2, 100);
    w.run(secs(5));
    assert_eq!(w.records_reported(), 2, "{:?}", w.reports);
    w.refusing.clear();
    w.delivered(3);
}
