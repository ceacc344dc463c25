//! One transaction on the file.
//!
//! Statements that look for recipients by state name their index: without statistics SQLite prefers the primary key, and
//! would walk over the whole batch or broadcast in every exchange.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, QueryBuilder, Sqlite, SqliteConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::delivery::pacing::Rival;
use crate::delivery::time::Timestamp;
use crate::ledger::clock::Clock;
use crate::ledger::exchange::{BroadcastId, LEASE};
use crate::ledger::sql::claim::{Asking, BatchRow, BetweenParts, Claimed, Moved, Outlook, Survey, Taken, Wanted};
use crate::ledger::sql::entries::{DELIVERY_COLUMNS, DeliveryRow, Entries, has_opted_out, is_barred};
use crate::ledger::sql::rows::{BroadcastRow, SenderRow, json};
use crate::ledger::sql::saving;
use crate::ledger::sql::store::{PlanList, PlannedRow, Portable, Store};
use crate::ledger::sql::value::{Value, args};
use crate::ledger::sql::zones::ZonesNow;

/// The one connection, and whether a transaction on it was begun and not committed.
pub struct Writer {
    connection: SqliteConnection,
    begun: bool,
}

impl Writer {
    pub async fn connect(options: &SqliteConnectOptions) -> sqlx::Result<Writer> {
        Ok(Writer { connection: options.connect().await?, begun: false })
    }

    /// The connection, with nothing under way.
    pub async fn idle(&mut self) -> &mut SqliteConnection {
        if self.begun {
            // A call that was given up has left it. Its commit may have come to an end all the same: then there is nothing to
            // roll back, and that is the error.
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
            self.begun = false;
        }
        &mut self.connection
    }
}

/// The transaction, and the one instant at which it happens. One that is dropped is rolled back before the next begins.
pub struct SqliteStore {
    writer: OwnedMutexGuard<Writer>,
    clock: Arc<dyn Clock>,
    now: Option<Timestamp>,
}

impl SqliteStore {
    /// Waits for its turn: there is one writer.
    pub async fn begin(writer: &Arc<Mutex<Writer>>, clock: Arc<dyn Clock>) -> sqlx::Result<SqliteStore> {
        let mut writer = writer.clone().lock_owned().await;
        writer.idle().await;
        // First of all: a call that is given up while the statement runs has begun all the same.
        writer.begun = true;
        sqlx::query("BEGIN").execute(&mut writer.connection).await?;
        Ok(SqliteStore { writer, clock, now: None })
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.writer.connection
    }
}

fn arguments(values: Vec<Value>) -> sqlx::Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
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

impl Store for SqliteStore {
    const FOR_UPDATE: &'static str = "";
    const CLOCK: &'static str = "0";

    fn indexed_by(index: &str) -> String {
        format!(" INDEXED BY {index}")
    }

    async fn commit(mut self) -> sqlx::Result<()> {
        sqlx::query("COMMIT").execute(self.connection()).await?;
        self.writer.begun = false;
        Ok(())
    }

    async fn now(&mut self) -> sqlx::Result<Timestamp> {
        Ok(*self.now.get_or_insert_with(|| self.clock.now()))
    }

    fn clock_read(&mut self, _: i64) {}

    async fn run(&mut self, sql: &str, values: Vec<Value>) -> sqlx::Result<u64> {
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        Ok(statement.execute(self.connection()).await?.rows_affected())
    }

