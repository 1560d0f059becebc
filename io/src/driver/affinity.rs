//! Keeping the I/O thread on one CPU.

use std::io;

/// From now on the calling thread runs on `cpu` only.
///
/// # Errors
/// This process may not use that CPU, or there is none of that number.
#[cfg(all(target_os = "linux", not(forebay_portable)))]
pub(super) fn stay_on(cpu: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let mut one = CpuSet::new();
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("io.cpu={cpu}: {why}")));
    if cpu >= CpuSet::MAX_CPU {
        return refused(format!("CPUs are numbered up to {}", CpuSet::MAX_CPU - 1));
    }
    let allowed = sched_getaffinity(None)?;
    if !allowed.is_set(cpu) {
        let list: Vec<String> =
            (0..CpuSet::MAX_CPU).filter(|one| allowed.is_set(*one)).map(|one| one.to_string()).collect();
        return refused(format!("this process may use the CPUs {} only", list.join(", ")));
    }
    one.set(cpu);
    Ok(sched_setaffinity(None, &one)?)
}

/// Only Linux has this.
#[cfg(any(not(target_os = "linux"), forebay_portable))]
pub(super) fn stay_on(cpu: usize) -> io::Result<()> {
    let why = format!("io.cpu={cpu}: a thread can be kept on one CPU on Linux only; leave io.cpu at -1");
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

#[cfg(all(test, target_os = "linux", not(forebay_portable)))]
mod tests {
    use rustix::thread::sched_getaffinity;

    #[test]
    fn a_thread_stays_where_it_is_told_to_and_a_cpu_that_is_not_ours_is_refused() {
        let allowed = sched_getaffinity(None).expect("known");
        let last = (0..1_024).rfind(|cpu| allowed.is_set(*cpu)).expect("at least one");
        std::thread::spawn(move || {
            super::stay_on(last).expect("ours");
            let now = sched_getaffinity(None).expect("known");
            assert!(now.count() == 1 && now.is_set(last));
            let why = super::stay_on(last + 1).expect_err("not ours any more").to_string();
            assert!(why.contains("io.cpu") && why.contains(&last.to_string()), "{why}");
        })
        .join()
        .expect("no panic");
        let why = super::stay_on(1 << 20).expect_err("no such CPU").to_string();
        assert!(why.contains("numbered up to"), "{why}");
    }
}

#[cfg(all(test, any(not(target_os = "linux"), forebay_portable)))]
mod tests {
    #[test]
    fn elsewhere_it_is_refused_and_the_way_out_is_named() {
        let why = super::stay_on(0).expect_err("not possible").to_string();
        assert!(why.contains("io.cpu=0") && why.contains("-1"), "{why}");
    }
}
