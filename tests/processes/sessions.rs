//! One sender's session against the same ledger and provider, without the process around it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use herald::delivery::gate::Closed;
use herald::delivery::time::Span;
use herald::ledger::random::random_id;
use herald::ledger::sqlite::SqliteLedger;
use herald::ledger::{BroadcastId, Declaration, Ledger, SenderLedger};
use herald::sender::mounts::{Folders, MountedCredentials};
use herald::sender::{Bells, Ended, Journal, Left, Session, Transport, assembly};
use serde_json::json;
use tokio::sync::watch;

use super::sender::{RATE, with};
use super::sender_pod::stage::{Pod, Stage};

/// A session as the process of this pod would begin it, with its flight journal there.
async fn session(stage: &Stage, pod: &Pod, broadcast: BroadcastId, journal: PathBuf) -> Session<SqliteLedger> {
    let brief = stage.ledger.brief(broadcast).await.unwrap();
    let folders = Folders::of_pod(&pod.root);
    let (folder, namespace) = (folders.credentials.as_path(), "default");
    let credentials = MountedCredentials { folder, secret: Some("page"), is_whole: true, namespace };
    let provider = assembly::provider(&brief.orders.channel, &credentials).unwrap();
    Session {
        ledger: stage.ledger.clone(),
        broadcast,
        holder: random_id(),
        display: "one".to_owned(),
        transport: Transport::new(provider.endpoint()).unwrap(),
        provider,
        journal: Arc::new(Journal::open(&journal).unwrap().0),
        content: brief.content,
        plan: Some(brief.plan),
        patience: None,
        retry_credentials: false,
        bells: Bells::default(),
    }
}

/// Declares it suspended and has it planned; returns what to declare for it to be sent.
async fn planned(stage: &Stage, pod: &Pod, declaration: Declaration) -> (BroadcastId, Declaration) {
    let broadcast = stage.ledger.declare(&Declaration { suspended: true, ..declaration.clone() }).await.unwrap().id;
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Suspended));
    (broadcast, Declaration { generation: declaration.generation + 1, ..declaration })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sends_nothing_of_a_plan_that_it_was_not_made_for() {
    let stage = Stage::open(&[]).await;
    let pod = stage.pod("one");
    let suspended = with(Stage::to_people(3), "/suspend", json!(true));
    let broadcast = stage.declare(RATE, suspended).await;
    pod.run(&stage.ledger, broadcast).await.unwrap();
    let old = stage.ledger.brief(broadcast).await.unwrap();
    // Edited before anybody was attempted, and planned anew by another sender.
    let edited = with(Stage::to_people(3), "/content", json!({"text": "Edited"}));
    let edited = Declaration { suspended: true, ..stage.declaration(2, RATE, edited) };
    stage.ledger.declare(&edited).await.unwrap();
    pod.run(&stage.ledger, broadcast).await.unwrap();
    stage.ledger.declare(&Declaration { suspended: false, generation: 3, ..edited }).await.unwrap();

    let (_stop, stopped) = watch::channel(false);
    let session = session(&stage, &pod, broadcast, stage.folder.path().join("journal")).await;
    let session = Session { plan: Some(old.plan), ..session };
    assert_eq!(session.run(stopped).await.unwrap(), Ended::Replanned);
    assert!(stage.requests().is_empty());
    assert_eq!(stage.snapshot(broadcast).await.counts.pending, 3);
    assert_eq!(pod.run(&stage.ledger, broadcast).await.unwrap(), Left::Closed(Closed::Complete));
    assert_eq!(stage.snapshot(broadcast).await.counts.sent, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_came_with_an_answer_are_given_back_when_the_journal_fails_on_it() {
    /// Beyond this size a journal is written anew.
    const LARGE: usize = 5 * 1024 * 1024;
    let stage = Stage::open(&[]).await;
    let pod = stage.pod("one");
    let (broadcast, declaration) = planned(&stage, &pod, stage.declaration(1, RATE, Stage::to_people(3))).await;
    stage.ledger.declare(&declaration).await.unwrap();
    let journal = stage.folder.path().join("journal");
    std::fs::write(&journal, "\n".repeat(LARGE)).unwrap();
    // In the way of the new file.
    std::fs::create_dir(stage.folder.path().join("journal.new")).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let failed = session(&stage, &pod, broadcast, journal).await.run(stopped).await.unwrap_err();
    assert!(failed.to_string().contains("the flight journal"), "{failed}");
    let counts = stage.snapshot(broadcast).await.counts;
    assert_eq!((counts.pending, counts.inflight), (3, 0), "nobody is left to become unknown");
    assert!(stage.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_brought_forward_is_not_slept_through() {
    let stage = Stage::open(&[]).await;
    let pod = stage.pod("one");
    let (broadcast, declaration) = planned(&stage, &pod, stage.declaration(1, RATE, Stage::to_people(3))).await;
    let in_an_hour = stage.snapshot(broadcast).await.now + Span::from_secs(3_600);
    stage.ledger.declare(&Declaration { start_at: Some(in_an_hour), ..declaration.clone() }).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let session = session(&stage, &pod, broadcast, stage.folder.path().join("journal")).await;
    let sending = tokio::spawn(session.run(stopped));
    // It has been told to wait for an hour.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(stage.requests().is_empty() && !sending.is_finished());
    let generation = declaration.generation + 1;
    stage.ledger.declare(&Declaration { generation, ..declaration }).await.unwrap();
    stage.await_requests(3).await;
    assert_eq!(sending.await.unwrap().unwrap(), Ended::Closed(Closed::Complete));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_rate_is_not_slept_through() {
    let stage = Stage::open(&[]).await;
    let pod = stage.pod("one");
    let once_an_hour = with(Stage::to_people(3), "/delivery", json!({"rate": {"messages": 1, "periodSeconds": 3600}}));
    let slow = stage.declaration(1, RATE, once_an_hour);
    let (broadcast, slow) = planned(&stage, &pod, slow).await;
    stage.ledger.declare(&slow).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let session = session(&stage, &pod, broadcast, stage.folder.path().join("journal")).await;
    let sending = tokio::spawn(session.run(stopped));
    stage.await_requests(1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.requests().len(), 1, "the next one is due in an hour");
    let raised = stage.declaration(slow.generation + 1, RATE, Stage::to_people(3));
    stage.ledger.declare(&raised).await.unwrap();
    stage.await_requests(3).await;
    assert_eq!(sending.await.unwrap().unwrap(), Ended::Closed(Closed::Complete));
}
