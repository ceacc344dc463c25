//! Whatever dies, sending goes on and nobody is messaged twice.

use std::process::Command;

use super::kubectl::{await_that, find, kubectl, list};
use super::stage::Stage;

fn restarts(stage: &Stage, pod: &str) -> i64 {
    let found = find(&stage.namespace, "pod", pod).unwrap_or_default();
    found["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or_default()
}

/// Ends the process of a pod's container as a crash would: by its id, found by the pod's uid in its cgroup.
fn kill_process_of(stage: &Stage, pod: &str) {
    let uid = find(&stage.namespace, "pod", pod).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let in_pod = read("cgroup").replace('_', "-").contains(&uid);
        if in_pod && read("cmdline").contains("herald") {
            let process = entry.file_name().into_string().unwrap();
            assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
            killed += 1;
        }
    }
    assert_eq!(killed, 1, "one process of {pod}");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_killed_sender_process_restarts_in_place_and_replays_its_journal() {
    let stage = Stage::with_channel("kill", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 300, ""));
    stage.await_requests(60);
    let pod = stage.await_sender_pod("sale");
    kill_process_of(&stage, &pod);
    await_that("the container runs again", || restarts(&stage, &pod) == 1);
    stage.await_condition("sale", "Finished", finished_with_at_most_unknown(&stage, "sale"));
    let status = stage.judge("sale", 300);
    let unknown = status["recipients"]["unknown"].as_i64().unwrap();
    assert!(unknown <= 8, "at most what was on the wire: {status}");
    await_that("its sender leaves", || stage.sender_pods("sale").is_empty());
}

/// Whoever was on the wire of a killed process may be unknown; then the end has another reason.
fn finished_with_at_most_unknown(stage: &Stage, name: &str) -> &'static str {
    await_that("the end", || stage.count(name, "planned") > 0 && stage.count(name, "pending") == 0);
    if stage.count(name, "unknown") > 0 { "DeliveredWithFailures" } else { "Delivered" }
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_deleted_sender_pod_is_replaced_and_nobody_is_messaged_twice() {
    for (name, force) in [("gently", false), ("at-once", true)] {
        let stage = Stage::with_channel("pod", &["--latency", "50-100"], 30);
        stage.apply(&stage.broadcast(name, 400, ""));
        stage.await_requests(60);
        let pod = stage.await_sender_pod(name);
        let mut arguments = vec!["-n", &stage.namespace, "delete", "pod", &pod, "--wait=false"];
        if force {
            arguments.extend(["--grace-period=0", "--force"]);
        }
        kubectl(&arguments);
        stage.await_condition(name, "Finished", finished_with_at_most_unknown(&stage, name));
        let status = stage.judge(name, 400);
        if !force {
            assert_eq!(status["recipients"]["unknown"], 0, "a drained sender leaves nobody in doubt: {status}");
        }
    }
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn batches_and_jobs_deleted_by_hand_come_back() {
    let stage = Stage::with_channel("byhand", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 400, ", delivery: {batchSize: 100}"));
    stage.await_requests(40);
    await_that("four batches", || stage.batches("sale").len() == 4);
    kubectl(&["-n", &stage.namespace, "delete", "messagebatches", "--all"]);
    let jobs = list(&stage.namespace, "jobs", "herald.dev/broadcast=sale");
    assert_eq!(jobs.len(), 1);
    kubectl(&["-n", &stage.namespace, "delete", "jobs", "--all", "--wait=false"]);
    await_that("the batches are back", || stage.batches("sale").len() == 4);
    stage.await_end("sale", "Delivered");
    let status = stage.judge("sale", 400);
    assert_eq!(status["recipients"]["unknown"], 0, "{status}");
    await_that("every batch is complete", || {
        stage.batches("sale").iter().all(|batch| batch["status"]["state"] == "Complete")
    });
}
