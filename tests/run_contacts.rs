//! Contacts, tags and opt-outs of `herald run` against the simulator, whose record is the judge.

#![allow(clippy::unwrap_used)]

mod run_support;

use run_support::{Finished, Stage, broadcast, people};

/// A broadcast whose text is its name, to contacts of the channel.
fn to_contacts(name: &str, source: &str) -> String {
    let audience = format!("  audience: {{sources: [{{name: known, contacts: {source}}}]}}\n");
    broadcast(name, &format!("{audience}  content: {{text: \"{name}\"}}\n"))
}

fn send(stage: &Stage, document: String, code: i32) -> serde_json::Value {
    stage.documents(200, &[document]);
    let finished: Finished = stage.run(&["-o", "json"]).exits(code);
    finished.json()[0]["status"].clone()
}

/// Who was asked with this text, in order of their ids.
fn asked(stage: &Stage, text: &str) -> Vec<String> {
    let mut asked: Vec<String> =
        stage.requests().iter().filter(|line| line.text == text).map(|line| line.recipient.to_string()).collect();
    asked.sort();
    asked
}

#[test]
fn who_was_sent_to_is_found_by_the_tag_and_left_out_by_it() {
    let stage = Stage::open(&[]);
    let tags = "  onSent: {tags: [spring-sale]}\n";
    send(&stage, broadcast("first", &format!("{}{tags}", people(1, 3))), 0);
    send(&stage, broadcast("others", &people(4, 2)), 0);
    let status = send(&stage, to_contacts("again", "{tags: [spring-sale]}"), 0);
    assert_eq!(status["recipients"]["sent"], 3, "{status}");
    assert_eq!(asked(&stage, "again"), ["1", "2", "3"]);
    send(&stage, to_contacts("rest", "{withoutTags: [spring-sale]}"), 0);
    assert_eq!(asked(&stage, "rest"), ["4", "5"]);
    send(&stage, to_contacts("all", "{}"), 0);
    assert_eq!(asked(&stage, "all").len(), 5);
    // As somebody to leave out they are a source as well.
    let exclude = "  audience: {recipients: [{id: \"1\"}, {id: \"4\"}], exclude: {sources: [{name: sent, contacts: {tags: [spring-sale]}}]}}\n";
    let status = send(&stage, broadcast("left", &format!("{exclude}  content: {{text: left}}\n")), 0);
    assert_eq!((&status["plan"]["excluded"], asked(&stage, "left")), (&1.into(), vec!["4".to_owned()]));
}

#[test]
fn who_takes_no_messages_of_the_page_is_skipped_by_the_next_broadcast_without_a_call() {
    let stage = Stage::open(&["--fail", "10/2018108=1"]);
    send(&stage, broadcast("blocked", &people(1, 2)), 2);
    assert_eq!(asked(&stage, "Hello").len(), 2);
    stage.settings("{\"fail\": []}");
    let everybody = "  audience: {recipients: [{id: \"1\"}, {id: \"2\"}, {id: \"3\"}]}\n  content: {text: next}\n";
    let status = send(&stage, broadcast("next", everybody), 0);
    assert_eq!(asked(&stage, "next"), ["3"]);
    let recipients = &status["recipients"];
    assert_eq!(
        (&recipients["planned"], &recipients["sent"], &recipients["skipped"]),
        (&3.into(), &1.into(), &2.into())
    );
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "OptedOut", "count": 2}));
    send(&stage, to_contacts("known", "{}"), 0);
    assert_eq!(asked(&stage, "known"), ["3"], "a source of contacts does not even plan them");
}

#[test]
fn whose_window_has_closed_is_skipped_without_a_call() {
    let stage = Stage::open(&[]);
    let row = |id: u32, vars: &str| format!("{{id: \"{id}\"{vars}}}");
    let long_ago = ", vars: {last_active_time: \"2020-01-01T00:00:00Z\"}";
    let rows = [row(1, long_ago), row(2, ""), row(3, ", vars: {last_active_time: \"2200-01-01 00:00:00+02\"}")];
    let audience = format!("  audience: {{recipients: [{}]}}\n  content: {{text: now}}\n", rows.join(", "));
    let status = send(&stage, broadcast("window", &audience), 2);
    assert_eq!(asked(&stage, "now"), ["2", "3"]);
    assert_eq!(status["reasons"][0], serde_json::json!({"outcome": "Skipped", "reason": "WindowClosed", "count": 1}));
    let wrong =
        "  audience: {recipients: [{id: \"1\", vars: {last_active_time: yesterday}}]}\n  content: {text: now}\n";
    stage.documents(200, &[broadcast("wrong", wrong)]);
    stage.run(&[]).exits(1).says(&["last_active_time", "this is no instant"]);
}
