//! Checks that the ledger's sums hold: the counters against the rows they count.

use std::future::Future;

use super::store::{Database, Store};
use super::value::args;
use crate::delivery::recipient::RecipientState;
use crate::ledger::Result;
use crate::ledger::exchange::BroadcastId;

/// Each query returns what breaks an invariant, and nothing while it holds.
const CHECKS: [(&str, &str); 8] = [
    (
        "I2: the states of a sealed broadcast sum up to what was planned",
        "SELECT name FROM broadcast WHERE pending + inflight + sent + failed + skipped + unknown <> planned",
    ),
    (
        "I2: a broadcast's counters are the sums of its batches'",
        "SELECT name FROM broadcast JOIN (SELECT broadcast_id, sum(pending) AS p, sum(inflight) AS i, sum(sent) AS s, \
         sum(failed) AS f, sum(skipped) AS k, sum(unknown) AS u FROM batch GROUP BY 1) AS batches ON broadcast_id = broadcast.id \
         WHERE (pending, inflight, sent, failed, skipped, unknown) <> (p, i, s, f, k, u)",
    ),
    (
        "I2: a batch's counters are the numbers of its rows",
        "SELECT name || '/' || idx FROM batch JOIN broadcast ON broadcast.id = batch.broadcast_id WHERE \
         (batch.pending, batch.inflight, batch.sent, batch.failed, batch.skipped, batch.unknown, skipped_by_cancel) <> \
         (SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1), \
          count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 4), \
          count(*) FILTER (WHERE state = 5), count(*) FILTER (WHERE state = 4 AND reason = 'Cancelled') FROM delivery WHERE delivery.broadcast_id = batch.broadcast_id AND seq BETWEEN first_seq AND last_seq)",
    ),
    (
        "I6: whoever is sent was sent every part of the message, and nobody else was",
        "SELECT name || '/' || seq FROM delivery JOIN broadcast ON broadcast.id = broadcast_id \
         WHERE parts_done > parts OR (state = 2) <> (parts_done = parts)",
    ),
    (
        "a broadcast's receipts are those of its rows",
        "SELECT name FROM broadcast WHERE (receipts_delivered, receipts_read, receipts_undelivered) <> \
         (SELECT count(delivered_at), count(read_at), count(undelivered_at) FROM delivery WHERE broadcast_id = broadcast.id)",
    ),
    (
        "whoever was sent to is written down at each target, given up there, or owed to it",
        "SELECT name || '/' || target FROM write_back JOIN broadcast ON broadcast.id = broadcast_id \
         WHERE done < 0 OR write_back.failed < 0 OR owed > sent OR owed - done - write_back.failed <> \
         (SELECT count(*) FROM owed WHERE owed.broadcast_id = write_back.broadcast_id AND owed.target = write_back.target)",
    ),
    (
        // A plan that was taken back keeps its rows until the next one begins.
        "I3: sequence numbers of a plan are contiguous from 0",
        "SELECT name FROM broadcast WHERE (plan_chunk > 0 OR plan_sealed_at IS NOT NULL) AND \
         (planned <> (SELECT count(*) FROM delivery WHERE broadcast_id = broadcast.id) \
          OR planned <> (SELECT coalesce(max(seq) + 1, 0) FROM delivery WHERE broadcast_id = broadcast.id))",
    ),
    (
        "whoever has opted out is pending nowhere, but until upkeep has swept who did by an answer",
        "SELECT name || '/' || seq FROM contact JOIN broadcast ON broadcast.account_id = contact.account_id \
         JOIN delivery ON broadcast_id = broadcast.id AND delivery.recipient = contact.recipient \
         WHERE opted_out_at IS NOT NULL AND NOT unswept AND state = 0 AND plan_sealed_at IS NOT NULL AND NOT cancelled \
         AND loss IS NULL AND risk_from IS NULL",
    ),
];

