//! Planning: numbered chunks of one epoch, then the seal.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::rows::{self, BroadcastRow};
use crate::delivery::batch;
use crate::delivery::time::Timestamp;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::plan::{Dropped, MAX_CHUNK, PlanDigest, PlanReceipt, PlanRow, PlanTicket, SealedPlan};

/// Rows of an unsealed plan are deleted in slices, so that no transaction holds the ledger for long.
const DELETE_SLICE: i64 = 5_000;

pub enum Begin {
    Ready(PlanTicket),
    /// Rows of an earlier epoch are left to delete.
    More,
}

type Refused<T> = Result<T, LedgerError>;

/// One step of beginning: deletes a slice of old rows, or opens the new epoch.
pub async fn begin(connection: &mut SqliteConnection, id: BroadcastId, now: Timestamp) -> sqlx::Result<Refused<Begin>> {
    let Some(broadcast) = rows::broadcast(connection, id).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if broadcast.first_attempt_at.is_some() {
        return Ok(Err(LedgerError::PlanLocked));
    }
    let epoch = unseal(connection, id.0).await?;
    sqlx::query("UPDATE broadcast SET plan_touched_at = ?2 WHERE id = ?1")
        .bind(id.0)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    for table in ["delivery", "exclusion"] {
        let statement = format!(
            "DELETE FROM {table} WHERE broadcast_id = ?1 AND recipient IN \
             (SELECT recipient FROM {table} WHERE broadcast_id = ?1 LIMIT ?2)"
        );
        let deleted =
            sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id.0).bind(DELETE_SLICE).execute(&mut *connection).await?;
        if deleted.rows_affected() > 0 {
            return Ok(Ok(Begin::More));
        }
    }
    Ok(Ok(Begin::Ready(PlanTicket { broadcast: id, epoch })))
}

/// Takes a plan back before its first attempt, and the tickets of those who were making it; returns the new epoch. Its
/// rows stay until the next plan begins.
pub async fn unseal(connection: &mut SqliteConnection, id: i64) -> sqlx::Result<i64> {
    sqlx::query("DELETE FROM batch WHERE broadcast_id = ?").bind(id).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM tally WHERE broadcast_id = ?").bind(id).execute(&mut *connection).await?;
    let (epoch,): (i64,) = sqlx::query_as(
        "UPDATE broadcast SET plan_epoch = plan_epoch + 1, plan_chunk = 0, plan_receipt = NULL, plan_digest = zeroblob(32), plan_duplicates = 0, \
         plan_excluded = 0, plan_samples = '[]', plan_sealed_at = NULL, batch_size = 0, planned = 0, pending = 0, \
         skipped = 0, plan_touched_at = NULL, finished_at = NULL WHERE id = ? RETURNING plan_epoch",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    Ok(epoch)
}

pub async fn abandon(connection: &mut SqliteConnection, ticket: PlanTicket) -> sqlx::Result<()> {
    sqlx::query("UPDATE broadcast SET plan_touched_at = NULL WHERE id = ? AND plan_epoch = ?")
        .bind(ticket.broadcast.0)
        .bind(ticket.epoch)
        .execute(connection)
        .await?;
    Ok(())
}

enum Step {
    Fresh(Box<BroadcastRow>),
    /// The last chunk again: its receipt.
    Repeated(PlanReceipt),
}

async fn step(connection: &mut SqliteConnection, ticket: PlanTicket, chunk: u64) -> sqlx::Result<Refused<Step>> {
    let Some(broadcast) = rows::broadcast(connection, ticket.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if broadcast.plan_epoch != ticket.epoch || broadcast.plan_sealed_at.is_some() {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    let last = broadcast.plan_chunk as u64;
    if chunk == last && chunk > 0 {
        let receipt = broadcast.plan_receipt.as_deref().map_or(Ok(PlanReceipt::default()), serde_json::from_str);
        return Ok(Ok(Step::Repeated(receipt.map_err(|error| sqlx::Error::Decode(error.into()))?)));
    }
    if chunk != last + 1 {
        return Ok(Err(LedgerError::ChunkOutOfOrder { chunk, last }));
    }
    Ok(Ok(Step::Fresh(Box::new(broadcast))))
}

pub async fn exclude(
    connection: &mut SqliteConnection,
    ticket: PlanTicket,
    chunk: u64,
    recipients: &[String],
    now: Timestamp,
) -> sqlx::Result<Refused<()>> {
    if recipients.len() > MAX_CHUNK {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK }));
    }
    match step(connection, ticket, chunk).await? {
        Err(refused) => return Ok(Err(refused)),
        Ok(Step::Repeated(_)) => return Ok(Ok(())),
        Ok(Step::Fresh(_)) => {}
    }
    sqlx::query("INSERT OR IGNORE INTO exclusion (broadcast_id, recipient) SELECT ?1, value FROM json_each(?2)")
        .bind(ticket.broadcast.0)
        .bind(rows::json(recipients)?)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE broadcast SET plan_chunk = ?2, plan_receipt = NULL, plan_touched_at = ?3 WHERE id = ?1")
        .bind(ticket.broadcast.0)
        .bind(chunk as i64)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(Ok(()))
}

