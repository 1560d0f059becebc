//! What this process has used of the machine.

use std::fs;
use std::time::Duration;

/// User and system time of all threads of this process so far, those that have ended included; children do not count.
/// The same sum as `getrusage`'s, in nanoseconds instead of whole scheduler ticks. 0 where the system has no such clock.
pub(super) fn cpu_time() -> Duration {
    #[cfg(all(unix, not(forebay_portable)))]
    return read(rustix::time::ClockId::ProcessCPUTime);
    #[cfg(any(not(unix), forebay_portable))]
    Duration::ZERO
}

/// The same of the calling thread alone.
pub(super) fn thread_cpu_time() -> Duration {
    #[cfg(all(unix, not(forebay_portable)))]
    return read(rustix::time::ClockId::ThreadCPUTime);
    #[cfg(any(not(unix), forebay_portable))]
    Duration::ZERO
}

#[cfg(all(unix, not(forebay_portable)))]
fn read(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The most memory this process has had resident, in bytes; 0 where `/proc` does not say.
pub(super) fn max_rss() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| high_water_mark(&status).unwrap_or(0))
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::high_water_mark;
    #[cfg(all(target_os = "linux", not(forebay_portable)))]
    use super::{cpu_time, max_rss};

    #[test]
    fn the_high_water_mark_is_read_from_the_status_page() {
        assert_eq!(high_water_mark("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2_097_152));
        assert_eq!(high_water_mark("Name:\tx\n"), None);
        assert_eq!(high_water_mark("VmHWM:\tmuch kB\n"), None);
    }

    #[cfg(all(target_os = "linux", not(forebay_portable)))]
    #[test]
    fn this_process_uses_memory_and_time() {
        assert!(max_rss() > 0);
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() > before);
    }
}
