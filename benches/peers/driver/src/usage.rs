//! What this process has used of the machine.

use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// User and system time of all threads of this process so far.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The most memory this process has had resident, in bytes; 0 where `/proc` does not say.
pub(crate) fn max_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1_024)
}

/// User and system time of each thread of this process that lives, in nanoseconds, by its name; none where `/proc` does not say.
pub(crate) fn threads() -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        if let Some((name, time)) = thread(&task.path()) {
            *all.entry(name).or_default() += time;
        }
    }
    all
}

fn thread(task: &Path) -> Option<(String, u64)> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    // A name is anything that its thread has said; here it becomes JSON.
    let name = name.trim_end().replace(|letter: char| !letter.is_ascii_graphic() || "\"\\".contains(letter), "_");
    Some((name, times.split(' ').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::threads;
    use std::hint::black_box;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_found_by_its_name_with_what_it_used() {
        let (ready, is_ready) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let busy = move || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(20) {
                black_box(());
            }
            ready.send(()).unwrap();
            ends.recv().unwrap_err();
        };
        let thread = std::thread::Builder::new().name("busy-one".to_owned()).spawn(busy).unwrap();
        is_ready.recv().unwrap();
        assert!(threads()["busy-one"] > 1_000_000, "{:?}", threads());
        drop(end);
        thread.join().unwrap();
    }
}
