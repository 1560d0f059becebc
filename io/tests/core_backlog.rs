//! Behind a backlog: what one look at all lanes has found ready serves several turns. On a model cluster with a virtual clock.

mod core_support;

use std::time::Duration;

use core_support::{Act, NOT_ENOUGH_REPLICAS, World, config, ms, secs};
use forebay_engine::Lane;
use forebay_io::core::{ConnId, CoreConfig, Request, Wake};

const PARTITIONS: usize = 400;
/// Records of 1,000 bytes that make a partition due.
const DUE: u64 = 20;

/// One partition goes in each request, and one request in each millisecond.
fn slow() -> CoreConfig {
    CoreConfig { max_request_size: 25_000, max_in_flight: 1, ..config() }
}

/// A cluster to which every partition has been written.
fn cluster(settings: CoreConfig, nodes: usize) -> (World, Vec<Lane>) {
    cluster_of(settings, nodes, PARTITIONS, 1)
}

/// The same of so many partitions, each with so many lanes, which stand side by side. All lanes have been written to.
fn cluster_of(settings: CoreConfig, nodes: usize, partitions: usize, lanes_each: usize) -> (World, Vec<Lane>) {
    let mut w = World::with_memory(settings, partitions as i32, 16 << 20);
    w.cluster.nodes = nodes;
    for (number, partition) in w.cluster.partitions.iter_mut().enumerate() {
        partition.leader = (number * nodes / partitions) as i32;
    }
    let mut lanes: Vec<_> = (0..partitions * lanes_each).map(|at| w.lane((at / lanes_each) as u32)).collect();
    for lane in &mut lanes {
        assert!(w.send(lane, 0, 100));
    }
    w.request(Request::Flush { token: 1 });
    assert!(w.run_until(secs(1), |w| w.records_delivered() == lanes.len() as u64));
    w.delay = ms(1);
    (w, lanes)
}

/// So many records for each of these lanes, one lane after the other.
fn send_each(w: &World, lanes: &mut [Lane], records: u64) {
    for lane in lanes {
        for id in 1..=records {
            assert!(w.send(lane, id, 1_000));
        }
    }
}

fn send_due(w: &World, lane: &mut Lane) {
    send_each(w, std::slice::from_mut(lane), DUE);
}

/// The same with a backlog: all partitions of `full` are due, and the first turn has begun with them.
fn backlog(settings: CoreConfig, nodes: usize, full: impl Fn(usize) -> bool) -> (World, Vec<Lane>) {
    let (mut w, mut lanes) = cluster(settings, nodes);
    for (_, lane) in lanes.iter_mut().enumerate().filter(|(number, _)| full(*number)) {
        send_due(&w, lane);
    }
    w.run(ms(2));
    let (written, all) = (w.cluster.requests, (0..PARTITIONS).filter(|number| full(*number)).count());
    assert!(w.records_delivered() < (PARTITIONS + all * DUE as usize) as u64, "{written} requests");
    (w, lanes)
}

/// How long it takes until the log of a partition holds so many records more than it did.
fn until_logged(w: &mut World, partition: usize, records: usize) -> Duration {
    let (begin, before) = (w.now, w.cluster.partitions[partition].log.len());
    let there = |w: &World| w.cluster.partitions[partition].log.len() >= before + records;
    assert!(w.run_until(secs(5), there), "partition {partition} holds {:?}", w.cluster.partitions[partition].log);
    w.now.since(begin)
}

fn all_in_order(w: &mut World, full: impl Fn(usize) -> bool) {
    assert!(w.run_until(secs(10), |w| w.records_reported() == w.records_delivered()
        && w.core.live_batches() == 0
        && w.cluster.partitions.iter().enumerate().all(|(p, is)| is.log.len() as u64 == 1 + u64::from(full(p)) * DUE)));
    for (p, partition) in w.cluster.partitions.iter().enumerate() {
        assert!(partition.log.iter().copied().eq(0..partition.log.len() as u64), "partition {p}: {:?}", partition.log);
    }
}

#[test]
fn the_lanes_are_looked_at_now_and_then() {
    let (mut w, mut lanes) = backlog(slow(), 1, |p| p != 40);
    send_due(&w, &mut lanes[40]);
    let took = until_logged(&mut w, 40, DUE as usize);
    assert!(took < ms(60), "it goes in its turn, not after all that the first look has found: {took:?}");
    all_in_order(&mut w, |_| true);
}

