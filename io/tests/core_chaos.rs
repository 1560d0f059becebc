//! Random bad days: the whole core on a model cluster, by seed. `FOREBAY_SEED=n` replays one; `FOREBAY_SEEDS=n` runs n.

mod core_support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use core_support::{Act, World, ms, secs};
use forebay_io::core::{CoreConfig, Request};

/// Refusals that leave no trace, and answers that say less than what happened.
const REFUSALS: [i16; 7] = [2, 5, 6, 19, 56, 87, -1];
const AFTER_APPEND: [i16; 4] = [6, 7, 20, -1];

fn act(rng: &mut fastrand::Rng, trouble: u32) -> Act {
    if rng.u32(0..100) >= trouble {
        return Act::Normal;
    }
    match rng.u32(0..8) {
        0 | 1 => Act::Refuse(REFUSALS[rng.usize(..REFUSALS.len())]),
        2 | 3 => Act::AppendRefuse(AFTER_APPEND[rng.usize(..AFTER_APPEND.len())]),
        4 => Act::Reset,
        5 => Act::AppendReset,
        6 => Act::AppendSilent,
        _ => Act::Silent,
    }
}

fn live(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let config = CoreConfig {
        bootstrap: vec!["node0:9092".to_owned(), "node1:9093".to_owned()],
        linger: ms(rng.u64(0..20)),
        max_in_flight: rng.usize(1..6),
        request_timeout: ms(rng.u64(200..3_000)),
        delivery_timeout: ms(rng.u64(1_000..20_000)),
        retries: if rng.bool() { i32::MAX as u32 } else { rng.u32(1..4) },
        batch_size: rng.usize(200..20_000),
        max_request_size: rng.usize(2_000..100_000),
        ..CoreConfig::default()
    };
    let mut w = World::with_memory(config, 3, 256 * 1024);
    w.cluster.nodes = 2;
    w.cluster.max_batch = if rng.u32(0..4) == 0 { 2_500 } else { usize::MAX };
    w.write_limit = if rng.bool() { usize::MAX } else { rng.usize(20..5_000) };
    let trouble = rng.u32(0..50);
    let dice = Rc::new(RefCell::new(fastrand::Rng::with_seed(seed ^ 0xace)));
    let theirs = dice.clone();
    w.cluster.act = Box::new(move |seen| {
        let act = act(&mut theirs.borrow_mut(), trouble);
        if std::env::var("FOREBAY_TRACE").is_ok() {
            eprintln!("request {} p{}: {act:?}", seen.request, seen.partition);
        }
        act
    });
    let mut lanes: Vec<_> = (0..6).map(|lane| w.lane(lane % 3)).collect();
    let mut sent = [0_u64; 6];
    let mut flushes = 0;
    for _ in 0..rng.usize(20..200) {
        match rng.u32(0..20) {
            0 => w.reset_links(),
            1 => {
                let partition = rng.usize(..3);
                w.cluster.partitions[partition].leader ^= 1;
                w.cluster.partitions[partition].epoch += 1;
            }
            2 => w.stalled = !w.stalled,
            3 => {
                flushes += 1;
                w.request(Request::Flush { token: flushes });
            }
            4 => w.run(ms(rng.u64(1..2_000))),
            _ => {
                let lane = rng.usize(..6);
                for _ in 0..rng.u64(1..20) {
                    let id = lane as u64 * 1_000_000 + sent[lane];
                    if w.send(&mut lanes[lane], id, rng.usize(8..600)) {
                        sent[lane] += 1;
                    }
                }
                w.run(ms(rng.u64(0..10)));
            }
        }
    }
    // The end: by itself or at a deadline, the weather clearing up or not.
    w.stalled = false;
    if rng.bool() {
        w.cluster.act = Box::new(|_| Act::Normal);
    }
    let deadline = w.now + if rng.bool() { secs(60) } else { ms(rng.u64(0..500)) };
    w.request(Request::Close { deadline });
    assert!(w.run_until(secs(120), |w| w.core.is_closed()), "a close ends");

    assert_eq!(w.records_reported(), sent.iter().sum::<u64>(), "one outcome per record");
    assert_eq!(w.flushed.len() as u64, flushes, "every flush ends");
    assert_eq!(w.core.live_batches(), 0);
    assert_eq!(w.core.free_segments(), w.core.total_segments(), "all memory is back");
    if std::env::var("FOREBAY_TRACE").is_ok() {
        for s in &w.cluster.seen {
            let ids = (s.ids[0], s.ids[s.ids.len() - 1]);
            eprintln!(
                "request {} p{} node {} producer {:?} sequence {} ids {ids:?}",
                s.request, s.partition, s.node, s.producer, s.sequence
            );
        }
    }
    let mut logged: BTreeMap<u64, usize> = BTreeMap::new();
    for partition in &w.cluster.partitions {
        let mut last = [None; 6];
        for id in &partition.log {
            *logged.entry(*id).or_default() += 1;
            let (lane, n) = ((id / 1_000_000) as usize, id % 1_000_000);
            assert!(last[lane].is_none_or(|l| l < n), "lane {lane}: {n} after {:?}", last[lane]);
            last[lane] = Some(n);
        }
    }
    let ids: BTreeMap<_, _> = lanes.iter().enumerate().map(|(n, lane)| (lane.id(), n as u64)).collect();
    for report in &w.reports {
        for n in 0..u64::from(report.count) {
            let id = ids[&report.lane] * 1_000_000 + report.first_ordinal + n;
            let times = logged.get(&id).copied().unwrap_or(0);
            match &report.result {
                Ok(delivered) => {
                    assert_eq!(times, 1, "{id} was acknowledged");
                    if delivered.base_offset >= 0 {
                        let (_, partition) = forebay_io::topics::TopicId::of_tag(report.lane_tag);
                        let at = delivered.base_offset as usize + n as usize;
                        assert_eq!(w.cluster.partitions[partition as usize].log[at], id, "the offset reported");
                    }
                }
                Err(failure) if failure.possibly_appended => assert!(times <= 1, "{id} is there {times} times"),
                Err(failure) => assert_eq!(times, 0, "{id} was not appended: {failure}"),
            }
        }
    }
}

#[test]
fn whatever_happens_outcomes_are_true() {
    let number = |name| std::env::var(name).ok().map(|n: String| n.parse::<u64>().expect("a number"));
    if let Some(seed) = number("FOREBAY_SEED") {
        return live(seed);
    }
    for seed in 0..number("FOREBAY_SEEDS").unwrap_or(300) {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
            eprintln!("replay with FOREBAY_SEED={seed} cargo test -p forebay-io --test core_chaos");
            std::panic::resume_unwind(panic);
        }
    }
}
