use serde_json::{Value, json};

use super::*;

fn channel(name: &str) -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": name, "namespace": "marketing", "uid": "0a1b-uid", "generation": 1},
        "spec": {
            "messenger": {"pageID": "1029"}, "credentialsSecretRef": {"name": "acme"}, "receiver": {"enabled": true},
            "rate": {"messages": 5}, "sender": {"imagePullSecrets": [{"name": "registry"}]},
        },
    }))
    .unwrap()
}

fn settings() -> SenderSettings {
    SenderSettings {
        image: "herald:1".into(),
        image_pull_policy: Some("IfNotPresent".into()),
        ledger_url: "https://herald.herald-system.svc:8443".into(),
        certificate_authority_pem: Some("PEM".into()),
        resources: Default::default(),
    }
}

#[test]
fn the_pod_is_restricted_and_mounts_only_its_token_and_what_calls_are_verified_by_if_it_is_there() {
    let deployment = serde_json::to_value(deployment(&channel("acme"), &settings())).unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["args"], json!(["receiver"]));
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 2);
    assert_eq!(volumes[0]["projected"]["sources"][0]["serviceAccountToken"]["audience"], "herald");
    let item = |key: &str| json!({"key": key, "path": key});
    let items = json!([item("appSecret"), item("verifyToken")]);
    assert_eq!(volumes[1]["secret"], json!({"secretName": "acme", "items": items, "optional": true}));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_eq!(pod["serviceAccountName"], "default", "said, so that one that was named goes again");
}

#[test]
fn the_pod_runs_where_and_as_whom_the_channel_says_and_is_found_by_herald_s_own_labels() {
    let mut channel = channel("acme");
    let before = deployment(&channel, &settings());
    channel.spec.sender = serde_json::from_value(json!({
        "serviceAccountName": "senders",
        "nodeSelector": {"pool": "batch"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "labels": {"team": "growth"},
    }))
    .unwrap();
    let after = deployment(&channel, &settings());
    let hash = |deployment: &Deployment| deployment.metadata.annotations.clone().unwrap()[WANTED_HASH].clone();
    assert_ne!(hash(&before), hash(&after));
    let selector = |deployment: &Deployment| deployment.spec.clone().unwrap().selector;
    assert_eq!(selector(&before), selector(&after), "it cannot be changed in place");
    assert_eq!(before.metadata.labels, after.metadata.labels);
    let template = serde_json::to_value(after.spec.unwrap().template).unwrap();
    assert_eq!(template["metadata"]["labels"]["team"], "growth");
    let pod = &template["spec"];
    assert_eq!(pod["serviceAccountName"], "senders");
    assert_eq!(pod["nodeSelector"], json!({"pool": "batch"}));
    assert_eq!(pod["tolerations"], json!([{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]));
    assert_eq!((&pod["imagePullSecrets"], &pod["automountServiceAccountToken"]), (&Value::Null, &json!(false)));
}

#[test]
fn both_objects_belong_to_the_channel_and_the_service_leads_to_the_pod() {
    let channel = channel("acme");
    let deployment = serde_json::to_value(deployment(&channel, &settings())).unwrap();
    let service = serde_json::to_value(service(&channel)).unwrap();
    for object in [&deployment, &service] {
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["uid"], &owner["controller"]),
            (&json!("MessageChannel"), &json!("0a1b-uid"), &json!(true))
        );
        assert_eq!(
            (&object["metadata"]["name"], &object["metadata"]["namespace"]),
            (&json!("acme-receiver"), &json!("marketing"))
        );
    }
    let labels = deployment["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
    for selector in [&service["spec"]["selector"], &deployment["spec"]["selector"]["matchLabels"]] {
        assert!(selector.as_object().unwrap().iter().all(|(label, value)| labels[label] == *value));
    }
    let port = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    assert_eq!(url(&channel), "http://acme-receiver.marketing.svc/callbacks/marketing/acme");
}

#[test]
fn the_pod_is_told_its_channel_and_an_edit_of_the_rate_starts_no_other() {
    let wanted =
        |channel: &MessageChannel| deployment(channel, &settings()).metadata.annotations.unwrap()[WANTED_HASH].clone();
    let first = channel("acme");
    let mut edited = first.clone();
    edited.spec.rate = None;
    edited.spec.suppression = serde_json::from_value(serde_json::json!({
        "sources": [{"name": "gone", "configMapKeyRef": {"name": "gone", "key": "ids.csv"}}],
    }))
    .unwrap();
    assert_eq!(wanted(&first), wanted(&edited));
    edited.spec.messenger.as_mut().unwrap().base_url = "https://elsewhere.example".into();
    assert_ne!(wanted(&first), wanted(&edited));
    let told = pod(&first, &settings()).containers[0].env.clone().unwrap();
    let told = told.iter().find(|variable| variable.name == mount::CHANNEL_VARIABLE).unwrap().value.clone().unwrap();
    let told: ReceivedChannel = serde_json::from_str(&told).unwrap();
    assert_eq!((told.namespace.as_str(), told.name.as_str()), ("marketing", "acme"));
    assert_eq!(told.spec.messenger, first.spec.messenger);
}

#[test]
fn a_channel_whose_name_is_none_of_a_service_gives_its_uid() {
    for name in ["acme.page", "1acme", &"a".repeat(60)] {
        assert_eq!(super::name(&channel(name)), "receiver-0a1b-uid", "{name}");
    }
    assert_eq!(super::name(&channel(&"a".repeat(54))).len(), 63);
}
