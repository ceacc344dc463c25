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
            "suppression": {"sources": [
                {"name": "opt-outs", "configMapKeyRef": {"name": "opt-outs", "key": "ids.csv"}},
                {"name": "staff", "secretKeyRef": {"name": "staff", "key": "ids.ndjson"}},
                {"name": "crm", "http": {
                    "url": "https://crm.example/gone",
                    "headersSecretRef": {"name": "crm"},
                    "format": "JSON",
                    "recipientsPointer": "/data",
                    "nextPage": {"pointer": "/next", "parameter": "after"},
                    "timeoutSeconds": 30,
                }},
                {"name": "db", "sql": {
                    "urlSecretKeyRef": {"name": "crm-db", "key": "url"},
                    "query": "select psid as id from gone",
                    "timeoutSeconds": 60,
                }},
            ]},
            "sender": {
                "resources": {
                    "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "1Gi"},
                },
                "imagePullSecrets": [{"name": "registry"}],
                "serviceAccountName": "senders",
                "nodeSelector": {"pool": "batch"},
                "tolerations": [{
                    "key": "acme.example/dedicated",
                    "operator": "Equal",
                    "value": "batch",
                    "effect": "NoExecute",
                    "tolerationSeconds": 60,
                }],
                "labels": {"team": "growth"},
            },
        },
    })
}

pub fn telegram_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "news-bot"},
        "spec": {
            "telegram": {"botID": "123456789", "allowPaidBroadcast": true, "baseURL": "http://127.0.0.1:9999"},
            "credentialsSecretRef": {"name": "news-bot"},
        },
    })
}

pub fn whatsapp_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "shop-number"},
        "spec": {
            "whatsapp": {"phoneNumberID": "106540352242922", "apiVersion": "v25.0", "baseURL": "http://127.0.0.1:9999"},
            "receiver": {"enabled": true, "url": "https://hooks.example/acme-page"},
            "credentialsSecretRef": {"name": "shop-number"},
        },
    })
}

pub fn slack_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "workspace"},
        "spec": {
            "slack": {"teamID": "T0123ABCD", "baseURL": "http://127.0.0.1:9999"},
            "credentialsSecretRef": {"name": "workspace"},
            "rate": {"messages": 60, "periodSeconds": 60},
        },
    })
}

pub fn twilio_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "sms"},
        "spec": {
            "twilio": {
                "accountSID": "AC0123456789abcdef0123456789abcdef",
                "from": "+15005550006",
                "baseURL": "http://127.0.0.1:9999",
            },
            "credentialsSecretRef": {"name": "sms"},
            "rate": {"messages": 1},
        },
    })
}

/// The same through a Messaging Service.
pub fn twilio_service() -> Value {
    let service = json!({
        "accountSID": "AC0123456789abcdef0123456789abcdef",
        "messagingServiceSID": "MG0123456789abcdef0123456789abcdef",
    });
    with(twilio_channel(), "/spec/twilio", service)
}

/// A broadcast that says what it says by a template of WhatsApp.
pub fn whatsapp_broadcast() -> Value {
    let content = json!({"whatsapp": {
        "previewURL": false,
        "template": {
            "name": "order_confirmation",
            "language": "en_US",
            "category": "Utility",
            "components": [
                {"type": "Body", "parameters": [
                    {"name": "first_name", "text": "{{ first_name | default('you') }}"},
                    {"currency": {"amount": "12.99", "code": "EUR", "fallback": "12.99 EUR"}},
                    {"dateTime": "Monday"},
                ]},
                {"type": "Button", "subType": "QuickReply", "index": 1, "parameters": [{"payload": "stop"}]},
                {"type": "Header", "parameters": [
                    {"document": {"url": "https://cdn.example/1.pdf", "filename": "order.pdf"}},
                    {"image": {"url": "https://cdn.example/1.png"}},
                    {"video": {"url": "https://cdn.example/1.mp4"}},
                ]},
                {"type": "Button", "subType": "CopyCode", "index": 2, "parameters": [{"couponCode": "25OFF"}]},
            ],
        },
    }});
    with(broadcast(), "/spec/content", content)
}

/// The same by a utility template of Messenger.
pub fn messenger_broadcast() -> Value {
    let content = json!({"messenger": {
        "notificationType": "SilentPush",
        "personaID": "1008",
        "template": {
            "name": "order_confirmation",
            "language": "en_US",
            "parameters": [{"name": "first_name", "text": "{{ first_name | default('you') }}"}],
            "buttonPayloads": ["stop"],
        },
    }});
    with(broadcast(), "/spec/content", content)
}

