//! `herald run` tells endpoints how its broadcasts go: signed, each event with one id, until it is taken.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::receiver::{Receiver, Told};
use super::run_support::{Stage, broadcast, people};

/// The vector of the reference libraries, and another of 32 bytes.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NEW_SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
/// Secret and public keys of RFC 8032, section 7.1: those of test 1, and the public one of test 2.
const ED25519_SECRET: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const OTHER_ED25519_PUBLIC: &str = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
const ALL: &str = "BatchCompleted, BroadcastStarted, BroadcastSuspended, BroadcastStalled, BroadcastFinished";
/// Stands in the path of an endpoint and must be seen nowhere else.
const CANARY: &str = "T0K3N-of-the-endpoint";

/// Far longer than three tries take.
const PATIENCE: Duration = Duration::from_secs(120);

fn hook(secret: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: hook}}\nstringData: {{secret: \"{secret}\"}}\n")
}

/// A broadcast to so many people that tells `url` these events.
fn telling(url: &str, events: &str, count: u64, further: &str) -> String {
    let endpoint = format!(
        "  notifications:\n    - {{name: crm, url: \"{url}\", events: [{events}], signingSecretKeyRef: {{name: hook, key: secret}}}}\n"
    );
    broadcast("sale", &format!("{}{endpoint}{further}", people(1, count)))
}

#[test]
fn an_endpoint_is_told_each_event_once_signed_and_with_the_figures() {
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, _| 200));
    let url = format!("{}/hooks/{CANARY}", receiver.url);
    stage.documents(200, &[hook(SECRET), telling(&url, ALL, 250, "  delivery: {batchSize: 100}\n")]);
    let finished = stage.run(&["-o", "json"]).exits(0);
    let expected = ["BatchCompleted", "BatchCompleted", "BatchCompleted", "BroadcastFinished", "BroadcastStarted"];
    assert_eq!(receiver.events(), expected);
    for told in receiver.told() {
        assert!(told.is_signed_by(SECRET) && !told.is_signed_by(NEW_SECRET), "{told:?}");
        assert_eq!(
            (told.path.as_str(), told.header("content-type")),
            (&*format!("/hooks/{CANARY}"), "application/json")
        );
        let json = told.json();
        assert_eq!((&json["data"]["name"], &json["data"]["namespace"]), (&"sale".into(), &"default".into()));
        assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    let of = |event: &str| -> Vec<Value> {
        receiver.told().iter().map(|told| told.json()).filter(|json| json["type"] == event).collect()
    };
    let end = &of("BroadcastFinished")[0]["data"];
    assert_eq!((&end["reason"], &end["recipients"]["sent"]), (&"Delivered".into(), &250.into()));
    let batches: BTreeSet<(i64, i64)> = of("BatchCompleted")
        .iter()
        .map(|json| (json["data"]["batch"].as_i64().unwrap(), json["data"]["recipients"]["sent"].as_i64().unwrap()))
        .collect();
    assert_eq!(batches, BTreeSet::from([(0, 100), (1, 100), (2, 50)]));
    let status: Value = serde_json::from_str(&finished.stdout).unwrap();
    let sums = &status["status"]["notifications"];
    assert_eq!((&sums["pending"], &sums["delivered"], &sums["failed"]), (&0.into(), &5.into(), &0.into()));
    assert!(!finished.stderr.contains(CANARY) && !finished.stdout.contains(CANARY));

    // The same command again tells nothing more.
    stage.run(&[]).exits(0);
    assert_eq!(receiver.events(), expected);
}

