//! What providers tell by call-backs of messages: proof that they were taken, and receipts. A call that comes twice, late, or
//! of a message of another account changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::FromRow;

use super::marketing;
use super::opened::{self, Opened};
use super::record::{Evidence, record};
use super::store::Store;
use super::value::{Value, args};
use crate::delivery::outcome::{MAX_FAULT_CODE, MAX_PROVIDER_ID, Outcome, is_reason, plain};
use crate::delivery::provider_event::{News, ProviderEvent, Which, may_be};
use crate::delivery::receipt::{Receipt, ReceiptCounts};
use crate::delivery::recipient::RecipientState;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::declaration::AccountKey;
use crate::ledger::exchange::{BroadcastId, Report};
use crate::ledger::receipts::{EARLY_KEPT_FOR, Received};
use crate::provider::callback::UNDELIVERED;

/// So many events change the ledger in one transaction: the account's senders wait for it.
pub const SLICE: usize = 200;

/// A message that is told of without our correlation is looked for in so many broadcasts of its account, those that sent
/// last, and only in ones that sent within this time.
const BROADCASTS_LOOKED_AT: i64 = 64;
const LOOKED_BACK: Span = Span::from_secs(30 * 24 * 60 * 60);

/// So much later than its slot may a message have reached the provider, by its clock.
const CLOCK_SKEW: Span = Span::from_secs(2);

/// One thing that is told of one recipient of a broadcast.
#[derive(Clone, Debug)]
pub struct Told {
    seq: i64,
    /// Of our correlation; `None` where the row was found otherwise.
    attempt: Option<u32>,
    /// The same.
    part: Option<u32>,
    recipient: Option<String>,
    provider_id: Option<String>,
    news: News,
    at: Timestamp,
}

impl Told {
    /// As it is kept where it comes too early.
    fn as_kept(&self, which: &Which) -> ProviderEvent {
        let which = match which {
            Which::One { .. } => Which::One { correlation: None, provider_id: self.provider_id.clone() },
            Which::UpTo(until) => Which::UpTo(*until),
        };
        ProviderEvent::Message { which, recipient: self.recipient.clone(), news: self.news.clone(), at: self.at }
    }
}

/// Which broadcasts are told of.
#[derive(Debug, Default)]
pub struct Found {
    pub account: i64,
    pub broadcasts: BTreeMap<i64, Vec<Told>>,
    /// Of messages that may be on their way: what is told of them is worth another look. Cut to what is kept.
    pub early: Vec<ProviderEvent>,
    /// Messages that are not found.
    pub nothing: u32,
}

#[derive(FromRow)]
struct Candidate {
    broadcast_id: i64,
    seq: i64,
    recipient: String,
    state: i64,
    attempt: i64,
    heard: i64,
    slot: Option<i64>,
    provider_id: Option<String>,
}

impl Candidate {
    /// Whether what is told may be of its latest attempt, of which nobody has told the outcome yet.
    fn is_awaited(&self, which: &Which, now: Timestamp) -> bool {
        let states = [RecipientState::Inflight, RecipientState::Unknown];
        let is_open = states.iter().any(|state| state.code() == self.state);
        let begun = self.slot.map(Timestamp).filter(|slot| *slot > now - EARLY_KEPT_FOR);
        let may_be_meant = |slot| match which {
            Which::One { .. } => true,
            Which::UpTo(until) => slot <= *until + CLOCK_SKEW,
        };
        is_open && !self.is_meant(which) && begun.is_some_and(may_be_meant)
    }

    fn is_meant(&self, which: &Which) -> bool {
        let was_taken = self.state == RecipientState::Sent.code() || (self.heard > 0 && self.heard == self.attempt);
        match which {
            Which::One { provider_id, .. } => provider_id.is_some() && *provider_id == self.provider_id,
            Which::UpTo(until) => was_taken && self.slot.is_some_and(|slot| Timestamp(slot) <= *until + CLOCK_SKEW),
        }
    }
}

