//! The way to a broadcast: its row and its account's, locked in the order that keeps everybody from deadlock, and read on today's
//! clock.

use sqlx::FromRow;

use super::rows::{BroadcastRow, SenderRow};
use super::set_back;
use super::store::Store;
use super::value::args;
use crate::delivery::time::Timestamp;
use crate::ledger::exchange::BroadcastId;

/// A broadcast, and the sender that asks, where one does.
#[derive(FromRow)]
struct OpenedRow {
    clock: i64,
    #[sqlx(flatten)]
    broadcast: BroadcastRow,
    sender_id: Option<i64>,
    last_number: Option<i64>,
    proven: Option<bool>,
    closed: Option<bool>,
}

impl OpenedRow {
    fn sender(&self) -> Option<SenderRow> {
        Some(SenderRow {
            id: self.sender_id?,
            last_number: self.last_number?,
            proven: self.proven?,
            closed: self.closed?,
        })
    }
}

fn select_broadcast(clock: &str, suffix: &str) -> String {
    format!(
        "SELECT {clock} AS clock, broadcast.*, account.rate_messages AS account_messages, \
         account.rate_period_seconds AS account_period_seconds, next_slot, virtual_time, seen_at, brake_factor, \
         brake_since, brake_hold_until, brake_lowered_at, brake_recent, brake_footing, brake_usage_percent, brake_usage_at, \
         class_rate_messages, class_rate_period_seconds, class_next_slot, class_virtual_time, stopped_message, \
         sender.id AS sender_id, sender.last_number, sender.proven, sender.closed \
         FROM broadcast JOIN account ON account.id = broadcast.account_id \
         LEFT JOIN sender ON sender.broadcast_id = broadcast.id AND sender.holder = $2 \
         WHERE broadcast.id = $1{suffix}"
    )
}

/// No sender is called so.
const NOBODY: &str = "";

/// Reads a broadcast without any lock, for a transaction that changes nothing by what it says.
pub async fn read<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<Option<BroadcastRow>> {
    let row: Option<OpenedRow> =
        store.optional(&select_broadcast("CAST(0 AS BIGINT)", ""), args![id.0, NOBODY]).await?;
    Ok(row.map(|row| row.broadcast))
}

/// An edit before the first attempt moved the broadcast to another account while its row was waited for. The transaction
/// has to begin anew: to lock the other account with the broadcast locked would be the wrong way round.
#[derive(Debug, thiserror::Error)]
#[error("the broadcast moved from account to account")]
struct Moved;

fn moved() -> sqlx::Error {
    sqlx::Error::Encode(Box::new(Moved))
}

/// Whether a transaction failed because its broadcast moved to another account meanwhile.
pub fn has_moved(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Encode(error) if error.is::<Moved>())
}

/// Locks the row of a broadcast. One that moved while its row was waited for is not found beside the account that it had.
async fn lock<S: Store>(store: &mut S, id: BroadcastId, holder: &str) -> sqlx::Result<Option<OpenedRow>> {
    let row = store.optional(&select_broadcast(S::CLOCK, S::FOR_UPDATE), args![id.0, holder]).await?;
    if row.is_some() {
        return Ok(row);
    }
    let known: Option<(i64,)> = store.optional("SELECT id FROM broadcast WHERE id = $1", args![id.0]).await?;
    if known.is_some() { Err(moved()) } else { Ok(None) }
}

/// Locks a broadcast alone, for who plans: whoever sends through its account is not held up.
pub async fn open_to_plan<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<Option<BroadcastRow>> {
    let row = lock(store, id, NOBODY).await?;
    Ok(row.map(|row| {
        store.clock_read(row.clock);
        row.broadcast
    }))
}

/// A broadcast and its account, locked, with their instants on today's clock.
pub struct Opened {
    pub broadcast: BroadcastRow,
    pub sender: Option<SenderRow>,
    pub now: Timestamp,
}

/// Locks the account, then the broadcast, and reads both: first in every transaction that records, reserves or settles.
pub async fn open<S: Store>(store: &mut S, id: BroadcastId, holder: &str) -> sqlx::Result<Option<Opened>> {
    let locked = store.lock_account_of(id).await?;
    let Some(mut row) = lock(store, id, holder).await? else { return Ok(None) };
    if locked.is_some_and(|account| account != row.broadcast.account_id) {
        return Err(moved());
    }
    store.clock_read(row.clock);
    let now = store.now().await?;
    if set_back::follow(store, &row.broadcast, now).await? {
        let Some(again) = lock(store, id, holder).await? else { return Ok(None) };
        row = again;
    }
    let sender = row.sender();
    Ok(Some(Opened { broadcast: row.broadcast, sender, now }))
}
