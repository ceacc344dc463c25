//! Whatever dies, sending goes on and nobody is messaged twice.

use std::process::Command;
use std::time::Duration;

use herald::simulator::record::OwnedLine;

use super::kubectl::{await_that, find, kubectl, list};
use super::process::process_of;
use super::stage::Stage;

/// How long a lost sender keeps its claim.
const LEASE: Duration = Duration::from_secs(15);

fn longest_pause(record: &[OwnedLine]) -> Duration {
    let pauses = record.windows(2).map(|pair| pair[1].time_ns.saturating_sub(pair[0].time_ns));
    Duration::from_nanos(pauses.max().unwrap_or_default())
}

fn reclaims(stage: &Stage, name: &str) -> i64 {
    stage.batches(name).iter().filter_map(|batch| batch["status"]["reclaims"].as_i64()).sum()
}

fn restarts(stage: &Stage, pod: &str) -> i64 {
    let found = find(&stage.namespace, "pod", pod).unwrap_or_default();
    found["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or_default()
}

/// Ends the process of a pod's container as a crash would: by its id.
fn kill_process_of(stage: &Stage, pod: &str) {
    let process = process_of(&stage.namespace, pod).to_string();
    assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
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
    let pause = longest_pause(&stage.record());
    println!("the killed process was back at work after {pause:?}");
    assert!(pause < LEASE, "the journal gives the claim up: nobody waits for the lease, and the pause was {pause:?}");
    assert_eq!(reclaims(&stage, "sale"), 1, "its batch was taken over once");
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
