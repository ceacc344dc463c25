//! One transaction on the server.
//!
//! Every statement is a round trip, so an exchange needs few: what belongs together is one statement. Bulk goes in by
//! COPY and UNNEST.

use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, Postgres, Transaction};

use crate::api::NotificationEvent;
use crate::delivery::outcome::Fault;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::Clock;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::snapshot::MAX_CAUSES;
use crate::ledger::sql::claim::{Asking, BatchRow, BetweenParts, Claimed, Moved, Outlook, Survey, Taken, Wanted};
use crate::ledger::sql::entries::{BatchDelta, Change, DELIVERY_COLUMNS, DeliveryRow, Entries, is_barred};
use crate::ledger::sql::rows::{BroadcastRow, SenderRow, json, latency_of};
use crate::ledger::sql::saving;
use crate::ledger::sql::store::{PlanList, PlannedRow, Portable, Store};
use crate::ledger::sql::value::{Value, args};
use crate::ledger::sql::zones::ZonesNow;
use crate::provider::whatsapp::marketing::MARKETING_STOPPED_TAG;

use super::copy::copy;
use super::taking;

/// The transaction, and its instant once it has one.
pub struct PostgresStore {
    transaction: Transaction<'static, Postgres>,
    /// In place of the server's, for tests.
    clock: Option<Arc<dyn Clock>>,
    now: Option<Timestamp>,
}

impl PostgresStore {
    pub fn new(transaction: Transaction<'static, Postgres>, clock: Option<Arc<dyn Clock>>) -> PostgresStore {
        PostgresStore { transaction, clock, now: None }
    }

