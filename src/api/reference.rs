//! References to other objects of the same namespace.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What Kubernetes takes as an object's name (a DNS subdomain).
pub(crate) const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// What Kubernetes takes as a key of a ConfigMap or Secret.
pub(crate) const DATA_KEY: &str = "^[-._a-zA-Z0-9]+$";
/// The longest object name and data key Kubernetes takes.
pub(crate) const MAX_NAME: usize = 253;

/// Names an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// The object's name, in the same namespace: lower-case letters, digits, `-` and `.`, 1 to 253 characters. Required.
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = OBJECT_NAME))]
    pub name: String,
}
