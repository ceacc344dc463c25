//! For every CEL rule of changes what it takes and what it refuses, and the exact words of the refusal.

use serde_json::{Value, json};

use super::samples::{
    batch, broadcast, http_channel, messenger_channel, slack_channel, stored, telegram_channel, twilio_channel,
    twilio_service, whatsapp_channel, with,
};

const NULL: Value = Value::Null;

/// What a change meets: the stored document, the new one, and the refusal (empty: accepted).
pub fn changes() -> Vec<(Value, Value, &'static str)> {
    let begun = with(stored(&broadcast()), "/status", json!({"firstAttemptTime": "2026-12-01T09:00:00Z"}));
    let planned = with(stored(&broadcast()), "/status", json!({"state": "Scheduled"}));
    let named_by_itself = with(begun.clone(), "/spec/idempotencyKey", NULL);
    let message = |pointer, value| with(broadcast(), pointer, value);
    let other_channel = message("/spec/channelRef/name", json!("other"));
    let other_audience = message("/spec/audience/recipients/0/vars/first_name", json!("Bo"));
    let other_text = message("/spec/content/text", json!("Hello"));
    let other_tags = message("/spec/onSent/tags/0", json!("summer-sale"));
    let other_key = message("/spec/idempotencyKey", json!("again"));
    let to_http = with(
        with(http_channel(), "/metadata/name", json!("acme-page")),
        "/spec/credentialsSecretRef/name",
        json!("acme-page"),
    );
    vec![
        (planned.clone(), other_channel.clone(), ""),
        (planned.clone(), other_audience.clone(), ""),
        (planned.clone(), other_text.clone(), ""),
        (planned.clone(), other_tags.clone(), ""),
        (planned, other_key.clone(), ""),
        (stored(&broadcast()), other_text.clone(), ""),
        (begun.clone(), other_channel, "spec.channelRef: Forbidden: locked since the first message was attempted"),
        (begun.clone(), other_audience, "spec.audience: Forbidden: locked since the first message was attempted"),
        (begun.clone(), other_text, "spec.content: Forbidden: locked since the first message was attempted"),
        (begun.clone(), other_tags, "spec.onSent: Forbidden: locked since the first message was attempted"),
        (
            begun.clone(),
            message("/spec/onSent", NULL),
            "spec.onSent: Forbidden: locked since the first message was attempted",
        ),
        (
            begun.clone(),
            message("/spec/onSent/tags", NULL),
            "spec.onSent: Forbidden: locked since the first message was attempted",
        ),
        (begun.clone(), message("/spec/onSent/sql", NULL), ""),
        (begun.clone(), message("/spec/onSent/sql/statement", json!("delete from people where psid = :id")), ""),
        (begun.clone(), other_key, "spec.idempotencyKey: Forbidden: locked since the first message was attempted"),
        (begun.clone(), message("/spec/idempotencyKey", NULL), "spec.idempotencyKey: Forbidden: locked"),
        (named_by_itself.clone(), message("/spec/idempotencyKey", json!("spring-sale")), ""),
        (named_by_itself, message("/spec/idempotencyKey", NULL), ""),
        (
            begun.clone(),
            message("/spec/delivery", json!({"rate": {"messages": 5}, "senders": 8, "priority": "Urgent"})),
            "",
        ),
        (begun.clone(), message("/spec/delivery/unknownPolicy", json!("Resend")), ""),
        (begun.clone(), message("/spec/cancel", json!(true)), ""),
        (begun.clone(), message("/spec/suspend", NULL), ""),
        (begun.clone(), message("/spec/schedule/endTime", json!("2027-01-01T00:00:00Z")), ""),
        (begun.clone(), message("/spec/schedule/quietHours/0/end", json!("09:30")), ""),
        (begun.clone(), message("/spec/notifications/0/url", json!("https://hooks.example/new")), ""),
        (
            begun,
            message("/metadata/name", json!("summer-sale")),
            "metadata.name: Invalid value: \"summer-sale\": field is immutable",
        ),
        (messenger_channel(), with(messenger_channel(), "/spec/rate/messages", json!(1)), ""),
        (messenger_channel(), with(messenger_channel(), "/spec/suppression", NULL), ""),
        (
            messenger_channel(),
            with(messenger_channel(), "/spec/messenger/pageID", json!("7")),
            "spec.messenger.pageID: Forbidden: immutable; for another page",
        ),
        (messenger_channel(), to_http, "spec: Forbidden: the provider is immutable"),
        (
            telegram_channel(),
            with(telegram_channel(), "/spec/telegram/botID", json!("7")),
            "spec.telegram.botID: Forbidden: immutable; for another bot",
        ),
        (telegram_channel(), with(telegram_channel(), "/spec/telegram/allowPaidBroadcast", json!(false)), ""),
        (whatsapp_channel(), with(whatsapp_channel(), "/spec/whatsapp/apiVersion", json!("v26.0")), ""),
        (
            whatsapp_channel(),
            with(whatsapp_channel(), "/spec/whatsapp/phoneNumberID", json!("7")),
            "spec.whatsapp.phoneNumberID: Forbidden: immutable; for another phone number",
        ),
        (slack_channel(), with(slack_channel(), "/spec/slack/baseURL", json!("https://slack.example")), ""),
        (
            slack_channel(),
            with(slack_channel(), "/spec/slack/teamID", json!("T7")),
            "spec.slack.teamID: Forbidden: immutable; for another workspace",
        ),
        (twilio_channel(), with(twilio_channel(), "/spec/twilio/baseURL", json!("https://twilio.example")), ""),
        (
            twilio_channel(),
            with(twilio_channel(), "/spec/twilio/accountSID", json!("AC1123456789abcdef0123456789abcdef")),
            "spec.twilio.accountSID: Forbidden: immutable; for another account",
        ),
        (
            twilio_channel(),
            with(twilio_channel(), "/spec/twilio/from", json!("+15005550007")),
            "spec.twilio: Forbidden: from and messagingServiceSID are immutable",
        ),
        (
            twilio_channel(),
            with(twilio_service(), "/spec/twilio/baseURL", json!("http://127.0.0.1:9999")),
            "spec.twilio: Forbidden: from and messagingServiceSID are immutable",
        ),
        (
            http_channel(),
            with(http_channel(), "/spec/http/url", json!("https://other.example")),
            "spec.http.url: Forbidden: immutable; for another endpoint",
        ),
        (http_channel(), with(http_channel(), "/spec/http/headers/0/value", json!("Basic {{ secret.pair }}")), ""),
        (http_channel(), with(http_channel(), "/spec/http/response", NULL), ""),
        (http_channel(), with(http_channel(), "/spec/http/method", json!("POST")), ""),
        (http_channel(), with(http_channel(), "/spec/http/signing", NULL), ""),
        (batch(), batch(), ""),
        (batch(), with(batch(), "/spec/recipientCount", json!(501)), "spec: Forbidden: a MessageBatch is immutable"),
    ]
}
