//! What is remembered of whom a message was sent to, here and elsewhere.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::remote_source::SecretKeyRef;
use super::tag;

/// The longest statement, in characters: more than a screen.
pub const MAX_STATEMENT: usize = 4_096;

/// What is remembered of whom the message was sent to: at least one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tags) || has(self.sql)")
    .message("at least one of tags and sql must be given").reason(Reason::FieldValueRequired))]
pub struct OnSent {
    /// Tags that each recipient gets once the provider has taken the message: 1 to 10, each like the value of a label, 1 to
    /// 63 characters. They belong to the channel's account, and `contacts` of an audience finds people by them. Mutable until
    /// the first message is attempted, then locked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tag::tags_schema")]
    pub tags: Vec<String>,
    /// A statement that is run in a database of yours for each recipient the message was sent to, some time after that and
    /// beside the sending. What goes wrong with it keeps nobody from the message and is shown in `status.writeBacks`. May be
    /// changed at any time: what waits is tried at once by the new one. Whoever was sent to before it was named is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlWriteBack>,
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
    /// `spec.onSent.sql`.
    Sql,
}

impl WriteBackTarget {
    pub const ALL: [WriteBackTarget; 1] = [WriteBackTarget::Sql];

    pub fn as_str(self) -> &'static str {
        match self {
            WriteBackTarget::Sql => "Sql",
        }
    }

    pub fn from_name(name: &str) -> Option<WriteBackTarget> {
        WriteBackTarget::ALL.into_iter().find(|target| target.as_str() == name)
    }

    /// Where a document names it, under `spec.onSent`.
    pub fn member(self) -> &'static str {
        match self {
            WriteBackTarget::Sql => "sql",
        }
    }
}