    /// Reads the clock anew when it is next asked for.
    pub fn forget_clock(&mut self) {
        self.now = None;
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

fn arguments(values: Vec<Value>) -> sqlx::Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Flag(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// `transaction_timestamp()` is the transaction's start; what counts is the time at which its locks were had.
const CLOCK: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS BIGINT)";

impl Store for PostgresStore {
    /// Keys never change. Whoever only refers to the row, or writes its own row a second time in one transaction, which makes
    /// the server look at what it refers to, need not wait for it: a planner would wait for the account with its broadcast
    /// locked, the wrong way round.
    const FOR_UPDATE: &'static str = " FOR NO KEY UPDATE OF broadcast";
    const CLOCK: &'static str = CLOCK;

    fn indexed_by(_: &str) -> String {
        String::new()
    }

    async fn commit(self) -> sqlx::Result<()> {
        self.transaction.commit().await
    }

    async fn now(&mut self) -> sqlx::Result<Timestamp> {
        let now = match (self.now, &self.clock) {
            (Some(now), _) => now,
            (None, Some(clock)) => clock.now(),
            (None, None) => {
                let (clock,): (i64,) = self.one(&format!("SELECT {CLOCK}"), args![]).await?;
                Timestamp(clock)
            }
        };
        self.now = Some(now);
        Ok(now)
    }

    fn clock_read(&mut self, clock: i64) {
        self.now = Some(self.clock.as_ref().map_or(Timestamp(clock), |clock| clock.now()));
    }

    async fn run(&mut self, sql: &str, values: Vec<Value>) -> sqlx::Result<u64> {
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        Ok(statement.execute(self.connection()).await?.rows_affected())
    }

    async fn all<T: Portable>(&mut self, sql: &str, values: Vec<Value>) -> sqlx::Result<Vec<T>> {
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        let rows: Vec<PgRow> = statement.fetch_all(self.connection()).await?;
        rows.iter().map(T::from_row).collect()
    }

    async fn lock_account_of(&mut self, broadcast: BroadcastId) -> sqlx::Result<Option<i64>> {
        let locked: Option<(i64,)> = self
            .optional(
                "SELECT id FROM account WHERE id = (SELECT account_id FROM broadcast WHERE id = $1) FOR NO KEY UPDATE",
                args![broadcast.0],
            )
            .await?;
        Ok(locked.map(|(account,)| account))
    }

    /// `OFFSET` keeps it a look-up for each of them: as a join, or with their names as a list, a server without figures of the table
    /// goes through all tags of the account instead.
    async fn tags(&mut self, account: i64, recipients: &[&str]) -> sqlx::Result<Vec<(String, String)>> {
        sqlx::query_as(
            "SELECT wanted.recipient, theirs.tag FROM unnest($2) AS wanted (recipient) CROSS JOIN LATERAL \
             (SELECT tag FROM tag WHERE account_id = $1 AND tag.recipient = wanted.recipient OFFSET 0) AS theirs",
        )
        .bind(account)
        .bind(recipients)
        .fetch_all(self.connection())
        .await
    }

    async fn standing(&mut self, account: i64, broadcast: i64, seqs: &[i64]) -> sqlx::Result<Vec<DeliveryRow>> {
        let statement = format!(
            "SELECT {DELIVERY_COLUMNS}, {} AS opted_out FROM delivery WHERE broadcast_id = $1 AND seq = ANY($2)",
            is_barred("$3")
        );
        sqlx::query_as(AssertSqlSafe(statement))
            .bind(broadcast)
            .bind(seqs)
            .bind(account)
            .fetch_all(self.connection())
            .await
    }

    async fn record(&mut self, entries: &Entries) -> sqlx::Result<()> {
        let Entries { broadcast, account, planned_at, tags, owed_to, now, rows, batches, tally, told } = entries;
        let row = |value: fn(&Change) -> i64| rows.iter().map(value).collect::<Vec<i64>>();
        let count = |value: fn(&BatchDelta) -> i64| batches.values().map(value).collect::<Vec<i64>>();
        let error = |value: fn(&Fault) -> Option<String>| {
            batches.values().map(|delta| delta.error.as_ref().and_then(value)).collect::<Vec<Option<String>>>()
        };
        sqlx::query(RECORD)
            .bind(broadcast)
            .bind(now.0)
            .bind(row(|row| row.seq))
            .bind(row(|row| row.state))
            .bind(row(|row| row.tries))
            .bind(row(|row| row.setbacks))
            .bind(row(|row| row.not_before))
            .bind(rows.iter().map(|row| row.resend).collect::<Vec<bool>>())
            .bind(rows.iter().map(|row| row.provider_id.clone()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.reason.clone()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.code.clone()).collect::<Vec<_>>())
            .bind(row(|row| row.parts_done))
            .bind(batches.keys().copied().collect::<Vec<i64>>())
            .bind(count(|delta| delta.counts.pending))
            .bind(count(|delta| delta.counts.inflight))
            .bind(count(|delta| delta.counts.sent))
            .bind(count(|delta| delta.counts.failed))
            .bind(count(|delta| delta.counts.skipped))
            .bind(count(|delta| delta.counts.unknown))
            .bind(count(|delta| delta.retries))
            .bind(batches.values().map(|delta| delta.proof).collect::<Vec<bool>>())
            .bind(error(|fault| Some(fault.reason.clone())))
            .bind(error(|fault| fault.code.clone()))
            .bind(error(|fault| Some(fault.message.clone())))
            .bind(tally.0.keys().map(|(state, ..)| state.code()).collect::<Vec<i64>>())
            .bind(tally.0.keys().map(|(_, reason, _)| reason.clone()).collect::<Vec<_>>())
            .bind(tally.0.keys().map(|(.., code)| code.clone().unwrap_or_default()).collect::<Vec<_>>())
            .bind(tally.0.values().copied().collect::<Vec<i64>>())
            .bind(MAX_CAUSES)
            .bind(account)
            .bind(planned_at)
            .bind(tags)
            .bind(rows.iter().map(|row| row.opted_out.clone()).collect::<Vec<_>>())
            .bind(told)
            .bind(NotificationEvent::BatchCompleted.as_str())
            .bind(count(|delta| delta.requests))
            .bind(batches.values().map(|delta| latency_of(&delta.latency)).collect::<sqlx::Result<Vec<_>>>()?)
            .bind(owed_to)
            .bind(count(|delta| delta.cancelled))
            .bind(rows.iter().map(|row| row.marketing_stopped).collect::<Vec<bool>>())
            .bind(MARKETING_STOPPED_TAG)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    async fn survey(&mut self, asking: &Asking, between_parts: Option<BetweenParts<'_>>) -> sqlx::Result<Survey> {
        taking::survey(self.connection(), asking, between_parts).await
    }

    async fn take(&mut self, asking: &Asking, batch: &BatchRow, wanted: Wanted<'_>) -> sqlx::Result<Vec<Taken>> {
        taking::take(self.connection(), asking, batch, wanted).await
    }

    async fn move_slots(&mut self, broadcast: i64, moved: &[Moved]) -> sqlx::Result<()> {
        let column = |value: fn(&Moved) -> i64| moved.iter().map(value).collect::<Vec<i64>>();
        sqlx::query(
            "UPDATE delivery SET slot = new.slot, start_by = new.start_by, deadline = new.deadline \
             FROM UNNEST($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS new (seq, slot, start_by, deadline) \
             WHERE delivery.broadcast_id = $1 AND delivery.seq = new.seq",
        )
        .bind(broadcast)
        .bind(column(|row| row.seq))
        .bind(column(|row| row.slot))
        .bind(column(|row| row.start_by))
        .bind(column(|row| row.deadline))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn claim(&mut self, asking: &Asking, back: Option<i64>, wanted: Wanted<'_>) -> sqlx::Result<Claimed> {
        taking::claim(self.connection(), asking, back, wanted).await
    }

    async fn is_anybody_due(&mut self, broadcast: i64, zones: &[i64], by: Timestamp) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM UNNEST($2::bigint[]) AS zones (zone) CROSS JOIN LATERAL ( \
                 SELECT not_before FROM delivery WHERE broadcast_id = $1 AND state = 0 AND not_before >= 0 \
                 AND delivery.zone = zones.zone ORDER BY not_before LIMIT 1) AS first WHERE not_before <= $3)",
        )
        .bind(broadcast)
        .bind(zones)
        .bind(by.0)
        .fetch_one(self.connection())
        .await
    }

    async fn outlook(&mut self, broadcast: i64, zones: &ZonesNow) -> sqlx::Result<Outlook> {
        taking::outlook(self.connection(), broadcast, zones).await
    }

    async fn save(&mut self, broadcast: &BroadcastRow, sender: Option<&SenderRow>, now: Timestamp) -> sqlx::Result<()> {
        let columns = [
            saving::of_broadcast(broadcast),
            saving::of_account(broadcast),
            saving::of_sender(sender),
            args![json(&broadcast.news)?, now],
        ];
        self.run(SAVE, columns.concat()).await?;
        Ok(())
    }

    async fn tell(&mut self, broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<()> {
        self.run(TELL, saving::of_news(broadcast, now)?).await?;
        Ok(())
    }

    /// Looked up first: the server would log the row that breaks its index, with the recipient. Only who holds the lock of the
    /// broadcast writes its plan.
    async fn append(&mut self, broadcast: i64, rows: &[PlannedRow<'_>]) -> sqlx::Result<bool> {
        let recipients: Vec<&str> = rows.iter().map(|row| row.recipient).collect();
        if !self.planned_among(broadcast, &recipients).await?.is_empty() {
            return Ok(false);
        }
        copy(self.connection(), broadcast, rows).await?;
        Ok(true)
    }

    async fn planned_among(&mut self, broadcast: i64, recipients: &[&str]) -> sqlx::Result<Vec<i64>> {
        self.places(
            "SELECT place - 1 FROM UNNEST($2::text[]) WITH ORDINALITY AS wanted (name, place) \
             WHERE EXISTS (SELECT 1 FROM delivery WHERE broadcast_id = $1 AND recipient = name)",
            broadcast,
            recipients,
        )
        .await
    }

    async fn listed_among(&mut self, list: PlanList, broadcast: i64, recipients: &[&str]) -> sqlx::Result<Vec<i64>> {
        let statement = match list {
            PlanList::Excluded => {
                "SELECT place - 1 FROM UNNEST($2::text[]) WITH ORDINALITY AS wanted (name, place) \
                 WHERE EXISTS (SELECT 1 FROM exclusion WHERE broadcast_id = $1 AND recipient = name)"
            }
            PlanList::Suppressed => {
                "SELECT place - 1 FROM UNNEST($2::text[]) WITH ORDINALITY AS wanted (name, place) \
                 WHERE EXISTS (SELECT 1 FROM suppression WHERE broadcast_id = $1 AND recipient = name)"
            }
        };
        self.places(statement, broadcast, recipients).await
    }

    async fn enlist(&mut self, list: PlanList, broadcast: i64, recipients: &[String]) -> sqlx::Result<()> {
        let statement = match list {
            PlanList::Excluded => {
                "INSERT INTO exclusion (broadcast_id, recipient) \
                 SELECT $1, name FROM UNNEST($2::text[]) AS wanted (name) ON CONFLICT DO NOTHING"
            }
            PlanList::Suppressed => {
                "INSERT INTO suppression (broadcast_id, recipient) \
                 SELECT $1, name FROM UNNEST($2::text[]) AS wanted (name) ON CONFLICT DO NOTHING"
            }
        };
        sqlx::query(statement).bind(broadcast).bind(recipients).execute(self.connection()).await?;
        Ok(())
    }

    async fn cut_batches(&mut self, broadcast: i64, batches: &[(i64, i64, i64)]) -> sqlx::Result<()> {
        let column = |value: fn(&(i64, i64, i64)) -> i64| batches.iter().map(value).collect::<Vec<i64>>();
        sqlx::query(
            "INSERT INTO batch (broadcast_id, idx, first_seq, last_seq, pending) \
             SELECT $1, idx, first_seq, last_seq, last_seq - first_seq + 1 \
             FROM UNNEST($2::bigint[], $3::bigint[], $4::bigint[]) AS cut (idx, first_seq, last_seq)",
        )
        .bind(broadcast)
        .bind(column(|batch| batch.0))
        .bind(column(|batch| batch.1))
        .bind(column(|batch| batch.2))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl PostgresStore {
    async fn places(&mut self, statement: &'static str, broadcast: i64, recipients: &[&str]) -> sqlx::Result<Vec<i64>> {
        sqlx::query_scalar(statement).bind(broadcast).bind(recipients).fetch_all(self.connection()).await
    }
}

const RECORD: &str = include_str!("record.sql");
const SAVE: &str = include_str!("save.sql");
const TELL: &str = include_str!("tell.sql");
