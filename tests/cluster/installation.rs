//! The README's way: the chart, the examples as they stand, what kubectl shows, what the API server refuses.

use super::judge::now_ns;
use super::kubectl::{await_that, kubectl};
use super::stage::{Stage, condition};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_broadcast_completes_and_everything_shows_it() {
    let stage = Stage::with_channel("whole", &["--latency", "20-60"], 15);
    stage.apply(&stage.broadcast("sale", 500, ", delivery: {batchSize: 100}"));
    await_that("a batch is claimed", || {
        stage.batches("sale").iter().any(|batch| batch["status"]["claim"]["holder"].is_string())
    });
    await_that("it is being sent", || stage.status("sale")["state"] == "Sending");
    stage.assert_verdict("sale", "Current");
    let namespace = stage.namespace.as_str();
    kubectl(&["-n", namespace, "wait", "--for=condition=Complete", "broadcastmessage/sale", "--timeout=120s"]);
    let status = stage.judge("sale", 500);
    assert_eq!(status["state"], "Complete");
    assert_eq!(condition(&status, "Finished").unwrap()["reason"], "Delivered");
    stage.assert_verdict("sale", "Current");
    stage.await_verdict("messagechannel", "page", "Current");
    stage.await_batch_verdicts("sale", "Complete", "Current");
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

/// Nothing is sent in these states, before the time or after it.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_broadcast_that_waits_and_one_whose_time_has_passed_hold_up_no_pipeline() {
    let stage = Stage::with_channel("times", &[], 1);
    let scheduled = |times: &str| format!(", schedule: {{{times}}}");
    let soon = jiff::Timestamp::from_nanosecond(i128::from(now_ns())).unwrap() + jiff::SignedDuration::from_secs(12);
    stage.apply(&stage.broadcast("early", 20, &scheduled("startTime: \"2090-01-01T00:00:00Z\"")));
    let missed = "startTime: \"2020-01-01T00:00:00Z\", startingDeadlineSeconds: 60";
    stage.apply(&stage.broadcast("missed", 20, &scheduled(missed)));
    stage.apply(&stage.broadcast("expired", 100, &scheduled(&format!("endTime: \"{soon}\""))));
    await_that("it is scheduled", || stage.status("early")["state"] == "Scheduled");
    stage.assert_verdict("early", "Current");
    stage.await_batch_verdicts("early", "Pending", "Current");
    stage.await_end("missed", "Missed");
    stage.assert_verdict("missed", "Current");
    stage.await_end("expired", "Expired");
    stage.assert_verdict("expired", "Current");
    let status = stage.judge("expired", 100);
    let (sent, skipped) = (&status["recipients"]["sent"], &status["recipients"]["skipped"]);
    assert!(sent.as_i64() > Some(0) && skipped.as_i64() > Some(0), "{status}");
    assert!(stage.record().iter().all(|line| line.recipient.starts_with("expired-")), "the others are not sent");
}

/// Those for `herald run` name a simulator on the same machine, so they are taken and not sent.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_api_server_takes_every_example() {
    let stage = Stage::open("dry", &[]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut taken = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let path = path.to_str().unwrap();
            kubectl(&["-n", &stage.namespace, "apply", "--dry-run=server", "--validate=strict", "-f", path]);
            taken += 1;
        }
    }
    assert!(taken >= 7, "only {taken} examples");
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
