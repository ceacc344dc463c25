//! What a person may change, delete and apply again.

use std::time::Duration;

use herald::simulator::record::accepted;

use super::judge::now_ns;
use super::kubectl::{await_that, find, kubectl, stays};
use super::stage::{Stage, condition};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_broadcast_deleted_and_applied_again_goes_on_with_the_rest() {
    let stage = Stage::with_channel("again", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 300, ""));
    stage.await_requests(60);
    let pod = stage.await_sender_pod("sale");
    // Job and pod are left to themselves: what stops the sender is that its gate is closed, not that it is cleared away.
    kubectl(&["-n", &stage.namespace, "delete", "broadcastmessage", "sale", "--cascade=orphan", "--timeout=60s"]);
    let stopped = stage.assert_stopped("the broadcast was deleted", now_ns());
    assert!(stopped < 300, "it was stopped half way");
    let pod = find(&stage.namespace, "pod", &pod).expect("nobody has deleted it");
    assert!(pod["metadata"]["deletionTimestamp"].is_null(), "{pod}");
    // Batches that belong to nobody any more would be in the way of those to come.
    kubectl(&["-n", &stage.namespace, "delete", "messagebatches,jobs", "--all"]);
    stage.apply(&stage.broadcast("sale", 300, ""));
    await_that("the end", || stage.count("sale", "planned") == 300 && stage.count("sale", "pending") == 0);
    stage.judge("sale", 300);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_finished_broadcast_applied_again_sends_nothing() {
    let stage = Stage::with_channel("finished", &[], 50);
    stage.apply(&stage.broadcast("sale", 20, ""));
    stage.await_end("sale", "Delivered");
    stage.delete("broadcastmessage", "sale");
    stage.apply(&stage.broadcast("sale", 20, ""));
    stage.await_end("sale", "Delivered");
    assert_eq!(stage.record().len(), 20);
    stage.delete("broadcastmessage", "sale");
    stage.apply(&stage.broadcast("sale", 21, ""));
    let message = stage.await_condition("sale", "Stalled", "KeyReused");
    assert!(message.contains("idempotencyKey"), "{message}");
    assert_eq!(stage.record().len(), 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_text_may_be_edited_until_the_first_attempt() {
    let stage = Stage::with_channel("edit", &[], 50);
    stage.apply(&stage.broadcast("sale", 30, ", suspend: true"));
    await_that("the plan", || stage.status("sale")["plan"]["samples"][0] == "Hello");
    let edited = stage.broadcast("sale", 40, ", suspend: true").replace("Hello", "Good day");
    stage.apply(&edited);
    await_that("the new plan", || {
        stage.status("sale")["plan"]["samples"][0] == "Good day" && stage.count("sale", "planned") == 40
    });
    stage.patch("broadcastmessage", "sale", r#"{"suspend": null}"#);
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 40);
    assert!(stage.record().iter().all(|line| line.text == "Good day"));
    let refused = stage.try_apply(&stage.broadcast("sale", 41, "")).unwrap_err();
    for field in ["spec.audience", "spec.content"] {
        let words = format!("{field}: Forbidden: locked since the first message was attempted");
        assert!(refused.contains(&words), "{refused}");
    }
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn suspend_holds_within_two_seconds_and_resumes() {
    let stage = Stage::with_channel("suspend", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 300, ""));
    stage.await_requests(40);
    stage.patch("broadcastmessage", "sale", r#"{"suspend": true}"#);
    let asked = now_ns();
    stage.await_condition("sale", "Suspended", "Suspended");
    let held = stage.assert_stopped("the broadcast was suspended", asked);
    assert!(held < 300);
    stage.assert_verdict("sale", "Current");
    stage.patch("broadcastmessage", "sale", r#"{"suspend": null}"#);
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 300);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn cancel_ends_it_within_two_seconds_for_good() {
    let stage = Stage::with_channel("cancel", &["--latency", "50-100"], 20);
    stage.apply(&stage.broadcast("sale", 300, ""));
    stage.await_requests(40);
    stage.patch("broadcastmessage", "sale", r#"{"cancel": true}"#);
    let asked = now_ns();
    stage.await_end("sale", "Cancelled");
    let ended = stage.record().len();
    let held = stage.assert_stopped("the broadcast was cancelled", asked);
    assert_eq!(held, ended, "a request came after the end was told");
    stage.assert_verdict("sale", "Current");
    stage.await_batch_verdicts("sale", "Cancelled", "Current");
    let status = stage.judge("sale", 300);
    assert!(status["recipients"]["skipped"].as_i64().unwrap() > 0, "{status}");
    stage.patch("broadcastmessage", "sale", r#"{"cancel": null}"#);
    stays("silence", Duration::from_secs(3), || stage.record().len() == held);
    assert_eq!(condition(&stage.status("sale"), "Complete").unwrap()["status"], "False");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_key_belongs_to_one_object_at_a_time_and_a_new_name_is_held_until_a_key_says_it_is_meant() {
    let stage = Stage::with_channel("key", &[], 50);
    stage.apply(&stage.broadcast("one", 10, ", idempotencyKey: spring, suspend: true"));
    await_that("the plan", || stage.count("one", "planned") == 10);
    stage.apply(&stage.broadcast("two", 10, ", idempotencyKey: spring"));
    let message = stage.await_condition("two", "Stalled", "KeyInUse");
    assert!(message.contains("one"), "{message}");
    stage.delete("broadcastmessage", "two");
    stage.patch("broadcastmessage", "one", r#"{"suspend": null}"#);
    stage.await_end("one", "Delivered");
    // The same people and the same text under another name: held, until a key says that it is meant.
    stage.apply(&stage.broadcast_to("renamed", "one", 10, ""));
    let message = stage.await_condition("renamed", "Stalled", "DuplicateSuspected");
    assert!(message.contains("one"), "{message}");
    assert_eq!(stage.record().len(), 10, "nobody of it is messaged");
    stage.apply(&stage.broadcast_to("renamed", "one", 10, ", idempotencyKey: renamed"));
    stage.await_end("renamed", "Delivered");
    let record = stage.record();
    let sent = accepted(&record);
    for id in 0..10 {
        let person = format!("one-{id}");
        let to_them = sent.iter().filter(|(delivery, _)| delivery.recipient == person);
        let by_broadcast: Vec<usize> = to_them.map(|(_, times)| *times).collect();
        assert_eq!(by_broadcast, [1, 1], "{person} has one message of each: {sent:?}");
    }
    assert_eq!(record.len(), 20);
}
