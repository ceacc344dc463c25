//! The MessageBatches of a broadcast: one per batch of the sealed plan, with its status.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::decide_budget::{Budget, Purpose};
use super::decide_stall::NAME_TAKEN;
use super::decide_wave::timestamp;
use super::memory::{Memory, Written};
use super::observation::{Action, Observation};
use crate::api::batch::MessageBatchSpec;
use crate::api::{BatchState, BroadcastMessage, Condition, MessageBatch, MessageBatchStatus, ObjectRef};
use crate::controller::failure::Failure;
use crate::controller::job::{BROADCAST_LABEL, MANAGED_BY, MANAGED_BY_LABEL, owner};
use crate::controller::ownership::is_controlled_by;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::status::{Stall, batch_status, differs_by_more_than_renewal};
use crate::ledger::{BatchSnapshot, BroadcastSnapshot};

/// Progress alone is written this often, per batch: once in the middle of a batch of usual length.
pub const PROGRESS_EVERY: Span = Span::from_secs(15);
/// The first status of a batch that nobody has begun waits so long: mostly the first batch is begun by then.
const FIRST_STATUS_AFTER: Span = Span::from_secs(2);
/// The most objects made, deleted or written in one look, so that no look takes long.
const MOST_AT_ONCE: usize = 100;
/// When to look again for a name that becomes free, or for what one look could not do.
pub const SOON: Span = Span::from_secs(1);
/// When to look again whether a name that somebody else has is free.
const TAKEN: Span = Span::from_secs(10);

/// The batches of the plan against the objects that are there.
#[derive(Default)]
pub struct Objects<'a> {
    pub actions: Vec<Action>,
    pub again: Option<Timestamp>,
    /// Somebody else's object has the name of a batch.
    pub taken: Option<Stall>,
    fitting: Vec<(String, &'a MessageBatch, &'a BatchSnapshot)>,
}

/// Which MessageBatches are to be made, and which to go.
pub fn objects<'a>(observation: &'a Observation, batches: &'a [BatchSnapshot], memory: &mut Memory) -> Objects<'a> {
    let mut work = Objects::default();
    let there: BTreeMap<&str, &MessageBatch> =
        observation.batches.iter().filter_map(|batch| Some((batch.metadata.name.as_deref()?, batch))).collect();
    let mut names = BTreeSet::new();
    for batch in batches {
        let wanted = object(&observation.object, batch);
        let name = wanted.name_any();
        match there.get(name.as_str()).map(|there| (*there, standing(&observation.object, there, &wanted))) {
            None => work.actions.push(Action::CreateBatch(Box::new(wanted))),
            Some((there, Standing::Fits)) => work.fitting.push((name.clone(), there, batch)),
            Some((there, Standing::Outdated)) => work.actions.push(delete(there)),
            Some((_, Standing::Going)) => work.again = Some(observation.now + SOON),
            Some((_, Standing::InTheWay)) => {
                work.again.get_or_insert(observation.now + TAKEN);
                work.taken.get_or_insert_with(|| taken(&name));
            }
        }
        names.insert(name);
    }
    let left_over = observation.batches.iter().filter(|batch| !names.contains(&batch.name_any()));
    let left_over = left_over.filter(|batch| is_ours(&observation.object, batch) && !is_going(batch));
    work.actions.extend(left_over.map(delete));
    if work.actions.iter().any(|action| matches!(action, Action::DeleteBatch { .. })) {
        work.again = Some(observation.now + SOON);
    }
    memory.batches.retain(|name, _| there.contains_key(name.as_str()));
    work
}

/// As [`Failure::NameTaken`](crate::controller::failure::Failure) says it.
fn taken(name: &str) -> Stall {
    let name = name.to_owned();
    Stall::new(NAME_TAKEN, Failure::NameTaken { kind: "MessageBatch", name }.to_string())
}

