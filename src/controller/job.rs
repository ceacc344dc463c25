//! The Job of one wave of senders: a work queue whose pods ask the ledger what to do. Its template cannot change, so it is
//! made whole from what is wanted now, and carries what the decision about the next wave needs.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{PodTemplateSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::{channel_pod, sender_pod};
use crate::api::{BroadcastMessage, ComputeResources, MessageChannel, SenderResources};
use crate::ledger::SuppressionList;

/// The broadcast a Job, a pod or a MessageBatch belongs to.
pub const BROADCAST_LABEL: &str = "herald.dev/broadcast";
/// Who made it, and what it is; as Kubernetes recommends.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
pub const MANAGED_BY: &str = "herald";
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
pub const SENDER_NAME: &str = "herald-sender";

/// How many recipients were settled when the wave began: a wave that settled nobody is told by it without memory.
pub const SETTLED_AT_START: &str = "herald.dev/settled-at-start";
/// The hash of the sealed plan when the wave began, if there was one: a wave that made a plan has done something.
pub const PLAN_AT_START: &str = "herald.dev/plan-at-start";
/// The generations of broadcast and channel the wave began with: what failed before an edit says nothing after it.
pub const GENERATIONS: &str = "herald.dev/generations";
/// The hash of everything in the pod template that comes from the channel and the operator's settings.
pub const TEMPLATE_HASH: &str = "herald.dev/template-hash";

/// How many errands were settled when a wave began that sends nothing, and only tells endpoints or writes elsewhere who was sent
/// to; no other wave has it.
pub const TOLD_AT_START: &str = "herald.dev/told-at-start";

/// How long a finished Job is kept: longer than the longest wait for the next wave, long enough for a person to look.
const KEPT_SECONDS: i32 = 3_600;
/// How often a container is started again in one wave.
const BACKOFF_LIMIT: i32 = 5;

/// What every sender of this operator is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderSettings {
    pub image: String,
    /// `None`: as the cluster decides by the image's tag.
    pub image_pull_policy: Option<String>,
    pub ledger_url: String,
    /// `None` where the ledger's certificate is signed by an authority every pod knows.
    pub certificate_authority_pem: Option<String>,
    /// For channels that name none.
    pub resources: ResourceRequirements,
}

/// What has been reached when a wave begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    pub settled: i64,
    pub plan: Option<String>,
}

/// The Job of wave number `wave`. `suppression` are the lists of people who get nothing, of all channels of the account.
pub fn job(
    broadcast: &BroadcastMessage,
    channel: &MessageChannel,
    suppression: &[SuppressionList],
    settings: &SenderSettings,
    wave: u64,
    start: &Start,
) -> Job {
    let annotations = BTreeMap::from([
        (SETTLED_AT_START.to_owned(), start.settled.to_string()),
        (PLAN_AT_START.to_owned(), start.plan.clone().unwrap_or_default()),
        (GENERATIONS.to_owned(), generations(broadcast, channel)),
        (TEMPLATE_HASH.to_owned(), template_hash(broadcast, channel, suppression, settings)),
    ]);
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(broadcast, wave)),
            namespace: broadcast.namespace(),
            labels: Some(labels(broadcast)),
            annotations: Some(annotations),
            owner_references: Some(vec![owner(broadcast)]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(parallelism(broadcast)),
            backoff_limit: Some(BACKOFF_LIMIT),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template: template(broadcast, channel, suppression, settings),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// The Job of a wave that only tells endpoints: one sender is enough. `told` events are delivered or given up by now.
pub fn telling_job(job: Job, told: i64) -> Job {
    let mut job = job;
    job.metadata.annotations.get_or_insert_default().insert(TOLD_AT_START.to_owned(), told.to_string());
    if let Some(spec) = &mut job.spec {
        spec.parallelism = Some(1);
    }
    job
}

/// How many events were settled when a wave began that only tells endpoints; `None` for any other.
pub fn told_at_start(job: &Job) -> Option<i64> {
    job.metadata.annotations.as_ref()?.get(TOLD_AT_START)?.parse().ok()
}

/// How many senders are wanted.
pub fn parallelism(broadcast: &BroadcastMessage) -> i32 {
    i32::try_from(broadcast.spec.delivery.senders).unwrap_or(1).max(1)
}

/// `<broadcast>-<4 hex of its uid>-<wave>`: the name alone tells an object from an earlier one of the same name. With the
/// longest broadcast name, waves up to 99,999 keep to 63 characters.
pub fn job_name(broadcast: &BroadcastMessage, wave: u64) -> String {
    let uid = broadcast.metadata.uid.as_deref().unwrap_or_default();
    let mark: String = uid.chars().filter(char::is_ascii_hexdigit).take(4).collect();
    format!("{}-{mark}-{wave}", broadcast.name_any())
}

/// The wave of a Job, by its name.
pub fn wave(job: &Job) -> u64 {
    job.metadata.name.as_deref().and_then(|name| name.rsplit_once('-')?.1.parse().ok()).unwrap_or_default()
}

/// The generations a wave belongs to.
pub fn generations(broadcast: &BroadcastMessage, channel: &MessageChannel) -> String {
    let of = |metadata: &ObjectMeta| metadata.generation.unwrap_or_default();
    format!("{}.{}", of(&broadcast.metadata), of(&channel.metadata))
}

/// Whether a Job made now would start other pods.
pub fn template_hash(
    broadcast: &BroadcastMessage,
    channel: &MessageChannel,
    suppression: &[SuppressionList],
    settings: &SenderSettings,
) -> String {
    let text = serde_json::to_string(&template(broadcast, channel, suppression, settings)).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The owner of everything made for a broadcast.
pub fn owner(broadcast: &BroadcastMessage) -> OwnerReference {
    OwnerReference {
        api_version: BroadcastMessage::api_version(&()).into_owned(),
        kind: BroadcastMessage::kind(&()).into_owned(),
        name: broadcast.name_any(),
        uid: broadcast.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn labels(broadcast: &BroadcastMessage) -> BTreeMap<String, String> {
    BTreeMap::from([
        (BROADCAST_LABEL.to_owned(), broadcast.name_any()),
        (NAME_LABEL.to_owned(), SENDER_NAME.to_owned()),
        (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
    ])
}

fn template(
    broadcast: &BroadcastMessage,
    channel: &MessageChannel,
    suppression: &[SuppressionList],
    settings: &SenderSettings,
) -> PodTemplateSpec {
    let labels = channel_pod::labels(labels(broadcast), &channel.spec);
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
        spec: Some(sender_pod::pod(&broadcast.spec, &channel.spec, suppression, settings)),
    }
}

/// A channel's wish, or what the operator was set up with.
pub(super) fn resources(wish: Option<&SenderResources>, settings: &SenderSettings) -> ResourceRequirements {
    let Some(wish) = wish else { return settings.resources.clone() };
    ResourceRequirements {
        limits: wish.limits.as_ref().map(quantities),
        requests: wish.requests.as_ref().map(quantities),
        ..ResourceRequirements::default()
    }
}

fn quantities(amounts: &ComputeResources) -> BTreeMap<String, Quantity> {
    let named = [("cpu", &amounts.cpu), ("memory", &amounts.memory), ("ephemeral-storage", &amounts.ephemeral_storage)];
    let given = named.into_iter().filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount.clone()?))));
    given.collect()
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
