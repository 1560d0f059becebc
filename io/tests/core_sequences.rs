//! Sequence numbers, epochs and every error code of a Produce answer, on a model cluster with a virtual clock.

mod core_support;

use core_support::{Act, World, config, ms, secs};
use forebay_io::core::{CoreConfig, FailureKind};
use forebay_io::wire::ErrorCode;

/// Does something once, to the batch that carries a record.
fn once(id: u64, act: Act) -> Box<dyn FnMut(&core_support::Seen) -> Act> {
    let mut act = Some(act);
    Box::new(move |seen| if seen.ids.contains(&id) { act.take().unwrap_or(Act::Normal) } else { Act::Normal })
}

#[test]
fn every_error_code_is_retried_or_fails_its_batch_as_the_table_says() {
    // Code, whether the batch goes again, and whether the answer leaves open that it is in the log.
    let table: &[(i16, bool, bool)] = &[
        (-1, false, true),
        (2, true, false),
        (3, true, true),
        (5, true, true),
        (6, true, true),
        (7, true, true),
        (10, false, false),
        (13, true, true),
        (17, false, false),
        (18, false, false),
        (19, true, false),
        (20, true, true),
        (21, false, false),
        (29, false, false),
        (31, false, false),
        (32, false, false),
        (35, false, false),
        (43, false, false),
        (44, false, false),
        (48, false, false),
        (49, false, false),
        (53, false, false),
        (56, true, true),
        (74, true, true),
        (75, true, true),
        (76, false, false),
        (87, false, false),
        (89, true, false),
        (90, false, false),
        (100, true, true),
        (103, true, true),
        (120, false, false),
        (999, false, true),
        (i16::MIN, false, true),
    ];
    for (code, again, doubt) in table.iter().copied() {
        // With retries left, and with none: what is reported then must be as truthful.
        for retries in [5, 1] {
            let mut w = World::new(CoreConfig { retries, ..config() }, 1);
            let mut lane = w.lane(0);
            w.send(&mut lane, 0, 100);
            w.delivered(1);
            let times = if retries == 1 { 2 } else { 1 };
            w.cluster.act =
                Box::new(move |seen| if (1..=times).contains(&seen.request) { Act::Refuse(code) } else { Act::Normal });
            w.send(&mut lane, 1, 100);
            w.reported(2);
            let result = &w.reports[1].result;
            if again && retries == 5 {
                assert!(result.is_ok(), "{code}: {result:?}");
            } else {
                let failure = result.clone().expect_err("refused");
                assert_eq!(failure.possibly_appended, doubt, "{code}: {failure}");
                match failure.kind {
                    FailureKind::Broker { code: told, .. } => assert_eq!(told, ErrorCode(code)),
                    FailureKind::TooLarge { .. } => assert_eq!(code, 10),
                    other => panic!("{code}: {other:?}"),
                }
            }
            w.cluster.act = Box::new(|_| Act::Normal);
            let before = w.records_delivered();
            w.send(&mut lane, 2, 100);
            w.delivered(before + 1);
            assert_eq!(w.cluster.partitions[0].log.last(), Some(&2), "{code}: later records are not affected");
        }
    }
}

#[test]
fn a_gap_at_the_next_expected_sequence_takes_a_new_epoch_for_its_partition_alone() {
    let mut w = World::new(config(), 2);
    let (mut a, mut b) = (w.lane(0), w.lane(1));
    w.send(&mut a, 0, 100);
    w.send(&mut b, 100, 100);
    w.delivered(2);
    w.cluster.act =
        Box::new(|seen| if seen.ids == [1] && seen.producer.1 == 0 { Act::Refuse(45) } else { Act::Normal });
    w.send(&mut a, 1, 100);
    w.delivered(3);
    let last = w.cluster.seen.last().expect("seen");
    assert_eq!((last.producer, last.sequence), ((101, 1), 0), "the epoch is raised without asking the cluster");
    // The other partition takes the new epoch when nothing of it is under way.
    w.send(&mut b, 101, 100);
    w.delivered(4);
    let last = w.cluster.seen.last().expect("seen");
    assert_eq!((last.partition, last.producer, last.sequence), (1, (101, 1), 0));
    assert_eq!(w.cluster.partitions[1].log, [100, 101]);
}

