//! Why nothing goes on, as far as the cluster tells: no channel, senders that do not start, senders that keep ending.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use super::decide_status;
use super::decide_wave::{self, FEW, START_GRACE, Waves};
use super::memory::Memory;
use super::observation::{JobWarning, Observation};
use crate::api::BroadcastMessageStatus;
use crate::controller::job;
use crate::delivery::time::Span;
use crate::ledger::status::{End, PLANNERS_DIED, Stall, end};
use crate::ledger::{BatchSnapshot, BroadcastSnapshot};

pub const CHANNEL_NOT_FOUND: &str = "ChannelNotFound";
/// The channel names no provider or has no rate, which only a schema of another version lets pass.
pub const CHANNEL_INVALID: &str = "ChannelInvalid";
/// This version cannot read the channel, or another one of the namespace, whose account cannot be told then.
pub const CHANNEL_UNREADABLE: &str = "ChannelUnreadable";
pub const TEMPLATE_INVALID: &str = "TemplateInvalid";
/// A time zone that does not exist, or no time of the week that is left to send in.
pub const QUIET_HOURS_INVALID: &str = "QuietHoursInvalid";
/// Part of `onSent` that cannot be followed.
pub const WRITE_BACK_INVALID: &str = "WriteBackInvalid";
/// This version cannot read the object itself.
pub const UNREADABLE: &str = "Unreadable";
pub const SENDER_NOT_STARTING: &str = "SenderNotStarting";
pub const SENDER_CRASH_LOOPING: &str = "SenderCrashLooping";
/// Something else has the name of a Job or a MessageBatch.
pub const NAME_TAKEN: &str = "NameTaken";
/// The cluster takes no MessageBatch: a quota, a policy.
pub const BATCH_REFUSED: &str = "BatchRefused";

/// So many restarts of one container without result are no accident.
const RESTARTS: i32 = 5;
/// A Job whose pods do not come and of which nobody says why; an image may take a while.
const SILENT_GRACE: Span = Span::from_secs(300);
/// The longest text of a cause, in characters: status stays small.
pub const MAX_CAUSE: usize = 1_024;
/// What a pod that is on its way waits for.
const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// What keeps senders from working, beyond what they tell themselves.
pub fn observed(
    observation: &Observation,
    snapshot: &BroadcastSnapshot,
    batches: &[BatchSnapshot],
    waves: &Waves<'_>,
    before: Option<&BroadcastMessageStatus>,
    memory: &Memory,
) -> Option<Stall> {
    if end(snapshot) == Some(End::Failed) {
        return Some(planners_died(before, memory));
    }
    if observation.channel.is_none() {
        let name = &observation.object.spec.channel_ref.name;
        let message = format!("there is no MessageChannel `{name}` in this namespace; create it, or name another one");
        return Some(Stall::new(CHANNEL_NOT_FOUND, message));
    }
    not_starting(observation, waves).or_else(|| crash_looping(observation, snapshot, batches, waves, before, memory))
}

fn not_starting(observation: &Observation, waves: &Waves<'_>) -> Option<Stall> {
    let job = waves.active?;
    let waited = observation.now - decide_wave::begun_at(job)?;
    if job.metadata.deletion_timestamp.is_some() || waited <= START_GRACE || decide_wave::began(job, &observation.pods)
    {
        return None;
    }
    let name = job.name_any();
    let told = decide_wave::pods_of(job, &observation.pods)
        .find_map(pod_cause)
        .or_else(|| observation.warnings.iter().find(|warning| warning.job == name).map(warning_cause));
    let silent = || {
        let cause = "the cluster does not say why; see `kubectl describe` of the Job and its pods";
        (waited > SILENT_GRACE).then(|| cause.to_owned())
    };
    Some(stall_of(&name, &told.or_else(silent)?))
}

fn stall_of(job: &str, cause: &str) -> Stall {
    Stall::new(SENDER_NOT_STARTING, format!("no sender of Job {job} starts: {cause}"))
}

