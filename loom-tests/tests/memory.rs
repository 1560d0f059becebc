//! Segments on their way between owners: the free rings, and what comes back unused.
#![cfg(loom)]

use forebay_loom_tests::{Turns, abandon, assert_at_rest, engine, explore, publish, take};
use loom::thread;

/// I6: two takers and the putter; nobody gets a segment twice, and whoever gets one comes after its last reader.
#[test]
fn two_takers_and_the_putter_never_share_a_segment() {
    explore("two_takers_and_the_putter_never_share_a_segment", Some(3), || {
        let (engine, mut io) = engine(3);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1, 2]).expect("room");
        publish(&mut lane, &[3, 4]).expect("room");
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        take(&mut io, turns.active[0], &mut runs);
        // One segment is free, one comes back meanwhile, one stays open.
        let takers: Vec<_> = [1, 2]
            .map(|tag| {
                let end = engine.producer_end();
                let mut lane = end.lane(tag).expect("open");
                thread::spawn(move || publish(&mut lane, &[10 * tag, 10 * tag + 1]).is_ok())
            })
            .into_iter()
            .collect();
        io.release(runs.remove(0));
        io.settle();
        let got: Vec<bool> = takers.into_iter().map(|taker| taker.join().expect("a taker")).collect();
        assert!(got.contains(&true), "one segment was free all along");
        for run in runs {
            io.release(run);
        }
        assert_at_rest(&mut turns, &mut io);
        for (tag, got) in [1u64, 2].into_iter().zip(got) {
            let expected: &[u64] = if got { &[10 * tag, 10 * tag + 1] } else { &[] };
            assert_eq!(turns.of(tag), expected);
        }
    });
}

/// Chains of different lengths taken at once from one ring: all or nothing, and no entry twice.
#[test]
fn chains_are_taken_whole_under_contention() {
    explore("chains_are_taken_whole_under_contention", Some(4), || {
        let (engine, mut io) = engine(3);
        let takers: Vec<_> = [1u64, 2]
            .into_iter()
            .map(|tag| {
                let end = engine.producer_end();
                let mut lane = end.lane(tag).expect("open");
                let record: Vec<u64> = (0..2 * tag).map(|word| 10 * tag + word).collect();
                thread::spawn(move || publish(&mut lane, &record).expect("one and two make three"))
            })
            .collect();
        for taker in takers {
            taker.join().expect("a taker");
        }
        let mut turns = Turns::default();
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1), [10, 11]);
        assert_eq!(turns.of(2), [20, 21, 22, 23]);
    });
}

/// A taker that stops between its exchange and its next step still has the segments that stood there, though others send all the rest
/// of the slab round the ring meanwhile.
#[test]
fn a_taker_left_behind_keeps_its_segment() {
    explore("a_taker_left_behind_keeps_its_segment", Some(3), || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let (mut lane, mut other) = (end.lane(0).expect("open"), end.lane(1).expect("open"));
        // Both segments have been used once: they stand in one ring, which has no third place.
        publish(&mut lane, &[1, 2, 3, 4]).expect("room");
        let mut turns = Turns::default();
        turns.turn(&mut io);
        let taker = thread::spawn(move || publish(&mut other, &[5, 6]).expect("one of two is always free"));
        publish(&mut lane, &[7, 8]).expect("one of two is always free");
        turns.turn(&mut io);
        let got = publish(&mut lane, &[9, 10]).is_ok();
        taker.join().expect("the taker");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(0), if got { &[1, 2, 3, 4, 7, 8, 9, 10][..] } else { &[1, 2, 3, 4, 7, 8] });
        assert_eq!(turns.of(1), [5, 6]);
    });
}

/// A chain too long for one exchange that finds the ring dry on its way is given back whole.
#[test]
fn a_long_chain_that_runs_dry_goes_back() {
    explore("a_long_chain_that_runs_dry_goes_back", Some(4), || {
        let (engine, mut io) = engine(3);
        let end = engine.producer_end();
        let (mut long, mut short) = (end.lane(0).expect("open"), end.lane(1).expect("open"));
        let taker = thread::spawn(move || publish(&mut long, &[1, 2, 3, 4, 5, 6]).is_ok());
        let short_got = publish(&mut short, &[7]).is_ok();
        let long_got = taker.join().expect("the taker");
        assert!(long_got != short_got, "there is enough for one of them, and not for both");
        let mut turns = Turns::default();
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(0).len() + turns.of(1).len(), if long_got { 6 } else { 1 });
    });
}

/// P6: segments of an aborted claim come back with their links, after the aborted writes.
#[test]
fn what_an_aborted_claim_took_goes_to_the_next() {
    explore("what_an_aborted_claim_took_goes_to_the_next", Some(3), || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let aborter = thread::spawn(move || {
            // Finds one segment gone, perhaps; then it takes none.
            let _ = abandon(&mut lane, 4);
        });
        let end = engine.producer_end();
        let taker = thread::spawn(move || {
            let mut lane = end.lane(1).expect("open");
            publish(&mut lane, &[1, 2]).is_ok() || publish(&mut lane, &[1, 2]).is_ok()
        });
        let mut turns = Turns::default();
        turns.collect(&mut io);
        io.settle();
        let got = taker.join().expect("the taker");
        aborter.join().expect("the aborter");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1).len(), if got { 2 } else { 0 });
    });
}

/// P6: two aborted claims return at once, while the I/O side collects.
#[test]
fn chains_returned_at_once_are_all_collected() {
    explore("chains_returned_at_once_are_all_collected", Some(3), || {
        let (engine, mut io) = engine(3);
        let aborters: Vec<_> = [1, 2]
            .map(|segments| {
                let end = engine.producer_end();
                let mut lane = end.lane(segments).expect("open");
                thread::spawn(move || abandon(&mut lane, 2 * segments as usize).expect("there are three"))
            })
            .into_iter()
            .collect();
        let mut lanes = Vec::new();
        io.collect_ready(&mut lanes);
        io.settle();
        for aborter in aborters {
            aborter.join().expect("an aborter");
        }
        assert_at_rest(&mut Turns::default(), &mut io);
    });
}
