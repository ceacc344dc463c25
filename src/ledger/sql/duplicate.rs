//! A broadcast that looks like another one under a new name: the same account, audience and content under a key that
//! nobody chose. Until somebody was attempted it is held; a key of its own says that it is meant.

use super::store::Store;
use super::value::args;

/// Looks for the other one, at each declaration. Declarations that might suspect each other wait for each other: they are
/// of one account, which each of them locks.
///
/// Of two that were never sent the one that came later is suspected, and the other not: one of them goes on. One of which
/// nothing was sent and nothing will be is no reason.
pub async fn look<S: Store>(store: &mut S, id: i64, key_is_given: bool) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET duplicate_of = ( \
                 SELECT other.name FROM broadcast AS other \
                 WHERE other.namespace = broadcast.namespace AND other.identity_hash = broadcast.identity_hash \
                 AND other.id <> broadcast.id AND NOT $2 AND broadcast.first_attempt_at IS NULL \
                 AND (other.first_attempt_at IS NOT NULL OR (NOT other.released AND NOT other.cancelled \
                     AND (other.declared_at < broadcast.declared_at \
                         OR (other.declared_at = broadcast.declared_at AND other.id < broadcast.id)))) \
                 ORDER BY other.declared_at, other.id LIMIT 1) \
             WHERE id = $1",
            args![id, key_is_given],
        )
        .await?;
    Ok(())
}
