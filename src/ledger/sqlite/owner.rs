//! Owners and their senders: who answers for a broadcast, what its senders work by, and what keeps them from it.

use sqlx::SqliteConnection;

use super::rows::BroadcastRow;
use crate::delivery::time::Timestamp;
use crate::ledger::brief::{Brief, Trouble};
use crate::ledger::exchange::BroadcastId;
use crate::ledger::owner::Owner;
use crate::ledger::plan::PlanTicket;

/// `None` for a broadcast that was declared without orders.
pub fn brief(row: BroadcastRow) -> sqlx::Result<Option<Brief>> {
    let decode = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    let Some(orders) = &row.orders else { return Ok(None) };
    Ok(Some(Brief {
        broadcast: BroadcastId(row.id),
        plan: row.plan_epoch,
        content: serde_json::from_str(&row.content).map_err(decode)?,
        orders: serde_json::from_str(orders).map_err(decode)?,
        name: row.name,
    }))
}

/// Returns whether there is such a broadcast.
pub async fn report_trouble(
    connection: &mut SqliteConnection,
    plan: PlanTicket,
    trouble: &Trouble,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let updated = sqlx::query(
        "UPDATE broadcast SET trouble_reason = ?2, trouble_message = ?3, trouble_at = ?4, plan_touched_at = NULL \
         WHERE id = ?1 AND plan_epoch = ?5",
    )
    .bind(plan.broadcast.0)
    .bind(&trouble.reason)
    .bind(&trouble.message)
    .bind(now.0)
    .bind(plan.epoch)
    .execute(&mut *connection)
    .await?;
    if updated.rows_affected() > 0 {
        return Ok(true);
    }
    let known: Option<(i64,)> = sqlx::query_as("SELECT id FROM broadcast WHERE id = ?")
        .bind(plan.broadcast.0)
        .fetch_optional(connection)
        .await?;
    Ok(known.is_some())
}

pub async fn cancel(
    connection: &mut SqliteConnection,
    namespace: &str,
    idempotency_key: &str,
    owner_uid: &str,
) -> sqlx::Result<Option<BroadcastId>> {
    let row: Option<(i64,)> = sqlx::query_as(
        "UPDATE broadcast SET cancelled = 1 \
         WHERE namespace = ? AND idempotency_key = ? AND owner_uid = ? AND owner_uid <> '' RETURNING id",
    )
    .bind(namespace)
    .bind(idempotency_key)
    .bind(owner_uid)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(id,)| BroadcastId(id)))
}

pub async fn release(connection: &mut SqliteConnection, owner_uid: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE broadcast SET released = 1 WHERE owner_uid = ? AND owner_uid <> ''")
        .bind(owner_uid)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn owners(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Owner>> {
    let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT id, owner_uid, namespace, name FROM broadcast WHERE owner_uid <> '' AND NOT released ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    let owner = |(id, uid, namespace, name)| Owner { broadcast: BroadcastId(id), uid, namespace, name };
    Ok(rows.into_iter().map(owner).collect())
}

/// An owner whose key was edited has several: the one of its latest generation is what it means now.
pub async fn find(connection: &mut SqliteConnection, owner_uid: &str) -> sqlx::Result<Option<BroadcastId>> {
    let row: Option<(i64,)> = sqlx::query_as(
        "SELECT id FROM broadcast WHERE owner_uid = ? AND owner_uid <> '' ORDER BY generation DESC, released LIMIT 1",
    )
    .bind(owner_uid)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(id,)| BroadcastId(id)))
}
