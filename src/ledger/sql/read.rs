//! What a status shows.

use sqlx::FromRow;

use super::opened;
use super::plan::sealed_plan;
use super::rows::{self, BrakeColumns, BroadcastRow, CountColumns};
use super::store::Store;
use super::value::args;
use super::{duplicate, outbox, owed};
use crate::delivery::counts::Counts;
use crate::delivery::failure_streak::Telling;
use crate::delivery::gate::Closed;
use crate::delivery::outcome::Fault;
use crate::delivery::receipt::ReceiptCounts;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::declaration::{AccountKey, Told, digest};
use crate::ledger::exchange::BroadcastId;
use crate::ledger::figures::{BatchFigures, CauseFigures, Figures, MAX_CAUSE_FIGURES};
use crate::ledger::hold;
use crate::ledger::owner::AccountSnapshot;
use crate::ledger::plan::PlanWords;
use crate::ledger::snapshot::{BatchSnapshot, BroadcastSnapshot, Failing, MAX_REASONS, MAX_TOTALS, Outcomes};

#[derive(FromRow)]
struct BatchTotals {
    total: i64,
    active: i64,
    complete: i64,
    retries: i64,
    lease_until: Option<i64>,
}

pub async fn snapshot<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<Option<BroadcastSnapshot>> {
    let now = store.now().await?;
    let Some(broadcast) = opened::read(store, id).await? else { return Ok(None) };
    let totals: BatchTotals = store
        .one(
            "SELECT count(*) AS total, count(*) FILTER (WHERE sender_id IS NOT NULL) AS active, \
             count(*) FILTER (WHERE pending + inflight = 0) AS complete, \
             CAST(coalesce(sum(retries), 0) AS BIGINT) AS retries, \
             max(lease_until) FILTER (WHERE sender_id IS NOT NULL) AS lease_until \
             FROM batch WHERE broadcast_id = $1",
            args![id.0],
        )
        .await?;
    let gate = broadcast.gate();
    let waiting = waiting(store, &broadcast, now).await?;
    let brake = broadcast.brake();
    let interval = brake.interval(broadcast.ceiling(), now).max(broadcast.lower_rate().interval());
    let counts = broadcast.counts();
    let waits = waiting.due_at.is_some_and(|due| due > now);
    let telling = Telling { now, planned: broadcast.planned, sent: counts.sent, waits, interval };
    Ok(Some(BroadcastSnapshot {
        id,
        name: broadcast.name.clone(),
        namespace: broadcast.namespace.clone(),
        idempotency_key: broadcast.idempotency_key.clone(),
        now,
        revision: broadcast.revision.max(broadcast.loss_revision),
        told: told(&broadcast),
        gate,
        closed: gate.closed(now),
        stop_message: stop_message(store, &broadcast, gate.closed(now)).await?,
        trouble: broadcast.trouble(),
        planning: broadcast.is_being_planned(now),
        plan: sealed_plan(&broadcast),
        words: PlanWords {
            samples: rows::parsed(&broadcast.plan_samples)?,
            warnings: rows::parsed(&broadcast.plan_warnings)?,
        },
        parts: broadcast.parts(),
        rate_class: broadcast.rate_class()?,
        counts,
        receipts: ReceiptCounts::from(&broadcast.receipts),
        pace: broadcast.pace_history()?,
        latency: broadcast.latency()?,
        outcomes: outcomes(store, id, MAX_REASONS).await?,
        skipped: skipped(store, &broadcast).await?,
        batches_total: totals.total,
        batches_active: totals.active,
        batches_complete: totals.complete,
        retries: totals.retries,
        rate: broadcast.lower_rate(),
        effective_per_second: 1.0 / interval.as_secs_f64(),
        throttled_until: Some(brake.hold_until).filter(|until| *until > now),
        usage_percent: brake.usage(now),
        lease_until: totals.lease_until.map(Timestamp).filter(|until| *until > now),
        provider_slow: broadcast.provider_is_slow(now),
        failing: failing(&broadcast, gate.closed(now), &telling)?,
        due_at: waiting.due_at,
        quiet_until: waiting.quiet_until,
        first_attempt_at: broadcast.first_attempt_at.map(Timestamp),
        declared_at: Timestamp(broadcast.declared_at),
        finished_at: broadcast.finished_at.or(broadcast.plan_failed_at).map(Timestamp),
        write_backs: owed::read(store, &broadcast, now).await?,
        outbox: match broadcast.notifications {
            Some(_) => outbox::read(store, id.0, now).await?,
            None => None,
        },
    }))
}

fn told(broadcast: &BroadcastRow) -> Told {
    Told {
        generation: broadcast.generation,
        identity_hash: broadcast.identity_hash.clone(),
        account_rate: broadcast.ceiling(),
        request_timeout: broadcast.request_timeout(),
        orders: broadcast.orders.as_deref().map(digest),
    }
}

