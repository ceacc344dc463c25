//! Processes of pods: on a cluster of one node they are processes of this machine.

use super::kubectl::find;

/// The id of the one process of Herald in a pod, found by the pod's uid in its cgroup.
#[track_caller]
pub fn process_of(namespace: &str, pod: &str) -> u32 {
    let uid = find(namespace, "pod", pod).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let in_pod = read("cgroup").replace('_', "-").contains(&uid);
        if in_pod && read("cmdline").contains("herald") {
            found.push(entry.file_name().to_str().unwrap().parse().unwrap());
        }
    }
    assert_eq!(found.len(), 1, "one process of {pod}: {found:?}");
    found[0]
}
