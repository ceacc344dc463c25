//! Contacts and their tags, changed by hand. Each call locks the account, so what it has read stays true until it writes; and
//! what it writes goes in few statements, since everybody who sends through the account waits meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::FromRow;

use super::declare::lock_account;
use super::opt_outs;
use super::rows::json;
use super::store::Store;
use super::value::{Value, args};
use super::wishes;
use crate::delivery::activity::{self, LAST_ACTIVE_TIME};
use crate::delivery::rate::Rate;
use crate::delivery::time::Timestamp;
use crate::ledger::contacts::{ContactRow, Imported, MAX_TAGS_OF_CONTACT, OptedOut};
use crate::ledger::declaration::AccountKey;
use crate::ledger::error::LedgerError;
use crate::ledger::people::{OPTED_OUT, Wish};
use crate::provider::reply_window::has_window;

type Refused<T> = Result<T, LedgerError>;

/// So many rows are written by one statement: it has a dozen parameters for each, and databases take some 30,000.
const WRITTEN_AT_ONCE: usize = 250;

/// What stands until a broadcast tells the account's own.
pub(super) const NO_RATE: Rate = Rate { messages: 1, period_seconds: 1 };

/// What is known of a recipient.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Standing {
    pub recipient: String,
    pub vars: String,
    pub vars_at: i64,
    pub met_at: i64,
    pub active_at: Option<i64>,
    pub opted_out_at: Option<i64>,
    pub opted_out_reason: Option<String>,
    pub wished_at: Option<i64>,
}

impl Standing {
    fn new(recipient: &str, now: Timestamp) -> Standing {
        Standing {
            recipient: recipient.to_owned(),
            vars: "{}".to_owned(),
            vars_at: 0,
            met_at: now.0,
            active_at: None,
            opted_out_at: None,
            opted_out_reason: None,
            wished_at: None,
        }
    }

    /// Whether a wish of this time comes after all that is known. Of two at one time the one for no messages counts.
    /// What lies ahead is of a clock that was set back.
    fn is_news(&self, opts_out: bool, at: i64, now: Timestamp) -> bool {
        let latest = self.wished_at.max(self.opted_out_at).filter(|latest| *latest <= now.0);
        latest.is_none_or(|latest| at > latest || at == latest && opts_out)
    }

    fn opted_out(self, at: i64, reason: &str) -> Standing {
        let wished_at = Some(at).max(self.wished_at);
        match self.opted_out_at {
            Some(_) => Standing { wished_at, ..self },
            None => Standing { opted_out_at: Some(at), opted_out_reason: Some(reason.to_owned()), wished_at, ..self },
        }
    }

    fn opted_in(self, at: i64) -> Standing {
        Standing { opted_out_at: None, opted_out_reason: None, wished_at: Some(at).max(self.wished_at), ..self }
    }
}

/// What is known of these recipients. Plans of an account that knows nobody look nobody up.
pub async fn known_among<S: Store>(
    store: &mut S,
    account: i64,
    recipients: &[&str],
) -> sqlx::Result<HashMap<String, Standing>> {
    let (any,): (bool,) =
        store.one("SELECT EXISTS (SELECT 1 FROM contact WHERE account_id = $1)", args![account]).await?;
    if !any || recipients.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = format!(
        "SELECT recipient, vars, vars_at, met_at, active_at, opted_out_at, opted_out_reason, wished_at \
         FROM contact WHERE account_id = $1 AND recipient IN ({})",
        places(2, recipients.len())
    );
    let found: Vec<Standing> = store.all(&statement, with(account, recipients.iter().copied())).await?;
    Ok(found.into_iter().map(|standing| (standing.recipient.clone(), standing)).collect())
}

/// `$first, …`, so many of them.
pub fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// The parameters of a statement with [`places`] from 2 on.
pub fn with<'a>(first: i64, texts: impl Iterator<Item = &'a str>) -> Vec<Value> {
    std::iter::once(Value::from(first)).chain(texts.map(Value::from)).collect()
}

/// Locks an account that is there.
async fn lock_known<S: Store>(store: &mut S, key: &AccountKey) -> sqlx::Result<Option<i64>> {
    let found: Option<(i64,)> = store
        .optional(
            "UPDATE account SET rate_messages = rate_messages \
             WHERE namespace = $1 AND provider = $2 AND account = $3 AND host = $4 RETURNING id",
            args![&key.namespace, &key.provider, &key.account, &key.host],
        )
        .await?;
    Ok(found.map(|(id,)| id))
}

