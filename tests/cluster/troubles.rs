//! What keeps a broadcast from going on is said in its conditions, and mends itself once its cause is mended.

use super::judge::now_ns;
use super::kubectl::{await_that, find, kubectl, kubectl_with};
use super::stage::{CANARY, OPERATOR_PODS, SYSTEM, Stage, condition};

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
    stage.assert_verdict("sale", "Failed");
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
    stage.assert_verdict("sale", "Failed");
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

/// Pod Security itself has nothing to refuse: the pods of senders pass its strictest level, which every namespace of these
/// tests enforces. Whatever else refuses pods (a policy here, a quota below) is told in the same way, by the Job.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_policy_that_refuses_the_pods_is_told_in_its_words_and_sending_begins_once_it_is_gone() {
    let stage = Stage::with_channel("policy", &[], 50);
    let (namespace, name) = (&stage.namespace, format!("no-senders-{}", stage.namespace));
    stage.apply(&format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {{name: {name}}}, spec: \
         {{matchConstraints: {{resourceRules: [{{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: \
         [pods]}}]}}, validations: [{{expression: \"false\", message: \"no senders before the fair\"}}]}}}}\n---\n\
         {{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {{name: {name}}}, \
         spec: {{policyName: {name}, validationActions: [Deny], matchResources: {{namespaceSelector: {{matchLabels: \
         {{kubernetes.io/metadata.name: {namespace}}}}}}}}}}}"
    ));
    // A policy is in force a moment after it is stored.
    await_that("pods are refused", || {
        let pod = stage.idle_pod("probe", "");
        kubectl_with(&format!("---\n{pod}"), &["-n", namespace, "create", "--dry-run=server", "-f", "-"])
            .is_err_and(|told| told.contains("before the fair"))
    });
    stage.apply(&stage.broadcast("sale", 20, ""));
    let message = stage.await_condition("sale", "Stalled", "SenderNotStarting");
    assert!(message.contains("no senders before the fair"), "{message}");
    stage.assert_verdict("sale", "Failed");
    let both = "validatingadmissionpolicybinding,validatingadmissionpolicy";
    kubectl(&["delete", both, &name]);
    stage.await_end("sale", "Delivered");
    stage.judge("sale", 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_quota_that_leaves_no_room_for_the_pods_is_told() {
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
        let channel = find(&stage.namespace, "messagechannel", "page").unwrap();
        condition(&channel["status"], "CredentialsVerified").is_some_and(|found| found["status"] == "False")
    });
    stage.await_verdict("messagechannel", "page", "Failed");
    stage.await_verdict("broadcastmessage", "sale", "Failed");
    stage.settings(r#"{"fail": []}"#);
    stage.await_end("sale", "Delivered");
    stage.await_verdict("messagechannel", "page", "Current");
    let accepted = stage.record().iter().filter(|line| line.accepted).count();
    assert_eq!(accepted, 20);
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn a_provider_that_blocks_the_account_stops_sending_until_a_person_looks() {
    let stage = Stage::with_channel("blocked", &["--fail", "368=1"], 20);
    stage.apply(&stage.broadcast("sale", 100, ""));
    stage.await_condition("sale", "Stalled", "ProviderBlocked");
    stage.await_verdict("broadcastmessage", "sale", "Failed");
    let asked = stage.assert_stopped("the provider's block was told", now_ns());
    assert!(asked < 100, "it was stopped before everybody was tried");
    assert_eq!(stage.count("sale", "pending"), 100, "nobody is lost by it");
}

/// Answers name the person, as those of the Graph API do; ids are as long as real ones.
#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn the_token_is_nowhere_but_in_its_secret_and_nobodys_id_is_told() {
    const ID: &str = "54899327777112";
    let stage = Stage::with_channel("canary", &["--fail", "100/33=0.2", "--fail", "1200=0.3"], 20);
    let retry = ", delivery: {retry: {maxAttempts: 2, initialBackoffSeconds: 1}}";
    stage.apply(&stage.broadcast("sale", 60, retry).replace("sale-", ID));
    stage.await_requests(10);
    let pod = stage.await_sender_pod("sale");
    let of = |arguments: &[&str]| kubectl(&[&["-n", &stage.namespace], arguments].concat());
    let sender = stage.log_until_its_end(&pod);
    let status = stage.await_end("sale", "DeliveredWithFailures");
    let reasons = status["reasons"].to_string();
    assert!(reasons.contains("WrongPage") && reasons.contains("RetriesExhausted"), "{reasons}");
    await_that("the batch tells its errors", || {
        stage.batches("sale").iter().any(|batch| {
            let (retries, error) = (&batch["status"]["retries"], &batch["status"]["lastError"]);
            retries.as_i64() > Some(0) && error["message"].as_str().is_some_and(|words| words.contains("[…]"))
        })
    });
    let kinds = "broadcastmessages,messagebatches,messagechannels,jobs,pods,events";
    let objects = of(&["get", kinds, "-o", "yaml"]);
    let statuses =
        of(&["get", "broadcastmessages,messagebatches,messagechannels", "-o", "jsonpath={.items[*].status}"]);
    let events = of(&["get", "events", "-o", "yaml"]);
    let operator = kubectl(&["-n", SYSTEM, "logs", "-l", OPERATOR_PODS, "--tail=-1"]);
    for text in [&objects, &statuses, &events, &sender, &operator] {
        assert!(!text.is_empty() && !text.contains(CANARY), "the token is in:\n{text}");
    }
    // A spec may list them; what Herald says of its own accord must not.
    for text in [&statuses, &events, &sender, &operator] {
        assert!(!text.contains(ID), "a recipient's id is in:\n{text}");
    }
    assert!(stage.record().iter().any(|line| line.recipient.starts_with(ID)), "they are in the record");
}
