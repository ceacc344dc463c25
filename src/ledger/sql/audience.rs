//! Recipients of a finished broadcast for the plan of another one in the same namespace, and contacts of its account.

use std::collections::BTreeMap;

use super::contact_pages::{self, FoundContact, Search};
use super::opened;
use super::rows::{self, BroadcastRow};
use super::store::Store;
use super::value::args;
use crate::api::audience::{AudienceOutcome, ContactsSource};
use crate::delivery::gate::Closed;
use crate::delivery::recipient::RecipientState;
use crate::ledger::audience::{
    AudienceList, AudiencePage, AudiencePosition, AudienceQuery, LedgerSource, MAX_LOOKED_THROUGH, MAX_PAGE,
};
use crate::ledger::brief::Orders;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::plan::PlanRow;

type Refused<T> = Result<T, LedgerError>;

pub async fn page<S: Store>(store: &mut S, query: &AudienceQuery) -> sqlx::Result<Refused<AudiencePage>> {
    let Some(own) = opened::read(store, query.ticket.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    if own.plan_epoch != query.ticket.epoch || own.plan_sealed_at.is_some() {
        return Ok(Err(LedgerError::PlanSuperseded));
    }
    // The planner's own audience says what the source is.
    let Some(orders) = &own.orders else { return Ok(Err(LedgerError::NoOrders)) };
    let orders: Orders = rows::parsed(orders)?;
    match query.resolve(&orders.audience) {
        Some(LedgerSource::Broadcast(wanted)) => match finished(store, &own, &wanted.name).await? {
            Ok(other) => Ok(Ok(read(store, &other, &wanted.outcomes, first(&query.from)).await?)),
            Err(refused) => Ok(Err(refused)),
        },
        Some(LedgerSource::Contacts(wanted)) => contacts(store, &own, wanted, query).await.map(Ok),
        None => {
            let message = format!("its audience has no source `{}` that the ledger knows", query.source);
            Ok(Err(LedgerError::Forbidden { message }))
        }
    }
}

fn first(position: &AudiencePosition) -> i64 {
    match position {
        AudiencePosition::Seq(seq) => *seq,
        AudiencePosition::Start | AudiencePosition::After { .. } => 0,
    }
}

/// Contacts that come in while pages are read may be in them; whoever was there from the first page to the last is. Who has
/// opted out is left out of whom a source includes, but not of whom it excludes: they may opt in again.
async fn contacts<S: Store>(
    store: &mut S,
    own: &BroadcastRow,
    source: &ContactsSource,
    query: &AudienceQuery,
) -> sqlx::Result<AudiencePage> {
    let (after, now) = match &query.from {
        AudiencePosition::After { recipient, now } => (recipient.as_str(), *now),
        AudiencePosition::Start | AudiencePosition::Seq(_) => ("", store.now().await?),
    };
    let opted_out = query.list == AudienceList::Excluded;
    let search = Search {
        account: own.account_id,
        after,
        source,
        opted_out,
        now,
        limit: MAX_PAGE,
        looked_through: MAX_LOOKED_THROUGH,
    };
    let (found, last) = contact_pages::find(store, &search).await?;
    let rows = found.into_iter().map(FoundContact::into_plan_row).collect::<sqlx::Result<Vec<PlanRow>>>()?;
    Ok(AudiencePage { rows, next: last.map(|recipient| AudiencePosition::After { recipient, now }) })
}

/// The broadcast of this name, if it has ended. Of several, which had different keys, the one that is there, and then the
/// one that was begun last.
async fn finished<S: Store>(store: &mut S, own: &BroadcastRow, name: &str) -> sqlx::Result<Refused<BroadcastRow>> {
    let found: Option<(i64,)> = store
        .optional(
            "SELECT id FROM broadcast WHERE namespace = $1 AND name = $2 AND id <> $3 \
             ORDER BY released, first_attempt_at IS NULL, first_attempt_at DESC LIMIT 1",
            args![&own.namespace, name, own.id],
        )
        .await?;
    let missing = || LedgerError::AudienceNotFound { name: name.to_owned() };
    let Some((id,)) = found else { return Ok(Err(missing())) };
    let Some(other) = opened::read(store, BroadcastId(id)).await? else { return Ok(Err(missing())) };
    // One that was cancelled before it was planned has nobody, for ever. Every other end without a plan is left by an edit, and
    // whoever was to be excluded by it may still get its message.
    let never_planned =
        other.plan_sealed_at.is_none() && other.gate().closed(store.now().await?) == Some(Closed::Cancelled);
    if other.finished_at.is_none() && !never_planned {
        return Ok(Err(LedgerError::AudienceUnfinished { name: name.to_owned() }));
    }
    Ok(Ok(other))
}

/// Whoever has the message, as the provider told after an answer that said otherwise, is here as one who was sent it.
async fn read<S: Store>(
    store: &mut S,
    other: &BroadcastRow,
    outcomes: &[AudienceOutcome],
    from: i64,
) -> sqlx::Result<AudiencePage> {
    let states: Vec<String> = outcomes.iter().map(|outcome| state(*outcome).code().to_string()).collect();
    let end = from.saturating_add(MAX_LOOKED_THROUGH).min(other.planned);
    let statement = format!(
        "SELECT seq, recipient, vars FROM delivery WHERE broadcast_id = $1 AND seq >= $2 AND seq < $3 \
         AND (CASE WHEN state IN ({}, {}) AND (coalesce(delivered_at, read_at) IS NOT NULL \
              OR heard > 0 AND heard = attempt AND parts_done + 1 >= $5) THEN {} ELSE state END) IN ({}) \
         ORDER BY seq LIMIT $4",
        RecipientState::Failed.code(),
        RecipientState::Skipped.code(),
        RecipientState::Sent.code(),
        states.join(", ")
    );
    let found: Vec<(i64, String, String)> =
        store.all(&statement, args![other.id, from, end, MAX_PAGE, i64::from(other.parts())]).await?;
    let last = found.last().map(|(seq, ..)| *seq).filter(|_| found.len() == MAX_PAGE as usize);
    let next = last.map_or(end, |seq| seq + 1);
    let row = |(_, recipient, vars): (i64, String, String)| {
        let vars: BTreeMap<String, String> = rows::parsed(&vars)?;
        Ok(PlanRow { recipient, vars })
    };
    let rows = found.into_iter().map(row).collect::<sqlx::Result<Vec<PlanRow>>>()?;
    let next = Some(next).filter(|next| *next < other.planned);
    Ok(AudiencePage { rows, next: next.map(AudiencePosition::Seq) })
}

fn state(outcome: AudienceOutcome) -> RecipientState {
    match outcome {
        AudienceOutcome::Sent => RecipientState::Sent,
        AudienceOutcome::Failed => RecipientState::Failed,
        AudienceOutcome::Skipped => RecipientState::Skipped,
        AudienceOutcome::Unknown => RecipientState::Unknown,
    }
}
