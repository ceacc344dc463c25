//! How the pods of a channel's senders are run.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::reference::ObjectRef;

/// The most Secrets a pod's image is pulled with.
pub const MAX_IMAGE_PULL_SECRETS: usize = 8;
/// The longest quantity, in characters.
const MAX_QUANTITY: usize = 16;
/// A quantity as Kubernetes takes it, without exponents.
const QUANTITY: &str = "^[0-9]+([.][0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?$";

/// How the pods that send are run, as far as a channel may say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SenderPods {
    /// What each sender asks of its node. Without it, what the operator was set up with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<SenderResources>,
    /// Secrets of the same namespace to pull Herald's image with, at most 8, for a registry that asks who pulls. Names must
    /// be unique in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "image_pull_secrets_schema")]
    pub image_pull_secrets: Vec<ObjectRef>,
}

/// What a sender's container asks of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || \
        !quantity(self.requests.cpu).isGreaterThan(quantity(self.limits.cpu))")
        .message("must not be more than limits.cpu").field_path(".requests.cpu"),
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || \
        !quantity(self.requests.memory).isGreaterThan(quantity(self.limits.memory))")
        .message("must not be more than limits.memory").field_path(".requests.memory"),
    validation = Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.ephemeral__dash__storage) || \
        !has(self.limits.ephemeral__dash__storage) || !quantity(self.requests.ephemeral__dash__storage).isGreaterThan(\
        quantity(self.limits.ephemeral__dash__storage))")
        .message("ephemeral-storage must not be more than that of limits").field_path(".requests"),
)]
pub struct SenderResources {
    /// The most a sender may use. Not less than `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ComputeResources>,
    /// What is kept free for a sender. Not more than `limits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ComputeResources>,
}

/// Amounts of what a node has. Written as texts: `cpu: "1"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ComputeResources {
    /// Processor cores, in quotes: `"1"`, or in thousandths: `100m`. At most 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_QUANTITY), regex(pattern = QUANTITY))]
    pub cpu: Option<String>,
    /// Memory in bytes, e.g. `128Mi`. At most 16 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_QUANTITY), regex(pattern = QUANTITY))]
    pub memory: Option<String>,
    /// Disk of the node in bytes, e.g. `1Gi`, for the flight journal and logs. At most 16 characters.
    #[serde(default, rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_QUANTITY), regex(pattern = QUANTITY))]
    pub ephemeral_storage: Option<String>,
}

fn image_pull_secrets_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": ObjectRef::json_schema(generator),
        "maxItems": MAX_IMAGE_PULL_SECRETS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}
