//! What keeps a broadcast from going on is said in its conditions, and mends itself once its cause is mended.

use super::kubectl::{await_that, kubectl};
use super::stage::{CANARY, Stage};

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_missing_secret_is_told_and_sending_begins_once_it_is_there() {
    let stage = Stage::open("secret", &[]);
    stage.apply(&stage.channel("page", 50, ""));
    stage.apply(&stage.broadcast("sale", 20, ""));
    let message = stage.await_condition("sale", "Stalled", "SecretNotFound");
    assert!(message.contains("page"), "{message}");
    stage.apply(&stage.secret());
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_missing_channel_is_told_and_sending_begins_once_it_is_there() {
    let stage = Stage::open("channel", &[]);
    stage.apply(&stage.broadcast("sale", 20, ""));
    stage.await_condition("sale", "Stalled", "ChannelNotFound");
    stage.apply(&stage.secret());
    stage.apply(&stage.channel("page", 50, ""));
    stage.await_end("sale", "Delivered");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_refused_plan_is_told_with_its_places_and_made_anew_once_mended() {
    let stage = Stage::with_channel("plan", &[], 50);
    let list = |csv: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: people}}, data: {{people.csv: \"{csv}\"}}}}")
    };
    let sale = "{apiVersion: herald.dev/v1alpha1, kind: BroadcastMessage, metadata: {name: sale}, spec: {\
         channelRef: {name: page}, content: {text: \"Hi {{ first_name }}\"}, audience: {sources: [\
         {name: people, configMapKeyRef: {name: people, key: people.csv}}]}}}";
    stage.apply(sale);
    stage.await_condition("sale", "Stalled", "AudienceUnreadable");
    stage.apply(&list("id,first_name\\nsale-1,Ana\\nsale-2,\\n"));
    let message = stage.await_condition("sale", "Stalled", "MessageInvalid");
    assert!(message.contains("first_name") && message.contains("line 3"), "{message}");
    stage.apply(&list("id,first_name\\nsale-1,Ana\\nsale-2,Ben\\n"));
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 2);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_sender_that_cannot_start_is_told_with_the_clusters_words() {
    let stage = Stage::open("start", &[]);
    stage.apply(&stage.secret());
    let unschedulable = ", sender: {resources: {requests: {cpu: \"900\"}}}";
    stage.apply(&stage.channel("page", 50, unschedulable));
    stage.apply(&stage.broadcast("sale", 20, ""));
    let message = stage.await_condition("sale", "Stalled", "SenderNotStarting");
    assert!(message.to_lowercase().contains("cpu"), "{message}");
    stage.apply(&stage.channel("page", 50, ""));
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_namespace_that_refuses_the_pods_is_told() {
    let stage = Stage::with_channel("quota", &[], 50);
    stage.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: none}, spec: {hard: {pods: \"0\"}}}");
    await_that("the quota counts", || {
        kubectl(&["-n", &stage.namespace, "get", "resourcequota", "none", "-o", "jsonpath={.status.hard.pods}"]) == "0"
    });
    stage.apply(&stage.broadcast("sale", 20, ""));
    let message = stage.await_condition("sale", "Stalled", "SenderNotStarting");
    assert!(message.contains("quota"), "{message}");
    stage.delete("resourcequota", "none");
    stage.await_end("sale", "Delivered");
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn refused_credentials_stop_the_channel_and_are_tried_again() {
    let stage = Stage::with_channel("credentials", &["--fail", "190=1"], 50);
    stage.apply(&stage.broadcast("sale", 20, ""));
    stage.await_condition("sale", "Stalled", "CredentialsInvalid");
    await_that("the channel says so", || {
        let channel = super::kubectl::find(&stage.namespace, "messagechannel", "page").unwrap();
        super::stage::condition(&channel["status"], "CredentialsVerified")
            .is_some_and(|found| found["status"] == "False")
    });
    stage.settings(r#"{"fail": []}"#);
    stage.await_end("sale", "Delivered");
    let accepted = stage.record().iter().filter(|line| line.accepted).count();
    assert_eq!(accepted, 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_token_is_nowhere_but_in_its_secret() {
    let stage = Stage::with_channel("canary", &[], 20);
    stage.apply(&stage.broadcast("sale", 60, ""));
    stage.await_requests(10);
    let pod = stage.await_sender_pod("sale");
    let of = |arguments: &[&str]| kubectl(&[&["-n", &stage.namespace], arguments].concat());
    let kinds = "broadcastmessages,messagebatches,messagechannels,jobs,pods,events";
    let objects = of(&["get", kinds, "-o", "yaml"]);
    let statuses =
        of(&["get", "broadcastmessages,messagebatches,messagechannels", "-o", "jsonpath={.items[*].status}"]);
    let events = of(&["get", "events", "-o", "yaml"]);
    let sender = of(&["logs", &pod]);
    let operator = kubectl(&["-n", "herald-system", "logs", "-l", "app.kubernetes.io/component=operator", "--tail=-1"]);
    for text in [&objects, &statuses, &events, &sender, &operator] {
        assert!(!text.contains(CANARY), "the token is in:\n{text}");
    }
    // A spec may list them; what Herald says of its own accord must not.
    for text in [&statuses, &events, &sender, &operator] {
        assert!(!text.contains("sale-17"), "a recipient's id is in:\n{text}");
    }
    stage.await_end("sale", "Delivered");
}
