#![cfg(test)]

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::controller::fake_cluster::{Asked, FakeCluster};

const PATH: &str = "/apis/herald.dev/v1alpha1/namespaces/marketing/broadcastmessages/";

fn cluster(fake: &FakeCluster) -> Cluster {
    Cluster { client: fake.client(), namespace: "marketing".to_owned() }
}

fn wished(names: &[&str]) -> WishOptions {
    WishOptions { names: names.iter().map(|name| (*name).to_owned()).collect(), timeout: 5 }
}

/// As the operator has left it: its status is of this generation.
fn broadcast(name: &str, generation: i64, observed: i64, conditions: Value) -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": name, "namespace": "marketing", "generation": generation},
        "spec": {"channelRef": {"name": "page"}, "audience": {"recipients": [{"id": "1"}]}, "content": {"text": "Hi"}},
        "status": {
            "observedGeneration": observed,
            "conditions": conditions,
            "recipients": {"planned": 10, "pending": 6, "sent": 4, "failed": 0, "skipped": 0, "unknown": 0},
        },
    })
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "words",
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn patches(fake: &FakeCluster) -> Vec<Asked> {
    fake.asked().into_iter().filter(|asked| asked.method == Method::PATCH).collect()
}

#[tokio::test]
async fn each_wish_changes_its_one_field_and_nothing_else() {
    for (wish, spec) in [
        (Wish::Pause, json!({"suspend": true})),
        (Wish::Resume, json!({"suspend": null})),
        (Wish::Cancel, json!({"cancel": true})),
    ] {
        let fake = FakeCluster::default();
        fake.put(&format!("{PATH}spring"), broadcast("spring", 3, 3, json!([])));
        ask(&cluster(&fake), wish, "spring").await.unwrap();
        let patches = patches(&fake);
        assert_eq!(patches.len(), 1);
        assert_eq!(patches[0].body, json!({"spec": spec}));
        assert!(patches[0].query.contains("fieldManager=herald-cli"), "{}", patches[0].query);
    }
}

#[tokio::test]
async fn resume_takes_the_field_out_whoever_has_set_it() {
    let fake = FakeCluster::default();
    let mut paused = broadcast("spring", 3, 3, json!([]));
    paused["spec"]["suspend"] = json!(true);
    fake.put(&format!("{PATH}spring"), paused);
    ask(&cluster(&fake), Wish::Resume, "spring").await.unwrap();
    assert!(fake.get(&format!("{PATH}spring")).unwrap()["spec"].get("suspend").is_none());
}

#[tokio::test]
async fn a_stop_is_asked_for_though_nothing_can_be_read() {
    let fake = FakeCluster::default();
    fake.put(&format!("{PATH}spring"), broadcast("spring", 3, 3, json!([])));
    fake.refuse(Method::GET, "broadcastmessages", 403, "Forbidden", "you may not get it");
    ask(&cluster(&fake), Wish::Pause, "spring").await.unwrap();
    assert_eq!(fake.get(&format!("{PATH}spring")).unwrap()["spec"]["suspend"], true);
}

#[tokio::test]
async fn a_spec_of_another_version_can_be_stopped() {
    let fake = FakeCluster::default();
    let mut newer = broadcast("spring", 3, 3, json!([condition("Suspended", "True", "Suspended")]));
    newer["spec"]["content"] = json!({"carousel": []});
    newer["status"]["state"] = json!("OfANewerVersion");
    fake.put(&format!("{PATH}spring"), newer);
    express(&cluster(&fake), Wish::Pause, &wished(&["spring"])).await.unwrap();
}

#[tokio::test]
async fn one_that_is_missing_keeps_no_other_from_being_stopped() {
    let fake = FakeCluster::default();
    fake.put(&format!("{PATH}summer"), broadcast("summer", 3, 3, json!([condition("Suspended", "True", "Suspended")])));
    let error = express(&cluster(&fake), Wish::Pause, &wished(&["missing", "summer"])).await.unwrap_err().to_string();
    assert!(error.contains("no BroadcastMessage missing in the namespace marketing"), "{error}");
    assert_eq!(fake.get(&format!("{PATH}summer")).unwrap()["spec"]["suspend"], true);
}

