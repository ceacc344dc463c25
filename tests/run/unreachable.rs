//! What people are told while nothing gets through to the provider: by the progress, at the end, and in the status.

use std::net::TcpListener;

use super::run_support::{Stage, broadcast, people};

const RATE: u32 = 60;

/// A stage whose channel leads to a port where nobody listens.
fn nobody_listens() -> Stage {
    let mut stage = Stage::open(&[]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.base_url = format!("http://127.0.0.1:{port}");
    stage
}

#[test]
fn a_provider_that_cannot_be_reached_is_told_with_its_cause_and_the_rate_that_is_left() {
    let stage = nobody_listens();
    stage.documents(RATE, &[broadcast("sale", &people(1, 200))]);
    let mut run = stage.start(&[]);
    run.await_said("requests failed: NotSent: ");
    run.await_said(&format!("slowed to 0.60 of {RATE}/s after throttling or failures"));
    run.signal("TERM");
    let run = run.wait().exits(3);
    for words in ["interrupted", "sent 0", "requests failed", "NotSent: ", "onnection refused"] {
        assert!(run.stdout.contains(words), "{words:?} is not in:\n{}", run.stdout);
    }
}

#[test]
fn few_people_have_few_requests_to_fail_and_the_status_says_so_while_it_may_still_be_sent() {
    let stage = nobody_listens();
    stage.documents(RATE, &[broadcast("sale", &people(1, 2))]);
    let mut run = stage.start(&["-o", "json"]);
    run.await_said("requests failed: NotSent: ");
    run.signal("TERM");
    let status = run.wait().exits(3).json()[0]["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!((&ready["reason"], &ready["status"]), (&"ProviderFailing".into(), &"True".into()), "{status}");
    assert!(ready["message"].as_str().unwrap().contains("requests failed: NotSent: "), "{status}");
    assert_eq!(status["recipients"]["pending"], 2);
}

#[test]
fn nothing_is_said_of_failures_once_somebody_is_reached() {
    let stage = Stage::open(&["--latency", "20", "--fail", "2=0.1", "--seed", "3"]);
    stage.documents(RATE, &[broadcast("sale", &people(1, 100))]);
    let run = stage.run(&[]).exits(0);
    assert!(!run.stdout.contains("failed:"), "{}", run.stdout);
    assert!(!run.stderr.contains("requests failed"), "{}", run.stderr);
}