/// The provider's words, or what the ledger itself has to say of the hold it is in.
async fn stop_message<S: Store>(
    store: &mut S,
    broadcast: &BroadcastRow,
    closed: Option<Closed>,
) -> sqlx::Result<Option<String>> {
    Ok(match closed {
        Some(Closed::LedgerRegressed) => {
            Some(hold::regressed(&broadcast.gate(), broadcast.revision, broadcast.loss_revision))
        }
        Some(Closed::DuplicateSuspected) => {
            let suspicion = duplicate::suspicion(store, broadcast).await?;
            suspicion.map(|(other, likeness)| hold::duplicate(&other, likeness, broadcast.planned))
        }
        Some(Closed::FreshLedger) => Some(hold::fresh(broadcast.loss_revision)),
        _ => broadcast.account.stopped_message.clone().or_else(|| broadcast.block_message.clone()),
    })
}

/// A broadcast that may send while nothing gets through.
fn failing(broadcast: &BroadcastRow, closed: Option<Closed>, telling: &Telling) -> sqlx::Result<Option<Failing>> {
    if closed.is_some() {
        return Ok(None);
    }
    let streak = broadcast.failure_streak()?;
    Ok(streak.told(telling).map(|fault| Failing { in_a_row: streak.length, last: fault.clone() }))
}

/// What those who are pending wait for.
struct Waiting {
    due_at: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
}

