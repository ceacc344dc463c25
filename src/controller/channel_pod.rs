//! What a channel says of its pods, senders' and receiver's alike: where they run, as whom, and by which labels others know
//! them. None of it is a right: no pod mounts a token for the API server, and the ledger follows a pod to its owner by uids,
//! whatever its service account and its labels are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, PodSpec, Toleration};

use crate::api::{self, MessageChannelSpec, SenderPods};

/// As whom pods run of which nothing is said: what the cluster would fill in. It is written all the same, because the older
/// member `serviceAccount` that the cluster fills in beside it would keep an account that is not wanted any more.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// The pod, run as the channel says.
pub fn run_as_told(pod: PodSpec, channel: &MessageChannelSpec) -> PodSpec {
    let pod = PodSpec { service_account_name: Some(DEFAULT_SERVICE_ACCOUNT.to_owned()), ..pod };
    let Some(SenderPods { image_pull_secrets, service_account_name, node_selector, tolerations, .. }) = &channel.sender
    else {
        return pod;
    };
    let pull_secrets = image_pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() });
    PodSpec {
        image_pull_secrets: some(pull_secrets.collect()),
        service_account_name: service_account_name.clone().or(pod.service_account_name),
        node_selector: Some(node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: some(tolerations.iter().map(toleration).collect()),
        ..pod
    }
}

/// Herald's own labels of a pod and the channel's; its own come first, since pods are found by them.
pub fn labels(own: BTreeMap<String, String>, channel: &MessageChannelSpec) -> BTreeMap<String, String> {
    let mut labels = channel.sender.as_ref().map(|pods| pods.labels.clone()).unwrap_or_default();
    labels.extend(own);
    labels
}

/// Absent where there is nothing: an empty list would be another template.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn toleration(told: &api::Toleration) -> Toleration {
    Toleration {
        key: told.key.clone(),
        operator: told.operator.map(|operator| operator.as_str().to_owned()),
        value: told.value.clone(),
        effect: told.effect.map(|effect| effect.as_str().to_owned()),
        toleration_seconds: told.toleration_seconds.map(i64::from),
    }
}
