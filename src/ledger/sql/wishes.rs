//! Wishes that are known by the messages that said so: of a provider that signs no time, what is told anew would be news.

use std::collections::{BTreeMap, BTreeSet};

use super::contacts::{places, with};
use super::store::Store;
use super::value::{Value, args};
use crate::delivery::time::Timestamp;
use crate::ledger::people::{MAX_WISHES, WISHES_KEPT_FOR, Wish};

/// Those that were not told before, in their order; from now on they were. The account is locked.
pub async fn new_among<S: Store>(
    store: &mut S,
    account: i64,
    wishes: &[Wish],
    now: Timestamp,
) -> sqlx::Result<Vec<Wish>> {
    let people: BTreeSet<&str> =
        wishes.iter().filter(|wish| wish.message.is_some()).map(|wish| wish.recipient.as_str()).collect();
    if people.is_empty() {
        return Ok(wishes.to_vec());
    }
    let people: Vec<&str> = people.into_iter().collect();
    forget(store, account, &people, now).await?;
    let mut counted = counted(store, account, &people).await?;
    let mut new = Vec::new();
    for wish in wishes {
        let Some(message) = &wish.message else {
            new.push(wish.clone());
            continue;
        };
        let count = counted.entry(wish.recipient.clone()).or_default();
        let is_full = *count >= MAX_WISHES;
        let is_news = if is_full { wish.opts_out } else { keep(store, account, wish, message, now).await? };
        *count += i64::from(is_news);
        if is_news {
            new.push(wish.clone());
        }
    }
    Ok(new)
}

async fn forget<S: Store>(store: &mut S, account: i64, people: &[&str], now: Timestamp) -> sqlx::Result<()> {
    let statement = format!(
        "DELETE FROM wish WHERE account_id = $1 AND recipient IN ({}) AND told_at < ${}",
        places(2, people.len()),
        people.len() + 2
    );
    let mut values = with(account, people.iter().copied());
    values.push(Value::from(now - WISHES_KEPT_FOR));
    store.run(&statement, values).await?;
    Ok(())
}

/// How many of each are known.
async fn counted<S: Store>(store: &mut S, account: i64, people: &[&str]) -> sqlx::Result<BTreeMap<String, i64>> {
    let statement = format!(
        "SELECT recipient, count(*) FROM wish WHERE account_id = $1 AND recipient IN ({}) GROUP BY recipient",
        places(2, people.len())
    );
    let counted: Vec<(String, i64)> = store.all(&statement, with(account, people.iter().copied())).await?;
    Ok(counted.into_iter().collect())
}

/// Returns whether it is new.
async fn keep<S: Store>(store: &mut S, account: i64, wish: &Wish, message: &str, now: Timestamp) -> sqlx::Result<bool> {
    let kept = store
        .run(
            "INSERT INTO wish (account_id, recipient, message, told_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            args![account, &wish.recipient, message, now],
        )
        .await?;
    Ok(kept > 0)
}
