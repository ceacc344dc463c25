//! The README's way: the chart, the examples, what kubectl shows, what the API server refuses.

use herald::api::QuietPeriod;
use herald::delivery::quiet_hours::{Hours, QuietHours, Zone};
use herald::delivery::time::Timestamp;
use serde_json::Value;

use super::judge::{instant, now_ns};
use super::kubectl::{await_some, await_that, kubectl};
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
    let soon = instant(now_ns()) + jiff::SignedDuration::from_secs(12);
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

/// An example for `herald run`, with the simulator of a stage in place of the one that it names.
fn example(stage: &Stage, file: &str) -> String {
    let text = std::fs::read_to_string(format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(text.contains("http://127.0.0.1:8091"), "{file} does not lead to the simulator");
    text.replace("http://127.0.0.1:8091", &stage.base_url)
}

/// The recipients of a broadcast and when it is quiet for them.
struct Quiet {
    hours: QuietHours,
    people: Vec<(String, Option<Zone>)>,
}

impl Quiet {
    fn of(documents: &str) -> Quiet {
        let documents: Vec<Value> = serde_saphyr::from_multiple(documents).unwrap();
        let broadcast = documents.into_iter().find(|document| document["kind"] == "BroadcastMessage").unwrap();
        let spec = &broadcast["spec"];
        let periods: Vec<QuietPeriod> = serde_json::from_value(spec["schedule"]["quietHours"].clone()).unwrap();
        let person = |recipient: &Value| {
            let zone = recipient["vars"]["time_zone"].as_str().map(|name| Zone::named(name).unwrap());
            (recipient["id"].as_str().unwrap().to_owned(), zone)
        };
        let people = spec["audience"]["recipients"].as_array().unwrap().iter().map(person).collect();
        Quiet { hours: QuietHours::of(&periods).unwrap(), people }
    }

    /// Until when it is quiet for one of them.
    fn until(&self, id: &str, at_ns: u64) -> Option<Timestamp> {
        let (_, zone) = self.people.iter().find(|(person, _)| person == id).unwrap();
        match self.hours.at(zone.as_ref(), Timestamp(at_ns as i64)) {
            Hours::Quiet { until } => Some(until),
            Hours::Open { .. } => None,
        }
    }
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_examples_that_wait_for_a_time_say_so_and_go_on_when_it_is_taken_back() {
    let stage = Stage::open("waits", &[]);
    let news = example(&stage, "quiet-hours.yaml");
    stage.apply(&example(&stage, "scheduled.yaml"));
    stage.apply(&news);
    let message = stage.await_condition("new-year", "Ready", "Scheduled");
    assert!(message.ends_with("; it begins at 2040-01-01T00:00:00Z"), "{message}");
    assert_eq!(stage.status("new-year")["state"], "Scheduled");
    stage.assert_verdict("new-year", "Current");
    await_that("the plan", || stage.count("new-year", "planned") == 2);

    // By their clocks it is quiet for at least one of the three at any time of the week, and mostly not for all of them.
    let quiet = Quiet::of(&news);
    await_some("those are left for whom it is quiet", || {
        let (record, now) = (stage.record(), now_ns());
        let reached = |id: &str| record.iter().any(|line| line.recipient == id);
        let left = quiet.people.iter().map(|(id, _)| id).filter(|id| !reached(id));
        let until = left.map(|id| quiet.until(id, now)).collect::<Option<Vec<_>>>()?.into_iter().min();
        let until = herald::ledger::status::instant(until.expect("it is quiet for one of them"));
        let message = stage.await_condition("good-news", "Ready", "QuietHours");
        message.ends_with(&format!("; quiet hours last until {}", until.unwrap())).then_some(())
    });
    for line in stage.record() {
        assert_eq!(quiet.until(&line.recipient, line.time_ns), None, "{line:?}");
    }
    stage.assert_verdict("good-news", "Current");

    stage.patch("broadcastmessage", "new-year", r#"{"schedule": {"startTime": null}}"#);
    stage.patch("broadcastmessage", "good-news", r#"{"schedule": {"quietHours": null}}"#);
    for (name, people) in [("new-year", 2), ("good-news", 3)] {
        let status = stage.await_end(name, "Delivered");
        assert_eq!(status["recipients"]["sent"], people, "{status}");
    }
    assert_eq!(stage.record().len(), 5);
}
