//! `herald run` where answers are lost and the broadcast asks to send again.

use std::collections::BTreeSet;

use herald::simulator::record;
use serde_json::{Value, json};

use super::run_support::{Stage, broadcast, people};

/// The shortest time to a resend: connect timeout, request timeout, grace.
fn impatient(stage: &Stage, documents: &[String]) {
    stage.documents(100, documents);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    stage.write("run.yaml", text.replacen("  rate:", "  requestTimeoutSeconds: 1\n  rate:", 1));
}

fn sums(line: &Value) -> [i64; 3] {
    ["sent", "unknown", "pending"]
        .map(|name| line.pointer(&format!("/status/recipients/{name}")).unwrap().as_i64().unwrap())
}

#[test]
fn whoever_lost_the_answer_is_sent_to_again_and_nobody_else_gets_it_twice() {
    let stage = Stage::open(&["--drop", "0.3:after", "--seed", "3"]);
    let spec = format!("{}  delivery: {{unknownPolicy: Resend}}\n", people(1, 40));
    impatient(&stage, &[broadcast("sale", &spec)]);
    let running = stage.start(&["-o", "json"]);
    stage.await_requests(40);
    stage.settings(r#"{"drop": "0"}"#);
    let finished = running.wait().exits(0);
    assert_eq!(sums(&finished.json()[0]), [40, 0, 0]);

    let lines = stage.requests();
    let dropped: BTreeSet<&str> = lines
        .iter()
        .filter(|line| line.code.as_deref() == Some("drop:after"))
        .map(|line| line.recipient.as_ref())
        .collect();
    assert!(!dropped.is_empty());
    let twice: BTreeSet<&str> = record::accepted_twice(&lines).into_iter().map(|delivery| delivery.recipient).collect();
    assert_eq!(twice, dropped, "only those whose answer was lost");
    assert_eq!(lines.len(), 40 + dropped.len());
}

#[test]
fn a_finished_run_goes_on_with_the_unknown_when_its_policy_becomes_resend() {
    let stage = Stage::open(&["--drop", "1:before"]);
    let spec = people(1, 3);
    impatient(&stage, &[broadcast("sale", &spec)]);
    let held = stage.run(&["-o", "json"]).exits(2);
    assert_eq!(sums(&held.json()[0]), [0, 3, 0]);
    assert_eq!(held.json()[0].pointer("/status/reasons/0/reason"), Some(&json!("NoAnswer")));
    stage.run(&[]).exits(2).says(&["finished already"]);
    assert_eq!(stage.requests().len(), 3);

    stage.settings(r#"{"drop": "0"}"#);
    impatient(&stage, &[broadcast("sale", &format!("{spec}  delivery: {{unknownPolicy: Resend}}\n"))]);
    let resent = stage.run(&["-o", "json"]).exits(0).says(&["goes on with 3 of 3"]);
    assert_eq!(sums(&resent.json()[0]), [3, 0, 0]);
    assert_eq!(stage.accepted(), ["1", "2", "3"]);
}
