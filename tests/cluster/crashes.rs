//! Whatever dies, sending goes on and nobody is messaged twice.

use std::time::Duration;

use super::judge::{GOES_ON_WITHIN, first_request_after, longest_pause};
use super::kubectl::{await_that, find, kubectl, list};
use super::lives::{kill_process_of, restarts, started_ns};
use super::process::process_of;
use super::stage::Stage;

/// How long a lost sender keeps its claim.
const LEASE: Duration = Duration::from_secs(15);
/// The longest latency of the provider in these tests, in milliseconds.
const LATENCY_MS: u32 = 100;
/// How much sending a lost pod may leave in doubt, in milliseconds: about half a second of rows held, what is on the wire,
/// and answers that wait to be recorded.
const IN_DOUBT_MS: u32 = 500 + LATENCY_MS + 250;

fn reclaims(stage: &Stage, name: &str) -> i64 {
    stage.batches(name).iter().filter_map(|batch| batch["status"]["reclaims"].as_i64()).sum()
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_killed_sender_process_restarts_in_place_and_replays_its_journal() {
    let stage = Stage::with_channel("kill", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 300, ""));
    stage.await_requests(60);
    let pod = stage.await_sender_pod("sale");
    kill_process_of(&stage.namespace, &pod);
    await_that("the container runs again", || restarts(&stage.namespace, &pod) == 1);
    let started = started_ns(process_of(&stage.namespace, &pod));
    stage.await_condition("sale", "Finished", finished_with_at_most_unknown(&stage, "sale"));
    let status = stage.judge("sale", 300);
    let unknown = status["recipients"]["unknown"].as_i64().unwrap();
    assert!(unknown <= 8, "at most what was on the wire: {status}");
    let began = first_request_after(started, &stage.record()).expect("it sends again");
    let pause = longest_pause(&stage.record());
    println!("the killed process sent again {began:?} after its start, and nobody sent for {pause:?}");
    assert!(began <= GOES_ON_WITHIN, "the process sent again only {began:?} after its start");
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
    const RATE: u32 = 30;
    for (name, force) in [("gently", false), ("at-once", true)] {
        let stage = Stage::with_channel("pod", &["--latency", "50-100"], RATE);
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
        let unknown = status["recipients"]["unknown"].as_u64().unwrap();
        let most = if force { u64::from((RATE * IN_DOUBT_MS).div_ceil(1_000)) } else { 0 };
        println!("{name}: {unknown} unknown");
        assert!(unknown <= most, "a pod deleted {name} leaves at most {most} in doubt: {status}");
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

/// One without Herald's label is seen only when its name is wanted.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_batch_made_by_hand_keeps_nobody_from_a_message_and_is_left_alone() {
    let stage = Stage::with_channel("foreign", &[], 20);
    stage.apply(
        "{apiVersion: herald.dev/v1alpha1, kind: MessageBatch, metadata: {name: sale-00000}, spec: {broadcastRef: \
         {name: sale}, index: 0, firstRecipient: 0, recipientCount: 7}}",
    );
    stage.apply(&stage.broadcast("sale", 40, ""));
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 40);
    let foreign = find(&stage.namespace, "messagebatch", "sale-00000").unwrap();
    assert_eq!(foreign["spec"]["recipientCount"], 7, "{foreign}");
    // What every new batch begins with, and no more.
    assert_eq!(foreign["status"], serde_json::json!({"state": "Pending"}), "{foreign}");
    assert!(foreign["metadata"]["ownerReferences"].is_null(), "{foreign}");
    // Each turn of the broadcast is told once, however often the name was asked for meanwhile.
    let regarding = "involvedObject.kind=BroadcastMessage,involvedObject.name=sale";
    let events = kubectl(&["-n", &stage.namespace, "get", "events", "--field-selector", regarding, "-o", "json"]);
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    let repeated: Vec<_> = events["items"].as_array().unwrap().iter().filter(|it| !it["series"].is_null()).collect();
    assert!(repeated.is_empty(), "told again and again: {repeated:#?}");
    stage.delete("messagebatch", "sale-00000");
    stage.await_batch_verdicts("sale", "Complete", "Current");
}
