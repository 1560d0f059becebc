//! Batches that are compressed on other threads: what their absence and their return may change, and what not.

mod core_support;

use core_support::{Act, NOT_ENOUGH_REPLICAS, World, config, ms, secs};
use forebay_engine::Lane;
use forebay_io::compress::{Codec, Compression, Compressor};
use forebay_io::core::{CoreConfig, FailureKind, Request};

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

fn threaded() -> CoreConfig {
    CoreConfig { compression_threads: 4, batch_max_bytes: 2_000, batch_size: 1_000, ..config() }
}

/// A world whose broker knows the producer, so that several batches may be under way; a lane for each partition, each
/// with a record behind it.
fn proven(config: CoreConfig, partitions: u32) -> (World, Vec<Lane>) {
    let mut w = World::new(config, partitions as i32);
    let mut lanes: Vec<_> = (0..partitions).map(|partition| w.lane(partition)).collect();
    for lane in &mut lanes {
        assert!(w.send(lane, 1_000_000, 10));
    }
    assert!(w.run_until(secs(60), |w| w.records_delivered() == u64::from(partitions)), "{:?}", w.reports);
    (w, lanes)
}

#[track_caller]
fn assert_all_memory_is_back(w: &mut World) {
    w.run(secs(1));
    assert_eq!(w.core.free_segments(), w.core.total_segments());
    assert_eq!(w.core.live_batches(), 0);
}

#[test]
fn batches_go_in_the_order_in_which_they_were_cut_whatever_order_they_come_back_in() {
    let (mut w, mut lanes) = proven(threaded(), 1);
    let lane = &mut lanes[0];
    w.hold_jobs = true;
    for id in 0..16 {
        assert!(w.send(lane, id, 500));
    }
    w.run(ms(100));
    assert_eq!(w.jobs.len(), 5, "as many as may be in flight");
    assert_eq!(w.cluster.seen.len(), 1, "nothing is sent before it is back");
    // The last one first, with the core at work between them.
    while let Some(job) = w.jobs.pop() {
        w.core.packed(job);
        assert!(w.jobs.is_empty() || w.cluster.seen.len() == 1, "the first one is not back");
        w.run(ms(1));
    }
    w.hold_jobs = false;
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 17), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log[1..], (0..16).collect::<Vec<_>>());
    assert_all_memory_is_back(&mut w);
}

#[test]
fn one_partitions_job_holds_up_no_other_partition() {
    let (mut w, mut lanes) = proven(threaded(), 2);
    let [slow, quick] = &mut lanes[..] else { panic!("two lanes") };
    w.hold_jobs = true;
    assert!(w.send(slow, 1, 500));
    w.run(ms(20));
    let held = w.jobs.pop().expect("handed out");
    w.hold_jobs = false;
    for id in 0..20 {
        assert!(w.send(quick, id, 500));
    }
    assert!(w.run_until(secs(5), |w| w.cluster.partitions[1].log.len() == 21), "{:?}", w.reports);
    w.core.packed(held);
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 23));
    assert_all_memory_is_back(&mut w);
}

#[test]
fn no_more_jobs_are_out_than_keep_the_threads_busy() {
    let (mut w, mut lanes) = proven(CoreConfig { compression_threads: 1, ..threaded() }, 4);
    w.hold_jobs = true;
    for id in 0..40 {
        assert!(w.send(&mut lanes[id as usize % 4], id, 500));
    }
    w.run(ms(100));
    assert_eq!(w.jobs.len(), 2, "one that is done and one that waits for it");
    w.hold_jobs = false;
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 44), "{:?}", w.reports);
    assert_all_memory_is_back(&mut w);
}

#[test]
fn partitions_take_turns_at_threads_that_are_always_busy() {
    let (mut w, mut lanes) = proven(CoreConfig { compression_threads: 1, ..threaded() }, 4);
    w.hold_jobs = true;
    for id in 0..240 {
        assert!(w.send(&mut lanes[id as usize % 4], id, 500));
    }
    w.run(ms(20));
    // Every other answer is there before the next job is back: nobody waits for anything but the threads.
    for _ in 0..20 {
        let job = w.jobs.remove(0);
        w.core.packed(job);
        w.run(ms(20));
    }
    let sent: Vec<_> = w.cluster.partitions.iter().map(|partition| partition.log.len() - 1).collect();
    let (least, most) = (sent.iter().min().expect("four"), sent.iter().max().expect("four"));
    assert!(*least > 0 && most - least <= 4, "a batch has three records: {sent:?}");
    w.hold_jobs = false;
    w.finish_jobs();
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 244), "{:?}", w.reports);
    assert_all_memory_is_back(&mut w);
}

