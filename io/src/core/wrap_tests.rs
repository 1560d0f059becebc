//! Sequence numbers past 2³¹−1: two thousand million records are too many for a test through the front door.

#[path = "../../tests/core_support/mod.rs"]
mod core_support;

use self::core_support::{Act, World, config, ms, secs};

#[test]
fn sequence_numbers_wrap_on_the_wire_and_retries_across_the_wrap_are_known_again() {
    for trouble in [Act::Normal, Act::Refuse(19), Act::AppendReset, Act::Reset, Act::AppendRefuse(7)] {
        let mut w = World::new(config(), 1);
        let mut lane = w.lane(0);
        w.send(&mut lane, 999, 100);
        assert!(w.run_until(secs(1), |w| w.records_delivered() == 1));
        // As after 2³¹ − 4 records; the broker has forgotten them.
        w.core.partitions[0].next_sequence = i32::MAX - 4;
        w.cluster.forget_producers(0);
        w.send(&mut lane, 0, 100);
        assert!(w.run_until(secs(1), |w| w.records_delivered() == 2));
        let mut act = Some(trouble.clone());
        w.cluster.act =
            Box::new(move |seen| if seen.sequence == i32::MAX - 3 { act.take() } else { None }.unwrap_or(Act::Normal));
        for batch in 0..4 {
            for n in 1..7 {
                w.send(&mut lane, batch * 6 + n, 3_000);
            }
            w.step();
        }
        assert!(w.run_until(secs(10), |w| w.records_delivered() == 26), "{trouble:?}: {:?}", w.reports);
        w.run(ms(100));
        let mut sent: Vec<_> = w.cluster.seen.iter().skip(2).map(|s| (s.sequence, s.ids.len())).collect();
        sent.sort_unstable_by_key(|(sequence, _)| (i64::from(*sequence) - i64::from(i32::MAX - 3)).rem_euclid(1 << 31));
        sent.dedup();
        let mut next = i32::MAX - 3;
        for (sequence, records) in sent {
            assert_eq!(sequence, next, "{trouble:?}");
            next = ((i64::from(next) + records as i64) % (1 << 31)) as i32;
        }
        assert_eq!(next, 20, "24 records from 2³¹ − 4 on");
        assert_eq!(w.cluster.partitions[0].log[1..], (0..25).collect::<Vec<_>>(), "{trouble:?}");
        assert!(w.cluster.seen.iter().all(|seen| seen.producer.1 == 0), "no new epoch: {trouble:?}");
    }
}
