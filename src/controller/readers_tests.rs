use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::api::MessageChannel;
use crate::controller::fake_cluster::FakeCluster;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::ManualClock;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{AccountKey, BroadcastId, Declaration};

const BROADCAST: &str = "/apis/herald.dev/v1alpha1/namespaces/a/broadcastmessages/spring";
const USER: &str = "system:serviceaccount:a:herald-reader";
/// Seconds since 1970.
const NOW: i64 = 1_800_000_000;

struct World {
    cluster: FakeCluster,
    readers: Readers<SqliteLedger>,
    broadcast: BroadcastId,
}

fn review() -> Value {
    json!({
        "authenticated": true,
        "audiences": ["herald"],
        "user": {
            "username": USER,
            "uid": "account-uid",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:a"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
        },
    })
}

fn token(number: usize) -> SecretString {
    let claims = json!({"aud": ["herald"], "exp": NOW + 600, "jti": number}).to_string();
    let [head, payload, signature] =
        [r#"{"alg":"RS256"}"#, &claims, "of the cluster"].map(|part| URL_SAFE_NO_PAD.encode(part));
    SecretString::from(format!("{head}.{payload}.{signature}"))
}

async fn declare(ledger: &SqliteLedger) -> BroadcastId {
    let broadcast: BroadcastMessage = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": "spring", "namespace": "a", "uid": "broadcast-uid", "generation": 1},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
    }))
    .unwrap();
    let channel: MessageChannel = serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel", "metadata": {"name": "page"},
        "spec": {"http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 1, "periodSeconds": 1}},
    }))
    .unwrap();
    let account = AccountKey::of("a", &channel.spec).unwrap();
    ledger.declare(&Declaration::of(&broadcast, &channel.spec, account).unwrap()).await.unwrap().id
}

async fn world() -> World {
    let clock = Arc::new(ManualClock::new(Timestamp(NOW * 1_000_000_000)));
    let ledger = Arc::new(SqliteLedger::in_memory(clock.clone()).await.unwrap());
    let broadcast = declare(&ledger).await;
    let cluster = FakeCluster::default();
    cluster.set_review(review());
    cluster.allow(USER, "get", "a", "spring");
    cluster.put(BROADCAST, json!({"metadata": {"name": "spring", "namespace": "a", "uid": "broadcast-uid"}}));
    let readers = Readers::new(cluster.client(), ledger, clock, Arc::default());
    World { cluster, readers, broadcast }
}

impl World {
    async fn ask(&self, number: usize) -> Result<Reader, NotReadable> {
        ReaderGate::admit(&self.readers, &token(number), "a", "spring").await
    }
}

#[tokio::test]
async fn who_may_get_the_broadcastmessage_reads_its_results() {
    let world = world().await;
    assert_eq!(world.ask(0).await, Ok(Reader { broadcast: world.broadcast }));
    let asked = world.cluster.asked();
    let access = asked.iter().find(|asked| asked.path.ends_with("/subjectaccessreviews")).unwrap();
    let spec = &access.body["spec"];
    assert_eq!(spec["user"], USER);
    assert_eq!(spec["groups"], json!(["system:serviceaccounts", "system:serviceaccounts:a"]));
    assert_eq!(spec["extra"]["authentication.kubernetes.io/credential-id"], json!(["JTI=1"]));
    let attributes = json!({"group": "herald.dev", "resource": "broadcastmessages", "verb": "get",
        "namespace": "a", "name": "spring"});
    assert_eq!(spec["resourceAttributes"], attributes);
}

#[tokio::test]
async fn who_may_not_get_the_broadcastmessage_does_not_read_its_recipients() {
    let world = world().await;
    world.cluster.forbid_all();
    assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))));
    // Another verb, object or namespace is another right.
    world.cluster.allow(USER, "list", "a", "spring");
    world.cluster.allow(USER, "get", "a", "winter");
    world.cluster.allow(USER, "get", "b", "spring");
    world.cluster.allow("system:serviceaccount:b:herald-reader", "get", "a", "spring");
    assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))));
}

