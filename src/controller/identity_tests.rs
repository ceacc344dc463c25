use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::api::{BroadcastMessage, MessageChannel};
use crate::controller::admissions::{MAX_ADMISSIONS, YES_FOR};
use crate::controller::fake_cluster::FakeCluster;
use crate::controller::strangers::{STRANGER_INTERVAL, STRANGERS_TOGETHER};
use crate::delivery::time::Timestamp;
use crate::ledger::clock::ManualClock;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{AccountKey, BroadcastId, Declaration};

const POD: &str = "/api/v1/namespaces/a/pods/spring-1-x";
const JOB: &str = "/apis/batch/v1/namespaces/a/jobs/spring-1";
const BROADCAST: &str = "/apis/herald.dev/v1alpha1/namespaces/a/broadcastmessages/spring";
/// Seconds since 1970.
const NOW: i64 = 1_800_000_000;

struct World {
    cluster: FakeCluster,
    identity: Identity<Senders<SqliteLedger>>,
    broadcast: BroadcastId,
}

fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true}])
}

fn object(name: &str, uid: &str, owners: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "a", "uid": uid, "ownerReferences": owners}})
}

fn review() -> Value {
    json!({
        "authenticated": true,
        "audiences": ["herald"],
        "user": {
            "username": "system:serviceaccount:a:default",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["spring-1-x"],
                "authentication.kubernetes.io/pod-uid": ["pod-uid"],
            },
        },
    })
}

fn signed(end: i64, signature: &str) -> SecretString {
    let claims = json!({"aud": ["herald"], "exp": end}).to_string();
    let [head, payload, signature] =
        [r#"{"alg":"RS256"}"#, &claims, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
    SecretString::from(format!("{head}.{payload}.{signature}"))
}

fn token_until(end: i64) -> SecretString {
    signed(end, "of the cluster")
}

/// One of many that anybody can make.
fn forged(number: usize) -> SecretString {
    signed(NOW + 3_600, &format!("forged {number}"))
}

fn reviews(world: &World) -> usize {
    world.cluster.count(&Method::POST, "/tokenreviews")
}

/// Lets what runs beside the work go on, with the time of the test standing.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn token() -> SecretString {
    token_until(NOW + 3_600)
}

async fn declare(ledger: &SqliteLedger, name: &str, uid: &str) -> BroadcastId {
    let broadcast: BroadcastMessage = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": name, "namespace": "a", "uid": uid, "generation": 1},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
    }))
    .unwrap();
    let channel: MessageChannel = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel", "metadata": {"name": "page"},
        "spec": {"http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 1, "periodSeconds": 1}},
    }))
    .unwrap();
    let account = AccountKey::of("a", &channel.spec).unwrap();
    let declaration = Declaration::of(&broadcast, &channel.spec, account).unwrap();
    ledger.declare(&declaration).await.unwrap().id
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp(NOW * 1_000_000_000)));
    let ledger = Arc::new(SqliteLedger::in_memory(clock.clone()).await.unwrap());
    let broadcast = declare(&ledger, "spring", "broadcast-uid").await;
    declare(&ledger, "other", "other-uid").await;
    let cluster = FakeCluster::default();
    cluster.set_review(review());
    cluster.put(POD, object("spring-1-x", "pod-uid", owner("batch/v1", "Job", "spring-1", "job-uid")));
    let owners = owner("herald.dev/v1alpha1", "BroadcastMessage", "spring", "broadcast-uid");
    cluster.put(JOB, object("spring-1", "job-uid", owners));
    cluster.put(BROADCAST, object("spring", "broadcast-uid", json!([])));
    let identity = Identity::new(cluster.client(), ledger, clock, Arc::default());
    World { cluster, identity, broadcast }
}

#[tokio::test]
async fn a_token_is_followed_from_its_pod_to_its_one_broadcast() {
    let world = world().await;
    let admitted = world.identity.admit(&token()).await;
    assert_eq!(admitted, Ok(Admitted { broadcast: world.broadcast, pod: "spring-1-x".to_owned() }));
    let asked = world.cluster.asked();
    assert_eq!(asked[0].body["spec"]["audiences"], json!(["herald"]));
}

