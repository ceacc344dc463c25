//! Attachments that Messenger keeps: uploaded once for a broadcast, and named by their id in each message.

use super::run_support::{Stage, broadcast, people};

const PEOPLE: u64 = 12;

fn spec(first: u64, link: &str) -> String {
    let recipients: Vec<String> = (first..first + PEOPLE).map(|id| format!("{{id: \"{id}\"}}")).collect();
    let content = format!("content: {{attachments: [{{type: Image, url: \"{link}\"}}]}}");
    format!("  audience: {{recipients: [{}]}}\n  {content}\n", recipients.join(", "))
}

fn sent(stage: &Stage) -> Vec<String> {
    let lines = stage.requests();
    lines.iter().filter(|line| line.accepted).map(|line| line.attachments[0].to_string()).collect()
}

#[test]
fn a_picture_is_uploaded_once_for_every_message_of_a_broadcast_whatever_stops_it_between() {
    let stage = Stage::open(&["--latency", "20"]);
    let spring = broadcast("spring", &spec(1, "https://cdn.example/a.png"));
    stage.documents(5, std::slice::from_ref(&spring));
    let run = stage.start(&[]);
    stage.await_requests(PEOPLE as usize / 2);
    run.signal("TERM");
    run.wait().exits(3);
    stage.documents(100, &[spring]);
    stage.run(&[]).exits(0);
    let sent = sent(&stage);
    assert_eq!((sent.len() as u64, stage.summary().uploads), (PEOPLE, 1));
    assert!(sent.iter().all(|what| *what == sent[0] && what.starts_with("image kept:")), "{sent:?}");
}

#[test]
fn several_senders_that_begin_at_once_upload_a_picture_once() {
    let stage = Stage::open(&["--latency", "150"]);
    let spec = spec(1, "https://cdn.example/a.png") + "  delivery: {senders: 4, batchSize: 3}\n";
    stage.documents(100, &[broadcast("spring", &spec)]);
    stage.run(&[]).exits(0);
    let sent = sent(&stage);
    assert_eq!((sent.len() as u64, stage.summary().uploads), (PEOPLE, 1));
    assert!(sent.iter().all(|what| *what == sent[0]), "{sent:?}");
}

#[test]
fn what_another_broadcast_finds_at_the_same_link_is_another_file() {
    let stage = Stage::open(&[]);
    for (first, name) in [(1, "monday"), (101, "tuesday")] {
        stage.documents(100, &[broadcast(name, &spec(first, "https://cdn.example/menu.png"))]);
        stage.run(&[]).exits(0);
    }
    let sent = sent(&stage);
    assert_eq!((sent.len() as u64, stage.summary().uploads), (2 * PEOPLE, 2));
    assert_ne!(sent.first(), sent.last());
}

#[test]
fn a_link_of_each_recipients_own_is_sent_as_it_is() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("spring", &spec(1, "https://cdn.example/{{ number | default('1') }}.png"))]);
    stage.run(&[]).exits(0);
    assert_eq!(stage.summary().uploads, 0);
    assert!(sent(&stage).contains(&"image https://cdn.example/1.png".to_owned()));
}

#[test]
fn a_picture_that_messenger_has_forgotten_is_uploaded_again_and_nobody_fails() {
    let stage = Stage::open(&["--attachment-seconds", "1"]);
    stage.documents(5, &[broadcast("spring", &spec(1, "https://cdn.example/a.png"))]);
    let run = stage.start(&[]);
    stage.await_requests(PEOPLE as usize * 2 / 3);
    // What is uploaded from now on lives long enough.
    stage.settings("{\"attachment-seconds\": 0}");
    let told = run.wait().exits(0);
    assert_eq!(stage.accepted().len() as u64, PEOPLE, "{told:?}");
    assert!(stage.summary().uploads >= 2);
    let refused: Vec<_> = stage.requests().into_iter().filter(|line| !line.accepted).collect();
    assert!(!refused.is_empty() && refused.iter().all(|line| line.code.as_deref() == Some("100/2018074")));
}

#[test]
fn a_picture_that_cannot_be_fetched_is_named_and_everybody_waits_for_another() {
    let stage = Stage::open(&["--refuse-link", "gone"]);
    let plain = broadcast("plain", &people(501, 3));
    stage.documents(100, &[broadcast("spring", &spec(1, "https://cdn.example/gone.png")), plain]);
    let told = stage.run(&[]).exits(1);
    assert!(told.stderr.contains("spec.content.attachments[0].url"), "{}", told.stderr);
    assert_eq!(stage.requests().len(), 3, "the one without pictures is not held up");
    stage.settings("{\"refuse-link\": null}");
    stage.run(&[]).exits(0);
    assert_eq!(stage.accepted().len() as u64, PEOPLE + 3);
}
