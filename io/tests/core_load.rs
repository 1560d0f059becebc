//! The shares of a topic's partitions follow what waits for each (KIP-794). On a model cluster with a virtual clock.

mod core_support;

use std::num::NonZeroU32;
use std::time::Duration;

use core_support::{World, config, ms, secs};
use forebay_engine::Lane;
use forebay_io::core::CoreConfig;
use forebay_io::deal::Deal;

const BATCH: usize = 1_000;

/// Three partitions, each on a node of its own, all with their first batch acknowledged. A linger of 1 ms at most.
fn world(settings: CoreConfig) -> (World, Vec<Lane>) {
    let linger = settings.linger.min(ms(1));
    let settings = CoreConfig { batch_size: BATCH, linger, max_in_flight: 1, ..settings };
    let mut w = World::with_memory(settings, 3, 4 << 20);
    w.cluster.nodes = 3;
    for (node, partition) in w.cluster.partitions.iter_mut().enumerate() {
        partition.leader = node as i32;
    }
    let mut lanes: Vec<_> = (0..3).map(|p| w.lane(p)).collect();
    for (id, lane) in lanes.iter_mut().enumerate() {
        assert!(w.send(lane, id as u64, 100));
    }
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 3));
    (w, lanes)
}

/// As a sender: draws, so that the core looks.
fn draw(w: &World) -> u32 {
    let entry = w.topics.entry(w.topic).expect("known");
    entry.shares().draw(NonZeroU32::new(3).expect("not zero"))
}

fn weights(w: &World) -> Vec<u32> {
    w.topics.entry(w.topic).expect("known").shares().weights()
}

/// A batch for a partition, and time for the core to send it.
fn fill(w: &mut World, lane: &mut Lane, batches: usize) {
    for id in 0..batches {
        assert!(w.send(lane, 100 + id as u64, BATCH));
    }
    draw(w);
    w.run(ms(20));
}

#[test]
fn a_partition_whose_node_takes_nothing_gets_a_smaller_share_until_it_is_served() {
    let (mut w, mut lanes) = world(config());
    w.deaf.insert(1);
    // One request is written into the silence; what comes then waits.
    fill(&mut w, &mut lanes[1], 1);
    for lane in &mut lanes {
        fill(&mut w, lane, 4);
    }
    let behind = weights(&w);
    assert!(behind.len() == 3 && behind[0] == behind[2], "{behind:?}");
    assert_eq!((behind[1], behind[0]), (1, 5), "four batches wait for it, none for the others");
    let drawn = (0..1_100).filter(|_| draw(&w) == 1).count();
    assert!((40..200).contains(&drawn), "{drawn} of 1,100 draws, where 100 are its share");
    w.deaf.clear();
    let all = 3 + 1 + 12;
    assert!(w.run_until(secs(60), |w| w.records_delivered() == all), "{:?}", w.reports);
    fill(&mut w, &mut lanes[0], 1);
    assert!(weights(&w).is_empty(), "nothing waits any more: {:?}", weights(&w));
}

#[test]
fn a_node_that_takes_nothing_for_too_long_gets_nothing_unless_all_are_like_that() {
    let (mut w, mut lanes) = world(CoreConfig { availability_timeout: ms(300), ..config() });
    w.deaf.insert(1);
    fill(&mut w, &mut lanes[1], 1);
    fill(&mut w, &mut lanes[1], 1);
    assert_eq!(weights(&w), [2, 1, 2], "it has been slow for a moment only");
    w.run(ms(310));
    fill(&mut w, &mut lanes[0], 1);
    assert_eq!(weights(&w), [1, 0, 1]);
    assert!((0..500).all(|_| draw(&w) != 1));
    for node in [0, 2] {
        w.deaf.insert(node);
        fill(&mut w, &mut lanes[node], 1);
        fill(&mut w, &mut lanes[node], 1);
    }
    w.run(ms(310));
    // A lane comes to life: the core looks.
    fill(&mut w, &mut lanes[1], 1);
    assert!(weights(&w).is_empty(), "nobody takes anything: {:?}", weights(&w));
    w.deaf.clear();
    assert!(w.run_until(secs(60), |w| w.records_delivered() == 3 + 8), "{:?}", w.reports);
    for lane in &mut lanes {
        fill(&mut w, lane, 1);
    }
    assert!(weights(&w).is_empty(), "all are served: {:?}", weights(&w));
}