pub fn http_channel() -> Value {
    json!({
        "apiVersion": "herald.dev/v1alpha1",
        "kind": "MessageChannel",
        "metadata": {"name": "gateway"},
        "spec": {
            "http": {
                "url": "https://gateway.example/to/{{ id }}",
                "method": "PUT",
                "headers": [{"name": "Authorization", "value": "Bearer {{ secret.token }}"}],
                "contentType": "application/json",
                "body": "{\"text\": {{ text }}}",
                "response": {
                    "statuses": [{"statuses": ["500-599"], "class": "Transient"}],
                    "messageIDPointer": "/data/id",
                    "errorCodePointer": "/error/code",
                    "errorMessagePointer": "/error/message",
                    "codes": [{"code": "opted_out", "class": "PermanentRecipient"}],
                },
                "signing": "StandardWebhooks",
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
                    {"name": "crm", "http": {
                        "url": "https://crm.example/people?size=500",
                        "headersSecretRef": {"name": "crm"},
                        "format": "JSON",
                        "recipientsPointer": "/data",
                        "nextPage": {"pointer": "/meta/next", "parameter": "after"},
                        "timeoutSeconds": 30,
                    }},
                    {"name": "db", "sql": {
                        "urlSecretKeyRef": {"name": "crm-db", "key": "url"},
                        "query": "select psid as id, first_name from people",
                        "timeoutSeconds": 60,
                    }},
                    {"name": "known", "contacts": {
                        "tags": ["vip"],
                        "withoutTags": ["spring-sale", "Winter_2.0"],
                        "activeWithinSeconds": 86_400,
                    }},
                ],
                "exclude": {
                    "recipients": [{"id": "24005550009"}],
                    "sources": [
                        {"name": "opt-outs", "configMapKeyRef": {"name": "opt-outs", "key": "ids.csv"}},
                        {"name": "staff", "secretKeyRef": {"name": "opt-outs", "key": "ids.jsonl"}},
                        {"name": "reached", "broadcast": {"name": "winter-sale", "outcomes": ["Sent", "Unknown"]}},
                        {"name": "left", "http": {
                            "url": "http://crm.example:8080",
                            "headersSecretRef": {"name": "crm"},
                            "format": "JSON",
                            "recipientsPointer": "/left",
                            "nextPage": {"pointer": "/next", "parameter": "page"},
                            "timeoutSeconds": 600,
                        }},
                        {"name": "gone", "sql": {
                            "urlSecretKeyRef": {"name": "crm-db", "key": "url"},
                            "query": "select psid as id from gone",
                            "timeoutSeconds": 21_600,
                        }},
                        {"name": "new", "contacts": {
                            "tags": ["new"],
                            "withoutTags": ["welcome"],
                            "activeWithinSeconds": 1,
                        }},
                    ],
                },
                "limit": 10_000,
            },
            "content": {
                "text": "Hi {{ first_name | default('there') }}, 20 % off until Sunday.",
                "attachments": [{"type": "Image", "url": "https://cdn.example/spring.png"}],
                "messenger": {
                    "messagingType": "Update",
                    "quickReplies": [{"title": "Yes", "payload": "yes", "imageURL": "https://shop.example/yes.png"}],
                },
                "slack": {"blocks": "- type: divider", "unfurlLinks": false, "unfurlMedia": true},
                "telegram": {
                    "parseMode": "HTML",
                    "inlineKeyboard": [{"buttons": [
                        {"text": "See", "url": "https://shop.example/{{ code | default('') }}"},
                        {"text": "No", "callbackData": "no"},
                    ]}],
                    "disableNotification": true,
                    "protectContent": true,
                    "disableLinkPreview": true,
                },
            },
            "delivery": {"rate": {"messages": 20, "periodSeconds": 1}, "priority": "Bulk", "senders": 2, "batchSize": 500, "unknownPolicy": "Resend", "retry": {"maxAttempts": 3, "initialBackoffSeconds": 1, "maxBackoffSeconds": 3_600}},
            "schedule": {"startTime": "2026-12-01T09:00:00Z", "startingDeadlineSeconds": 3600, "endTime": "2026-12-02T09:00:00+01:00", "quietHours": [{"days": ["Mon", "Tue"], "start": "21:00", "end": "08:00", "timeZone": "Europe/Berlin"}, {"start": "12:00", "end": "12:00", "timeZone": "UTC"}]},
            "onSent": {
                "tags": ["spring-sale", "sale"],
                "messenger": {"labels": ["spring-sale", "all people"]},
                "sql": {
                    "urlSecretKeyRef": {"name": "crm-db", "key": "url"},
                    "statement": "update people set last_broadcast = :broadcast where psid = :id",
                },
            },
            "notifications": [{"name": "crm", "url": "https://hooks.example/herald", "signingSecretKeyRef": {"name": "hook", "key": "secret"}, "events": ["BatchCompleted", "BroadcastFinished"]}],
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

pub fn all() -> Vec<Value> {
    vec![
        messenger_channel(),
        whatsapp_channel(),
        telegram_channel(),
        slack_channel(),
        twilio_channel(),
        twilio_service(),
        http_channel(),
        broadcast(),
        whatsapp_broadcast(),
        messenger_broadcast(),
        batch(),
    ]
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
