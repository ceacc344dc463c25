//! `herald run` with an audience that another broadcast has left.

use serde_json::json;

use super::run_support::{Stage, broadcast, people};

fn from_winter(name: &str, outcomes: &str, rest: &str) -> String {
    let source = format!("{{name: missed, broadcast: {{name: winter, outcomes: [{outcomes}]}}}}");
    let text = "Sorry, {{ name | default('you') }}";
    broadcast(name, &format!("  audience: {{sources: [{source}]{rest}}}\n  content: {{text: \"{text}\"}}\n"))
}

fn winter(count: u64) -> String {
    broadcast("winter", &people(1, count).replace("{id: \"1\"}", "{id: \"1\", vars: {name: Ana}}"))
}

#[test]
fn the_failed_of_a_finished_broadcast_are_sent_to_again_with_their_variables_and_nobody_else() {
    let stage = Stage::open(&["--fail", "10/2018278=0.4", "--seed", "5"]);
    stage.documents(100, &[winter(20)]);
    stage.run(&[]).exits(2);
    let mut failed: Vec<String> = stage
        .requests()
        .iter()
        .filter(|line| line.code.as_deref() == Some("10/2018278"))
        .map(|line| line.recipient.to_string())
        .collect();
    failed.sort();
    assert!(!failed.is_empty() && failed.len() < 20);

    stage.settings(r#"{"fail": []}"#);
    stage.documents(100, &[from_winter("again", "Failed", "")]);
    let planned = format!("again: {} recipients", failed.len());
    stage.run(&[]).exits(0).says(&[&planned]);
    let lines = stage.requests();
    let mut again: Vec<String> = lines[20..].iter().map(|line| line.recipient.to_string()).collect();
    again.sort();
    assert_eq!(again, failed);
    let ana = lines[20..].iter().find(|line| *line.recipient == *"1").map(|line| line.text.to_string());
    assert!(ana.is_none_or(|text| text == "Sorry, Ana"));
    assert_eq!(stage.accepted().len(), 20);
}

#[test]
fn whoever_got_the_first_message_can_be_left_out_of_the_second() {
    let stage = Stage::open(&["--drop", "0.4:before", "--seed", "5"]);
    stage.documents(100, &[winter(20)]);
    stage.run(&[]).exits(2);
    let taken = stage.accepted();
    assert!(!taken.is_empty() && taken.len() < 20);

    stage.settings(r#"{"drop": "0"}"#);
    let left_out = "{sources: [{name: reached, broadcast: {name: winter, outcomes: [Sent]}}]}";
    let spec = people(1, 20).replace("audience: {", &format!("audience: {{exclude: {left_out}, "));
    // Those whose answer was lost may have got this text: that it is meant must be said.
    stage.documents(100, &[broadcast("again", &spec)]);
    stage.run(&["-o", "json"]).exits(4).says(&["again: held back", "`winter`", "spec.idempotencyKey"]);
    stage.documents(100, &[broadcast("again", &format!("{spec}  idempotencyKey: again\n"))]);
    stage.run(&[]).exits(0);
    assert_eq!(stage.accepted().len(), 20, "everybody once");
}

#[test]
fn a_broadcast_that_is_unknown_or_not_finished_refuses_the_plan_by_its_name() {
    let stage = Stage::open(&[]);
    let again = from_winter("again", "Failed", "");
    stage.documents(100, std::slice::from_ref(&again));
    let refused = stage.run(&["-o", "json"]).exits(1).says(&["spec.audience", "no broadcast `winter` in this ledger"]);
    let reason = "/status/conditions/0/reason";
    assert_eq!(refused.json()[0].pointer(reason), Some(&json!("AudienceNotFound")));

    // Both in one run: the first has not ended when the second is planned.
    stage.documents(100, &[winter(3), again.clone()]);
    let refused = stage.run(&["-o", "json"]).exits(1).says(&["the broadcast `winter` has not ended"]);
    assert_eq!(refused.json()[1].pointer(reason), Some(&json!("AudienceUnfinished")));
    assert_eq!(stage.requests(), []);

    // Nobody failed, so nobody is left.
    stage.documents(100, &[winter(3)]);
    stage.run(&[]).exits(0);
    stage.documents(100, &[again]);
    stage.run(&[]).exits(1).says(&["the audience is empty"]);
}
