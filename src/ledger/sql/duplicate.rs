//! A broadcast that looks like another one under a new name: the same account and content for mostly the same people, under a
//! key that nobody chose. Until somebody was attempted it is held; a key of its own says that it is meant.
//!
//! What an audience holds is known once it is planned: a ConfigMap, a Secret or a file of the same name may hold other
//! people today, and the same people, or all but a few of them, come under another name. So the plans are compared, as they
//! are sealed, by who is in them. That is done before the seal, without a lock; the seal sees to it that none is left out.

use sqlx::FromRow;

use super::rows::BroadcastRow;
use super::store::Store;
use super::value::args;
use crate::delivery::likeness::{self, Likeness};
use crate::delivery::recipient::RecipientState;

/// A plan is compared with so many others of its account and content, the latest: each costs up to two looks at a sample.
const MAX_COMPARED: i64 = 20;

/// A plan at one epoch: of another one nothing is known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Plan {
    id: i64,
    plan_epoch: i64,
    planned: i64,
    /// Somebody was attempted: it is suspected no more.
    begun: bool,
}

/// A plan that has mostly people of another one.
#[derive(Clone, Copy, Debug)]
struct Alike {
    plan: Plan,
    other: Plan,
    likeness: Likeness,
}

/// What a plan that is about to be sealed was compared with so far.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    others: Vec<Plan>,
    alike: Vec<Alike>,
}

/// Two plans that were not compared yet: one that is about to be sealed, and one that is.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    new: Plan,
    other: Plan,
}

impl Comparison {
    fn holds(&self, plan: &Plan) -> bool {
        self.others.iter().any(|other| (other.id, other.plan_epoch) == (plan.id, plan.plan_epoch))
    }
}

/// What a plan must still be compared with before it is sealed. The account is locked, so no other one is sealed meanwhile.
pub async fn left_to_compare<S: Store>(
    store: &mut S,
    broadcast: &BroadcastRow,
    comparison: &Comparison,
) -> sqlx::Result<Vec<Pair>> {
    let new = Plan { id: broadcast.id, plan_epoch: broadcast.plan_epoch, planned: broadcast.planned, begun: false };
    let others: Vec<Plan> = store
        .all(
            "SELECT id, plan_epoch, planned, first_attempt_at IS NOT NULL AS begun FROM broadcast \
             WHERE account_id = $1 AND content_hash = $2 AND plan_sealed_at IS NOT NULL AND planned > 0 AND id <> $3 \
             AND (first_attempt_at IS NOT NULL OR NOT cancelled) ORDER BY plan_sealed_at DESC LIMIT $4",
            args![broadcast.account_id, &broadcast.content_hash, broadcast.id, MAX_COMPARED],
        )
        .await?;
    let left = others.into_iter().filter(|other| new.planned > 0 && !comparison.holds(other));
    Ok(left.map(|other| Pair { new, other }).collect())
}

/// Compares two plans, in a transaction that only reads. Each may turn out to be the other one under a new name, but for one
/// that has begun.
pub async fn compare<S: Store>(store: &mut S, pair: &Pair, comparison: &mut Comparison) -> sqlx::Result<()> {
    let Pair { new, other } = *pair;
    comparison.others.push(other);
    for (plan, of) in [(new, other), (other, new)] {
        if plan.begun {
            continue;
        }
        let likeness = likeness(store, &plan, &of).await?;
        if likeness.is_the_same_list() {
            comparison.alike.push(Alike { plan, other: of, likeness });
        }
    }
    Ok(())
}

async fn likeness<S: Store>(store: &mut S, plan: &Plan, other: &Plan) -> sqlx::Result<Likeness> {
    // Who did not get the other message is no reason: people send again to those.
    let (failed, skipped) = (RecipientState::Failed.code(), RecipientState::Skipped.code());
    let statement = format!(
        "WITH RECURSIVE place (seq) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT seq + $3 FROM place WHERE seq + $3 < $4) \
         SELECT count(mine.recipient) AS compared, count(theirs.recipient) AS shared \
         FROM place CROSS JOIN delivery AS mine \
         LEFT JOIN delivery AS theirs{} ON theirs.broadcast_id = $2 AND theirs.recipient = mine.recipient \
             AND theirs.state NOT IN ({failed}, {skipped}) \
         WHERE mine.broadcast_id = $1 AND mine.seq = place.seq",
        S::indexed_by("delivery_recipient")
    );
    let (compared, shared): (i64, i64) =
        store.one(&statement, args![plan.id, other.id, likeness::step(plan.planned), plan.planned]).await?;
    Ok(Likeness { shared, compared })
}