#[tokio::test]
async fn what_the_cluster_does_not_vouch_for_is_unauthorized() {
    for (change, value) in [
        ("/authenticated", json!(false)),
        ("/audiences", json!(["https://kubernetes.default.svc"])),
        ("/audiences", json!([])),
        ("/user/username", json!("jane")),
        ("/user/extra", json!({})),
        ("/user/extra/authentication.kubernetes.io~1pod-uid", json!([""])),
    ] {
        let world = world().await;
        let mut status = review();
        *status.pointer_mut(change).unwrap() = value;
        world.cluster.set_review(status);
        let admitted = world.identity.admit(&token()).await;
        assert!(matches!(admitted, Err(Denied::Unauthorized(_))), "{change}: {admitted:?}");
    }
}

#[tokio::test]
async fn a_chain_that_leads_to_no_broadcast_is_forbidden() {
    let world = world().await;
    world.cluster.put(POD, object("spring-1-x", "pod-uid", json!([])));
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Forbidden(_))));
    let world = self::world().await;
    world.cluster.put(JOB, object("spring-1", "job-uid", owner("batch/v1", "CronJob", "nightly", "cron-uid")));
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Forbidden(_))));
    // An owner of the same kind in another group is no BroadcastMessage.
    let world = self::world().await;
    let owners = owner("evil.example/v1", "BroadcastMessage", "spring", "broadcast-uid");
    world.cluster.put(JOB, object("spring-1", "job-uid", owners));
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Forbidden(_))));
}

#[tokio::test]
async fn a_link_that_is_gone_or_another_object_by_now_is_gone() {
    for (path, name, owners) in [
        (POD, "spring-1-x", owner("batch/v1", "Job", "spring-1", "job-uid")),
        (JOB, "spring-1", owner("herald.dev/v1alpha1", "BroadcastMessage", "spring", "broadcast-uid")),
        (BROADCAST, "spring", json!([])),
    ] {
        let world = world().await;
        world.cluster.put(path, object(name, "another-uid", owners));
        assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Gone(_))), "{path}");
        let world = self::world().await;
        world.cluster.remove(path);
        assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Gone(_))), "{path}");
    }
}

#[tokio::test]
async fn owners_are_looked_up_in_the_namespace_of_the_pod_alone() {
    let world = world().await;
    let mut status = review();
    status["user"]["username"] = json!("system:serviceaccount:b:default");
    world.cluster.set_review(status);
    let forged = object("spring-1-x", "pod-uid", owner("batch/v1", "Job", "spring-1", "job-uid"));
    world.cluster.put("/api/v1/namespaces/b/pods/spring-1-x", forged);
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Gone(_))));
}

#[tokio::test]
async fn a_yes_outlives_an_outage_of_the_api_server_but_not_its_time() {
    let world = world().await;
    tokio::time::pause();
    assert!(world.identity.admit(&token()).await.is_ok());
    world.cluster.set_down(true);
    tokio::time::advance(YES_FOR - Duration::from_secs(1)).await;
    assert!(world.identity.admit(&token()).await.is_ok());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Unavailable(_))));
    world.cluster.set_down(false);
    assert!(world.identity.admit(&token()).await.is_ok(), "an outage is not remembered");
}

#[tokio::test]
async fn a_yes_is_not_believed_beyond_the_end_of_its_token() {
    let world = world().await;
    tokio::time::pause();
    let short = token_until(NOW + 30);
    assert!(world.identity.admit(&short).await.is_ok());
    world.cluster.set_review(json!({"authenticated": false}));
    assert!(world.identity.admit(&short).await.is_ok());
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(matches!(world.identity.admit(&short).await, Err(Denied::Unauthorized(_))));
}

#[tokio::test]
async fn a_yes_is_renewed_beside_the_work_so_that_an_outage_stops_no_sender_at_any_time() {
    let world = world().await;
    let ledger_is_asked = || async { world.identity.0.follow.ledger.find("").await.unwrap() };
    tokio::time::pause();
    assert!(world.identity.admit(&token()).await.is_ok());
    tokio::time::advance(YES_FOR / 2 - Duration::from_secs(1)).await;
    assert!(world.identity.admit(&token()).await.is_ok());
    assert_eq!(reviews(&world), 1, "it is young");
    tokio::time::advance(Duration::from_secs(2)).await;
    for _ in 0..3 {
        assert!(world.identity.admit(&token()).await.is_ok());
        settle().await;
        ledger_is_asked().await;
        settle().await;
    }
    assert_eq!(reviews(&world), 2, "once");

    world.cluster.set_down(true);
    tokio::time::advance(YES_FOR - Duration::from_secs(10)).await;
    assert!(world.identity.admit(&token()).await.is_ok(), "the first yes would have ended by now");
    settle().await;
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Unavailable(_))));
}

