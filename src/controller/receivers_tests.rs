use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::controller::fake_cluster::FakeCluster;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::ManualClock;

const POD: &str = "/api/v1/namespaces/a/pods/acme-receiver-1-x";
const REPLICA_SET: &str = "/apis/apps/v1/namespaces/a/replicasets/acme-receiver-1";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/a/deployments/acme-receiver";
const CHANNEL: &str = "/apis/herald.dev/v1alpha1/namespaces/a/messagechannels/acme";
/// Seconds since 1970.
const NOW: i64 = 1_800_000_000;

fn object(name: &str, uid: &str, owner: [&str; 4]) -> Value {
    let [api_version, kind, owner, owner_uid] = owner;
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": owner, "uid": owner_uid, "controller": true});
    json!({"metadata": {"name": name, "namespace": "a", "uid": uid, "ownerReferences": [owner]}})
}

fn channel(uid: &str, enabled: bool) -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "MessageChannel",
        "metadata": {"name": "acme", "namespace": "a", "uid": uid},
        "spec": {"messenger": {"pageID": "1029"}, "credentialsSecretRef": {"name": "acme"}, "receiver": {"enabled": enabled}},
    })
}

fn token() -> SecretString {
    let claims = json!({"aud": ["herald"], "exp": NOW + 3_600}).to_string();
    let [head, payload, signature] =
        [r#"{"alg":"RS256"}"#, &claims, "of the cluster"].map(|part| URL_SAFE_NO_PAD.encode(part));
    SecretString::from(format!("{head}.{payload}.{signature}"))
}

fn cluster() -> FakeCluster {
    let cluster = FakeCluster::default();
    cluster.set_review(json!({
        "authenticated": true,
        "audiences": ["herald"],
        "user": {
            "username": "system:serviceaccount:a:default",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["acme-receiver-1-x"],
                "authentication.kubernetes.io/pod-uid": ["pod-uid"],
            },
        },
    }));
    cluster.put(POD, object("acme-receiver-1-x", "pod-uid", ["apps/v1", "ReplicaSet", "acme-receiver-1", "set-uid"]));
    cluster.put(
        REPLICA_SET,
        object("acme-receiver-1", "set-uid", ["apps/v1", "Deployment", "acme-receiver", "deployment-uid"]),
    );
    let owner = ["herald.dev/v1alpha1", "MessageChannel", "acme", "channel-uid"];
    cluster.put(DEPLOYMENT, object("acme-receiver", "deployment-uid", owner));
    cluster.put(CHANNEL, channel("channel-uid", true));
    cluster
}

async fn serves(cluster: &FakeCluster) -> Result<AccountKey, Denied> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(NOW)));
    Identity::of_receivers(cluster.client(), clock, Arc::default()).serves(&token()).await
}

#[tokio::test]
async fn a_token_is_followed_from_its_pod_to_the_account_of_its_one_channel() {
    let account = serves(&cluster()).await.unwrap();
    let AccountKey { namespace, provider, account, host } = &account;
    assert_eq!([namespace, provider, account, host], ["a", "messenger", "1029", "graph.facebook.com"]);
}

#[tokio::test]
async fn the_service_account_that_a_channel_names_for_its_pods_opens_no_more() {
    let cluster = cluster();
    let mut review = json!({
        "authenticated": true,
        "audiences": ["herald"],
        "user": {
            "username": "system:serviceaccount:a:senders",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["acme-receiver-1-x"],
                "authentication.kubernetes.io/pod-uid": ["pod-uid"],
            },
        },
    });
    cluster.set_review(review.clone());
    assert_eq!(serves(&cluster).await.unwrap().account, "1029");
    review["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!(["another"]);
    cluster.set_review(review);
    assert!(matches!(serves(&cluster).await, Err(Denied::Gone(_))));
}

#[tokio::test]
async fn a_chain_that_leads_to_no_channel_is_forbidden() {
    for (path, name, uid) in [
        (POD, "acme-receiver-1-x", "pod-uid"),
        (REPLICA_SET, "acme-receiver-1", "set-uid"),
        (DEPLOYMENT, "acme-receiver", "deployment-uid"),
    ] {
        for owner in
            [["batch/v1", "Job", "spring-1", "job-uid"], ["other.dev/v1", "MessageChannel", "acme", "channel-uid"]]
        {
            let cluster = cluster();
            cluster.put(path, object(name, uid, owner));
            let refused = serves(&cluster).await;
            assert!(matches!(refused, Err(Denied::Forbidden(_))), "{path}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn what_is_gone_or_was_made_anew_under_its_name_lets_nobody_in() {
    for path in [POD, REPLICA_SET, DEPLOYMENT, CHANNEL] {
        let cluster = cluster();
        cluster.remove(path);
        assert!(matches!(serves(&cluster).await, Err(Denied::Gone(_))), "{path}");
    }
    let cluster = cluster();
    cluster.put(CHANNEL, channel("another-uid", true));
    assert!(matches!(serves(&cluster).await, Err(Denied::Gone(_))));
    cluster.put(CHANNEL, channel("channel-uid", false));
    assert!(matches!(serves(&cluster).await, Err(Denied::Gone(_))));
}
