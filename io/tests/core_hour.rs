//! Memory over an hour, by the virtual clock: the real engine and the real core, on a model cluster.
//!
//! Ten thousand partitions and four senders are forty thousand lanes over 32 MiB: a fixed share would be less than a kilobyte
//! each. A lane has memory only while it has something to send.

mod core_support;

use core_support::{World, config, ms, secs};
use forebay_engine::Lane;
use forebay_io::core::CoreConfig;
use std::time::Duration;

const MEMORY: usize = 32 << 20;
const PARTITIONS: usize = 10_000;
const SENDERS: usize = 4;
/// Partitions touched at once, and how often: each once a minute, by one sender after another.
const BURST: usize = 100;
/// A lane that is empty gives its segment back after 10 ms and a linger of 5 ms; the cluster answers at once.
const SOON: Duration = ms(40);
const THEN: Duration = ms(560);

#[test]
fn ten_thousand_partitions_and_four_senders_share_a_small_buffer_for_an_hour() {
    let mut world = World::with_memory(config(), PARTITIONS as i32, MEMORY);
    let total = world.core.total_segments();
    let senders: Vec<_> = (0..SENDERS).map(|_| world.engine.producer_end()).collect();
    let mut lanes: Vec<Vec<Lane>> = senders
        .iter()
        .map(|sender| {
            let lane = |partition| sender.lane(world.topic.lane_tag(partition as u32)).expect("open");
            (0..PARTITIONS).map(lane).collect()
        })
        .collect();
    assert_eq!(world.core.free_segments(), total, "forty thousand lanes that were never used hold nothing");
    let start = world.now;
    let (mut sent, mut delivered) = (0, 0);
    for minute in 0..60 {
        for burst in 0..PARTITIONS / BURST {
            let touched = &mut lanes[(minute + burst) % SENDERS][burst * BURST..(burst + 1) * BURST];
            for lane in touched {
                assert!(world.send(lane, sent, 100), "a send fails while almost all of the memory is free");
                sent += 1;
            }
            let free = world.core.free_segments();
            assert!(total - free <= BURST, "{} segments for {BURST} lanes", total - free);
            world.run(SOON);
            assert_eq!(world.core.free_segments(), total, "minute {minute}, burst {burst}: an idle lane holds nothing");
            world.run(THEN);
            delivered += world.records_delivered();
            world.reports.clear();
            world.cluster.seen.clear();
            world.connects.clear();
        }
        assert_eq!(delivered, sent, "minute {minute}");
        assert_eq!(world.core.live_batches(), 0);
    }
    assert!(world.now >= start + secs(3600), "an hour has passed");
    assert_eq!(sent as usize, 60 * PARTITIONS);
    let logged: usize = world.cluster.partitions.iter().map(|partition| partition.log.len()).sum();
    assert_eq!(logged, 60 * PARTITIONS, "each record is in the log once");
}

#[test]
fn one_hot_partition_can_use_all_of_the_memory() {
    let mut world = World::with_memory(CoreConfig { linger: ms(5), ..config() }, 2, 1 << 20);
    let total = world.core.total_segments();
    let mut lane = world.lane(0);
    world.stalled = true; // what it has is not written, and not answered
    let mut sent = 0;
    while world.send(&mut lane, sent, 1000) {
        sent += 1;
        if sent % 16 == 0 {
            world.run(ms(1)); // also what was taken counts
        }
    }
    assert_eq!(world.core.free_segments(), 0, "one partition has all {total} segments");
    let mut other = world.lane(1);
    assert!(!world.send(&mut other, 0, 8), "nothing is left for another");
    world.stalled = false;
    assert!(world.run_until(secs(10), |world| world.records_delivered() == sent));
    world.run(secs(1));
    assert_eq!(world.core.free_segments(), total, "all of it comes back");
    assert!(world.send(&mut other, 1, 8));
    assert!(world.run_until(secs(10), |world| world.records_delivered() == sent + 1));
}