#[tokio::test]
async fn whether_a_broadcastmessage_exists_is_told_only_to_who_may_get_it() {
    let world = world().await;
    world.cluster.remove(BROADCAST);
    assert!(matches!(world.ask(0).await, Err(NotReadable::Gone(_))));
    world.cluster.forbid_all();
    assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))));
}

#[tokio::test]
async fn a_token_of_a_pod_reads_nothing_whatever_its_account_may_do() {
    for bound in [
        json!({"authentication.kubernetes.io/pod-name": ["spring-1-x"], "authentication.kubernetes.io/pod-uid": ["u"]}),
        json!({"authentication.kubernetes.io/pod-name": ["spring-1-x"]}),
        json!({"authentication.kubernetes.io/pod-uid": [""]}),
    ] {
        let world = world().await;
        let mut status = review();
        status["user"]["extra"] = bound.clone();
        world.cluster.set_review(status);
        assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))), "{bound}");
        assert_eq!(world.cluster.count(&Method::POST, "/subjectaccessreviews"), 0);
    }
}

#[tokio::test]
async fn what_the_cluster_does_not_vouch_for_is_unauthorized() {
    for (change, value) in [
        ("/authenticated", json!(false)),
        ("/audiences", json!(["https://kubernetes.default.svc"])),
        ("/user/username", json!("jane")),
    ] {
        let world = world().await;
        let mut status = review();
        *status.pointer_mut(change).unwrap() = value;
        world.cluster.set_review(status);
        assert!(matches!(world.ask(0).await, Err(NotReadable::Unauthorized(_))), "{change}");
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_asked_for_nowhere() {
    let world = world().await;
    let long = "x".repeat(64);
    for (namespace, name) in
        [("a", ""), ("", "spring"), ("a", "../x"), ("a/b", "spring"), ("a", "spring?x=y"), (long.as_str(), "spring")]
    {
        let asked = ReaderGate::admit(&world.readers, &token(0), namespace, name).await;
        assert!(matches!(asked, Err(NotReadable::Gone(_))), "{namespace} {name}");
    }
    assert_eq!(world.cluster.asked().len(), 0);
}

#[tokio::test]
async fn a_yes_is_believed_for_a_minute_and_for_its_own_broadcast_alone() {
    let world = world().await;
    tokio::time::pause();
    assert!(world.ask(0).await.is_ok());
    world.cluster.forbid_all();
    tokio::time::advance(YES_FOR - Duration::from_secs(1)).await;
    assert!(world.ask(0).await.is_ok());
    assert!(matches!(world.ask(1).await, Err(NotReadable::Forbidden(_))), "another token");
    let other = ReaderGate::admit(&world.readers, &token(0), "a", "winter").await;
    assert!(matches!(other, Err(NotReadable::Forbidden(_))), "another broadcast");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))), "a right that is gone");
    world.cluster.set_down(true);
    assert!(matches!(world.ask(2).await, Err(NotReadable::Unavailable(_))));
}

#[tokio::test]
async fn a_no_is_repeated_for_some_seconds_and_asks_the_cluster_nothing() {
    let world = world().await;
    tokio::time::pause();
    world.cluster.forbid_all();
    assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))));
    let asked = world.cluster.asked().len();
    world.cluster.allow(USER, "get", "a", "spring");
    for _ in 0..100 {
        assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))));
    }
    assert_eq!(world.cluster.asked().len(), asked);
    assert!(world.ask(1).await.is_ok(), "another token");
    tokio::time::advance(NO_FOR + Duration::from_millis(1)).await;
    assert!(world.ask(0).await.is_ok(), "a right that was given");
}

#[tokio::test]
async fn yeses_are_kept_within_their_bound() {
    let world = world().await;
    tokio::time::pause();
    for number in 0..MAX_KEPT + 5 {
        // Faster than they are forgotten, slower than strangers are turned away.
        tokio::time::advance(Duration::from_millis(110)).await;
        assert!(world.ask(number).await.is_ok());
    }
    assert_eq!(world.readers.kept(), MAX_KEPT);
}

const CHANNEL: &str = "/apis/herald.dev/v1alpha1/namespaces/a/messagechannels/page.eu";