/// Keeps what a plan was compared with, in the transaction that seals it, and judges by it.
pub async fn conclude<S: Store>(store: &mut S, id: i64, epoch: i64, comparison: &Comparison) -> sqlx::Result<()> {
    for Alike { plan, other, likeness } in &comparison.alike {
        store
            .run(
                "INSERT INTO likeness (broadcast_id, epoch, other_id, other_epoch, shared, compared) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (broadcast_id, other_id) DO UPDATE \
                 SET epoch = excluded.epoch, other_epoch = excluded.other_epoch, shared = excluded.shared, \
                 compared = excluded.compared",
                args![plan.id, plan.plan_epoch, other.id, other.plan_epoch, likeness.shared, likeness.compared],
            )
            .await?;
    }
    judge(store, id).await?;
    // Of the plans that it had before: they have led here to whom they had suspected.
    store
        .run(
            "DELETE FROM likeness WHERE (broadcast_id = $1 AND epoch <> $2) OR (other_id = $1 AND other_epoch <> $2)",
            args![id, epoch],
        )
        .await?;
    Ok(())
}

/// The other one that a broadcast is suspected to be.
///
/// Of two that were never sent the one that came later is suspected, and the other not: one of them goes on. The later one
/// may have been sealed first. One of which nothing was sent and nothing will be is no reason.
const SUSPICION: &str = "(SELECT other.id FROM likeness JOIN broadcast AS other ON other.id = likeness.other_id \
    WHERE likeness.broadcast_id = broadcast.id AND likeness.epoch = broadcast.plan_epoch \
    AND likeness.other_epoch = other.plan_epoch AND other.plan_sealed_at IS NOT NULL AND NOT broadcast.key_is_given \
    AND (other.first_attempt_at IS NOT NULL OR (NOT other.released AND NOT other.cancelled \
        AND (other.declared_at < broadcast.declared_at \
            OR (other.declared_at = broadcast.declared_at AND other.id < broadcast.id)))) \
    ORDER BY other.declared_at, other.id LIMIT 1)";

/// Judges a broadcast, and those that are like it, in the transaction that seals its plan or declares it: nothing of it can
/// be taken before. They are of one account, which each such transaction has locked, as has whoever releases several. So
/// none waits for another with a row locked; only those of whom something else is true now are locked, and in order.
pub async fn judge<S: Store>(store: &mut S, id: i64) -> sqlx::Result<()> {
    let statement = format!(
        "SELECT broadcast.id, {SUSPICION} AS suspicion FROM broadcast \
         WHERE account_id = (SELECT judged.account_id FROM broadcast AS judged WHERE judged.id = $1) \
         AND first_attempt_at IS NULL AND plan_sealed_at IS NOT NULL \
         AND broadcast.id IN (SELECT CAST($1 AS BIGINT) \
             UNION SELECT alike.broadcast_id FROM likeness AS alike WHERE alike.other_id = $1) \
         AND duplicate_of IS DISTINCT FROM {SUSPICION} ORDER BY broadcast.id{}",
        S::FOR_UPDATE
    );
    let changed: Vec<(i64, Option<i64>)> = store.all(&statement, args![id]).await?;
    for (id, suspicion) in changed {
        store
            .run(
                "UPDATE broadcast SET duplicate_of = $2, revision = revision + 1 \
                 WHERE id = $1 AND first_attempt_at IS NULL AND plan_sealed_at IS NOT NULL",
                args![id, suspicion],
            )
            .await?;
    }
    Ok(())
}

/// The name of the other one that a broadcast is held for, and how much they share.
pub async fn suspicion<S: Store>(store: &mut S, broadcast: &BroadcastRow) -> sqlx::Result<Option<(String, Likeness)>> {
    let Some(other) = broadcast.duplicate_of else { return Ok(None) };
    let found: Option<(String, i64, i64)> = store
        .optional(
            "SELECT other.name, likeness.shared, likeness.compared FROM likeness \
             JOIN broadcast AS other ON other.id = likeness.other_id \
             WHERE likeness.broadcast_id = $1 AND likeness.other_id = $2",
            args![broadcast.id, other],
        )
        .await?;
    Ok(found.map(|(name, shared, compared)| (name, Likeness { shared, compared })))
}