/// Finds the broadcasts that events tell of. Whether an attempt is the latest is seen when they are locked.
pub async fn find<S: Store>(store: &mut S, account: &AccountKey, events: &[ProviderEvent]) -> sqlx::Result<Found> {
    let AccountKey { namespace, provider, account, host } = account;
    let known: Option<(i64,)> = store
        .optional(
            "SELECT id FROM account WHERE namespace = $1 AND provider = $2 AND account = $3 AND host = $4",
            args![namespace, provider, account, host],
        )
        .await?;
    let mut found = Found::default();
    let Some((account,)) = known else {
        found.nothing = events.iter().filter(|event| matches!(event, ProviderEvent::Message { .. })).count() as u32;
        return Ok(found);
    };
    found.account = account;
    let now = store.now().await?;
    let candidates = candidates(store, account, events).await?;
    for event in events {
        let ProviderEvent::Message { which, recipient, news, at } = event else { continue };
        let provider_id = match which {
            Which::One { provider_id, .. } => provider_id.as_deref().map(|id| plain(id, MAX_PROVIDER_ID)),
            Which::UpTo(_) => None,
        };
        let told = Told {
            seq: 0,
            attempt: None,
            part: None,
            recipient: recipient.clone(),
            provider_id,
            news: cut(news),
            at: *at,
        };
        if let Which::One { correlation: Some(ours), .. } = which {
            let told = Told { seq: ours.seq, attempt: Some(ours.attempt), part: Some(ours.part), ..told };
            found.broadcasts.entry(ours.broadcast).or_default().push(told);
            continue;
        }
        let of_recipient = recipient.as_ref().and_then(|recipient| candidates.get(recipient));
        let of_recipient: Vec<&Candidate> = of_recipient.into_iter().flatten().collect();
        let meant: Vec<&Candidate> = of_recipient.iter().copied().filter(|row| row.is_meant(which)).collect();
        // One message is found or is not; what is told of everything until then may be of more than is found.
        let is_settled = matches!(which, Which::One { .. }) && !meant.is_empty();
        if !is_settled && of_recipient.iter().any(|row| row.is_awaited(which, now)) {
            found.early.push(told.as_kept(which));
        } else {
            found.nothing += u32::from(meant.is_empty());
        }
        for row in meant {
            found.broadcasts.entry(row.broadcast_id).or_default().push(Told { seq: row.seq, ..told.clone() });
        }
    }
    Ok(found)
}

/// Whatever a receiver says, a row holds only what fits.
fn cut(news: &News) -> News {
    let News::Undelivered { reason, code, marketing_stopped } = news else { return news.clone() };
    let reason = if is_reason(reason) { reason.clone() } else { UNDELIVERED.to_owned() };
    let code = code.as_deref().map(|code| plain(code, MAX_FAULT_CODE));
    News::Undelivered { reason, code, marketing_stopped: *marketing_stopped }
}

/// The recipients that are told of without our correlation, in the broadcasts that may be meant.
async fn candidates<S: Store>(
    store: &mut S,
    account: i64,
    events: &[ProviderEvent],
) -> sqlx::Result<BTreeMap<String, Vec<Candidate>>> {
    let mut wanted: Vec<&str> = events.iter().filter_map(without_correlation).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut found: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let since = store.now().await? - LOOKED_BACK;
    let recent: Vec<(i64,)> = store
        .all(
            "SELECT id FROM broadcast WHERE account_id = $1 AND flow_hungry_until > $2 \
             ORDER BY flow_hungry_until DESC LIMIT $3",
            args![account, since, BROADCASTS_LOOKED_AT],
        )
        .await?;
    let recent: Vec<String> = recent.into_iter().map(|(id,)| id.to_string()).collect();
    if recent.is_empty() {
        return Ok(found);
    }
    for recipients in wanted.chunks(SLICE) {
        let statement = format!(
            "SELECT broadcast_id, seq, recipient, state, attempt, heard, slot, provider_id FROM delivery{} \
             WHERE broadcast_id IN ({}) AND recipient IN ({})",
            S::indexed_by("delivery_recipient"),
            recent.join(", "),
            places(1, recipients.len())
        );
        let values = recipients.iter().map(|recipient| Value::from(*recipient)).collect();
        for row in store.all::<Candidate>(&statement, values).await? {
            found.entry(row.recipient.clone()).or_default().push(row);
        }
    }
    Ok(found)
}

fn without_correlation(event: &ProviderEvent) -> Option<&str> {
    match event {
        ProviderEvent::Message { which: Which::One { correlation: Some(_), .. }, .. } => None,
        ProviderEvent::Message { recipient, .. } => recipient.as_deref(),
        ProviderEvent::Person { .. } => None,
    }
}

