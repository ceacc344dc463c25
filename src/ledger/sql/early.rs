//! Receipts that come before what they are of. A provider may tell that a message has arrived before its sender has told the
//! ledger the message's id, or that it was taken at all: such a receipt is kept for a while, and looked at again by upkeep.

use std::collections::HashSet;

use sqlx::FromRow;

use super::rows::{self, json};
use super::store::Store;
use super::value::{Value, args};
use crate::delivery::provider_event::ProviderEvent;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::declaration::{AccountKey, digest};
use crate::ledger::receipts::{EARLY_KEPT_FOR, MAX_EARLY};

/// Until the next look: senders tell within a second or so, and who has not by [`SOON`] is cut off or gone.
const FIRST_WAIT: Span = Span::from_secs(1);
const SOON: Span = Span::from_secs(30);
const LATER_WAIT: Span = Span::from_secs(30);

/// So many are looked at at once.
const SLICE: usize = 200;

/// Receipts of one account that it is time to look at.
pub struct Due {
    id: i64,
    pub account: AccountKey,
    /// The oldest is not younger than the next.
    kept: Vec<Kept>,
    now: Timestamp,
}

struct Kept {
    digest: String,
    event: ProviderEvent,
    at: Timestamp,
}

#[derive(FromRow)]
struct KeptRow {
    account_id: i64,
    digest: String,
    event: String,
    kept_at: i64,
    namespace: String,
    provider: String,
    account: String,
    host: String,
}

impl Due {
    pub fn events(&self) -> Vec<ProviderEvent> {
        self.kept.iter().map(|kept| kept.event.clone()).collect()
    }

    /// Whether more of them may be due.
    pub fn is_full(&self) -> bool {
        self.kept.len() == SLICE
    }
}

/// Keeps what is told of messages that are not known yet, once, as far as there is room; returns how many.
pub async fn keep<S: Store>(store: &mut S, account: i64, events: &[ProviderEvent]) -> sqlx::Result<u64> {
    let now = store.now().await?;
    let (there,): (i64,) =
        store.one("SELECT count(*) FROM early_receipt WHERE account_id = $1", args![account]).await?;
    let room = usize::try_from(MAX_EARLY - there).unwrap_or_default();
    let mut kept = 0;
    for slice in events.get(..room.min(events.len())).unwrap_or_default().chunks(SLICE) {
        let row = |at: usize| format!("($1, ${}, ${}, $2, $3)", 4 + 2 * at, 5 + 2 * at);
        let statement = format!(
            "INSERT INTO early_receipt (account_id, digest, event, kept_at, next_at) VALUES {} \
             ON CONFLICT (account_id, digest) DO NOTHING",
            (0..slice.len()).map(row).collect::<Vec<_>>().join(", ")
        );
        let mut values = args![account, now, now + FIRST_WAIT];
        for event in slice {
            let event = json(event)?;
            values.extend(args![digest(&event), event]);
        }
        kept += store.run(&statement, values).await?;
    }
    Ok(kept)
}

/// A slice of what it is time to look at, of one account.
pub async fn due<S: Store>(store: &mut S) -> sqlx::Result<Option<Due>> {
    let now = store.now().await?;
    // What lies further ahead than any wait is of a clock that was set back.
    let is_due = "(next_at <= $1 OR next_at > $2)";
    let statement = format!(
        "SELECT account_id, digest, event, kept_at, namespace, provider, account, host \
         FROM early_receipt JOIN account ON account.id = account_id \
         WHERE {is_due} AND account_id = (SELECT account_id FROM early_receipt WHERE {is_due} LIMIT 1) \
         ORDER BY kept_at, digest LIMIT {SLICE}"
    );
    let found: Vec<KeptRow> = store.all(&statement, args![now, now + LATER_WAIT]).await?;
    let Some(first) = found.first() else { return Ok(None) };
    let account = AccountKey {
        namespace: first.namespace.clone(),
        provider: first.provider.clone(),
        account: first.account.clone(),
        host: first.host.clone(),
    };
    let id = first.account_id;
    let kept = |row: KeptRow| {
        let event = rows::parsed(&row.event)?;
        Ok(Kept { digest: row.digest, event, at: Timestamp(row.kept_at) })
    };
    let kept = found.into_iter().map(kept).collect::<sqlx::Result<Vec<Kept>>>()?;
    Ok(Some(Due { id, account, kept, now }))
}

/// Forgets what was found, and what was awaited for too long; the rest is looked at again.
pub async fn settle<S: Store>(store: &mut S, due: &Due, still_early: &[ProviderEvent]) -> sqlx::Result<()> {
    let still_early =
        still_early.iter().map(|event| Ok(digest(&json(event)?))).collect::<sqlx::Result<HashSet<_>>>()?;
    let is_awaited = |kept: &&Kept| {
        let age = due.now - kept.at;
        // One of the future is of a clock that was set back.
        still_early.contains(&kept.digest) && age >= Span::ZERO && age < EARLY_KEPT_FOR
    };
    let (awaited, over): (Vec<&Kept>, Vec<&Kept>) = due.kept.iter().partition(is_awaited);
    if !over.is_empty() {
        let statement =
            format!("DELETE FROM early_receipt WHERE account_id = $1 AND digest IN ({})", places(2, over.len()));
        store.run(&statement, digests(args![due.id], &over)).await?;
    }
    if !awaited.is_empty() {
        let statement = format!(
            "UPDATE early_receipt SET next_at = CASE WHEN kept_at > $2 THEN $3 ELSE $4 END \
             WHERE account_id = $1 AND digest IN ({})",
            places(5, awaited.len())
        );
        let values = args![due.id, due.now - SOON, due.now + FIRST_WAIT, due.now + LATER_WAIT];
        store.run(&statement, digests(values, &awaited)).await?;
    }
    Ok(())
}

fn digests(mut values: Vec<Value>, kept: &[&Kept]) -> Vec<Value> {
    values.extend(kept.iter().map(|kept| Value::from(&kept.digest)));
    values
}

/// `$from, …`: so many parameters.
fn places(from: usize, count: usize) -> String {
    (from..from + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}