fn warning_cause(warning: &JobWarning) -> String {
    cause(&warning.reason, Some(&warning.message))
}

/// What a pod says itself of why it does not run.
pub fn pod_cause(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| !ON_ITS_WAY.contains(reason))?;
        Some(cause(reason, waiting.message.as_deref()))
    });
    let unscheduled = || {
        let is_scheduled = |type_: &str, is: &str| type_ == "PodScheduled" && is == "False";
        let conditions = status.conditions.as_deref().unwrap_or_default();
        let condition = conditions.iter().find(|condition| is_scheduled(&condition.type_, &condition.status))?;
        Some(cause(condition.reason.as_deref().unwrap_or("Unschedulable"), condition.message.as_deref()))
    };
    waiting.or_else(unscheduled)
}

fn cause(reason: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}").chars().take(MAX_CAUSE).collect(),
        None => reason.to_owned(),
    }
}

/// Senders that end again and again, settle nobody, and do not tell why.
fn crash_looping(
    observation: &Observation,
    snapshot: &BroadcastSnapshot,
    batches: &[BatchSnapshot],
    waves: &Waves<'_>,
    before: Option<&BroadcastMessageStatus>,
    memory: &Memory,
) -> Option<Stall> {
    if snapshot.trouble.is_some() {
        return None;
    }
    let reached = decide_wave::reached(snapshot);
    let row = waves.fruitless(&reached);
    // Senders that get answers from the provider work, whatever the answers are.
    let answered = batches.iter().filter_map(|batch| batch.last_error.as_ref()).any(|(_, at)| Some(*at) >= row.since);
    let in_vain = (row.waves >= FEW || row.last_gave_up) && !answered;
    let restarting = waves
        .active
        .filter(|job| decide_wave::start(job) == reached)
        .is_some_and(|job| restarts(job, &observation.pods) >= RESTARTS);
    if !in_vain && !restarting {
        return None;
    }
    Some(with_last_words(SENDER_CRASH_LOOPING, "senders keep ending and settle nobody", before, memory))
}

/// The end that only an edit leaves.
fn planners_died(before: Option<&BroadcastMessageStatus>, memory: &Memory) -> Stall {
    with_last_words(End::Failed.as_str(), PLANNERS_DIED, before, memory)
}

/// What was told before stands as long as nobody knows better how the last sender ended.
fn with_last_words(reason: &str, what: &str, before: Option<&BroadcastMessageStatus>, memory: &Memory) -> Stall {
    let earlier = before.and_then(decide_status::stalled).filter(|stall| stall.reason == reason);
    match (&memory.last_words, earlier) {
        (None, Some(earlier)) => Stall::new(reason, earlier.message.clone()),
        (words, _) => {
            let words = words.as_deref().unwrap_or("unknown, its pod is gone");
            Stall::new(reason, format!("{what}; how the last one ended: {words}"))
        }
    }
}

fn restarts(job: &Job, pods: &[Pod]) -> i32 {
    decide_wave::pods_of(job, pods).flat_map(containers).map(|container| container.restart_count).max().unwrap_or(0)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// Keeps how a container last ended in failure: its pod goes when the Job gives up.
pub fn remember_last_words(observation: &Observation, memory: &mut Memory) {
    let mut jobs: Vec<&Job> = observation.jobs.iter().collect();
    jobs.sort_by_key(|job| job::wave(job));
    let of_job = |job: &&Job| {
        let ends = decide_wave::pods_of(job, &observation.pods).flat_map(containers).filter_map(last_failure);
        ends.max_by_key(|end| end.finished_at.clone()).map(words)
    };
    if let Some(words) = jobs.iter().rev().find_map(of_job) {
        memory.last_words = Some(words);
    }
}

fn last_failure(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [container.state.as_ref(), container.last_state.as_ref()];
    let ends = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
    ends.into_iter().find(|end| end.exit_code != 0)
}

fn words(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or("Error");
    cause(&format!("{reason}, exit code {}", end.exit_code), end.message.as_deref())
}
