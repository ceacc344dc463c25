//! Attachments that Messenger fetches once and keeps: what becomes of links and of what is kept, for senders in pods.

use std::time::Duration;

use herald::simulator::record::OwnedLine;

use super::judge::{instant, now_ns};
use super::kubectl::{await_that, kubectl};
use super::stage::Stage;
use super::support::pace::Watcher;

/// What Messenger takes of audio and video for a page in a second, whatever the rate of its channel.
const FILMS_A_SECOND: u32 = 10;
/// The simulator's errors for an id that it keeps nothing under.
const GONE: &str = "100/2018074";
const PLACE: &str = "spec.content.attachments[0].url";

/// A broadcast of these attachments, without a text.
fn broadcast(stage: &Stage, name: &str, count: u32, attachments: &str, more: &str) -> String {
    let content = format!("content: {{attachments: [{attachments}]}}");
    stage.broadcast(name, count, more).replace("content: {text: \"Hello\"}", &content)
}

fn picture(link: &str) -> String {
    format!("{{type: Image, url: \"https://cdn.example/{link}\"}}")
}

fn lines_of(stage: &Stage, name: &str) -> Vec<OwnedLine> {
    let own = format!("{name}-");
    stage.record().into_iter().filter(|line| line.recipient.starts_with(&own)).collect()
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn each_is_uploaded_once_whoever_sends_and_films_go_out_at_their_own_rate() {
    const PEOPLE: u32 = 60;
    let stage = Stage::with_channel("media", &["--latency", "20-60"], 40);
    let both = format!("{}, {{type: Video, url: \"https://cdn.example/a.mp4\"}}", picture("a.png"));
    let watcher = Watcher::start();
    stage.apply(&broadcast(&stage, "sale", PEOPLE, &both, ""));
    stage.await_requests(30);
    let pod = stage.await_sender_pod("sale");
    kubectl(&["-n", &stage.namespace, "delete", "pod", &pod, "--wait=false"]);
    stage.await_end("sale", "Delivered");
    let waits = watcher.stop();
    stage.assert_all_once("sale", PEOPLE, 2);
    assert_eq!(stage.summary().uploads, 2);
    let lines = stage.record();
    let (pictures, films): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.attachments[0].starts_with("image"));
    for of_kind in [&pictures, &films] {
        assert!(of_kind[0].attachments[0].contains(" kept:"), "{:?}", of_kind[0]);
        assert!(of_kind.iter().all(|line| line.attachments == of_kind[0].attachments), "one upload serves everybody");
    }
    waits.assert_pace_of_arrivals("films", &films, FILMS_A_SECOND);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_link_that_cannot_be_fetched_is_told_with_its_place_until_it_is_edited_or_served() {
    let stage = Stage::with_channel("link", &["--refuse-link", "gone"], 50);
    for name in ["edited", "served"] {
        stage.apply(&broadcast(&stage, name, 12, &picture(&format!("gone-{name}.png")), ""));
    }
    for name in ["edited", "served"] {
        let message = stage.await_condition(name, "Stalled", "AttachmentRefused");
        assert!(message.contains(PLACE), "{message}");
        stage.assert_verdict(name, "Failed");
        assert_eq!(stage.count(name, "pending"), 12, "nobody is lost by it");
    }
    assert_eq!(stage.record().len(), 0, "nobody is messaged");
    stage.apply(&broadcast(&stage, "edited", 12, &picture("there.png"), ""));
    stage.await_end("edited", "Delivered");
    stage.assert_all_once("edited", 12, 1);
    assert_eq!(stage.record().len(), 12, "the other one waits for its link");
    stage.settings(r#"{"refuse-link": null}"#);
    stage.await_end("served", "Delivered");
    stage.assert_all_once("served", 12, 1);
}

/// One is uploaded well before its time. The other is paused in the middle, and its link is gone when it goes on.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn what_the_page_has_forgotten_by_the_time_of_a_message_is_uploaded_again_and_nobody_is_lost() {
    const UNTIL_THE_START: Duration = Duration::from_secs(45);
    let stage = Stage::with_channel("forgotten", &["--attachment-seconds", "6"], 50);
    let start = instant(now_ns() + UNTIL_THE_START.as_nanos() as u64);
    let early = format!(", schedule: {{startTime: \"{start}\"}}");
    stage.apply(&broadcast(&stage, "early", 12, &picture("early.png"), &early));
    await_that("an upload ahead of the start", || stage.summary().uploads == 1);
    stage.apply(&broadcast(&stage, "paused", 20, &picture("paused.png"), ", delivery: {rate: {messages: 2}}"));
    await_that("some are sent", || lines_of(&stage, "paused").iter().filter(|line| line.accepted).count() >= 3);
    stage.patch("broadcastmessage", "paused", r#"{"suspend": true}"#);
    stage.await_condition("paused", "Suspended", "Suspended");
    assert_eq!(lines_of(&stage, "early").len(), 0, "its time has not come: {UNTIL_THE_START:?} are too few");
    stage.settings(r#"{"refuse-link": "paused"}"#);

    stage.await_end("early", "Delivered");
    stage.assert_all_once("early", 12, 1);
    let refused: Vec<_> = lines_of(&stage, "early").into_iter().filter(|line| !line.accepted).collect();
    assert!(!refused.is_empty() && refused.iter().all(|line| line.code.as_deref() == Some(GONE)), "{refused:?}");
    assert!(stage.summary().uploads >= 3, "{:?}", stage.summary());

    let sent = stage.count("paused", "sent");
    stage.patch("broadcastmessage", "paused", r#"{"suspend": null}"#);
    let message = stage.await_condition("paused", "Stalled", "AttachmentRefused");
    assert!(message.contains(PLACE), "{message}");
    let status = stage.status("paused");
    let pending = status["recipients"]["pending"].as_i64();
    assert_eq!((&status["recipients"]["sent"], pending), (&sent.into(), Some(20 - sent)), "nobody is lost: {status}");
    stage.settings(r#"{"refuse-link": null}"#);
    stage.await_end("paused", "Delivered");
    stage.assert_all_once("paused", 20, 1);
}
