//! Whether a channel has a receiver, as it is wanted and as it is found.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::receiver::{self, WANTED_HASH};
use crate::api::channel::ReceiverStatus;
use crate::api::{ConditionStatus, MessageChannel};
use crate::controller::job::SenderSettings;
use crate::controller::ownership::is_controlled_by;

/// The reasons of the condition `ReceiverReady`.
pub const RECEIVER_READY: &str = "ReceiverReady";
pub const RECEIVER_NOT_READY: &str = "ReceiverNotReady";
pub const RECEIVER_NAME_TAKEN: &str = "ReceiverNameTaken";

/// What there is under the receiver's name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub deployment: Option<Deployment>,
    pub service: Option<Service>,
}

/// One call. What is applied names the uid of what it changes; without one it is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    ApplyDeployment(Box<Deployment>),
    ApplyService(Box<Service>),
    DeleteDeployment { name: String, uid: String },
    DeleteService { name: String, uid: String },
}

/// What is done, and what the channel's status says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiverDecision {
    pub steps: Vec<Step>,
    /// `None` where none is wanted.
    pub status: Option<ReceiverStatus>,
    /// Status, reason and words of the condition `ReceiverReady`; `None` where none is wanted.
    pub condition: Option<(ConditionStatus, &'static str, String)>,
}

pub fn decide(channel: &MessageChannel, settings: &SenderSettings, found: &Found) -> ReceiverDecision {
    let deployment = found.deployment.as_ref().map(|found| &found.metadata);
    let service = found.service.as_ref().map(|found| &found.metadata);
    if !channel.spec.wants_receiver() {
        return ReceiverDecision { steps: removal(channel, deployment, service), ..ReceiverDecision::default() };
    }
    let status = Some(ReceiverStatus { url: receiver::url(channel) });
    let strangers = [("Deployment", deployment), ("Service", service)];
    let taken = strangers.iter().find(|(_, found)| found.is_some_and(|found| !is_ours(channel, found)));
    if let Some((kind, _)) = taken {
        let name = receiver::name(channel);
        let words =
            format!("a {kind} named `{name}` is there already and belongs to somebody else; remove or rename it");
        let condition = Some((ConditionStatus::False, RECEIVER_NAME_TAKEN, words));
        return ReceiverDecision { steps: Vec::new(), status, condition };
    }
    let mut steps = Vec::new();
    let mut wanted = receiver::deployment(channel, settings);
    if !is_as_wanted(deployment, &wanted.metadata) {
        wanted.metadata.uid = deployment.and_then(|found| found.uid.clone());
        steps.push(Step::ApplyDeployment(Box::new(wanted)));
    }
    let mut wanted = receiver::service(channel);
    if !is_as_wanted(service, &wanted.metadata) {
        wanted.metadata.uid = service.and_then(|found| found.uid.clone());
        steps.push(Step::ApplyService(Box::new(wanted)));
    }
    let condition = Some(match steps.is_empty() && is_ready(found.deployment.as_ref()) {
        true => (ConditionStatus::True, RECEIVER_READY, String::new()),
        false => (ConditionStatus::False, RECEIVER_NOT_READY, not_ready(channel)),
    });
    ReceiverDecision { steps, status, condition }
}

fn not_ready(channel: &MessageChannel) -> String {
    let keys = channel.spec.callback_secret_keys().join(" and ");
    let secret = channel.spec.credentials_secret_ref.as_ref().map_or("", |secret| &secret.name);
    let (name, namespace) = (receiver::name(channel), channel.metadata.namespace.as_deref().unwrap_or_default());
    format!(
        "no pod of the Deployment `{name}` is ready; it needs the key {keys} of the Secret `{secret}`, and says in its log what is missing: kubectl logs deployment/{name} -n {namespace}"
    )
}

/// What belongs to somebody else is left alone.
fn removal(channel: &MessageChannel, deployment: Option<&ObjectMeta>, service: Option<&ObjectMeta>) -> Vec<Step> {
    let ours = |found: Option<&ObjectMeta>| {
        let found = found.filter(|found| is_ours(channel, found) && found.deletion_timestamp.is_none())?;
        Some((found.name.clone()?, found.uid.clone()?))
    };
    let deployment = ours(deployment).map(|(name, uid)| Step::DeleteDeployment { name, uid });
    let service = ours(service).map(|(name, uid)| Step::DeleteService { name, uid });
    deployment.into_iter().chain(service).collect()
}

fn is_ours(channel: &MessageChannel, found: &ObjectMeta) -> bool {
    is_controlled_by(found, channel.metadata.uid.as_deref())
}

fn is_as_wanted(found: Option<&ObjectMeta>, wanted: &ObjectMeta) -> bool {
    let hash = |metadata: &ObjectMeta| metadata.annotations.as_ref()?.get(WANTED_HASH).cloned();
    found.is_some_and(|found| found.deletion_timestamp.is_none() && hash(found) == hash(wanted))
}

/// A pod of the Deployment as it is now takes calls.
fn is_ready(found: Option<&Deployment>) -> bool {
    found.is_some_and(|found| {
        let status = found.status.clone().unwrap_or_default();
        status.observed_generation >= found.metadata.generation && status.available_replicas.unwrap_or_default() > 0
    })
}

#[cfg(test)]
#[path = "decide_receiver_tests.rs"]
mod tests;
