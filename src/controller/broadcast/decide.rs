//! What to do about one broadcast: everything that was observed comes in, everything that is to happen goes out.

use std::time::Duration;

use super::decide_batches::{self, Batches};
use super::decide_status::{self, Due};
use super::decide_wave::{self, Waves};
use super::memory::{Memory, Written};
use super::observation::{Action, Decision, Declared, Observation};
use super::{decide_events, decide_stall};
use crate::api::BroadcastMessageStatus;
use crate::controller::job::SenderSettings;
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
    let waves = Waves::of(observation, settings);
    let reached = decide_wave::reached(snapshot);
    decide_stall::remember_last_words(observation, &mut memory);
    let observed_stall = decide_stall::observed(observation, snapshot, batches, &waves, before.as_ref(), &memory);
    let next = decide_wave::next(observation, snapshot, &waves, &reached, settings);
    let mut actions = next.actions;
    actions.extend(lift_block(observation, snapshot, before.as_ref()));

    let stall = status::stall(snapshot, observed_stall.clone());
    let Batches { actions: batch_actions, statuses, again } =
        decide_batches::decide(observation, snapshot, batches, stall.as_ref(), &mut memory);
    actions.extend(batch_actions);

    let wanted = broadcast_status(
        snapshot,
        Observed {
            generation: generation(observation),
            rate_per_minute: decide_status::rate_per_minute(snapshot, before.as_ref(), &mut memory),
            stall: observed_stall,
        },
        before.as_ref().map_or(&[], |status| &status.conditions),
    );
    let lifting = actions.contains(&Action::LiftCredentialStop);
    let due = decide_status::due(before.as_ref(), &wanted, lifting, &mut memory, observation.now);
    let at = |span| Some(observation.now + span);
    let pace = match (status::end(snapshot), snapshot.closed) {
        (Some(_), _) => ENDED,
        (None, None) => MOVING,
        (None, Some(_)) if snapshot.gate.at_risk => MOVING,
        (None, Some(_)) if waves.active.is_some() || snapshot.planning || snapshot.counts.inflight > 0 => MOVING,
        (None, Some(_)) => RESTING,
    };
    let gate = &snapshot.gate;
    let edges = [gate.start_at, gate.start_by, gate.end_at].map(|at| at.filter(|at| *at > observation.now));
    let looks = [at(pace), next.look_at, again, due.look_at()].into_iter().chain(edges);
    let (status, transitions) = report(before.as_ref(), wanted, &due, &mut memory, observation.now);
    Decision {
        actions,
        status,
        batch_statuses: statuses,
        transitions,
        memory,
        look_again: soonest(observation.now, looks.flatten()),
    }
}

/// Nothing may be sent: what could is stopped, and the status says why.
fn stopped(
    observation: &Observation,
    before: Option<BroadcastMessageStatus>,
    wanted: BroadcastMessageStatus,
    mut memory: Memory,
) -> Decision {
    let due = decide_status::due(before.as_ref(), &wanted, false, &mut memory, observation.now);
    let looks = [Some(observation.now + REFUSED), due.look_at()];
    let (status, transitions) = report(before.as_ref(), wanted, &due, &mut memory, observation.now);
    Decision {
        actions: decide_wave::stop_all(observation),
        status,
        batch_statuses: Vec::new(),
        transitions,
        memory,
        look_again: soonest(observation.now, looks.into_iter().flatten()),
    }
}

/// What is written and told now, if anything.
fn report(
    before: Option<&BroadcastMessageStatus>,
    wanted: BroadcastMessageStatus,
    due: &Due,
    memory: &mut Memory,
    now: Timestamp,
) -> (Option<BroadcastMessageStatus>, Vec<super::Transition>) {
    if *due != Due::Now {
        return (None, Vec::new());
    }
    memory.status = Some(Written { at: now, status: wanted.clone() });
    let transitions = decide_events::transitions(before, &wanted);
    (Some(wanted), transitions)
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
