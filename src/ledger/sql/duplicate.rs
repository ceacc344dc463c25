//! A broadcast that looks like another one under a new name: the same account, content and plan under a key that nobody
//! chose. Until somebody was attempted it is held; a key of its own says that it is meant.
//!
//! What an audience holds is known once it is planned: a ConfigMap, a Secret or a file of the same name may hold other
//! people today, and the same people come under another name. So the plans are compared, as they are sealed.

use super::store::Store;
use super::value::args;

/// Judges a broadcast, and those that are like it, in the transaction that seals its plan or declares it: nothing of it can
/// be taken before. They are of one account, which each such transaction has locked. What has no sealed plan is like nothing.
///
/// Of two that were never sent the one that came later is suspected, and the other not: one of them goes on. The later one
/// may have been sealed first, so the others are judged again. One of which nothing was sent and nothing will be is no
/// reason.
pub async fn judge<S: Store>(store: &mut S, id: i64) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET duplicate_of = ( \
                 SELECT other.name FROM broadcast AS other \
                 WHERE other.account_id = broadcast.account_id AND other.plan_digest = broadcast.plan_digest \
                 AND other.plan_sealed_at IS NOT NULL AND other.planned = broadcast.planned \
                 AND other.content = broadcast.content AND other.id <> broadcast.id AND NOT broadcast.key_is_given \
                 AND (other.first_attempt_at IS NOT NULL OR (NOT other.released AND NOT other.cancelled \
                     AND (other.declared_at < broadcast.declared_at \
                         OR (other.declared_at = broadcast.declared_at AND other.id < broadcast.id)))) \
                 ORDER BY other.declared_at, other.id LIMIT 1) \
             WHERE first_attempt_at IS NULL AND id IN ( \
                 SELECT alike.id FROM broadcast AS alike JOIN broadcast AS judged \
                 ON alike.account_id = judged.account_id AND alike.plan_digest = judged.plan_digest \
                 WHERE judged.id = $1 AND judged.plan_sealed_at IS NOT NULL AND alike.plan_sealed_at IS NOT NULL)",
            args![id],
        )
        .await?;
    Ok(())
}
