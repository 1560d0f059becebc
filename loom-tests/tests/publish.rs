//! Records on their way from one sender to the I/O side, one claim a model.
#![cfg(loom)]

use forebay_loom_tests::{
    Turns, abandon, assert_at_rest, by_segment, engine, explore, publish, publish_patiently, take, words,
};
use loom::thread;

/// P1: whoever sees the position sees the bytes.
#[test]
fn bytes_before_position() {
    explore("bytes_before_position", None, || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        let sender = thread::spawn(move || publish(&mut lane, &[2]).expect("room"));
        let mut seen = take(&mut io, turns.active[0], &mut runs);
        seen.extend(take(&mut io, turns.active[0], &mut runs));
        assert!(seen == [1] || seen == [1, 2], "bytes of a record that was not published: {seen:?}");
        sender.join().expect("the sender");
        seen.extend(take(&mut io, turns.active[0], &mut runs));
        assert_eq!(seen, [1, 2]);
        assert_eq!(words(&io, &runs), [1, 2]);
        for run in runs {
            io.release(run);
        }
    });
}

/// A record of several segments becomes visible as a whole, its links with it.
#[test]
fn a_record_across_segment_ends_is_seen_whole_or_not_at_all() {
    explore("a_record_across_segment_ends_is_seen_whole_or_not_at_all", None, || {
        let (engine, mut io) = engine(4);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        // One word in the open segment, then two segments more.
        let sender = thread::spawn(move || publish(&mut lane, &[2, 3, 4, 5]).expect("room"));
        let mut seen = take(&mut io, turns.active[0], &mut runs);
        assert!(seen == [1] || seen == [1, 2, 3, 4, 5], "part of a record: {seen:?}");
        sender.join().expect("the sender");
        seen.extend(take(&mut io, turns.active[0], &mut runs));
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        for run in runs {
            io.release(run);
        }
        assert_at_rest(&mut turns, &mut io);
    });
}

/// A head that does not fit begins the next segment; the word that is left behind is skipped by the reader, not read.
#[test]
fn the_unused_end_of_a_segment_is_skipped() {
    explore("the_unused_end_of_a_segment_is_skipped", None, || {
        let (engine, mut io) = engine(3);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1]).expect("room");
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        let sender = thread::spawn(move || {
            let mut claim = lane.claim(16, 16).expect("room");
            claim.put(&2u64.to_le_bytes());
            claim.put(&3u64.to_le_bytes());
            claim.commit().expect("open");
        });
        let mut seen = take(&mut io, turns.active[0], &mut runs);
        sender.join().expect("the sender");
        seen.extend(take(&mut io, turns.active[0], &mut runs));
        assert_eq!(seen, [1, 2, 3]);
        for run in runs {
            io.release(run);
        }
        assert_at_rest(&mut turns, &mut io);
    });
}

/// The chain of a lane grows at one end while the I/O side drains and frees the other.
#[test]
fn a_chain_grows_while_it_is_drained() {
    explore("a_chain_grows_while_it_is_drained", Some(4), || {
        let (engine, mut io) = engine(3);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || {
            for record in 0..3 {
                publish(&mut lane, &[2 * record, 2 * record + 1]).expect("room: there is a segment for each");
            }
            // Needs a segment that was drained, released and freed.
            if publish(&mut lane, &[6, 7]).is_ok() { 8 } else { 6 }
        });
        let mut turns = Turns::default();
        for _ in 0..2 {
            turns.collect(&mut io);
            turns.drain(&mut io);
            io.settle();
        }
        let words = sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(0), (0..words).collect::<Vec<_>>());
    });
}

/// A claim that is dropped leaves no trace: no bytes, no hole, no segment missing.
#[test]
fn an_aborted_claim_leaves_no_hole() {
    explore("an_aborted_claim_leaves_no_hole", None, || {
        let (engine, mut io) = engine(4);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        let sender = thread::spawn(move || {
            publish(&mut lane, &[1]).expect("room");
            abandon(&mut lane, 4).expect("room");
            publish(&mut lane, &[2]).expect("room");
        });
        let mut turns = Turns::default();
        turns.collect(&mut io);
        turns.drain(&mut io);
        assert!([&[][..], &[1], &[1, 2]].contains(&turns.of(0)), "{:?}", turns.of(0));
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(0), [1, 2]);
    });
}

/// I4, I7: bytes of a run stay what they are until it is released, whoever wants memory meanwhile.
#[test]
fn bytes_are_reused_only_after_release() {
    explore("bytes_are_reused_only_after_release", Some(4), || {
        let (engine, mut io) = engine(2);
        let end = engine.producer_end();
        let mut lane = end.lane(0).expect("open");
        publish(&mut lane, &[1, 2]).expect("room");
        publish(&mut lane, &[3]).expect("room");
        let (mut turns, mut runs) = (Turns::default(), Vec::new());
        turns.collect(&mut io);
        assert_eq!(take(&mut io, turns.active[0], &mut runs), [1, 2, 3]);
        let mut runs = by_segment(&mut io, runs);
        let mut other = engine.producer_end();
        // All memory is leased: this waits until the first run is released.
        let sender = thread::spawn(move || {
            let mut lane = other.lane(1).expect("open");
            publish_patiently(&mut other, &mut lane, &[4]).expect("open");
        });
        io.settle();
        assert_eq!(words(&io, &runs), [1, 2, 3], "a run was overwritten while it was held");
        io.release(runs.remove(0));
        while turns.of(1).is_empty() {
            io.settle();
            turns.collect(&mut io);
            turns.drain(&mut io);
            thread::yield_now();
        }
        assert_eq!(words(&io, &runs), [3]);
        io.release(runs.remove(0));
        sender.join().expect("the sender");
        assert_at_rest(&mut turns, &mut io);
        assert_eq!(turns.of(1), [4]);
    });
}