#[test]
fn what_expires_while_it_is_compressed_keeps_its_memory_until_it_is_back_and_leaves_no_gap() {
    let (mut w, mut lanes) = proven(CoreConfig { delivery_timeout: secs(40), ..threaded() }, 1);
    let lane = &mut lanes[0];
    w.hold_jobs = true;
    for id in 0..3 {
        assert!(w.send(lane, id, 500));
    }
    w.run(secs(41));
    let failed: Vec<_> = w.reports.iter().filter_map(|report| report.result.as_ref().err()).collect();
    assert!(!failed.is_empty() && w.records_reported() == 4, "{:?}", w.reports);
    let unsent = |kind: &FailureKind| matches!(kind, FailureKind::TimedOut { sent: false });
    assert!(failed.iter().all(|f| unsent(&f.kind) && !f.possibly_appended), "{failed:?}");
    assert!(w.core.free_segments() < w.core.total_segments(), "the job may still write it");
    w.finish_jobs();
    w.hold_jobs = false;
    assert!(w.send(lane, 9, 10));
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 2), "{:?}", w.reports);
    let (first, last) = (&w.cluster.seen[0], &w.cluster.seen[w.cluster.seen.len() - 1]);
    assert_eq!((last.producer, last.sequence), (first.producer, 1), "no number was used, no epoch raised");
    assert_all_memory_is_back(&mut w);
}

#[test]
fn a_close_at_its_deadline_fails_what_is_being_compressed_and_ends() {
    let (mut w, mut lanes) = proven(threaded(), 1);
    let lane = &mut lanes[0];
    w.hold_jobs = true;
    assert!(w.send(lane, 1, 500));
    w.run(ms(20));
    assert_eq!(w.jobs.len(), 1);
    let deadline = w.now + ms(50);
    w.request(Request::Close { deadline });
    assert!(w.run_until(secs(5), |w| w.core.is_closed()));
    assert_eq!(w.now, deadline, "neither before it nor after");
    let last = w.reports.last().expect("an outcome");
    let failure = last.result.as_ref().expect_err("closed");
    assert!(failure.kind == FailureKind::Closed && !failure.possibly_appended, "{failure:?}");
    // Whoever has the job has its memory, and may still bring it back.
    assert_eq!((w.jobs.len(), w.core.live_batches()), (1, 1));
    w.finish_jobs();
    assert_eq!(w.core.live_batches(), 0);
    assert_eq!(w.core.free_segments(), w.core.total_segments());
}

#[test]
fn a_close_with_time_left_waits_for_the_memory_of_what_was_given_up() {
    let (mut w, mut lanes) = proven(CoreConfig { delivery_timeout: secs(1), ..threaded() }, 1);
    w.hold_jobs = true;
    assert!(w.send(&mut lanes[0], 1, 500));
    assert!(w.run_until(secs(5), |w| w.records_reported() == 2));
    w.request(Request::Close { deadline: w.now + secs(30) });
    w.run(secs(1));
    assert!(!w.core.is_closed(), "a job is out");
    w.finish_jobs();
    w.step();
    assert!(w.core.is_closed());
    assert_eq!(w.core.live_batches(), 0);
}

#[test]
fn a_close_in_time_and_a_flush_wait_for_what_is_being_compressed() {
    let (mut w, mut lanes) = proven(CoreConfig { linger: secs(20), ..threaded() }, 1);
    let lane = &mut lanes[0];
    w.hold_jobs = true;
    assert!(w.send(lane, 1, 100));
    w.request(Request::Flush { token: 7 });
    w.run(ms(100));
    assert!(w.jobs.len() == 1 && w.flushed.is_empty());
    w.finish_jobs();
    assert!(w.run_until(secs(5), |w| !w.flushed.is_empty()));
    assert_eq!(w.flushed[0].failed, 0);
    assert!(w.send(lane, 2, 100));
    w.request(Request::Close { deadline: w.now + secs(30) });
    w.run(ms(100));
    assert!(w.jobs.len() == 1 && !w.core.is_closed());
    w.finish_jobs();
    assert!(w.run_until(secs(5), |w| w.core.is_closed()));
    assert_eq!(w.records_delivered(), 3);
}