#[test]
fn a_partition_without_a_leader_gets_nothing() {
    let (mut w, mut lanes) = world(CoreConfig { metadata_max_age: ms(50), ..config() });
    w.cluster.partitions[2].leader = -1;
    w.run(ms(200));
    fill(&mut w, &mut lanes[0], 1);
    assert_eq!(weights(&w), [1, 1, 0]);
}

#[test]
fn a_partition_without_a_leader_gets_nothing_where_nothing_is_weighed_either() {
    let config = CoreConfig { adaptive_partitioning: false, metadata_max_age: ms(50), ..config() };
    let (mut w, mut lanes) = world(config);
    w.cluster.partitions[2].leader = -1;
    w.run(ms(200));
    w.deaf.insert(1);
    for _ in 0..3 {
        assert!(w.send(&mut lanes[1], 9, BATCH));
        draw(&w);
        w.run(Duration::from_millis(20));
    }
    assert_eq!(weights(&w), [1, 1, 0], "and what waits does not count");
    w.cluster.partitions[2].leader = 2;
    w.run(ms(200));
    draw(&w);
    assert!(w.send(&mut lanes[0], 9, BATCH));
    w.run(ms(50));
    assert!(weights(&w).is_empty());
}

#[test]
fn records_that_only_gather_are_no_backlog() {
    let (mut w, mut lanes) = world(CoreConfig { availability_timeout: ms(1), ..config() });
    w.core.turn(w.now);
    let gathering = World::send(&w, &mut lanes[0], 7, 100);
    assert!(gathering);
    draw(&w);
    w.step();
    assert!(weights(&w).is_empty());
}

#[test]
fn where_nobody_draws_or_it_is_turned_off_nothing_is_weighed() {
    for (adaptive, draws) in [(false, true), (true, false)] {
        let (mut w, mut lanes) = world(CoreConfig { adaptive_partitioning: adaptive, ..config() });
        w.deaf.insert(1);
        for _ in 0..3 {
            assert!(w.send(&mut lanes[1], 9, BATCH));
            if draws {
                draw(&w);
            }
            w.run(Duration::from_millis(20));
        }
        assert!(weights(&w).is_empty());
    }
}

#[test]
fn a_core_tells_what_waits_for_its_own_partitions_only() {
    // Of two threads the first has partitions 0 and 2.
    let (mut w, mut lanes) = world(CoreConfig { hand: Deal::among(2).hand(0), ..config() });
    w.deaf.insert(1);
    for _ in 0..3 {
        fill(&mut w, &mut lanes[1], 2);
    }
    assert!(weights(&w).is_empty(), "partition 1 is another's: {:?}", weights(&w));
    w.deaf.insert(2);
    fill(&mut w, &mut lanes[2], 1);
    fill(&mut w, &mut lanes[2], 4);
    assert_eq!(weights(&w), [5, 5, 1]);
}

#[test]
fn of_several_cores_each_hears_of_a_draw_while_something_waits_though_the_record_is_anothers() {
    // Without a linger it sleeps until the broker answers.
    let (mut w, mut lanes) = world(CoreConfig { hand: Deal::among(2).hand(0), linger: Duration::ZERO, ..config() });
    w.deaf.insert(2);
    for batches in [1, 5] {
        for id in 0..batches {
            assert!(w.send(&mut lanes[2], 100 + id, BATCH));
        }
        w.run(ms(50));
    }
    assert!(weights(&w).is_empty(), "nobody has drawn");
    // The draw comes when it is at rest, and nothing wakes it.
    let (begun, mut drawn) = (w.now, false);
    let heard = w.run_until(secs(1), |w| {
        drawn = drawn || draw(w) < 3;
        !weights(w).is_empty()
    });
    assert!(heard && w.now.since(begun) < ms(10), "after {:?}", w.now.since(begun));
    assert_eq!(weights(&w), [6, 6, 1]);
}
