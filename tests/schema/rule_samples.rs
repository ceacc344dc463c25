//! For every CEL rule what it takes and what it refuses of a new document, and the exact words of the refusal.

use serde_json::{Value, json};

use super::samples::{
    batch, broadcast, http_channel, messenger_broadcast, messenger_channel, slack_channel, telegram_channel,
    twilio_channel, twilio_service, whatsapp_broadcast, whatsapp_channel, with,
};

const NULL: Value = Value::Null;
const RESERVED: &str = "spec.sender.labels: Invalid value: \"object\": labels under herald.dev/ and kubernetes.io/";
const LABEL_NAMES: &str = "spec.sender.labels: Invalid value: \"object\": names of labels are at most 63 letters";

/// What a new document meets: the sample, what is bent in it, and the refusal (empty: accepted).
pub fn creations() -> Vec<(Value, &'static str)> {
    let channel = |pointer, value| with(messenger_channel(), pointer, value);
    let http = |pointer, value| with(http_channel(), pointer, value);
    let message = |pointer, value| with(broadcast(), pointer, value);
    let unsigned = http("/spec/http/signing", NULL);
    let plain_header = with(
        unsigned.clone(),
        "/spec/http/headers",
        json!([{"name": "X-Team", "value": "growth {ok} {{ vars.secret }}"}]),
    );
    let without_secret =
        |pointer, value| with(with(plain_header.clone(), pointer, value), "/spec/credentialsSecretRef", NULL);
    vec![
        (message("/metadata/name", json!("a".repeat(52))), ""),
        (
            message("/metadata/name", json!("a".repeat(53))),
            "metadata.name: Invalid value: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": must be a DNS label of at most 52 characters",
        ),
        (
            message("/metadata/name", json!("spring.sale")),
            "metadata.name: Invalid value: \"spring.sale\": must be a DNS label",
        ),
        (
            message("/metadata/name", json!("Spring")),
            "metadata.name: Invalid value: \"Spring\": a lowercase RFC 1123 subdomain",
        ),
        (message("/metadata/name", NULL), "metadata.name: Required value"),
        (
            message("/metadata/namespace", json!("a.b")),
            "metadata.namespace: Invalid value: \"a.b\": a lowercase RFC 1123 label",
        ),
        (message("/metadata/labels", json!({"team": "a b"})), "metadata.labels: Invalid value: \"a b\""),
        (message("/metadata/colour", json!("blue")), "metadata.colour: Unknown field"),
        (message("/metadata/resourceVersion", json!("12")), ""),
        (
            message("/apiVersion", json!("herald.dev/v1")),
            "apiVersion: Unsupported value: \"herald.dev/v1\": supported values: \"herald.dev/v1alpha1\"",
        ),
        (
            message("/kind", json!("Broadcast")),
            "kind: Unsupported value: \"Broadcast\": supported values: \"MessageChannel\", \"BroadcastMessage\", \"MessageBatch\"",
        ),
        (
            message("/spec/schedule", json!({"startingDeadlineSeconds": 60})),
            "spec.schedule.startingDeadlineSeconds: Invalid value: 60: counts from startTime: set startTime too",
        ),
        (message("/spec/delivery/retry", json!({"initialBackoffSeconds": 900})), ""),
        (
            message("/spec/delivery/retry", json!({"initialBackoffSeconds": 901})),
            "spec.delivery.retry.maxBackoffSeconds: Invalid value: 900: must not be less than initialBackoffSeconds",
        ),
        (
            message("/spec/delivery/unknownPolicy", json!("Retry")),
            "spec.delivery.unknownPolicy: Unsupported value: \"Retry\": supported values: \"Hold\", \"Resend\"",
        ),
        (message("/spec/audience/sources", NULL), ""),
        (message("/spec/audience/recipients", json!([])), ""),
        (
            message("/spec/audience", json!({"recipients": [], "sources": []})),
            "spec.audience: Required value: at least one of recipients and sources must be given and not be empty",
        ),
        (message("/spec/audience", json!({})), "spec.audience: Required value: at least one of recipients and sources"),
        (
            message("/spec/audience/sources/0/secretKeyRef", json!({"name": "spring-list", "key": "people.csv"})),
            "spec.audience.sources[0]: Invalid value: \"object\": exactly one of configMapKeyRef, secretKeyRef, http, sql, broadcast and contacts must be set",
        ),
        (
            message("/spec/audience/exclude/sources/1/secretKeyRef", NULL),
            "spec.audience.exclude.sources[1]: Invalid value: \"object\": exactly one of configMapKeyRef, secretKeyRef, http, sql, broadcast and contacts must be set",
        ),
        (
            message("/spec/audience/sources/0/broadcast", json!({"name": "winter", "outcomes": ["Failed"]})),
            "spec.audience.sources[0]: Invalid value: \"object\": exactly one of configMapKeyRef, secretKeyRef, http, sql, broadcast and contacts",
        ),
        (
            message("/spec/audience/sources/2/broadcast/outcomes", json!([])),
            "spec.audience.sources[2].broadcast.outcomes: Invalid value: \"array\": spec.audience.sources[2].broadcast.outcomes in body should have at least 1 items",
        ),
        (
            message("/spec/audience/sources/2/broadcast/outcomes", json!(["Pending"])),
            "spec.audience.sources[2].broadcast.outcomes[0]: Unsupported value: \"Pending\"",
        ),
        (message("/spec/audience/sources/5/contacts", json!({})), ""),
        (message("/spec/audience/sources/5/contacts/tags", NULL), ""),
        (
            message("/spec/audience/sources/0/contacts", json!({})),
            "spec.audience.sources[0]: Invalid value: \"object\": exactly one of configMapKeyRef, secretKeyRef, http, sql, broadcast and contacts",
        ),
        (
            message("/spec/audience/sources/5/contacts/tags/0", json!("very important")),
            "spec.audience.sources[5].contacts.tags[0]: Invalid value",
        ),
        (
            message("/spec/audience/sources/5/contacts/withoutTags", json!([])),
            "spec.audience.sources[5].contacts.withoutTags: Invalid value",
        ),
        (
            message("/spec/audience/sources/5/contacts/activeWithinSeconds", json!(0)),
            "spec.audience.sources[5].contacts.activeWithinSeconds: Invalid value",
        ),
        (message("/spec/onSent", NULL), ""),
        (message("/spec/onSent/tags", NULL), ""),
        (message("/spec/onSent/sql", NULL), ""),
        (
            message("/spec/onSent", json!({})),
            "spec.onSent: Required value: at least one of tags, messenger and sql must be given",
        ),
        (message("/spec/onSent/messenger/labels", json!([])), "spec.onSent.messenger.labels: Invalid value"),
        (message("/spec/onSent/messenger/labels/1", json!(" vip")), "spec.onSent.messenger.labels[1]: Invalid value"),
        (
            message("/spec/onSent/messenger/labels/1", json!("spring-sale")),
            "spec.onSent.messenger.labels[1]: Duplicate",
        ),
        (message("/spec/onSent/sql/statement", NULL), "spec.onSent.sql.statement: Required value"),
        (
            message("/spec/onSent/sql/urlSecretKeyRef/name", json!("Crm")),
            "spec.onSent.sql.urlSecretKeyRef.name: Invalid",
        ),
        (message("/spec/onSent/tags", json!([])), "spec.onSent.tags: Invalid value"),
        (message("/spec/onSent/tags/1", json!("-sale")), "spec.onSent.tags[1]: Invalid value"),
        (message("/spec/audience/sources/3/http/nextPage/parameter", NULL), ""),
        (message("/spec/audience/sources/3/http/format", NULL), ""),
        (message("/spec/audience/sources/3/http", json!({"url": "http://crm", "format": "CSV"})), ""),
        (
            message("/spec/audience/sources/3/http/format", json!("Csv")),
            "spec.audience.sources[3].http.format: Unsupported value: \"Csv\": supported values: \"CSV\", \"NDJSON\", \"JSON\"",
        ),
        (
            message("/spec/audience/sources/3/http", json!({"url": "https://user:pass@crm.example/people"})),
            "spec.audience.sources[3].http.url: Invalid value: ",
        ),
        (
            message(
                "/spec/audience/sources/3/http",
                json!({"url": "https://crm.example", "format": "CSV", "recipientsPointer": "/d"}),
            ),
            "spec.audience.sources[3].http.recipientsPointer: Invalid value: \"/d\": only a JSON answer has a list to point at; CSV and NDJSON are paged by the header Link",
        ),
        (
            message("/spec/audience/sources/3/http/recipientsPointer", NULL),
            "spec.audience.sources[3].http.recipientsPointer: Required value: an answer that names its next page has its list somewhere below: say where",
        ),
        (message("/spec/audience/sources/0/configMapKeyRef/key", json!("people.jsonl")), ""),
        (
            message("/spec/audience/sources/0/configMapKeyRef/key", json!("people.xlsx")),
            "spec.audience.sources[0].configMapKeyRef.key: Invalid value: \"people.xlsx\": must end in .csv, .ndjson or .jsonl",
        ),
        (
            message("/spec/audience/sources/1/name", json!("subscribers")),
            "spec.audience.sources[1]: Duplicate value: {\"name\":\"subscribers\"}",
        ),
        (
            message("/spec/schedule/endTime", json!("2026-12-01T10:00:00+01:00")),
            "spec.schedule.endTime: Invalid value: \"2026-12-01T10:00:00+01:00\": must be after startTime",
        ),
        (message("/spec/schedule/endTime", json!("2026-12-01T10:00:01+01:00")), ""),
        (message("/spec/schedule", json!({"endTime": "2026-12-01T10:00:01+01:00"})), ""),
        (message("/spec/schedule/endTime", NULL), ""),
        (
            message("/spec/schedule/startTime", json!("tomorrow")),
            "spec.schedule.startTime: Invalid value: \"tomorrow\": spec.schedule.startTime in body must be of type date-time",
        ),
        (message("/spec/schedule/startTime", json!("2026-12-01T09:00:00")), "spec.schedule.startTime: Invalid value: "),
        (
            message("/spec/schedule/startTime", json!("2026-02-30T09:00:00Z")),
            "spec.schedule.startTime: Invalid value: ",
        ),
        (
            message("/spec/schedule/quietHours/0/days", json!(["Monday"])),
            "spec.schedule.quietHours[0].days[0]: Unsupported value: \"Monday\": supported values: \"Mon\", \"Tue\"",
        ),
        (message("/spec/schedule/quietHours/0/days", json!([])), "spec.schedule.quietHours[0].days: Invalid value: "),
        (message("/spec/schedule/quietHours/0/days", NULL), ""),
        (message("/spec/schedule/quietHours/0/end", json!("23:59")), ""),
        (
            message("/spec/schedule/quietHours/0/end", json!("24:00")),
            "spec.schedule.quietHours[0].end: Invalid value: \"24:00\"",
        ),
        (
            message("/spec/schedule/quietHours/0/start", json!("9:00")),
            "spec.schedule.quietHours[0].start: Invalid value: \"9:00\"",
        ),
        (message("/spec/schedule/quietHours/0/timeZone", NULL), "spec.schedule.quietHours[0].timeZone: Required value"),
        (message("/spec/schedule", json!({"quietHours": []})), ""),
        (message("/spec/notifications", NULL), ""),
        (message("/spec/notifications/0/url", json!("http://hooks.herald.svc:8080/a?token=b")), ""),
        (
            message("/spec/notifications/0/url", json!("ftp://hooks.example/herald")),
            "spec.notifications[0].url: Invalid value: must be an absolute http(s) URL without user, password and fragment, e.g. https://hooks.example/herald",
        ),
        (
            message("/spec/notifications/0/url", json!("https://crm:hunter2@hooks.example/herald")),
            "spec.notifications[0].url: Invalid value: must be an absolute http(s) URL without user, password and fragment, e.g. https://hooks.example/herald",
        ),
        (
            message("/spec/notifications/0/events", json!(["BroadcastPaused"])),
            "spec.notifications[0].events[0]: Unsupported value: \"BroadcastPaused\": supported values: \"BatchCompleted\"",
        ),
        (
            message("/spec/notifications/0/events", json!(["BroadcastFinished", "BroadcastFinished"])),
            "spec.notifications[0].events[1]: Duplicate value: \"BroadcastFinished\"",
        ),
        (
            message("/spec/notifications/0/name", json!("crm.example")),
            "spec.notifications[0].name: Invalid value: \"crm.example\"",
        ),
        (
            message("/spec/notifications/0/signingSecretKeyRef", NULL),
            "spec.notifications[0].signingSecretKeyRef: Required value",
        ),
        (
            message("/spec/delivery/rate/messages", json!(0)),
            "spec.delivery.rate.messages: Invalid value: 0: spec.delivery.rate.messages in body should be greater than or equal to 1",
        ),
        (
            message("/spec/idempotencyKey", json!("a/b")),
            "spec.idempotencyKey: Invalid value: \"a/b\": spec.idempotencyKey in body should match",
        ),
        (channel("/spec/rate", NULL), ""),
        (
            channel("/spec/credentialsSecretRef", NULL),
            "spec.credentialsSecretRef: Required value: the channel needs the Secret that holds its credentials: accessToken (messenger, whatsapp)",
        ),
        (
            channel("/spec/messenger", NULL),
            "spec: Invalid value: \"object\": exactly one of messenger, whatsapp, telegram, slack, twilio and http must be set",
        ),
        (
            channel("/spec/http", json!({"url": "https://gateway.example/send"})),
            "spec: Invalid value: \"object\": exactly one of messenger, whatsapp, telegram, slack, twilio and http must be set",
        ),
        (
            channel("/spec/messenger/pageID", json!(1029384756)),
            "spec.messenger.pageID: Invalid value: \"integer\": spec.messenger.pageID in body must be of type string: \"integer\"; put the value in quotes",
        ),
        (telegram_channel(), ""),
        (whatsapp_channel(), ""),
        (slack_channel(), ""),
        (twilio_channel(), ""),
        (twilio_service(), ""),
        (with(slack_channel(), "/spec/rate", NULL), "spec.rate: Required value: this provider has no default rate"),
        (with(twilio_channel(), "/spec/rate", NULL), "spec.rate: Required value: this provider has no default rate"),
        (
            with(twilio_channel(), "/spec/twilio/from", NULL),
            "spec.twilio: Invalid value: \"object\": exactly one of from and messagingServiceSID must be set",
        ),
        (
            with(twilio_service(), "/spec/twilio/from", json!("+1500")),
            "spec.twilio: Invalid value: \"object\": exactly one of from and messagingServiceSID must be set",
        ),
        (
            with(telegram_channel(), "/spec/slack", json!({"teamID": "T0123"})),
            "spec: Invalid value: \"object\": exactly one of messenger, whatsapp, telegram, slack, twilio and http must be set",
        ),
        (whatsapp_broadcast(), ""),
        (messenger_broadcast(), ""),
        (
            with(message("/spec/content/attachments", NULL), "/spec/content/text", NULL),
            "spec.content: Invalid value: \"object\": one of text, attachments, messenger.template and whatsapp.template must be set",
        ),
        (
            with(message("/spec/content/attachments", json!([])), "/spec/content/text", NULL),
            "spec.content: Invalid value: \"object\": one of text, attachments, messenger.template and whatsapp.template must be set",
        ),
        (message("/spec/content/text", NULL), ""),
        (
            with(whatsapp_broadcast(), "/spec/content/text", json!("Hi")),
            "spec.content: Invalid value: \"object\": only one of text, messenger.template and whatsapp.template may be set",
        ),
        (
            with(
                messenger_broadcast(),
                "/spec/content/attachments",
                json!([{"type": "Image", "url": "https://cdn.example/1.png"}]),
            ),
            "spec.content.attachments: Invalid value: ",
        ),
        (message("/spec/content/attachments/0/url", json!("{{ picture }}")), ""),
        (
            message("/spec/content/attachments/0/url", json!("cdn.example/1.png")),
            "spec.content.attachments[0].url: Invalid value: \"cdn.example/1.png\"",
        ),
        (
            message("/spec/content/attachments/0/type", json!("Picture")),
            "spec.content.attachments[0].type: Unsupported value: \"Picture\"",
        ),
        (
            with(whatsapp_broadcast(), "/spec/content/whatsapp/previewURL", json!(true)),
            "spec.content.whatsapp: Invalid value: \"object\": previewURL shows a link of the text, and a template has none",
        ),
        (
            with(whatsapp_broadcast(), "/spec/content/whatsapp/template/components/0/index", json!(0)),
            "spec.content.whatsapp.template.components[0]: Invalid value: \"object\": subType and index must be set for a Button",
        ),
        (
            with(whatsapp_broadcast(), "/spec/content/whatsapp/template/components/1/subType", NULL),
            "spec.content.whatsapp.template.components[1]: Invalid value: \"object\": subType and index must be set for a Button",
        ),
        (
            with(whatsapp_broadcast(), "/spec/content/whatsapp/template/components/1/parameters/0/text", json!("x")),
            "spec.content.whatsapp.template.components[1].parameters[0]: Invalid value: \"object\": exactly one of text, payload, image",
        ),
        (
            with(
                whatsapp_broadcast(),
                "/spec/content/whatsapp/template/components/2/parameters/1",
                json!({"name": "picture", "image": {"url": "https://cdn.example/1.png"}}),
            ),
            "spec.content.whatsapp.template.components[2].parameters[1].name: Invalid value: \"picture\": only text, currency and dateTime",
        ),
        (
            with(
                whatsapp_broadcast(),
                "/spec/content/whatsapp/template/components/0/parameters",
                json!([{"image": {"url": "https://cdn.example/1.png"}}]),
            ),
            "spec.content.whatsapp.template.components[0].parameters: Invalid value: \"array\": image, video and document stand in a Header",
        ),
        (
            with(
                whatsapp_broadcast(),
                "/spec/content/whatsapp/template/components/0/parameters",
                json!([{"couponCode": "25OFF"}]),
            ),
            "spec.content.whatsapp.template.components[0].parameters: Invalid value: \"array\": a Button of QuickReply takes a payload",
        ),
        (
            with(whatsapp_broadcast(), "/spec/content/whatsapp/template/components/1/subType", json!("URL")),
            "spec.content.whatsapp.template.components[1].parameters: Invalid value: \"array\": a Button of QuickReply takes a payload",
        ),
        (
            with(
                whatsapp_broadcast(),
                "/spec/content/whatsapp/template/components/0/parameters/1/currency/code",
                json!("eur"),
            ),
            "spec.content.whatsapp.template.components[0].parameters[1].currency.code: Invalid value: \"eur\"",
        ),
        (
            with(messenger_broadcast(), "/spec/content/messenger/messagingType", json!("Update")),
            "spec.content.messenger.messagingType: Invalid value: \"Update\": must not be set with a template, which is always",
        ),
        (
            with(
                messenger_broadcast(),
                "/spec/content/messenger/quickReplies",
                json!([{"title": "Yes", "payload": "yes"}]),
            ),
            "spec.content.messenger.quickReplies: Invalid value: ",
        ),
        (
            message("/spec/content/telegram/inlineKeyboard/0/buttons/0/callbackData", json!("x")),
            "spec.content.telegram.inlineKeyboard[0].buttons[0]: Invalid value: \"object\": exactly one of url and callbackData must be set",
        ),
        (
            message("/spec/content/telegram/parseMode", json!("Markdown")),
            "spec.content.telegram.parseMode: Unsupported value: \"Markdown\": supported values: \"HTML\", \"MarkdownV2\"",
        ),
        (channel("/spec/suppression", NULL), ""),
        (channel("/spec/suppression", json!({})), "spec.suppression.sources: Required value"),
        (channel("/spec/suppression/sources", json!([])), "spec.suppression.sources: Invalid value"),
        (
            channel("/spec/suppression/sources/0/configMapKeyRef", NULL),
            "spec.suppression.sources[0]: Invalid value: \"object\": exactly one of configMapKeyRef, secretKeyRef, http and sql must be set",
        ),
        (
            channel("/spec/suppression/sources/0/secretKeyRef", json!({"name": "staff", "key": "ids.csv"})),
            "spec.suppression.sources[0]: Invalid value: \"object\": exactly one of configMapKeyRef, secretKeyRef, http and sql must be set",
        ),
        (
            channel("/spec/suppression/sources/0/configMapKeyRef/key", json!("ids.txt")),
            "spec.suppression.sources[0].configMapKeyRef.key: Invalid value: \"ids.txt\": must end in .csv, .ndjson or .jsonl",
        ),
        (
            channel("/spec/suppression/sources/0/contacts", json!({})),
            "spec.suppression.sources[0].contacts: Unknown field",
        ),
        (
            channel("/spec/suppression/sources/1/name", json!("opt-outs")),
            "spec.suppression.sources[1]: Duplicate value",
        ),
        (
            channel("/spec/suppression/sources/2/http/recipientsPointer", NULL),
            "spec.suppression.sources[2].http.recipientsPointer: Required value: an answer that names its next page",
        ),
        (
            channel("/spec/messenger/baseURL", json!("https://user:pw@graph.example")),
            "spec.messenger.baseURL: Invalid value: ",
        ),
        (with(twilio_channel(), "/spec/receiver", json!({"url": "https://hooks.example/sms"})), ""),
        (with(slack_channel(), "/spec/receiver", json!({"enabled": true})), ""),
        (
            with(twilio_channel(), "/spec/receiver", json!({"enabled": true})),
            "spec.receiver.url: Required value: twilio signs the URL that it calls",
        ),
        (with(twilio_channel(), "/spec/receiver", json!({"enabled": true, "url": "https://hooks.example/sms"})), ""),
        (
            http("/spec/receiver", json!({"enabled": true})),
            "spec.receiver.enabled: Forbidden: a channel of http has no call-backs",
        ),
        (
            with(slack_channel(), "/spec/receiver", json!({"url": "https://hooks.example/sms?key=1"})),
            "spec.receiver.url: Invalid value: ",
        ),
        (http("/spec/rate", NULL), "spec.rate: Required value: this provider has no default rate"),
        (
            http("/spec/credentialsSecretRef", NULL),
            "spec.credentialsSecretRef: Required value: the signature, or a template, needs a key of the channel's Secret",
        ),
        (without_secret("/spec/http/method", json!("PATCH")), ""),
        (
            without_secret("/spec/http/signing", json!("StandardWebhooks")),
            "spec.credentialsSecretRef: Required value: the signature, or a template",
        ),
        (
            without_secret("/spec/http/url", json!("https://gateway.example/{{ secret.path }}")),
            "spec.credentialsSecretRef: Required value: the signature, or a template",
        ),
        (
            without_secret("/spec/http/body", json!("{\n  \"key\": {{ secret['api-key'] }}\n}")),
            "spec.credentialsSecretRef: Required value: the signature, or a template",
        ),
        (with(unsigned, "/spec/credentialsSecretRef", NULL), "spec.credentialsSecretRef: Required value: "),
        (http("/spec/http/url", json!("https://{{ id }}.example/")), "spec.http.url: Invalid value: "),
        (http("/spec/http/url", json!("https://gateway.example/send?a={{ vars.a | default('x') }}")), ""),
        (
            http("/spec/http/method", json!("GET")),
            "spec.http.body: Invalid value: \"{\\\"text\\\": {{ text }}}\": a GET has no body",
        ),
        (
            with(
                with(http("/spec/http/method", json!("GET")), "/spec/http/body", NULL),
                "/spec/http/contentType",
                NULL,
            ),
            "",
        ),
        (
            http("/spec/http/method", json!("DELETE")),
            "spec.http.method: Unsupported value: \"DELETE\": supported values: ",
        ),
        (
            http("/spec/http/body", NULL),
            "spec.http.contentType: Invalid value: \"application/json\": contentType describes a body of your own",
        ),
        (http("/spec/http/contentType", json!("text/plain; charset=utf-8")), ""),
        (
            http("/spec/http/headers", json!([{"name": "Webhook-Id", "value": "1"}])),
            "spec.http.headers: Invalid value: \"array\": signing sets the headers webhook-id",
        ),
        (with(plain_header.clone(), "/spec/http/headers", json!([{"name": "Webhook-Id", "value": "1"}])), ""),
        (http("/spec/http/response/codes", NULL), ""),
        (
            http("/spec/http/response/errorCodePointer", NULL),
            "spec.http.response.errorCodePointer: Required value: codes are looked for where errorCodePointer leads",
        ),
        (
            http(
                "/spec/http/response/codes",
                json!([{"code": "1", "class": "Auth"}, {"code": "1", "class": "Blocked"}]),
            ),
            "spec.http.response.codes[1]: Duplicate value: ",
        ),
        (http("/spec/http/response/statuses/0/statuses", json!(["409", "500-500"])), ""),
        (
            http("/spec/http/response/statuses/0/statuses", json!(["409", "599-500"])),
            "spec.http.response.statuses[0].statuses: Invalid value: \"array\": a range begins with the lower status",
        ),
        (
            http("/spec/http/response/statuses/0/statuses/0", json!("5xx")),
            "spec.http.response.statuses[0].statuses[0]: Invalid value: ",
        ),
        (
            http("/spec/http/response/statuses/0/class", json!("Failed")),
            "spec.http.response.statuses[0].class: Unsupported value: \"Failed\": supported values: \"Accepted\"",
        ),
        (http("/spec/http/headers", NULL), ""),
        (
            http("/spec/http/headers/0/name", json!("content-Length")),
            "spec.http.headers[0].name: Invalid value: Host, Content-Type, Content-Length",
        ),
        (
            with(
                plain_header.clone(),
                "/spec/http/headers",
                json!([{"name": "X-Team", "value": "1"}, {"name": "x-team", "value": "2"}]),
            ),
            "spec.http.headers: Invalid value: \"array\": names of headers must be unique, whatever their case",
        ),
        (
            with(plain_header, "/spec/http/headers/0/value", json!("two\nlines")),
            "spec.http.headers[0].value: Invalid value: ",
        ),
        (
            channel(
                "/spec/sender/resources",
                json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m"}}),
            ),
            "",
        ),
        (
            channel("/spec/sender/resources", json!({"requests": {"cpu": "1.5"}, "limits": {"cpu": "1499m"}})),
            "spec.sender.resources.requests.cpu: Invalid value: \"1.5\": must not be more than limits.cpu",
        ),
        (
            channel("/spec/sender/resources", json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1000Mi"}})),
            "spec.sender.resources.requests.memory: Invalid value: \"1Gi\": must not be more than limits.memory",
        ),
        (
            channel(
                "/spec/sender/resources",
                json!({"requests": {"ephemeral-storage": "2G"}, "limits": {"ephemeral-storage": "1Gi"}}),
            ),
            "spec.sender.resources.requests: Invalid value: \"object\": ephemeral-storage must not be more than that of limits",
        ),
        (channel("/spec/sender/labels", json!({"team": "", "cost.example/centre": "4711", ("a".repeat(63)): "x"})), ""),
        (channel("/spec/sender/labels", json!({"notherald.dev/a": "x", "x-kubernetes.io/a": "x"})), ""),
        (channel("/spec/sender/nodeSelector", json!({"kubernetes.io/arch": "amd64", "herald.dev/pool": "a"})), ""),
        (channel("/spec/sender/labels", json!({"herald.dev/broadcast": "spring"})), RESERVED),
        (channel("/spec/sender/labels", json!({"app.kubernetes.io/name": "mine"})), RESERVED),
        (channel("/spec/sender/labels", json!({"job-name": "mine"})), RESERVED),
        (channel("/spec/sender/labels", json!({"two words": "x"})), LABEL_NAMES),
        (channel("/spec/sender/labels", json!({("a".repeat(64)): "x"})), LABEL_NAMES),
        (channel("/spec/sender/labels", json!({(format!("{}/a", "a".repeat(254))): "x"})), LABEL_NAMES),
        (channel("/spec/sender/labels", json!({"Example.com/a": "x"})), LABEL_NAMES),
        (channel("/spec/sender/labels", json!({"team": "two words"})), "spec.sender.labels.team: Invalid value: "),
        (
            channel("/spec/sender/nodeSelector", json!({"pool/": "a"})),
            "spec.sender.nodeSelector: Invalid value: \"object\": names of labels are at most 63",
        ),
        (
            channel(
                "/spec/sender/tolerations",
                json!([{"operator": "Exists"}, {"key": "dedicated", "value": "batch"}]),
            ),
            "",
        ),
        (
            channel("/spec/sender/tolerations", json!([{"operator": "Equal", "value": "batch"}])),
            "spec.sender.tolerations[0].operator: Invalid value: \"Equal\": without a key every taint is meant",
        ),
        (
            channel("/spec/sender/tolerations", json!([{"key": "dedicated", "operator": "Exists", "value": "batch"}])),
            "spec.sender.tolerations[0].value: Invalid value: \"batch\": with the operator Exists every value is meant",
        ),
        (
            channel("/spec/sender/tolerations", json!([{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}])),
            "spec.sender.tolerations[0].effect: Invalid value: \"NoSchedule\": only the effect NoExecute",
        ),
        (batch(), ""),
    ]
}
