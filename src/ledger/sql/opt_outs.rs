//! What becomes of the pending deliveries of somebody who has opted out.
//!
//! Nobody is given to a sender who has opted out: taking asks the contacts. So what stands here only brings deliveries to
//! their end. Who opts out by the provider's answer is marked in the transaction that records the answer, which locks one
//! broadcast; the deliveries of all others are swept by upkeep.

use super::contacts::{places, with};
use super::entries::{DELIVERY_COLUMNS, DeliveryRow};
use super::maintain::SLICE;
use super::opened::{self, Opened};
use super::record::{count_moved, follow_policy};
use super::rows;
use super::store::Store;
use super::value::{Value, args};
use crate::delivery::gate::Closed;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::Timestamp;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::plan::{MAX_CHUNK, PlanTicket};

/// So many people are swept in one transaction, which looks each of them up in each broadcast of the account that is not over.
const MAX_SWEPT: i64 = 1_000;

/// A slice of one account; returns whether there was any.
pub async fn sweep_any<S: Store>(store: &mut S) -> sqlx::Result<bool> {
    let statement = format!("SELECT account_id FROM contact{} WHERE unswept LIMIT 1", S::indexed_by("contact_unswept"));
    let Some((account,)) = store.optional::<(i64,)>(&statement, args![]).await? else { return Ok(false) };
    lock(store, account).await?;
    sweep(store, account).await?;
    Ok(true)
}

