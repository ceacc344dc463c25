//! The README's way: the chart, the examples as they stand, what kubectl shows, what the API server refuses.

use super::kubectl::{await_that, kubectl};
use super::stage::{Stage, condition};

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