pub async fn append(
    connection: &mut SqliteConnection,
    ticket: PlanTicket,
    chunk: u64,
    rows: &[PlanRow],
    now: Timestamp,
) -> sqlx::Result<Refused<PlanReceipt>> {
    if rows.len() > MAX_CHUNK {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK }));
    }
    let mut broadcast = match step(connection, ticket, chunk).await? {
        Err(refused) => return Ok(Err(refused)),
        Ok(Step::Repeated(receipt)) => return Ok(Ok(receipt)),
        Ok(Step::Fresh(broadcast)) => broadcast,
    };
    let dropped = enter(connection, &mut broadcast, rows).await?;
    let duplicates = dropped.iter().filter(|(_, why)| *why == Dropped::Duplicate).count() as i64;
    let receipt = PlanReceipt { added: (rows.len() - dropped.len()) as u64, dropped };
    let stored = rows::json(&receipt)?;
    sqlx::query(
        "UPDATE broadcast SET plan_chunk = ?2, plan_receipt = ?3, plan_digest = ?4, plan_duplicates = plan_duplicates + ?5, \
         plan_excluded = plan_excluded + ?6, planned = planned + ?7, pending = pending + ?7, plan_touched_at = ?8 WHERE id = ?1",
    )
    .bind(ticket.broadcast.0)
    .bind(chunk as i64)
    .bind(stored)
    .bind(&broadcast.plan_digest)
    .bind(duplicates)
    .bind(receipt.dropped.len() as i64 - duplicates)
    .bind(receipt.added as i64)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(Ok(receipt))
}

/// Inserts what a chunk adds to the plan and returns what it does not. Rows that are in the plan already are looked up
/// first only in a plan that has shown duplicates: else the unique index finds the first of them as it is written.
async fn enter(
    connection: &mut SqliteConnection,
    broadcast: &mut BroadcastRow,
    rows: &[PlanRow],
) -> sqlx::Result<Vec<(usize, Dropped)>> {
    let recipients: Vec<&str> = rows.iter().map(|row| row.recipient.as_str()).collect();
    let excluded = excluded(connection, broadcast.id, &recipients).await?;
    if broadcast.plan_duplicates == 0 {
        let dropped = dropped(&recipients, &excluded, &HashSet::new());
        match insert(connection, broadcast, rows, &dropped).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
            inserted => return inserted.map(|()| dropped),
        }
    }
    let planned = indexes_in(connection, DELIVERY_HOLDS, broadcast.id, &recipients).await?;
    let dropped = dropped(&recipients, &excluded, &planned);
    insert(connection, broadcast, rows, &dropped).await?;
    Ok(dropped)
}

const DELIVERY_HOLDS: &str = "SELECT key FROM json_each(?2) \
     WHERE EXISTS (SELECT 1 FROM delivery WHERE broadcast_id = ?1 AND recipient = value)";
const EXCLUSION_HOLDS: &str = "SELECT key FROM json_each(?2) \
     WHERE EXISTS (SELECT 1 FROM exclusion WHERE broadcast_id = ?1 AND recipient = value)";

async fn excluded(
    connection: &mut SqliteConnection,
    broadcast: i64,
    recipients: &[&str],
) -> sqlx::Result<HashSet<usize>> {
    let (any,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM exclusion WHERE broadcast_id = ?)")
        .bind(broadcast)
        .fetch_one(&mut *connection)
        .await?;
    if any { indexes_in(connection, EXCLUSION_HOLDS, broadcast, recipients).await } else { Ok(HashSet::new()) }
}

async fn indexes_in(
    connection: &mut SqliteConnection,
    statement: &'static str,
    broadcast: i64,
    recipients: &[&str],
) -> sqlx::Result<HashSet<usize>> {
    let recipients = rows::json(recipients)?;
    let found: Vec<(i64,)> = sqlx::query_as(statement).bind(broadcast).bind(recipients).fetch_all(connection).await?;
    Ok(found.into_iter().map(|(key,)| key as usize).collect())
}

