//! What to do about one broadcast: everything that was observed comes in, everything that is to happen goes out.

use std::time::Duration;

use super::decide_budget::Budget;
use super::decide_stall::SENDER_NOT_STARTING;
use super::decide_status::Due;
use super::decide_wave::Waves;
use super::memory::{Memory, Written};
use super::observation::{Action, Decision, Declared, Observation};
use super::{decide_batches, decide_events, decide_refused, decide_stall, decide_status, decide_wave};
use crate::api::BroadcastMessageStatus;
use crate::controller::job::SenderSettings;
use crate::controller::transition::Transition;
use crate::delivery::gate::Closed;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::status::{self, Observed, Stall, broadcast_status};
use crate::ledger::{BatchSnapshot, BroadcastSnapshot};

/// How often a broadcast is looked at in which something moves: the ledger does not call.
const MOVING: Span = Span::from_secs(1);
/// How often one is looked at that waits for its time or for a person; changes of its object are told by the cluster.
const RESTING: Span = Span::from_secs(30);
/// How often one is looked at that has ended: its status and batches may be changed by hand.
const ENDED: Span = Span::from_secs(300);
/// How often one is looked at that has ended and whose figures move still.
const FOLLOWED: Span = Span::from_secs(15);
/// Call-backs are followed for so long after the end: most come within minutes.
const TOLD_FOR: Span = Span::from_secs(60 * 60);
/// How soon a refused declaration is made again: what stands in its way may be gone.
const REFUSED: Span = Span::from_secs(10);
/// Never sooner: a look costs the ledger a few queries.
const SHORTEST: Span = Span::from_millis(100);

pub fn decide(observation: &Observation, memory: &Memory, settings: &SenderSettings) -> Decision {
    let observed = observation.object.status.as_ref();
    let before = Written::or_observed(memory.status.as_ref(), observed, observation.now).cloned();
    match &observation.declared {
        Declared::Known { snapshot, .. } if snapshot.closed == Some(Closed::FreshLedger) => {
            let words = snapshot.stop_message.clone().unwrap_or_default();
            let stall = Stall::new(Closed::FreshLedger.as_str(), words);
            let mut wanted = before.clone().unwrap_or_default();
            status::hold(&mut wanted, &stall, generation(observation), observation.now);
            stopped(observation, before, wanted, memory.clone())
        }
        Declared::Known { snapshot, batches } => {
            known(observation, before, snapshot, batches, memory.clone(), settings)
        }
        Declared::Refused { reason, message } => {
            let stall = Stall::new(reason, message.clone());
            let mut wanted = before.clone().unwrap_or_default();
            let key = observation.object.idempotency_key();
            status::refuse(&mut wanted, &stall, key, generation(observation), observation.now);
            stopped(observation, before, wanted, memory.clone())
        }
    }
}

fn generation(observation: &Observation) -> i64 {
    observation.object.metadata.generation.unwrap_or_default()
}

fn known(
    observation: &Observation,
    before: Option<BroadcastMessageStatus>,
    snapshot: &BroadcastSnapshot,
    batches: &[BatchSnapshot],
    mut memory: Memory,
    settings: &SenderSettings,
) -> Decision {
    let snapshot = &decide_status::with_credential_stop(snapshot, before.as_ref());
    let mut budget = Budget::sending(memory.allowance, snapshot);
    let waves = Waves::of(observation, settings);
    let reached = decide_wave::reached(snapshot);
    decide_stall::remember_last_words(observation, &mut memory);

    let next = decide_wave::next(observation, snapshot, &waves, &reached, settings);
    let objects = decide_batches::objects(observation, batches, &mut memory);
    let wanted = next.actions.into_iter().chain(lift_block(observation, snapshot, before.as_ref()));
    let wanted = wanted.chain(objects.actions.iter().cloned()).collect();
    let held = decide_refused::hold(wanted, observation, before.as_ref(), &mut memory);
    let tried = held.actions.len();
    let mut actions = decide_batches::affordable(held.actions, &mut budget);
    let rest = (actions.len() < tried).then(|| observation.now + decide_batches::SOON);
    budget.charge(actions.iter().filter(|action| is_of_job(action)).count());

    let waiting = decide_stall::observed(observation, snapshot, batches, &waves, before.as_ref(), &memory);
    let observed_stall = decide_refused::first_of(waiting, held.stall, objects.taken.clone());
    let stall = status::stall(snapshot, observed_stall.clone());
    actions.extend(tell_standing(snapshot, observed_stall.as_ref()));
    let rate_per_minute = decide_status::rate_per_minute(snapshot, before.as_ref(), &mut memory);
    let observed = Observed { generation: generation(observation), rate_per_minute, stall: observed_stall };
    let wanted = broadcast_status(snapshot, observed, before.as_ref().map_or(&[], |status| &status.conditions));
    let lifting = actions.contains(&Action::LiftCredentialStop);
    let report = report(before.as_ref(), wanted, lifting, &mut memory, observation.now, &mut budget);
    let statuses = decide_batches::statuses(&objects, snapshot, stall.as_ref(), &mut memory, &mut budget);
    memory.allowance = budget.left();

    let gate = &snapshot.gate;
    let edges = [gate.start_at, gate.start_by, gate.end_at].map(|at| at.filter(|at| *at > observation.now));
    let pace = Some(observation.now + pace(snapshot, &waves, stall.as_ref()));
    let looks = [pace, next.look_at, held.look_at, rest, objects.again, statuses.again, report.look_at];
    Decision {
        actions,
        status: report.status,
        batch_statuses: statuses.written,
        transitions: report.transitions,
        memory,
        look_again: soonest(observation.now, looks.into_iter().chain(edges).flatten()),
    }
}