async fn write<S: Store>(store: &mut S, account: i64, changed: &[Standing], unswept: bool) -> sqlx::Result<()> {
    for rows in changed.chunks(WRITTEN_AT_ONCE) {
        let row = |place: usize| format!("($1, {}, $2)", places(3 + place * 8, 8));
        let statement = format!(
            "INSERT INTO contact (account_id, recipient, vars, vars_at, met_at, active_at, opted_out_at, opted_out_reason, \
             wished_at, unswept) VALUES {} ON CONFLICT (account_id, recipient) DO UPDATE SET vars = excluded.vars, \
             vars_at = excluded.vars_at, active_at = excluded.active_at, opted_out_at = excluded.opted_out_at, \
             opted_out_reason = excluded.opted_out_reason, wished_at = excluded.wished_at, unswept = contact.unswept OR excluded.unswept",
            (0..rows.len()).map(row).collect::<Vec<_>>().join(", ")
        );
        let mut values = args![account, unswept];
        for row in rows {
            values.extend(args![
                &row.recipient,
                &row.vars,
                row.vars_at,
                row.met_at,
                row.active_at,
                row.opted_out_at,
                &row.opted_out_reason,
                row.wished_at
            ]);
        }
        store.run(&statement, values).await?;
    }
    Ok(())
}

/// The tags of these recipients.
pub async fn tags_of<S: Store>(
    store: &mut S,
    account: i64,
    recipients: &[&str],
) -> sqlx::Result<HashMap<String, BTreeSet<String>>> {
    let mut tags: HashMap<String, BTreeSet<String>> = HashMap::new();
    if recipients.is_empty() {
        return Ok(tags);
    }
    for (recipient, tag) in store.tags(account, recipients).await? {
        tags.entry(recipient).or_default().insert(tag);
    }
    Ok(tags)
}

/// Adds tags to contacts; returns how many are new to each of them.
async fn add_tags<S: Store>(
    store: &mut S,
    account: i64,
    wanted: &BTreeMap<&str, BTreeSet<&str>>,
) -> sqlx::Result<Refused<BTreeMap<String, u64>>> {
    let recipients: Vec<&str> = wanted.keys().copied().collect();
    let known = tags_of(store, account, &recipients).await?;
    let mut added: BTreeMap<String, u64> = BTreeMap::new();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (recipient, tags) in wanted {
        let have = known.get(*recipient);
        let new: Vec<&str> = tags.iter().copied().filter(|tag| !have.is_some_and(|have| have.contains(*tag))).collect();
        if !new.is_empty() && have.map_or(0, BTreeSet::len) + new.len() > MAX_TAGS_OF_CONTACT {
            let problem = format!("a contact would have more than {MAX_TAGS_OF_CONTACT} tags");
            return Ok(Err(LedgerError::ContactInvalid { problem }));
        }
        if !new.is_empty() {
            added.insert((*recipient).to_owned(), new.len() as u64);
        }
        pairs.extend(new.into_iter().map(|tag| (*recipient, tag)));
    }
    for pairs in pairs.chunks(WRITTEN_AT_ONCE) {
        let pair = |place: usize| format!("($1, {})", places(2 + place * 2, 2));
        let statement = format!(
            "INSERT INTO tag (account_id, recipient, tag) VALUES {}",
            (0..pairs.len()).map(pair).collect::<Vec<_>>().join(", ")
        );
        store.run(&statement, with(account, pairs.iter().flat_map(|(recipient, tag)| [*recipient, *tag]))).await?;
    }
    Ok(Ok(added))
}