#[test]
fn what_is_sent_again_goes_before_what_is_compressed() {
    let (mut w, mut lanes) = proven(threaded(), 1);
    let lane = &mut lanes[0];
    let mut refusals = 2;
    w.cluster.act = Box::new(move |_| {
        refusals -= 1;
        if refusals >= 0 { Act::Refuse(NOT_ENOUGH_REPLICAS) } else { Act::Normal }
    });
    for id in 0..30 {
        assert!(w.send(lane, id, 500));
        // Some of it is out while earlier batches are refused.
        w.hold_jobs = id % 3 == 0;
        w.run(ms(7));
    }
    w.hold_jobs = false;
    assert!(w.run_until(secs(30), |w| w.records_delivered() == 31), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log[1..], (0..30).collect::<Vec<_>>());
    assert_all_memory_is_back(&mut w);
}

#[test]
fn a_batch_that_was_compressed_is_sent_again_by_itself() {
    let (mut w, mut lanes) = proven(threaded(), 1);
    let mut refusals = 1;
    w.cluster.act = Box::new(move |_| {
        refusals -= 1;
        if refusals >= 0 { Act::Refuse(NOT_ENOUGH_REPLICAS) } else { Act::Normal }
    });
    assert!(w.send(&mut lanes[0], 1, 100));
    assert!(w.run_until(secs(5), |w| w.records_delivered() == 2), "{:?}", w.reports);
    assert_all_memory_is_back(&mut w);
}

#[test]
fn a_lost_connection_changes_nothing_for_what_is_compressed() {
    let (mut w, mut lanes) = proven(threaded(), 1);
    let lane = &mut lanes[0];
    w.hold_jobs = true;
    for id in 0..8 {
        assert!(w.send(lane, id, 500));
    }
    w.run(ms(20));
    assert!(!w.jobs.is_empty());
    w.reset_links();
    w.finish_jobs();
    w.hold_jobs = false;
    assert!(w.run_until(secs(30), |w| w.records_delivered() == 9), "{:?}", w.reports);
    assert_eq!(w.cluster.partitions[0].log[1..], (0..8).collect::<Vec<_>>());
    assert_all_memory_is_back(&mut w);
}

#[test]
fn a_topic_that_is_refused_fails_what_is_compressed_for_it() {
    let (mut w, mut lanes) = proven(CoreConfig { metadata_max_age: ms(500), ..threaded() }, 1);
    let lane = &mut lanes[0];
    w.hold_jobs = true;
    assert!(w.send(lane, 1, 500));
    w.run(ms(20));
    assert_eq!(w.jobs.len(), 1);
    w.cluster.topic_error = TOPIC_AUTHORIZATION_FAILED;
    w.run(ms(1_000));
    w.finish_jobs();
    assert!(w.run_until(secs(5), |w| w.records_reported() == 2), "{:?}", w.reports);
    let failure = w.reports[1].result.as_ref().expect_err("refused");
    assert!(!failure.possibly_appended, "{failure:?}");
    assert_all_memory_is_back(&mut w);
}

#[test]
fn jobs_that_shrink_go_compressed_and_are_split_where_the_broker_says_so() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let compression = Compression::with_default_level(codec);
        let config = CoreConfig { compression: Some(compression), batch_max_bytes: 100_000, ..threaded() };
        let (mut w, mut lanes) = proven(CoreConfig { linger: ms(50), batch_size: 90_000, ..config }, 1);
        let lane = &mut lanes[0];
        w.compressor = Some(Compressor::new(compression, 1 << 20).expect("built in"));
        w.cluster.max_batch = 900;
        for id in 0..100 {
            assert!(w.send(lane, id, 700));
        }
        assert!(w.run_until(secs(30), |w| w.records_delivered() == 101), "{codec:?}: {:?}", w.reports);
        assert_eq!(w.cluster.partitions[0].log[1..], (0..100).collect::<Vec<_>>(), "{codec:?}");
        let first = &w.cluster.seen[1];
        assert!(first.ids.len() == 100 && first.bytes.len() < 20_000, "{codec:?}: {} bytes", first.bytes.len());
        assert_eq!(Codec::of_attributes(i16::from_be_bytes([first.bytes[21], first.bytes[22]])), Some(codec));
        assert_all_memory_is_back(&mut w);
    }
}
