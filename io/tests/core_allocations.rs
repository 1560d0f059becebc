//! In steady state the core allocates nothing: not for a record, not for a batch, not for a turn.

mod core_support;

use core_support::{World, config, in_core, ms};
use forebay_engine::Lane;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is allocated inside the core's calls; the model cluster around it allocates as it likes.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn count() {
    if in_core() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is the system allocator's own; the count is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PARTITIONS: usize = 16;

/// One record for each partition, and time for all of it to be delivered and for the lanes to be retired.
fn rounds(world: &mut World, lanes: &mut [Lane], rounds: u64) {
    for round in 0..rounds {
        for lane in &mut *lanes {
            assert!(world.send(lane, round, 100));
        }
        world.run(ms(25));
        world.reports.clear();
        world.cluster.seen.clear();
    }
}

/// A backlog: batches of many records, several requests in flight.
fn backlog(world: &mut World, lanes: &mut [Lane], bursts: u64) {
    for _ in 0..bursts {
        for record in 0..200 {
            for lane in &mut *lanes {
                assert!(world.send(lane, record, 100));
            }
        }
        world.run(ms(25));
        world.reports.clear();
        world.cluster.seen.clear();
    }
}

#[test]
fn a_steady_state_allocates_nothing() {
    let mut world = World::with_memory(config(), PARTITIONS as i32, 1 << 20);
    let mut lanes: Vec<Lane> = (0..PARTITIONS as u32).map(|partition| world.lane(partition)).collect();
    let mut steady = |name: &str, load: fn(&mut World, &mut [Lane], u64), times: u64| {
        // Pools grow to what this load needs. How many runs a batch has depends on how memory lies, which takes some rounds to settle.
        load(&mut world, &mut lanes, 60);
        let (turns, before) = (world.turns, ALLOCATIONS.load(Ordering::Relaxed));
        load(&mut world, &mut lanes, times);
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let turns = world.turns - turns;
        assert!(turns as u64 > times, "{turns} turns");
        assert_eq!(allocations, 0, "{name}: {allocations} allocations in {turns} turns");
    };
    steady("small batches and idle lanes", rounds, 1000);
    steady("a backlog", backlog, 100);
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the pools were allocated, and counted");
}
