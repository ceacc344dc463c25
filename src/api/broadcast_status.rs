//! The status of a BroadcastMessage: a summary of the ledger, which can be made anew from it at any time.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    broadcast::MAX_IDEMPOTENCY_KEY, condition::Condition, notification::MAX_ENDPOINT_NAME, on_sent::WriteBackTarget,
};

/// The most entries of `reasons`; the largest counts are kept.
pub const MAX_REASONS: usize = 32;
/// The longest code of a provider, in characters; longer ones are cut.
pub const MAX_CODE: usize = 64;
/// The most rendered samples of a plan.
pub const MAX_SAMPLES: usize = 5;
/// The longest message of a write-back that failed, in characters; longer ones are cut.
pub const MAX_WRITE_BACK_MESSAGE: usize = 256;
/// The most warnings of a plan.
pub const MAX_PLAN_WARNINGS: usize = 5;
/// The longest warning of a plan, in characters; longer ones are cut.
pub const MAX_PLAN_WARNING: usize = 2_048;
/// The longest sample, in characters; see [`sample`]. Whoever approves a broadcast reads it to its end: most texts are shorter.
pub const MAX_SAMPLE: usize = 2_048;

/// The most spans of `recentPace`: five minutes, and longer where spans are.
pub const MAX_PACE_SPANS: usize = 30;

/// A sample as a status holds it: of one that is too long the beginning, with `…` as its last character.
pub fn sample(text: &str) -> String {
    match text.char_indices().nth(MAX_SAMPLE - 1) {
        Some((last, character)) if last + character.len_utf8() < text.len() => format!("{}…", &text[..last]),
        _ => text.to_owned(),
    }
}

/// What a broadcast is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BroadcastState {
    Pending,
    Planning,
    Scheduled,
    Sending,
    Suspended,
    Complete,
    Cancelled,
    Expired,
    Missed,
    Failed,
}

/// How a recipient ended, where there is a reason to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ReasonOutcome {
    Failed,
    Skipped,
    Unknown,
}

/// What has been observed, from the ledger. Written by Herald alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastMessageStatus {
    /// The `metadata.generation` this status was written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The key in use: `spec.idempotencyKey`, or `metadata.name` where that is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY))]
    pub idempotency_key: Option<String>,
    /// `Ready`, `Reconciling`, `Stalled` (a person must act), `Suspended`, `Complete` (everybody was attempted) and
    /// `Finished` (every end; its reason is `Delivered`, `DeliveredWithFailures`, `Cancelled`, `Expired`, `Missed` or `Failed`).
    /// Of the ends only `Failed` waits for a person: senders died while they made the plan, and nobody was sent anything. An edit
    /// of the broadcast or of its channel leaves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// What the broadcast is doing, for people: `Pending`, `Planning`, `Scheduled`, `Sending`, `Suspended`, `Complete`,
    /// `Cancelled`, `Expired`, `Missed` or `Failed`. Programs should read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BroadcastState>,
    /// The balance of recipients: planned = pending + sent + failed + skipped + unknown, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<RecipientSums>,
    /// What the provider told of the messages that it took; absent until it told something. Only channels with a receiver
    /// hear of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<ReceiptSums>,
    /// Why recipients failed, were skipped or are unknown, with the provider's codes and counts; the 32 most frequent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "reasons_schema")]
    pub reasons: Vec<ReasonCount>,
    /// The batches the plan was cut into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<BatchSums>,
    /// What became of the events for `spec.notifications`; absent where nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<NotificationSums>,
    /// How far the write-backs of `spec.onSent` have come: one entry for each target, e.g. `Sql`. They are done after the
    /// sending and beside it, and hold nothing up: a broadcast is Complete whatever stands here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "write_backs_schema")]
    pub write_backs: Vec<WriteBackSums>,
    /// Settled recipients (sent, failed, skipped, unknown) in percent of the planned, rounded down: 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub progress_percent: Option<u32>,
    /// Messages sent in the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rate_per_minute: Option<i64>,
    /// How fast it was sent lately, from the ledger; absent until the provider was asked anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_pace: Option<RecentPace>,
    /// How many requests were made to the provider, whatever it answered: tries again and each part of a message are among them;
    /// absent until the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub requests: Option<i64>,
    /// How long the provider took to answer them; absent until the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// When the last recipient is expected to settle at the present rate; absent while nothing is being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub estimated_completion_time: Option<Timestamp>,
    /// The sealed plan: what was read, and what it hashes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// When the first message was attempted. From then on channel, audience, content, onSent.tags and idempotencyKey are
    /// locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub first_attempt_time: Option<Timestamp>,
    /// The ledger's revision this status was made from; it only grows, unless the ledger lost data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ledger_revision: Option<i64>,
    /// When Herald first took up this broadcast: its ledger knows its key since then, also where the object was made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub start_time: Option<Timestamp>,
    /// When the broadcast came to its end, whichever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub completion_time: Option<Timestamp>,
}

