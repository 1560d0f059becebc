//! A cluster that changes: topics created again, leaders, brokers and addresses that move, starting again from the
//! bootstrap servers. On a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_io::core::{CoreConfig, FailureKind, Request};

fn by_id() -> World {
    let mut w = World::new(CoreConfig { metadata_max_age: secs(1), ..config() }, 2);
    (w.cluster.produce_max, w.cluster.metadata_max, w.cluster.topic_id) = (13, 13, [7; 16]);
    w
}

#[test]
fn topics_go_by_id_where_both_sides_can_and_by_name_else() {
    for (produce_max, metadata_max, id, version) in
        [(13, 13, [7; 16], 13), (13, 9, [7; 16], 12), (13, 13, [0; 16], 12), (12, 13, [7; 16], 12), (3, 4, [7; 16], 3)]
    {
        let mut w = by_id();
        (w.cluster.produce_max, w.cluster.metadata_max, w.cluster.topic_id) = (produce_max, metadata_max, id);
        let (mut a, mut b) = (w.lane(0), w.lane(1));
        w.send(&mut a, 1, 100);
        w.send(&mut b, 2, 100);
        w.delivered(2);
        assert!(w.cluster.produce_versions.iter().all(|v| *v == version), "{:?}", w.cluster.produce_versions);
        assert_eq!((&w.cluster.partitions[0].log[..], &w.cluster.partitions[1].log[..]), (&[1][..], &[2][..]));
    }
}

#[test]
fn a_topic_created_again_is_found_by_its_new_id() {
    let mut w = World::new(config(), 2);
    (w.cluster.produce_max, w.cluster.metadata_max, w.cluster.topic_id) = (13, 13, [7; 16]);
    w.cluster.partitions[0].epoch = 9;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    // The new topic's leader epoch is lower, which is news all the same.
    w.cluster.nodes = 2;
    w.cluster.recreate([8; 16]);
    w.cluster.partitions[0].leader = 1;
    for id in 1..10 {
        w.send(&mut lane, id, 6_000);
        w.step();
    }
    w.delivered(10);
    assert_eq!(w.cluster.partitions[0].log, (1..10).collect::<Vec<_>>(), "the old topic's record is gone with it");
    assert!(w.now < forebay_io::time::Time::ZERO + secs(2), "found by the error, not by the age of the metadata");
}

#[test]
fn in_the_logs_of_a_topic_created_again_the_first_batch_goes_alone() {
    // The new logs know nothing of the producer: their leader would take the second of two batches as its first.
    let mut w = by_id();
    let mut lane = w.lane(0);
    w.send(&mut lane, 999, 100);
    w.delivered(1);
    w.cluster.recreate([8; 16]);
    let asked = w.cluster.metadata_requests;
    w.request(Request::WantTopic(w.topic));
    assert!(w.run_until(secs(5), |w| w.cluster.metadata_requests > asked));
    w.run(ms(10));
    w.cluster.act = Box::new(|seen| if seen.request == 1 { Act::Refuse(6) } else { Act::Normal });
    w.stalled = true;
    for batch in 0..3 {
        for n in 0..3 {
            w.send(&mut lane, batch * 3 + n, 6_000);
        }
        w.step();
    }
    w.stalled = false;
    w.delivered(10);
    assert_eq!(w.cluster.partitions[0].log, (0..9).collect::<Vec<_>>());
}

