use serde_json::json;

use super::*;
use crate::api::admission::Admission;

fn ended(name: &str, finished: &str) -> BroadcastMessage {
    serde_json::from_value(json!({
        "apiVersion": "herald.dev/v1alpha1", "kind": "BroadcastMessage",
        "metadata": {"name": name, "namespace": "marketing", "uid": "u", "resourceVersion": "7",
            "labels": {"app.kubernetes.io/instance": "campaigns"}, "annotations": {"a": "b"}},
        "spec": {
            "channelRef": {"name": "page"}, "content": {"text": "Hi {{ first_name }}"},
            "audience": {"sources": [{"name": "all", "configMapKeyRef": {"name": "people", "key": "people.csv"}}]},
            "delivery": {"rate": {"messages": 20, "periodSeconds": 1}, "batchSize": 500, "unknownPolicy": "Resend"},
            "schedule": {"endTime": "2020-01-01T00:00:00Z"}, "suspend": false, "cancel": true,
        },
        "status": {
            "conditions": [{"type": "Finished", "status": finished, "reason": "Cancelled", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "recipients": {"planned": 10, "pending": 0, "sent": 5, "failed": 3, "skipped": 2, "unknown": 0},
        },
    }))
    .unwrap()
}

#[test]
fn it_says_the_same_to_those_who_failed_and_to_nobody_else() {
    let (retry, count) = decide(&ended("spring", "True"), RetryOutcome::Failed).unwrap();
    assert_eq!(count, 3);
    let retry = serde_json::to_value(&retry).unwrap();
    assert_eq!(retry["metadata"], json!({"name": "spring-retry", "namespace": "marketing"}));
    let sources = json!([{"name": "missed", "broadcast": {"name": "spring", "outcomes": ["Failed"]}}]);
    assert_eq!(retry["spec"]["audience"], json!({"sources": sources}));
    assert_eq!(retry["spec"]["content"]["text"], "Hi {{ first_name }}");
    assert_eq!(retry["spec"]["delivery"]["rate"]["messages"], 20);
    assert_eq!(retry["spec"]["delivery"]["unknownPolicy"], "Hold");
    assert_eq!(retry["spec"]["idempotencyKey"], "spring-retry");
    for left_out in ["schedule", "suspend", "cancel"] {
        assert!(retry["spec"].get(left_out).is_none(), "{left_out}: {retry}");
    }
    Admission::new().create(&retry).unwrap();
}

#[test]
fn nobody_is_disturbed_by_a_retry_when_nobody_was_by_the_first_message() {
    let mut spring = ended("spring", "True");
    let night = json!([{"start": "21:00", "end": "08:00", "timeZone": "Europe/Berlin"}]);
    spring.spec.schedule =
        serde_json::from_value(json!({"endTime": "2020-01-01T00:00:00Z", "quietHours": night})).unwrap();
    let (retry, _) = decide(&spring, RetryOutcome::Failed).unwrap();
    let retry = serde_json::to_value(&retry).unwrap();
    assert!(retry["spec"]["schedule"].get("endTime").is_none(), "{retry}");
    assert_eq!(retry["spec"]["schedule"]["quietHours"][0]["start"], "21:00");
}

#[test]
fn whoever_opted_out_meanwhile_gets_no_retry() {
    let mut spring = ended("spring", "True");
    let exclude = json!({"recipients": [{"id": "7"}],
        "sources": [{"name": "opted-out", "configMapKeyRef": {"name": "people", "key": "opted-out.csv"}}]});
    spring.spec.audience.exclude = serde_json::from_value(exclude.clone()).unwrap();
    let (retry, _) = decide(&spring, RetryOutcome::Failed).unwrap();
    let retry = serde_json::to_value(&retry).unwrap();
    assert_eq!(retry["spec"]["audience"]["exclude"], exclude);
    Admission::new().create(&retry).unwrap();
}

#[test]
fn what_has_not_ended_or_missed_nobody_is_not_retried() {
    let running = decide(&ended("spring", "False"), RetryOutcome::Failed).unwrap_err();
    assert!(running.to_string().contains("spring has not ended"), "{running}");
    let nobody = decide(&ended("spring", "True"), RetryOutcome::Unknown).unwrap_err();
    assert!(nobody.to_string().contains("nobody of spring is Unknown"), "{nobody}");
}

#[test]
fn the_same_retry_has_the_same_name_and_no_other_has() {
    let of = |name: &str, outcome| next(name, outcome, MAX_BROADCAST_NAME);
    assert_eq!(of("spring", RetryOutcome::Failed), "spring-retry");
    assert_eq!(of("spring-retry", RetryOutcome::Failed), "spring-retry-2");
    assert_eq!(of("spring-retry-2", RetryOutcome::Failed), "spring-retry-3");
    assert_eq!(of("spring", RetryOutcome::Skipped), "spring-retry-skipped");
    assert_eq!(of("spring-retry", RetryOutcome::Skipped), "spring-retry-retry-skipped");
    assert_eq!(of("spring-2026", RetryOutcome::Failed), "spring-2026-retry");
    assert_eq!(of("spring-retry-1", RetryOutcome::Failed), "spring-retry-1-retry");
}

#[test]
fn a_name_that_is_too_long_is_cut_and_stays_its_own() {
    let long = "a".repeat(52);
    let alike = format!("{}b", "a".repeat(51));
    let names = [&long, &alike].map(|name| next(name, RetryOutcome::Unknown, MAX_BROADCAST_NAME));
    for name in &names {
        assert!(name.len() <= MAX_BROADCAST_NAME && name.ends_with("-retry-unknown"), "{name}");
    }
    assert_ne!(names[0], names[1]);
    let mut name = "spring".to_owned();
    for _ in 0..200 {
        name = next(&name, RetryOutcome::Skipped, MAX_BROADCAST_NAME);
        assert!(name.len() <= MAX_BROADCAST_NAME, "{name}");
    }
    let key = next(&"ü".repeat(253), RetryOutcome::Failed, MAX_IDEMPOTENCY_KEY);
    assert!(key.chars().count() <= MAX_IDEMPOTENCY_KEY);
}
