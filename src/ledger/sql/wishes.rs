//! Wishes that are known by the messages that said so: of a provider that signs no time, what is told anew would be news.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::contacts::{places, with};
use super::maintain::SLICE;
use super::opt_outs;
use super::store::Store;
use super::value::{Value, args};
use crate::delivery::time::Timestamp;
use crate::ledger::people::{MAX_WISHES, WISHES_KEPT_FOR, Wish};

/// So many are looked up or written by one statement: it has two parameters for each, far below what one may have.
const AT_ONCE: usize = 250;

/// Those that were not told before, in their order; from now on they were. The account is locked.
pub async fn new_among<S: Store>(
    store: &mut S,
    account: i64,
    wishes: &[Wish],
    now: Timestamp,
) -> sqlx::Result<Vec<Wish>> {
    let told = wishes.iter().filter_map(|wish| Some((wish.recipient.as_str(), wish.message.as_deref()?)));
    let told: BTreeSet<(&str, &str)> = told.collect();
    if told.is_empty() {
        return Ok(wishes.to_vec());
    }
    let people: BTreeSet<&str> = told.iter().map(|(recipient, _)| *recipient).collect();
    let mut counted = counted(store, account, &Vec::from_iter(people)).await?;
    let mut known = known_among(store, account, &Vec::from_iter(told)).await?;
    let (mut new, mut kept) = (Vec::new(), Vec::new());
    for wish in wishes {
        let Some(message) = &wish.message else {
            new.push(wish.clone());
            continue;
        };
        let count = counted.entry(wish.recipient.clone()).or_default();
        let is_full = *count >= MAX_WISHES;
        let is_news = if is_full { wish.opts_out } else { known.insert((wish.recipient.clone(), message.clone())) };
        *count += i64::from(is_news);
        if is_news {
            new.push(wish.clone());
        }
        if is_news && !is_full {
            kept.push((wish.recipient.as_str(), message.as_str()));
        }
    }
    keep(store, account, &kept, now).await?;
    Ok(new)
}

/// Forgets a slice of those that are kept no longer, of one account; returns whether there were any. Older ones than a slice
/// holds are few: each is forgotten within a second of its time.
pub async fn forget_old<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<bool> {
    let old = format!(
        "SELECT account_id, recipient, message FROM wish{} WHERE told_at < $1 ORDER BY told_at, account_id LIMIT $2",
        S::indexed_by("wish_told")
    );
    let limit = now - WISHES_KEPT_FOR;
    let oldest: Option<(i64, String, String)> = store.optional(&old, args![limit, 1_i64]).await?;
    let Some((account, ..)) = oldest else { return Ok(false) };
    opt_outs::lock(store, account).await?;
    let statement = format!(
        "DELETE FROM wish WHERE account_id = $3 AND (recipient, message) IN \
         (SELECT recipient, message FROM ({old}) AS old WHERE account_id = $3)"
    );
    store.run(&statement, args![limit, SLICE, account]).await?;
    Ok(true)
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

/// Looked up one by one by the key, however much the database knows of the table.
async fn known_among<S: Store>(
    store: &mut S,
    account: i64,
    told: &[(&str, &str)],
) -> sqlx::Result<HashSet<(String, String)>> {
    let mut known = HashSet::new();
    for told in told.chunks(AT_ONCE) {
        let one = |place: usize| {
            format!("account_id = $1 AND recipient = ${} AND message = ${}", 2 + 2 * place, 3 + 2 * place)
        };
        let statement = format!(
            "SELECT recipient, message FROM wish WHERE {}",
            (0..told.len()).map(one).collect::<Vec<_>>().join(" OR ")
        );
        let values = with(account, told.iter().flat_map(|(recipient, message)| [*recipient, *message]));
        known.extend(store.all::<(String, String)>(&statement, values).await?);
    }
    Ok(known)
}

async fn keep<S: Store>(store: &mut S, account: i64, told: &[(&str, &str)], now: Timestamp) -> sqlx::Result<()> {
    for told in told.chunks(AT_ONCE) {
        let row = |place: usize| format!("($1, {}, $2)", places(3 + 2 * place, 2));
        let statement = format!(
            "INSERT INTO wish (account_id, recipient, message, told_at) VALUES {}",
            (0..told.len()).map(row).collect::<Vec<_>>().join(", ")
        );
        let rows = told.iter().flat_map(|(recipient, message)| [Value::from(*recipient), Value::from(*message)]);
        store.run(&statement, args![account, now].into_iter().chain(rows).collect()).await?;
    }
    Ok(())
}