#[test]
fn records_for_a_deleted_topic_fail_in_time_and_a_new_topic_takes_the_next() {
    let mut w = World::new(CoreConfig { delivery_timeout: secs(10), request_timeout: secs(5), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.cluster.topic_error = 3;
    w.cluster.act = Box::new(|_| Act::Refuse(3));
    let begin = w.now;
    w.send(&mut lane, 1, 100);
    w.reported(2);
    assert!(w.now.since(begin) <= secs(10), "{:?}", w.now.since(begin));
    let failure = w.reports[1].result.clone().expect_err("there is no such topic");
    assert!(matches!(failure.kind, FailureKind::TimedOut { sent: true }), "{failure}");
    assert_eq!(w.topics.entry(w.topic).expect("known").error(), 3, "senders can see why");
    w.cluster.topic_error = 0;
    w.cluster.act = Box::new(|_| Act::Normal);
    w.send(&mut lane, 2, 100);
    w.delivered(2);
}

#[test]
fn a_hint_names_a_broker_that_nobody_has_heard_of() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    // Broker 1 has joined since the last metadata.
    w.cluster.partitions[0].leader = 1;
    w.cluster.endpoints = vec![(1, "fresh".to_owned(), 9093)];
    w.cluster.act = Box::new(|seen| if seen.node == 0 { Act::Hint(1, 5) } else { Act::Normal });
    let (begin, asked) = (w.now, w.cluster.metadata_requests);
    w.send(&mut lane, 1, 100);
    w.delivered(2);
    assert_eq!(w.connects.last().map(|c| (c.0.as_str(), c.1)), Some(("fresh", 9093)));
    assert_eq!(w.cluster.metadata_requests, asked, "the hint is enough");
    assert!(w.now.since(begin) < ms(50), "and there is no backoff for a new leader");
}

#[test]
fn a_hint_that_is_no_news_does_not_keep_the_metadata_from_being_asked() {
    let mut w = World::new(config(), 1);
    w.cluster.nodes = 2;
    w.cluster.partitions[0].epoch = 5;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    // The old leader does not know its successor: it names itself, or one before it.
    for epoch in [5, 3] {
        let next = 1 - w.cluster.partitions[0].leader;
        (w.cluster.partitions[0].leader, w.cluster.partitions[0].epoch) = (next, 6 + (epoch & 1));
        w.cluster.partitions[0].epoch += 5 - epoch;
        w.cluster.act =
            Box::new(move |seen| if seen.node == next as usize { Act::Normal } else { Act::Hint(1 - next, epoch) });
        let before = w.records_delivered();
        w.send(&mut lane, 1, 100);
        assert!(w.run_until(secs(2), |w| w.records_delivered() == before + 1), "{:?}", w.cluster.seen);
    }
}

#[test]
fn partitions_without_a_leader_wait_and_their_neighbours_go_on() {
    let mut w = World::new(config(), 2);
    w.cluster.partitions[0].leader = -1;
    let (mut a, mut b) = (w.lane(0), w.lane(1));
    for id in 0..5 {
        w.send(&mut a, id, 100);
        w.send(&mut b, id, 100);
        w.run(ms(100));
    }
    assert_eq!(w.cluster.partitions[1].log, (0..5).collect::<Vec<_>>());
    assert_eq!(w.records_delivered(), 5);
    (w.cluster.partitions[0].leader, w.cluster.partitions[0].epoch) = (0, 1);
    w.delivered(10);
    assert_eq!(w.cluster.partitions[0].log, (0..5).collect::<Vec<_>>());
}

#[test]
fn brokers_come_and_go_with_the_metadata() {
    let mut w = World::new(CoreConfig { metadata_max_age: secs(2), ..config() }, 2);
    w.cluster.nodes = 2;
    w.cluster.partitions[1].leader = 1;
    let (mut a, mut b) = (w.lane(0), w.lane(1));
    w.send(&mut a, 0, 100);
    w.send(&mut b, 0, 100);
    w.delivered(2);
    assert_eq!(w.linked_nodes(), [0, 1]);
    // Broker 1 leaves, broker 2 comes.
    w.cluster.brokers = Some(vec![(0, "node0".to_owned(), 9092), (2, "node2".to_owned(), 9094)]);
    (w.cluster.partitions[1].leader, w.cluster.partitions[1].epoch) = (2, 1);
    w.run(secs(5));
    assert_eq!(w.linked_nodes(), [0], "nobody needs a broker that has left the cluster");
    w.send(&mut b, 1, 100);
    w.delivered(3);
    assert_eq!(w.cluster.seen.last().map(|seen| seen.node), Some(2));
    assert_eq!(w.linked_nodes(), [0, 2]);
}

#[test]
fn a_broker_that_moves_to_another_address_is_followed_and_loses_nothing() {
    let mut w = World::new(CoreConfig { metadata_max_age: secs(2), ..config() }, 2);
    w.cluster.nodes = 2;
    w.cluster.partitions[1].leader = 1;
    let (mut lane, mut other) = (w.lane(0), w.lane(1));
    w.send(&mut lane, 0, 100);
    w.send(&mut other, 0, 100);
    w.delivered(2);
    w.cluster.brokers = Some(vec![(0, "elsewhere".to_owned(), 19_092), (1, "node1".to_owned(), 9093)]);
    w.cluster.ports.insert(19_092, 0);
    // In flight to the old address, and appended there; the answer never comes. Broker 1 tells about the move.
    w.cluster.act = Box::new(|seen| if seen.ids == [1] && seen.request < 3 { Act::AppendSilent } else { Act::Normal });
    w.send(&mut lane, 1, 100);
    w.delivered(3);
    assert_eq!(w.connects.last().map(|c| (c.0.as_str(), c.1)), Some(("elsewhere", 19_092)));
    assert_eq!(w.cluster.partitions[0].log, [0, 1], "once");
    let twice: Vec<_> = w.cluster.seen.iter().filter(|seen| seen.ids == [1]).collect();
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].bytes, twice[1].bytes);
}

