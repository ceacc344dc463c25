//! How much memory a process takes.

use std::process::Command;
use std::time::{Duration, Instant};

use super::run_support::{Finished, Running};

/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The most memory that a command took until its end, in MiB, and how it ended. `what` it did with so many people is told.
pub fn measured(command: &mut Command, what: &str, rows: u64) -> (u64, Finished) {
    let began = Instant::now();
    let mut run = Running::spawn(command, None);
    let mut peak = 0;
    while run.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120 + rows / 500), "{what} hangs");
        peak = peak.max(high_water(run.child.id()).unwrap_or_default());
        std::thread::sleep(LOOK);
    }
    let speed = (rows as f64 / began.elapsed().as_secs_f64()) as u64;
    eprintln!("{what}: {rows} people, peak {peak} MiB, {speed} people/s");
    (peak, run.wait())
}

/// `VmHWM` of a process, in MiB; none once it has ended.
fn high_water(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.div_ceil(1024))
}

/// `few` people fill what is filled whatever their number.
#[track_caller]
pub fn grows_little(what: &str, few: u64, many: u64, most: u64) {
    assert!(few > 0 && many <= few + most, "{what}: from {few} to {many} MiB");
}
