//! Deliberate mistakes, for the models to notice: `cargo xtask mutants`.
//!
//! A mutant is a word in a condition, `mutant!("name")`. That is a constant `false`, and no code; but under loom, shuttle and
//! `cfg(simulation)` it is true in a process that was started with `FOREBAY_MUTANT=name`, so that one build holds all mutants.
//! `loom-tests/mutants.txt` names each with the loom model that must fail; those that need a cluster to be noticed are in
//! `simulation/mutants.txt`.

/// Whether this process was started to be wrong in this way.
#[cfg(any(loom, shuttle, simulation))]
pub fn chosen(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("FOREBAY_MUTANT").unwrap_or_default());
    *CHOSEN == name
}

/// No: there are mutants in models only.
#[cfg(not(any(loom, shuttle, simulation)))]
#[inline(always)]
pub const fn chosen(_name: &str) -> bool {
    false
}

/// See the module. Hidden: for this project's own crates.
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::chosen($name)
    };
}
