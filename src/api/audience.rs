//! The audience of a broadcast: who gets the message.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::broadcast::MAX_BROADCAST_NAME;
use super::reference::{DATA_KEY, MAX_NAME, OBJECT_NAME};
use super::remote_source::{HttpSource, SqlSource};
use super::tag;

/// The most recipients that may stand in a document, per list: what etcd holds with ease; more come from sources.
pub const MAX_RECIPIENTS: usize = 1_000;
/// The most sources of one list: each is a file a sender mounts.
pub const MAX_SOURCES: usize = 32;
/// The largest limit: as many as a plan was measured with, in `docs/operations.md`.
pub const MAX_LIMIT: u32 = 10_000_000;
/// As many outcomes as there are.
pub const MAX_OUTCOMES: usize = 4;
/// The longest time in which contacts may have to be active: ten years, which is longer than any list is good for.
pub const MAX_ACTIVE_WITHIN_SECONDS: u32 = 315_360_000;
/// The most variables of one recipient.
pub const MAX_VARS: usize = 32;
/// The longest value of a variable, in characters.
pub const MAX_VAR_LENGTH: usize = 4_096;
/// The longest id of a recipient, in characters.
pub const MAX_RECIPIENT_ID: usize = 256;
/// An id: no white space at either end, no line break.
const RECIPIENT_ID: &str = r"^[^ \t\r\n](.*[^ \t\r\n])?$";

/// Who gets the message: the recipients listed here and those of all sources, each person once (the first occurrence
/// wins), less those excluded. At least one of `recipients` and `sources` must be given. Mutable until the first
/// message is attempted, then locked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.recipients) && self.recipients.size() > 0) || (has(self.sources) && self.sources.size() > 0)"
).message("at least one of recipients and sources must be given and not be empty").reason(Reason::FieldValueRequired))]
pub struct Audience {
    /// Recipients listed in the document itself, at most 1000; for more use a source. They come before all sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "recipients_schema")]
    pub recipients: Vec<Recipient>,
    /// Recipients from files, from elsewhere, of other broadcasts, and contacts of the channel: at most 32 sources, read in this
    /// order and united. Names must be unique in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "sources_schema")]
    pub sources: Vec<AudienceSource>,
    /// Recipients who get nothing even when they are in the audience, e.g. opt-outs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Exclusion>,
    /// At most so many recipients, 1 to 10000000: the first ones, each counted once and without those excluded. What comes
    /// after them is not read. Without it everybody gets the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    pub limit: Option<u32>,
}

/// One recipient listed in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    /// The recipient's id at the provider, e.g. the page-scoped id of Messenger: 1 to 256 characters without white
    /// space at the ends. Put digits in quotes. Required.
    #[schemars(length(min = 1, max = MAX_RECIPIENT_ID), regex(pattern = RECIPIENT_ID))]
    pub id: String,
    /// Variables of this recipient for the message's template: name to text, at most 32, each at most 4096 characters.
    /// Names are letters, digits and `_`, not beginning with a digit. An empty text counts as absent.
    /// `time_zone`, a name of the IANA database such as `America/New_York`, is by whose clock quiet hours are judged.
    /// `last_active_time`, an instant with its offset, is when the recipient last wrote: where the provider takes a message
    /// only for some time after that, whoever's time is over is skipped (WindowClosed).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "vars_schema")]
    pub vars: BTreeMap<String, String>,
}

/// Recipients from elsewhere: exactly one of `configMapKeyRef`, `secretKeyRef`, `http`, `sql`, `broadcast` and
/// `contacts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.configMapKeyRef) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) + (has(self.http) ? 1 : 0) \
     + (has(self.sql) ? 1 : 0) + (has(self.broadcast) ? 1 : 0) + (has(self.contacts) ? 1 : 0) == 1"
).message("exactly one of configMapKeyRef, secretKeyRef, http, sql, broadcast and contacts must be set"))]
pub struct AudienceSource {
    /// A name for this source, for messages and status: a DNS label of 1 to 63 characters, unique in the list. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The file is a key of a ConfigMap of the same namespace. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// The file is a key of a Secret of the same namespace. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// Recipients that an HTTP server gives when the plan is made. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// Recipients that a query of a database gives when the plan is made. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlSource>,
    /// Recipients of another broadcast of the same namespace, by how they ended there, with their variables. It must have
    /// ended when the plan is made. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<BroadcastSource>,
    /// People whom the channel's account knows: whom it has messaged, and whom somebody has brought in. `{}` is all of them.
    /// Whoever has opted out is not among them, but where they are to be left out: under `exclude` they are. Exactly one member
    /// of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<ContactsSource>,
}

/// Contacts of the channel's account, with the variables that they came with last: those for whom everything holds that is
/// given here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactsSource {
    /// Only who has all of these tags: 1 to 10. Default: whichever tags they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tag::tags_schema")]
    pub tags: Vec<String>,
    /// Only who has none of these tags: 1 to 10. Default: whichever tags they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tag::tags_schema")]
    pub without_tags: Vec<String>,
    /// Only who was active in the last so many seconds before the plan is made, as far as is known: 1 to 315360000, ten
    /// years. Whoever was never heard of is left out then. Default: whenever they were active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_ACTIVE_WITHIN_SECONDS))]
    pub active_within_seconds: Option<u32>,
}

