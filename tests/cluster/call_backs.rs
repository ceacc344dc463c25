//! The receiver of a channel: made, led to, heard, and removed.

use serde_json::{Value, json};

use super::kubectl::{await_some, await_that, find, kubectl};
use super::stage::Stage;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn channel(stage: &Stage, url: &str) -> String {
    format!(
        "{{apiVersion: herald.dev/v1alpha1, kind: MessageChannel, metadata: {{name: sms}}, spec: {{\
         twilio: {{accountSID: AC00000000000000000000000000000001, from: \"+15005550006\", baseURL: \"{}\"}}, \
         credentialsSecretRef: {{name: sms}}, rate: {{messages: 20}}, receiver: {{enabled: true, url: \"{url}\"}}}}}}",
        stage.base_url
    )
}

fn broadcast(count: u32) -> String {
    let people: Vec<String> = (0..count).map(|number| format!("{{id: \"+142555501{number:02}\"}}")).collect();
    format!(
        "{{apiVersion: herald.dev/v1alpha1, kind: BroadcastMessage, metadata: {{name: sale}}, spec: {{\
         channelRef: {{name: sms}}, audience: {{recipients: [{}]}}, content: {{text: Hello}}}}}}",
        people.join(", ")
    )
}

fn condition(channel: &Value) -> Option<&Value> {
    channel["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "ReceiverReady")
}

/// The receiver's pods follow what the channel says of them, also where it says nothing any more.
fn says_of_its_pods_and_takes_it_back(stage: &Stage) {
    let told = || {
        let deployment = find(&stage.namespace, "deployment", "sms-receiver")?;
        let at = |place: &str| deployment.pointer(place).cloned().unwrap_or_default();
        let template = "/spec/template";
        Some([
            at(&format!("{template}/spec/nodeSelector")),
            at(&format!("{template}/spec/tolerations")),
            at(&format!("{template}/metadata/labels/team")),
            at(&format!("{template}/spec/serviceAccountName")),
        ])
    };
    let wanted = json!({
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "labels": {"team": "growth"},
        "serviceAccountName": "receivers",
    });
    stage.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: receivers}}");
    stage.patch("messagechannel", "sms", &json!({"sender": wanted}).to_string());
    let there = ["/nodeSelector", "/tolerations", "/labels/team", "/serviceAccountName"]
        .map(|place| wanted.pointer(place).cloned().unwrap());
    await_that("the receiver's pods are as the channel says", || told() == Some(there.clone()));
    stage.patch("messagechannel", "sms", &json!({"sender": null}).to_string());
    await_that("the receiver's pods are as before", || {
        told() == Some([Value::Null, Value::Null, Value::Null, json!("default")])
    });
}

#[test]
#[ignore = "needs a cluster: make test-cluster"]
fn call_backs_resolve_whoever_is_unknown_and_a_receiver_goes_when_it_is_not_wanted() {
    let stage = Stage::open("receiver", &["--drop", "0.3:after", "--seed", "5", "--callback-secret", SECRET]);
    stage.apply(&channel(&stage, "http://not-yet.example/callbacks"));
    let namespace = stage.namespace.as_str();
    let service = await_some("the Service of the receiver", || find(namespace, "service", "sms-receiver"));
    let waiting = await_some("why the receiver is not ready", || {
        let channel = find(namespace, "messagechannel", "sms")?;
        let condition = condition(&channel)?;
        (condition["status"] == "False").then(|| condition["message"].as_str().unwrap().to_owned())
    });
    assert!(waiting.contains("authToken"), "{waiting}");
    let address = service["spec"]["clusterIP"].as_str().unwrap();
    let url = format!("http://{address}/callbacks/{namespace}/sms");
    // Whatever was changed by hand is made right.
    kubectl(&["-n", namespace, "annotate", "service", "sms-receiver", "herald.dev/wanted-hash-"]);
    stage.apply(&channel(&stage, &url));
    stage.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: sms}}, stringData: {{authToken: {SECRET}}}}}"
    ));
    await_that("the receiver is ready", || {
        let channel = find(namespace, "messagechannel", "sms").unwrap_or_default();
        condition(&channel).is_some_and(|condition| condition["status"] == "True")
    });

    stage.apply(&broadcast(40));
    await_that("everybody is sent", || stage.count("sale", "sent") == 40);
    let status = stage.await_end("sale", "Delivered");
    assert_eq!(status["recipients"]["unknown"], 0, "{status}");
    let record = stage.record();
    assert!(record.iter().any(|line| line.code.as_deref() == Some("drop:after")), "no answer was lost");
    assert_eq!(record.iter().filter(|line| line.accepted).count(), 40, "somebody got it twice");

    let log = kubectl(&["-n", namespace, "logs", "deployment/sms-receiver"]);
    assert!(!log.contains(SECRET) && !log.contains("+1425555"), "{log}");
    says_of_its_pods_and_takes_it_back(&stage);
    stage.patch("messagechannel", "sms", "{\"receiver\": {\"enabled\": false}}");
    await_that("the receiver is gone", || {
        find(namespace, "deployment", "sms-receiver").is_none() && find(namespace, "service", "sms-receiver").is_none()
    });
    let channel = find(namespace, "messagechannel", "sms").unwrap();
    await_that("its status is gone", || {
        let channel = find(namespace, "messagechannel", "sms").unwrap();
        channel["status"]["receiver"].is_null() && condition(&channel).is_none()
    });
    assert_eq!(channel["spec"]["receiver"]["enabled"], false);
}
