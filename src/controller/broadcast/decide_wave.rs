//! Whether a wave of senders is needed, and when. Read off the Jobs alone: an operator that has just started waits as long
//! as one that was there all the time.

use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::observation::{Action, Observation};
use crate::api::MessageChannel;
use crate::controller::job::{self, SenderSettings, Start};
use crate::delivery::gate::{Closed, Gate};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::BroadcastSnapshot;
use crate::ledger::status::end;

/// A sender that has nothing due within this time leaves, so a wave is started when something is.
pub const SENDER_PATIENCE: Span = Span::from_secs(60);
/// A scheduled broadcast's senders are started this much before its time: a pod takes a while.
pub const HEAD_START: Span = Span::from_secs(20);
/// The wait after a wave that settled nobody, doubled with each further one.
pub const FIRST_BACKOFF: Span = Span::from_secs(5);
/// The longest wait: how late a mended Secret is noticed.
pub const LONGEST_BACKOFF: Span = Span::from_secs(300);
/// So many waves in a row without result are no accident.
pub const FEW: u32 = 3;
/// A Job is given this long before its missing pods are spoken of.
pub const START_GRACE: Span = Span::from_secs(5);

/// The Jobs of a broadcast.
pub struct Waves<'a> {
    /// The Job that is in progress, or being deleted.
    pub active: Option<&'a Job>,
    highest: u64,
    /// Ended waves of the present wish and template, the latest first.
    ended: Vec<Ended<'a>>,
    /// Those of them that only told endpoints.
    telling: Vec<Ended<'a>>,
    /// What a Job made now would carry; `None` without a channel.
    template_hash: Option<String>,
}

struct Ended<'a> {
    job: &'a Job,
    at: Timestamp,
    /// Its containers were started again as often as a Job allows.
    gave_up: bool,
}

/// Waves that settled nobody and made no plan, back to the last one that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fruitless {
    pub waves: u32,
    /// When the first of the last [`FEW`] began.
    pub since: Option<Timestamp>,
    pub last_gave_up: bool,
}

impl<'a> Waves<'a> {
    pub fn of(observation: &'a Observation, settings: &SenderSettings) -> Waves<'a> {
        let mut jobs: Vec<&Job> = observation.jobs.iter().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job::wave(job)));
        let object = &observation.object;
        let channel = observation.channel.as_ref();
        let template_hash =
            channel.map(|channel| job::template_hash(object, channel, &observation.suppression, settings));
        let generations = channel.map(|channel| job::generations(object, channel));
        let present = |job: &&Job| {
            annotation(job, job::GENERATIONS) == generations.as_deref()
                && annotation(job, job::TEMPLATE_HASH) == template_hash.as_deref()
        };
        let ended = jobs.iter().copied().filter(present).filter_map(ended);
        let (telling, ended) = ended.partition(|ended| job::told_at_start(ended.job).is_some());
        Waves {
            active: jobs.iter().copied().find(|job| is_active(job)),
            highest: jobs.first().map(|job| job::wave(job)).unwrap_or_default(),
            ended,
            telling,
            template_hash,
        }
    }

    /// The last waves that came to nothing. A wave in progress that has reached something ends the row.
    pub fn fruitless(&self, reached: &Start) -> Fruitless {
        let mut found = Fruitless::default();
        let mut after = reached.clone();
        if let Some(active) = self.active {
            let start = start(active);
            if start != after {
                return found;
            }
            after = start;
        }
        for ended in &self.ended {
            let start = start(ended.job);
            if start != after {
                break;
            }
            found.last_gave_up |= found.waves == 0 && ended.gave_up;
            found.waves += 1;
            if found.waves <= FEW {
                found.since = begun_at(ended.job);
            }
            after = start;
        }
        found
    }

    /// When the next wave may begin: at once after one that reached something, unless it is a probe.
    fn not_before(&self, reached: &Start, is_probe: bool) -> Option<Timestamp> {
        let last = self.ended.first()?;
        let waves = self.fruitless(reached).waves.max(u32::from(is_probe));
        after(last, waves)
    }

    /// When the next wave that only tells endpoints may begin: at once after one that told or gave up something.
    fn tell_not_before(&self, told: i64) -> Option<Timestamp> {
        let in_vain = self.telling.iter().take_while(|ended| job::told_at_start(ended.job) == Some(told));
        after(self.telling.first()?, in_vain.count() as u32)
    }
}

/// When the next wave may begin after so many that came to nothing.
fn after(last: &Ended<'_>, waves: u32) -> Option<Timestamp> {
    let doublings = waves.checked_sub(1)?.min(16);
    Some(last.at + Span(FIRST_BACKOFF.0 << doublings).min(LONGEST_BACKOFF))
}

