//! Recipients whose window has closed: the provider takes a message only for some time after they were last active.
//!
//! Taking leaves them out, judged for the time of the slots; here they are skipped, as those are who come too late for the end
//! of their broadcast. Only who could be taken now is judged: whoever waits, be it for the start, a person or the end of quiet
//! hours, may write until then.

use super::entries::{DELIVERY_COLUMNS, DeliveryRow};
use super::maintain::SLICE;
use super::opened::{self, Opened};
use super::record::{count_moved, follow_policy};
use super::rows::BroadcastRow;
use super::store::Store;
use super::value::{Value, args};
use crate::delivery::backoff::scatter;
use crate::delivery::recipient::{RecipientState, SkipReason};
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::{BroadcastId, START_TOLERANCE};

/// So many broadcasts are looked at for one that has somebody to skip, each by two statements: a few dozen milliseconds of a
/// server. Where there are more, another time others are looked at.
const MAX_LOOKED_AT: i64 = 50;

/// Skips a slice of one broadcast; returns whether there was anybody.
pub async fn skip_closed<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<bool> {
    for id in candidates(store, now).await? {
        let Some(broadcast) = opened::read(store, BroadcastId(id)).await? else { continue };
        let Some(closed) = closed::<S>(&broadcast, now)? else { continue };
        let found: Vec<(i64,)> = store.all(&format!("{closed} LIMIT $4"), arguments(&broadcast, now, 1)).await?;
        if !found.is_empty() {
            return skip(store, id).await;
        }
    }
    Ok(false)
}

/// Broadcasts of all accounts that are being sent to people whose windows close. Begun anywhere among them, another place at
/// each instant, and round: there may be many that have nobody to skip, as those where it is quiet, and they must not keep the
/// others from being looked at.
async fn candidates<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<Vec<i64>> {
    let open = format!("broadcast{} WHERE pending > 0 AND plan_sealed_at IS NOT NULL", S::indexed_by("broadcast_open"));
    let (last,): (Option<i64>,) = store.one(&format!("SELECT max(id) FROM {open}"), args![]).await?;
    let Some(last) = last else { return Ok(Vec::new()) };
    let first = (scatter(now.0 as u64) % (last as u64 + 1)) as i64;
    let mut found: Vec<i64> = Vec::new();
    for which in ["id >= $2", "id < $2"] {
        let statement = format!(
            "SELECT id FROM {open} AND reply_window IS NOT NULL AND NOT suspended AND NOT cancelled AND NOT released \
             AND loss IS NULL AND risk_from IS NULL AND block_reason IS NULL AND duplicate_of IS NULL \
             AND (start_at IS NULL OR start_at <= $1) \
             AND (SELECT stopped_message FROM account WHERE account.id = broadcast.account_id) IS NULL \
             AND {which} ORDER BY id LIMIT $3"
        );
        let left = MAX_LOOKED_AT - found.len() as i64;
        let some: Vec<(i64,)> = store.all(&statement, args![now, first, left]).await?;
        found.extend(some.into_iter().map(|(id,)| id));
    }
    Ok(found)
}

async fn skip<S: Store>(store: &mut S, id: i64) -> sqlx::Result<bool> {
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, BroadcastId(id), "").await? else {
        return Ok(true);
    };
    let Some(closed) = closed::<S>(&broadcast, now)? else { return Ok(true) };
    let statement = format!(
        "SELECT {DELIVERY_COLUMNS}, FALSE AS opted_out FROM delivery WHERE broadcast_id = $1 AND resend \
         AND seq IN ({closed} LIMIT $4)"
    );
    let resent: Vec<DeliveryRow> = store.all(&statement, arguments(&broadcast, now, SLICE)).await?;
    let (state, reason) = (RecipientState::Skipped, SkipReason::WindowClosed);
    let statement = format!(
        "UPDATE delivery SET state = {}, reason = '{}', code = NULL WHERE broadcast_id = $1 AND NOT resend \
         AND seq IN ({closed} LIMIT $4) RETURNING seq",
        state.code(),
        reason.as_str()
    );
    let gone: Vec<(i64,)> = store.all(&statement, arguments(&broadcast, now, SLICE)).await?;
    // Nobody knows whether they got the first message: they are unknown again.
    follow_policy(store, &mut broadcast, resent, Some(reason), now).await?;
    let moved: Vec<_> = gone.into_iter().map(|(seq,)| (seq, RecipientState::Pending)).collect();
    count_moved(store, &mut broadcast, &moved, state, reason.as_str(), now).await?;
    broadcast.save(store, None, now).await?;
    Ok(true)
}

/// The numbers of those who could be taken now, but for their window, as a query that the index answers, zone by zone; `None`
/// where nobody could be taken.
fn closed<S: Store>(broadcast: &BroadcastRow, now: Timestamp) -> sqlx::Result<Option<String>> {
    let zones = broadcast.zones()?.at(now, START_TOLERANCE);
    if broadcast.gate().closed(now).is_some() || zones.open.is_empty() {
        return Ok(None);
    }
    let open: Vec<String> = zones.open.iter().map(i64::to_string).collect();
    Ok(Some(format!(
        "SELECT seq FROM delivery{} WHERE broadcast_id = $1 AND state = 0 AND zone IN ({}) \
         AND active_at IS NOT NULL AND active_at <= $2 AND not_before <= $3",
        S::indexed_by("delivery_active"),
        open.join(", ")
    )))
}

fn arguments(broadcast: &BroadcastRow, now: Timestamp, limit: i64) -> Vec<Value> {
    args![broadcast.id, broadcast.inactive_since(now), now, limit]
}
