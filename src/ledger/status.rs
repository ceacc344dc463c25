//! The status of a BroadcastMessage, made from the ledger alone: it can be made anew at any time.

use jiff::Timestamp as Instant;

use super::snapshot::BroadcastSnapshot;
use crate::api::broadcast_status::{BatchSums, PlanStatus, ReasonCount, ReasonOutcome, RecipientSums};
use crate::api::{BroadcastMessageStatus, BroadcastState, Condition, ConditionStatus};
use crate::delivery::gate::Closed;
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::{Span, Timestamp};

/// What is known beyond the ledger when a status is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    pub generation: i64,
    /// Messages sent in the last minute, where somebody has watched.
    pub rate_per_minute: Option<i64>,
}

/// How a broadcast ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    DeliveredWithFailures,
    Cancelled,
    Expired,
}

impl End {
    pub fn as_str(self) -> &'static str {
        match self {
            End::Delivered => "Delivered",
            End::DeliveredWithFailures => "DeliveredWithFailures",
            End::Cancelled => "Cancelled",
            End::Expired => "Expired",
        }
    }
}

/// How a broadcast ended; `None` while anybody is pending or in flight.
pub fn end(snapshot: &BroadcastSnapshot) -> Option<End> {
    let counts = &snapshot.counts;
    let unsealed = snapshot.plan.is_none();
    match snapshot.closed {
        Some(Closed::Cancelled) if unsealed || counts.open() == 0 => Some(End::Cancelled),
        Some(Closed::Expired) if unsealed => Some(End::Expired),
        Some(Closed::Complete) if counts.skipped > 0 => Some(End::Expired),
        Some(Closed::Complete) if counts.failed + counts.unknown > 0 => Some(End::DeliveredWithFailures),
        Some(Closed::Complete) => Some(End::Delivered),
        _ => None,
    }
}

/// The whole status. `before` keeps the times of conditions that have not changed.
pub fn broadcast_status(
    snapshot: &BroadcastSnapshot,
    observed: Observed,
    before: &[Condition],
) -> BroadcastMessageStatus {
    let counts = &snapshot.counts;
    let settled = counts.total() - counts.open();
    let planned = counts.total();
    BroadcastMessageStatus {
        observed_generation: Some(observed.generation).filter(|generation| *generation > 0),
        idempotency_key: Some(snapshot.idempotency_key.clone()),
        conditions: conditions(snapshot, observed.generation, before),
        state: Some(state(snapshot)),
        recipients: snapshot.plan.as_ref().map(|_| RecipientSums {
            planned,
            pending: counts.open(),
            sent: counts.sent,
            failed: counts.failed,
            skipped: counts.skipped,
            unknown: counts.unknown,
        }),
        reasons: reasons(snapshot),
        batches: snapshot.plan.as_ref().map(|plan| BatchSums {
            total: snapshot.batches_total as u32,
            size: plan.batch_size,
            pending: (snapshot.batches_total - snapshot.batches_active - snapshot.batches_complete).max(0) as u32,
            active: snapshot.batches_active as u32,
            complete: snapshot.batches_complete as u32,
        }),
        progress_percent: (planned > 0).then(|| (settled * 100 / planned) as u32),
        rate_per_minute: observed.rate_per_minute,
        estimated_completion_time: completion(snapshot),
        plan: snapshot.plan.as_ref().map(|plan| PlanStatus {
            hash: Some(plan.hash.clone()),
            sealed_time: instant(plan.sealed_at),
            duplicates: plan.duplicates as i64,
            excluded: plan.excluded as i64,
            samples: snapshot.samples.clone(),
        }),
        first_attempt_time: snapshot.first_attempt_at.and_then(instant),
        ledger_revision: Some(snapshot.revision),
        start_time: snapshot.first_attempt_at.and_then(instant),
        completion_time: snapshot.finished_at.and_then(instant),
    }
}