#[tokio::test]
async fn what_the_operator_has_not_said_is_not_claimed() {
    let fake = FakeCluster::default();
    tokio::time::pause();
    let paused = json!([condition("Suspended", "True", "Suspended")]);
    fake.put(&format!("{PATH}spring"), broadcast("spring", 4, 3, paused.clone()));
    let error = express(&cluster(&fake), Wish::Pause, &wished(&["spring"])).await.unwrap_err().to_string();
    assert!(error.contains("has not said within 5 s"), "{error}");
    // It does, while it is awaited.
    let waiting = tokio::spawn({
        let cluster = cluster(&fake);
        async move { express(&cluster, Wish::Pause, &wished(&["spring"])).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());
    let mut seen = broadcast("spring", 4, 4, paused);
    seen["spec"]["suspend"] = json!(true);
    fake.put(&format!("{PATH}spring"), seen);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn with_no_time_to_wait_nobody_waits() {
    let fake = FakeCluster::default();
    fake.put(&format!("{PATH}spring"), broadcast("spring", 4, 3, json!([])));
    express(&cluster(&fake), Wish::Cancel, &WishOptions { timeout: 0, ..wished(&["spring"]) }).await.unwrap();
}

#[tokio::test]
async fn what_came_of_a_wish_is_told_by_spec_and_status() {
    let of = async |wish: Wish, suspend: bool, conditions: Value| {
        let fake = FakeCluster::default();
        let mut object = broadcast("spring", 4, 4, conditions);
        object["spec"]["suspend"] = json!(suspend);
        fake.put(&format!("{PATH}spring"), object);
        let answer = acknowledgement::wait(&cluster(&fake), "spring", 4, Duration::from_secs(5)).await.unwrap();
        told(wish, "spring", &answer, 5)
    };
    let suspended = json!([condition("Suspended", "True", "Suspended")]);
    let going = json!([condition("Suspended", "False", "NotSuspended"), condition("Finished", "False", "Sending")]);
    // What has no plan yet is suspended by its spec, and the condition comes with the plan.
    let unplanned = json!([condition("Suspended", "False", "NotSuspended"), condition("Ready", "False", "NotPlanned")]);
    let blocked =
        json!([condition("Suspended", "True", "ProviderBlocked"), condition("Stalled", "True", "ProviderBlocked")]);
    let ended = json!([condition("Finished", "True", "Delivered")]);
    let balance = "4 sent, 6 pending of 10 planned";
    for conditions in [suspended.clone(), unplanned, blocked.clone()] {
        assert_eq!(of(Wish::Pause, true, conditions).await, Ok(format!("spring is paused: {balance}")));
    }
    assert_eq!(of(Wish::Resume, false, going.clone()).await, Ok(format!("spring goes on: {balance}")));
    assert_eq!(of(Wish::Cancel, false, going.clone()).await, Ok(format!("spring is cancelled: {balance}")));
    assert_eq!(of(Wish::Cancel, true, suspended.clone()).await, Ok(format!("spring is cancelled: {balance}")));
    assert_eq!(of(Wish::Pause, true, ended).await, Ok(format!("spring has ended (Delivered): {balance}")));
    assert!(of(Wish::Resume, false, blocked).await.unwrap_err().contains("held (ProviderBlocked): words"));
    for (wish, suspend, conditions) in [(Wish::Pause, false, going), (Wish::Resume, true, suspended)] {
        assert!(of(wish, suspend, conditions).await.unwrap_err().contains("somebody has set spec.suspend otherwise"));
    }
}

#[tokio::test]
async fn what_is_cancelled_and_has_not_ended_yet_is_not_said_to_go_on() {
    for wish in [Wish::Resume, Wish::Pause] {
        let fake = FakeCluster::default();
        let mut object = broadcast("spring", 4, 4, json!([condition("Finished", "False", "Cancelled")]));
        object["spec"]["cancel"] = json!(true);
        fake.put(&format!("{PATH}spring"), object);
        let error = express(&cluster(&fake), wish, &wished(&["spring"])).await.unwrap_err().to_string();
        assert!(error.contains("spring is cancelled, which nobody can take back"), "{error}");
    }
}

#[test]
fn whose_sync_may_undo_a_wish_is_known() {
    let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "fieldsV1": fields});
    let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
        entry("argocd-controller", json!({"f:spec": {"f:suspend": {}}})),
        entry("kustomize-controller", json!({"f:spec": {"f:content": {}}})),
        entry("kubectl-patch", json!({"f:spec": {"f:suspend": {}}})),
        entry("herald-cli", json!({"f:spec": {"f:suspend": {}}})),
    ]}))
    .unwrap();
    assert_eq!(others(&metadata, "suspend"), ["argocd-controller"]);
    assert_eq!(others(&metadata, "cancel"), Vec::<String>::new());
}