pub async fn import<S: Store>(store: &mut S, key: &AccountKey, rows: &[ContactRow]) -> sqlx::Result<Refused<Imported>> {
    let account = lock_account(store, key, NO_RATE).await?;
    let now = store.now().await?;
    let mut people: BTreeMap<&str, Vec<&ContactRow>> = BTreeMap::new();
    let mut tags: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        people.entry(&row.recipient).or_default().push(row);
        if !row.tags.is_empty() {
            tags.entry(&row.recipient).or_default().extend(row.tags.iter().map(String::as_str));
        }
    }
    let recipients: Vec<&str> = people.keys().copied().collect();
    let known = known_among(store, account, &recipients).await?;
    let tagged = match add_tags(store, account, &tags).await? {
        Ok(tagged) => tagged,
        Err(refused) => return Ok(Err(refused)),
    };
    let mut imported = Imported { tagged: tagged.len() as u64, ..Imported::default() };
    let (mut written, mut gone) = (Vec::new(), Vec::new());
    for (recipient, rows) in people {
        let before = known.get(recipient);
        let so_far = before.cloned().unwrap_or_else(|| Standing::new(recipient, now));
        let after = rows.into_iter().try_fold(so_far, |known, row| imported_over(known, row, now))?;
        match before {
            None => imported.new += 1,
            Some(before) if is_as_before(before, &after) && !tagged.contains_key(recipient) => imported.same += 1,
            Some(_) => imported.changed += 1,
        }
        let opts_out = after.opted_out_at.is_some() && before.is_none_or(|before| before.opted_out_at.is_none());
        if opts_out {
            gone.push(after);
        } else if before != Some(&after) {
            written.push(after);
        }
    }
    write(store, account, &written, false).await?;
    let is_newly_active =
        |one: &Standing| one.active_at > known.get(&one.recipient).and_then(|before| before.active_at);
    written.retain(|one| is_newly_active(one) && has_window(&key.provider, &one.recipient));
    reopen(store, account, &written, now).await?;
    write(store, account, &gone, true).await?;
    imported.opted_out = gone.len() as u64;
    if !gone.is_empty() {
        imported.skipped = opt_outs::sweep_all(store, account).await?;
    }
    Ok(Ok(imported))
}

/// Of which time variables and wishes are is nothing that anybody sees, and neither is an activity among them: the contact's own
/// stands in its place.
fn is_as_before(before: &Standing, after: &Standing) -> bool {
    let shown = |vars: &str| {
        let mut vars: BTreeMap<String, String> = serde_json::from_str(vars).unwrap_or_default();
        vars.remove(LAST_ACTIVE_TIME);
        vars
    };
    let unseen = Standing { vars_at: before.vars_at, wished_at: before.wished_at, ..before.clone() };
    unseen
        == Standing { vars: before.vars.clone(), vars_at: before.vars_at, wished_at: before.wished_at, ..after.clone() }
        && (before.vars == after.vars || shown(&before.vars) == shown(&after.vars))
}

fn imported_over(known: Standing, row: &ContactRow, now: Timestamp) -> sqlx::Result<Standing> {
    let told = row.vars.get(LAST_ACTIVE_TIME).and_then(|text| activity::parse(text));
    let active_at = row.active_at.max(told).map(|at| at.min(now).0).max(known.active_at);
    let known = match &row.opted_out {
        Some(reason) => known.opted_out(now.0, reason),
        None => known,
    };
    if row.vars.is_empty() {
        return Ok(Standing { active_at, ..known });
    }
    Ok(Standing { vars: json(&row.vars)?, vars_at: now.0, active_at, ..known })
}