/// The balance of a broadcast's recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecipientSums {
    /// Distinct recipients of the audience, less those excluded.
    #[schemars(range(min = 0))]
    pub planned: i64,
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
    /// The answer was lost: the message may or may not have arrived. Not sent again, so that nobody gets it twice, unless
    /// `spec.delivery.unknownPolicy` asks for it.
    #[schemars(range(min = 0))]
    pub unknown: i64,
}

/// What became of messages after the provider took them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptSums {
    /// Arrived at the recipient's device; the read ones are among them.
    #[schemars(range(min = 0))]
    pub delivered: i64,
    /// Read by the recipient, as far as they let it be known.
    #[schemars(range(min = 0))]
    pub read: i64,
    /// Taken by the provider, and did not arrive. They count as sent: nobody is messaged again for it.
    #[schemars(range(min = 0))]
    pub undelivered: i64,
}

/// How many messages were sent when: the last spans of equal length, until the provider was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentPace {
    /// When the first span begins.
    #[schemars(schema_with = "super::instant::schema")]
    pub begin_time: Timestamp,
    /// The length of each span: 10 seconds, and more in a broadcast that takes long.
    #[schemars(range(min = 1))]
    pub span_seconds: i64,
    /// How many messages were sent in each span, the oldest first: at most 30. The last span may not be over yet.
    #[schemars(schema_with = "spans_schema")]
    pub sent: Vec<i64>,
}

/// How long answers took. Each figure may be off by a quarter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Half of the answers took so many milliseconds, or fewer.
    #[schemars(range(min = 0))]
    pub p50_milliseconds: i64,
    /// 95 of 100 answers took so many milliseconds, or fewer.
    #[schemars(range(min = 0))]
    pub p95_milliseconds: i64,
    /// 99 of 100 answers took so many milliseconds, or fewer.
    #[schemars(range(min = 0))]
    pub p99_milliseconds: i64,
}

/// How many recipients ended so for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// How they ended: `Failed`, `Skipped` or `Unknown`.
    pub outcome: ReasonOutcome,
    /// Why, as one CamelCase word, e.g. `RetriesExhausted`. 1 to 128 letters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// The provider's own code, where it gave one, e.g. `551`, `10/2018278` or `404`. At most 64 characters. The first 100
    /// causes of a broadcast are told apart so, further ones are counted by their reason alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CODE))]
    pub code: Option<String>,
    /// How many recipients ended so.
    #[schemars(range(min = 0))]
    pub count: i64,
}

/// The batches of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchSums {
    /// All batches: at most 500.
    #[schemars(range(min = 0))]
    pub total: u32,
    /// Recipients per batch; the last one may hold fewer.
    #[schemars(range(min = 0))]
    pub size: u32,
    /// Batches no sender has begun.
    #[schemars(range(min = 0))]
    pub pending: u32,
    /// Batches begun and not complete.
    #[schemars(range(min = 0))]
    pub active: u32,
    /// Batches with every recipient settled.
    #[schemars(range(min = 0))]
    pub complete: u32,
}

