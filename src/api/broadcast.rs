//! BroadcastMessage: one message to one audience, once.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    audience::Audience, broadcast_status::BroadcastMessageStatus, content::Content, notification,
    notification::NotificationEndpoint, on_sent::OnSent, quiet_period, quiet_period::QuietPeriod, rate::Rate,
    reference::ObjectRef,
};

/// The longest name of a BroadcastMessage: Jobs and batches add to it and must stay DNS labels of 63 characters.
pub const MAX_BROADCAST_NAME: usize = 52;
/// The longest idempotency key, in characters: any object name fits.
pub const MAX_IDEMPOTENCY_KEY: usize = 253;
/// The most senders of a broadcast: one holds 300 messages a second with ease.
pub const MAX_SENDERS: u32 = 8;
/// The most attempts of a recipient: what fails so often is no passing trouble.
pub const MAX_ATTEMPTS: u32 = 20;
/// The longest starting deadline: a year.
pub const MAX_STARTING_DEADLINE_SECONDS: u32 = 31_536_000;
/// The most recipients of a batch.
pub const MAX_BATCH_SIZE: u32 = 20_000;

/// What to send, to whom, through which channel, when and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "herald.dev",
    version = "v1alpha1",
    kind = "BroadcastMessage",
    namespaced,
    status = "BroadcastMessageStatus",
    derive = "PartialEq",
    shortname = "bm",
    category = "herald",
    doc = "One message to one audience, sent once: nobody is skipped and nobody gets it twice. Deleting it stops the sending; \
           applying it again goes on with those who have not got it yet. To send again, change spec.idempotencyKey.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state",
        description = "What the broadcast is doing"),
    printcolumn(name = "Planned", type_ = "integer", json_path = ".status.recipients.planned",
        description = "Recipients in the sealed plan"),
    printcolumn(name = "Sent", type_ = "integer", json_path = ".status.recipients.sent",
        description = "Recipients whose message the provider took"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.recipients.failed",
        description = "Recipients the provider refused for good"),
    printcolumn(name = "Unknown", type_ = "integer", json_path = ".status.recipients.unknown",
        description = "Recipients whose answer was lost: the message may or may not have arrived"),
    printcolumn(name = "Progress", type_ = "integer", json_path = ".status.progressPercent",
        description = "Settled recipients in percent"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Rate", type_ = "integer", json_path = ".status.ratePerMinute", priority = "1",
        description = "Messages sent in the last minute"),
    printcolumn(name = "ETA", type_ = "string", json_path = ".status.estimatedCompletionTime", priority = "1",
        description = "When the last recipient is expected to settle"),
    printcolumn(name = "Channel", type_ = "string", json_path = ".spec.channelRef.name", priority = "1",
        description = "The MessageChannel it is sent through"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = "1", description = "Why it is Ready or not"),
    validation = Rule::new(
        "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    ).message("must be a DNS label of at most 52 characters: lower-case letters, digits and '-', because Jobs and batches add to it")
        .field_path(".metadata.name"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.firstAttemptTime) || self.spec.channelRef == oldSelf.spec.channelRef"
    ).message("locked since the first message was attempted; to send through another channel make a new BroadcastMessage with another idempotencyKey")
        .field_path(".spec.channelRef").reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.firstAttemptTime) || self.spec.audience == oldSelf.spec.audience"
    ).message("locked since the first message was attempted; to reach others make a new BroadcastMessage with another idempotencyKey")
        .field_path(".spec.audience").reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.firstAttemptTime) || self.spec.content == oldSelf.spec.content"
    ).message("locked since the first message was attempted; to say something else make a new BroadcastMessage with another idempotencyKey")
        .field_path(".spec.content").reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.firstAttemptTime) \
         || (has(self.spec.onSent) && has(self.spec.onSent.tags) ? self.spec.onSent.tags : []) \
         == (has(oldSelf.spec.onSent) && has(oldSelf.spec.onSent.tags) ? oldSelf.spec.onSent.tags : [])"
    ).message("locked since the first message was attempted; to tag people otherwise make a new BroadcastMessage with another idempotencyKey")
        .field_path(".spec.onSent").reason(Reason::FieldValueForbidden),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.firstAttemptTime) \
         || (has(self.spec.idempotencyKey) ? self.spec.idempotencyKey : self.metadata.name) \
         == (has(oldSelf.spec.idempotencyKey) ? oldSelf.spec.idempotencyKey : oldSelf.metadata.name)"
    ).message("locked since the first message was attempted; to send again make a new BroadcastMessage with another idempotencyKey")
        .field_path(".spec.idempotencyKey").reason(Reason::FieldValueForbidden)
)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastMessageSpec {
    /// The MessageChannel of the same namespace to send through. Mutable until the first message is attempted, then
    /// locked. Required.
    pub channel_ref: ObjectRef,
    /// Who gets the message: recipients listed here, files of recipients, less those excluded. Mutable until the first
    /// message is attempted, then locked. Required.
    pub audience: Audience,
    /// What is sent. Mutable until the first message is attempted, then locked. Required.
    pub content: Content,
    /// What is remembered of whom the message was sent to: tags here, and optionally labels of a
    /// Messenger page and a statement in a database of yours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_sent: Option<OnSent>,
    /// How fast and by how many senders. May be changed at any time and takes effect within seconds, but for
    /// `batchSize`, which counts when the plan is made.
    #[serde(default)]
    pub delivery: Delivery,
    /// When to begin and when to stop. Without it the sending begins at once and ends with the last recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Whom to tell how it goes: at most 4 endpoints, each with a name of its own. What happens is kept in the ledger with
    /// what caused it and posted until the endpoint has taken it, for three days; it may come more than once, always with the
    /// same `webhook-id`, and in any order. Default: nobody. May be changed at any time; what happened before an endpoint was
    /// named is not told to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "notification::list_schema")]
    pub notifications: Vec<NotificationEndpoint>,
    /// `true`: make the plan, count it and render samples, but send nothing; while sending: pause. Remove it, or set
    /// `false`, to start or go on. May be changed at any time. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// `true`: stop for good; recipients not yet attempted are skipped (Cancelled). Cannot be taken back: a cancelled
    /// idempotencyKey stays cancelled. What has ended already stays as it ended. May be set at any time. No default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
    /// What makes this broadcast this one, within its namespace: a recipient gets one message per key, however often the
    /// object is deleted and applied again. Default: `metadata.name`. 1 to 253 characters without `/` and white space.
    /// Mutable until the first message is attempted, then locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_IDEMPOTENCY_KEY), regex(pattern = r"^[^/ \t\r\n]+$"))]
    pub idempotency_key: Option<String>,
}

