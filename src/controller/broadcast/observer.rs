//! Gathers what is known of a broadcast: from the caches, the ledger, and events where a wave does not start.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use kube::{Api, Client, ResourceExt};

use super::decide_wave::START_GRACE;
use super::declaration::suppression;
use super::observation::{Declared, JobWarning, Observation};
use super::{decide_stall, decide_wave};
use crate::api::{BroadcastMessage, MessageBatch, MessageChannel};
use crate::controller::cluster::{CallError, call};
use crate::controller::ownership::{owning_broadcast, owning_job};
use crate::controller::watch::readable;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::clock::Clock;

/// The wait between the first two questions about one Job; it doubles with each further one.
const FIRST_WAIT: Span = Span::from_secs(5);
/// The longest wait: how late a new cause is told. What is mended shows by its pods.
const LONGEST_WAIT: Span = Span::from_secs(300);
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

    /// The first channel of the broadcast's namespace that is there and cannot be read, with why: its own before others. Which
    /// account another one names cannot be read either, so its lists of people who get nothing may be of this account.
    pub fn unreadable_channel(&self, broadcast: &BroadcastMessage) -> Option<Unreadable> {
        let (namespace, own) = (broadcast.namespace(), &broadcast.spec.channel_ref.name);
        let unreadable = self.channels.state().into_iter().filter_map(|channel| {
            let invalid = channel.0.as_ref().err().filter(|invalid| invalid.metadata.namespace == namespace)?;
            let channel = invalid.metadata.name.clone().unwrap_or_default();
            Some(Unreadable { is_own: channel == *own, channel, error: invalid.error.clone() })
        });
        unreadable.min_by(|one, other| (!one.is_own, &one.channel).cmp(&(!other.is_own, &other.channel)))
    }
}

/// A MessageChannel that this version cannot read.
pub struct Unreadable {
    pub channel: String,
    /// It is the one that the broadcast names.
    pub is_own: bool,
    pub error: String,
}

/// What was asked about a wave that does not start: the same is not asked at every look.
#[derive(Clone, Debug, Default)]
pub struct Inquiry {
    job: String,
    times: u32,
    again_at: Timestamp,
    warnings: Vec<JobWarning>,
}

/// Everything that is known of a broadcast now. `clock` is for one that the ledger does not know.
pub async fn observe(
    client: &Client,
    stores: &Stores,
    object: &BroadcastMessage,
    declared: Declared,
    clock: &dyn Clock,
    inquiry: &mut Inquiry,
) -> Observation {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let uid = object.uid().unwrap_or_default();
    let in_namespace = |other: Option<&String>| other.is_some_and(|other| *other == namespace);
    let channels = stores.channels_of(&namespace);
    let channel = channels.iter().find(|channel| channel.name_any() == object.spec.channel_ref.name).cloned();
    let suppression = channel.as_ref().map_or_else(Vec::new, |channel| suppression(channel, &channels));
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
        Declared::Refused { .. } => clock.now(),
    };
    inquire(client, &namespace, &jobs, &pods, now, inquiry).await;
    let warnings = inquiry.warnings.clone();
    Observation { object: object.clone(), channel, suppression, declared, batches, jobs, pods, warnings, now }
}

/// Asks for events only where a Job should run a pod, does not, and no pod says why; less and less often.
async fn inquire(client: &Client, namespace: &str, jobs: &[Job], pods: &[Pod], now: Timestamp, inquiry: &mut Inquiry) {
    let Some(job) = jobs.iter().find(|job| is_unexplained(job, pods, now)) else {
        *inquiry = Inquiry::default();
        return;
    };
    if inquiry.job != job.name_any() {
        *inquiry = Inquiry { job: job.name_any(), ..Inquiry::default() };
    }
    if now < inquiry.again_at {
        return;
    }
    let wait = Span(FIRST_WAIT.0 << inquiry.times.min(16)).min(LONGEST_WAIT);
    inquiry.again_at = now + wait;
    inquiry.times += 1;
    match warnings(client, namespace, job, pods).await {
        Ok(found) => inquiry.warnings = found,
        // They only explain; what was known before stands.
        Err(error) => tracing::debug!(reason = error.reason(), %error, "events were not read"),
    }
}

/// Warnings of the Job, then of its pods.
async fn warnings(client: &Client, namespace: &str, job: &Job, pods: &[Pod]) -> Result<Vec<JobWarning>, CallError> {
    let asked = job.uid().into_iter().chain(decide_wave::pods_of(job, pods).filter_map(ResourceExt::uid));
    let mut found = Vec::new();
    for uid in asked.take(MAX_ASKED) {
        let events = warnings_of(client, namespace, &uid).await?;
        let warning = |(reason, message)| JobWarning { job: job.name_any(), reason, message };
        found.extend(events.into_iter().map(warning));
    }
    Ok(found)
}

async fn warnings_of(client: &Client, namespace: &str, uid: &str) -> Result<Vec<(String, String)>, CallError> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let chosen = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning")).limit(MAX_WARNINGS);
    let events = call("list events", api.list(&chosen)).await?;
    let mut items = events.items;
    items.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    Ok(items.into_iter().map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect())
}

fn is_unexplained(job: &Job, pods: &[Pod], now: Timestamp) -> bool {
    let is_late = decide_wave::begun_at(job).is_some_and(|begun| now - begun > START_GRACE);
    let mut causes = decide_wave::pods_of(job, pods).filter_map(decide_stall::pod_cause);
    is_late && decide_wave::is_active(job) && !decide_wave::began(job, pods) && causes.next().is_none()
}