/// Locks an account by itself, as declaring does: before any broadcast.
pub async fn lock<S: Store>(store: &mut S, account: i64) -> sqlx::Result<()> {
    store.run("UPDATE account SET rate_messages = rate_messages WHERE id = $1", args![account]).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Concerned {
    id: i64,
    sealed: bool,
    /// Its rows are those of the plan that is being made, and not of one that was taken back.
    planning: bool,
    forgetful: bool,
}

/// Everybody of the account who is not swept yet, in its locked account; returns how many deliveries were skipped.
pub async fn sweep_all<S: Store>(store: &mut S, account: i64) -> sqlx::Result<u64> {
    let mut skipped = 0;
    while let Some(slice) = sweep(store, account).await? {
        skipped += slice;
    }
    Ok(skipped)
}

/// One slice, in a locked account: `None` when nobody was left. Broadcasts that are planned or may be are locked with those
/// that have somebody pending: a planner that has looked its chunk up before this opt-out has written it by then, and one
/// that comes later sees it.
async fn sweep<S: Store>(store: &mut S, account: i64) -> sqlx::Result<Option<u64>> {
    let statement = format!(
        "SELECT recipient FROM contact{} WHERE account_id = $1 AND unswept ORDER BY recipient LIMIT $2",
        S::indexed_by("contact_unswept")
    );
    let people: Vec<(String,)> = store.all(&statement, args![account, MAX_SWEPT]).await?;
    let Some((last,)) = people.last() else { return Ok(None) };
    let statement = format!(
        "SELECT id, plan_sealed_at IS NOT NULL AS sealed, plan_chunk > 0 AS planning, \
         risk_from IS NOT NULL OR coalesce(loss = $2, FALSE) AS forgetful FROM broadcast \
         WHERE account_id = $1 AND NOT cancelled AND (first_attempt_at IS NULL OR pending > 0) ORDER BY id{}",
        S::FOR_UPDATE
    );
    let broadcasts: Vec<Concerned> = store.all(&statement, args![account, Closed::LedgerRegressed.as_str()]).await?;
    let mut skipped = 0;
    // Who may have been messaged in a lost time becomes unknown, not skipped, and is not resent to either.
    for broadcast in broadcasts.iter().filter(|one| !one.forgetful && (one.sealed || one.planning)) {
        skipped += match broadcast.sealed {
            true => skip_sealed(store, account, broadcast.id, last).await?,
            false => skip_planned(store, account, broadcast.id, last).await?,
        };
    }
    store
        .run(
            "UPDATE contact SET unswept = FALSE WHERE account_id = $1 AND unswept AND recipient <= $2",
            args![account, last],
        )
        .await?;
    Ok(Some(skipped))
}

/// The numbers of those who are not swept yet in a broadcast, `$1`, as a query: looked up one by one, however many there are.
fn theirs<S: Store>(which: &str) -> String {
    format!(
        "SELECT (SELECT seq FROM delivery AS theirs{} WHERE theirs.broadcast_id = $1 \
                 AND theirs.recipient = contact.recipient AND theirs.state = 0 AND {which}) \
         FROM contact{} WHERE contact.account_id = $2 AND contact.unswept AND contact.recipient <= $3",
        S::indexed_by("delivery_recipient"),
        S::indexed_by("contact_unswept")
    )
}

async fn skip<S: Store>(store: &mut S, account: i64, id: i64, last: &str) -> sqlx::Result<Vec<i64>> {
    let statement = format!(
        "UPDATE delivery SET state = $4, reason = $5, code = NULL WHERE broadcast_id = $1 AND seq IN ({}) RETURNING seq",
        theirs::<S>("NOT theirs.resend")
    );
    let (state, reason) = (RecipientState::Skipped.code(), SkipReason::OptedOut.as_str());
    let rows: Vec<(i64,)> = store.all(&statement, args![id, account, last, state, reason]).await?;
    Ok(rows.into_iter().map(|(seq,)| seq).collect())
}

async fn skip_planned<S: Store>(store: &mut S, account: i64, id: i64, last: &str) -> sqlx::Result<u64> {
    let skipped = skip(store, account, id, last).await?.len() as u64;
    store
        .run(
            "UPDATE broadcast SET pending = pending - $2, skipped = skipped + $2 WHERE id = $1",
            args![id, skipped as i64],
        )
        .await?;
    Ok(skipped)
}

async fn skip_sealed<S: Store>(store: &mut S, account: i64, id: i64, last: &str) -> sqlx::Result<u64> {
    let statement = format!(
        "SELECT {DELIVERY_COLUMNS}, TRUE AS opted_out FROM delivery WHERE broadcast_id = $1 AND seq IN ({})",
        theirs::<S>("theirs.resend")
    );
    let resent: Vec<DeliveryRow> = store.all(&statement, args![id, account, last]).await?;
    let skipped = skip(store, account, id, last).await?;
    if resent.is_empty() && skipped.is_empty() {
        return Ok(0);
    }
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, BroadcastId(id), "").await? else { return Ok(0) };
    follow_policy(store, &mut broadcast, resent, Some(SkipReason::OptedOut), now).await?;
    let moved: Vec<_> = skipped.iter().map(|seq| (*seq, RecipientState::Pending)).collect();
    let reason = SkipReason::OptedOut.as_str();
    count_moved(store, &mut broadcast, &moved, RecipientState::Skipped, reason, now).await?;
    broadcast.save(store, None, now).await?;
    Ok(skipped.len() as u64)
}

