//! Writing down what outcomes change.

use super::store::SqliteStore;
use crate::api::NotificationEvent;
use crate::delivery::counts::Tally;
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::ledger::snapshot::MAX_CAUSES;
use crate::ledger::sql::claim::Asking;
use crate::ledger::sql::entries::{BatchDelta, Change, Entries};
use crate::ledger::sql::posting;
use crate::ledger::sql::rows::{json, latency_of};
use crate::ledger::sql::store::Store;
use crate::ledger::sql::value::args;
use crate::provider::whatsapp::marketing::MARKETING_STOPPED_TAG;

impl SqliteStore {
    pub async fn change(&mut self, broadcast: i64, rows: &[Change]) -> sqlx::Result<()> {
        // The broadcast's number is part of each row: as a parameter it would let SQLite walk over the broadcast instead.
        let row = |row: &Change| {
            let Change {
                seq, state, tries, setbacks, parts_done, not_before, resend, provider_id, reason, code, ..
            } = row.clone();
            (broadcast, seq, state, tries, setbacks, not_before, resend, provider_id, reason, code, parts_done)
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        self.run(
            "UPDATE delivery SET state = new.state, tries = new.tries, setbacks = new.setbacks, \
             not_before = new.not_before, resend = new.resend, \
             provider_id = coalesce(new.provider_id, delivery.provider_id), reason = new.reason, code = new.code, \
             parts_done = new.parts_done \
             FROM (SELECT value ->> 0 AS broadcast, value ->> 1 AS seq, value ->> 2 AS state, value ->> 3 AS tries, \
                   value ->> 4 AS setbacks, value ->> 5 AS not_before, value ->> 6 AS resend, \
                   value ->> 7 AS provider_id, value ->> 8 AS reason, value ->> 9 AS code, \
                   value ->> 10 AS parts_done FROM json_each($1)) AS new \
             WHERE broadcast_id = new.broadcast AND delivery.seq = new.seq",
            args![json(&rows)?],
        )
        .await?;
        Ok(())
    }

    /// Whoever is sent, has opted out or stopped marketing, becomes a contact.
    pub async fn meet(&mut self, entries: &Entries) -> sqlx::Result<()> {
        let sent = RecipientState::Sent.code();
        let is_met = |row: &&Change| row.state == sent || row.opted_out.is_some() || row.marketing_stopped;
        let met = entries.rows.iter().filter(is_met);
        let met: Vec<(i64, &Option<String>)> = met.map(|row| (row.seq, &row.opted_out)).collect();
        if met.is_empty() {
            return Ok(());
        }
        self.run(
            "INSERT INTO contact AS known (account_id, recipient, vars, vars_at, met_at, active_at, opted_out_at, \
                 opted_out_reason, unswept) \
             SELECT $1, recipient, vars, $4, $5, active_at, CASE WHEN met.value ->> 1 IS NOT NULL THEN $5 END, \
                 met.value ->> 1, met.value ->> 1 IS NOT NULL \
             FROM json_each($3) AS met CROSS JOIN delivery ON broadcast_id = $2 AND seq = met.value ->> 0 WHERE TRUE \
             ON CONFLICT (account_id, recipient) DO UPDATE SET \
                 vars = CASE WHEN excluded.vars_at < known.vars_at OR excluded.vars = '{}' THEN known.vars \
                     ELSE excluded.vars END, \
                 vars_at = CASE WHEN excluded.vars = '{}' THEN known.vars_at \
                     ELSE max(known.vars_at, excluded.vars_at) END, \
                 active_at = CASE WHEN known.active_at IS NULL OR excluded.active_at > known.active_at \
                     THEN excluded.active_at ELSE known.active_at END, \
                 opted_out_at = coalesce(known.opted_out_at, excluded.opted_out_at), \
                 opted_out_reason = CASE WHEN known.opted_out_at IS NULL THEN excluded.opted_out_reason \
                     ELSE known.opted_out_reason END, \
                 unswept = known.unswept OR (known.opted_out_at IS NULL AND excluded.unswept)",
            args![entries.account, entries.broadcast, json(&met)?, entries.planned_at, entries.now],
        )
        .await?;
        let seqs = |which: &dyn Fn(&Change) -> bool| -> Vec<i64> {
            entries.rows.iter().filter(|row| which(row)).map(|row| row.seq).collect()
        };
        self.mark(entries, &seqs(&|row| row.state == sent), &entries.tags).await?;
        self.mark(entries, &seqs(&|row| row.marketing_stopped), &[MARKETING_STOPPED_TAG.to_owned()]).await
    }

    async fn mark(&mut self, entries: &Entries, seqs: &[i64], tags: &[String]) -> sqlx::Result<()> {
        if seqs.is_empty() || tags.is_empty() {
            return Ok(());
        }
        self.run(
            "INSERT OR IGNORE INTO tag (account_id, recipient, tag) SELECT $1, recipient, tags.value \
             FROM json_each($3) AS marked CROSS JOIN delivery ON broadcast_id = $2 AND seq = marked.value \
             CROSS JOIN json_each($4) AS tags",
            args![entries.account, entries.broadcast, json(seqs)?, json(tags)?],
        )
        .await?;
        Ok(())
    }

    /// Whoever is sent is owed to the targets of the broadcast.
    pub async fn owe(&mut self, entries: &Entries) -> sqlx::Result<()> {
        let state = RecipientState::Sent.code();
        let sent: Vec<i64> = entries.rows.iter().filter(|row| row.state == state).map(|row| row.seq).collect();
        if sent.is_empty() {
            return Ok(());
        }
        for target in &entries.owed_to {
            let owed = self
                .run(
                    "INSERT INTO owed (broadcast_id, target, seq) SELECT $1, $2, value FROM json_each($3) WHERE TRUE \
                     ON CONFLICT DO NOTHING",
                    args![entries.broadcast, *target, json(&sent)?],
                )
                .await?;
            if owed == 0 {
                continue;
            }
            // One that was given up is tried once more, for those whom it did not take as well.
            self.run(
                "UPDATE write_back SET owed = owed + $3, moved_at = $4, given_up = FALSE, \
                 attempts = CASE WHEN given_up THEN 0 ELSE attempts END, \
                 not_before = CASE WHEN given_up THEN 0 ELSE not_before END WHERE broadcast_id = $1 AND target = $2",
                args![entries.broadcast, *target, owed as i64, entries.now],
            )
            .await?;
        }
        Ok(())
    }

    pub async fn change_batch(
        &mut self,
        broadcast: i64,
        index: i64,
        delta: &BatchDelta,
        now: Timestamp,
    ) -> sqlx::Result<()> {
        let BatchDelta { counts, cancelled, retries, requests, latency, proof, error } = delta;
        // Two lists of counts, of which either may be longer, are added place by place.
        self.run(
            "UPDATE batch SET pending = pending + $3, inflight = inflight + $4, sent = sent + $5, \
             failed = failed + $6, skipped = skipped + $7, unknown = unknown + $8, retries = retries + $9, \
             requests = requests + $15, skipped_by_cancel = skipped_by_cancel + $17, \
             latency = CASE WHEN $16 IS NULL THEN latency ELSE ( \
                 SELECT json_group_array(count) FROM ( \
                     SELECT sum(value) AS count FROM ( \
                         SELECT key, value FROM json_each(coalesce(latency, '[]')) \
                         UNION ALL SELECT key, value FROM json_each($16)) \
                     GROUP BY key ORDER BY key)) END, \
             probation = CASE WHEN $10 THEN FALSE ELSE probation END, \
             error_reason = coalesce($11, error_reason), \
             error_code = CASE WHEN $11 IS NULL THEN error_code ELSE $12 END, \
             error_message = coalesce($13, error_message), \
             error_at = CASE WHEN $11 IS NULL THEN error_at ELSE $14 END, \
             completed_at = CASE WHEN pending + $3 + inflight + $4 = 0 THEN coalesce(completed_at, $14) END, \
             sender_id = CASE WHEN pending + $3 + inflight + $4 = 0 THEN NULL ELSE sender_id END \
             WHERE broadcast_id = $1 AND idx = $2",
            args![
                broadcast,
                index,
                counts.pending,
                counts.inflight,
                counts.sent,
                counts.failed,
                counts.skipped,
                counts.unknown,
                *retries,
                *proof,
                error.as_ref().map(|fault| fault.reason.clone()),
                error.as_ref().and_then(|fault| fault.code.clone()),
                error.as_ref().map(|fault| fault.message.clone()),
                now,
                *requests,
                latency_of(latency)?,
                *cancelled
            ],
        )
        .await?;
        Ok(())
    }

    /// Of the batches that were completed just now.
    pub async fn tell_of_batches(&mut self, entries: &Entries) -> sqlx::Result<()> {
        let indexes: Vec<i64> = entries.batches.keys().copied().collect();
        self.run(
            "INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, pending, inflight, sent, failed, skipped, \
             unknown) SELECT broadcast_id, $5, idx, endpoints.value, $2, pending, inflight, sent, failed, skipped, unknown \
             FROM json_each($3) AS indexes CROSS JOIN batch ON broadcast_id = $1 AND idx = indexes.value \
             CROSS JOIN json_each($4) AS endpoints WHERE completed_at = $2 ON CONFLICT DO NOTHING",
            args![
                entries.broadcast,
                entries.now,
                json(&indexes)?,
                json(&entries.told)?,
                NotificationEvent::BatchCompleted.as_str()
            ],
        )
        .await?;
        Ok(())
    }

    /// Whether there are events that nobody is at.
    pub async fn has_news(&mut self, asking: &Asking) -> sqlx::Result<bool> {
        let (latest_wait, latest_lease) = posting::latest(asking.now);
        let statement = format!("SELECT EXISTS (SELECT 1 FROM outbox WHERE {})", posting::DUE);
        let (any,): (bool,) =
            self.one(&statement, args![asking.broadcast, asking.now, latest_wait, latest_lease]).await?;
        Ok(any)
    }

    pub async fn count(&mut self, broadcast: i64, tally: &Tally) -> sqlx::Result<()> {
        for ((state, reason, code), by) in &tally.0 {
            self.run(
                "INSERT INTO tally (broadcast_id, state, reason, code, count) \
                 VALUES ($1, $2, $3, CASE WHEN $4 = '' OR (SELECT count(*) FROM tally WHERE broadcast_id = $1) < $6 \
                 OR EXISTS (SELECT 1 FROM tally WHERE broadcast_id = $1 AND state = $2 AND reason = $3 AND code = $4) \
                 THEN $4 ELSE '' END, $5) ON CONFLICT DO UPDATE SET count = count + $5",
                args![broadcast, state.code(), reason, code.clone().unwrap_or_default(), *by, MAX_CAUSES],
            )
            .await?;
        }
        Ok(())
    }
}