/// Events for the endpoints of a broadcast: one for each endpoint that wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSums {
    /// Not taken yet; tried again for three days.
    #[schemars(range(min = 0))]
    pub pending: i64,
    /// Taken by their endpoint.
    #[schemars(range(min = 0))]
    pub delivered: i64,
    /// Given up: the endpoint took them not within three days, or is gone.
    #[schemars(range(min = 0))]
    pub failed: i64,
    /// Why one of those pending or failed was last not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<NotificationError>,
}

/// Why an event was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationError {
    /// The name of the endpoint.
    #[schemars(length(max = MAX_ENDPOINT_NAME))]
    pub endpoint: String,
    /// Why, as one CamelCase word, e.g. `NotificationRefused`. 1 to 128 letters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// The HTTP status that the endpoint answered, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CODE))]
    pub code: Option<String>,
}

/// Recipients that the message was sent to, and whether that is written down at one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteBackSums {
    /// Where: `Messenger` for `spec.onSent.messenger`, `Sql` for `spec.onSent.sql`.
    pub target: WriteBackTarget,
    /// Not written yet; tried until nothing has come of it for three days.
    #[schemars(range(min = 0))]
    pub pending: i64,
    /// Written down at the target.
    #[schemars(range(min = 0))]
    pub done: i64,
    /// Given up. Where the target as a whole was given up, an edit of `spec.onSent` makes them pending again.
    #[schemars(range(min = 0))]
    pub failed: i64,
    /// Why something was last not written; gone once all goes well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<WriteBackError>,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteBackError {
    /// Why, as one CamelCase word, e.g. `WriteBackRefused`. 1 to 128 letters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// The target's own code, where it gave one, e.g. `42P01`. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CODE))]
    pub code: Option<String>,
    /// For people: what went wrong, and what to do. At most 256 characters; holds no secret and no recipient.
    #[schemars(length(max = MAX_WRITE_BACK_MESSAGE))]
    pub message: String,
}

/// The sealed plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// `sha256:` and the hash over sequence, recipients and variables. It never changes once a message was attempted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub hash: Option<String>,
    /// When the plan was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub sealed_time: Option<Timestamp>,
    /// Rows dropped because their recipient had occurred before.
    #[schemars(range(min = 0))]
    pub duplicates: i64,
    /// Recipients dropped because they are excluded.
    #[schemars(range(min = 0))]
    pub excluded: i64,
    /// The message as the first few recipients will get it: at most 5, each at most 2048 characters. One that ends with `…` at
    /// that length goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "samples_schema")]
    pub samples: Vec<String>,
    /// What is no error and perhaps not meant, such as variables of the message that no recipient has: at most 5, each at most
    /// 2048 characters. Nothing is held back for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "warnings_schema")]
    pub warnings: Vec<String>,
}

fn reasons_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": ReasonCount::json_schema(generator),
        "maxItems": MAX_REASONS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn write_backs_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": WriteBackSums::json_schema(generator),
        "maxItems": WriteBackTarget::ALL.len(),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["target"],
    })
}

fn spans_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "integer", "format": "int64", "minimum": 0},
        "maxItems": MAX_PACE_SPANS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn warnings_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "maxLength": MAX_PLAN_WARNING},
        "maxItems": MAX_PLAN_WARNINGS,
        "x-kubernetes-list-type": "atomic",
    })
}

fn samples_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "maxLength": MAX_SAMPLE},
        "maxItems": MAX_SAMPLES,
        "x-kubernetes-list-type": "atomic",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_whole_or_says_that_it_goes_on() {
        let longest = "é".repeat(MAX_SAMPLE);
        assert_eq!(sample(&longest), longest);
        let cut = sample(&format!("{longest}é"));
        assert_eq!((cut.chars().count(), cut.chars().last()), (MAX_SAMPLE, Some('…')));
        assert!(longest.starts_with(cut.trim_end_matches('…')));
        assert_eq!(sample(""), "");
    }
}
