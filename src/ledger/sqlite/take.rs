//! Claiming batches and taking recipients from them. Only taking is fenced: by the claim that this transaction holds.
//!
//! Statements that look for recipients by state name their index: without statistics SQLite prefers the primary key, and
//! would walk over the whole batch or broadcast in every exchange.

use sqlx::FromRow;

use super::exchange::Turn;
use super::rows::json;
use crate::delivery::pacing::{GUARD, Slots};
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::{Assignment, CONNECT_TIMEOUT, LEASE, START_TOLERANCE};

#[derive(FromRow)]
struct BatchRow {
    idx: i64,
    first_seq: i64,
    last_seq: i64,
    epoch: i64,
    probation: bool,
}

#[derive(FromRow)]
struct Candidate {
    seq: i64,
    attempt: i64,
    recipient: String,
    vars: String,
}

/// Renews the lease of what the sender holds.
pub async fn renew(turn: &mut Turn<'_>) -> sqlx::Result<()> {
    sqlx::query("UPDATE batch SET lease_until = ?3, renewed_at = ?4 WHERE broadcast_id = ?1 AND sender_id = ?2")
        .bind(turn.broadcast.id)
        .bind(turn.sender.id)
        .bind((turn.now + LEASE).0)
        .bind(turn.now.0)
        .execute(&mut *turn.connection)
        .await?;
    Ok(())
}

/// Takes recipients for the offered slots: from the held batch, and when it has none left that may be taken now, it is
/// handed back and the next is claimed, until the slots are used or nothing is left.
pub async fn take(turn: &mut Turn<'_>, slots: &Slots) -> sqlx::Result<Vec<Assignment>> {
    let mut assignments: Vec<Assignment> = Vec::new();
    let mut held = held(turn).await?;
    // Each round takes at least one recipient or ends, so there are at most as many rounds as slots, and one.
    loop {
        let batch = match held.take() {
            Some(batch) => batch,
            None => match claim(turn, slots.first).await? {
                Some(batch) => batch,
                None => break,
            },
        };
        let free = slots.count - assignments.len() as u32;
        let allowed = allowance(turn, &batch, free, assignments.len()).await?;
        let candidates = candidates(turn, &batch, slots.first, allowed).await?;
        let found = candidates.len() as u32;
        let start = assignments.len() as u32;
        assignments.extend(give(turn, &batch, candidates, slots, start).await?);
        if found == allowed {
            break;
        }
        hand_back(turn, &batch).await?;
    }
    Ok(assignments)
}

async fn held(turn: &mut Turn<'_>) -> sqlx::Result<Option<BatchRow>> {
    sqlx::query_as(
        "SELECT idx, first_seq, last_seq, epoch, probation FROM batch WHERE broadcast_id = ? AND sender_id = ? \
         ORDER BY idx LIMIT 1",
    )
    .bind(turn.broadcast.id)
    .bind(turn.sender.id)
    .fetch_optional(&mut *turn.connection)
    .await
}

/// How many senders hold a batch of the broadcast; at least 1.
pub async fn holders(turn: &mut Turn<'_>) -> sqlx::Result<u32> {
    let (holders,): (i64,) = sqlx::query_as(
        "SELECT count(DISTINCT sender_id) FROM batch WHERE broadcast_id = ? AND sender_id IS NOT NULL AND lease_until > ?",
    )
    .bind(turn.broadcast.id)
    .bind(turn.now.0)
    .fetch_one(&mut *turn.connection)
    .await?;
    Ok(holders.max(1) as u32)
}

async fn hand_back(turn: &mut Turn<'_>, batch: &BatchRow) -> sqlx::Result<()> {
    sqlx::query("UPDATE batch SET sender_id = NULL, lease_until = 0 WHERE broadcast_id = ? AND idx = ?")
        .bind(turn.broadcast.id)
        .bind(batch.idx)
        .execute(&mut *turn.connection)
        .await?;
    Ok(())
}

