//! What is in flight follows bandwidth × round trip. On a model cluster with a virtual clock.

mod core_support;

use core_support::{World, config, ms};
use forebay_io::core::CoreConfig;

/// Saturates a cluster whose answers are `delay` milliseconds on their way; the largest request that it saw.
fn largest_request(delay: u64, settings: CoreConfig) -> usize {
    let mut w = World::with_memory(settings, 4, 9 << 20);
    let mut lanes: Vec<_> = (0..4).map(|p| w.lane(p)).collect();
    w.delay = ms(delay);
    let mut sent = 0;
    for _ in 0..8 {
        for lane in &mut lanes {
            for _ in 0..80 {
                sent += u64::from(w.send(lane, sent, 20_000));
            }
        }
        w.run(ms(delay.max(1)));
    }
    w.delay = ms(0);
    assert!(w.run_until(ms(1_000), |w| w.records_delivered() == sent), "all of {sent} arrive");
    w.cluster.largest_request
}

#[test]
fn requests_grow_on_a_long_link_and_only_there() {
    let long = CoreConfig { long_request_size: 8 << 20, ..config() };
    assert!(largest_request(0, long.clone()) < 300 << 10, "five of them are the least that may be in flight");
    let largest = largest_request(20, long);
    assert!(largest > 1 << 20 && largest <= 8 << 20, "{largest}");
}

#[test]
fn a_limit_that_was_set_holds_on_a_long_link_too() {
    let set = CoreConfig { max_request_size: 600_000, batch_max_bytes: 500_000, ..config() };
    let largest = largest_request(20, set);
    assert!(largest > 500_000 && largest <= 600_000, "{largest}");
}