/// `$from, …`: so many parameters.
fn places(from: usize, count: usize) -> String {
    (from..from + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

#[derive(Clone, Debug, FromRow, PartialEq)]
struct HeardRow {
    seq: i64,
    recipient: String,
    state: i64,
    attempt: i64,
    parts_done: i64,
    resend: bool,
    heard: i64,
    provider_id: Option<String>,
    delivered_at: Option<i64>,
    read_at: Option<i64>,
    undelivered_at: Option<i64>,
    undelivered_reason: Option<String>,
    undelivered_code: Option<String>,
}

/// Enters what is told of one broadcast; at most [`SLICE`] things.
pub async fn enter<S: Store>(store: &mut S, account: i64, id: BroadcastId, told: &[Told]) -> sqlx::Result<Received> {
    let nothing = Received { nothing: told.len() as u32, ..Received::default() };
    let Some(Opened { mut broadcast, now, .. }) = opened::open(store, id, "").await? else { return Ok(nothing) };
    if broadcast.account_id != account || broadcast.plan_sealed_at.is_none() {
        return Ok(nothing);
    }
    let before = standing(store, id, told).await?;
    let mut after = before.clone();
    let (mut received, mut reports, mut stopped) = (Received::default(), Vec::new(), BTreeSet::new());
    for told in told {
        let row = after.get_mut(&told.seq).filter(|row| row.is_meant(told));
        let Some(row) = row else {
            received.nothing += 1;
            continue;
        };
        let earlier = row.clone();
        let is_whole = row.is_whole(broadcast.parts());
        reports.extend(row.confirm(told));
        // What becomes of a part says nothing of the message before the last one.
        if is_whole {
            row.hear(told, now);
        }
        match *row == earlier {
            true => received.nothing += 1,
            false => received.news += 1,
        }
        if *row != earlier && row.is_undelivered_since_marketing_stopped(told) {
            stopped.insert(row.seq);
        }
    }
    let mut sums = ReceiptCounts::default();
    after.retain(|seq, row| before.get(seq) != Some(row));
    if after.is_empty() {
        return Ok(received);
    }
    for (seq, row) in &after {
        sums.shift(before.get(seq).map(HeardRow::receipt).unwrap_or_default(), row.receipt());
    }
    received.resolved = reports.len() as u32;
    record(store, &mut broadcast, &reports, now, Evidence::Heard).await?;
    write(store, id, after.values()).await?;
    count(store, id, &sums).await?;
    marketing::stop(store, &broadcast, &Vec::from_iter(stopped), now).await?;
    broadcast.save(store, None, now).await?;
    Ok(received)
}

async fn standing<S: Store>(store: &mut S, id: BroadcastId, told: &[Told]) -> sqlx::Result<BTreeMap<i64, HeardRow>> {
    let mut seqs: Vec<i64> = told.iter().map(|told| told.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let statement = format!(
        "SELECT seq, recipient, state, attempt, parts_done, resend, heard, provider_id, delivered_at, read_at, undelivered_at, \
         undelivered_reason, undelivered_code FROM delivery WHERE broadcast_id = $1 AND seq IN ({})",
        places(2, seqs.len())
    );
    let values = std::iter::once(Value::from(id.0)).chain(seqs.into_iter().map(Value::from)).collect();
    let rows: Vec<HeardRow> = store.all(&statement, values).await?;
    Ok(rows.into_iter().map(|row| (row.seq, row)).collect())
}

impl HeardRow {
    fn state(&self) -> Option<RecipientState> {
        RecipientState::from_code(self.state)
    }

    /// An attempt that was followed by another is past. One that is to be tried again is not: the provider may have taken what it
    /// answered with an error. The same goes for one that has ended by such an answer: it stays as it was counted, and what
    /// arrived all the same is told beside it. Of a part that was taken before, this says nothing new.
    fn is_meant(&self, told: &Told) -> bool {
        let may_be_taken = match self.state() {
            Some(RecipientState::Sent | RecipientState::Inflight | RecipientState::Unknown) => true,
            Some(RecipientState::Pending) => {
                self.resend || self.attempt > 0 && told.part.is_some_and(|part| i64::from(part) == self.parts_done)
            }
            Some(RecipientState::Failed | RecipientState::Skipped) => {
                let is_of_latest = told.part.map_or(self.parts_done == 0, |part| i64::from(part) == self.parts_done);
                self.attempt > 0 && is_of_latest && !matches!(told.news, News::Undelivered { .. })
            }
            None => false,
        };
        let is_latest = told.attempt.is_none_or(|attempt| i64::from(attempt) == self.attempt);
        let is_theirs = told.recipient.as_deref().is_none_or(|told| may_be(told, &self.recipient));
        may_be_taken && is_latest && is_theirs
    }

    /// The latest attempt is that of the last part.
    fn is_whole(&self, parts: u32) -> bool {
        self.state() == Some(RecipientState::Sent) || self.parts_done + 1 >= i64::from(parts)
    }

    /// The provider tells of the latest attempt: it was taken. Of one that is on its way it is kept, whatever its sender tells
    /// or does not tell; of one that nobody knew the end of, this is the end. Who has failed or was skipped stays so.
    fn confirm(&mut self, told: &Told) -> Option<Report> {
        told.attempt?;
        let is_open = self.state() != Some(RecipientState::Sent);
        // What there is may be that of an earlier part.
        if told.provider_id.is_some() && (is_open || self.provider_id.is_none()) {
            self.provider_id.clone_from(&told.provider_id);
        }
        if !is_open || self.heard == self.attempt {
            return None;
        }
        self.heard = self.attempt;
        let outcome = Outcome::Accepted { provider_id: self.provider_id.clone() };
        let report = Report { seq: self.seq, attempt: self.attempt as u32, outcome, took_ms: None };
        matches!(self.state(), Some(RecipientState::Unknown | RecipientState::Pending)).then_some(report)
    }

    fn is_undelivered_since_marketing_stopped(&self, told: &Told) -> bool {
        self.undelivered_at.is_some() && matches!(told.news, News::Undelivered { marketing_stopped: true, .. })
    }

    fn receipt(&self) -> Receipt {
        let at = |at: Option<i64>| at.map(Timestamp);
        Receipt {
            delivered_at: at(self.delivered_at),
            read_at: at(self.read_at),
            undelivered_at: at(self.undelivered_at),
        }
    }

    /// A provider's clock that is ahead tells nothing of the future.
    fn hear(&mut self, told: &Told, now: Timestamp) {
        let after = self.receipt().hear(&told.news, told.at.min(now));
        self.delivered_at = after.delivered_at.map(|at| at.0);
        self.read_at = after.read_at.map(|at| at.0);
        self.undelivered_at = after.undelivered_at.map(|at| at.0);
        match &told.news {
            News::Undelivered { reason, code, .. } if self.undelivered_at.is_some() => {
                self.undelivered_reason.get_or_insert_with(|| reason.clone());
                self.undelivered_code = self.undelivered_code.take().or_else(|| code.clone());
            }
            _ if self.undelivered_at.is_none() => {
                (self.undelivered_reason, self.undelivered_code) = (None, None);
            }
            _ => {}
        }
    }
}

/// The columns that are written, with their kinds: PostgreSQL wants to know of what there is none.
const COLUMNS: [(&str, &str); 9] = [
    ("broadcast", "BIGINT"),
    ("seq", "BIGINT"),
    ("heard", "BIGINT"),
    ("provider_id", "TEXT"),
    ("delivered_at", "BIGINT"),
    ("read_at", "BIGINT"),
    ("undelivered_at", "BIGINT"),
    ("undelivered_reason", "TEXT"),
    ("undelivered_code", "TEXT"),
];

/// Writes rows back in one statement. Their states are `record`'s.
async fn write<S: Store>(store: &mut S, id: BroadcastId, rows: impl Iterator<Item = &HeardRow>) -> sqlx::Result<()> {
    let (mut tuples, mut values) = (Vec::new(), Vec::new());
    for row in rows {
        let next = values.len() + 1;
        let columns = COLUMNS.iter().enumerate();
        let casts: Vec<String> = columns.map(|(at, (_, kind))| format!("CAST(${} AS {kind})", next + at)).collect();
        tuples.push(format!("({})", casts.join(", ")));
        values.extend(args![
            id.0,
            row.seq,
            row.heard,
            &row.provider_id,
            row.delivered_at,
            row.read_at,
            row.undelivered_at,
            &row.undelivered_reason,
            &row.undelivered_code,
        ]);
    }
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let sets: Vec<String> = names[2..].iter().map(|name| format!("{name} = told.{name}")).collect();
    // The broadcast's number is part of each row: as a parameter it would let SQLite walk over the broadcast instead.
    let statement = format!(
        "WITH told ({}) AS (VALUES {}) UPDATE delivery SET {} FROM told \
         WHERE delivery.broadcast_id = told.broadcast AND delivery.seq = told.seq",
        names.join(", "),
        tuples.join(", "),
        sets.join(", ")
    );
    store.run(&statement, values).await?;
    Ok(())
}

async fn count<S: Store>(store: &mut S, id: BroadcastId, sums: &ReceiptCounts) -> sqlx::Result<()> {
    if sums.is_zero() {
        return Ok(());
    }
    store
        .run(
            "UPDATE broadcast SET receipts_delivered = receipts_delivered + $2, receipts_read = receipts_read + $3, \
             receipts_undelivered = receipts_undelivered + $4 WHERE id = $1",
            args![id.0, sums.delivered, sums.read, sums.undelivered],
        )
        .await?;
    Ok(())
}
