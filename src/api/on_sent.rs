//! What is remembered of whom a message was sent to, here and elsewhere.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::remote_source::SecretKeyRef;
use super::tag;

/// The longest statement, in characters: more than a screen.
pub const MAX_STATEMENT: usize = 4_096;
/// The most labels: each is a call of its own for every recipient.
pub const MAX_LABELS: usize = 5;
/// The longest label, in characters: what a page's inbox can still show.
pub const MAX_LABEL: usize = 80;
/// No white space at the ends, and nothing that does not show.
const LABEL: &str = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$";

/// What is remembered of whom the message was sent to: at least one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tags) || has(self.messenger) || has(self.sql)")
    .message("at least one of tags, messenger and sql must be given").reason(Reason::FieldValueRequired))]
pub struct OnSent {
    /// Tags that each recipient gets once the provider has taken the message: 1 to 10, each like the value of a label, 1 to
    /// 63 characters. They belong to the channel's account, and `contacts` of an audience finds people by them. Mutable until
    /// the first message is attempted, then locked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tag::tags_schema")]
    pub tags: Vec<String>,
    /// Labels of a Messenger page that each recipient gets, some time after the message and beside the sending. Only with a
    /// channel of Messenger. What goes wrong with them keeps nobody from the message and is shown in `status.writeBacks`. May
    /// be changed at any time: what waits gets the new ones. Whoever was sent to before they were named is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messenger: Option<MessengerWriteBack>,
    /// A statement that is run in a database of yours for each recipient the message was sent to, some time after that and
    /// beside the sending. What goes wrong with it keeps nobody from the message and is shown in `status.writeBacks`. May be
    /// changed at any time: what waits is tried at once by the new one. Whoever was sent to before it was named is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlWriteBack>,
}

/// What a page keeps of whom a message was sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessengerWriteBack {
    /// The names of custom labels of the page: 1 to 5, each 1 to 80 characters. Those that the page does not have are made.
    /// The page must have accepted the Page Contact Terms. Required.
    #[schemars(schema_with = "labels_schema")]
    pub labels: Vec<String>,
}

/// A statement for each recipient that a message was sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlWriteBack {
    /// The key of a Secret of the same namespace that holds the URL of the database: `postgres://USER:PASSWORD@HOST/NAME`,
    /// `mysql://USER:PASSWORD@HOST/NAME` (MariaDB too) or `sqlite:PATH`. It is read by the sender, from its pod: a Secret that
    /// is named later is mounted with the next pod. Required.
    pub url_secret_key_ref: SecretKeyRef,
    /// One INSERT, UPDATE, DELETE, MERGE or REPLACE (or WITH), 1 to 4096 characters. Parameters are bound, never put into the
    /// text: `:id` (the recipient's id; must occur), `:broadcast` (the name of the BroadcastMessage), `:sent_time` (when the
    /// message was sent, UTC) and `:message_id` (the provider's id of the message, or NULL). In PostgreSQL they are texts, and
    /// `:sent_time` is a timestamptz: write `:id::bigint` where the column is a number. It may run more than once for a
    /// recipient, so it should do no harm the second time. Comments, backslashes, `?`, `$` and `#` are not taken outside of
    /// quotes, backslashes nowhere. Required.
    #[schemars(length(min = 1, max = MAX_STATEMENT))]
    pub statement: String,
}

/// Where it is written who was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WriteBackTarget {
    /// `spec.onSent.messenger`.
    Messenger,
    /// `spec.onSent.sql`.
    Sql,
}

impl WriteBackTarget {
    pub const ALL: [WriteBackTarget; 2] = [WriteBackTarget::Messenger, WriteBackTarget::Sql];

    pub fn as_str(self) -> &'static str {
        match self {
            WriteBackTarget::Messenger => "Messenger",
            WriteBackTarget::Sql => "Sql",
        }
    }

    /// Where a document names it, under `spec.onSent`.
    pub fn member(self) -> &'static str {
        match self {
            WriteBackTarget::Messenger => "messenger",
            WriteBackTarget::Sql => "sql",
        }
    }
}

fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_LABEL, "pattern": LABEL},
        "minItems": 1,
        "maxItems": MAX_LABELS,
        "x-kubernetes-list-type": "set",
    })
}
