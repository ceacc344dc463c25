//! The MessageBatches of a broadcast: one per batch of the sealed plan, with its status.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::decide_wave::timestamp;
use super::memory::{Memory, Written};
use super::observation::{Action, Observation};
use crate::api::batch::MessageBatchSpec;
use crate::api::{BatchState, BroadcastMessage, Condition, MessageBatch, MessageBatchStatus, ObjectRef};
use crate::controller::job::{BROADCAST_LABEL, MANAGED_BY, MANAGED_BY_LABEL, owner};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::status::{Stall, batch_status, differs_by_more_than_renewal};
use crate::ledger::{BatchSnapshot, BroadcastSnapshot};

/// Progress alone is written this often, per batch: once in the middle of a batch of usual length.
pub const PROGRESS_EVERY: Span = Span::from_secs(15);
/// The first status of a batch that nobody has begun waits so long: mostly the first batch is begun by then.
const FIRST_STATUS_AFTER: Span = Span::from_secs(2);
/// Statuses written a minute while sending, at low rates: with as many at once as [`AT_ONCE_SHARE`], at most 20 in any.
const PER_MINUTE: f64 = 12.0;
/// At high rates, statuses per message: 3 of the 5 writes that 1,000 recipients may cost.
const PER_MESSAGE: f64 = 0.003;
/// How many may be written at once, as a share of those of a minute.
const AT_ONCE_SHARE: f64 = 2.0 / 3.0;
/// The most objects made, deleted or written in one look, so that no look takes long.
const MOST_AT_ONCE: usize = 100;
/// When to look again for a name that is taken, or for what one look could not do.
const SOON: Span = Span::from_secs(1);

/// What to do with MessageBatches.
#[derive(Default)]
pub struct Batches {
    pub actions: Vec<Action>,
    pub statuses: Vec<(String, MessageBatchStatus)>,
    pub again: Option<Timestamp>,
}

pub fn decide(
    observation: &Observation,
    snapshot: &BroadcastSnapshot,
    batches: &[BatchSnapshot],
    stall: Option<&Stall>,
    memory: &mut Memory,
) -> Batches {
    let mut work = Batches::default();
    let there: BTreeMap<&str, &MessageBatch> =
        observation.batches.iter().filter_map(|batch| Some((batch.metadata.name.as_deref()?, batch))).collect();
    let mut fitting = Vec::new();
    let mut names = BTreeSet::new();
    for batch in batches {
        let wanted = object(&observation.object, batch);
        let name = wanted.name_any();
        match there.get(name.as_str()).map(|there| (*there, standing(&observation.object, there, &wanted))) {
            None => work.actions.push(Action::CreateBatch(Box::new(wanted))),
            Some((there, Standing::Fits)) => fitting.push((name.clone(), there, batch)),
            Some((there, Standing::Outdated)) => work.actions.push(delete(there)),
            Some((_, Standing::InTheWay)) => work.again = Some(observation.now + SOON),
        }
        names.insert(name);
    }
    let left_over = observation.batches.iter().filter(|batch| !names.contains(&batch.name_any()));
    let left_over = left_over.filter(|batch| is_ours(&observation.object, batch) && !is_going(batch));
    work.actions.extend(left_over.map(delete));
    let is_replacing = work.actions.iter().any(|action| matches!(action, Action::DeleteBatch { .. }));
    if is_replacing || work.actions.len() > MOST_AT_ONCE {
        work.again = Some(observation.now + SOON);
    }
    work.actions.truncate(MOST_AT_ONCE);
    memory.batches.retain(|name, _| there.contains_key(name.as_str()));
    report(fitting, snapshot, stall, memory, &mut work);
    work
}

enum Standing {
    Fits,
    /// Ours, of a plan that was made anew.
    Outdated,
    /// Somebody else's, or on its way out.
    InTheWay,
}

fn standing(broadcast: &BroadcastMessage, there: &MessageBatch, wanted: &MessageBatch) -> Standing {
    if !is_ours(broadcast, there) || is_going(there) {
        Standing::InTheWay
    } else if there.spec == wanted.spec {
        Standing::Fits
    } else {
        Standing::Outdated
    }
}

