//! `herald run --receiver` beside a simulator that calls back: whoever's answer was lost is known in the end, nobody is
//! messaged twice, and forged calls are refused.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use super::run_support::{Stage, broadcast, people};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A port that was free a moment ago: the simulator has to know it before the run takes it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn sums(line: &Value) -> [i64; 5] {
    ["planned", "sent", "failed", "unknown", "pending"]
        .map(|name| line.pointer(&format!("/status/recipients/{name}")).unwrap().as_i64().unwrap())
}

fn dropped(stage: &Stage) -> usize {
    stage.requests().iter().filter(|line| line.code.as_deref() == Some("drop:after")).count()
}

/// The channel `page` whose Secret holds what calls are verified by.
fn messenger(stage: &Stage, rate: u32, spec: &str) {
    stage.documents(rate, &[broadcast("sale", spec)]);
    let text = std::fs::read_to_string(stage.path("run.yaml")).unwrap();
    let keys = format!("appSecret: {SECRET}, verifyToken: ours, accessToken: ");
    stage.write("run.yaml", text.replacen("accessToken: ", &keys, 1));
}

#[test]
fn with_answers_lost_everybody_is_sent_in_the_end_and_nobody_twice() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/callbacks/default/page");
    let stage = Stage::open(&["--drop", "0.05:after", "--seed", "3", "--callback", &url, "--callback-secret", SECRET]);
    messenger(&stage, 200, &people(1, 400));
    let finished = stage.run(&["--receiver", &format!("127.0.0.1:{port}"), "-o", "json"]).exits(0);
    let line = &finished.json()[0];
    assert_eq!(sums(line), [400, 400, 0, 0, 0], "{line}");
    assert_eq!(stage.accepted().len(), 400);
    assert_eq!(stage.requests().len(), 400, "nobody was asked for twice");
    assert!(dropped(&stage) > 5, "{} answers were lost", dropped(&stage));
    let receipts = |name: &str| line.pointer(&format!("/status/receipts/{name}")).and_then(Value::as_i64).unwrap();
    assert!((1..=400).contains(&receipts("delivered")) && receipts("read") <= receipts("delivered"), "{line}");
    assert_eq!(receipts("undelivered"), 0);
}

#[test]
fn a_part_that_is_told_of_is_followed_by_the_next_one() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/callbacks/default/page");
    let stage = Stage::open(&["--drop", "0.3:after", "--seed", "7", "--callback", &url, "--callback-secret", SECRET]);
    let content = "content: {text: \"Hello\", attachments: [{type: Image, url: \"https://cdn.example/a.png\"}]}";
    messenger(&stage, 100, &people(1, 20).replace("content: {text: \"Hello\"}", content));
    let finished = stage.run(&["--receiver", &format!("127.0.0.1:{port}"), "-o", "json"]).exits(0);
    assert_eq!(sums(&finished.json()[0]), [20, 20, 0, 0, 0]);
    assert_eq!(stage.requests().len(), 40, "two parts for each, and none twice");
    assert!(dropped(&stage) > 3, "{} answers were lost", dropped(&stage));
}

#[test]
fn a_receiver_that_was_away_hears_what_the_provider_repeats() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/callbacks/default/page");
    let stage = Stage::open(&["--drop", "1:after", "--callback", &url, "--callback-secret", SECRET]);
    messenger(&stage, 100, &people(1, 3));
    // Nobody takes the calls of this run, and it ends with three of whom nobody knows.
    let finished = stage.run(&["-o", "json"]).exits(2);
    assert_eq!(sums(&finished.json()[0]), [3, 0, 0, 3, 0]);
    let finished = stage.run(&["--receiver", &format!("127.0.0.1:{port}"), "-o", "json"]).exits(0);
    assert_eq!(sums(&finished.json()[0]), [3, 3, 0, 0, 0]);
    assert_eq!(stage.requests().len(), 3);
}