/// Claims the first batch that nobody holds and that has somebody to take by `slot`. One whose holder was lost is taken
/// over on probation.
async fn claim(turn: &mut Turn<'_>, slot: Timestamp) -> sqlx::Result<Option<BatchRow>> {
    sqlx::query_as(
        "UPDATE batch SET probation = probation OR sender_id IS NOT NULL, \
         reclaims = reclaims + (sender_id IS NOT NULL), sender_id = ?2, epoch = epoch + 1, claimed_at = ?3, \
         renewed_at = ?3, lease_until = ?4, started_at = coalesce(started_at, ?3) \
         WHERE broadcast_id = ?1 AND idx = ( \
             SELECT idx FROM batch AS free WHERE free.broadcast_id = ?1 AND free.pending > 0 \
             AND (free.sender_id IS NULL OR free.lease_until <= ?3) \
             AND EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_pending \
                         WHERE delivery.broadcast_id = ?1 AND state = 0 \
                         AND seq BETWEEN free.first_seq AND free.last_seq AND not_before <= ?5) \
             ORDER BY idx LIMIT 1) \
         RETURNING idx, first_seq, last_seq, epoch, probation",
    )
    .bind(turn.broadcast.id)
    .bind(turn.sender.id)
    .bind(turn.now.0)
    .bind((turn.now + LEASE).0)
    .bind(slot.0)
    .fetch_optional(&mut *turn.connection)
    .await
}

/// How many recipients may be taken: one at a time from a process that has not shown that it can record an outcome, and
/// from a batch whose last holder was lost, so that a poisoned message costs one unknown per crash.
async fn allowance(turn: &mut Turn<'_>, batch: &BatchRow, free: u32, taken: usize) -> sqlx::Result<u32> {
    if turn.sender.proven && !batch.probation {
        return Ok(free);
    }
    let (first, last) =
        if turn.sender.proven { (batch.first_seq, batch.last_seq) } else { (0, turn.broadcast.planned) };
    let (running,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM delivery INDEXED BY delivery_inflight \
         WHERE broadcast_id = ? AND state = 1 AND sender_id = ? AND seq BETWEEN ? AND ?",
    )
    .bind(turn.broadcast.id)
    .bind(turn.sender.id)
    .bind(first)
    .bind(last)
    .fetch_one(&mut *turn.connection)
    .await?;
    let unproven_and_busy = !turn.sender.proven && taken > 0;
    Ok(if running > 0 || unproven_and_busy { 0 } else { free.min(1) })
}

async fn candidates(
    turn: &mut Turn<'_>,
    batch: &BatchRow,
    slot: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<Candidate>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "SELECT seq, attempt, recipient, vars FROM delivery INDEXED BY delivery_pending \
         WHERE broadcast_id = ? AND state = 0 AND seq BETWEEN ? AND ? AND not_before <= ? ORDER BY seq LIMIT ?",
    )
    .bind(turn.broadcast.id)
    .bind(batch.first_seq)
    .bind(batch.last_seq)
    .bind(slot.0)
    .bind(i64::from(limit))
    .fetch_all(&mut *turn.connection)
    .await
}