/// What a wave that began now would start from.
pub fn reached(snapshot: &BroadcastSnapshot) -> Start {
    let settled = snapshot.counts.total() - snapshot.counts.open();
    Start { settled, plan: snapshot.plan.as_ref().map(|plan| plan.hash.clone()) }
}

/// What to do with Jobs, and when to look again.
#[derive(Default)]
pub struct Next {
    pub actions: Vec<Action>,
    pub look_at: Option<Timestamp>,
}

impl Next {
    fn act(action: Action) -> Next {
        Next { actions: vec![action], look_at: None }
    }

    fn wait(until: Option<Timestamp>) -> Next {
        Next { actions: Vec::new(), look_at: until }
    }
}

pub fn next(
    observation: &Observation,
    snapshot: &BroadcastSnapshot,
    waves: &Waves<'_>,
    reached: &Start,
    settings: &SenderSettings,
) -> Next {
    let Some(channel) = &observation.channel else { return Next::default() };
    if let Some(active) = waves.active {
        return tend(observation, snapshot, active, waves.template_hash.as_deref(), reached);
    }
    let now = observation.now;
    let is_probe = match need(snapshot, now) {
        Need::Nobody { until } => return tell(observation, channel, snapshot, waves, reached, settings, until),
        Need::Senders => snapshot.trouble.is_some(),
        Need::Probe => true,
    };
    let alive = snapshot.lease_until.filter(|until| *until > now);
    let waiting = waves.not_before(reached, is_probe).filter(|at| *at > now);
    if let Some(until) = alive.max(waiting) {
        return Next::wait(Some(until));
    }
    let job = job::job(&observation.object, channel, &observation.suppression, settings, waves.highest + 1, reached);
    let mut next = Next::act(Action::CreateJob(Box::new(job)));
    if snapshot.closed == Some(Closed::CredentialsInvalid) {
        next.actions.insert(0, Action::LiftCredentialStop);
    }
    next
}

/// Nobody is to be sent to before `until`. Where endpoints are to be told something, or it is to be written elsewhere who was
/// sent to, one sender comes for that.
fn tell(
    observation: &Observation,
    channel: &MessageChannel,
    snapshot: &BroadcastSnapshot,
    waves: &Waves<'_>,
    reached: &Start,
    settings: &SenderSettings,
    until: Option<Timestamp>,
) -> Next {
    let Some(due) = snapshot.errands_due_at() else { return Next::wait(until) };
    let told = snapshot.errands_done();
    // Who still holds a batch tells what there is before it leaves.
    let at = [Some(due), waves.tell_not_before(told), snapshot.lease_until].into_iter().flatten().max();
    if let Some(at) = at.filter(|at| *at > observation.now) {
        return Next::wait(Some(until.map_or(at, |until| until.min(at))));
    }
    let job = job::job(&observation.object, channel, &observation.suppression, settings, waves.highest + 1, reached);
    Next::act(Action::CreateJob(Box::new(job::telling_job(job, told))))
}

/// Deletes every Job in progress.
pub fn stop_all(observation: &Observation) -> Vec<Action> {
    let active = observation.jobs.iter().filter(|job| is_active(job) && job.metadata.deletion_timestamp.is_none());
    active.map(delete).collect()
}

enum Need {
    Nobody {
        /// When that may change by itself.
        until: Option<Timestamp>,
    },
    Senders,
    /// To find out whether the provider takes the credentials by now.
    Probe,
}

fn need(snapshot: &BroadcastSnapshot, now: Timestamp) -> Need {
    let from = |at: Timestamp| if at <= now { Need::Senders } else { Need::Nobody { until: Some(at) } };
    match snapshot.closed {
        _ if end(snapshot).is_some() => Need::Nobody { until: None },
        // A planner that is gone is missed when its time has passed; the next look will tell.
        Some(Closed::NotPlanned) if snapshot.planning => Need::Nobody { until: None },
        Some(Closed::NotPlanned) => Need::Senders,
        Some(Closed::Scheduled) => {
            // Where it is quiet at its time nobody is due before that has passed.
            let start = snapshot.due_at.max(snapshot.gate.start_at);
            start.map_or(Need::Nobody { until: None }, |start| from(start - HEAD_START))
        }
        Some(Closed::CredentialsInvalid) => {
            let mended = Gate { account_stopped: false, ..snapshot.gate };
            match mended.closed(now) {
                None => due(snapshot).map_or(Need::Nobody { until: None }, |due| match from(due - SENDER_PATIENCE) {
                    Need::Senders => Need::Probe,
                    other => other,
                }),
                Some(_) => Need::Nobody { until: None },
            }
        }
        Some(_) => Need::Nobody { until: None },
        // Somebody may be in flight; what a dead sender held is settled by the ledger.
        None => due(snapshot).map_or(Need::Nobody { until: None }, |due| from(due - SENDER_PATIENCE)),
    }
}

