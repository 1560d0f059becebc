//! Connections: backoff, time limits, idleness, addresses, half-written requests. On a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, between, config, ms, secs, within_a_fifth};
use forebay_io::core::{Acks, ConnId, CoreConfig, DeliveryFailure, FailureKind, Request};

#[test]
fn reconnects_back_off_twofold_up_to_a_limit_and_begin_anew_after_a_success() {
    let mut w = World::new(CoreConfig { rebootstrap: None, ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.run(secs(1));
    for round in 1..3 {
        w.refusing.insert(0);
        let from = w.connects.len();
        w.reset_links();
        w.send(&mut lane, round, 100);
        w.run(secs(8));
        let pauses = between(&w.connected_at[from..]);
        for (pause, nominal) in pauses.iter().zip([100, 200, 400, 800, 1_000, 1_000]) {
            // The first attempt comes 50 ms after the loss.
            assert!(within_a_fifth(*pause, ms(nominal)), "{nominal} ms nominal: {pauses:?}");
        }
        assert!(pauses.len() >= 6, "{pauses:?}");
        w.refusing.clear();
        w.delivered(round + 1);
    }
}

#[test]
fn a_connection_that_is_not_set_up_in_time_is_given_up_and_the_limit_grows() {
    // Nobody answers at all, or somebody accepts and then says nothing: both count.
    for silent in [false, true] {
        let mut w = World::new(config(), 1);
        if silent {
            w.deaf.insert(0);
        } else {
            w.unreachable = true;
        }
        let mut lane = w.lane(0);
        w.send(&mut lane, 0, 100);
        w.run(secs(110));
        let pauses = between(&w.connected_at[0..]);
        for (pause, nominal) in pauses.iter().zip([10, 20, 30, 30]) {
            // A backoff of at most 1.2 s comes on top.
            assert!(*pause >= secs(nominal).mul_f64(0.799), "{nominal} s nominal: {pauses:?}");
            assert!(*pause <= secs(nominal).mul_f64(1.201) + ms(1_200), "{nominal} s nominal: {pauses:?}");
        }
        w.unreachable = false;
        w.deaf.clear();
        w.reset_links();
        let reported = w.records_reported();
        w.send(&mut lane, 1, 100);
        assert!(w.run_until(secs(60), |w| w.records_reported() > reported && w.records_delivered() > 0));
    }
}

#[test]
fn an_idle_connection_is_closed_and_the_next_record_opens_it_again() {
    let mut w = World::new(CoreConfig { connections_max_idle: secs(30), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.run(secs(20));
    assert_eq!(w.linked_nodes(), [0]);
    w.run(secs(15));
    assert!(w.linked_nodes().is_empty(), "idle for 30 s");
    let before = w.connects.len();
    w.run(secs(100));
    assert_eq!(w.connects.len(), before, "and not opened again for nothing");
    let begin = w.now;
    w.send(&mut lane, 1, 100);
    w.delivered(2);
    assert!(
        w.now.since(begin) < ms(20),
        "a connection that was closed in peace has no backoff: {:?}",
        w.now.since(begin)
    );
}

#[test]
fn each_attempt_takes_the_next_address_of_a_name() {
    let mut w = World::new(config(), 1);
    w.refusing.insert(0);
    w.run(secs(3));
    let attempts: Vec<_> = w.connects.iter().map(|c| c.2).collect();
    assert!(attempts.len() >= 4);
    assert_eq!(attempts, (0..attempts.len() as u32).collect::<Vec<_>>());
}

#[test]
fn bootstrap_servers_are_tried_in_turn() {
    let bootstrap = vec!["node1:9093".to_owned(), "node2:9094".to_owned(), "node0:9092".to_owned()];
    let mut w = World::new(CoreConfig { bootstrap, ..config() }, 1);
    w.refusing.extend([1, 2]);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    let tried: Vec<_> = w.connects.iter().take(3).map(|c| c.1).collect();
    assert_eq!(tried, [9093, 9094, 9092]);
    assert!(w.now < forebay_io::time::Time::ZERO + ms(100), "one that refuses costs no time: {:?}", w.now);
}

#[test]
fn a_request_that_stays_half_written_closes_its_connection_and_is_never_continued_on_the_next() {
    let mut w = World::new(CoreConfig { request_timeout: secs(2), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.write_limit = 300;
    let produce = w.cluster.requests;
    w.send(&mut lane, 1, 3_000);
    w.run_until(ms(100), |w| !w.core.wants_write(w.open_links()[0]) && w.core.live_batches() > 0);
    // Some pieces are through; then nothing more.
    w.stalled = true;
    let connects = w.connects.len();
    let begin = w.now;
    w.send(&mut lane, 2, 3_000);
    w.run(ms(20));
    assert!(w.run_until(secs(10), |w| w.connects.len() > connects), "closed after request.timeout.ms");
    assert!(w.now.since(begin) >= ms(1_900));
    w.stalled = false;
    w.write_limit = usize::MAX;
    w.delivered(3);
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2], "the model cluster reads every frame and checks every batch");
    assert!(w.cluster.requests > produce);
}

#[test]
fn everything_in_flight_on_a_lost_connection_is_sent_again_in_order() {
    for appended in 0..5 {
        let mut w = World::new(config(), 3);
        let mut lanes: Vec<_> = (0..3).map(|p| w.lane(p)).collect();
        for lane in &mut lanes {
            w.send(lane, 0, 100);
        }
        w.delivered(3);
        w.cluster.act = Box::new(move |seen| if seen.request < 1 + appended { Act::AppendSilent } else { Act::Silent });
        for id in 1..6 {
            for lane in &mut lanes {
                w.send(lane, id, 9_000);
            }
            w.step();
            w.step();
        }
        w.run(ms(100));
        w.cluster.act = Box::new(|_| Act::Normal);
        w.reset_links();
        w.delivered(18);
        for partition in &w.cluster.partitions {
            assert_eq!(partition.log, (0..6).collect::<Vec<_>>(), "{appended} requests were appended before the loss");
        }
    }
}

#[test]
fn an_answer_after_its_request_timed_out_is_not_listened_to() {
    let mut w = World::new(CoreConfig { request_timeout: secs(2), ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.hold_closes = true;
    w.deaf.insert(0);
    w.send(&mut lane, 1, 100);
    assert!(w.run_until(secs(5), |w| !w.held_closes.is_empty()));
    // The broker wakes up before the driver has closed: its answer would come from a connection that is given up.
    w.deaf.clear();
    w.run(ms(10));
    assert_eq!(w.records_delivered(), 1);
    w.hold_closes = false;
    let conn = w.held_closes[0];
    w.finish_close(conn);
    w.delivered(2);
    assert_eq!(w.cluster.partitions[0].log, [0, 1], "once");
}

/// A connection that worked, and was given up for an answer that did not come, says nothing of how long a setup takes.
#[test]
fn after_a_lost_answer_the_next_setup_has_the_usual_time() {
    let bootstrap = vec!["entry:9092".to_owned()];
    let mut w = World::new(CoreConfig { request_timeout: secs(1), bootstrap, ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    // Longer than a setup may take, so that its time is over.
    w.run(secs(40));
    let before = w.connects.len();
    w.deaf.insert(0);
    w.send(&mut lane, 1, 100);
    w.run(secs(60));
    let attempts = w.connects.iter().zip(&w.connected_at).skip(before);
    let to_the_node: Vec<_> = attempts.filter(|(to, _)| to.0 == "node0").map(|(_, at)| *at).collect();
    let pause = between(&to_the_node)[0];
    assert!(pause <= secs(10).mul_f64(1.201) + ms(200), "{pause:?}");
}

/// TLS takes all that there is to be written, of which the socket has nothing yet. Answers the connection, and the bytes.
fn take_all(w: &mut World) -> (ConnId, Vec<u8>) {
    let conn = w.open_links().into_iter().find(|conn| w.core.wants_write(*conn)).expect("a request is there");
    let mut bytes = Vec::new();
    w.core.transmit(conn, |slice| {
        bytes.extend_from_slice(slice);
        true
    });
    w.core.taken(conn, bytes.len(), w.now);
    (conn, bytes)
}

/// A second record is in a request, of which TLS has all and the socket nothing yet. Answers its connection, and the request.
fn encrypted(w: &mut World) -> (ConnId, Vec<u8>) {
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.stalled = true;
    w.send(&mut lane, 1, 100);
    w.run(ms(50));
    let taken = take_all(w);
    w.step();
    assert_eq!(w.records_reported(), 1, "not written, so not delivered, with acks=0 either");
    taken
}

/// The socket has taken all of it, and the driver reads before it says so.
#[test]
fn an_answer_may_come_before_all_that_was_encrypted_is_written() {
    let mut w = World::new(config(), 1);
    let (conn, mut request) = encrypted(&mut w);
    let (answer, open) = w.cluster.serve(0, conn, &mut request);
    assert!(open && !answer.is_empty());
    w.core.received(conn, &answer, w.now);
    w.step();
    assert_eq!((w.records_delivered(), w.open_links().contains(&conn)), (2, true));
}

/// What TLS has, it may get to the broker at any time, however little of it the socket has taken yet.
#[test]
fn what_is_encrypted_is_in_doubt_when_its_connection_is_lost() {
    for acks in [Acks::All, Acks::None] {
        let config = CoreConfig {
            acks,
            enable_idempotence: acks == Acks::All,
            delivery_timeout: secs(3),
            request_timeout: secs(1),
            ..config()
        };
        let mut w = World::new(config, 1);
        let (conn, _) = encrypted(&mut w);
        w.unreachable = true;
        w.finish_close(conn);
        assert!(w.run_until(secs(10), |w| w.records_reported() == 2));
        let expected = DeliveryFailure { kind: FailureKind::TimedOut { sent: true }, possibly_appended: true };
        assert_eq!(w.failures(), [expected], "{acks:?}");
    }
}

/// With acks=0, an answer to what was encrypted behind records says that these were read.
#[test]
fn an_answer_behind_records_that_nobody_answers_is_listened_to() {
    let mut w = World::new(CoreConfig { acks: Acks::None, enable_idempotence: false, ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.run(secs(1));
    w.stalled = true;
    w.send(&mut lane, 1, 100);
    w.run(ms(50));
    w.request(Request::WantMore(w.topic));
    w.run(ms(50));
    // Both are on one connection, the records first.
    let (conn, mut bytes) = take_all(&mut w);
    let (answer, open) = w.cluster.serve(0, conn, &mut bytes);
    assert!(open && !answer.is_empty(), "metadata were asked for there");
    assert_eq!(w.records_reported(), 1);
    w.core.received(conn, &answer, w.now);
    w.step();
    assert_eq!((w.records_delivered(), w.open_links().contains(&conn)), (2, true));
}

#[test]
fn with_acks_0_what_was_encrypted_is_delivered_when_it_is_written() {
    let mut w = World::new(CoreConfig { acks: Acks::None, enable_idempotence: false, ..config() }, 1);
    let (conn, _) = encrypted(&mut w);
    let operations = |w: &World| w.core.meters().totals.network_io.sum();
    let before = operations(&w);
    w.core.let_out(conn, w.now);
    w.core.let_out(conn, w.now);
    assert_eq!(operations(&w), before + 1, "where nothing was taken nothing is written");
    w.step();
    assert_eq!((w.records_delivered(), w.core.wants_write(conn)), (2, false));
}