#[test]
fn a_partition_with_batches_under_way_keeps_its_epoch_until_they_are_answered() {
    let mut w = World::new(CoreConfig { max_in_flight: 5, ..config() }, 2);
    let (mut a, mut b) = (w.lane(0), w.lane(1));
    w.send(&mut a, 0, 100);
    w.send(&mut b, 100, 100);
    w.delivered(2);
    // Partition 1 is refused for a while under epoch 0; meanwhile partition 0 raises the epoch.
    let mut refusals = 3;
    w.cluster.act = Box::new(move |seen| match seen.ids[0] {
        1 if seen.producer.1 == 0 => Act::Refuse(45),
        101 if refusals > 0 => {
            refusals -= 1;
            Act::Refuse(19)
        }
        _ => Act::Normal,
    });
    w.send(&mut b, 101, 100);
    w.run(ms(20));
    w.send(&mut a, 1, 100);
    w.delivered(4);
    let sent: Vec<_> = w.cluster.seen.iter().filter(|s| s.ids == [101]).map(|s| (s.producer, s.sequence)).collect();
    assert_eq!(sent, [((101, 0), 1); 4], "a retry is the same bytes with the same numbers");
    w.send(&mut b, 102, 100);
    w.delivered(5);
    let last = w.cluster.seen.last().expect("seen");
    assert_eq!((last.producer, last.sequence), ((101, 1), 0));
    assert_eq!(w.cluster.partitions[1].log, [100, 101, 102]);
}

#[test]
fn an_unknown_producer_is_retried_renumbered_or_failed_by_what_is_known() {
    for (act, in_doubt, epoch, ok) in [
        (Act::RefuseFrom(59, -1), false, 0, true), // the broker does not say: as it is
        (Act::RefuseFrom(59, 0), false, 1, true),  // forgotten: a new epoch
        (Act::RefuseFrom(59, 7), false, 1, true),  // its records are deleted, and with them the producer
        (Act::RefuseFrom(47, 0), false, 1, true),
        (Act::RefuseFrom(59, 0), true, 1, false), // may be stored: another number could double it
    ] {
        let mut w = World::new(config(), 1);
        let mut lane = w.lane(0);
        w.send(&mut lane, 0, 100);
        w.delivered(1);
        let acts = if in_doubt { vec![Act::AppendReset, act.clone()] } else { vec![act.clone()] };
        let mut acts = acts.into_iter();
        w.cluster.act = Box::new(move |_| acts.next().unwrap_or(Act::Normal));
        w.send(&mut lane, 1, 100);
        w.reported(2);
        assert_eq!(w.reports[1].result.is_ok(), ok, "{act:?}: {:?}", w.reports[1]);
        if !ok {
            assert!(w.failures()[0].possibly_appended);
        }
        w.send(&mut lane, 2, 100);
        w.reported(3);
        assert_eq!(w.cluster.partitions[0].log, [0, 1, 2], "{act:?}");
        assert_eq!(w.cluster.seen.last().expect("seen").producer.1, epoch, "{act:?}");
    }
}

#[test]
fn a_producer_forgotten_by_the_broker_goes_on() {
    // Since Kafka 2.5 a broker that has forgotten a producer takes any sequence number as its first.
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    for id in 0..5 {
        w.send(&mut lane, id, 100);
        w.delivered(id + 1);
        w.cluster.forget_producers(0);
    }
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2, 3, 4]);
}

