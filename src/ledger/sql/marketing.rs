//! Who has stopped marketing messages: contacts with a tag, whom planning leaves out of what may be marketing.
//!
//! Planning alone: between a plan and its messages WhatsApp refuses them by itself, so nobody is messaged against their wish,
//! and no statement that takes recipients has to ask for it.

use std::collections::HashSet;

use super::contacts::{NO_RATE, places, with};
use super::declare::lock_account;
use super::rows::{self, BroadcastRow};
use super::store::Store;
use super::value::{Value, args};
use crate::api::Content;
use crate::api::channel::ChannelProvider;
use crate::delivery::time::Timestamp;
use crate::ledger::declaration::AccountKey;
use crate::ledger::people::Wish;
use crate::provider::whatsapp::marketing::{MARKETING_STOPPED_TAG, is_for_those_who_stopped};

/// So many people are written by one statement: far below what one may have of parameters.
const WRITTEN_AT_ONCE: usize = 250;

/// Marks recipients of a locked broadcast, by their sequence numbers, of whom a call-back told it; two statements where there are
/// any. They are met by it. Whoever an answer refuses for it is marked as it is recorded.
pub async fn stop<S: Store>(store: &mut S, broadcast: &BroadcastRow, seqs: &[i64], now: Timestamp) -> sqlx::Result<()> {
    for seqs in seqs.chunks(WRITTEN_AT_ONCE) {
        let who = format!("FROM delivery WHERE broadcast_id = $1 AND seq IN ({})", places(4, seqs.len()));
        let met = format!(
            "INSERT INTO contact (account_id, recipient, vars, vars_at, met_at) \
             SELECT CAST($2 AS BIGINT), recipient, '{{}}', 0, CAST($3 AS BIGINT) {who} ON CONFLICT DO NOTHING"
        );
        let marked = format!(
            "INSERT INTO tag (account_id, recipient, tag) \
             SELECT CAST($2 AS BIGINT), recipient, CAST($3 AS TEXT) {who} ON CONFLICT DO NOTHING"
        );
        let numbers = || seqs.iter().copied().map(Value::from);
        store.run(&met, args![broadcast.id, broadcast.account_id, now].into_iter().chain(numbers()).collect()).await?;
        let marks = args![broadcast.id, broadcast.account_id, MARKETING_STOPPED_TAG];
        store.run(&marked, marks.into_iter().chain(numbers()).collect()).await?;
    }
    Ok(())
}

/// What people told of it. Calls come late and in any order, and a tag has no time: where an older resumption undoes a newer
/// stop, WhatsApp refuses the next message, and that stops them again.
pub async fn wish<S: Store>(store: &mut S, key: &AccountKey, wishes: &[Wish]) -> sqlx::Result<()> {
    let account = lock_account(store, key, NO_RATE).await?;
    let now = store.now().await?;
    let (stopped, resumed): (Vec<&Wish>, Vec<&Wish>) = wishes.iter().partition(|wish| wish.opts_out);
    let recipients = |wishes: &[&Wish]| wishes.iter().map(|wish| Value::from(&wish.recipient)).collect::<Vec<_>>();
    for stopped in stopped.chunks(WRITTEN_AT_ONCE) {
        let rows = |row: fn(usize) -> String| (3..3 + stopped.len()).map(row).collect::<Vec<_>>().join(", ");
        let met = format!(
            "INSERT INTO contact (account_id, recipient, vars, vars_at, met_at) VALUES {} ON CONFLICT DO NOTHING",
            rows(|place| format!("($1, ${place}, '{{}}', 0, $2)"))
        );
        store.run(&met, args![account, now].into_iter().chain(recipients(stopped)).collect()).await?;
        let marked = format!(
            "INSERT INTO tag (account_id, recipient, tag) VALUES {} ON CONFLICT DO NOTHING",
            rows(|place| format!("($1, ${place}, $2)"))
        );
        let marks = args![account, MARKETING_STOPPED_TAG];
        store.run(&marked, marks.into_iter().chain(recipients(stopped)).collect()).await?;
    }
    for resumed in resumed.chunks(WRITTEN_AT_ONCE) {
        let statement = format!(
            "DELETE FROM tag WHERE account_id = $1 AND tag = $2 AND recipient IN ({})",
            places(3, resumed.len())
        );
        let marks = args![account, MARKETING_STOPPED_TAG];
        store.run(&statement, marks.into_iter().chain(recipients(resumed)).collect()).await?;
    }
    Ok(())
}

/// Who of a chunk is left out of a plan for it.
pub async fn left_out<S: Store>(
    store: &mut S,
    broadcast: &BroadcastRow,
    provider: &str,
    recipients: &[&str],
) -> sqlx::Result<HashSet<String>> {
    let is_whatsapp = provider == ChannelProvider::WhatsApp.member();
    if !is_whatsapp || recipients.is_empty() || is_for_those_who_stopped(&rows::parsed::<Content>(&broadcast.content)?)
    {
        return Ok(HashSet::new());
    }
    let statement = format!(
        "SELECT recipient FROM tag WHERE account_id = $1 AND tag = $2 AND recipient IN ({})",
        places(3, recipients.len())
    );
    let tagged = std::iter::once(MARKETING_STOPPED_TAG).chain(recipients.iter().copied());
    let found: Vec<(String,)> = store.all(&statement, with(broadcast.account_id, tagged)).await?;
    Ok(found.into_iter().map(|(recipient,)| recipient).collect())
}
