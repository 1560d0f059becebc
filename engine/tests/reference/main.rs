//! Random lists of operations, shrunk where they fail, on the engine and on plain queues of bytes beside it. After every
//! operation the bytes, their order, every count and the account of all segments must be what the queues say.
//!
//! `PROPTEST_CASES=n` runs n lists (256 without it).
#![cfg(not(any(loom, shuttle)))]

mod drain;
mod operations;
mod rest;
#[path = "../support/mod.rs"]
mod support;
mod world;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_what_queues_of_bytes_do(
        segments in prop_oneof![3 => 1_usize..=24, 2 => 40_usize..=120],
        ahead in prop_oneof![Just(0_usize), 1_usize..=8],
        list in prop::collection::vec(operations::operation(), 1..150),
    ) {
        let mut world = world::World::new(segments, ahead);
        for operation in &list {
            world.apply(operation);
        }
        world.wind_up();
    }
}
