//! A ledger that lost commits: an older copy was put back, or a standby took over that lacked the last of them. Whoever
//! knows a higher revision than the ledger shows it. The gate closes in the same transaction, and stays closed until a
//! person approves.

use sqlx::FromRow;

use super::maintain::SLICE;
use super::opened::{self, Opened};
use super::record::count_moved;
use super::rows::BroadcastRow;
use super::store::Store;
use super::value::args;
use crate::delivery::gate::{Closed, Loss};
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::recollection::{HIGHEST, LEAP, Recollection};

/// What a declaration finds of an earlier loss; without one everything is as in a broadcast that is declared first.
#[derive(Clone, Debug, Default, FromRow)]
pub struct Memory {
    revision: i64,
    loss: Option<String>,
    loss_revision: i64,
    loss_approval: Option<String>,
    risk_from: Option<i64>,
}

/// The columns of a [`Memory`].
pub const MEMORY: &str = "revision, loss, loss_revision, loss_approval, risk_from";

/// A sender tells what it knows. It finds a loss, and approves none.
pub async fn heard_of<S: Store>(store: &mut S, broadcast: &mut BroadcastRow, revision: i64) -> sqlx::Result<()> {
    let revision = revision.min(HIGHEST);
    if revision <= broadcast.revision.max(broadcast.loss_revision) {
        return Ok(());
    }
    let loss = broadcast.loss.get_or_insert_with(|| Closed::LedgerRegressed.as_str().to_owned()).clone();
    broadcast.loss_revision = revision;
    store
        .run("UPDATE broadcast SET loss = $2, loss_revision = $3 WHERE id = $1", args![broadcast.id, loss, revision])
        .await?;
    Ok(())
}

/// An owner tells what it knows, and whether a person has approved since the loss was found.
pub async fn weigh<S: Store>(store: &mut S, id: i64, memory: &Memory, recollection: &Recollection) -> sqlx::Result<()> {
    let (known, approval) = (recollection.revision.min(HIGHEST), recollection.approval.as_deref());
    let loss = memory.loss.as_deref().and_then(Loss::from_reason);
    let then = memory.loss_approval.as_deref();
    match (loss, then.zip(approval)) {
        (None, _) if known > memory.revision => {
            let loss = kind(store, id, recollection.owner_created_at).await?;
            keep(store, id, loss, known, approval).await
        }
        (None, _) => Ok(()),
        (Some(_), _) if memory.risk_from.is_some() => Ok(()),
        (Some(loss), Some((then, now))) if !now.is_empty() && now != then => approve(store, id, loss).await,
        // What stood there when its owner was looked at for the first time approves nothing: it may be years old.
        (Some(loss), _) => keep(store, id, loss, known.max(memory.loss_revision), then.or(approval)).await,
    }
}

/// Everything was lost where the ledger is younger than the object and holds no plan of it.
async fn kind<S: Store>(store: &mut S, id: i64, owner_created_at: Option<Timestamp>) -> sqlx::Result<Loss> {
    let (is_fresh,): (bool,) = store
        .one(
            "SELECT plan_sealed_at IS NULL AND first_attempt_at IS NULL AND ledger.created_at > $2 \
             FROM broadcast CROSS JOIN ledger WHERE broadcast.id = $1",
            args![id, owner_created_at.unwrap_or(Timestamp::NEVER)],
        )
        .await?;
    Ok(if is_fresh { Loss::Fresh } else { Loss::Regressed })
}

async fn keep<S: Store>(store: &mut S, id: i64, loss: Loss, revision: i64, approval: Option<&str>) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET loss = $2, loss_revision = $3, loss_approval = $4 WHERE id = $1",
            args![id, loss.closed().as_str(), revision, approval.map(str::to_owned)],
        )
        .await?;
    Ok(())
}

