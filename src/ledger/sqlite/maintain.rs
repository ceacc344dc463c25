//! Upkeep: what becomes of attempts that nobody reports, of ended broadcasts, and of a clock that was set back.

use std::collections::{BTreeMap, HashSet};

use sqlx::SqliteConnection;

use super::record::{Evidence, record, write_tally};
use super::rows;
use crate::delivery::counts::Tally;
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::exchange::{BroadcastId, DEADLINE_GRACE, LEASE, LastWords, Report};

/// Bulk changes go in slices of this many rows, so that no transaction holds the ledger for long.
const SLICE: i64 = 5_000;
/// A clock that is this far behind the ledger's latest commit was set back.
const SET_BACK: Span = Span::from_secs(1);

pub async fn maintain(connection: &mut SqliteConnection, opened_at: Timestamp, now: Timestamp) -> sqlx::Result<bool> {
    follow_clock(connection, now).await?;
    // Senders that outlived the ledger's restart record first: for one lease nothing is concluded from silence.
    let overdue = if now >= opened_at + LEASE || now < opened_at {
        settle(connection, now, Overdue::Before(now - DEADLINE_GRACE)).await?
    } else {
        0
    };
    let skipped = skip_ended(connection, now).await?;
    // One broadcast was looked at; another may have ended too.
    Ok(overdue >= SLICE as u64 || skipped > 0)
}

/// Where the clock was set back, sets what lies ahead back by as much, so that nothing waits for the old time. It comes
/// first in every transaction that stores instants: they are all of one time, the old one or the new. Free slots are
/// clamped where they are read instead, because those given away on the old time are still ahead of their senders.
pub async fn follow_clock(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    let (seen_at,): (i64,) = sqlx::query_as("SELECT seen_at FROM ledger").fetch_one(&mut *connection).await?;
    if now + SET_BACK >= Timestamp(seen_at) {
        return Ok(());
    }
    let back = Timestamp(seen_at) - now;
    let statements = [
        "UPDATE batch SET lease_until = lease_until - ?2 WHERE lease_until > ?1",
        "UPDATE delivery SET not_before = not_before - ?2 WHERE state = 0 AND not_before > ?1",
        "UPDATE delivery SET slot = slot - ?2, start_by = start_by - ?2, deadline = deadline - ?2 \
         WHERE state = 1 AND deadline > ?1",
        "UPDATE broadcast SET flow_hungry_until = ?1 WHERE flow_hungry_until > ?1",
        "UPDATE broadcast SET plan_touched_at = ?1 WHERE plan_touched_at > ?1",
        "UPDATE account SET brake_since = min(brake_since, ?1), brake_lowered_at = min(brake_lowered_at, ?1), \
         brake_hold_until = CASE WHEN brake_hold_until > ?1 THEN brake_hold_until - ?2 ELSE brake_hold_until END",
        "UPDATE ledger SET seen_at = ?1",
    ];
    for statement in statements {
        sqlx::query(statement).bind(now.0).bind(back.0).execute(&mut *connection).await?;
    }
    Ok(())
}

enum Overdue {
    /// Whose deadline lies before this instant.
    Before(Timestamp),
    /// Everybody in flight.
    All,
}

/// Makes a slice of those in flight unknown; returns how many.
async fn settle(connection: &mut SqliteConnection, now: Timestamp, which: Overdue) -> sqlx::Result<u64> {
    let (limit, message) = match which {
        Overdue::Before(limit) => (limit, "no outcome was reported before the deadline"),
        Overdue::All => (Timestamp::NEVER, "the sender ended before it recorded an outcome"),
    };
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT broadcast_id, seq, attempt FROM delivery INDEXED BY delivery_inflight \
         WHERE state = 1 AND deadline <= ? LIMIT ?",
    )
    .bind(limit.0)
    .bind(SLICE)
    .fetch_all(&mut *connection)
    .await?;
    let settled = rows.len() as u64;
    let mut by_broadcast: BTreeMap<i64, Vec<Report>> = BTreeMap::new();
    for (broadcast, seq, attempt) in rows {
        by_broadcast.entry(broadcast).or_default().push(unknown(seq, attempt as u32, message));
    }
    for (id, reports) in by_broadcast {
        conclude(connection, BroadcastId(id), &reports, now).await?;
    }
    Ok(settled)
}

fn unknown(seq: i64, attempt: u32, message: &str) -> Report {
    Report { seq, attempt, outcome: Outcome::Unknown { fault: Fault::new("SenderLost", None, message) } }
}

async fn conclude(
    connection: &mut SqliteConnection,
    id: BroadcastId,
    reports: &[Report],
    now: Timestamp,
) -> sqlx::Result<()> {
    let Some(mut broadcast) = rows::broadcast(connection, id).await? else { return Ok(()) };
    record(connection, &mut broadcast, reports, now, Evidence::Concluded).await?;
    broadcast.store(connection, now).await?;
    Ok(())
}

