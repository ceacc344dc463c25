//! MessageBatch: a range of one broadcast's recipients.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{broadcast::MAX_BATCH_SIZE, condition::Condition, reference::ObjectRef};

/// The most batches of a broadcast.
pub const MAX_BATCHES: u32 = 500;

/// What a batch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BatchState {
    Pending,
    Sending,
    Waiting,
    Complete,
    Cancelled,
}

/// Which recipients of which broadcast. Made by Herald; immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "herald.dev",
    version = "v1alpha1",
    kind = "MessageBatch",
    plural = "messagebatches",
    namespaced,
    status = "MessageBatchStatus",
    derive = "PartialEq",
    shortname = "mb",
    category = "herald",
    selectable = ".spec.broadcastRef.name",
    doc = "A contiguous range of one broadcast's recipients, so that progress can be watched. Made by Herald and owned by its \
           BroadcastMessage: one made by hand is ignored, one deleted by hand comes back with its true status.",
    printcolumn(
        name = "Broadcast",
        type_ = "string",
        json_path = ".spec.broadcastRef.name",
        description = "The BroadcastMessage it is part of"
    ),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.state",
        description = "What the batch is doing"
    ),
    printcolumn(
        name = "Sent",
        type_ = "integer",
        json_path = ".status.recipients.sent",
        description = "Recipients whose message the provider took"
    ),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.recipients.failed",
        description = "Recipients the provider refused for good"
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.recipients.pending",
        description = "Recipients not settled yet"
    ),
    printcolumn(
        name = "Retries",
        type_ = "integer",
        json_path = ".status.retries",
        description = "Attempts beyond the first"
    ),
    printcolumn(
        name = "Holder",
        type_ = "string",
        json_path = ".status.claim.holder",
        description = "The sender that works on it"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a MessageBatch is immutable: Herald makes it from the plan of its BroadcastMessage")
    .reason(Reason::FieldValueForbidden))]
pub struct MessageBatchSpec {
    /// The BroadcastMessage of the same namespace this batch is part of. Immutable. Required.
    pub broadcast_ref: ObjectRef,
    /// The batch's place in the broadcast, counted from 0: 0 to 499. Immutable. Required.
    #[schemars(range(min = 0, max = MAX_BATCHES - 1))]
    pub index: u32,
    /// The sequence number of the first recipient, counted from 0 over the whole broadcast. Immutable. Required.
    #[schemars(range(min = 0))]
    pub first_recipient: i64,
    /// How many recipients the batch holds: at least 1. Immutable. Required.
    #[schemars(range(min = 1, max = MAX_RECIPIENT_COUNT))]
    pub recipient_count: i64,
}

/// The most recipients of one batch: a wish is at most [`MAX_BATCH_SIZE`], but a broadcast has at most [`MAX_BATCHES`]
/// batches, so very large audiences make larger ones.
pub const MAX_RECIPIENT_COUNT: i64 = MAX_BATCH_SIZE as i64 * 1_000;

/// What has been observed, from the ledger. Written by Herald alone.
///
/// Until the first status is written, the API server says of every batch that it is `Pending`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"state": BatchState::Pending}))]
pub struct MessageBatchStatus {
    /// The `metadata.generation` this status was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// What the batch is doing: `Pending`, `Sending` (a sender holds it), `Waiting` (begun, and nobody of it is taken now: only
    /// answers, retries, quiet hours or throttling are waited for, or it is paused), `Complete` or `Cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BatchState>,
    /// The sender that works on it, and since when; absent while nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<BatchClaim>,
    /// The balance of recipients: recipientCount = pending + sent + failed + skipped + unknown, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<BatchRecipientSums>,
    /// Attempts beyond the first, summed over recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub retries: Option<i64>,
    /// How often the batch was taken over from a lost sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reclaims: Option<i64>,
    /// The last error seen, whatever became of the recipient later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<BatchError>,
    /// `Ready`, `Complete` (every recipient settled) and `Stalled` (a person must act).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// When a sender first took the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub start_time: Option<Timestamp>,
    /// When the last recipient settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub completion_time: Option<Timestamp>,
}

/// Who works on a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchClaim {
    /// The sender's name, for people: its pod, or process. 1 to 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub holder: String,
    /// Grows with every claim; a sender of an older epoch takes no recipient.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// When it was claimed.
    #[schemars(schema_with = "super::instant::schema")]
    pub claimed_time: Timestamp,
    /// When the sender last showed itself.
    #[schemars(schema_with = "super::instant::schema")]
    pub renewed_time: Timestamp,
    /// How many seconds after `renewedTime` another sender may take over.
    #[schemars(range(min = 1, max = 3_600))]
    pub lease_duration_seconds: u32,
}

/// The balance of a batch's recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchRecipientSums {
    /// Not settled yet: waiting, being sent, or waiting for another try.
    #[schemars(range(min = 0))]
    pub pending: i64,
    /// The provider took the message.
    #[schemars(range(min = 0))]
    pub sent: i64,
    /// The provider refused for good, or all tries were used up.
    #[schemars(range(min = 0))]
    pub failed: i64,
    /// Never attempted, by decision: cancelled, expired, begun too late (Missed), opted out, or too long inactive for the
    /// provider to take a message (WindowClosed).
    #[schemars(range(min = 0))]
    pub skipped: i64,
    /// The answer was lost: the message may or may not have arrived.
    #[schemars(range(min = 0))]
    pub unknown: i64,
}

/// An error of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchError {
    /// Why, as one CamelCase word, e.g. `Transient`. 1 to 128 letters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// The provider's own code, e.g. `10/2018278`; absent where no answer came. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub code: Option<String>,
    /// The provider's or the transport's words, at most 1024 characters.
    #[schemars(length(max = 1_024))]
    pub message: String,
    /// When it happened.
    #[schemars(schema_with = "super::instant::schema")]
    pub time: Timestamp,
}
