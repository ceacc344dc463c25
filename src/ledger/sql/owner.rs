//! Owners and their senders: who answers for a broadcast, what its senders work by, and what keeps them from it.

use super::store::Store;
use super::value::args;
use super::{opened, outbox, rows};
use crate::delivery::gate::Gate;
use crate::delivery::time::Span;
use crate::ledger::brief::{Brief, Trouble};
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::owner::Owner;
use crate::ledger::plan::PlanTicket;

pub async fn brief<S: Store>(store: &mut S, broadcast: BroadcastId) -> sqlx::Result<Result<Brief, LedgerError>> {
    let Some(row) = opened::read(store, broadcast).await? else { return Ok(Err(LedgerError::UnknownBroadcast)) };
    let Some(orders) = &row.orders else { return Ok(Err(LedgerError::NoOrders)) };
    let now = store.now().await?;
    let gate = row.gate();
    let but_for_credentials = Gate { account_stopped: false, ..gate };
    Ok(Ok(Brief {
        broadcast: BroadcastId(row.id),
        plan: row.plan_epoch,
        under_way: row.plan_sealed_at.is_some() && row.finished_at.is_none() && gate.ended(now).is_none(),
        content: rows::parsed(&row.content)?,
        orders: rows::parsed(orders)?,
        credentials_refused: gate.account_stopped && but_for_credentials.closed(now).is_none(),
        notifies: row.notifications.is_some(),
        write_backs: row.write_back_targets()?,
        name: row.name,
        namespace: row.namespace,
    }))
}

/// Returns whether there is such a broadcast.
pub async fn report_trouble<S: Store>(store: &mut S, plan: PlanTicket, trouble: &Trouble) -> sqlx::Result<bool> {
    let now = store.now().await?;
    let updated = store
        .run(
            "UPDATE broadcast SET trouble_reason = $2, trouble_message = $3, trouble_at = $4, plan_touched_at = NULL, \
             dead_planners = CASE WHEN plan_failed_at IS NULL THEN 0 ELSE dead_planners END \
             WHERE id = $1 AND plan_epoch = $5",
            args![plan.broadcast.0, &trouble.reason, &trouble.message, now, plan.epoch],
        )
        .await?;
    if updated > 0 {
        outbox::tell_trouble(store, plan.broadcast).await?;
        return Ok(true);
    }
    let known: Option<(i64,)> =
        store.optional("SELECT id FROM broadcast WHERE id = $1", args![plan.broadcast.0]).await?;
    Ok(known.is_some())
}

pub async fn cancel<S: Store>(
    store: &mut S,
    namespace: &str,
    idempotency_key: &str,
    owner_uid: &str,
) -> sqlx::Result<Option<BroadcastId>> {
    let row: Option<(i64,)> = store
        .optional(
            "UPDATE broadcast SET cancelled = TRUE, revision = revision + 1 \
             WHERE namespace = $1 AND idempotency_key = $2 AND owner_uid = $3 AND owner_uid <> '' RETURNING id",
            args![namespace, idempotency_key, owner_uid],
        )
        .await?;
    Ok(row.map(|(id,)| BroadcastId(id)))
}

pub async fn serve_cluster<S: Store>(
    store: &mut S,
    uid: &str,
    moved_from: Option<&str>,
) -> sqlx::Result<Result<(), LedgerError>> {
    let bound = store
        .run(
            "UPDATE ledger SET cluster = $1 WHERE cluster IS NULL OR cluster = $1 OR cluster = $2",
            args![uid, moved_from.map(str::to_owned)],
        )
        .await?;
    if bound > 0 {
        return Ok(Ok(()));
    }
    let (bound,): (String,) = store.one("SELECT cluster FROM ledger", args![]).await?;
    Ok(Err(LedgerError::OtherCluster { bound, cluster: uid.to_owned() }))
}

