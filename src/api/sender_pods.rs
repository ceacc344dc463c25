//! How the pods of a channel are run: those of its senders, and that of its receiver.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::reference::{MAX_NAME, OBJECT_NAME, ObjectRef};

/// The most Secrets a pod's image is pulled with.
pub const MAX_IMAGE_PULL_SECRETS: usize = 8;
/// The most labels a node must have, and the most that pods are given: what a person can still read.
pub const MAX_POD_LABELS: usize = 16;
/// The most tolerations of a pod.
pub const MAX_TOLERATIONS: usize = 16;
/// The longest time a pod stays on a node that it is to leave: a year, which is longer than any broadcast takes.
pub const MAX_TOLERATION_SECONDS: u32 = 31_536_000;
/// The longest value of a label Kubernetes takes, in characters.
const MAX_LABEL_VALUE: usize = 63;
/// The value of a label, as Kubernetes takes it.
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// The longest name of a taint, with its prefix and the `/`, in characters.
const MAX_TAINT: usize = MAX_NAME + 1 + 63;
/// The name of a taint, as Kubernetes takes it but for the length of its parts, or nothing.
const TAINT: &str = "^(([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
    [A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// The longest quantity, in characters.
const MAX_QUANTITY: usize = 16;
/// A quantity as Kubernetes takes it, without exponents.
const QUANTITY: &str = "^[0-9]+([.][0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?$";

/// How the pods of a channel are run, as far as it may say.
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
    /// The service account of the same namespace that the pods run as, for clusters whose policies or image pulls go by it.
    /// Without it the namespace's `default`. Its rights are of no use to them: they mount no token for the API server, and the
    /// ledger knows a pod by whom it belongs to. 1 to 253 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = OBJECT_NAME))]
    pub service_account_name: Option<String>,
    /// Labels that a node must have to run the pods, e.g. `kubernetes.io/arch: amd64`: name to value, at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(
        validation = Rule::new(LABEL_NAMES).message(
            "names of labels are at most 63 letters, digits, `-`, `_` and `.`, if need be after a prefix such as `example.com/`"
        )
    )]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not keep the pods away, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tolerations_schema")]
    pub tolerations: Vec<Toleration>,
    /// Labels of the pods beside Herald's own, e.g. for network policies or for the bill: name to value, at most 16. Names under
    /// `herald.dev/` and `kubernetes.io/` (`app.kubernetes.io/` too), and those that Kubernetes sets itself, are reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(
        validation = Rule::new(LABEL_NAMES).message(
            "names of labels are at most 63 letters, digits, `-`, `_` and `.`, if need be after a prefix such as `example.com/`"
        ),
        validation = Rule::new(
            "self.all(k, !k.matches('^([^/]*[.])?(herald[.]dev|kubernetes[.]io)/') \
             && !(k in ['job-name', 'controller-uid', 'pod-template-hash']))"
        ).message(
            "labels under herald.dev/ and kubernetes.io/ (app.kubernetes.io/ too), job-name, controller-uid and \
             pod-template-hash are reserved for Herald and Kubernetes; choose other names"
        )
    )]
    pub labels: BTreeMap<String, String>,
}

/// Every name is one that Kubernetes takes for a label.
const LABEL_NAMES: &str = "self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
    [A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && k.split('/')[0].size() <= 253)";

/// Taints that do not keep a pod away: as the tolerations of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.key) && self.key != '' || (has(self.operator) && self.operator == 'Exists')")
        .message("without a key every taint is meant, so operator must be Exists").field_path(".operator"),
    validation = Rule::new("!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''")
        .message("with the operator Exists every value is meant, so none is given").field_path(".value"),
    validation = Rule::new("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')")
        .message("only the effect NoExecute drives pods away after a time").field_path(".effect"),
)]
pub struct Toleration {
    /// The name of the taint, at most 317 characters. Without it every taint is meant, and `operator` must be `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TAINT), regex(pattern = TAINT))]
    pub key: Option<String>,
    /// `Equal` (what it is without one): the taint must have this `value`. `Exists`: whatever its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The value of the taint, at most 63 characters. Not with `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_LABEL_VALUE), regex(pattern = LABEL_VALUE))]
    pub value: Option<String>,
    /// The effect of the taint: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Without it all of them are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How many seconds a pod that is there stays once the taint comes, 0 to 31536000; without it for good. Only with
    /// `NoExecute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_TOLERATION_SECONDS))]
    pub toleration_seconds: Option<u32>,
}

/// How the value of a taint is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    Equal,
    Exists,
}

impl TolerationOperator {
    pub fn as_str(self) -> &'static str {
        match self {
            TolerationOperator::Equal => "Equal",
            TolerationOperator::Exists => "Exists",
        }
    }
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl TaintEffect {
    pub fn as_str(self) -> &'static str {
        match self {
            TaintEffect::NoSchedule => "NoSchedule",
            TaintEffect::PreferNoSchedule => "PreferNoSchedule",
            TaintEffect::NoExecute => "NoExecute",
        }
    }
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

fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": MAX_LABEL_VALUE, "pattern": LABEL_VALUE},
        "maxProperties": MAX_POD_LABELS,
    })
}

fn tolerations_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": Toleration::json_schema(generator),
        "maxItems": MAX_TOLERATIONS,
        "x-kubernetes-list-type": "atomic",
    })
}
