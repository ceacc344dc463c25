//! Gathers what is known of a broadcast: from the caches, the ledger, and events where a wave does not start.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};

use super::observation::{Declared, JobWarning, Observation};
use crate::api::{BroadcastMessage, MessageBatch, MessageChannel};
use crate::controller::cluster::call;
use crate::controller::ownership::{owning_broadcast, owning_job};
use crate::controller::watch::readable;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::clock::{Clock, SystemClock};

/// A Job is given this long to bring a pod to run before anybody asks why not.
const STARTING: Span = Span::from_secs(5);
/// Objects whose events are asked for in one look.
const MAX_ASKED: usize = 4;
/// Warnings of one object that are read.
const MAX_WARNINGS: u32 = 20;

/// The caches of one scope.
#[derive(Clone)]
pub struct Stores {
    pub broadcasts: Store<DeserializeGuard<BroadcastMessage>>,
    pub channels: Store<DeserializeGuard<MessageChannel>>,
    pub batches: Store<DeserializeGuard<MessageBatch>>,
    pub jobs: Store<DeserializeGuard<Job>>,
    pub pods: Store<DeserializeGuard<Pod>>,
}

impl Stores {
    pub fn channels_of(&self, namespace: &str) -> Vec<MessageChannel> {
        readable(&self.channels, |channel| channel.metadata.namespace.as_deref() == Some(namespace))
    }

    /// Why the named channel cannot be read, if it is there and cannot.
    pub fn unreadable_channel(&self, broadcast: &BroadcastMessage) -> Option<String> {
        let namespace = broadcast.namespace().unwrap_or_default();
        let channel = self.channels.get(&ObjectRef::new(&broadcast.spec.channel_ref.name).within(&namespace))?;
        channel.0.as_ref().err().map(|invalid| invalid.error.clone())
    }
}

/// Everything that is known of a broadcast now.
pub async fn observe(client: &Client, stores: &Stores, object: &BroadcastMessage, declared: Declared) -> Observation {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let uid = object.uid().unwrap_or_default();
    let in_namespace = |other: Option<&String>| other.is_some_and(|other| *other == namespace);
    let channel = readable(&stores.channels, |channel| {
        in_namespace(channel.metadata.namespace.as_ref())
            && channel.metadata.name.as_ref() == Some(&object.spec.channel_ref.name)
    });
    let batches = readable(&stores.batches, |batch| {
        in_namespace(batch.metadata.namespace.as_ref()) && batch.spec.broadcast_ref.name == name
    });
    let jobs = readable(&stores.jobs, |job| {
        in_namespace(job.metadata.namespace.as_ref()) && owning_broadcast(job).is_some_and(|owner| owner.uid == uid)
    });
    let pods = readable(&stores.pods, |pod| {
        in_namespace(pod.metadata.namespace.as_ref())
            && owning_job(pod).is_some_and(|owner| jobs.iter().any(|job| job.uid().as_ref() == Some(&owner.uid)))
    });
    let now = match &declared {
        Declared::Known { snapshot, .. } => snapshot.now,
        Declared::Refused { .. } => SystemClock.now(),
    };
    let warnings = warnings(client, &namespace, &jobs, &pods, now).await;
    let channel = channel.into_iter().next();
    Observation { object: object.clone(), channel, declared, batches, jobs, pods, warnings, now }
}

/// Asked for only where a Job should run a pod and does not. Without an answer there are none: they only explain.
async fn warnings(client: &Client, namespace: &str, jobs: &[Job], pods: &[Pod], now: Timestamp) -> Vec<JobWarning> {
    let mut found = Vec::new();
    for job in jobs.iter().filter(|job| is_late(job, pods, now)) {
        let mut asked: Vec<String> = pods_of(job, pods).filter_map(ResourceExt::uid).collect();
        asked.extend(job.uid());
        for uid in asked.iter().rev().take(MAX_ASKED) {
            match warnings_of(client, namespace, uid).await {
                Ok(events) => found.extend(events.into_iter().map(|(reason, message)| JobWarning {
                    job: job.name_any(),
                    reason,
                    message,
                })),
                Err(error) => tracing::debug!(reason = error.reason(), %error, "events were not read"),
            }
        }
    }
    found
}

async fn warnings_of(
    client: &Client,
    namespace: &str,
    uid: &str,
) -> Result<Vec<(String, String)>, crate::controller::cluster::CallError> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let chosen = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning")).limit(MAX_WARNINGS);
    let events = call("list events", api.list(&chosen)).await?;
    let mut items = events.items;
    items.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    Ok(items.into_iter().map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect())
}

fn pods_of<'a>(job: &Job, pods: &'a [Pod]) -> impl Iterator<Item = &'a Pod> {
    let uid = job.uid();
    pods.iter().filter(move |pod| owning_job(*pod).is_some_and(|owner| uid.as_ref() == Some(&owner.uid)))
}

fn is_late(job: &Job, pods: &[Pod], now: Timestamp) -> bool {
    let ended = job.status.as_ref().and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True")
    });
    let runs = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let waits =
            pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()).is_some_and(|all| {
                all.iter().any(|one| one.state.as_ref().is_some_and(|state| state.waiting.is_some()))
            });
        phase == Some("Running") && !waits
    };
    let made = job
        .creation_timestamp()
        .map_or(now, |made| Timestamp(i64::try_from(made.0.as_nanosecond()).unwrap_or(i64::MAX)));
    !ended && now - made > STARTING && !pods_of(job, pods).any(runs)
}