/// Locks the accounts first, in order: whoever has locked one may change several broadcasts of it.
pub async fn release<S: Store>(store: &mut S, owner_uid: &str, generation: i64) -> sqlx::Result<()> {
    let owned: Vec<(i64,)> = store
        .all(
            "SELECT id FROM broadcast WHERE owner_uid = $1 AND owner_uid <> '' ORDER BY account_id, id",
            args![owner_uid],
        )
        .await?;
    for (id,) in owned {
        store.lock_account_of(BroadcastId(id)).await?;
    }
    store
        .run(
            "UPDATE broadcast SET released = TRUE, generation = CASE WHEN generation < $2 THEN $2 ELSE generation END, \
             dead_planners = CASE WHEN generation < $2 THEN 0 ELSE dead_planners END, \
             plan_failed_at = CASE WHEN generation < $2 THEN NULL ELSE plan_failed_at END \
             WHERE owner_uid = $1 AND owner_uid <> ''",
            args![owner_uid, generation],
        )
        .await?;
    Ok(())
}

/// How long a uid is remembered: longer than any process is frozen and still believes that it leads.
const REMEMBERED: Span = Span::from_secs(90 * 24 * 3_600);

/// What has no owner has none that could go.
pub async fn depart<S: Store>(store: &mut S, owner_uid: &str) -> sqlx::Result<()> {
    if owner_uid.is_empty() {
        return Ok(());
    }
    let now = store.now().await?;
    store
        .run("INSERT INTO departed (owner_uid, at) VALUES ($1, $2) ON CONFLICT DO NOTHING", args![owner_uid, now])
        .await?;
    store.run("DELETE FROM departed WHERE at < $1", args![now - REMEMBERED]).await?;
    release(store, owner_uid, 0).await
}

/// Whether the owner is gone. If not, it does not go before this transaction has ended: whoever says that it has waits, as
/// both write the same key. So this comes before any other lock.
pub async fn has_departed<S: Store>(store: &mut S, owner_uid: &str) -> sqlx::Result<bool> {
    if owner_uid.is_empty() {
        return Ok(false);
    }
    let free = store
        .run("INSERT INTO departed (owner_uid, at) VALUES ($1, 0) ON CONFLICT DO NOTHING", args![owner_uid])
        .await?;
    if free == 0 {
        return Ok(true);
    }
    store.run("DELETE FROM departed WHERE owner_uid = $1", args![owner_uid]).await?;
    Ok(false)
}

pub async fn owners<S: Store>(store: &mut S) -> sqlx::Result<Vec<Owner>> {
    let rows: Vec<(i64, String, String, String)> = store
        .all(
            "SELECT id, owner_uid, namespace, name FROM broadcast WHERE owner_uid <> '' AND NOT released ORDER BY id",
            args![],
        )
        .await?;
    let owner = |(id, uid, namespace, name)| Owner { broadcast: BroadcastId(id), uid, namespace, name };
    Ok(rows.into_iter().map(owner).collect())
}

pub async fn owned_by<S: Store>(store: &mut S, owner_uid: &str) -> sqlx::Result<Vec<BroadcastId>> {
    let rows: Vec<(i64,)> = store
        .all(
            "SELECT id FROM broadcast WHERE owner_uid = $1 AND owner_uid <> '' AND NOT released ORDER BY id",
            args![owner_uid],
        )
        .await?;
    Ok(rows.into_iter().map(|(id,)| BroadcastId(id)).collect())
}

/// An owner whose key was edited has several: the one of its latest generation is what it means now.
pub async fn find<S: Store>(store: &mut S, owner_uid: &str) -> sqlx::Result<Option<BroadcastId>> {
    let row: Option<(i64,)> = store
        .optional(
            "SELECT id FROM broadcast WHERE owner_uid = $1 AND owner_uid <> '' \
             ORDER BY generation DESC, released LIMIT 1",
            args![owner_uid],
        )
        .await?;
    Ok(row.map(|(id,)| BroadcastId(id)))
}