fn is_ours(broadcast: &BroadcastMessage, batch: &MessageBatch) -> bool {
    let uid = broadcast.metadata.uid.as_deref();
    batch.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

fn is_going(batch: &MessageBatch) -> bool {
    batch.metadata.deletion_timestamp.is_some()
}

fn delete(batch: &MessageBatch) -> Action {
    Action::DeleteBatch { name: batch.name_any(), uid: batch.metadata.uid.clone().unwrap_or_default() }
}

fn object(broadcast: &BroadcastMessage, batch: &BatchSnapshot) -> MessageBatch {
    let name = broadcast.name_any();
    let labels = [(BROADCAST_LABEL, name.as_str()), (MANAGED_BY_LABEL, MANAGED_BY)];
    MessageBatch {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{:05}", batch.index)),
            namespace: broadcast.namespace(),
            labels: Some(labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()),
            owner_references: Some(vec![owner(broadcast)]),
            ..ObjectMeta::default()
        },
        spec: MessageBatchSpec {
            broadcast_ref: ObjectRef { name },
            index: batch.index as u32,
            first_recipient: batch.first_seq,
            recipient_count: batch.last_seq - batch.first_seq + 1,
        },
        status: None,
    }
}

/// How much a status matters when not all can be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Begun, complete, cancelled, stalled or no more so.
    Turn,
    First,
    Progress,
}

fn report(
    fitting: Vec<(String, &MessageBatch, &BatchSnapshot)>,
    snapshot: &BroadcastSnapshot,
    stall: Option<&Stall>,
    memory: &mut Memory,
    work: &mut Batches,
) {
    let now = snapshot.now;
    let mut waiting = Vec::new();
    for (name, there, batch) in fitting {
        let written = memory.batches.get(&name);
        let before = Written::or_observed(written, there.status.as_ref(), now);
        let generation = there.metadata.generation.unwrap_or_default();
        let conditions: &[Condition] = before.map_or(&[], |status| &status.conditions);
        let wanted = batch_status(batch, snapshot, stall, generation, conditions);
        let Some(weight) = weight(before, &wanted) else { continue };
        let last = written.map(|written| written.at);
        match due_at(weight, there, last, snapshot).filter(|at| *at > now) {
            Some(at) => work.again = Some(work.again.map_or(at, |again| again.min(at))),
            None => waiting.push((weight, last, name, wanted)),
        }
    }
    // The weightiest first, and of those the one that has waited longest.
    waiting.sort_by(|one, other| (one.0, one.1, &one.2).cmp(&(other.0, other.1, &other.2)));
    let per_minute = PER_MINUTE.max(snapshot.effective_per_second * 60.0 * PER_MESSAGE);
    for (_, _, name, wanted) in waiting {
        let free = snapshot.closed.is_some();
        let full = work.statuses.len() >= MOST_AT_ONCE;
        if full || !(free || memory.batch_allowance.spend(per_minute * AT_ONCE_SHARE, per_minute, now)) {
            work.again = Some(now + SOON);
            break;
        }
        memory.batches.insert(name.clone(), Written { at: now, status: wanted.clone() });
        work.statuses.push((name, wanted));
    }
}

/// `None` when there is nothing to say.
fn weight(before: Option<&MessageBatchStatus>, wanted: &MessageBatchStatus) -> Option<Weight> {
    let begun = wanted.state != Some(BatchState::Pending);
    let Some(before) = before else { return Some(if begun { Weight::Turn } else { Weight::First }) };
    if !differs_by_more_than_renewal(before, wanted) {
        return None;
    }
    let same = turning_point(before) == turning_point(wanted);
    Some(if same { Weight::Progress } else { Weight::Turn })
}

fn turning_point(status: &MessageBatchStatus) -> impl PartialEq {
    let stalled = Condition::find(&status.conditions, "Stalled").map(|stall| stall.reason.clone());
    (status.start_time, status.completion_time, stalled, status.observed_generation)
}

/// When a status of this weight may be written; `None`: at once.
fn due_at(
    weight: Weight,
    there: &MessageBatch,
    last: Option<Timestamp>,
    snapshot: &BroadcastSnapshot,
) -> Option<Timestamp> {
    match weight {
        Weight::Turn => None,
        Weight::First if snapshot.closed.is_some() => None,
        Weight::First => there.metadata.creation_timestamp.as_ref().map(|made| timestamp(made) + FIRST_STATUS_AFTER),
        Weight::Progress => last.map(|last| last + PROGRESS_EVERY),
    }
}