/// Which rows of a chunk are excluded, are in the plan already, or come twice in the chunk; in order.
fn dropped(recipients: &[&str], excluded: &HashSet<usize>, planned: &HashSet<usize>) -> Vec<(usize, Dropped)> {
    let mut seen = HashSet::with_capacity(recipients.len());
    let why = |(index, recipient)| {
        if excluded.contains(&index) {
            Some((index, Dropped::Excluded))
        } else if planned.contains(&index) || !seen.insert(recipient) {
            Some((index, Dropped::Duplicate))
        } else {
            None
        }
    };
    recipients.iter().copied().enumerate().filter_map(why).collect()
}

async fn insert(
    connection: &mut SqliteConnection,
    broadcast: &mut BroadcastRow,
    rows: &[PlanRow],
    dropped: &[(usize, Dropped)],
) -> sqlx::Result<()> {
    if rows.len() == dropped.len() {
        return Ok(());
    }
    let left_out: HashSet<usize> = dropped.iter().map(|(index, _)| *index).collect();
    let added = rows.iter().enumerate().filter(|(index, _)| !left_out.contains(index)).map(|(_, row)| row);
    let mut digest =
        PlanDigest::from_bytes(&broadcast.plan_digest).ok_or_else(|| sqlx::Error::Decode("plan digest".into()))?;
    let mut encoded = Vec::with_capacity(rows.len());
    for (row, seq) in added.zip(broadcast.planned..) {
        let vars = serde_json::to_string(&row.vars).map_err(|error| sqlx::Error::Encode(error.into()))?;
        digest.add(seq, &row.recipient, &vars);
        encoded.push((seq, row.recipient.as_str(), vars));
    }
    let mut builder = QueryBuilder::<Sqlite>::new("INSERT INTO delivery (broadcast_id, seq, recipient, vars) ");
    let id = broadcast.id;
    builder.push_values(encoded, |mut row, (seq, recipient, vars)| {
        row.push_bind(id).push_bind(seq).push_bind(recipient).push_bind(vars);
    });
    builder.build().execute(connection).await?;
    broadcast.plan_digest = digest.as_bytes().to_vec();
    Ok(())
}

pub async fn seal(
    connection: &mut SqliteConnection,
    ticket: PlanTicket,
    samples: &[String],
    now: Timestamp,
) -> sqlx::Result<Refused<SealedPlan>> {
    let Some(mut broadcast) = rows::broadcast(connection, ticket.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if broadcast.plan_epoch != ticket.epoch {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    if broadcast.plan_sealed_at.is_none() {
        let wish = broadcast.batch_size_wish.map(|wish| wish as u32);
        broadcast.batch_size = i64::from(batch::size(broadcast.planned as u64, broadcast.lower_rate(), wish));
        broadcast.plan_sealed_at = Some(now.0);
        cut_batches(connection, &broadcast).await?;
        sqlx::query("DELETE FROM exclusion WHERE broadcast_id = ?")
            .bind(broadcast.id)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "UPDATE broadcast SET plan_sealed_at = ?2, batch_size = ?3, plan_samples = ?4, plan_touched_at = NULL, \
             trouble_reason = NULL WHERE id = ?1",
        )
        .bind(broadcast.id)
        .bind(now.0)
        .bind(broadcast.batch_size)
        .bind(rows::json(samples)?)
        .execute(&mut *connection)
        .await?;
        broadcast.store(connection, now).await?;
    }
    Ok(sealed_plan(&broadcast).ok_or(LedgerError::PlanSuperseded))
}

/// The plan as it was sealed, if it was.
pub fn sealed_plan(broadcast: &BroadcastRow) -> Option<SealedPlan> {
    Some(SealedPlan {
        planned: broadcast.planned as u64,
        duplicates: broadcast.plan_duplicates as u64,
        excluded: broadcast.plan_excluded as u64,
        hash: PlanDigest::from_bytes(&broadcast.plan_digest)?.to_string(),
        sealed_at: Timestamp(broadcast.plan_sealed_at?),
        batch_size: broadcast.batch_size as u32,
    })
}

async fn cut_batches(connection: &mut SqliteConnection, broadcast: &BroadcastRow) -> sqlx::Result<()> {
    let size = broadcast.batch_size;
    let batches: Vec<(i64, i64, i64)> = (0..broadcast.planned)
        .step_by(size as usize)
        .map(|first| (first / size, first, (first + size).min(broadcast.planned) - 1))
        .collect();
    sqlx::query(
        "INSERT INTO batch (broadcast_id, idx, first_seq, last_seq, pending) \
         SELECT ?1, value ->> 0, value ->> 1, value ->> 2, (value ->> 2) - (value ->> 1) + 1 FROM json_each(?2)",
    )
    .bind(broadcast.id)
    .bind(rows::json(&batches)?)
    .execute(connection)
    .await?;
    Ok(())
}