/// Of the MessageBatches to be made or to go, as many as one look may and the budget holds; everything else is kept.
pub fn affordable(actions: Vec<Action>, budget: &mut Budget) -> Vec<Action> {
    let mut left = MOST_AT_ONCE;
    let mut afford = |action: &Action| match action {
        Action::CreateBatch(_) | Action::DeleteBatch { .. } => {
            let affords = left > 0 && budget.take(Purpose::BatchObject);
            left = if affords { left - 1 } else { 0 };
            affords
        }
        _ => true,
    };
    actions.into_iter().filter(|action| afford(action)).collect()
}

enum Standing {
    Fits,
    /// Ours, of a plan that was made anew.
    Outdated,
    /// On its way out.
    Going,
    /// Somebody else's.
    InTheWay,
}

fn standing(broadcast: &BroadcastMessage, there: &MessageBatch, wanted: &MessageBatch) -> Standing {
    if is_going(there) {
        Standing::Going
    } else if !is_ours(broadcast, there) {
        Standing::InTheWay
    } else if there.spec == wanted.spec {
        Standing::Fits
    } else {
        Standing::Outdated
    }
}

fn is_ours(broadcast: &BroadcastMessage, batch: &MessageBatch) -> bool {
    is_controlled_by(batch.meta(), broadcast.metadata.uid.as_deref())
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
    /// Begun, complete, cancelled, stalled or no more so; another sender, another error.
    Turn,
    First,
    Progress,
}

impl Weight {
    fn purpose(self) -> Purpose {
        match self {
            Weight::Turn => Purpose::BatchTurn,
            Weight::First => Purpose::BatchObject,
            Weight::Progress => Purpose::BatchProgress,
        }
    }
}

/// Statuses that are to be written now, and when to look again for the others.
#[derive(Default)]
pub struct Statuses {
    pub written: Vec<(String, MessageBatchStatus)>,
    pub again: Option<Timestamp>,
}

pub fn statuses(
    objects: &Objects<'_>,
    snapshot: &BroadcastSnapshot,
    stall: Option<&Stall>,
    memory: &mut Memory,
    budget: &mut Budget,
) -> Statuses {
    let now = snapshot.now;
    let mut found = Statuses::default();
    let mut waiting = Vec::new();
    for (name, there, batch) in &objects.fitting {
        let written = memory.batches.get(name);
        let before = Written::or_observed(written, there.status.as_ref().filter(|status| is_written(status)), now);
        let generation = there.metadata.generation.unwrap_or_default();
        let conditions: &[Condition] = before.map_or(&[], |status| &status.conditions);
        let wanted = batch_status(batch, snapshot, stall, generation, conditions);
        let Some(weight) = weight(before, &wanted) else { continue };
        let last = written.map(|written| written.at);
        match due_at(weight, there, last, snapshot).filter(|at| *at > now) {
            Some(at) => found.again = Some(found.again.map_or(at, |again| again.min(at))),
            None => waiting.push((weight, last, name, wanted)),
        }
    }
    // The weightiest first, and of those the one that has waited longest.
    waiting.sort_by(|one, other| (one.0, one.1, one.2).cmp(&(other.0, other.1, other.2)));
    for (weight, _, name, wanted) in waiting {
        if found.written.len() >= MOST_AT_ONCE || !budget.take(weight.purpose()) {
            found.again = Some(now + SOON);
            break;
        }
        memory.batches.insert(name.clone(), Written { at: now, status: wanted.clone() });
        found.written.push((name.clone(), wanted));
    }
    found
}

/// Whether it is more than what the API server says of every new object.
fn is_written(status: &MessageBatchStatus) -> bool {
    !status.conditions.is_empty()
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

/// What somebody who looks at a batch waits for. The words and the time of an error may change with every recipient.
fn turning_point(status: &MessageBatchStatus) -> impl PartialEq + use<'_> {
    let stalled = Condition::find(&status.conditions, "Stalled").map(|stall| &stall.reason);
    let claim = status.claim.as_ref().map(|claim| (&claim.holder, claim.epoch));
    let error = status.last_error.as_ref().map(|error| (&error.reason, &error.code));
    let times = (status.start_time, status.completion_time);
    (times, stalled, claim, status.reclaims, error, status.observed_generation)
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
