//! Recording outcomes: never fenced, always committed. The counters change in the transaction that changes the rows.

use std::collections::BTreeMap;

use sqlx::{FromRow, SqliteConnection};

use super::rows::{BroadcastRow, json};
use crate::delivery::backoff::scatter;
use crate::delivery::counts::{Counts, Tally};
use crate::delivery::outcome::{Fault, Outcome};
use crate::delivery::recipient::{Circumstances, RecipientState, Settled, SkipReason, Standing, settle};
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::Report;

/// Whether an outcome says something about the provider, or was concluded by the ledger from a sender's silence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    Seen,
    Concluded,
}

/// What the outcomes of one transaction changed.
#[derive(Default)]
pub struct Recorded {
    /// Whether any outcome but `NotBegun` was told and changed a row.
    pub proof: bool,
}

#[derive(FromRow)]
struct DeliveryRow {
    seq: i64,
    state: i64,
    attempt: i64,
    tries: i64,
    setbacks: i64,
    slot: Option<i64>,
    reason: Option<String>,
}

#[derive(Default)]
struct BatchDelta {
    counts: Counts,
    retries: i64,
    proof: bool,
    error: Option<Fault>,
}

/// Records `reports`; those whose attempt is not the latest or already decided change nothing.
pub async fn record(
    connection: &mut SqliteConnection,
    broadcast: &mut BroadcastRow,
    reports: &[Report],
    now: Timestamp,
    evidence: Evidence,
) -> sqlx::Result<Recorded> {
    if reports.is_empty() {
        return Ok(Recorded::default());
    }
    let mut standing = standing(connection, broadcast.id, reports).await?;
    let mut book = Book::new(broadcast, now);
    for report in reports {
        if let Some(row) = standing.get_mut(&report.seq) {
            book.enter(broadcast, row, report, evidence);
        }
    }
    book.write(connection, broadcast).await
}

async fn standing(
    connection: &mut SqliteConnection,
    broadcast: i64,
    reports: &[Report],
) -> sqlx::Result<BTreeMap<i64, DeliveryRow>> {
    let seqs: Vec<i64> = reports.iter().map(|report| report.seq).collect();
    let rows: Vec<DeliveryRow> = sqlx::query_as(
        "SELECT seq, state, attempt, tries, setbacks, slot, reason FROM json_each(?2) AS wanted \
         CROSS JOIN delivery ON broadcast_id = ?1 AND seq = wanted.value",
    )
    .bind(broadcast)
    .bind(json(&seqs)?)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row)).collect())
}

/// Broadcast and seq of a row, and its new state, tries, not before, provider id, reason, code and setbacks, in the order in which
/// [`Book::write`] reads them.
type Change = (i64, i64, i64, u32, i64, Option<String>, Option<String>, Option<String>, u32);

/// Collects the changes of one transaction, so that each table is written once.
struct Book {
    now: Timestamp,
    ended: Option<SkipReason>,
    counts: Counts,
    rows: BTreeMap<i64, Change>,
    batches: BTreeMap<i64, BatchDelta>,
    tally: Tally,
    recorded: Recorded,
}

impl Book {
    fn new(broadcast: &BroadcastRow, now: Timestamp) -> Book {
        Book {
            now,
            ended: broadcast.gate().skip_reason(now),
            counts: broadcast.counts(),
            rows: BTreeMap::new(),
            batches: BTreeMap::new(),
            tally: Tally::default(),
            recorded: Recorded::default(),
        }
    }

    fn enter(&mut self, broadcast: &mut BroadcastRow, row: &mut DeliveryRow, report: &Report, evidence: Evidence) {
        let Some(state) = RecipientState::from_code(row.state) else { return };
        let before =
            Standing { state, attempt: row.attempt as u32, tries: row.tries as u32, setbacks: row.setbacks as u32 };
        let around = Circumstances {
            now: self.now,
            ended: self.ended,
            retry: broadcast.retry(),
            seed: scatter(broadcast.id as u64) ^ ((row.seq as u64) << 16) ^ row.attempt as u64,
        };
        let Some(after) = settle(before, report.attempt, &report.outcome, &around) else { return };
        self.count(broadcast.batch_of(row.seq), state, &after, row.reason.as_deref(), report, evidence);
        if evidence == Evidence::Seen {
            self.tell_account(broadcast, &report.outcome, Timestamp(row.slot.unwrap_or_default()));
        }
        let reason = after.fault.as_ref().map(|fault| fault.reason.clone());
        let code = after.fault.as_ref().and_then(|fault| fault.code.clone());
        row.state = after.state.code();
        row.tries = i64::from(after.tries);
        row.setbacks = i64::from(after.setbacks);
        row.reason.clone_from(&reason);
        let not_before = after.not_before.0;
        let change = (
            broadcast.id,
            row.seq,
            row.state,
            after.tries,
            not_before,
            after.provider_id,
            reason,
            code,
            after.setbacks,
        );
        self.rows.insert(row.seq, change);
    }