/// Recipients of a broadcast that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastSource {
    /// The name of the other BroadcastMessage, in the same namespace: 1 to 52 characters. Its object may be deleted by
    /// now: the ledger knows it. Required.
    #[schemars(length(min = 1, max = MAX_BROADCAST_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Whom of them: those who ended as `Sent`, `Failed`, `Skipped` or `Unknown`; at least one of these. Whoever is
    /// `Unknown` may have got its message. Required.
    #[schemars(schema_with = "outcomes_schema")]
    pub outcomes: Vec<AudienceOutcome>,
}

/// How a recipient ended in another broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AudienceOutcome {
    Sent,
    Failed,
    Skipped,
    Unknown,
}

/// One key of a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The ConfigMap's or Secret's name, in the same namespace: 1 to 253 characters. Required.
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// The key that holds the file. Its ending names the format: `.csv` (a header row with a column `id`; other columns
    /// are variables), `.ndjson` or `.jsonl` (one flat JSON object with a member `id` per line). 1 to 253 characters.
    /// Required.
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = DATA_KEY))]
    #[x_kube(validation = Rule::new("self.endsWith('.csv') || self.endsWith('.ndjson') || self.endsWith('.jsonl')")
        .message("must end in .csv, .ndjson or .jsonl, which names the format of the file"))]
    pub key: String,
}

/// Recipients who get nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exclusion {
    /// Ids to leave out, listed in the document itself: at most 1000; for more use a source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "excluded_schema")]
    pub recipients: Vec<ExcludedRecipient>,
    /// Recipients to leave out, from files, from elsewhere, of other broadcasts, or contacts of the channel: at most 32 sources.
    /// Only the ids count. Names must be unique in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "sources_schema")]
    pub sources: Vec<AudienceSource>,
}

/// One recipient to leave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExcludedRecipient {
    /// The recipient's id at the provider: 1 to 256 characters without white space at the ends. Put digits in quotes.
    /// Required.
    #[schemars(length(min = 1, max = MAX_RECIPIENT_ID), regex(pattern = RECIPIENT_ID))]
    pub id: String,
}

/// How a file of recipients is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientFormat {
    /// Comma-separated, with a header row.
    Csv,
    /// One flat JSON object per line.
    Ndjson,
}

/// Where the recipients of a source are from: its one member that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceMember<'a> {
    ConfigMap(&'a KeyRef),
    Secret(&'a KeyRef),
    Http(&'a HttpSource),
    Sql(&'a SqlSource),
    Broadcast(&'a BroadcastSource),
    Contacts(&'a ContactsSource),
}

impl<'a> SourceMember<'a> {
    /// The one that is there, if there is only one.
    pub(super) fn only<const COUNT: usize>(members: [Option<SourceMember<'a>>; COUNT]) -> Option<SourceMember<'a>> {
        let mut set = members.into_iter().flatten();
        set.next().filter(|_| set.next().is_none())
    }
}

impl AudienceSource {
    /// The member that is set; `None` for a document that was never admitted.
    pub fn member(&self) -> Option<SourceMember<'_>> {
        SourceMember::only([
            self.config_map_key_ref.as_ref().map(SourceMember::ConfigMap),
            self.secret_key_ref.as_ref().map(SourceMember::Secret),
            self.http.as_ref().map(SourceMember::Http),
            self.sql.as_ref().map(SourceMember::Sql),
            self.broadcast.as_ref().map(SourceMember::Broadcast),
            self.contacts.as_ref().map(SourceMember::Contacts),
        ])
    }
}

impl KeyRef {
    /// The format named by the key's ending; `None` for a document that was never admitted.
    pub fn format(&self) -> Option<RecipientFormat> {
        match self.key.rsplit_once('.')?.1 {
            "csv" => Some(RecipientFormat::Csv),
            "ndjson" | "jsonl" => Some(RecipientFormat::Ndjson),
            _ => None,
        }
    }
}

/// Whether a variable may have this name: `[A-Za-z_][A-Za-z0-9_]*`. A schema cannot bound the keys of a map, so every
/// reader of recipients asks this.
pub fn is_variable_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn atomic_list(item: Schema, max_items: usize) -> Schema {
    json_schema!({"type": "array", "items": item, "maxItems": max_items, "x-kubernetes-list-type": "atomic"})
}

fn recipients_schema(generator: &mut SchemaGenerator) -> Schema {
    atomic_list(Recipient::json_schema(generator), MAX_RECIPIENTS)
}

fn excluded_schema(generator: &mut SchemaGenerator) -> Schema {
    atomic_list(ExcludedRecipient::json_schema(generator), MAX_RECIPIENTS)
}

fn sources_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": AudienceSource::json_schema(generator),
        "maxItems": MAX_SOURCES,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}

fn outcomes_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": AudienceOutcome::json_schema(generator),
        "minItems": 1,
        "maxItems": MAX_OUTCOMES,
        "x-kubernetes-list-type": "atomic",
    })
}

fn vars_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": MAX_VAR_LENGTH},
        "maxProperties": MAX_VARS,
    })
}