/// One word for people; derived, never stored.
pub fn state(snapshot: &BroadcastSnapshot) -> BroadcastState {
    match (end(snapshot), snapshot.closed) {
        (Some(End::Delivered | End::DeliveredWithFailures), _) => BroadcastState::Complete,
        (Some(End::Cancelled), _) => BroadcastState::Cancelled,
        (Some(End::Expired), _) => BroadcastState::Expired,
        (None, Some(Closed::NotPlanned)) => BroadcastState::Pending,
        (None, Some(Closed::Scheduled)) => BroadcastState::Scheduled,
        (None, Some(Closed::Suspended | Closed::CredentialsInvalid | Closed::ProviderBlocked)) => {
            BroadcastState::Suspended
        }
        (None, _) => BroadcastState::Sending,
    }
}

/// At the effective rate now, when the last pending recipient gets its slot; known only while sending.
fn completion(snapshot: &BroadcastSnapshot) -> Option<Instant> {
    if snapshot.closed.is_some() || snapshot.effective_per_second <= 0.0 {
        return None;
    }
    let left = Span::from_secs_f64(snapshot.counts.pending as f64 / snapshot.effective_per_second);
    instant(snapshot.now + left)
}

fn reasons(snapshot: &BroadcastSnapshot) -> Vec<ReasonCount> {
    let outcome = |state| match state {
        RecipientState::Failed => Some(ReasonOutcome::Failed),
        RecipientState::Skipped => Some(ReasonOutcome::Skipped),
        RecipientState::Unknown => Some(ReasonOutcome::Unknown),
        RecipientState::Pending | RecipientState::Inflight | RecipientState::Sent => None,
    };
    let count = |row: &super::snapshot::Outcomes| {
        Some(ReasonCount { outcome: outcome(row.state)?, reason: row.reason.clone(), count: row.count })
    };
    snapshot.outcomes.iter().filter_map(count).collect()
}

fn conditions(snapshot: &BroadcastSnapshot, generation: i64, before: &[Condition]) -> Vec<Condition> {
    use ConditionStatus::{False, True};
    let ended = end(snapshot);
    let blocked = snapshot.closed.filter(|reason| reason.needs_person());
    let words = snapshot.stop_message.clone().unwrap_or_default();
    let reason = ended.map_or_else(|| snapshot.closed.map_or("Sending", Closed::as_str), End::as_str);
    let delivered = matches!(ended, Some(End::Delivered | End::DeliveredWithFailures));
    let suspended = matches!(snapshot.closed, Some(Closed::Suspended)) || blocked.is_some();
    let ready = blocked.is_none() && snapshot.closed != Some(Closed::NotPlanned);
    let flag = |on| if on { True } else { False };
    let mut wanted = vec![
        ("Ready", flag(ready), reason, if blocked.is_some() { words.clone() } else { sums(snapshot) }),
        ("Complete", flag(delivered), reason, String::new()),
        ("Finished", flag(ended.is_some()), reason, String::new()),
        ("Suspended", flag(suspended), if suspended { reason } else { "NotSuspended" }, String::new()),
    ];
    // Abnormal conditions are absent while all is well.
    if let Some(blocked) = blocked {
        wanted.push(("Stalled", True, blocked.as_str(), words));
    }
    if ended.is_none() && snapshot.closed == Some(Closed::NotPlanned) {
        wanted.push(("Reconciling", True, "Planning", String::new()));
    }
    let now = instant(snapshot.now).unwrap_or_default();
    wanted
        .into_iter()
        .map(|(type_, status, reason, message)| {
            let same = before.iter().find(|condition| condition.type_ == type_ && condition.status == status);
            Condition {
                type_: type_.to_owned(),
                status,
                reason: reason.to_owned(),
                message,
                observed_generation: Some(generation).filter(|generation| *generation > 0),
                last_transition_time: same.map_or(now, |condition| condition.last_transition_time),
            }
        })
        .collect()
}

fn sums(snapshot: &BroadcastSnapshot) -> String {
    let counts = &snapshot.counts;
    format!(
        "{} planned: {} sent, {} failed, {} skipped, {} unknown, {} pending",
        counts.total(),
        counts.sent,
        counts.failed,
        counts.skipped,
        counts.unknown,
        counts.open()
    )
}

fn instant(at: Timestamp) -> Option<Instant> {
    // Seconds, as Kubernetes writes them.
    Instant::from_second(at.0.div_euclid(1_000_000_000)).ok()
}