/// When the first pending recipient may be sent to; `None` when nobody is pending.
fn due(snapshot: &BroadcastSnapshot) -> Option<Timestamp> {
    let due = snapshot.due_at?;
    Some(snapshot.throttled_until.map_or(due, |until| until.max(due)))
}

/// The Job in progress: as many senders as wanted, and none that can never start.
fn tend(
    observation: &Observation,
    snapshot: &BroadcastSnapshot,
    active: &Job,
    template_hash: Option<&str>,
    reached: &Start,
) -> Next {
    if active.metadata.deletion_timestamp.is_some() {
        return Next::default();
    }
    let ended = end(snapshot).is_some();
    let began = began(active, &observation.pods);
    let old = annotation(active, job::TEMPLATE_HASH) != template_hash;
    let grace = begun_at(active).map(|at| at + START_GRACE);
    let late = grace.is_some_and(|until| until <= observation.now);
    let tells = job::told_at_start(active).is_some();
    // Where no pod can start, the next wave tells no better.
    let in_vain = begun_at(active).is_some_and(|at| at + LONGEST_BACKOFF <= observation.now);
    if !began && (old || (ended && late && (!tells || in_vain))) {
        return Next::act(delete(active));
    }
    if lost_its_pods(active, &observation.pods) && start(active) != *reached {
        match (need(snapshot, observation.now), snapshot.lease_until.filter(|until| *until > observation.now)) {
            (Need::Senders, None) => return Next::act(delete(active)),
            (Need::Senders, until) => return Next::wait(until),
            _ => {}
        }
    }
    let wanted = job::parallelism(&observation.object);
    let is = active.spec.as_ref().and_then(|spec| spec.parallelism);
    // One is enough to tell endpoints, until somebody is to be sent to again.
    let is_enough = tells && !matches!(need(snapshot, observation.now), Need::Senders);
    if !ended && !is_enough && is != Some(wanted) {
        return Next::act(Action::ScaleJob { name: active.name_any(), parallelism: wanted });
    }
    Next::wait(grace.filter(|_| !began && !late))
}

/// Whether the pods of a Job were deleted and it has made no other yet: Kubernetes counts that as a failure and waits 10 s
/// and more before the next one. A new wave need not, where this one was at work.
fn lost_its_pods(job: &Job, pods: &[Pod]) -> bool {
    let status = job.status.as_ref();
    let failed = status.and_then(|status| status.failed).unwrap_or_default();
    let active = status.and_then(|status| status.active).unwrap_or_default();
    failed > 0 && active == 0 && pods_of(job, pods).next().is_none()
}

fn delete(job: &Job) -> Action {
    Action::DeleteJob { name: job.name_any(), uid: job.metadata.uid.clone().unwrap_or_default() }
}

/// Whether a sender of the Job has begun to work, or has worked.
pub fn began(job: &Job, pods: &[Pod]) -> bool {
    pods_of(job, pods).any(|pod| {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
        let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        phase != "Pending" || containers.iter().any(|container| container.restart_count > 0)
    })
}

pub fn pods_of<'a>(job: &'a Job, pods: &'a [Pod]) -> impl Iterator<Item = &'a Pod> {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    pods.iter().filter(move |pod| pod.owner_references().iter().any(|owner| owner.uid == uid))
}

/// What had been reached when the wave of a Job began.
pub fn start(job: &Job) -> Start {
    Start {
        settled: annotation(job, job::SETTLED_AT_START).and_then(|text| text.parse().ok()).unwrap_or_default(),
        plan: annotation(job, job::PLAN_AT_START).filter(|hash| !hash.is_empty()).map(str::to_owned),
    }
}

/// When a Job began, as the cluster says.
pub fn begun_at(job: &Job) -> Option<Timestamp> {
    let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
    started.or(job.metadata.creation_timestamp.as_ref()).map(timestamp)
}

/// Whether a Job is in progress, or being deleted.
pub fn is_active(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some() || ended(job).is_none()
}

fn ended(job: &Job) -> Option<Ended<'_>> {
    // The conditions that come before these two say only that pods are being stopped.
    let is_end = |condition: &&JobCondition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    };
    let condition = job.status.as_ref()?.conditions.as_ref()?.iter().find(is_end)?;
    let at = condition.last_transition_time.as_ref().map(timestamp).or_else(|| begun_at(job)).unwrap_or_default();
    Some(Ended { job, at, gave_up: condition.reason.as_deref() == Some("BackoffLimitExceeded") })
}

fn annotation<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    job.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

pub fn timestamp(time: &Time) -> Timestamp {
    Timestamp(i64::try_from(time.0.as_nanosecond()).unwrap_or(i64::MAX))
}