/// How fast and by how many senders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The most this broadcast sends. The lower of this and the channel's rate applies. Without it the channel's rate
    /// alone. May be changed at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How it shares the channel's account with other broadcasts that send at the same time: of every 13 messages
    /// `Urgent` gets 8, `Normal` 4 and `Bulk` 1, and an urgent one begins at once. What one does not use the others get.
    /// Default `Normal`. May be changed at any time.
    #[serde(default)]
    pub priority: Priority,
    /// How often and how late a recipient is tried again after a temporary error. May be changed at any time.
    #[serde(default)]
    pub retry: Retry,
    /// What to do where the answer to a message was lost, so that nobody knows whether the provider took it. `Hold`: the
    /// recipient stays unknown. `Resend`: once no answer can come any more it is sent again, as one of
    /// `retry.maxAttempts`; whoever got the first message gets it twice. Default `Hold`. May be changed at any time, and
    /// counts for those who are unknown already.
    #[serde(default)]
    pub unknown_policy: UnknownPolicy,
    /// How many senders work at once: 1 to 8, default 1. One is enough up to some 300 messages a second; the rate holds
    /// for all of them together. May be changed at any time.
    #[serde(default = "one_sender")]
    #[schemars(range(min = 1, max = MAX_SENDERS))]
    pub senders: u32,
    /// How many recipients a batch should hold: 1 to 20000. Default: about 30 seconds of sending, at least 100. A wish:
    /// a broadcast has at most 500 batches, so the real size is at least planned/500; see `status.batches.size`. A change
    /// after the plan was made has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_BATCH_SIZE))]
    pub batch_size: Option<u32>,
}