#[test]
fn what_keeps_one_broadcast_from_going_on_cuts_no_neighbours_last_events_short() {
    let stage = Stage::open(&["--refuse-link", "gone"]);
    // So slow that the last sessions have ended long before it answers.
    let receiver = Receiver::start(|_, _| {
        std::thread::sleep(Duration::from_millis(500));
        200
    });
    let attachment = "content: {attachments: [{type: Image, url: \"https://cdn.example/gone.png\"}]}";
    let refused = broadcast("refused", &format!("  audience: {{recipients: [{{id: \"501\"}}]}}\n  {attachment}\n"));
    stage.documents(200, &[hook(SECRET), refused, telling(&receiver.url, "BroadcastFinished", 20, "")]);
    let finished = stage.run(&["-o", "json"]).exits(1);
    let told = &finished.stderr;
    assert!(told.contains("error: refused: ") && told.contains("spec.content.attachments[0].url"), "{told}");
    assert_eq!((stage.accepted().len(), receiver.events()), (20, vec!["BroadcastFinished".to_owned()]));
    let sums = &finished.json()[1]["status"]["notifications"];
    assert_eq!((&sums["pending"], &sums["delivered"]), (&0.into(), &1.into()), "{sums}");
}

#[test]
fn an_endpoint_that_is_away_for_a_while_misses_nothing() {
    // A page of events and more is refused before the first is taken.
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, before| if before < 3 { 503 } else { 200 }));
    stage.documents(200, &[hook(SECRET), telling(&receiver.url, ALL, 30, "  delivery: {batchSize: 10}\n")]);
    stage.run(&[]).exits(0);
    // As often as it takes: waits are random, and some are longer than a run stays for.
    let began = Instant::now();
    while receiver.taken().len() < 5 && began.elapsed() < PATIENCE {
        stage.run(&[]).exits(0);
        std::thread::sleep(Duration::from_millis(200));
    }
    let expected = ["BatchCompleted", "BatchCompleted", "BatchCompleted", "BroadcastFinished", "BroadcastStarted"];
    assert_eq!(receiver.events(), expected);
    let told = receiver.told();
    let ids: BTreeSet<String> = told.iter().map(Told::id).collect();
    assert_eq!((ids.len(), told.len()), (5, 8), "each try has the id of its event");
    let again: Vec<_> = told.iter().filter(|one| one.id() == told[0].id()).collect();
    assert!(again.len() > 1 && again.iter().all(|one| one.body == again[0].body && one.is_signed_by(SECRET)));
}

#[test]
fn a_run_that_is_killed_loses_no_event_and_makes_none_up() {
    let stage = Stage::open(&["--latency", "20"]);
    // Slow enough to be in the middle of an event when the run is killed.
    let receiver = Receiver::start(|_, _| {
        std::thread::sleep(Duration::from_millis(50));
        200
    });
    stage.documents(100, &[hook(SECRET), telling(&receiver.url, ALL, 60, "  delivery: {batchSize: 10}\n")]);
    for requests in [5, 20, 35] {
        let running = stage.start(&[]);
        stage.await_requests(requests);
        running.signal("KILL");
        running.wait();
    }
    stage.run(&[]);
    let ids: BTreeSet<String> = receiver.taken().iter().map(Told::id).collect();
    let events: Vec<String> =
        ids.iter().map(|id| id.split(':').skip(1).take(2).collect::<Vec<_>>().join(" ")).collect();
    let mut expected: Vec<String> = (0..6).map(|batch| format!("BatchCompleted {batch}")).collect();
    expected.extend(["BroadcastFinished 1".to_owned(), "BroadcastStarted 1".to_owned()]);
    assert_eq!(events, expected);
}

#[test]
fn what_an_endpoint_has_not_taken_is_left_to_the_next_run_and_changes_no_exit_code() {
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|path, _| if path == "/old" { 500 } else { 200 }));
    let (old, new) = (format!("{}/old", receiver.url), format!("{}/new", receiver.url));
    stage.documents(200, &[hook(SECRET), telling(&old, "BroadcastFinished", 1, "")]);
    stage
        .run(&[])
        .exits(0)
        .says(&["sale: 1 event is not delivered yet (crm: NotificationRefused (code 500)); run again"]);
    assert_eq!(receiver.taken().len(), 0);
    // An edited URL counts at once, whatever the wait for the old one.
    stage.documents(200, &[hook(SECRET), telling(&new, "BroadcastFinished", 1, "")]);
    let again = stage.run(&[]).exits(0);
    assert!(!again.stderr.contains("not delivered"), "{}", again.stderr);
    assert_eq!(receiver.events(), ["BroadcastFinished"]);
    assert_eq!(receiver.taken()[0].path, "/new");
}