/// A world whose bootstrap server, on port 9099, is node 0, then node 2.
fn two_clusters(rebootstrap: Option<std::time::Duration>) -> (World, forebay_engine::Lane) {
    let bootstrap = vec!["entry:9099".to_owned()];
    let mut w = World::new(CoreConfig { bootstrap, rebootstrap, ..config() }, 1);
    w.cluster.metadata_max = 13;
    w.cluster.ports.insert(9099, 0);
    w.cluster.partitions[0].epoch = 50;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.run(secs(1));
    assert_eq!(w.connects.iter().filter(|c| c.0 == "entry").count(), 1, "asked once, then left alone");
    // Behind the name there is another cluster now, in which the partition's leader has a lower epoch.
    w.cluster.ports.insert(9099, 2);
    w.cluster.brokers = Some(vec![(2, "node2".to_owned(), 9094)]);
    (w.cluster.partitions[0].leader, w.cluster.partitions[0].epoch) = (2, 1);
    (w, lane)
}

#[test]
fn a_cluster_that_asks_for_it_is_left_for_the_bootstrap_servers() {
    let (mut w, mut lane) = two_clusters(Some(secs(300)));
    w.cluster.metadata_errors.push_back(129);
    w.cluster.act = Box::new(|seen| if seen.node == 0 { Act::Refuse(6) } else { Act::Normal });
    let begin = w.now;
    w.send(&mut lane, 1, 100);
    w.delivered(2);
    assert_eq!(w.cluster.seen.last().map(|seen| seen.node), Some(2));
    assert_eq!(w.connects.iter().filter(|c| c.0 == "entry").count(), 2);
    assert!(w.now.since(begin) < secs(2), "{:?}", w.now.since(begin));
    assert!(!w.linked_nodes().contains(&0), "the old brokers are given up");
}

#[test]
fn brokers_that_give_no_metadata_are_given_up_after_the_trigger() {
    let (mut w, mut lane) = two_clusters(Some(secs(45)));
    // The old broker is alive, greets, and never answers about metadata: not even the trick of its being unreachable helps.
    w.cluster.no_metadata_from = vec![0];
    w.cluster.ports.insert(9099, 0);
    w.cluster.act = Box::new(|seen| if seen.node == 0 { Act::Refuse(6) } else { Act::Normal });
    let begin = w.now;
    w.send(&mut lane, 1, 100);
    w.run(secs(40));
    w.cluster.ports.insert(9099, 2);
    assert_eq!(w.records_delivered(), 1);
    w.delivered(2);
    assert!(w.now.since(begin) >= secs(40) && w.now.since(begin) < secs(60), "{:?}", w.now.since(begin));
}

#[test]
fn unreachable_brokers_are_left_for_the_bootstrap_servers_at_once_and_never_without_recovery() {
    for (rebootstrap, expect) in [(Some(secs(300)), 2), (None, 1)] {
        let (mut w, mut lane) = two_clusters(rebootstrap);
        w.refusing.insert(0);
        w.reset_links();
        w.send(&mut lane, 1, 100);
        w.run(secs(20));
        assert_eq!(w.records_delivered(), expect, "recovery: {rebootstrap:?}");
        let again = w.connects.iter().filter(|c| c.0 == "entry").count();
        assert_eq!(again > 1, rebootstrap.is_some(), "{again} connections to the bootstrap server");
    }
}