/// The status and body of an answer.
fn ask(port: u16, head: &str, body: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    let request = format!("{head}\r\nhost: here\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

#[test]
fn forged_calls_are_refused_and_change_nothing() {
    let port = free_port();
    let stage = Stage::open(&["--drop", "1:after"]);
    messenger(&stage, 100, &people(1, 1));
    let mut running = stage.start(&["--receiver", &format!("127.0.0.1:{port}"), "-o", "json"]);
    running.await_said("waiting up to");
    let echo = r#"{"object":"page","entry":[{"id":"1029384756","messaging":[{"sender":{"id":"1029384756"},"recipient":{"id":"1"},"message":{"is_echo":true,"metadata":"1:0:1:0","mid":"m"}}]}]}"#;
    let post = "POST /callbacks/default/page HTTP/1.1";
    assert_eq!(ask(port, post, echo).0, 403);
    let forged = format!("{post}\r\nx-hub-signature-256: sha256={}", "0".repeat(64));
    assert_eq!(ask(port, &forged, echo).0, 403);
    assert_eq!(ask(port, "POST /callbacks/default/other HTTP/1.1", echo).0, 404);
    let handshake = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        ask(port, &format!("GET /callbacks/default/page?{query} HTTP/1.1"), "")
    };
    assert_eq!(handshake("ours"), (200, "1158201444".to_owned()));
    assert_eq!(handshake("theirs").0, 403);
    running.signal("INT");
    let finished = running.wait().exits(2);
    assert_eq!(sums(&finished.json()[0]), [1, 0, 0, 1, 0], "a forged call resolved somebody");
    for said in [&finished.stdout, &finished.stderr] {
        assert!(!said.contains(SECRET));
    }
}

#[test]
fn without_what_calls_are_verified_by_a_run_says_so_and_does_not_begin() {
    let stage = Stage::open(&[]);
    stage.documents(100, &[broadcast("sale", &people(1, 1))]);
    let said = ["no calls are taken for channel default/page", "appSecret", "no channel of this run"];
    stage.run(&["--receiver", "127.0.0.1:0"]).exits(1).says(&said);
    assert!(stage.requests().is_empty());
}

/// A channel of another provider that loses a third of the answers: its member, its Secret and an id for each number.
fn every_answer_comes_in_the_end(member: &str, secret: &str, id: impl Fn(u32) -> String) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/callbacks/default/channel");
    let stage = Stage::open(&["--drop", "0.3:after", "--seed", "5", "--callback", &url, "--callback-secret", SECRET]);
    let recipients: Vec<String> = (0..20).map(|number| format!("{{id: \"{}\"}}", id(number))).collect();
    let document = format!(
        "apiVersion: herald.dev/v1alpha1\nkind: MessageChannel\nmetadata: {{name: channel}}\nspec:\n  {}\n  \
         credentialsSecretRef: {{name: channel}}\n  receiver: {{url: \"{url}\"}}\n  rate: {{messages: \
         50}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: channel}}\nstringData: \
         {{{secret}}}\n---\napiVersion: herald.dev/v1alpha1\nkind: BroadcastMessage\nmetadata: {{name: sale}}\nspec:\n  \
         channelRef: {{name: channel}}\n  audience: {{recipients: [{}]}}\n  content: {{text: Hello}}\n",
        member.replace("BASE", &stage.base_url),
        recipients.join(", "),
    );
    stage.write("run.yaml", document);
    let finished = stage.run(&["--receiver", &format!("127.0.0.1:{port}"), "-o", "json"]).exits(0);
    assert_eq!(sums(&finished.json()[0]), [20, 20, 0, 0, 0]);
    assert_eq!((stage.accepted().len(), stage.requests().len()), (20, 20));
    assert!(dropped(&stage) > 1, "no answer was lost");
}

#[test]
fn whatsapp_tells_by_its_opaque_data() {
    let member = r#"whatsapp: {phoneNumberID: "106540352242922", baseURL: "BASE"}"#;
    every_answer_comes_in_the_end(member, &format!("accessToken: t, appSecret: {SECRET}"), |number| {
        format!("+165055512{number:02}")
    });
}

#[test]
fn twilio_tells_at_the_url_that_it_was_given() {
    let member = r#"twilio: {accountSID: AC00000000000000000000000000000001, from: "+15005550006", baseURL: "BASE"}"#;
    every_answer_comes_in_the_end(member, &format!("authToken: {SECRET}"), |number| format!("+142555501{number:02}"));
}

#[test]
fn slack_tells_by_the_metadata_of_the_message() {
    let member = r#"slack: {teamID: T0123456789, baseURL: "BASE"}"#;
    every_answer_comes_in_the_end(member, &format!("botToken: xoxb-1, signingSecret: {SECRET}"), |number| {
        format!("C0{number:02}")
    });
}