pub async fn settle_all(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<u64> {
    follow_clock(connection, now).await?;
    let settled = settle(connection, now, Overdue::All).await?;
    if settled == 0 {
        sqlx::query(
            "UPDATE batch SET sender_id = NULL, lease_until = 0, reclaims = reclaims + 1, probation = 1 \
             WHERE sender_id IS NOT NULL",
        )
        .execute(connection)
        .await?;
    }
    Ok(settled)
}

pub async fn settle_dead(
    connection: &mut SqliteConnection,
    within: Option<BroadcastId>,
    words: &LastWords,
    now: Timestamp,
) -> sqlx::Result<()> {
    follow_clock(connection, now).await?;
    let found: Option<(i64, i64)> = sqlx::query_as("SELECT id, broadcast_id FROM sender WHERE holder = ?")
        .bind(&words.holder)
        .fetch_optional(&mut *connection)
        .await?;
    let Some((sender, broadcast_id)) = found else { return Ok(()) };
    if within.is_some_and(|within| within.0 != broadcast_id) {
        return Ok(());
    }
    let Some(mut broadcast) = rows::broadcast(connection, BroadcastId(broadcast_id)).await? else { return Ok(()) };
    record(connection, &mut broadcast, &words.outcomes, now, Evidence::Seen).await?;
    let held: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT seq, attempt FROM delivery INDEXED BY delivery_inflight \
         WHERE broadcast_id = ? AND state = 1 AND sender_id = ?",
    )
    .bind(broadcast_id)
    .bind(sender)
    .fetch_all(&mut *connection)
    .await?;
    let begun: HashSet<(i64, u32)> = words.begun.iter().copied().collect();
    let reports: Vec<Report> = held
        .into_iter()
        .map(|(seq, attempt)| {
            let never_begun = words.complete && !begun.contains(&(seq, attempt as u32));
            if never_begun {
                Report { seq, attempt: attempt as u32, outcome: Outcome::NotBegun }
            } else {
                unknown(seq, attempt as u32, "the sender ended while the request was on the wire")
            }
        })
        .collect();
    record(connection, &mut broadcast, &reports, now, Evidence::Concluded).await?;
    sqlx::query(
        "UPDATE batch SET sender_id = NULL, lease_until = 0, reclaims = reclaims + 1, probation = 1 \
         WHERE broadcast_id = ? AND sender_id = ?",
    )
    .bind(broadcast_id)
    .bind(sender)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE sender SET closed = 1 WHERE id = ?").bind(sender).execute(&mut *connection).await?;
    broadcast.store(connection, now).await?;
    Ok(())
}

/// Skips a slice of the pending recipients of one broadcast that was cancelled or has expired; returns how many.
async fn skip_ended(connection: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<u64> {
    let ended: Option<(i64,)> = sqlx::query_as(
        "SELECT id FROM broadcast INDEXED BY broadcast_open \
         WHERE pending > 0 AND plan_sealed_at IS NOT NULL AND (cancelled OR end_at <= ?1 \
         OR (first_attempt_at IS NULL AND start_by < ?1)) LIMIT 1",
    )
    .bind(now.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((id,)) = ended else { return Ok(0) };
    let Some(mut broadcast) = rows::broadcast(connection, BroadcastId(id)).await? else { return Ok(0) };
    let Some(reason) = broadcast.gate().skip_reason(now) else { return Ok(0) };
    let skipped: Vec<(i64,)> = sqlx::query_as(
        "UPDATE delivery SET state = ?2, reason = ?3, code = NULL WHERE broadcast_id = ?1 AND seq IN \
         (SELECT seq FROM delivery INDEXED BY delivery_pending WHERE broadcast_id = ?1 AND state = 0 \
          ORDER BY seq LIMIT ?4) RETURNING seq",
    )
    .bind(id)
    .bind(RecipientState::Skipped.code())
    .bind(reason.as_str())
    .bind(SLICE)
    .fetch_all(&mut *connection)
    .await?;
    count_skipped(connection, &mut broadcast, &skipped, reason, now).await?;
    broadcast.store(connection, now).await?;
    Ok(skipped.len() as u64)
}

async fn count_skipped(
    connection: &mut SqliteConnection,
    broadcast: &mut rows::BroadcastRow,
    skipped: &[(i64,)],
    reason: SkipReason,
    now: Timestamp,
) -> sqlx::Result<()> {
    let mut by_batch: BTreeMap<i64, i64> = BTreeMap::new();
    for (seq,) in skipped {
        *by_batch.entry(broadcast.batch_of(*seq)).or_default() += 1;
    }
    for (index, count) in by_batch {
        sqlx::query(
            "UPDATE batch SET pending = pending - ?3, skipped = skipped + ?3, \
             completed_at = CASE WHEN pending - ?3 + inflight = 0 THEN ?4 END, \
             sender_id = CASE WHEN pending - ?3 + inflight = 0 THEN NULL ELSE sender_id END \
             WHERE broadcast_id = ?1 AND idx = ?2",
        )
        .bind(broadcast.id)
        .bind(index)
        .bind(count)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    }
    let mut counts = broadcast.counts();
    counts.pending -= skipped.len() as i64;
    counts.skipped += skipped.len() as i64;
    broadcast.set_counts(counts);
    let mut tally = Tally::default();
    tally.change(RecipientState::Skipped, reason.as_str(), skipped.len() as i64);
    write_tally(connection, broadcast.id, &tally).await
}
