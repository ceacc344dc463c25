//! Endpoints are told how a broadcast goes by the pods that send it, and after its end by one that comes for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::kubectl::{await_that, list};
use super::receiver::Receiver;
use super::stage::{NODE_ADDRESS, Stage};

pub const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const EVERYTHING: [&str; 3] = ["BatchCompleted", "BroadcastFinished", "BroadcastStarted"];

/// A receiver that answers what `status` says now.
pub fn receiver(status: &Arc<AtomicU16>) -> Receiver {
    let status = status.clone();
    let address = std::env::var(NODE_ADDRESS).expect("set by dev/with-herald.sh");
    Receiver::start_at(&address, move |_, _| status.load(Ordering::SeqCst))
}

pub fn telling(receiver: &Receiver) -> String {
    format!(
        ", notifications: [{{name: crm, url: \"{}/hooks\", signingSecretKeyRef: {{name: hook, key: secret}}, \
         events: [BatchCompleted, BroadcastStarted, BroadcastStalled, BroadcastFinished]}}]",
        receiver.url
    )
}

pub fn hook() -> String {
    format!("{{apiVersion: v1, kind: Secret, metadata: {{name: hook}}, stringData: {{secret: \"{SECRET}\"}}}}")
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn an_endpoint_that_was_away_at_the_end_is_told_by_a_pod_that_comes_for_it() {
    let stage = Stage::with_channel("told", &[], 50);
    let status = Arc::new(AtomicU16::new(503));
    let receiver = receiver(&status);
    stage.apply(&hook());
    stage.apply(&stage.broadcast("sale", 20, &telling(&receiver)));
    stage.await_end("sale", "Delivered");
    await_that("the figures of what is not told", || {
        let sums = stage.status("sale")["notifications"].clone();
        sums["pending"] == 3 && sums["lastError"]["code"] == "503"
    });
    assert_eq!(receiver.taken().len(), 0);
    status.store(200, Ordering::SeqCst);
    await_that("the endpoint to be told", || receiver.taken().len() == 3);
    assert_eq!(receiver.events(), EVERYTHING);
    assert!(receiver.told().iter().all(|told| told.is_signed_by(SECRET)));
    await_that("the figures of what is told", || stage.status("sale")["notifications"]["delivered"] == 3);
    let jobs = list(&stage.namespace, "job", "herald.dev/broadcast=sale");
    let tells = |job: &&serde_json::Value| job["metadata"]["annotations"]["herald.dev/told-at-start"].is_string();
    assert!(jobs.iter().filter(tells).all(|job| job["spec"]["parallelism"] == 1), "{jobs:?}");
    assert_eq!(stage.record().len(), 20, "nobody was messaged again for it");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_stall_is_told_by_the_sender_that_found_it() {
    let stage = Stage::with_channel("stall", &[], 50);
    let receiver = receiver(&Arc::new(AtomicU16::new(200)));
    stage.apply(&hook());
    let wanted = stage.broadcast("sale", 2, &telling(&receiver)).replace(
        "audience: {",
        "audience: {sources: [{name: people, configMapKeyRef: {name: nobody, key: people.csv}}], ",
    );
    stage.apply(&wanted);
    stage.await_condition("sale", "Stalled", "AudienceUnreadable");
    await_that("the stall to be told", || receiver.events() == ["BroadcastStalled"]);
    assert_eq!(receiver.taken()[0].json()["data"]["reason"], "AudienceUnreadable");
}