pub async fn tag<S: Store>(
    store: &mut S,
    key: &AccountKey,
    recipients: &[String],
    tags: &[String],
) -> sqlx::Result<Refused<u64>> {
    let account = lock_account(store, key, NO_RATE).await?;
    let now = store.now().await?;
    let known = known_among(store, account, &recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let names: BTreeSet<&str> = recipients.iter().map(String::as_str).collect();
    let new: Vec<Standing> =
        names.iter().filter(|name| !known.contains_key(**name)).map(|name| Standing::new(name, now)).collect();
    write(store, account, &new, false).await?;
    let tags: BTreeSet<&str> = tags.iter().map(String::as_str).collect();
    let wanted = names.into_iter().map(|name| (name, tags.clone())).collect();
    Ok(add_tags(store, account, &wanted).await?.map(|added| added.values().sum()))
}

pub async fn untag<S: Store>(
    store: &mut S,
    key: &AccountKey,
    recipients: &[String],
    tags: &[String],
) -> sqlx::Result<u64> {
    let Some(account) = lock_known(store, key).await? else { return Ok(0) };
    if recipients.is_empty() || tags.is_empty() {
        return Ok(0);
    }
    let statement = format!(
        "DELETE FROM tag WHERE account_id = $1 AND recipient IN ({}) AND tag IN ({})",
        places(2, recipients.len()),
        places(2 + recipients.len(), tags.len())
    );
    store.run(&statement, with(account, recipients.iter().chain(tags).map(String::as_str))).await
}

pub async fn opt_out<S: Store>(
    store: &mut S,
    key: &AccountKey,
    recipients: &[String],
    reason: &str,
) -> sqlx::Result<OptedOut> {
    let account = lock_account(store, key, NO_RATE).await?;
    let now = store.now().await?;
    let known = known_among(store, account, &recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let names: BTreeSet<&str> = recipients.iter().map(String::as_str).collect();
    let (mut gone, mut known_gone) = (Vec::new(), Vec::new());
    for name in names {
        let before = known.get(name).cloned().unwrap_or_else(|| Standing::new(name, now));
        let those = if before.opted_out_at.is_none() { &mut gone } else { &mut known_gone };
        those.push(before.opted_out(now.0, reason));
    }
    write(store, account, &known_gone, false).await?;
    write(store, account, &gone, true).await?;
    let skipped = opt_outs::sweep_all(store, account).await?;
    Ok(OptedOut { new: gone.len() as u64, skipped })
}

pub async fn opt_in<S: Store>(store: &mut S, key: &AccountKey, recipients: &[String]) -> sqlx::Result<u64> {
    let Some(account) = lock_known(store, key).await? else { return Ok(0) };
    if recipients.is_empty() {
        return Ok(0);
    }
    let now = store.now().await?;
    let known = known_among(store, account, &recipients.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let are_out = known.into_values().filter(|standing| standing.opted_out_at.is_some());
    let back: Vec<Standing> = are_out.map(|standing| standing.opted_in(now.0)).collect();
    take_back(store, account, &back).await?;
    Ok(back.len() as u64)
}

/// Lets people have messages again.
async fn take_back<S: Store>(store: &mut S, account: i64, back: &[Standing]) -> sqlx::Result<()> {
    if back.is_empty() {
        return Ok(());
    }
    // Whoever has opted out until now was not messaged: what is pending for them is skipped first.
    opt_outs::sweep_all(store, account).await?;
    let recipients: Vec<&str> = back.iter().map(|standing| standing.recipient.as_str()).collect();
    bar_resends(store, account, &recipients).await?;
    write(store, account, back, false).await
}

/// What people told of their wishes, perhaps late and in any order: what is older than what is known of somebody changes
/// nothing, nor does what was told before.
pub async fn wish<S: Store>(store: &mut S, key: &AccountKey, wishes: &[Wish]) -> sqlx::Result<()> {
    let account = lock_account(store, key, NO_RATE).await?;
    let now = store.now().await?;
    let wishes = wishes::new_among(store, account, wishes, now).await?;
    let wishes = Wish::latest(&wishes);
    let recipients: Vec<&str> = wishes.iter().map(|wish| wish.recipient.as_str()).collect();
    let known = known_among(store, account, &recipients).await?;
    let (mut gone, mut back, mut as_before) = (Vec::new(), Vec::new(), Vec::new());
    for Wish { recipient, opts_out, at, .. } in wishes {
        // A provider's clock that is ahead tells nothing of the future.
        let at = (*at).min(now).0;
        let before = known.get(recipient).cloned().unwrap_or_else(|| Standing::new(recipient, now));
        if !before.is_news(*opts_out, at, now) {
            continue;
        }
        match (before.opted_out_at.is_some(), *opts_out) {
            (false, true) => gone.push(before.opted_out(at, OPTED_OUT)),
            (true, true) => as_before.push(before.opted_out(at, OPTED_OUT)),
            (true, false) => back.push(before.opted_in(at)),
            (false, false) => as_before.push(before.opted_in(at)),
        }
    }
    take_back(store, account, &back).await?;
    write(store, account, &as_before, false).await?;
    write(store, account, &gone, true).await?;
    if !gone.is_empty() {
        opt_outs::sweep_all(store, account).await?;
    }
    Ok(())
}

/// Who has opted out until now was not resent to, and is not from now on: nobody knows whether they got the message, and
/// they have asked for none since.
async fn bar_resends<S: Store>(store: &mut S, account: i64, recipients: &[&str]) -> sqlx::Result<()> {
    let resending: Vec<(i64,)> = store
        .all(
            "SELECT id FROM broadcast WHERE account_id = $1 AND resend_unknown AND unknown > 0 AND NOT cancelled",
            args![account],
        )
        .await?;
    let statement = format!(
        "UPDATE delivery SET resend_barred = TRUE WHERE broadcast_id = $1 AND seq IN ( \
             SELECT (SELECT seq FROM delivery AS theirs{} WHERE theirs.broadcast_id = $1 \
                     AND theirs.recipient = contact.recipient AND theirs.state = 5) \
             FROM contact WHERE contact.account_id = $2 AND contact.opted_out_at IS NOT NULL \
             AND contact.recipient IN ({}))",
        S::indexed_by("delivery_recipient"),
        places(3, recipients.len())
    );
    for (id,) in resending {
        store
            .run(
                &statement,
                args![id, account].into_iter().chain(recipients.iter().map(|one| Value::from(*one))).collect(),
            )
            .await?;
    }
    Ok(())
}

pub async fn heard_from<S: Store>(store: &mut S, key: &AccountKey, heard: &[(String, Timestamp)]) -> sqlx::Result<()> {
    let account = lock_account(store, key, NO_RATE).await?;
    let now = store.now().await?;
    let mut latest: BTreeMap<&str, i64> = BTreeMap::new();
    for (recipient, at) in heard {
        let entry = latest.entry(recipient).or_insert(i64::MIN);
        *entry = (*entry).max((*at).min(now).0);
    }
    let known = known_among(store, account, &latest.keys().copied().collect::<Vec<_>>()).await?;
    let mut written = Vec::new();
    for (recipient, at) in latest {
        let before = known.get(recipient).cloned().unwrap_or_else(|| Standing::new(recipient, now));
        if before.active_at < Some(at) {
            written.push(Standing { active_at: Some(at), ..before });
        }
    }
    write(store, account, &written, false).await?;
    written.retain(|one| has_window(&key.provider, &one.recipient));
    reopen(store, account, &written, now).await
}

/// Lets what is pending for people know that they were active. Broadcasts that are planned or may be are locked with those that
/// are open, in the order in which opting out locks them: a planner that has looked its chunk up before this has written it by
/// then, and one that comes later sees it. Who is unknown where that is resent, and whose window has closed since, was given up
/// and stays so.
async fn reopen<S: Store>(store: &mut S, account: i64, people: &[Standing], now: Timestamp) -> sqlx::Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    let open = format!(
        "SELECT id, CASE WHEN resend_unknown THEN reply_window END FROM broadcast \
         WHERE account_id = $1 AND reply_window IS NOT NULL AND NOT cancelled \
         AND (first_attempt_at IS NULL OR pending + inflight + unknown > 0) ORDER BY id{}",
        S::FOR_UPDATE
    );
    let open: Vec<(i64, Option<i64>)> = store.all(&open, args![account]).await?;
    let statement = format!(
        "UPDATE delivery SET active_at = (SELECT contact.active_at FROM contact \
             WHERE contact.account_id = $2 AND contact.recipient = delivery.recipient) \
         WHERE broadcast_id = $1 AND seq IN ( \
             SELECT (SELECT seq FROM delivery AS theirs{} WHERE theirs.broadcast_id = $1 \
                     AND theirs.recipient = contact.recipient AND (theirs.state IN (0, 1) OR (theirs.state = 5 \
                          AND (theirs.active_at IS NULL OR theirs.active_at > $3))) \
                     AND (theirs.active_at IS NULL OR theirs.active_at < contact.active_at)) \
             FROM contact WHERE contact.account_id = $2 AND contact.recipient IN ({}))",
        S::indexed_by("delivery_recipient"),
        places(4, people.len())
    );
    for (id, resent_within) in open {
        let given_up_until = resent_within.map_or(i64::MIN, |window| now.0 - window);
        let recipients = people.iter().map(|person| Value::from(&person.recipient));
        store.run(&statement, args![id, account, given_up_until].into_iter().chain(recipients).collect()).await?;
    }
    Ok(())
}