/// Whether anybody of a chunk may still be messaged by a sealed plan: a look that locks nothing.
pub async fn concerns_anybody<S: Store>(
    store: &mut S,
    plan: PlanTicket,
    recipients: &[String],
) -> sqlx::Result<Result<bool, LedgerError>> {
    if recipients.len() > MAX_CHUNK {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_CHUNK }));
    }
    let Some(broadcast) = opened::read(store, plan.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if !is_of(&broadcast, plan) {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    Ok(Ok(!concerned(store, broadcast.id, recipients).await?.is_empty()))
}

fn is_of(broadcast: &rows::BroadcastRow, plan: PlanTicket) -> bool {
    broadcast.plan_epoch == plan.epoch && broadcast.plan_sealed_at.is_some()
}

/// Whoever of a chunk is pending, or could be again: in flight, or unknown and resent to.
async fn concerned<S: Store>(store: &mut S, broadcast: i64, recipients: &[String]) -> sqlx::Result<Vec<DeliveryRow>> {
    if recipients.is_empty() {
        return Ok(Vec::new());
    }
    let statement = format!(
        "SELECT {DELIVERY_COLUMNS}, TRUE AS opted_out FROM delivery{} WHERE broadcast_id = $1 AND recipient IN ({}) \
         AND (state = 0 OR (state IN (1, 5) AND NOT resend_barred))",
        S::indexed_by("delivery_recipient"),
        places(2, recipients.len())
    );
    store.all(&statement, with(broadcast, recipients.iter().map(String::as_str))).await
}

/// Treats a chunk of people as opted out in a sealed plan, in that alone: whoever is pending is skipped, whoever is unknown
/// or waits to be resent is not resent to, and whoever is in flight gets no further attempt. Returns how many were skipped.
pub async fn suppress<S: Store>(
    store: &mut S,
    plan: PlanTicket,
    recipients: &[String],
) -> sqlx::Result<Result<u64, LedgerError>> {
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, plan.broadcast, "").await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if !is_of(&broadcast, plan) {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    // Who may have been messaged in a lost time becomes unknown, not skipped.
    if broadcast.may_have_forgotten() {
        return Ok(Ok(0));
    }
    let concerned = concerned(store, broadcast.id, recipients).await?;
    let is_pending = |row: &DeliveryRow| row.state == RecipientState::Pending.code();
    let (pending, others): (Vec<_>, Vec<_>) = concerned.into_iter().partition(|row| is_pending(row) && !row.resend);
    let numbers = |rows: &[DeliveryRow]| rows.iter().map(|row| row.seq).collect::<Vec<i64>>();
    let (pending, barred) = (numbers(&pending), numbers(&others));
    let resent = others.into_iter().filter(is_pending).collect();
    follow_policy(store, &mut broadcast, resent, Some(SkipReason::OptedOut), now).await?;
    set(store, broadcast.id, "resend_barred = TRUE", &barred).await?;
    let (state, reason) = (RecipientState::Skipped, SkipReason::OptedOut.as_str());
    let skipped = format!("state = {}, reason = '{reason}', code = NULL", state.code());
    set(store, broadcast.id, &skipped, &pending).await?;
    let moved: Vec<_> = pending.iter().map(|seq| (*seq, RecipientState::Pending)).collect();
    count_moved(store, &mut broadcast, &moved, state, reason, now).await?;
    broadcast.save(store, None, now).await?;
    Ok(Ok(pending.len() as u64))
}

/// Changes the rows of these recipients, which this transaction has locked with their broadcast.
async fn set<S: Store>(store: &mut S, broadcast: i64, what: &str, seqs: &[i64]) -> sqlx::Result<()> {
    if seqs.is_empty() {
        return Ok(());
    }
    let statement =
        format!("UPDATE delivery SET {what} WHERE broadcast_id = $1 AND seq IN ({})", places(2, seqs.len()));
    let numbers = std::iter::once(broadcast).chain(seqs.iter().copied()).map(Value::from);
    store.run(&statement, numbers.collect()).await?;
    Ok(())
}

/// Counts those whom a plan holds as skipped from the beginning, once its batches are cut.
pub async fn count_planned<S: Store>(
    store: &mut S,
    broadcast: &rows::BroadcastRow,
    now: Timestamp,
) -> sqlx::Result<()> {
    if broadcast.counts.skipped == 0 {
        return Ok(());
    }
    let statement = format!(
        "UPDATE batch SET pending = pending - gone.count, skipped = gone.count, \
         completed_at = CASE WHEN pending = gone.count THEN $3 END \
         FROM (SELECT seq / $2 AS idx, count(*) AS count FROM delivery{} \
               WHERE broadcast_id = $1 AND state = 4 AND reason = '{}' GROUP BY 1) AS gone \
         WHERE batch.broadcast_id = $1 AND batch.idx = gone.idx",
        S::indexed_by("delivery_opted_out"),
        SkipReason::OptedOut.as_str()
    );
    store.run(&statement, args![broadcast.id, broadcast.batch_size, now]).await?;
    store
        .run(
            "INSERT INTO tally (broadcast_id, state, reason, code, count) VALUES ($1, $2, $3, '', $4)",
            args![
                broadcast.id,
                RecipientState::Skipped.code(),
                SkipReason::OptedOut.as_str(),
                broadcast.counts.skipped
            ],
        )
        .await?;
    Ok(())
}

const _: () = assert!(MAX_SWEPT <= SLICE);
