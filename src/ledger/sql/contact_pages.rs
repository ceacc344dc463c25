//! Contacts of an account page by page, for audiences and for people.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;

use super::contacts;
use super::rows;
use super::store::Store;
use super::value::{Value, args};
use crate::api::audience::ContactsSource;
use crate::delivery::activity::{self, LAST_ACTIVE_TIME};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::audience::MAX_LOOKED_THROUGH;
use crate::ledger::contacts::{
    Contact, ContactsFilter, ContactsPage, MAX_CONTACTS_PAGE, MAX_CONTACTS_PAGE_BYTES, OptOut,
};
use crate::ledger::declaration::AccountKey;
use crate::ledger::plan::PlanRow;

/// A page is looked for in so many slices, each by a statement of its own: a contact may have half a megabyte of variables.
const SLICES: u32 = 10;

/// Whom a page is looked for.
pub struct Search<'a> {
    pub account: i64,
    pub after: &'a str,
    pub source: &'a ContactsSource,
    pub opted_out: bool,
    /// What `activeWithinSeconds` counts back from.
    pub now: Timestamp,
    pub limit: u32,
    /// So many people at most are looked at for it.
    pub looked_through: i64,
}

#[derive(FromRow)]
pub struct FoundContact {
    pub recipient: String,
    vars: String,
    met_at: i64,
    active_at: Option<i64>,
    opted_out_at: Option<i64>,
    opted_out_reason: Option<String>,
}

impl FoundContact {
    fn vars(&self) -> sqlx::Result<BTreeMap<String, String>> {
        let mut vars: BTreeMap<String, String> = rows::parsed(&self.vars)?;
        // What the variables came with may be old by now.
        if let Some(at) = self.active_at {
            vars.insert(LAST_ACTIVE_TIME.to_owned(), activity::shown(Timestamp(at)));
        }
        Ok(vars)
    }

    pub fn into_plan_row(self) -> sqlx::Result<PlanRow> {
        Ok(PlanRow { vars: self.vars()?, recipient: self.recipient })
    }

    fn into_contact(self, tags: BTreeSet<String>) -> sqlx::Result<Contact> {
        let vars = self.vars()?;
        let opted_out =
            self.opted_out_at.map(|at| OptOut { at: Timestamp(at), reason: self.opted_out_reason.unwrap_or_default() });
        let (met_at, active_at) = (Timestamp(self.met_at), self.active_at.map(Timestamp));
        Ok(Contact { recipient: self.recipient, vars, met_at, active_at, opted_out, tags })
    }
}

/// Some of them, and after whom the next page begins. Where tags are asked for, those who have the first of them are looked
/// through, else everybody.
pub async fn find<S: Store>(store: &mut S, search: &Search<'_>) -> sqlx::Result<(Vec<FoundContact>, Option<String>)> {
    let (statement, values) = statement(search);
    let found: Vec<FoundContact> = store.all(&statement, values).await?;
    if found.len() == search.limit as usize {
        let last = found.last().map(|contact| contact.recipient.clone());
        return Ok((found, last));
    }
    // Fewer than a page among those that were looked through: there may be more behind the last of them.
    let (table, tag) = looked_through(search.source);
    let statement = format!(
        "SELECT recipient FROM {table} WHERE account_id = $1 AND recipient > $2{tag} \
         ORDER BY recipient LIMIT 1 OFFSET $3"
    );
    let mut values = args![search.account, search.after, search.looked_through - 1];
    values.extend(search.source.tags.first().map(Value::from));
    let last: Option<(String,)> = store.optional(&statement, values).await?;
    Ok((found, last.map(|(recipient,)| recipient)))
}

/// The table, and the condition on it, with its tag as `$4`.
fn looked_through(source: &ContactsSource) -> (&'static str, &'static str) {
    if source.tags.is_empty() { ("contact", "") } else { ("tag", " AND tag = $4") }
}

/// The contacts of those who have a tag, each looked up by their key. `CROSS JOIN` keeps SQLite to that order. The lower bound is
/// said again of the contacts for PostgreSQL, which may go through both in order and would begin with the first of all.
const OF_TAG: &str = " AND contact.account_id = $1 AND contact.recipient = tag.recipient AND contact.recipient > $2";