impl Default for Delivery {
    fn default() -> Delivery {
        Delivery {
            rate: None,
            priority: Priority::default(),
            retry: Retry::default(),
            unknown_policy: UnknownPolicy::default(),
            senders: one_sender(),
            batch_size: None,
        }
    }
}

fn one_sender() -> u32 {
    1
}

/// A broadcast's part of an account that several want at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Priority {
    Urgent,
    #[default]
    Normal,
    Bulk,
}

/// What to do with a recipient of whom nobody knows whether the message was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnknownPolicy {
    #[default]
    Hold,
    Resend,
}

/// How often and how late a recipient is tried again after a temporary error of the provider. What never reached the
/// provider, and what it throttles for the account, costs no attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.maxBackoffSeconds >= self.initialBackoffSeconds")
    .message("must not be less than initialBackoffSeconds").field_path(".maxBackoffSeconds"))]
pub struct Retry {
    /// How many attempts a recipient gets, the first one included: 1 to 20, default 5. After the last it has failed
    /// (RetriesExhausted).
    #[serde(default = "five_attempts")]
    #[schemars(range(min = 1, max = MAX_ATTEMPTS))]
    pub max_attempts: u32,
    /// The longest wait before the second attempt, in seconds: 1 to 3600, default 5. It doubles with each further one;
    /// the wait itself is random, from nothing up to it, so that many recipients do not come back together.
    #[serde(default = "five_seconds")]
    #[schemars(range(min = 1, max = 3_600))]
    pub initial_backoff_seconds: u32,
    /// What the doubling ends at, in seconds: 1 to 86400, default 900.
    #[serde(default = "fifteen_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_backoff_seconds: u32,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            max_attempts: five_attempts(),
            initial_backoff_seconds: five_seconds(),
            max_backoff_seconds: fifteen_minutes(),
        }
    }
}

fn five_attempts() -> u32 {
    5
}

fn five_seconds() -> u32 {
    5
}

fn fifteen_minutes() -> u32 {
    900
}

/// When to begin and when to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.startTime) || !has(self.endTime) || self.endTime > self.startTime")
    .message("must be after startTime").field_path(".endTime"))]
#[x_kube(validation = Rule::new("!has(self.startingDeadlineSeconds) || has(self.startTime)")
    .message("counts from startTime: set startTime too").field_path(".startingDeadlineSeconds"))]
pub struct Schedule {
    /// Nothing is sent before this instant; the plan is made at once. RFC 3339 with a time zone, e.g.
    /// `2026-12-01T09:00:00Z`. Default: now. May be changed until the sending has begun; later changes have no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub start_time: Option<Timestamp>,
    /// How late the sending may begin after `startTime`, in seconds: 0 to 31536000. Where nobody was attempted by then,
    /// because the cluster was down or the broadcast suspended, nothing is sent: everybody is skipped (Missed). Default:
    /// as late as it comes. May be changed until the sending has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_STARTING_DEADLINE_SECONDS))]
    pub starting_deadline_seconds: Option<u32>,
    /// Nothing is sent at or after this instant; who has not been attempted by then is skipped (Expired). RFC 3339 with a
    /// time zone, after `startTime`. Default: never. May be changed at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::instant::schema")]
    pub end_time: Option<Timestamp>,
    /// When nobody is messaged, week by week: at most 8 periods, which may overlap. They are judged for the moment at which
    /// a message would be sent. A recipient whose audience row has a `time_zone` is judged by that one in place of each
    /// period's own, so people in many zones get the message in the hours that are left in theirs. Expiry goes on: who has
    /// not been messaged by `endTime` is skipped. Together they must leave some time of the week. Default: none. May be
    /// changed at any time and takes effect within seconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "quiet_period::list_schema")]
    pub quiet_hours: Vec<QuietPeriod>,
}

impl BroadcastMessageSpec {
    /// What whoever is sent to is tagged with.
    pub fn sent_tags(&self) -> &[String] {
        self.on_sent.as_ref().map_or(&[], |on_sent| &on_sent.tags)
    }
}

impl BroadcastMessage {
    /// The key of this broadcast in the ledger, within its namespace: as given, or the object's name.
    pub fn idempotency_key(&self) -> &str {
        match &self.spec.idempotency_key {
            Some(key) => key,
            None => self.metadata.name.as_deref().unwrap_or_default(),
        }
    }
}