#[test]
fn after_epoch_32767_every_partition_gets_the_new_producer_id_in_order() {
    let mut w = World::new(config(), 2);
    w.cluster.first_epoch = i16::MAX;
    let (mut a, mut b) = (w.lane(0), w.lane(1));
    w.send(&mut a, 0, 100);
    w.send(&mut b, 100, 100);
    w.delivered(2);
    // No new id for a while: partition 0 cannot go on, partition 1 has its old one.
    w.cluster.init_errors.extend([14, 15, 14]);
    w.cluster.act =
        Box::new(|seen| if seen.ids[0] == 1 && seen.producer.0 == 101 { Act::Refuse(45) } else { Act::Normal });
    for id in 1..4 {
        w.send(&mut a, id, 6_000);
        w.send(&mut b, 100 + id, 6_000);
        w.step();
    }
    w.delivered(8);
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2, 3]);
    assert_eq!(w.cluster.partitions[1].log, [100, 101, 102, 103]);
    let of_a: Vec<_> = w.cluster.seen.iter().filter(|s| s.partition == 0 && s.producer.0 != 101).collect();
    assert_eq!((of_a[0].producer.1, of_a[0].sequence), (0, 0), "numbers begin at 0 with the new id");
}

#[test]
fn an_expired_batch_is_neither_sent_again_nor_split() {
    for act in [Act::Refuse(19), Act::Refuse(10), Act::Refuse(6), Act::Refuse(45), Act::Hint(0, 9)] {
        let mut w = World::new(CoreConfig { request_timeout: secs(30), delivery_timeout: secs(2), ..config() }, 1);
        let mut lane = w.lane(0);
        w.send(&mut lane, 0, 100);
        w.delivered(1);
        w.cluster.act = once(1, act.clone());
        // The answer is kept from the producer until its records have expired.
        w.deaf.insert(0);
        for id in 1..4 {
            w.send(&mut lane, id, 100);
        }
        w.run(ms(50));
        w.reported(4);
        assert_eq!(w.failures()[0].kind, FailureKind::TimedOut { sent: true });
        w.deaf.clear();
        w.run(secs(5));
        assert_eq!(w.cluster.seen.iter().filter(|s| s.ids.contains(&1)).count(), 1, "{act:?}");
        assert_eq!(w.cluster.partitions[0].log, [0]);
        w.send(&mut lane, 4, 100);
        w.delivered(2);
        assert_eq!(w.cluster.partitions[0].log, [0, 4]);
        assert_eq!(w.core.live_batches(), 0);
    }
}