/// The plan of a broadcast that was sent to may not be made anew: it would call those pending who are at risk.
async fn approve<S: Store>(store: &mut S, id: i64, loss: Loss) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET revision = CASE WHEN revision > loss_revision THEN revision ELSE loss_revision END + $2 \
             WHERE id = $1",
            args![id, LEAP],
        )
        .await?;
    if loss == Loss::Fresh {
        return end(store, id).await;
    }
    let now = store.now().await?;
    store
        .run(
            "UPDATE broadcast SET risk_from = 0, first_attempt_at = \
             CASE WHEN plan_sealed_at IS NULL THEN first_attempt_at ELSE coalesce(first_attempt_at, $2) END WHERE id = $1",
            args![id, now],
        )
        .await?;
    Ok(())
}

async fn end<S: Store>(store: &mut S, id: i64) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET loss = NULL, loss_revision = 0, loss_approval = NULL, risk_from = NULL WHERE id = $1",
            args![id],
        )
        .await?;
    Ok(())
}

/// Makes a slice of those unknown who may have been messaged in the lost time: everybody of the plan who is not sent,
/// failed or skipped in this ledger, which are ends. Behind the last of them the loss is over. Returns whether there was
/// anything to do.
pub async fn settle_at_risk<S: Store>(store: &mut S) -> sqlx::Result<bool> {
    let statement = format!(
        "SELECT id FROM broadcast{} WHERE risk_from IS NOT NULL AND plan_sealed_at IS NOT NULL LIMIT 1",
        S::indexed_by("broadcast_at_risk")
    );
    let found: Option<(i64,)> = store.optional(&statement, args![]).await?;
    let Some((id,)) = found else { return Ok(false) };
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, BroadcastId(id), "").await? else {
        return Ok(true);
    };
    let Some(from) = broadcast.risk_from else { return Ok(true) };
    let to = (from + SLICE).min(broadcast.planned);
    let at_risk = forget_outcomes(store, id, from, to).await?;
    let regressed = Closed::LedgerRegressed.as_str();
    count_moved(store, &mut broadcast, &at_risk, RecipientState::Unknown, regressed, now).await?;
    broadcast.first_attempt_at.get_or_insert(now.0);
    broadcast.save(store, None, now).await?;
    if to >= broadcast.planned {
        end(store, id).await?;
    } else {
        store.run("UPDATE broadcast SET risk_from = $2 WHERE id = $1", args![id, to]).await?;
    }
    Ok(true)
}

/// Whoever is unknown already is given a new attempt number as well: an outcome of the lost time must not make it pending.
/// Nor is it any sender's, or a flight journal, which cannot name that attempt, would call it never begun.
async fn forget_outcomes<S: Store>(
    store: &mut S,
    id: i64,
    from: i64,
    to: i64,
) -> sqlx::Result<Vec<(i64, RecipientState)>> {
    let (pending, inflight) = (RecipientState::Pending.code(), RecipientState::Inflight.code());
    let unknown = RecipientState::Unknown.code();
    let at_risk: Vec<(i64, i64)> = store
        .all(
            "SELECT seq, state FROM delivery WHERE broadcast_id = $1 AND seq >= $2 AND seq < $3 AND state IN ($4, $5)",
            args![id, from, to, pending, inflight],
        )
        .await?;
    store
        .run(
            "UPDATE delivery SET attempt = attempt + $7, state = $6, resend = FALSE, sender_id = NULL, \
             tries = tries - CASE WHEN resend THEN 1 ELSE 0 END, \
             reason = CASE WHEN state = $6 THEN reason ELSE $8 END, code = CASE WHEN state = $6 THEN code END \
             WHERE broadcast_id = $1 AND seq >= $2 AND seq < $3 AND state IN ($4, $5, $6)",
            args![id, from, to, pending, inflight, unknown, LEAP, Closed::LedgerRegressed.as_str()],
        )
        .await?;
    Ok(at_risk.into_iter().filter_map(|(seq, state)| Some((seq, RecipientState::from_code(state)?))).collect())
}
