//! Whoever is unknown, or waits to be resent, follows the policy of its broadcast when that changes, and its end.

use super::entries::{DELIVERY_COLUMNS as COLUMNS, DeliveryRow, has_opted_out};
use super::maintain::{LOCKED, SLICE};
use super::opened::{self, Opened};
use super::record::follow_policy;
use super::rows::BroadcastRow;
use super::store::Store;
use super::value::args;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::BroadcastId;

/// A slice of one broadcast that somebody of has to follow; returns how many did.
pub async fn follow_any<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<u64> {
    match find(store, now).await? {
        Some(id) => Ok(follow(store, id).await?.max(LOCKED)),
        None => Ok(0),
    }
}

/// A slice of this broadcast; returns how many followed.
pub async fn follow<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<u64> {
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, id, "").await? else { return Ok(0) };
    let rows = concerned(store, &broadcast, now).await?;
    let followed = follow_policy(store, &mut broadcast, rows, None, now).await?;
    if followed > 0 {
        broadcast.save(store, None, now).await?;
    }
    Ok(followed)
}

/// One that has finished goes on only where its declaration asks for it, which follows at once: not because of what people
/// did long after.
async fn find<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<Option<BroadcastId>> {
    let resend = format!(
        "SELECT id FROM broadcast{} WHERE resend_unknown AND unknown > 0 AND NOT cancelled \
         AND finished_at IS NULL AND (end_at IS NULL OR end_at > $1) \
         AND EXISTS (SELECT 1 FROM delivery{} WHERE broadcast_id = broadcast.id AND state = 5 AND NOT resend_barred \
                     AND tries < broadcast.retry_max_tries - 1 AND NOT {} AND {REACHABLE}) LIMIT 1",
        S::indexed_by("broadcast_resending"),
        S::indexed_by("delivery_unknown"),
        has_opted_out("broadcast.account_id")
    );
    let hold = format!(
        "SELECT id FROM broadcast{} WHERE pending > 0 AND plan_sealed_at IS NOT NULL AND loss IS NULL \
         AND (NOT resend_unknown OR cancelled OR end_at <= $1) \
         AND EXISTS (SELECT 1 FROM delivery{} WHERE broadcast_id = broadcast.id AND resend) LIMIT 1",
        S::indexed_by("broadcast_open"),
        S::indexed_by("delivery_resend")
    );
    for statement in [resend, hold] {
        let found: Option<(i64,)> = store.optional(&statement, args![now]).await?;
        if let Some((id,)) = found {
            return Ok(Some(BroadcastId(id)));
        }
    }
    Ok(None)
}

/// Whether the window of a recipient of `delivery` is open now, `$1`, as an expression, in a broadcast that it is known with.
const REACHABLE: &str = "(broadcast.reply_window IS NULL OR delivery.active_at IS NULL OR delivery.active_at > $1 - broadcast.reply_window)";

/// Those that may have to follow, in a slice. Nobody is resent to who has opted out, or whose window has closed.
async fn concerned<S: Store>(
    store: &mut S,
    broadcast: &BroadcastRow,
    now: Timestamp,
) -> sqlx::Result<Vec<DeliveryRow>> {
    let retry = broadcast.retry();
    if retry.after_unknown && broadcast.gate().ended(now).is_none() {
        let statement = format!(
            "SELECT {COLUMNS}, FALSE AS opted_out FROM delivery{} WHERE broadcast_id = $1 AND state = 5 AND NOT resend_barred \
             AND tries < $2 \
             AND NOT {} AND (active_at IS NULL OR active_at > $5) LIMIT $3",
            S::indexed_by("delivery_unknown"),
            has_opted_out("$4")
        );
        let inactive_since = broadcast.inactive_since(now);
        let tries = retry.max_tries.saturating_sub(1);
        store.all(&statement, args![broadcast.id, tries, SLICE, broadcast.account_id, inactive_since]).await
    } else {
        let statement = format!(
            "SELECT {COLUMNS}, FALSE AS opted_out FROM delivery{} WHERE broadcast_id = $1 AND resend LIMIT $2",
            S::indexed_by("delivery_resend")
        );
        store.all(&statement, args![broadcast.id, SLICE]).await
    }
}