#[test]
fn while_a_secret_is_changed_receivers_with_either_take_what_comes() {
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, _| 200));
    let both = format!("{NEW_SECRET} {SECRET}");
    stage.documents(200, &[hook(&both), telling(&receiver.url, "BroadcastFinished", 1, "")]);
    stage.run(&[]).exits(0);
    let told = receiver.taken().remove(0);
    assert!(told.is_signed_by(SECRET) && told.is_signed_by(NEW_SECRET));
    assert_eq!(told.header("webhook-signature").split(' ').count(), 2);
}

#[test]
fn a_receiver_that_knows_the_public_key_alone_takes_what_an_asymmetric_key_signs() {
    // By itself, and beside a symmetric one while receivers change over.
    for secret in [ED25519_SECRET.to_owned(), format!("{SECRET} {ED25519_SECRET}")] {
        let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, _| 200));
        stage.documents(200, &[hook(&secret), telling(&receiver.url, ALL, 30, "  delivery: {batchSize: 10}\n")]);
        let finished = stage.run(&[]).exits(0);
        assert!(!finished.stderr.contains("whsk_") && !finished.stdout.contains("whsk_"));
        assert_eq!(receiver.events().len(), 5);
        for told in receiver.taken() {
            assert!(told.is_signed_for(ED25519_PUBLIC) && !told.is_signed_for(OTHER_ED25519_PUBLIC), "{told:?}");
            let changed = Told { body: [&told.body[..], b" "].concat(), ..told.clone() };
            assert!(!changed.is_signed_for(ED25519_PUBLIC), "a body that was changed on its way");
            assert_eq!(told.is_signed_by(SECRET), secret.starts_with(SECRET));
        }
    }
}

#[test]
fn a_secret_that_signs_nothing_is_told_and_keeps_nobody_from_the_message() {
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, _| 200));
    stage.documents(200, &[hook("hunter2-is-no-secret"), telling(&receiver.url, "BroadcastFinished", 1, "")]);
    let finished = stage.run(&[]).exits(0).says(&["1 event is not delivered yet (crm: SecretKeyUnusable)"]);
    assert!(!finished.stderr.contains("hunter2") && !finished.stdout.contains("hunter2"));
    assert_eq!((receiver.told().len(), stage.accepted().len()), (0, 1));
    // With another one it is told by the next run.
    let other = |document: String| document.replace("name: hook", "name: other-hook");
    let documents = [hook(SECRET), telling(&receiver.url, "BroadcastFinished", 1, "")].map(other);
    stage.documents(200, &documents);
    stage.run(&[]).exits(0);
    assert_eq!(receiver.events(), ["BroadcastFinished"]);
}

#[test]
fn a_missing_secret_is_found_before_anything_is_sent() {
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, _| 200));
    stage.documents(200, &[telling(&receiver.url, "BroadcastFinished", 1, "")]);
    stage.run(&[]).exits(1).says(&[
        "spec.notifications[0].signingSecretKeyRef.name",
        "no Secret \"hook\"",
        "--secret hook/secret=FILE",
    ]);
    assert_eq!((stage.requests().len(), receiver.told().len()), (0, 0));
}

#[test]
fn an_endpoint_that_is_gone_is_asked_no_more() {
    let (stage, receiver) = (Stage::open(&[]), Receiver::start(|_, _| 410));
    stage.documents(
        200,
        &[hook(SECRET), telling(&receiver.url, "BroadcastSuspended, BroadcastFinished", 1, "  suspend: true\n")],
    );
    stage.run(&[]).exits(0);
    assert_eq!(receiver.told().len(), 1, "the pause");
    stage.documents(200, &[hook(SECRET), telling(&receiver.url, "BroadcastSuspended, BroadcastFinished", 1, "")]);
    let finished = stage.run(&[]).exits(0);
    assert_eq!(receiver.told().len(), 1, "and not the end");
    assert!(finished.stdout.contains("given up 1 (crm: EndpointGone (code 410))"), "{}", finished.stdout);
}