#[test]
fn when_retries_end_for_one_batch_those_behind_it_go_on_in_order() {
    let mut w = World::new(CoreConfig { retries: 1, ..config() }, 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.cluster.act = Box::new(|seen| if seen.ids.contains(&1) { Act::Refuse(19) } else { Act::Normal });
    w.stalled = true;
    for batch in 0..3 {
        for n in 1..4 {
            w.send(&mut lane, batch * 3 + n, 6_000);
        }
        w.step();
    }
    w.stalled = false;
    w.reported(10);
    let lost: u64 = w.reports.iter().filter(|r| r.result.is_err()).map(|r| u64::from(r.count)).sum();
    let log = &w.cluster.partitions[0].log;
    assert_eq!(log.len() as u64, 10 - lost);
    assert!(log.is_sorted() && w.failures().iter().all(|f| !f.possibly_appended), "{log:?}");
    assert!(lost < 9, "only the refused batch fails");
}

#[test]
fn a_single_record_too_large_for_the_broker_is_told_its_size_and_what_the_limit_lies_between() {
    let mut w = World::new(config(), 1);
    w.cluster.max_batch = 3_000;
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 2_500);
    w.delivered(1);
    let size = w.cluster.seen[0].bytes.len();
    w.send(&mut lane, 1, 5_000);
    w.reported(2);
    let failure = w.failures().remove(0);
    let FailureKind::TooLarge { size: told, accepted, .. } = failure.kind else { panic!("{failure:?}") };
    assert_eq!((told, accepted), (w.cluster.seen[1].bytes.len(), size));
    assert!(accepted <= 3_000 && 3_000 < told && !failure.possibly_appended);
    let text = failure.to_string();
    for word in [&told.to_string(), &accepted.to_string(), "max.message.bytes", "message.max.bytes"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[test]
fn a_batch_in_doubt_that_is_then_too_large_fails_rather_than_doubles() {
    // Its first attempt may be in the log; in other pieces, a broker would not know it again.
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    let mut acts = [Act::AppendReset, Act::Refuse(10)].into_iter();
    w.cluster.act = Box::new(move |_| acts.next().unwrap_or(Act::Normal));
    for id in 1..4 {
        w.send(&mut lane, id, 100);
    }
    w.reported(4);
    assert!(w.failures().iter().all(|f| f.possibly_appended));
    w.send(&mut lane, 4, 100);
    w.delivered(2);
    assert_eq!(w.cluster.partitions[0].log, [0, 1, 2, 3, 4]);
}

#[test]
fn the_parts_of_a_split_carry_on_the_sequence_numbers() {
    let mut w = World::new(config(), 1);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    w.delivered(1);
    w.cluster.max_batch = 1_200;
    for id in 1..9 {
        w.send(&mut lane, id, 400);
    }
    w.delivered(9);
    let stored: Vec<_> = w.cluster.seen.iter().filter(|s| s.bytes.len() <= 1_200).collect();
    let mut next = 0;
    for seen in stored {
        assert_eq!((seen.sequence, seen.producer.1), (next, 0));
        next += seen.ids.len() as i32;
    }
    assert_eq!(w.cluster.partitions[0].log, (0..9).collect::<Vec<_>>());
    // What follows counts on from there.
    w.cluster.max_batch = usize::MAX;
    w.send(&mut lane, 9, 100);
    w.delivered(10);
    assert_eq!(w.cluster.seen.last().expect("seen").sequence, 9);
}

#[test]
fn nothing_is_sent_before_there_is_a_producer_id() {
    let mut w = World::new(config(), 1);
    w.cluster.init_errors.extend([14; 4]);
    let mut lane = w.lane(0);
    w.send(&mut lane, 0, 100);
    assert!(!w.run_until(ms(250), |w| !w.cluster.seen.is_empty()));
    w.delivered(1);
    assert_eq!(w.cluster.seen[0].producer.0, 105, "the fifth answer had one");
    assert!(w.now < forebay_io::time::Time::ZERO + secs(4), "with a backoff of up to a second: {:?}", w.now);
}

#[test]
fn nothing_goes_to_a_new_leader_while_the_old_one_may_still_append() {
    // Unanswered and appended, or not: what is behind would be out of order at the new leader, or would hide a gap.
    for act in [Act::Silent, Act::AppendSilent] {
        let settings = CoreConfig { request_timeout: secs(2), metadata_max_age: ms(200), ..config() };
        let mut w = World::new(settings, 2);
        w.cluster.nodes = 2;
        w.cluster.partitions[1].leader = 1;
        let (mut a, mut b) = (w.lane(0), w.lane(1));
        w.send(&mut a, 0, 100);
        w.send(&mut b, 100, 100);
        w.delivered(2);
        w.cluster.act = once(1, act);
        w.send(&mut a, 1, 100);
        w.run(ms(50));
        (w.cluster.partitions[0].leader, w.cluster.partitions[0].epoch) = (1, 1);
        let before = w.cluster.seen.len();
        w.run(ms(500)); // the metadata is new, and the other partition's connection is there
        w.send(&mut a, 2, 100);
        w.send(&mut b, 101, 100);
        w.run(ms(500));
        let later: Vec<_> = w.cluster.seen[before..].iter().map(|seen| seen.ids.clone()).collect();
        assert_eq!(later, [[101]], "the neighbour goes on, and what is behind the unanswered batch waits");
        w.delivered(5);
        assert_eq!(w.cluster.partitions[0].log, [0, 1, 2]);
        let moved = w.cluster.seen.iter().filter(|seen| seen.node == 1 && seen.partition == 0);
        assert_eq!(moved.map(|seen| seen.ids.clone()).collect::<Vec<_>>(), [[1], [2]], "each once, in order");
    }
}
