//! Whom a broadcast tells how it goes.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::remote_source::SecretKeyRef;

/// The most endpoints of a broadcast: each gets a row in the ledger for each of up to 500 batches.
pub const MAX_NOTIFICATIONS: usize = 4;
/// The longest name of an endpoint, in characters: that of a DNS label.
pub const MAX_ENDPOINT_NAME: usize = 63;
/// The longest URL.
const MAX_URL: usize = 2_048;
/// A name that may be part of the id of a message, which holds no dot.
const ENDPOINT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// One endpoint that is told how a broadcast goes, by Standard Webhooks: a POST of JSON with a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationEndpoint {
    /// The endpoint's name, unique in the list: lower-case letters, digits and `-`, 1 to 63 characters. It is part of
    /// each `webhook-id`. Required.
    #[schemars(length(min = 1, max = MAX_ENDPOINT_NAME), regex(pattern = ENDPOINT_NAME))]
    pub name: String,
    /// Where each event is posted: an http(s) URL without user, password and fragment, 1 to 2048 characters. It is asked by
    /// the sender, from its pod. Path and query may hold a token; they are shown nowhere but here. What waits for the old URL
    /// goes to a new one at once. Required.
    #[schemars(length(min = 1, max = MAX_URL))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^ \t\r\n#@/?]+([/?][^ \t\r\n#]*)?$')")
        .message("must be an absolute http(s) URL without user, password and fragment, e.g. https://hooks.example/herald"))]
    pub url: String,
    /// The key of a Secret of the same namespace that holds what the events are signed with: `whsec_` and 24 to 64 bytes in
    /// base64 (HMAC-SHA256, `v1`), or `whsk_` and an Ed25519 key (`v1a`). Two with white space between, the new one and the old
    /// one, sign each event twice while receivers change over. It is read by the sender, from its pod: a Secret that is named later is mounted with the next
    /// pod. Required.
    pub signing_secret_key_ref: SecretKeyRef,
    /// Which events are told, at least one: `BatchCompleted` (nobody of a batch is pending any more), `BroadcastStarted`
    /// (the first message was attempted), `BroadcastSuspended` (paused, or held until a person acts), `BroadcastStalled`
    /// (nothing goes on until a person acts), `BroadcastFinished` (it came to its end, whichever). Required.
    #[schemars(schema_with = "events_schema")]
    pub events: Vec<NotificationEvent>,
}

/// What a broadcast tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NotificationEvent {
    BatchCompleted,
    BroadcastStarted,
    BroadcastSuspended,
    BroadcastStalled,
    BroadcastFinished,
}

impl NotificationEvent {
    pub const ALL: [NotificationEvent; 5] = [
        NotificationEvent::BatchCompleted,
        NotificationEvent::BroadcastStarted,
        NotificationEvent::BroadcastSuspended,
        NotificationEvent::BroadcastStalled,
        NotificationEvent::BroadcastFinished,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            NotificationEvent::BatchCompleted => "BatchCompleted",
            NotificationEvent::BroadcastStarted => "BroadcastStarted",
            NotificationEvent::BroadcastSuspended => "BroadcastSuspended",
            NotificationEvent::BroadcastStalled => "BroadcastStalled",
            NotificationEvent::BroadcastFinished => "BroadcastFinished",
        }
    }

    pub fn from_name(name: &str) -> Option<NotificationEvent> {
        NotificationEvent::ALL.into_iter().find(|event| event.as_str() == name)
    }
}

impl NotificationEndpoint {
    pub fn wants(&self, event: NotificationEvent) -> bool {
        self.events.contains(&event)
    }
}

pub(super) fn list_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": NotificationEndpoint::json_schema(generator),
        "maxItems": MAX_NOTIFICATIONS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}

fn events_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": NotificationEvent::json_schema(generator),
        "minItems": 1,
        "maxItems": NotificationEvent::ALL.len(),
        "x-kubernetes-list-type": "set",
    })
}