#[test]
fn a_topic_that_grows_takes_records_for_its_new_partitions() {
    let mut w = World::new(CoreConfig { metadata_max_age: secs(1), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    let entry = w.topics.entry(w.topic).expect("known");
    assert_eq!(entry.partitions(), 1);
    w.cluster.partitions.push(core_support::Partition::default());
    assert!(w.run_until(secs(3), |w| w.topics.entry(w.topic).is_some_and(|entry| entry.partitions() == 2)));
    let mut new = w.lane(1);
    w.send(&mut new, 1, 100);
    w.delivered(2);
    assert_eq!(w.cluster.partitions[1].log, [1]);
}

#[test]
fn metadata_that_asks_for_quiet_is_obeyed() {
    let mut w = World::new(CoreConfig { metadata_max_age: secs(1), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.run(ms(100));
    w.cluster.metadata_throttle_ms = 5_000;
    let asked = w.cluster.metadata_requests;
    assert!(w.run_until(secs(3), |w| w.cluster.metadata_requests > asked));
    w.cluster.metadata_throttle_ms = 0;
    let begin = w.now;
    w.send(&mut lane, 1, 100);
    w.delivered(2);
    assert!(w.now.since(begin) >= secs(5) && w.now.since(begin) < ms(5_100), "the broker's quota is used up");
}

/// A broker that is only starting, or that fails to answer, names no brokers, and one error for every topic.
#[test]
fn an_error_of_the_whole_answer_fails_no_topics_records_and_a_strange_one_of_a_topic_passes() {
    for (code, nobody) in [(29, true), (-1, true), (-1, false), (9_999, false)] {
        let mut w = World::new(config(), 1);
        let mut lane = w.lane(0);
        w.send(&mut lane, 0, 100);
        w.delivered(1);
        w.cluster.topic_error = code;
        w.cluster.brokers = nobody.then(Vec::new);
        let asked = w.cluster.metadata_requests;
        w.request(Request::WantMore(w.topic));
        assert!(w.run_until(secs(5), |w| w.cluster.metadata_requests > asked + 2), "it is asked again");
        w.send(&mut lane, 1, 100);
        w.delivered(2);
        assert!(w.failures().is_empty(), "{code}: {:?}", w.failures());
        w.cluster.topic_error = 0;
        w.cluster.brokers = None;
        let asked = w.cluster.metadata_requests;
        assert!(w.run_until(secs(3), |w| w.cluster.metadata_requests > asked));
        assert_eq!(w.topics.entry(w.topic).map(|entry| (entry.partitions(), entry.error())), Some((1, 0)));
    }
}

/// Whoever waits for a partition that there was not does not wait for `metadata.max.age.ms`.
#[test]
fn a_partition_that_is_asked_for_is_looked_for_at_once() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.run(secs(1));
    w.cluster.partitions.push(core_support::Partition::default());
    w.request(Request::WantMore(w.topic));
    assert!(w.run_until(secs(1), |w| w.topics.entry(w.topic).is_some_and(|entry| entry.partitions() == 2)));
}

/// It would not read before its quota is whole again (KIP-219).
#[test]
fn metadata_is_asked_of_a_broker_that_has_not_asked_for_quiet() {
    let (mut w, mut lanes) = World::two_nodes(config());
    w.send(&mut lanes[1], 0, 100);
    w.delivered(1);
    w.cluster.throttle_ms = 60_000;
    w.send(&mut lanes[0], 1, 100);
    w.delivered(2);
    w.cluster.throttle_ms = 0;
    w.run(secs(1));
    for _ in 0..3 {
        let asked = w.cluster.metadata_from.len();
        w.request(Request::WantMore(w.topic));
        assert!(w.run_until(secs(1), |w| w.cluster.metadata_from.len() > asked));
        assert_eq!(w.cluster.metadata_from.last(), Some(&1));
    }
}
