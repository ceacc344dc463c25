//! A clock that was set back: what lies ahead is set back by as much, so that nothing waits for the old time.

use super::rows::BroadcastRow;
use super::store::Store;
use super::value::args;
use crate::delivery::time::{Span, Timestamp};

/// A clock that is this far behind the account's latest commit was set back.
const SET_BACK: Span = Span::from_secs(1);

/// In every statement `$1` is the account, `$2` now, and `$3` how far the clock went back.
const STATEMENTS: [&str; 7] = [
    "UPDATE batch SET lease_until = lease_until - $3 WHERE lease_until > $2 \
     AND broadcast_id IN (SELECT id FROM broadcast WHERE account_id = $1)",
    "UPDATE delivery SET not_before = CASE WHEN not_before > $3 THEN not_before - $3 ELSE 0 END WHERE state = 0 AND not_before > $2 \
     AND broadcast_id IN (SELECT id FROM broadcast WHERE account_id = $1)",
    "UPDATE delivery SET slot = slot - $3, start_by = start_by - $3, deadline = deadline - $3 \
     WHERE state = 1 AND deadline > $2 AND broadcast_id IN (SELECT id FROM broadcast WHERE account_id = $1)",
    "UPDATE owed SET not_before = CASE WHEN not_before > $3 THEN not_before - $3 ELSE 0 END WHERE not_before > $2 \
     AND broadcast_id IN (SELECT id FROM broadcast WHERE account_id = $1)",
    "UPDATE write_back SET lease_until = CASE WHEN lease_until > $2 THEN lease_until - $3 ELSE lease_until END, \
     not_before = CASE WHEN not_before > $2 THEN not_before - $3 ELSE not_before END, \
     moved_at = CASE WHEN moved_at > $2 THEN $2 ELSE moved_at END \
     WHERE broadcast_id IN (SELECT id FROM broadcast WHERE account_id = $1)",
    "UPDATE broadcast SET flow_hungry_until = CASE WHEN flow_hungry_until > $2 THEN $2 ELSE flow_hungry_until END, \
     class_hungry_until = CASE WHEN class_hungry_until > $2 THEN $2 ELSE class_hungry_until END \
     WHERE account_id = $1 AND (flow_hungry_until > $2 OR class_hungry_until > $2)",
    "UPDATE account SET seen_at = $2, \
     labels_free_at = CASE WHEN labels_free_at > $2 THEN labels_free_at - $3 ELSE labels_free_at END, \
     brake_since = CASE WHEN brake_since > $2 THEN $2 ELSE brake_since END, \
     brake_usage_at = CASE WHEN brake_usage_at > $2 THEN $2 ELSE brake_usage_at END, \
     brake_lowered_at = CASE WHEN brake_lowered_at > $2 THEN $2 ELSE brake_lowered_at END, \
     brake_hold_until = CASE WHEN brake_hold_until > $2 THEN brake_hold_until - $3 ELSE brake_hold_until END \
     WHERE id = $1",
];

/// Follows the clock of a locked account; returns whether anything was changed. It comes first in every transaction that
/// stores instants of the account: they are all of one time, the old one or the new. Free slots are clamped where they
/// are read instead, because those given away on the old time are still ahead of their senders.
pub async fn follow<S: Store>(store: &mut S, broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<bool> {
    let seen_at = Timestamp(broadcast.account.seen_at);
    if now + SET_BACK >= seen_at {
        return Ok(false);
    }
    // Who tells of what is owed holds its broadcast first.
    let first = format!(
        "SELECT id FROM broadcast WHERE account_id = $1 AND id IN (SELECT broadcast_id FROM write_back) ORDER BY id{}",
        S::FOR_UPDATE
    );
    let _held: Vec<(i64,)> = store.all(&first, args![broadcast.account_id]).await?;
    for statement in STATEMENTS {
        store.run(statement, args![broadcast.account_id, now, seen_at - now]).await?;
    }
    Ok(true)
}

/// A broadcast of an account whose latest commit lies ahead.
pub async fn find<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<Option<i64>> {
    let found: Option<(i64,)> = store
        .optional(
            "SELECT broadcast.id FROM account JOIN broadcast ON broadcast.account_id = account.id \
             WHERE seen_at > $1 LIMIT 1",
            args![now + SET_BACK],
        )
        .await?;
    Ok(found.map(|(id,)| id))
}
