//! The README's way: the chart, the examples as they stand, what kubectl shows, what the API server refuses.

use super::kubectl::{await_that, kubectl, kubectl_with};
use super::stage::{Stage, condition};

#[path = "../schema/rules.rs"]
#[allow(dead_code, reason = "the schema tests use the rest")]
mod rules;
#[path = "../schema/samples.rs"]
#[allow(dead_code, reason = "the schema tests use the rest")]
mod samples;

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_broadcast_completes_and_everything_shows_it() {
    let stage = Stage::with_channel("whole", &["--latency", "20-60"], 50);
    stage.apply(&stage.broadcast("sale", 500, ", delivery: {batchSize: 100}"));
    await_that("a batch is claimed", || {
        stage.batches("sale").iter().any(|batch| batch["status"]["claim"]["holder"].is_string())
    });
    let namespace = stage.namespace.as_str();
    kubectl(&["-n", namespace, "wait", "--for=condition=Complete", "broadcastmessage/sale", "--timeout=120s"]);
    let status = stage.judge("sale", 500);
    assert_eq!(status["state"], "Complete");
    assert_eq!(condition(&status, "Finished").unwrap()["reason"], "Delivered");
    await_that("five batches are complete", || {
        let batches = stage.batches("sale");
        batches.len() == 5 && batches.iter().all(|batch| batch["status"]["recipients"]["sent"] == 100)
    });
    let table = kubectl(&["-n", namespace, "get", "messagebatches"]);
    assert!(table.contains("HOLDER") && table.contains("Complete"), "{table}");
    assert!(kubectl(&["-n", namespace, "get", "herald"]).contains("sale"));
    let own = kubectl(&[
        "-n",
        namespace,
        "get",
        "messagebatches",
        "--field-selector",
        "spec.broadcastRef.name=sale",
        "-o",
        "name",
    ]);
    assert_eq!(own.lines().count(), 5);
    let events = kubectl(&["-n", namespace, "get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert!(events.contains("Delivered"), "{events}");
}

/// The chart's own simulator plays the provider that the examples name.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_examples_complete_as_they_stand() {
    let stage = Stage::open("examples", &[]);
    let namespace = stage.namespace.as_str();
    for file in ["channel.yaml", "broadcast.yaml"] {
        let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
        kubectl(&["-n", namespace, "apply", "-f", &path]);
    }
    let status = stage.await_end("spring-sale", "Delivered");
    assert_eq!(status["recipients"]["sent"], 2_488, "{status}");
    let summary = kubectl(&[
        "get",
        "--raw",
        "/api/v1/namespaces/herald-system/services/herald-simulator:8091/proxy/_simulator/summary",
    ]);
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["accepted"], 2_488, "{summary}");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn every_sample_that_the_schema_rejects_is_refused_by_the_api_server() {
    let stage = Stage::open("schema", &[]);
    let mut refused = 0;
    for (mut document, refusal) in rules::creations() {
        if document["metadata"]["namespace"] == "marketing" {
            document["metadata"]["namespace"] = stage.namespace.clone().into();
        }
        let answer = kubectl_with(
            &document.to_string(),
            &["-n", &stage.namespace, "create", "--dry-run=server", "--validate=strict", "-f", "-"],
        );
        if refusal.is_empty() {
            // The API server alone numbers versions.
            let versioned = document["metadata"]["resourceVersion"].is_string();
            assert!(versioned || answer.is_ok(), "{answer:?}: {document}");
        } else {
            assert!(answer.is_err(), "taken, and `herald run` says {refusal:?}: {document}");
            refused += 1;
        }
    }
    assert!(refused > 20, "only {refused} samples");
}