#[tokio::test]
async fn a_renewal_that_is_a_no_ends_the_yes() {
    let world = world().await;
    tokio::time::pause();
    assert!(world.identity.admit(&token()).await.is_ok());
    world.cluster.remove(POD);
    tokio::time::advance(YES_FOR / 2).await;
    assert!(world.identity.admit(&token()).await.is_ok());
    settle().await;
    assert!(matches!(world.identity.admit(&token()).await, Err(Denied::Gone(_))));
}

#[tokio::test]
async fn a_token_that_cannot_be_a_sender_s_by_its_own_words_costs_no_call() {
    let world = world().await;
    for bad in ["", "opaque", "a.b.c"] {
        assert!(matches!(world.identity.admit(&SecretString::from(bad)).await, Err(Denied::Unauthorized(_))));
    }
    assert!(matches!(world.identity.admit(&token_until(NOW - 3_600)).await, Err(Denied::Unauthorized(_))));
    assert_eq!(world.cluster.asked().len(), 0);
}

#[tokio::test]
async fn strangers_have_a_share_of_the_calls_and_take_no_turn_of_a_sender() {
    let world = world().await;
    tokio::time::pause();
    assert!(world.identity.admit(&token()).await.is_ok());
    tokio::time::advance(YES_FOR + Duration::from_secs(1)).await;
    world.cluster.set_review(json!({"authenticated": false}));
    let before = reviews(&world);
    let flood = futures::future::join_all((0..500).map(async |number| {
        let token = forged(number);
        world.identity.admit(&token).await
    }));
    let begun = Instant::now();
    let answers = flood.await;
    let asked = reviews(&world) - before;
    let allowed =
        STRANGERS_TOGETHER as usize + (begun.elapsed().as_millis() / STRANGER_INTERVAL.as_millis()) as usize + 1;
    assert!(asked <= allowed && asked >= STRANGERS_TOGETHER as usize, "{asked} reviews in {:?}", begun.elapsed());
    assert!(answers.iter().any(|answer| matches!(answer, Err(Denied::Unavailable(_)))), "the rest is turned away");

    // The strangers' places are all taken, and nobody answers them.
    world.cluster.leave_unanswered(Method::POST, "/tokenreviews");
    tokio::time::advance(Duration::from_secs(60)).await;
    let waiting: Vec<_> = (500..520).map(forged).collect();
    let mut stuck = Box::pin(futures::future::join_all(waiting.iter().map(|token| world.identity.admit(token))));
    assert!(futures::poll!(&mut stuck).is_pending());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(futures::poll!(&mut stuck).is_pending());
    world.cluster.mend();
    world.cluster.set_review(review());
    assert!(world.identity.admit(&token()).await.is_ok(), "it was admitted before");
}

#[tokio::test]
async fn a_no_is_remembered_shortly_and_makes_room_for_a_yes() {
    let world = world().await;
    tokio::time::pause();
    world.cluster.set_review(json!({"authenticated": false}));
    for number in 0..MAX_ADMISSIONS {
        tokio::time::advance(STRANGER_INTERVAL).await;
        assert!(matches!(world.identity.admit(&forged(number)).await, Err(Denied::Unauthorized(_))));
    }
    let before = reviews(&world);
    assert!(world.identity.admit(&forged(MAX_ADMISSIONS - 1)).await.is_err());
    assert_eq!(reviews(&world), before, "it is remembered");
    world.cluster.set_review(review());
    assert!(world.identity.admit(&token()).await.is_ok());
    world.cluster.set_down(true);
    assert!(world.identity.admit(&token()).await.is_ok(), "the yes is kept");
    assert!(world.identity.0.admissions.len() <= MAX_ADMISSIONS);
}