    async fn all<T: Portable>(&mut self, sql: &str, values: Vec<Value>) -> sqlx::Result<Vec<T>> {
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?);
        let rows: Vec<SqliteRow> = statement.fetch_all(self.connection()).await?;
        rows.iter().map(T::from_row).collect()
    }

    /// There is one writer: it has everything to itself.
    async fn lock_account_of(&mut self, _: BroadcastId) -> sqlx::Result<Option<i64>> {
        Ok(None)
    }

    async fn tags(&mut self, account: i64, recipients: &[&str]) -> sqlx::Result<Vec<(String, String)>> {
        self.all(
            "SELECT recipient, tag FROM json_each($2) AS wanted CROSS JOIN tag INDEXED BY tag_recipient \
             ON account_id = $1 AND recipient = wanted.value",
            args![account, json(recipients)?],
        )
        .await
    }

    async fn standing(&mut self, account: i64, broadcast: i64, seqs: &[i64]) -> sqlx::Result<Vec<DeliveryRow>> {
        let statement = format!(
            "SELECT {DELIVERY_COLUMNS}, {} AS opted_out \
             FROM json_each($2) AS wanted CROSS JOIN delivery ON broadcast_id = $1 AND seq = wanted.value",
            is_barred("$3")
        );
        self.all(&statement, args![broadcast, json(seqs)?, account]).await
    }

    async fn record(&mut self, entries: &Entries) -> sqlx::Result<()> {
        if !entries.rows.is_empty() {
            self.change(entries.broadcast, &entries.rows).await?;
            self.meet(entries).await?;
            self.owe(entries).await?;
        }
        for (index, delta) in &entries.batches {
            self.change_batch(entries.broadcast, *index, delta, entries.now).await?;
        }
        if !entries.told.is_empty() {
            self.tell_of_batches(entries).await?;
        }
        self.count(entries.broadcast, &entries.tally).await
    }

    async fn survey(&mut self, asking: &Asking, between_parts: Option<BetweenParts<'_>>) -> sqlx::Result<Survey> {
        self.run(
            "UPDATE batch SET lease_until = $3, renewed_at = $4 WHERE broadcast_id = $1 AND sender_id = $2",
            args![asking.broadcast, asking.sender, asking.now + LEASE, asking.now],
        )
        .await?;
        let held: Option<BatchRow> = self
            .optional(
                "SELECT idx, first_seq, last_seq, epoch, probation FROM batch \
                 WHERE broadcast_id = $1 AND sender_id = $2 ORDER BY idx LIMIT 1",
                args![asking.broadcast, asking.sender],
            )
            .await?;
        let (others,): (i64,) = self
            .one(
                "SELECT count(DISTINCT sender_id) FROM batch \
                 WHERE broadcast_id = $1 AND sender_id <> $2 AND lease_until > $3",
                args![asking.broadcast, asking.sender, asking.now],
            )
            .await?;
        let running = match &held {
            _ if !asking.proven => self.running(asking, 0, i64::MAX).await?,
            Some(batch) if batch.probation => self.running(asking, batch.first_seq, batch.last_seq).await?,
            _ => 0,
        };
        let part_waits = match (&held, between_parts) {
            (Some(batch), Some(between)) => self.does_a_part_wait(asking, batch.idx, between.zones).await?,
            _ => false,
        };
        let last_slot = if asking.braked { self.last_slot(asking).await? } else { None };
        let notifications = asking.notifies && self.has_news(asking).await?;
        let rivals = self.rivals(asking).await?;
        let class_rivals = if asking.classes { self.class_rivals(asking).await? } else { Vec::new() };
        let class_waiting = match between_parts.filter(|between| !between.class.is_empty()) {
            Some(between) => self.class_waiting(asking, between).await?,
            None => 0,
        };
        Ok(Survey { held, running, part_waits, others, rivals, class_rivals, class_waiting, last_slot, notifications })
    }

    async fn take(&mut self, asking: &Asking, batch: &BatchRow, wanted: Wanted<'_>) -> sqlx::Result<Vec<Taken>> {
        self.take_from(asking, batch, wanted).await
    }

    async fn move_slots(&mut self, broadcast: i64, moved: &[Moved]) -> sqlx::Result<()> {
        for row in moved {
            self.run(
                "UPDATE delivery SET slot = $3, start_by = $4, deadline = $5 WHERE broadcast_id = $1 AND seq = $2",
                args![broadcast, row.seq, row.slot, row.start_by, row.deadline],
            )
            .await?;
        }
        Ok(())
    }

    async fn claim(&mut self, asking: &Asking, back: Option<i64>, wanted: Wanted<'_>) -> sqlx::Result<Claimed> {
        self.claim_in_turn(asking, back, wanted).await
    }

    async fn is_anybody_due(&mut self, broadcast: i64, zones: &[i64], by: Timestamp) -> sqlx::Result<bool> {
        let (due,): (bool,) = self
            .one(
                "SELECT EXISTS (SELECT 1 FROM json_each($2) AS zones CROSS JOIN delivery INDEXED BY delivery_due \
                 WHERE broadcast_id = $1 AND state = 0 AND zone = zones.value AND not_before <= $3)",
                args![broadcast, json(zones)?, by],
            )
            .await?;
        Ok(due)
    }

    async fn outlook(&mut self, broadcast: i64, zones: &ZonesNow) -> sqlx::Result<Outlook> {
        self.who_is_left(broadcast, zones).await
    }

    async fn save(&mut self, broadcast: &BroadcastRow, sender: Option<&SenderRow>, now: Timestamp) -> sqlx::Result<()> {
        self.run(SAVE_BROADCAST, saving::of_broadcast(broadcast)).await?;
        self.run(SAVE_ACCOUNT, saving::of_account(broadcast)).await?;
        if sender.is_some() {
            self.run(SAVE_SENDER, saving::of_sender(sender)).await?;
        }
        if broadcast.news.is_empty() { Ok(()) } else { self.tell(broadcast, now).await }
    }

    async fn tell(&mut self, broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<()> {
        self.run(TELL, saving::of_news(broadcast, now)?).await?;
        Ok(())
    }

    /// Rows that are in the plan already are found by the unique index as they are written; a statement that fails
    /// changes nothing.
    async fn append(&mut self, broadcast: i64, rows: &[PlannedRow<'_>]) -> sqlx::Result<bool> {
        let mut builder = QueryBuilder::<Sqlite>::new(
            "INSERT INTO delivery (broadcast_id, seq, zone, recipient, vars, state, reason, active_at) ",
        );
        builder.push_values(rows, |mut values, row| {
            let (state, reason) = row.state();
            values.push_bind(broadcast).push_bind(row.seq).push_bind(row.zone);
            values.push_bind(row.recipient).push_bind(row.vars.as_str());
            values.push_bind(state).push_bind(reason).push_bind(row.active_at);
        });
        match builder.build().execute(self.connection()).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn planned_among(&mut self, broadcast: i64, recipients: &[&str]) -> sqlx::Result<Vec<i64>> {
        self.places(
            "SELECT key FROM json_each($2) \
             WHERE EXISTS (SELECT 1 FROM delivery WHERE broadcast_id = $1 AND recipient = value)",
            broadcast,
            recipients,
        )
        .await
    }

    async fn listed_among(&mut self, list: PlanList, broadcast: i64, recipients: &[&str]) -> sqlx::Result<Vec<i64>> {
        let statement = format!(
            "SELECT key FROM json_each($2) \
             WHERE EXISTS (SELECT 1 FROM {} WHERE broadcast_id = $1 AND recipient = value)",
            list.table()
        );
        self.places(&statement, broadcast, recipients).await
    }

    async fn enlist(&mut self, list: PlanList, broadcast: i64, recipients: &[String]) -> sqlx::Result<()> {
        let statement = format!(
            "INSERT OR IGNORE INTO {} (broadcast_id, recipient) SELECT $1, value FROM json_each($2)",
            list.table()
        );
        self.run(&statement, args![broadcast, json(recipients)?]).await?;
        Ok(())
    }

    async fn cut_batches(&mut self, broadcast: i64, batches: &[(i64, i64, i64)]) -> sqlx::Result<()> {
        self.run(
            "INSERT INTO batch (broadcast_id, idx, first_seq, last_seq, pending) \
             SELECT $1, value ->> 0, value ->> 1, value ->> 2, (value ->> 2) - (value ->> 1) + 1 FROM json_each($2)",
            args![broadcast, json(batches)?],
        )
        .await?;
        Ok(())
    }
}

impl SqliteStore {
    async fn last_slot(&mut self, asking: &Asking) -> sqlx::Result<Option<Timestamp>> {
        let (last,): (Option<i64>,) = self
            .one(
                "SELECT max(slot) FROM broadcast CROSS JOIN delivery INDEXED BY delivery_inflight \
                 ON delivery.broadcast_id = broadcast.id AND delivery.state = 1 \
                 WHERE broadcast.account_id = $1 AND broadcast.inflight > 0",
                args![asking.account],
            )
            .await?;
        Ok(last.map(Timestamp))
    }

    async fn does_a_part_wait(&mut self, asking: &Asking, before: i64, zones: &[i64]) -> sqlx::Result<bool> {
        let statement = format!(
            "SELECT EXISTS (SELECT 1 FROM batch WHERE broadcast_id = $1 AND idx < $2 AND pending > 0 \
             AND sender_id IS NULL AND NOT probation \
             AND EXISTS (SELECT 1 FROM json_each($3) AS zones CROSS JOIN delivery INDEXED BY delivery_between_parts \
                         WHERE delivery.broadcast_id = $1 AND state = 0 AND parts_done > 0 AND zone = zones.value \
                         AND seq BETWEEN batch.first_seq AND batch.last_seq AND not_before <= $4 \
                         AND (active_at IS NULL OR active_at > $6) AND NOT {}))",
            has_opted_out("$5")
        );
        let inactive_since = asking.inactive_since_now();
        let arguments = args![asking.broadcast, before, json(zones)?, asking.now, asking.account, inactive_since];
        let (waits,): (bool,) = self.one(&statement, arguments).await?;
        Ok(waits)
    }

    async fn rivals(&mut self, asking: &Asking) -> sqlx::Result<Vec<Rival>> {
        let found: Vec<(i64, f64)> = self
            .all(
                "SELECT flow_weight, flow_virtual_time FROM broadcast \
                 WHERE account_id = $1 AND id <> $2 AND flow_hungry_until > $3",
                args![asking.account, asking.broadcast, asking.now],
            )
            .await?;
        Ok(found.into_iter().map(|(weight, virtual_time)| Rival { weight: weight as u32, virtual_time }).collect())
    }

    async fn class_rivals(&mut self, asking: &Asking) -> sqlx::Result<Vec<Rival>> {
        let found: Vec<(i64, f64)> = self
            .all(
                "SELECT flow_weight, class_flow_virtual_time FROM broadcast INDEXED BY broadcast_class \
                 WHERE account_id = $1 AND id <> $2 AND class_hungry_until > $3 AND class_parts IS NOT NULL",
                args![asking.account, asking.broadcast, asking.now],
            )
            .await?;
        Ok(found.into_iter().map(|(weight, virtual_time)| Rival { weight: weight as u32, virtual_time }).collect())
    }

    async fn class_waiting(&mut self, asking: &Asking, between: BetweenParts<'_>) -> sqlx::Result<i64> {
        let (waiting,): (i64,) = self
            .one(
                "SELECT count(*) FROM (SELECT 1 FROM json_each($2) AS zones CROSS JOIN delivery \
                 INDEXED BY delivery_between_parts WHERE broadcast_id = $1 AND state = 0 AND parts_done > 0 \
                 AND zone = zones.value AND not_before <= $3 AND parts_done IN (SELECT value FROM json_each($4)) LIMIT $5)",
                args![asking.broadcast, json(between.zones)?, asking.now, json(between.class)?, between.most],
            )
            .await?;
        Ok(waiting)
    }

    async fn places(&mut self, statement: &str, broadcast: i64, recipients: &[&str]) -> sqlx::Result<Vec<i64>> {
        let found: Vec<(i64,)> = self.all(statement, args![broadcast, json(recipients)?]).await?;
        Ok(found.into_iter().map(|(place,)| place).collect())
    }
}

const SAVE_BROADCAST: &str = "UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, \
    unknown = $7, first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11, block_generation = \
    CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refusals = $12, \
    held_up_at = $13, trouble_reason = $14, flow_virtual_time = $15, flow_hungry_until = $16, \
    own_next_slot = $17, revision = $18, failed_fault = $19, failed_in_a_row = $20, failed_at = $21, notified = $22, \
    pace = coalesce($23, pace), latency = coalesce($24, latency), class_flow_virtual_time = $25, \
    class_hungry_until = $26 WHERE id = $1";
/// `$1` broadcast, `$2` now, `$3` what it tells, `$4` to `$9` its counts.
const TELL: &str = "INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, reason, message, pending, \
    inflight, sent, failed, skipped, unknown) SELECT $1, value ->> 'event', value ->> 'occurrence', \
    value ->> 'endpoint', $2, value ->> 'reason', value ->> 'message', $4, $5, $6, $7, $8, $9 \
    FROM json_each($3) WHERE TRUE ON CONFLICT DO NOTHING";
const SAVE_ACCOUNT: &str = "UPDATE account SET next_slot = $2, virtual_time = $3, seen_at = $4, stopped_message = $5, \
    brake_factor = $6, brake_since = $7, brake_hold_until = $8, brake_lowered_at = $9, brake_recent = $10, \
    brake_footing = $11, brake_usage_percent = $12, brake_usage_at = $13, class_next_slot = $14, \
    class_virtual_time = $15 WHERE id = $1";
const SAVE_SENDER: &str = "UPDATE sender SET last_number = $2, proven = $3, closed = $4 WHERE id = $1";