async fn world_with_channel() -> World {
    let world = world().await;
    world.cluster.forbid_all();
    let spec = json!({"http": {"url": "http://127.0.0.1/"}, "rate": {"messages": 1, "periodSeconds": 1}});
    let channel = json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel",
        "metadata": {"name": "page.eu", "namespace": "a"}, "spec": spec,
    });
    world.cluster.put(CHANNEL, channel);
    world
}

impl World {
    async fn contacts(&self, number: usize, access: ContactsAccess) -> Result<AccountKey, NotReadable> {
        ContactsGate::admit(&self.readers, &token(number), "a", "page.eu", access).await
    }
}

#[tokio::test]
async fn who_may_get_a_channel_reads_its_contacts_and_who_may_update_it_changes_them() {
    use ContactsAccess::{Change, Read};
    for (verb, reads, changes) in [("get", true, false), ("update", false, true), ("list", false, false)] {
        let world = world_with_channel().await;
        world.cluster.allow_of(USER, verb, "messagechannels", "a", "page.eu");
        // The same of a broadcast of that name, or of another channel, is another right.
        world.cluster.allow_of(USER, "get", "broadcastmessages", "a", "page.eu");
        world.cluster.allow_of(USER, "update", "broadcastmessages", "a", "page.eu");
        world.cluster.allow_of(USER, "update", "messagechannels", "a", "other");
        world.cluster.allow_of(USER, "get", "messagechannels", "b", "page.eu");
        for (access, is_allowed) in [(Read, reads), (Change, changes), (Read, reads)] {
            let answer = world.contacts(0, access).await;
            assert_eq!(answer.is_ok(), is_allowed, "{verb} {access:?}: {answer:?}");
            assert!(is_allowed || matches!(answer, Err(NotReadable::Forbidden(_))), "{answer:?}");
        }
        // Nor does it open results.
        assert!(matches!(world.ask(0).await, Err(NotReadable::Forbidden(_))));
    }
}

#[tokio::test]
async fn the_account_is_that_of_the_channels_object() {
    let world = world_with_channel().await;
    world.cluster.allow_of(USER, "get", "messagechannels", "a", "page.eu");
    let account = world.contacts(0, ContactsAccess::Read).await.unwrap();
    assert_eq!(
        (account.namespace.as_str(), account.provider.as_str(), account.host.as_str()),
        ("a", "http", "127.0.0.1")
    );
}

#[tokio::test]
async fn whether_a_channel_exists_is_told_only_to_who_may_get_it() {
    let world = world_with_channel().await;
    world.cluster.remove(CHANNEL);
    assert!(matches!(world.contacts(0, ContactsAccess::Read).await, Err(NotReadable::Forbidden(_))));
    world.cluster.allow_of(USER, "get", "messagechannels", "a", "page.eu");
    assert!(matches!(world.contacts(1, ContactsAccess::Read).await, Err(NotReadable::Gone(_))));
}

#[tokio::test]
async fn a_token_of_a_pod_opens_no_contacts_whatever_its_account_may_do() {
    let world = world_with_channel().await;
    for verb in ["get", "update"] {
        world.cluster.allow_of(USER, verb, "messagechannels", "a", "page.eu");
    }
    let mut status = review();
    status["user"]["extra"] = json!({"authentication.kubernetes.io/pod-name": ["spring-1-x"]});
    world.cluster.set_review(status);
    for (number, access) in [(0, ContactsAccess::Read), (1, ContactsAccess::Change)] {
        assert!(matches!(world.contacts(number, access).await, Err(NotReadable::Forbidden(_))));
    }
}

#[tokio::test]
async fn names_of_channels_that_lead_elsewhere_are_asked_for_nowhere() {
    let world = world_with_channel().await;
    for (namespace, name) in
        [("a", ""), ("a", ".."), ("a", "page."), ("a", "page/status"), ("a.b", "page"), ("", "page")]
    {
        let asked = ContactsGate::admit(&world.readers, &token(0), namespace, name, ContactsAccess::Read).await;
        assert!(matches!(asked, Err(NotReadable::Gone(_))), "{namespace} {name}");
    }
    assert_eq!(world.cluster.asked().len(), 0);
}
