//! Processes of pods: on a cluster of one node they are processes of this machine.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::kubectl::{await_that, find};

/// The id of the one process of Herald in a pod.
#[track_caller]
pub fn process_of(namespace: &str, pod: &str) -> u32 {
    let found = processes_of(uid(&find(namespace, "pod", pod).unwrap()));
    assert_eq!(found.len(), 1, "one process of {pod}: {found:?}");
    found[0]
}

/// The same where there may be none: its container is being started again, or has ended.
pub fn running_process_of(pod: &Value) -> Option<u32> {
    let found = processes_of(uid(pod));
    (found.len() == 1).then(|| found[0])
}

pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

/// Found by the pod's uid in their cgroup.
fn processes_of(uid: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let in_pod = read("cgroup").replace('_', "-").contains(uid);
        if in_pod && read("cmdline").contains("herald") {
            found.push(entry.file_name().to_str().unwrap().parse().unwrap());
        }
    }
    found
}

/// By its name as `kill` has it. One that has ended already takes no signal.
pub fn signal(process: u32, name: &str) -> bool {
    Command::new("kill").args([&format!("-{name}"), &process.to_string()]).output().unwrap().status.success()
}

/// Waits until nothing of a process runs any more: it is gone, or only its parent has not looked yet.
#[track_caller]
pub fn await_end_of(process: u32) {
    let status = format!("/proc/{process}/status");
    await_that("a killed process ends", || {
        !Path::new(&status).exists() || std::fs::read_to_string(&status).is_ok_and(|text| text.contains("State:\tZ"))
    });
}