/// Puts the candidates in flight, each with a new attempt at its slot.
async fn give(
    turn: &mut Turn<'_>,
    batch: &BatchRow,
    candidates: Vec<Candidate>,
    slots: &Slots,
    start: u32,
) -> sqlx::Result<Vec<Assignment>> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let mut assignments = Vec::with_capacity(candidates.len());
    for (candidate, index) in candidates.into_iter().zip(start..) {
        let slot = slots.at(index);
        assignments.push(Assignment {
            seq: candidate.seq,
            attempt: candidate.attempt as u32 + 1,
            recipient: candidate.recipient,
            vars: serde_json::from_str(&candidate.vars).map_err(|error| sqlx::Error::Decode(error.into()))?,
            slot,
            start_by: slot + START_TOLERANCE,
        });
    }
    let allowed = (CONNECT_TIMEOUT + turn.broadcast.request_timeout()).0;
    // The broadcast's number is part of each row: as a parameter it would let SQLite walk over the broadcast instead.
    let id = turn.broadcast.id;
    let rows: Vec<(i64, i64, u32, i64, i64, i64)> = assignments
        .iter()
        .map(|row| (id, row.seq, row.attempt, row.slot.0, row.start_by.0, row.start_by.0 + allowed))
        .collect();
    sqlx::query(
        "UPDATE delivery SET state = ?1, attempt = new.attempt, epoch = ?2, sender_id = ?3, request = ?4, \
         slot = new.slot, start_by = new.start_by, deadline = new.deadline, reason = NULL, code = NULL \
         FROM (SELECT value ->> 0 AS broadcast, value ->> 1 AS seq, value ->> 2 AS attempt, value ->> 3 AS slot, \
               value ->> 4 AS start_by, value ->> 5 AS deadline FROM json_each(?5)) AS new \
         WHERE broadcast_id = new.broadcast AND delivery.seq = new.seq",
    )
    .bind(RecipientState::Inflight.code())
    .bind(batch.epoch)
    .bind(turn.sender.id)
    .bind(turn.number as i64)
    .bind(json(&rows)?)
    .execute(&mut *turn.connection)
    .await?;
    let taken = assignments.len() as i64;
    sqlx::query(
        "UPDATE batch SET pending = pending - ?3, inflight = inflight + ?3 WHERE broadcast_id = ?1 AND idx = ?2",
    )
    .bind(turn.broadcast.id)
    .bind(batch.idx)
    .bind(taken)
    .execute(&mut *turn.connection)
    .await?;
    let mut counts = turn.broadcast.counts();
    counts.pending -= taken;
    counts.inflight += taken;
    turn.broadcast.set_counts(counts);
    Ok(assignments)
}

#[derive(FromRow)]
struct GivenRow {
    seq: i64,
    attempt: i64,
    recipient: String,
    vars: String,
    slot: i64,
    start_by: i64,
}

/// What the first answer to this request gave and nobody has reported since.
pub async fn given_before(turn: &mut Turn<'_>) -> sqlx::Result<Vec<Assignment>> {
    let rows: Vec<GivenRow> = sqlx::query_as(
        "SELECT seq, attempt, recipient, vars, slot, start_by FROM delivery INDEXED BY delivery_inflight \
         WHERE broadcast_id = ? AND state = 1 AND sender_id = ? AND request = ? ORDER BY slot",
    )
    .bind(turn.broadcast.id)
    .bind(turn.sender.id)
    .bind(turn.number as i64)
    .fetch_all(&mut *turn.connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Assignment {
                seq: row.seq,
                attempt: row.attempt as u32,
                recipient: row.recipient,
                vars: serde_json::from_str(&row.vars).map_err(|error| sqlx::Error::Decode(error.into()))?,
                slot: Timestamp(row.slot),
                start_by: Timestamp(row.start_by),
            })
        })
        .collect()
}

/// Gives new slots to assignments whose slots have passed; returns how many.
pub async fn move_slots(turn: &mut Turn<'_>, assignments: &mut [Assignment], slots: &Slots) -> sqlx::Result<u32> {
    let allowed = CONNECT_TIMEOUT + turn.broadcast.request_timeout();
    let earliest = turn.now + GUARD;
    let mut moved = 0;
    for row in assignments.iter_mut().filter(|row| row.slot < earliest).take(slots.count as usize) {
        row.slot = slots.at(moved);
        row.start_by = row.slot + START_TOLERANCE;
        moved += 1;
        sqlx::query("UPDATE delivery SET slot = ?3, start_by = ?4, deadline = ?5 WHERE broadcast_id = ?1 AND seq = ?2")
            .bind(turn.broadcast.id)
            .bind(row.seq)
            .bind(row.slot.0)
            .bind(row.start_by.0)
            .bind((row.start_by + allowed).0)
            .execute(&mut *turn.connection)
            .await?;
    }
    assignments.sort_by_key(|row| row.slot);
    Ok(moved)
}