/// The table is walked in the order of its key, which needs no sorting, and no further than where enough are found.
fn statement(search: &Search<'_>) -> (String, Vec<Value>) {
    let ContactsSource { tags, without_tags, active_within_seconds } = search.source;
    let (table, first) = looked_through(search.source);
    let mut values = args![search.account, search.after, search.looked_through];
    values.extend(tags.first().map(Value::from));
    let mut place = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let mut conditions = String::new();
    if !search.opted_out {
        conditions.push_str(" AND contact.opted_out_at IS NULL");
    }
    if let Some(seconds) = active_within_seconds {
        let since = search.now - Span::from_secs(i64::from(*seconds));
        conditions.push_str(&format!(" AND contact.active_at >= {}", place(since.into())));
    }
    let others = tags.iter().skip(1).map(|tag| (tag, "NOT NULL"));
    for (tag, is) in others.chain(without_tags.iter().map(|tag| (tag, "NULL"))) {
        let tag = place(tag.into());
        conditions.push_str(&format!(
            " AND (SELECT 1 FROM tag WHERE tag.account_id = $1 AND tag.tag = {tag} \
             AND tag.recipient = contact.recipient) IS {is}"
        ));
    }
    let limit = place(search.limit.into());
    let (join, of_tag) = if tags.is_empty() { ("", "") } else { (" CROSS JOIN contact", OF_TAG) };
    let statement = format!(
        "SELECT contact.recipient, contact.vars, contact.met_at, contact.active_at, contact.opted_out_at, \
         contact.opted_out_reason FROM {table}{join} \
         WHERE {table}.account_id = $1 AND {table}.recipient > $2{first} AND {table}.recipient <= ( \
             SELECT max(recipient) FROM (SELECT recipient FROM {table} WHERE account_id = $1 AND recipient > $2{first} \
                                         ORDER BY recipient LIMIT $3) AS looked) \
         {of_tag}{conditions} ORDER BY {table}.recipient LIMIT {limit}"
    );
    (statement, values)
}

pub async fn page<S: Store>(
    store: &mut S,
    key: &AccountKey,
    after: Option<&str>,
    filter: &ContactsFilter,
) -> sqlx::Result<ContactsPage> {
    let account: Option<(i64,)> = store
        .optional(
            "SELECT id FROM account WHERE namespace = $1 AND provider = $2 AND account = $3 AND host = $4",
            args![&key.namespace, &key.provider, &key.account, &key.host],
        )
        .await?;
    let Some((account,)) = account else { return Ok(ContactsPage::default()) };
    let now = store.now().await?;
    let mut page = ContactsPage { contacts: Vec::new(), next: after.map(str::to_owned) };
    let mut bytes = 0;
    for _ in 0..SLICES {
        let search = Search {
            account,
            after: page.next.as_deref().unwrap_or_default(),
            source: &filter.source,
            opted_out: filter.opted_out,
            now,
            limit: MAX_CONTACTS_PAGE / SLICES,
            looked_through: MAX_LOOKED_THROUGH / i64::from(SLICES),
        };
        let (found, next) = find(store, &search).await?;
        bytes += found.iter().map(|contact| contact.recipient.len() + contact.vars.len()).sum::<usize>();
        page.contacts.extend(with_tags(store, account, found).await?);
        page.next = next;
        if page.next.is_none() || bytes >= MAX_CONTACTS_PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

async fn with_tags<S: Store>(store: &mut S, account: i64, found: Vec<FoundContact>) -> sqlx::Result<Vec<Contact>> {
    let recipients: Vec<&str> = found.iter().map(|contact| contact.recipient.as_str()).collect();
    let mut tags = contacts::tags_of(store, account, &recipients).await?;
    let contacts = found.into_iter().map(|contact| {
        let tags = tags.remove(&contact.recipient).unwrap_or_default();
        contact.into_contact(tags)
    });
    contacts.collect()
}
