//! Documents that use every field, and the tools to bend them.

use herald::api::admission::Admission;
use serde_json::{Value, json};

thread_local! {
    static ADMISSION: Admission = Admission::new();
}

pub fn messenger_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "acme-page", "namespace": "marketing"},
        "spec": {
            "messenger": {"pageID": "1029384756", "apiVersion": "v25.0", "baseURL": "http://127.0.0.1:9999"},
            "credentialsSecretRef": {"name": "acme-page"},
            "rate": {"messages": 40, "periodSeconds": 1},
            "requestTimeoutSeconds": 20,
            "sender": {
                "resources": {
                    "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "1Gi"},
                },
                "imagePullSecrets": [{"name": "registry"}],
            },
        },
    })
}

pub fn http_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "gateway"},
        "spec": {
            "http": {
                "url": "https://gateway.example/send",
                "headers": [{"name": "Authorization", "value": "Bearer {{ secret.token }}"}],
            },
            "credentialsSecretRef": {"name": "gateway"},
            "rate": {"messages": 10, "periodSeconds": 2},
            "sender": {"resources": {"requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "0.5G"}}},
        },
    })
}

pub fn broadcast() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "BroadcastMessage",
        "metadata": {"name": "spring-sale", "namespace": "marketing", "labels": {"team": "growth"}},
        "spec": {
            "channelRef": {"name": "acme-page"},
            "audience": {
                "recipients": [{"id": "24005550001", "vars": {"first_name": "Ana"}}],
                "sources": [
                    {"name": "subscribers", "configMapKeyRef": {"name": "spring-list", "key": "people.csv"}},
                    {"name": "big", "secretKeyRef": {"name": "spring-list", "key": "people.ndjson"}},
                    {"name": "missed", "broadcast": {"name": "winter-sale", "outcomes": ["Failed", "Skipped"]}},
                ],
                "exclude": {
                    "recipients": [{"id": "24005550009"}],
                    "sources": [
                        {"name": "opt-outs", "configMapKeyRef": {"name": "opt-outs", "key": "ids.csv"}},
                        {"name": "staff", "secretKeyRef": {"name": "opt-outs", "key": "ids.jsonl"}},
                        {"name": "reached", "broadcast": {"name": "winter-sale", "outcomes": ["Sent", "Unknown"]}},
                    ],
                },
            },
            "content": {"text": "Hi {{ first_name | default('there') }}, 20 % off until Sunday."},
            "delivery": {"rate": {"messages": 20, "periodSeconds": 1}, "priority": "Bulk", "senders": 2, "batchSize": 500, "unknownPolicy": "Resend", "retry": {"maxAttempts": 3, "initialBackoffSeconds": 1, "maxBackoffSeconds": 3_600}},
            "schedule": {"startTime": "2026-12-01T09:00:00Z", "startingDeadlineSeconds": 3600, "endTime": "2026-12-02T09:00:00+01:00", "quietHours": [{"days": ["Mon", "Tue"], "start": "21:00", "end": "08:00", "timeZone": "Europe/Berlin"}, {"start": "12:00", "end": "12:00", "timeZone": "UTC"}]},
            "suspend": true,
            "cancel": false,
            "idempotencyKey": "spring-sale-2026",
        },
    })
}

pub fn batch() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageBatch",
        "metadata": {"name": "spring-sale-00003"},
        "spec": {"broadcastRef": {"name": "spring-sale"}, "index": 3, "firstRecipient": 1500, "recipientCount": 500},
    })
}

pub fn all() -> [Value; 4] {
    [messenger_channel(), http_channel(), broadcast(), batch()]
}

/// The document with the value at a JSON pointer replaced, added, or (with null) removed.
pub fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Object(object) if value.is_null() => {
            object.remove(member);
        }
        Value::Object(object) => {
            object.insert(member.to_owned(), value);
        }
        Value::Array(items) => items[member.parse::<usize>().unwrap()] = value,
        _ => panic!("{parent} has no members"),
    }
    document
}

/// The violations a new document meets, one line each.
pub fn create(document: &Value) -> Vec<String> {
    ADMISSION.with(|admission| lines(admission.create(document)))
}

/// The violations a change meets, one line each.
pub fn update(old: &Value, new: &Value) -> Vec<String> {
    ADMISSION.with(|admission| lines(admission.update(old, new)))
}

/// The document as it would be stored.
pub fn stored(document: &Value) -> Value {
    ADMISSION.with(|admission| admission.create(document).unwrap())
}

fn lines(verdict: Result<Value, herald::api::violation::Violations>) -> Vec<String> {
    match verdict {
        Ok(_) => Vec::new(),
        Err(violations) => violations.0.iter().map(ToString::to_string).collect(),
    }
}
