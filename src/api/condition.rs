//! Conditions, as every Kubernetes tool reads them.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// The most conditions an object holds; there are six types, the rest is room to grow.
pub const MAX_CONDITIONS: usize = 16;
/// The longest message of a condition, in characters: the bound of Kubernetes' own type.
pub const MAX_CONDITION_MESSAGE: usize = 32_768;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// One observation about the object: does it hold, since when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, e.g. `Ready` or `Complete`; one entry per type. 1 to 64 letters.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub type_: String,
    /// Whether it holds: `True`, `False`, or `Unknown` as long as it cannot be told.
    pub status: ConditionStatus,
    /// Why, as one CamelCase word for programs, e.g. `Delivered` or `CredentialsInvalid`. 1 to 128 letters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// Why, as a sentence for people, with what to do where something is to be done. At most 32768 characters.
    #[schemars(length(max = MAX_CONDITION_MESSAGE))]
    pub message: String,
    /// The `metadata.generation` this was observed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    #[schemars(schema_with = "super::instant::schema")]
    pub last_transition_time: Timestamp,
}

impl Condition {
    /// The conditions of an object: type, status, reason and message of each. `before` keeps the times of those whose
    /// status has not changed.
    pub fn list(
        wanted: Vec<(&str, ConditionStatus, &str, String)>,
        generation: i64,
        at: Timestamp,
        before: &[Condition],
    ) -> Vec<Condition> {
        let condition = |(type_, status, reason, message): (&str, ConditionStatus, &str, String)| {
            let same = Condition::find(before, type_).filter(|condition| condition.status == status);
            Condition {
                type_: type_.to_owned(),
                status,
                reason: reason.to_owned(),
                message,
                observed_generation: Some(generation).filter(|generation| *generation > 0),
                last_transition_time: same.map_or(at, |condition| condition.last_transition_time),
            }
        };
        wanted.into_iter().map(condition).collect()
    }

    /// The condition of a type.
    pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
        conditions.iter().find(|condition| condition.type_ == type_)
    }
}

/// A list of conditions, one per type, so that several writers can own one each.
pub(crate) fn list_schema(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<Condition>();
    schemars::json_schema!({
        "type": "array",
        "items": item,
        "maxItems": MAX_CONDITIONS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}