    fn count(
        &mut self,
        batch: i64,
        from: RecipientState,
        after: &Settled,
        old_reason: Option<&str>,
        report: &Report,
        evidence: Evidence,
    ) {
        let delta = self.batches.entry(batch).or_default();
        delta.counts.shift(from, after.state);
        self.counts.shift(from, after.state);
        if !matches!(report.outcome, Outcome::NotBegun) {
            // Silence proves nothing: only who tells an outcome has survived the message.
            delta.proof |= evidence == Evidence::Seen;
            self.recorded.proof |= evidence == Evidence::Seen;
            if after.state == RecipientState::Pending {
                delta.retries += 1;
            }
            if let Some(fault) = &after.fault {
                delta.error = Some(fault.clone());
            }
        }
        if from == RecipientState::Unknown {
            self.tally.change(from, old_reason.unwrap_or_default(), -1);
        }
        let ends = !matches!(after.state, RecipientState::Pending | RecipientState::Sent);
        if let (true, Some(fault)) = (ends, &after.fault) {
            self.tally.change(after.state, &fault.reason, 1);
        }
    }

    fn tell_account(&self, broadcast: &mut BroadcastRow, outcome: &Outcome, slot: Timestamp) {
        let mut brake = broadcast.brake();
        brake.observe(outcome, slot, self.now);
        broadcast.set_brake(&brake);
        if let Outcome::Auth { fault } = outcome {
            broadcast.account.stopped_message = Some(describe(fault));
        }
        broadcast.observe(outcome, describe);
    }

    async fn write(self, connection: &mut SqliteConnection, broadcast: &mut BroadcastRow) -> sqlx::Result<Recorded> {
        if self.rows.is_empty() {
            return Ok(self.recorded);
        }
        broadcast.set_counts(self.counts);
        let rows: Vec<Change> = self.rows.into_values().collect();
        sqlx::query(
            "UPDATE delivery SET state = new.state, tries = new.tries, not_before = new.not_before, \
             provider_id = new.provider_id, reason = new.reason, code = new.code, setbacks = new.setbacks \
             FROM (SELECT value ->> 0 AS broadcast, value ->> 1 AS seq, value ->> 2 AS state, value ->> 3 AS tries, \
                   value ->> 4 AS not_before, value ->> 5 AS provider_id, value ->> 6 AS reason, value ->> 7 AS code, value ->> 8 AS setbacks \
                   FROM json_each(?1)) AS new \
             WHERE broadcast_id = new.broadcast AND delivery.seq = new.seq",
        )
        .bind(json(&rows)?)
        .execute(&mut *connection)
        .await?;
        for (index, delta) in &self.batches {
            write_batch(connection, broadcast.id, *index, delta, self.now).await?;
        }
        write_tally(connection, broadcast.id, &self.tally).await?;
        Ok(self.recorded)
    }
}

fn describe(fault: &Fault) -> String {
    match &fault.code {
        Some(code) => format!("{} (code {code}): {}", fault.reason, fault.message),
        None => format!("{}: {}", fault.reason, fault.message),
    }
}

async fn write_batch(
    connection: &mut SqliteConnection,
    broadcast: i64,
    index: i64,
    delta: &BatchDelta,
    now: Timestamp,
) -> sqlx::Result<()> {
    let error = delta.error.as_ref();
    sqlx::query(
        "UPDATE batch SET pending = pending + ?3, inflight = inflight + ?4, sent = sent + ?5, failed = failed + ?6, \
         skipped = skipped + ?7, unknown = unknown + ?8, retries = retries + ?9, \
         probation = CASE WHEN ?10 THEN 0 ELSE probation END, \
         error_reason = coalesce(?11, error_reason), \
         error_code = CASE WHEN ?11 IS NULL THEN error_code ELSE ?12 END, \
         error_message = coalesce(?13, error_message), \
         error_at = CASE WHEN ?11 IS NULL THEN error_at ELSE ?14 END, \
         completed_at = CASE WHEN pending + ?3 + inflight + ?4 = 0 THEN coalesce(completed_at, ?14) END, \
         sender_id = CASE WHEN pending + ?3 + inflight + ?4 = 0 THEN NULL ELSE sender_id END \
         WHERE broadcast_id = ?1 AND idx = ?2",
    )
    .bind(broadcast)
    .bind(index)
    .bind(delta.counts.pending)
    .bind(delta.counts.inflight)
    .bind(delta.counts.sent)
    .bind(delta.counts.failed)
    .bind(delta.counts.skipped)
    .bind(delta.counts.unknown)
    .bind(delta.retries)
    .bind(delta.proof)
    .bind(error.map(|fault| fault.reason.clone()))
    .bind(error.and_then(|fault| fault.code.clone()))
    .bind(error.map(|fault| fault.message.clone()))
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn write_tally(connection: &mut SqliteConnection, broadcast: i64, tally: &Tally) -> sqlx::Result<()> {
    for ((state, reason), by) in &tally.0 {
        sqlx::query(
            "INSERT INTO tally (broadcast_id, state, reason, count) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET count = count + ?4",
        )
        .bind(broadcast)
        .bind(state.code())
        .bind(reason)
        .bind(by)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
