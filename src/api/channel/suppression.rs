//! Lists of people who get nothing from an account, whoever names them.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::audience::{KeyRef, SourceMember};
use crate::api::remote_source::{HttpSource, SqlSource};

/// The most lists of one channel: each is read for every plan, and a file that a sender mounts.
pub const MAX_SUPPRESSION_SOURCES: usize = 16;

/// People who count as opted out while these lists name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suppression {
    /// The lists: 1 to 16. Only the ids count; ids that are in no audience do no harm. Names must be unique in the list.
    /// Required.
    #[schemars(schema_with = "sources_schema")]
    pub sources: Vec<SuppressionSource>,
}

/// One list: exactly one of `configMapKeyRef`, `secretKeyRef`, `http` and `sql`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "(has(self.configMapKeyRef) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) + (has(self.http) ? 1 : 0) \
     + (has(self.sql) ? 1 : 0) == 1"
).message("exactly one of configMapKeyRef, secretKeyRef, http and sql must be set"))]
pub struct SuppressionSource {
    /// A name for this list, for messages: a DNS label of 1 to 63 characters, unique in the list. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The file is a key of a ConfigMap of the same namespace. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// The file is a key of a Secret of the same namespace. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// The list is given by an HTTP server. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// The list is given by a query of a database. Exactly one member of a source is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlSource>,
}

impl SuppressionSource {
    /// The member that is set; `None` for a document that was never admitted.
    pub fn member(&self) -> Option<SourceMember<'_>> {
        SourceMember::only([
            self.config_map_key_ref.as_ref().map(SourceMember::ConfigMap),
            self.secret_key_ref.as_ref().map(SourceMember::Secret),
            self.http.as_ref().map(SourceMember::Http),
            self.sql.as_ref().map(SourceMember::Sql),
        ])
    }
}

fn sources_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": SuppressionSource::json_schema(generator),
        "minItems": 1,
        "maxItems": MAX_SUPPRESSION_SOURCES,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}
