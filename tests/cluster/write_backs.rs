//! Whom a message was sent to is written elsewhere by the pods that send: into a database, and as labels of the page. What goes
//! wrong with that fails no send.

use std::collections::BTreeSet;

use serde_json::Value;

use super::crm::Crm;
use super::kubectl::{await_some, await_that, kubectl};
use super::stage::{CANARY, OPERATOR_PODS, SYSTEM, Stage};

const TABLE: &str = "CREATE TABLE sent (id text NOT NULL, broadcast text NOT NULL, message_id text NOT NULL, \
                     sent_at timestamptz NOT NULL)";
const IDS: &str = "SELECT DISTINCT id FROM sent WHERE broadcast = 'sale' ORDER BY 1";

fn on_sent(table: &str, more: &str) -> String {
    let statement = format!("insert into {table} values (:id, :broadcast, :message_id, :sent_time)");
    format!(", onSent: {{sql: {{urlSecretKeyRef: {{name: crm-db, key: url}}, statement: \"{statement}\"}}{more}}}")
}

/// How one target stands.
fn target(stage: &Stage, name: &str) -> Value {
    let mut status = stage.status("sale");
    let targets = status["writeBacks"].as_array_mut().map(std::mem::take).unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == name).unwrap_or_default()
}

fn is_all_done(stage: &Stage, name: &str, people: usize) -> bool {
    let sums = target(stage, name);
    sums["done"] == people && sums["pending"] == 0 && sums["failed"] == 0
}

fn accepted(stage: &Stage) -> BTreeSet<String> {
    let lines = stage.record().into_iter().filter(|line| line.accepted);
    lines.map(|line| line.recipient.into_owned()).collect()
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn whoever_was_sent_to_is_written_to_the_database_and_labelled_and_nobody_else() {
    let stage = Stage::with_channel("written", &["--fail", "551=0.2"], 50);
    let crm = Crm::open(TABLE);
    stage.apply(&crm.secret());
    stage.apply(&stage.broadcast("sale", 40, &on_sent("sent", ", messenger: {labels: [spring-sale]}")));
    stage.await_end("sale", "DeliveredWithFailures");
    stage.judge("sale", 40);
    let accepted = accepted(&stage);
    assert!((10..40).contains(&accepted.len()), "{accepted:?}");
    for name in ["Sql", "Messenger"] {
        await_that(&format!("everybody is written to {name}"), || is_all_done(&stage, name, accepted.len()));
        assert!(target(&stage, name)["lastError"].is_null());
    }
    assert_eq!(crm.texts(IDS).into_iter().collect::<BTreeSet<_>>(), accepted);
    let labels = stage.labels().labels;
    let [label] = labels.as_slice() else { panic!("it is made once: {labels:?}") };
    assert_eq!((label.name.as_str(), &label.people), ("spring-sale", &accepted));
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_table_that_is_not_there_fails_no_send_and_is_told_until_an_edit_names_another() {
    let stage = Stage::with_channel("unwritten", &[], 50);
    let crm = Crm::open(TABLE);
    stage.apply(&crm.secret());
    stage.apply(&stage.broadcast_to("sale", "guest", 20, &on_sent("absent", "")));
    let status = stage.await_end("sale", "Delivered");
    assert_eq!((&status["recipients"]["sent"], accepted(&stage).len()), (&20.into(), 20), "{status}");
    let error = await_some("the refusal in the status", || {
        let sums = target(&stage, "Sql");
        (sums["pending"] == 20 && sums["done"] == 0).then(|| sums["lastError"].clone()).filter(Value::is_object)
    });
    assert_eq!((&error["reason"], &error["code"]), (&"WriteBackRefused".into(), &"42P01".into()), "{error}");
    let of = |arguments: &[&str]| kubectl(&[&["-n", &stage.namespace], arguments].concat());
    let event = await_some("the event", || {
        let mut events: Value = serde_json::from_str(&of(&["get", "events", "-o", "json"])).unwrap();
        let events = events["items"].as_array_mut().map(std::mem::take)?;
        events.into_iter().find(|event| event["reason"] == "WriteBackFailing")
    });
    assert_eq!((&event["type"], &event["involvedObject"]["name"]), (&"Warning".into(), &"sale".into()), "{event}");
    let note = event["message"].as_str().unwrap();
    assert!(note.starts_with("Sql: WriteBackRefused (code 42P01): spec.onSent.sql"), "{note}");

    let events = of(&["get", "events", "-o", "yaml"]);
    let statuses = of(&["get", "broadcastmessages,messagebatches", "-o", "jsonpath={.items[*].status}"]);
    let operator = kubectl(&["-n", SYSTEM, "logs", "-l", OPERATOR_PODS, "--tail=-1"]);
    for text in [&events, &statuses, &operator] {
        for secret in [crm.password(), CANARY, "guest-"] {
            assert!(!text.contains(secret), "{secret:?} is in:\n{text}");
        }
    }
    stage.apply(&stage.broadcast_to("sale", "guest", 20, &on_sent("sent", "")));
    await_that("everybody is written", || is_all_done(&stage, "Sql", 20));
    assert_eq!(crm.texts(IDS).into_iter().collect::<BTreeSet<_>>(), accepted(&stage));
    assert_eq!(stage.record().len(), 20, "nobody was messaged again for it");
}
