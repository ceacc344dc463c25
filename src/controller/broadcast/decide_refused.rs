//! What could not be made: tried again after a wait that grows and, where the API server does not take it, told in the
//! status meanwhile. Everything else about the broadcast goes on.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::decide_stall::{BATCH_REFUSED, MAX_CAUSE, NAME_TAKEN, SENDER_NOT_STARTING};
use super::decide_status;
use super::memory::{Made, Memory, Setback, Unmade};
use super::observation::{Action, Observation};
use crate::api::BroadcastMessageStatus;
use crate::controller::failure;
use crate::controller::job;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::status::Stall;

/// Why a broadcast cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// CamelCase, from a fixed set.
    pub reason: &'static str,
    /// For people, with place and remedy.
    pub message: String,
}

/// Remembers what could not be made, and when it is tried again.
pub fn note(memory: &mut Memory, unmade: Unmade, observation: &Observation) {
    let times = memory.setbacks.get(&unmade.name).map_or(0, |setback| setback.times);
    let wait = Span(i64::try_from(failure::delay(times).as_nanos()).unwrap_or(i64::MAX));
    let message = unmade.message.chars().take(MAX_CAUSE).collect();
    let setback = Setback {
        unmade: Unmade { message, ..unmade },
        times: times.saturating_add(1),
        again_at: observation.now + wait,
        generations: generations(observation),
    };
    memory.setbacks.insert(setback.unmade.name.clone(), setback);
}

/// Forgets why `name` could not be made: it is there. What kept other batches from being made does so no more.
pub fn made(memory: &mut Memory, kind: Made, name: &str) {
    memory.setbacks.retain(|other, setback| other != name && !(kind == Made::Batch && bars(setback)));
}

/// A quota, a policy or an outage keeps one batch from being made like another, so one finds out for all of them.
fn bars(setback: &Setback) -> bool {
    setback.unmade.kind == Made::Batch && setback.unmade.reason != NAME_TAKEN
}

/// What a step makes, if anything.
pub fn making(action: &Action) -> Option<(Made, String)> {
    match action {
        Action::CreateJob(job) => Some((Made::Job, job.name_any())),
        Action::CreateBatch(batch) => Some((Made::Batch, batch.name_any())),
        _ => None,
    }
}

/// An edit of either may be what was asked for.
fn generations(observation: &Observation) -> String {
    observation.channel.as_ref().map(|channel| job::generations(&observation.object, channel)).unwrap_or_default()
}

/// What is to be made, held against what was refused.
pub struct Held {
    pub actions: Vec<Action>,
    pub look_at: Option<Timestamp>,
    pub stall: Option<Stall>,
}

/// Leaves out of `wanted` what is not to be tried yet, and forgets setbacks of what is not wanted any more.
pub fn hold(
    wanted: Vec<Action>,
    observation: &Observation,
    before: Option<&BroadcastMessageStatus>,
    memory: &mut Memory,
) -> Held {
    let names: BTreeSet<String> = wanted.iter().filter_map(made_name).collect();
    memory.setbacks.retain(|name, _| names.contains(name));
    let stall = stall(&wanted, before, &names, memory);
    let generations = generations(observation);
    let holds = |setback: &Setback| setback.again_at > observation.now && setback.generations == generations;
    let held: BTreeSet<&str> =
        memory.setbacks.iter().filter(|(_, setback)| holds(setback)).map(|(name, _)| name.as_str()).collect();
    let barrier = memory.setbacks.iter().find(|(_, setback)| bars(setback)).map(|(name, _)| name.as_str());
    let job_is_held = wanted.iter().any(|action| match action {
        Action::CreateJob(job) => held.contains(job.name_any().as_str()),
        _ => false,
    });
    let is_tried = |action: &Action| match action {
        // Lifted for the wave that tries the credentials.
        Action::CreateJob(_) | Action::LiftCredentialStop => !job_is_held,
        Action::CreateBatch(batch) => {
            let name = batch.name_any();
            !held.contains(name.as_str()) && barrier.is_none_or(|barrier| barrier == name)
        }
        _ => true,
    };
    let look_at = held.iter().map(|name| memory.setbacks[*name].again_at).min();
    let actions = wanted.iter().filter(|action| is_tried(action)).cloned().collect();
    Held { actions, look_at, stall }
}

fn made_name(action: &Action) -> Option<String> {
    making(action).map(|(_, name)| name)
}

/// The Job first: without it nothing is sent. An operator that starts anew tells what the status told until it has tried.
fn stall(
    wanted: &[Action],
    before: Option<&BroadcastMessageStatus>,
    names: &BTreeSet<String>,
    memory: &Memory,
) -> Option<Stall> {
    let told = |action: &Action| {
        let refused = &memory.setbacks.get(&made_name(action)?).filter(|setback| setback.unmade.is_refused)?.unmade;
        Some(match action {
            _ if refused.reason == NAME_TAKEN => Stall::new(NAME_TAKEN, refused.message.clone()),
            Action::CreateJob(job) => {
                let message = format!("no sender of Job {} starts: {}", job.name_any(), refused.message);
                Stall::new(SENDER_NOT_STARTING, message)
            }
            _ => {
                let name = made_name(action)?;
                let message = format!("MessageBatch {name} is missing: {}; sending goes on", refused.message);
                Stall::new(BATCH_REFUSED, message)
            }
        })
    };
    let earlier = || {
        let stall = decide_status::stalled(before?)?;
        let of_creation = [NAME_TAKEN, SENDER_NOT_STARTING, BATCH_REFUSED].contains(&stall.reason.as_str());
        let mut words = stall.message.split(|character: char| !(character.is_alphanumeric() || character == '-'));
        (of_creation && words.any(|word| names.contains(word))).then(|| Stall::new(&stall.reason, &stall.message))
    };
    let is_job = |action: &&Action| matches!(action, Action::CreateJob(_));
    let job = wanted.iter().filter(is_job).find_map(told);
    job.or_else(|| wanted.iter().find_map(told)).or_else(earlier)
}

/// Of several stalls the one to be told: what keeps senders from being there at all, then what `waits` says of those that
/// are, then what only people miss.
pub fn first_of(waits: Option<Stall>, held: Option<Stall>, taken: Option<Stall>) -> Option<Stall> {
    let (none_sends, others): (Option<Stall>, Option<Stall>) = match held {
        Some(stall) if stall.reason == SENDER_NOT_STARTING => (Some(stall), None),
        other => (None, other),
    };
    none_sends.or(waits).or(others).or(taken)
}
