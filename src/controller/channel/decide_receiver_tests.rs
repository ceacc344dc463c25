use serde_json::json;

use super::*;

fn channel(enabled: bool) -> MessageChannel {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "acme", "namespace": "marketing", "uid": "channel-uid", "generation": 1},
        "spec": {
            "messenger": {"pageID": "1029"}, "credentialsSecretRef": {"name": "acme"},
            "receiver": {"enabled": enabled},
        },
    }))
    .unwrap()
}

fn settings() -> SenderSettings {
    SenderSettings {
        image: "herald:1".into(),
        image_pull_policy: None,
        ledger_url: "https://ledger".into(),
        certificate_authority_pem: None,
        resources: Default::default(),
    }
}

/// Both objects as the API server gives them back.
fn made(available: i32) -> Found {
    let channel = channel(true);
    let mut deployment = receiver::deployment(&channel, &settings());
    let mut service = receiver::service(&channel);
    deployment.metadata.uid = Some("deployment-uid".into());
    deployment.metadata.generation = Some(2);
    service.metadata.uid = Some("service-uid".into());
    deployment.status =
        serde_json::from_value(json!({"observedGeneration": 2, "availableReplicas": available})).unwrap();
    Found { deployment: Some(deployment), service: Some(service) }
}

fn kinds(steps: &[Step]) -> Vec<&'static str> {
    let kind = |step: &Step| match step {
        Step::ApplyDeployment(_) => "apply Deployment",
        Step::ApplyService(_) => "apply Service",
        Step::DeleteDeployment { .. } => "delete Deployment",
        Step::DeleteService { .. } => "delete Service",
    };
    steps.iter().map(kind).collect()
}

fn reason(decision: &ReceiverDecision) -> Option<(ConditionStatus, &'static str)> {
    decision.condition.as_ref().map(|(status, reason, _)| (*status, *reason))
}

#[test]
fn one_that_is_wanted_is_made_and_then_left_alone() {
    let first = decide(&channel(true), &settings(), &Found::default());
    assert_eq!(kinds(&first.steps), ["apply Deployment", "apply Service"]);
    assert_eq!(reason(&first), Some((ConditionStatus::False, RECEIVER_NOT_READY)));
    assert!(first.condition.as_ref().unwrap().2.contains("appSecret"));
    let waiting = decide(&channel(true), &settings(), &made(0));
    assert_eq!((waiting.steps.len(), reason(&waiting)), (0, Some((ConditionStatus::False, RECEIVER_NOT_READY))));
    let ready = decide(&channel(true), &settings(), &made(1));
    assert_eq!((ready.steps.len(), reason(&ready)), (0, Some((ConditionStatus::True, RECEIVER_READY))));
    assert_eq!(ready.status.unwrap().url, "http://acme-receiver.marketing.svc/callbacks/marketing/acme");
}

#[test]
fn what_is_wanted_otherwise_is_applied_anew_and_is_not_ready_before() {
    let other = SenderSettings { image: "herald:2".into(), ..settings() };
    let decision = decide(&channel(true), &other, &made(1));
    assert_eq!(kinds(&decision.steps), ["apply Deployment"]);
    assert_eq!(reason(&decision), Some((ConditionStatus::False, RECEIVER_NOT_READY)));
    let mut old = made(1);
    old.deployment.as_mut().unwrap().metadata.generation = Some(3);
    let decision = decide(&channel(true), &settings(), &old);
    assert_eq!(reason(&decision), Some((ConditionStatus::False, RECEIVER_NOT_READY)), "its pods are of before");
}

#[test]
fn one_that_is_not_wanted_is_removed_and_nothing_else() {
    let decision = decide(&channel(false), &settings(), &made(1));
    assert_eq!(kinds(&decision.steps), ["delete Deployment", "delete Service"]);
    assert!(matches!(&decision.steps[0], Step::DeleteDeployment { uid, .. } if uid == "deployment-uid"));
    assert_eq!((decision.status, decision.condition), (None, None));
    let nothing = decide(&channel(false), &settings(), &Found::default());
    assert_eq!(nothing, ReceiverDecision::default());
    let mut others = made(1);
    others.deployment.as_mut().unwrap().metadata.owner_references = None;
    assert_eq!(kinds(&decide(&channel(false), &settings(), &others).steps), ["delete Service"]);
}

#[test]
fn what_belongs_to_somebody_else_is_left_alone_and_said() {
    let mut others = made(1);
    others.service.as_mut().unwrap().metadata.owner_references.as_mut().unwrap()[0].uid = "another".into();
    let decision = decide(&channel(true), &settings(), &others);
    assert_eq!(decision.steps, []);
    let (status, reason, words) = decision.condition.unwrap();
    assert_eq!((status, reason), (ConditionStatus::False, RECEIVER_NAME_TAKEN));
    assert!(words.contains("Service named `acme-receiver`"), "{words}");
}
