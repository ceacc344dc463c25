//! How processes of pods end and begin again.

use std::time::Duration;

use super::judge::now_ns;
use super::kubectl::find;
use super::process::{process_of, signal};

/// The kernel counts the start of a process in these, since the boot.
const TICKS_PER_SECOND: u64 = 100;

/// Ends the process of a pod's container as a crash would: by its id.
pub fn kill_process_of(namespace: &str, pod: &str) {
    assert!(signal(process_of(namespace, pod), "KILL"));
}

/// When a process was started, as the simulator's record counts time: finer than the seconds of a pod's `startedAt`.
pub fn started_ns(process: u32) -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let uptime: f64 = read("/proc/uptime").split(' ').next().unwrap().parse().unwrap();
    let stat = read(&format!("/proc/{process}/stat"));
    // The name in brackets may hold spaces; behind it the start is the 20th field.
    let ticks: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    let age = Duration::from_secs_f64(uptime).saturating_sub(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND));
    now_ns() - age.as_nanos() as u64
}

/// How often the first container of a pod was started again.
pub fn restarts(namespace: &str, pod: &str) -> i64 {
    let found = find(namespace, "pod", pod).unwrap_or_default();
    found["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or_default()
}
