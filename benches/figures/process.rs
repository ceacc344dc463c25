//! What this process has used so far.

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// Processor seconds of all threads.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A member of `/proc/self/status` that is given in KiB, such as `VmRSS` and `VmHWM`.
pub fn status_kib(name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory is read from /proc, which Linux has")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.and_then(|line| line.trim().strip_suffix(" kB")).with_context(|| format!("no {name}"))?;
    Ok(value.trim().parse()?)
}