/// Mostly somebody may be taken at once, and nothing more is looked up.
async fn waiting<S: Store>(store: &mut S, broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<Waiting> {
    let start = broadcast.start_at.filter(|_| broadcast.first_attempt_at.is_none());
    let at = start.map_or(now, |start| now.max(Timestamp(start)));
    let all = broadcast.zones()?;
    let zones = all.at(at, Span::ZERO);
    if store.is_anybody_due(broadcast.id, &zones.open, at).await? {
        return Ok(Waiting { due_at: Some(at), quiet_until: None });
    }
    let outlook = store.outlook(broadcast.id, &zones).await?;
    let quiet_until = zones.opens_for(&outlook).filter(|_| outlook.due.is_none());
    Ok(Waiting { due_at: zones.first_due(&outlook).map(|due| all.open_from(due)), quiet_until })
}

#[derive(FromRow)]
struct AccountRow {
    id: i64,
    rate_messages: i64,
    rate_period_seconds: i64,
    #[sqlx(flatten)]
    brake: BrakeColumns,
    stopped_message: Option<String>,
}

pub async fn account<S: Store>(store: &mut S, key: &AccountKey) -> sqlx::Result<Option<AccountSnapshot>> {
    let now = store.now().await?;
    let row: Option<AccountRow> = store
        .optional(
            // One that only has contacts knows no rate yet.
            "SELECT * FROM account WHERE namespace = $1 AND provider = $2 AND account = $3 AND host = $4 \
             AND EXISTS (SELECT 1 FROM broadcast WHERE account_id = account.id)",
            args![&key.namespace, &key.provider, &key.account, &key.host],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (verified, active): (bool, i64) = store
        .one(
            "SELECT count(*) FILTER (WHERE sent > 0) > 0, \
             count(*) FILTER (WHERE plan_sealed_at IS NOT NULL AND pending + inflight > 0 \
             AND NOT suspended AND NOT cancelled AND NOT released AND block_reason IS NULL AND loss IS NULL \
             AND duplicate_of IS NULL \
             AND (start_at IS NULL OR start_at <= $2) AND (end_at IS NULL OR end_at > $2) \
             AND (start_by IS NULL OR first_attempt_at IS NOT NULL OR start_by >= $2)) \
             FROM broadcast WHERE account_id = $1",
            args![row.id, now],
        )
        .await?;
    let brake = row.brake.brake();
    let ceiling = rows::rate(row.rate_messages, row.rate_period_seconds);
    Ok(Some(AccountSnapshot {
        ceiling,
        effective_per_second: 1.0 / brake.interval(ceiling, now).as_secs_f64(),
        throttled_until: Some(brake.hold_until).filter(|until| *until > now),
        usage_percent: brake.usage(now),
        active_broadcasts: if row.stopped_message.is_some() { 0 } else { active as u32 },
        stop_message: row.stopped_message,
        verified,
    }))
}

async fn outcomes<S: Store>(store: &mut S, id: BroadcastId, most: i64) -> sqlx::Result<Vec<Outcomes>> {
    let rows: Vec<(i64, String, String, i64)> = store
        .all(
            "SELECT state, reason, code, count FROM tally WHERE broadcast_id = $1 AND count > 0 \
             ORDER BY count DESC, reason, code, state LIMIT $2",
            args![id.0, most],
        )
        .await?;
    Ok(rows.into_iter().filter_map(named).collect())
}

/// By why, of everybody: how a broadcast ended goes by it, so it is not cut as what is shown is.
pub async fn skipped<S: Store>(store: &mut S, broadcast: &BroadcastRow) -> sqlx::Result<Vec<(SkipReason, i64)>> {
    if broadcast.counts.skipped == 0 {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, i64)> = store
        .all(
            "SELECT reason, CAST(sum(count) AS BIGINT) FROM tally WHERE broadcast_id = $1 AND state = $2 \
             GROUP BY reason ORDER BY reason",
            args![broadcast.id, RecipientState::Skipped.code()],
        )
        .await?;
    let known = |(name, count): (String, i64)| {
        SkipReason::ALL.into_iter().find(|reason| reason.as_str() == name).map(|reason| (reason, count))
    };
    Ok(rows.into_iter().filter_map(known).filter(|(_, count)| *count > 0).collect())
}

/// `None` for a broadcast that is not there.
pub async fn figures<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<Option<Figures>> {
    let Some(broadcast) = opened::read(store, id).await? else { return Ok(None) };
    Ok(Some(Figures {
        pace: broadcast.pace_history()?,
        latency: broadcast.latency()?,
        causes: outcomes(store, id, MAX_CAUSE_FIGURES).await?.into_iter().map(CauseFigures::from).collect(),
        batches: batches(store, id).await?.into_iter().map(BatchFigures::from).collect(),
    }))
}

fn named((state, reason, code, count): (i64, String, String, i64)) -> Option<Outcomes> {
    let code = Some(code).filter(|code| !code.is_empty());
    RecipientState::from_code(state).map(|state| Outcomes { state, reason, code, count })
}

/// From the counters of the broadcasts: nobody is counted by walking over recipients.
pub async fn totals<S: Store>(store: &mut S) -> sqlx::Result<Vec<Outcomes>> {
    let (pending, inflight, sent): (i64, i64, i64) = store
        .one(
            "SELECT CAST(coalesce(sum(pending), 0) AS BIGINT), CAST(coalesce(sum(inflight), 0) AS BIGINT), \
             CAST(coalesce(sum(sent), 0) AS BIGINT) FROM broadcast",
            args![],
        )
        .await?;
    let states =
        [(RecipientState::Pending, pending), (RecipientState::Inflight, inflight), (RecipientState::Sent, sent)];
    let mut totals: Vec<Outcomes> =
        states.into_iter().map(|(state, count)| Outcomes { state, reason: String::new(), code: None, count }).collect();
    let rows: Vec<(i64, String, String, i64)> = store
        .all(
            "SELECT state, reason, '' AS code, CAST(sum(count) AS BIGINT) AS total FROM tally GROUP BY state, reason \
             ORDER BY total DESC, reason, state LIMIT $1",
            args![MAX_TOTALS],
        )
        .await?;
    totals.extend(rows.into_iter().filter_map(named));
    Ok(totals)
}

#[derive(FromRow)]
struct BatchRow {
    idx: i64,
    first_seq: i64,
    last_seq: i64,
    epoch: i64,
    holder: Option<String>,
    claimed_at: Option<i64>,
    renewed_at: Option<i64>,
    #[sqlx(flatten)]
    counts: CountColumns,
    skipped_by_cancel: i64,
    retries: i64,
    requests: i64,
    latency: Option<String>,
    reclaims: i64,
    error_reason: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    error_at: Option<i64>,
    started_at: Option<i64>,
    completed_at: Option<i64>,
}

pub async fn batches<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<Vec<BatchSnapshot>> {
    let rows: Vec<BatchRow> = store
        .all(
            "SELECT batch.*, sender.display AS holder FROM batch LEFT JOIN sender ON sender.id = batch.sender_id \
             WHERE batch.broadcast_id = $1 ORDER BY idx",
            args![id.0],
        )
        .await?;
    rows.into_iter().map(BatchRow::into_snapshot).collect()
}

impl BatchRow {
    fn into_snapshot(self) -> sqlx::Result<BatchSnapshot> {
        let message = self.error_message.unwrap_or_default();
        let fault = self.error_reason.map(|reason| Fault::new(&reason, self.error_code, message));
        Ok(BatchSnapshot {
            index: self.idx,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            epoch: self.epoch,
            holder: self.holder,
            claimed_at: self.claimed_at.map(Timestamp),
            renewed_at: self.renewed_at.map(Timestamp),
            counts: Counts::from(&self.counts),
            skipped_by_cancel: self.skipped_by_cancel,
            retries: self.retries,
            requests: self.requests,
            latency: rows::stored(self.latency.as_deref())?,
            reclaims: self.reclaims,
            last_error: fault.zip(self.error_at.map(Timestamp)),
            started_at: self.started_at.map(Timestamp),
            completed_at: self.completed_at.map(Timestamp),
        })
    }
}