/// What endpoints are told, once: the ledger knows what it has told them.
fn tell_standing(snapshot: &BroadcastSnapshot, observed: Option<&Stall>) -> Option<Action> {
    let standing = status::standing(snapshot, observed);
    let differs = snapshot.outbox.as_ref()?.told.differs(&standing);
    differs.then(|| Action::TellStanding(Box::new(standing)))
}

fn is_of_job(action: &Action) -> bool {
    matches!(action, Action::CreateJob(_) | Action::DeleteJob { .. } | Action::ScaleJob { .. })
}

/// Call-backs may still tell what became of somebody, or do so already.
fn is_told_of(snapshot: &BroadcastSnapshot) -> bool {
    let is_late = snapshot.finished_at.is_none_or(|at| snapshot.now >= at + TOLD_FOR);
    !is_late && (snapshot.counts.unknown > 0 || !snapshot.receipts.is_zero())
}

/// A sender writes down elsewhere whom the message was sent to.
fn is_written_down(snapshot: &BroadcastSnapshot, waves: &Waves<'_>) -> bool {
    waves.active.is_some() && snapshot.write_backs.iter().any(|written| written.pending > 0)
}

/// How soon to look again where nothing else says so.
fn pace(snapshot: &BroadcastSnapshot, waves: &Waves<'_>, stall: Option<&Stall>) -> Span {
    let is_at_work = waves.active.is_some() || snapshot.planning || snapshot.counts.inflight > 0;
    match (status::end(snapshot), snapshot.closed) {
        (Some(_), _) if is_told_of(snapshot) || is_written_down(snapshot, waves) => FOLLOWED,
        (Some(_), _) => ENDED,
        // The cluster tells when a pod runs after all.
        _ if stall.is_some_and(|stall| stall.reason == SENDER_NOT_STARTING) => RESTING,
        (None, None) if snapshot.quiet_until.is_some() && !is_at_work => RESTING,
        (None, None) => MOVING,
        (None, Some(_)) if is_at_work || snapshot.gate.at_risk => MOVING,
        (None, Some(_)) => RESTING,
    }
}

/// Nothing may be sent: what could is stopped, and the status says why.
fn stopped(
    observation: &Observation,
    before: Option<BroadcastMessageStatus>,
    wanted: BroadcastMessageStatus,
    mut memory: Memory,
) -> Decision {
    let mut budget = Budget::refused(memory.allowance, observation.now);
    let report = report(before.as_ref(), wanted, false, &mut memory, observation.now, &mut budget);
    memory.allowance = budget.left();
    let looks = [Some(observation.now + REFUSED), report.look_at];
    Decision {
        actions: decide_wave::stop_all(observation),
        status: report.status,
        batch_statuses: Vec::new(),
        transitions: report.transitions,
        memory,
        look_again: soonest(observation.now, looks.into_iter().flatten()),
    }
}

/// What is written and told of the broadcast itself.
struct Report {
    status: Option<BroadcastMessageStatus>,
    transitions: Vec<Transition>,
    look_at: Option<Timestamp>,
}

fn report(
    before: Option<&BroadcastMessageStatus>,
    wanted: BroadcastMessageStatus,
    lifting: bool,
    memory: &mut Memory,
    now: Timestamp,
    budget: &mut Budget,
) -> Report {
    let last = memory.status.as_ref().map(|written| written.at);
    let due = decide_status::due(before, &wanted, lifting, last, now, budget);
    if due != Due::Now {
        return Report { status: None, transitions: Vec::new(), look_at: due.look_at() };
    }
    memory.status = Some(Written { at: now, status: wanted.clone() });
    let transitions = decide_events::transitions(before, &wanted);
    budget.charge(transitions.len());
    Report { status: Some(wanted), transitions, look_at: None }
}

/// A block stands until a person has changed the broadcast after it was told.
fn lift_block(
    observation: &Observation,
    snapshot: &BroadcastSnapshot,
    before: Option<&BroadcastMessageStatus>,
) -> Option<Action> {
    let blocked = snapshot.gate.block?.closed();
    let told = decide_status::stalled(before?).filter(|stall| stall.reason == blocked.as_str())?;
    let edited = told.observed_generation < observation.object.metadata.generation;
    (snapshot.closed == Some(blocked) && edited).then_some(Action::LiftBlock)
}

fn soonest(now: Timestamp, looks: impl Iterator<Item = Timestamp>) -> Duration {
    let soonest = looks.map(|at| at - now).min().unwrap_or(ENDED);
    soonest.max(SHORTEST).to_duration()
}

#[cfg(test)]
#[path = "decide_tests/mod.rs"]
mod tests;
