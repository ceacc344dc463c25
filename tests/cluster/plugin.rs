//! `kubectl broadcast` as people use it: by their kubeconfig, on a real API server, with recipients through a port-forward.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::kubectl::{find, kubectl, kubectl_with, stays};
use super::stage::Stage;

/// Runs the plugin in the stage's namespace: what it printed, or what it said was wrong.
fn broadcast(stage: &Stage, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-broadcast"))
        .args(arguments)
        .args(["-n", &stage.namespace])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn let_readers_read(stage: &Stage) {
    let namespace = stage.namespace.as_str();
    let account = format!("--serviceaccount={namespace}:herald-reader");
    kubectl(&["-n", namespace, "create", "serviceaccount", "herald-reader"]);
    kubectl(&["-n", namespace, "create", "rolebinding", "herald-reader", "--clusterrole=herald-view", &account]);
}

fn managers_of(stage: &Stage, name: &str, field: &str) -> Vec<String> {
    let text =
        kubectl(&["-n", &stage.namespace, "get", "broadcastmessage", name, "-o", "json", "--show-managed-fields"]);
    let object: Value = serde_json::from_str(&text).unwrap();
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let owning = entries.iter().filter(|entry| !entry["fieldsV1"]["f:spec"][field].is_null());
    owning.map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_stop_by_hand_stands_and_is_not_undone_by_the_next_sync() {
    let stage = Stage::with_channel("plugin-stop", &["--latency", "50-100"], 20);
    let document = stage.broadcast("sale", 400, "");
    stage.apply(&document);
    stage.await_requests(20);
    let told = broadcast(&stage, &["pause", "sale"]).unwrap();
    assert!(told.contains("sale is paused"), "{told}");
    assert_eq!(managers_of(&stage, "sale", "f:suspend"), ["herald-cli"]);
    // What was begun is taken within the time of a request.
    std::thread::sleep(Duration::from_secs(2));
    let taken = stage.record().len();
    // The sync of a GitOps tool: the same document, applied again, by both kinds of apply.
    stage.apply(&document);
    let server_side = ["-n", &stage.namespace, "apply", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl_with(&format!("---\n{document}"), &server_side).unwrap();
    stays("nobody is messaged", Duration::from_secs(5), || stage.record().len() == taken);
    let status = broadcast(&stage, &["status", "sale"]).unwrap();
    assert!(status.contains("State: Suspended"), "{status}");

    let told = broadcast(&stage, &["resume", "sale"]).unwrap();
    assert!(told.contains("sale goes on"), "{told}");
    stage.await_requests(taken + 10);
    let told = broadcast(&stage, &["cancel", "sale", "--yes"]).unwrap();
    assert!(told.contains("sale is cancelled") || told.contains("Cancelled"), "{told}");
    stage.await_end("sale", "Cancelled");
    stage.judge("sale", 400);
    let error = broadcast(&stage, &["pause", "missing"]).unwrap_err();
    assert!(error.contains("no BroadcastMessage missing"), "{error}");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn recipients_are_read_by_who_may_and_sent_to_again_once() {
    // An answer that ends it for a recipient, and is no opt-out: they are sent to again.
    let stage = Stage::with_channel("plugin-read", &["--latency", "20-50", "--fail", "10/2018278=0.3"], 100);
    stage.apply(&stage.broadcast("sale", 300, ""));
    let watched = broadcast(&stage, &["status", "sale", "-w"]).unwrap();
    let last = watched.lines().last().unwrap();
    assert!(watched.lines().count() > 1 && last.starts_with("Complete (DeliveredWithFailures); "), "{watched}");
    let status = stage.await_end("sale", "DeliveredWithFailures");
    let failed = usize::try_from(status["recipients"]["failed"].as_i64().unwrap()).unwrap();
    assert!(failed > 0, "{status}");
    stage.judge("sale", 300);

    let results = |more: &[&str]| broadcast(&stage, &[&["results", "sale", "--outcome", "Failed"], more].concat());
    let error = results(&[]).unwrap_err();
    assert!(error.contains("no service account herald-reader"), "{error}");
    let_readers_read(&stage);
    kubectl(&["-n", &stage.namespace, "create", "serviceaccount", "stranger"]);
    let error = results(&["--service-account", "stranger"]).unwrap_err();
    assert!(error.contains("may not get the BroadcastMessage sale"), "{error}");

    let csv = results(&[]).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "id,outcome,reason,code,parts_done,provider_id,delivered_time,read_time");
    assert_eq!(lines.len(), failed + 1, "{csv}");
    let ids: BTreeSet<&str> = lines[1..].iter().filter_map(|line| line.split(',').next()).collect();
    let accepted: BTreeSet<String> =
        stage.record().iter().filter(|line| line.accepted).map(|line| line.recipient.to_string()).collect();
    assert!(ids.len() == failed && ids.iter().all(|id| id.starts_with("sale-") && !accepted.contains(*id)), "{csv}");

    let report: Value = serde_json::from_str(&broadcast(&stage, &["report", "sale", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(report["recipients"], status["recipients"]);
    // Read from the ledger, by the same right as recipients.
    let spans = report["pace"]["spans"].as_array().unwrap();
    let sent: i64 = spans.iter().map(|span| span["sent"].as_i64().unwrap()).sum();
    assert_eq!(sent, status["recipients"]["sent"].as_i64().unwrap(), "{report}");

    stage.settings(r#"{"fail": []}"#);
    let yaml = broadcast(&stage, &["retry", "sale", "--dry-run"]).unwrap();
    assert!(yaml.contains("sale-retry") && find(&stage.namespace, "broadcastmessage", "sale-retry").is_none());
    broadcast(&stage, &["retry", "sale", "--yes"]).unwrap();
    let status = stage.await_end("sale-retry", "Delivered");
    assert_eq!(status["recipients"]["sent"].as_i64().unwrap() as usize, failed);
    let error = broadcast(&stage, &["retry", "sale", "--yes"]).unwrap_err();
    assert!(error.contains("retry sale-retry itself"), "{error}");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn contacts_are_changed_by_who_may_update_the_channel_and_read_by_who_may_get_it() {
    let stage = Stage::with_channel("plugin-contacts", &[], 100);
    let namespace = stage.namespace.as_str();
    let contacts = |more: &[&str]| broadcast(&stage, &[&["contacts"], more, &["--channel", "page"]].concat());
    let error = contacts(&["opt-out", "sale-1", "sale-2"]).unwrap_err();
    assert!(error.contains("no service account herald-contacts"), "{error}");
    let account = format!("--serviceaccount={namespace}:herald-contacts");
    kubectl(&["-n", namespace, "create", "serviceaccount", "herald-contacts"]);
    let resource = "--resource=messagechannels.herald.dev";
    kubectl(&["-n", namespace, "create", "role", "herald-contacts", "--verb=get,update", resource]);
    kubectl(&["-n", namespace, "create", "rolebinding", "herald-contacts", "--role=herald-contacts", &account]);
    let_readers_read(&stage);

    let reader = ["--service-account", "herald-reader"];
    let error = contacts(&[&["opt-out", "sale-1"][..], &reader].concat()).unwrap_err();
    assert!(error.contains("may not update the MessageChannel page"), "{error}");
    let told: Value = serde_json::from_str(&contacts(&["opt-out", "sale-1", "sale-2", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(told["optedOut"], 2);
    let csv = contacts(&[&["export"][..], &reader].concat()).unwrap();
    assert_eq!(csv.lines().filter(|line| line.starts_with("sale-") && line.contains(",true,")).count(), 2, "{csv}");

    stage.apply(&stage.broadcast("sale", 5, ""));
    let status = stage.await_end("sale", "Delivered");
    assert_eq!(status["recipients"]["skipped"], 2, "{status}");
    stage.judge("sale", 5);
}