/// How long the records of a partition take that was empty as a backlog of all others began, its place in line soon after theirs.
fn behind_a_backlog(lanes_each: usize) -> Duration {
    let (mut w, mut lanes) = cluster_of(slow(), 1, 50, lanes_each);
    for (_, of_one) in lanes.chunks_mut(lanes_each).enumerate().filter(|(p, _)| *p != 8) {
        send_due(&w, &mut of_one[0]);
    }
    w.run(ms(2));
    assert_eq!(w.cluster.partitions[8].log.len(), lanes_each, "nothing yet");
    send_due(&w, &mut lanes[8 * lanes_each]);
    until_logged(&mut w, 8, DUE as usize)
}

#[test]
fn it_is_lanes_that_are_many_and_not_partitions() {
    let few = behind_a_backlog(2);
    assert!(few < ms(15), "100 lanes are looked at in each turn: {few:?}");
    let many = behind_a_backlog(3);
    assert!(many > ms(15) && many < ms(70), "150 lanes, and one look serves several turns: {many:?}");
}

#[test]
fn what_becomes_due_gets_in_line_at_the_next_look() {
    let (mut w, mut lanes) = cluster(CoreConfig { linger: ms(10), ..slow() }, 1);
    for (p, lane) in lanes.iter_mut().enumerate() {
        if p == 15 || p == 40 {
            assert!(w.send(lane, 1, 1_000));
        } else {
            send_due(&w, lane);
        }
    }
    let took = until_logged(&mut w, 40, 1);
    assert!(took > ms(30) && took < ms(50), "due after 10 ms, in line after 20, and its turn is then: {took:?}");
    assert_eq!(w.cluster.partitions[15].log.len(), 1, "its turn was before that look");
    let took = until_logged(&mut w, 15, 1);
    assert!(took < ms(400), "and comes again once all others had theirs: {took:?}");
}

#[test]
fn a_flush_gets_what_gathers_in_line() {
    let (mut w, mut lanes) = backlog(CoreConfig { linger: secs(1), ..slow() }, 1, |p| p != 15);
    assert!(w.send(&mut lanes[15], 1, 1_000));
    w.run(ms(3));
    w.request(Request::Flush { token: 2 });
    let took = until_logged(&mut w, 15, 1);
    assert!(took < ms(15), "{took:?}");
}

#[test]
fn one_brokers_backlog_holds_up_no_other() {
    let (mut w, mut lanes) = backlog(slow(), 2, |p| p < PARTITIONS / 2);
    for p in [250, 350, 399, 200] {
        send_due(&w, &mut lanes[p]);
        let took = until_logged(&mut w, p, DUE as usize);
        assert!(took < ms(3), "its broker has nothing else to do: {took:?}");
    }
}

#[test]
fn the_end_of_a_backlog_is_the_time_for_a_look() {
    let settings = CoreConfig { max_request_size: 25_000, max_in_flight: 2, ..config() };
    let (mut w, mut lanes) = cluster(settings, 1);
    w.delay = ms(10);
    send_each(&w, &mut lanes[..3], DUE);
    w.run(ms(1));
    assert_eq!(w.cluster.partitions[2].log.len(), 1, "two requests are under way");
    send_due(&w, &mut lanes[3]);
    w.now = w.now + ms(9);
    w.step();
    assert_eq!(w.cluster.partitions[2].log.len() as u64, 1 + DUE, "with the answers to those, of which there were two");
    assert_eq!(w.core.rest(w.now), Wake::Now);
    w.step();
    assert_eq!(w.cluster.partitions[3].log.len() as u64, 1 + DUE);
}

#[test]
fn a_batch_has_what_came_while_it_waited_for_its_turn() {
    let (mut w, mut lanes) = cluster(slow(), 1);
    let mut other = w.lane(10);
    for lane in [&mut other, &mut lanes[PARTITIONS - 1]] {
        // The last one served is the last partition.
        assert!(w.send(lane, 100, 1_000));
        w.request(Request::Flush { token: 2 });
        w.run(ms(3));
    }
    send_each(&w, &mut lanes, DUE);
    w.run(ms(2));
    assert!(w.send(&mut other, 101, 1_000), "its lane lives, and was empty when it was looked at");
    w.cluster.seen.clear();
    until_logged(&mut w, 10, 1);
    let batch = w.cluster.seen.iter().find(|batch| batch.partition == 10).expect("logged");
    assert!(batch.ids.len() as u64 == DUE + 1 && batch.ids.contains(&101), "{:?}", batch.ids);
}

