//! What the simulation has found, each in its smallest form. On a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_io::core::CoreConfig;

#[test]
fn no_batch_goes_without_an_identity_in_the_turn_that_uses_up_the_epochs() {
    for first in [0, 1] {
        let mut w = World::new(config(), 2);
        w.cluster.first_epoch = i16::MAX;
        let mut lanes = [w.lane(first), w.lane(1 - first)];
        for (n, lane) in lanes.iter_mut().enumerate() {
            w.send(lane, n as u64 * 100, 100);
        }
        w.delivered(2);
        w.cluster.act =
            Box::new(|seen| if seen.ids[0] == 1 && seen.producer.0 == 101 { Act::Refuse(45) } else { Act::Normal });
        w.send(&mut lanes[0], 1, 100);
        for _ in 0..2 {
            w.now = w.now + ms(6);
            w.step();
        }
        // Both in one turn: the retry that needs an epoch which does not exist, and a new record of the other partition.
        w.send(&mut lanes[1], 101, 100);
        w.now = w.now + secs(1);
        w.step();
        w.delivered(4);
        assert!(w.cluster.seen.iter().all(|seen| seen.producer.0 > 0), "{:?}", w.cluster.seen);
    }
}

#[test]
fn after_a_pause_of_the_io_thread_all_that_is_too_old_expires_at_once() {
    let config = CoreConfig { delivery_timeout: secs(4), request_timeout: secs(2), ..config() };
    let mut w = World::new(config, 1);
    w.unreachable = true;
    let mut lane = w.lane(0);
    for id in 0..20 {
        w.send(&mut lane, id, 100);
        w.run(ms(100));
    }
    w.now = w.now + secs(10);
    w.step();
    assert_eq!(w.records_reported(), 20);
}

#[test]
fn a_topic_that_may_be_written_again_is_noticed_when_a_record_fails_for_it() {
    let mut w = World::new(CoreConfig { metadata_max_age: secs(3_600), ..config() }, 1);
    w.cluster.topic_error = 29;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(w.run_until(secs(5), |w| w.records_reported() == 1));
    w.run(secs(5));
    w.cluster.topic_error = 0;
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(5), |w| w.records_reported() == 2));
    w.run(secs(5));
    w.send(&mut lane, 2, 100);
    w.delivered(1);
}

#[test]
fn a_topic_without_an_id_that_was_made_again_is_found_by_its_leaders_refusal() {
    let mut w = World::new(config(), 1);
    w.cluster.metadata_max = 9;
    w.cluster.partitions[0].epoch = 9;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    // Its epochs begin anew, with another leader.
    w.cluster.nodes = 2;
    w.cluster.recreate([0; 16]);
    w.cluster.partitions[0].leader = 1;
    w.send(&mut lane, 1, 100);
    w.delivered(2);
}
