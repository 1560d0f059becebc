//! The whole engine under randomised schedules: how schedules are drawn, counted and replayed. The scenario is in `tests/`; without
//! `--cfg shuttle` there is nothing here.
//!
//! A schedule follows from a seed, which is printed. `FOREBAY_SEED=n cargo xtask shuttle` replays from that seed on, and
//! `FOREBAY_SCHEDULES=n` says how many.
#![cfg(shuttle)]
#![forbid(unsafe_code)]

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

/// Schedules of one seed: a failure is replayed by running so few.
const PER_SEED: usize = 50;
/// Schedules of one way of drawing them, unless `FOREBAY_SCHEDULES` says otherwise.
const SCHEDULES: usize = 20_000;
/// The seed that every run has beside a fresh one.
const FIXED: u64 = 1;

/// How the next thread is chosen.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// Any that can run, at every step.
    Random,
    /// The one of the highest priority, which changes at so many random steps (probabilistic concurrency testing,
    /// Burckhardt et al., ASPLOS 2010): few switches, at places that a random walk seldom meets.
    Priorities(usize),
}

impl Choice {
    fn scheduler(self, seed: u64, schedules: usize) -> Box<dyn Scheduler + Send> {
        match self {
            Choice::Random => Box::new(RandomScheduler::new_from_seed(seed, schedules)),
            Choice::Priorities(depth) => Box::new(PctScheduler::new_from_seed(seed, depth, schedules)),
        }
    }
}

/// Runs a scenario under so many schedules, half of them from a fixed seed and half from a fresh one. Answers how many.
///
/// # Panics
/// If a schedule breaks it; the seed is printed before.
pub fn explore(choice: Choice, scenario: impl Fn() + Send + Sync + Copy + 'static) -> usize {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("a number"));
    let schedules = number("FOREBAY_SCHEDULES").map_or(SCHEDULES, |n| n as usize);
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64 >> 10);
    let starts = match number("FOREBAY_SEED") {
        Some(seed) => vec![(seed, schedules)],
        None => vec![(FIXED, schedules.div_ceil(2)), (fresh, schedules / 2)],
    };
    for (start, schedules) in starts {
        println!("{choice:?}: {schedules} schedules from seed {start} on");
        for (seed, from) in (start..).zip((0..schedules).step_by(PER_SEED)) {
            let some = PER_SEED.min(schedules - from);
            let mut config = Config::new();
            config.max_steps = MaxSteps::FailAfter(2_000_000);
            config.silence_warnings = true; // orderings are loom's business
            let runner = Runner::new(choice.scheduler(seed, some), config);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runner.run(scenario))) {
                eprintln!("replay with FOREBAY_SEED={seed} FOREBAY_SCHEDULES={some} cargo xtask shuttle");
                resume_unwind(panic);
            }
        }
    }
    schedules
}