/// One recipient's standing, for reports and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryView {
    pub seq: i64,
    pub recipient: String,
    pub state: RecipientState,
    pub attempt: u32,
    /// So many parts of the message the provider has taken.
    pub parts_done: u32,
    pub reason: Option<String>,
}

/// Looking into a ledger, whatever it is kept in: for reports, support and tests.
pub trait Inspect: Send + Sync {
    /// What does not add up: the check's name and where. Scans the whole ledger.
    fn audit(&self) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Every broadcast, by namespace and key.
    fn broadcasts(&self) -> impl Future<Output = Result<Vec<BroadcastId>>> + Send;

    /// The broadcast of this key, if it is known.
    fn broadcast_of_key(
        &self,
        namespace: &str,
        idempotency_key: &str,
    ) -> impl Future<Output = Result<Option<BroadcastId>>> + Send;

    /// The broadcast that a sender works for, if it is known.
    fn broadcast_of(&self, holder: &str) -> impl Future<Output = Result<Option<BroadcastId>>> + Send;

    /// The recipients of a broadcast from sequence number `from` on, at most `limit`.
    fn deliveries(
        &self,
        broadcast: BroadcastId,
        from: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DeliveryView>>> + Send;
}

impl<D: Database> Inspect for D {
    async fn audit(&self) -> Result<Vec<String>> {
        let audited = async {
            let mut store = self.begin_reading().await?;
            let mut broken = Vec::new();
            for (name, query) in CHECKS {
                let found: Vec<(String,)> = store.all(query, args![]).await?;
                broken.extend(found.into_iter().map(|(place,)| format!("{name}: {place}")));
            }
            Ok(broken)
        };
        audited.await.map_err(|error| self.failed(error))
    }

    async fn broadcasts(&self) -> Result<Vec<BroadcastId>> {
        let found = async {
            let mut store = self.begin_reading().await?;
            store.all("SELECT id FROM broadcast ORDER BY namespace, idempotency_key", args![]).await
        };
        let ids: Vec<(i64,)> = found.await.map_err(|error| self.failed(error))?;
        Ok(ids.into_iter().map(|(id,)| BroadcastId(id)).collect())
    }

    async fn broadcast_of_key(&self, namespace: &str, idempotency_key: &str) -> Result<Option<BroadcastId>> {
        let found = async {
            let mut store = self.begin_reading().await?;
            let query = "SELECT id FROM broadcast WHERE namespace = $1 AND idempotency_key = $2";
            store.optional(query, args![namespace, idempotency_key]).await
        };
        let id: Option<(i64,)> = found.await.map_err(|error| self.failed(error))?;
        Ok(id.map(|(id,)| BroadcastId(id)))
    }

    async fn broadcast_of(&self, holder: &str) -> Result<Option<BroadcastId>> {
        let found = async {
            let mut store = self.begin_reading().await?;
            store.optional("SELECT broadcast_id FROM sender WHERE holder = $1", args![holder]).await
        };
        let id: Option<(i64,)> = found.await.map_err(|error| self.failed(error))?;
        Ok(id.map(|(id,)| BroadcastId(id)))
    }

    async fn deliveries(&self, broadcast: BroadcastId, from: i64, limit: u32) -> Result<Vec<DeliveryView>> {
        let found = async {
            let mut store = self.begin_reading().await?;
            store
                .all(
                    "SELECT seq, recipient, state, attempt, parts_done, reason FROM delivery \
                     WHERE broadcast_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
                    args![broadcast.0, from, limit],
                )
                .await
        };
        type Row = (i64, String, i64, i64, i64, Option<String>);
        let rows: Vec<Row> = found.await.map_err(|error| self.failed(error))?;
        let view = |(seq, recipient, state, attempt, parts_done, reason): Row| {
            let state = RecipientState::from_code(state)?;
            let (attempt, parts_done) = (attempt as u32, parts_done as u32);
            Some(DeliveryView { seq, recipient, state, attempt, parts_done, reason })
        };
        Ok(rows.into_iter().filter_map(view).collect())
    }
}
