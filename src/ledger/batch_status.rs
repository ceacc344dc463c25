//! The status of a MessageBatch, made from the ledger alone.

use super::exchange::LEASE;
use super::snapshot::{BatchSnapshot, BroadcastSnapshot};
use super::status::{Stall, instant};
use crate::api::batch::{BatchClaim, BatchError, BatchRecipientSums};
use crate::api::{BatchState, Condition, ConditionStatus, MessageBatchStatus};
use crate::delivery::outcome::Fault;
use crate::delivery::time::{NANOS_PER_SECOND, Timestamp};

/// The whole status. `stall` is the broadcast's; `before` keeps the times of conditions that have not changed.
pub fn batch_status(
    batch: &BatchSnapshot,
    broadcast: &BroadcastSnapshot,
    stall: Option<&Stall>,
    generation: i64,
    before: &[Condition],
) -> MessageBatchStatus {
    let counts = &batch.counts;
    let state = state(batch, broadcast);
    MessageBatchStatus {
        observed_generation: Some(generation).filter(|generation| *generation > 0),
        state: Some(state),
        claim: claim(batch),
        recipients: Some(BatchRecipientSums {
            pending: counts.open(),
            sent: counts.sent,
            failed: counts.failed,
            skipped: counts.skipped,
            unknown: counts.unknown,
        }),
        retries: Some(batch.retries),
        reclaims: Some(batch.reclaims),
        last_error: batch.last_error.as_ref().and_then(|(fault, at)| error(fault, *at)),
        conditions: conditions(batch, state, stall, generation, broadcast.now, before),
        start_time: batch.started_at.and_then(instant),
        completion_time: batch.completed_at.and_then(instant),
    }
}

/// Whether there is anything to write: a sender that showed itself again is no news.
pub fn differs_by_more_than_renewal(one: &MessageBatchStatus, other: &MessageBatchStatus) -> bool {
    let mut renewed = one.clone();
    if let (Some(claim), Some(others)) = (&mut renewed.claim, &other.claim) {
        claim.renewed_time = others.renewed_time;
    }
    renewed != *other
}

fn state(batch: &BatchSnapshot, broadcast: &BroadcastSnapshot) -> BatchState {
    let settled = batch.counts.open() == 0;
    let throttled = broadcast.throttled_until.is_some_and(|until| until > broadcast.now);
    if settled && batch.skipped_by_cancel > 0 {
        BatchState::Cancelled
    } else if settled {
        BatchState::Complete
    } else if batch.started_at.is_none() {
        BatchState::Pending
    } else if batch.holder.is_some() && !throttled {
        BatchState::Sending
    } else {
        BatchState::Waiting
    }
}

fn claim(batch: &BatchSnapshot) -> Option<BatchClaim> {
    let claimed = batch.claimed_at?;
    Some(BatchClaim {
        holder: batch.holder.clone()?,
        epoch: batch.epoch,
        claimed_time: instant(claimed)?,
        renewed_time: instant(batch.renewed_at.unwrap_or(claimed))?,
        lease_duration_seconds: (LEASE.0 / NANOS_PER_SECOND) as u32,
    })
}

fn error(fault: &Fault, at: Timestamp) -> Option<BatchError> {
    Some(BatchError {
        reason: fault.reason.clone(),
        code: fault.code.clone(),
        message: fault.message.clone(),
        time: instant(at)?,
    })
}

fn conditions(
    batch: &BatchSnapshot,
    state: BatchState,
    stall: Option<&Stall>,
    generation: i64,
    now: Timestamp,
    before: &[Condition],
) -> Vec<Condition> {
    use ConditionStatus::{False, True};
    let settled = batch.counts.open() == 0;
    // Batches nobody has begun say nothing of it: hundreds of them would repeat what the broadcast says.
    let stall = stall.filter(|_| !settled && batch.started_at.is_some());
    let word = match state {
        BatchState::Pending => "Pending",
        BatchState::Sending => "Sending",
        BatchState::Waiting => "Waiting",
        BatchState::Complete => "AllSettled",
        BatchState::Cancelled => "Cancelled",
    };
    let reason = stall.map_or(word, |stall| stall.reason.as_str());
    let words = stall.map(|stall| stall.message.clone()).unwrap_or_default();
    let flag = |on| if on { True } else { False };
    let mut wanted = vec![
        ("Ready", flag(stall.is_none()), reason, words.clone()),
        ("Complete", flag(state == BatchState::Complete), reason, String::new()),
    ];
    if let Some(stall) = stall {
        wanted.push(("Stalled", True, &stall.reason, words));
    }
    Condition::list(wanted, generation, instant(now).unwrap_or_default(), before)
}
