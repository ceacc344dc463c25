//! Pods that tell endpoints how their broadcast goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use herald::delivery::gate::Closed;
use herald::ledger::{Declaration, Ledger};
use herald::sender::Left;
use serde_json::{Value, json};

use super::endpoint::Receiver;
use super::sender::{RATE, with};
use super::sender_pod::stage::Stage;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn telling(count: usize, receiver: &Receiver) -> Value {
    let endpoint = json!([{
        "name": "crm", "url": format!("{}/hooks", receiver.url), "signingSecretKeyRef": {"name": "hook", "key": "secret"},
        "events": ["BroadcastStarted", "BroadcastStalled", "BroadcastSuspended", "BroadcastFinished"],
    }]);
    with(Stage::to_people(count), "/notifications", endpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_tells_what_happens_and_leaves_once_it_is_told() {
    let stage = Stage::open(&[]).await;
    let receiver = Receiver::start(|_, _| 200);
    let broadcast = stage.declare(RATE, telling(20, &receiver)).await;
    let pod = stage.pod("one");
    pod.write("audience/secret/hook/secret", &format!("{SECRET}\n"));
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    assert_eq!(receiver.events(), ["BroadcastFinished", "BroadcastStarted"]);
    assert!(receiver.told().iter().all(|told| told.is_signed_by(SECRET)));
    stage.judge(broadcast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_keeps_nobody_from_the_message() {
    let stage = Stage::open(&[]).await;
    // Longer than all of the sending takes.
    let receiver = Receiver::start(|_, before| {
        if before == 0 {
            std::thread::sleep(std::time::Duration::from_secs(3));
        }
        200
    });
    let broadcast = stage.declare(RATE, telling(40, &receiver)).await;
    let pod = stage.pod("one");
    pod.write("audience/secret/hook/secret", SECRET);
    let process = pod.start(&stage.ledger, broadcast);
    stage.await_requests(40).await;
    assert!(receiver.told().is_empty(), "everybody was sent to while the first event waited for its answer");
    assert_eq!(process.await.unwrap().unwrap(), Left::Closed(Closed::Complete));
    assert_eq!(receiver.events(), ["BroadcastFinished", "BroadcastStarted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_comes_after_the_end_tells_what_is_left_and_sends_nothing() {
    let stage = Stage::open(&[]).await;
    let status = Arc::new(AtomicU16::new(503));
    let answer = status.clone();
    let receiver = Receiver::start(move |_, _| answer.load(Ordering::SeqCst));
    let declaration = stage.declaration(1, RATE, telling(5, &receiver));
    let broadcast = stage.ledger.declare(&declaration).await.unwrap().id;
    let pod = stage.pod("one");
    pod.write("audience/secret/hook/secret", SECRET);
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let left = stage.snapshot(broadcast).await.outbox.unwrap();
    assert_eq!((left.pending, left.last_error.unwrap().code.as_deref()), (2, Some("503")));
    status.store(200, Ordering::SeqCst);
    // Another URL is due at once; and nobody needs credentials of the provider to tell.
    let mut moved = Declaration { generation: 2, ..declaration };
    moved.notifications[0].url.push_str("/new");
    stage.ledger.declare(&moved).await.unwrap();
    let bare = stage.bare_pod("other");
    bare.write("audience/secret/hook/secret", SECRET);
    assert!(matches!(bare.run(&stage.ledger, broadcast).await.unwrap(), Left::Trouble(_)));
    assert_eq!(receiver.events(), ["BroadcastFinished", "BroadcastStarted"]);
    assert!(receiver.taken().iter().all(|told| told.path == "/hooks/new"));
    assert_eq!(stage.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_pod_from_sending_is_told_before_it_leaves() {
    let stage = Stage::open(&[]).await;
    let receiver = Receiver::start(|_, _| 200);
    let broadcast = stage.declare(RATE, telling(5, &receiver)).await;
    let pod = stage.bare_pod("one");
    pod.write("audience/secret/hook/secret", SECRET);
    assert!(matches!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Trouble(_)));
    assert_eq!(receiver.events(), ["BroadcastStalled"]);
    let told = receiver.taken().remove(0).json();
    assert_eq!(told["data"]["reason"], "SecretNotFound");
    assert!(told["data"]["message"].as_str().unwrap().contains("`page`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_signing_secret_is_told_of_the_endpoint_alone() {
    let stage = Stage::open(&[]).await;
    let receiver = Receiver::start(|_, _| 200);
    let broadcast = stage.declare(RATE, telling(5, &receiver)).await;
    assert_eq!(stage.pod("one").run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    let snapshot = stage.snapshot(broadcast).await;
    assert_eq!((snapshot.counts.sent, snapshot.trouble), (5, None));
    assert_eq!(snapshot.outbox.unwrap().last_error.unwrap().reason, "SecretNotFound");
    assert!(receiver.told().is_empty());
}