/// The connection to a node.
fn link(w: &World, node: usize) -> ConnId {
    w.cluster.seen.iter().find(|batch| batch.node == node).expect("it was written to").conn
}

#[test]
fn a_lost_connection_is_made_anew_at_once() {
    let settings = CoreConfig { reconnect_backoff: ms(0), reconnect_backoff_max: ms(0), ..slow() };
    let (mut w, mut lanes) = cluster(settings, 2);
    w.delay = secs(20);
    send_each(&w, &mut lanes, DUE);
    w.run(ms(2));
    let (before, conn) = (w.connects.len(), link(&w, 1));
    w.unreachable = true;
    w.finish_close(conn);
    w.step();
    assert_eq!(w.connects.len(), before + 1);
}

#[test]
fn a_backlog_that_does_not_move_is_no_reason_not_to_look() {
    let (mut w, mut lanes) = cluster(CoreConfig { linger: ms(0), ..slow() }, 2);
    w.unreachable = true;
    let conn = link(&w, 1);
    w.finish_close(conn);
    w.run(secs(5));
    w.delay = secs(20);
    send_each(&w, &mut lanes[..PARTITIONS / 2], DUE);
    w.run(ms(2));
    let (before, begin) = (w.connects.len(), w.now);
    assert!(w.send(&mut lanes[PARTITIONS - 1], 1, 1_000));
    w.run(secs(1));
    assert!(w.connects.len() > before, "its partition's broker has to be reached");
    assert!(w.connected_at[before].since(begin) <= ms(20));
}

#[test]
fn a_batch_that_failed_waits_for_its_time_behind_a_backlog_too() {
    let settings = CoreConfig { max_request_size: 133_000, batch_max_bytes: 10_000, ..config() };
    let (mut w, mut lanes) = cluster(settings, 1);
    w.delay = ms(10);
    send_each(&w, &mut lanes[..130], 60);
    w.cluster.seen.clear();
    let mut first = true;
    w.cluster.act = Box::new(move |batch| {
        let refused = batch.partition == 1 && std::mem::take(&mut first);
        if refused { Act::Refuse(NOT_ENOUGH_REPLICAS) } else { Act::Normal }
    });
    let logged = |w: &World| w.cluster.seen.iter().filter(|batch| batch.partition == 1).count();
    assert!(w.run_until(secs(1), |w| logged(w) == 1));
    let sent = w.now;
    assert!(w.run_until(secs(1), |w| logged(w) == 2));
    let took = w.now.since(sent);
    assert!(took >= ms(10 + 80), "retry.backoff.ms is 100, give or take a fifth, from the answer on: {took:?}");
}

#[test]
fn a_broker_that_asks_for_quiet_gets_it_with_requests_at_hand() {
    let (mut w, _lanes) = backlog(slow(), 1, |_| true);
    w.cluster.throttle_ms = 50;
    w.run(ms(3));
    let requests = w.cluster.requests;
    w.run(ms(40));
    assert_eq!(w.cluster.requests, requests, "none while it wants quiet");
    w.cluster.throttle_ms = 0;
    all_in_order(&mut w, |_| true);
}

#[test]
fn a_leader_that_moves_takes_its_partitions_along() {
    let (mut w, _lanes) = backlog(slow(), 1, |_| true);
    w.cluster.nodes = 2;
    for partition in &mut w.cluster.partitions[PARTITIONS / 2..] {
        (partition.leader, partition.epoch) = (1, partition.epoch + 1);
    }
    all_in_order(&mut w, |_| true);
    assert!(w.reports.iter().all(|report| report.result.is_ok()));
}

#[test]
fn connections_that_break_leave_nothing_behind() {
    let (mut w, _lanes) = backlog(slow(), 1, |_| true);
    for _ in 0..5 {
        w.run(ms(2));
        w.reset_links();
    }
    all_in_order(&mut w, |_| true);
    w.run(secs(1));
    assert_eq!(w.core.free_segments(), w.core.total_segments());
}
