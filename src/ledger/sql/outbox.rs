//! The outbox: events are written in the transaction that causes them, a row for each endpoint that wants them. Whoever
//! writes here has locked the broadcast.

use serde::Serialize;
use sqlx::FromRow;

use super::opened;
use super::read;
use super::rows::{self, BroadcastRow, json};
use super::store::Store;
use super::value::args;
use crate::api::broadcast_status::NotificationError;
use crate::api::{NotificationEndpoint, NotificationEvent};
use crate::delivery::gate::Closed;
use crate::delivery::notification::{Cause, FORGOTTEN_AFTER, Occasion, Sight, Standing, Told};
use crate::delivery::recipient::SkipReason;
use crate::delivery::time::Timestamp;
use crate::ledger::declaration::digest;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::notification::{NotificationTotals, Outbox};
use crate::ledger::snapshot::BroadcastSnapshot;
use crate::ledger::status::{self, End};

/// A row to be written, as the statements read it out of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct NewRow {
    event: &'static str,
    occurrence: i64,
    endpoint: String,
    reason: Option<String>,
    message: Option<String>,
}

impl BroadcastRow {
    pub fn endpoints(&self) -> sqlx::Result<Vec<NotificationEndpoint>> {
        rows::stored(self.notifications.as_deref())
    }

    pub fn told(&self) -> sqlx::Result<Told> {
        rows::parsed(&self.notified)
    }

    /// The endpoints that want to be told of a batch.
    pub fn told_of_batches(&self) -> sqlx::Result<Vec<String>> {
        if self.notifications.is_none() {
            return Ok(Vec::new());
        }
        let told = self.told()?;
        Ok(names(&self.endpoints()?, &told, NotificationEvent::BatchCompleted).collect())
    }

    /// Takes in how the broadcast stands, and keeps what is to be told of it until the row is written back.
    fn step(&mut self, standing: &Standing) -> sqlx::Result<()> {
        let mut told = self.told()?;
        if !told.differs(standing) {
            return Ok(());
        }
        let occasions = told.step(standing);
        let rows = new_rows(&self.endpoints()?, &told, &occasions);
        self.news.extend(rows);
        self.notified = json(&told)?;
        Ok(())
    }

    /// What the transaction that writes this row back has to tell of it. `finished_at` is that of the row by now.
    /// The tally holds what the transaction has counted.
    pub async fn take_in_standing<S: Store>(&mut self, store: &mut S, now: Timestamp) -> sqlx::Result<()> {
        if self.notifications.is_none() {
            return Ok(());
        }
        let words = self.account.stopped_message.as_ref().or(self.block_message.as_ref()).cloned().unwrap_or_default();
        let closed = self.gate().closed(now);
        let unplanned = closed.filter(|closed| self.plan_sealed_at.is_none() && closed.is_end());
        let finished = match self.finished_at {
            Some(_) => Some(self.end(store).await?.as_str()),
            None => unplanned.map(Closed::as_str),
        };
        let standing = Standing::in_transaction(self.first_attempt_at.is_some(), closed, &words, finished);
        self.step(&standing)
    }

    async fn end<S: Store>(&self, store: &mut S) -> sqlx::Result<End> {
        let skipped: Vec<(SkipReason, i64)> = read::skipped(store, self).await?;
        Ok(status::completed(&self.counts(), &skipped))
    }
}

/// The endpoints that an event goes to.
fn names<'a>(
    endpoints: &'a [NotificationEndpoint],
    told: &'a Told,
    event: NotificationEvent,
) -> impl Iterator<Item = String> + 'a {
    let wants = move |endpoint: &&NotificationEndpoint| {
        endpoint.wants(event) && !told.is_gone(&endpoint.name, &digest(&endpoint.url))
    };
    endpoints.iter().filter(wants).map(|endpoint| endpoint.name.clone())
}

fn new_rows(endpoints: &[NotificationEndpoint], told: &Told, occasions: &[Occasion]) -> Vec<NewRow> {
    let of = |occasion: &Occasion| {
        let (reason, message) = occasion.cause.clone().map(|Cause { reason, message }| (reason, message)).unzip();
        let (event, occurrence) = (occasion.event.as_str(), occasion.occurrence);
        let row =
            move |endpoint| NewRow { event, occurrence, endpoint, reason: reason.clone(), message: message.clone() };
        names(endpoints, told, occasion.event).map(row).collect::<Vec<_>>()
    };
    occasions.iter().flat_map(of).collect()
}

/// Writes what a look at the whole broadcast has to tell, in the transaction of the look.
async fn tell_of<S: Store>(store: &mut S, mut broadcast: BroadcastRow, standing: &Standing) -> sqlx::Result<()> {
    broadcast.step(standing)?;
    let now = store.now().await?;
    store.run("UPDATE broadcast SET notified = $2 WHERE id = $1", args![broadcast.id, &broadcast.notified]).await?;
    if !broadcast.news.is_empty() {
        store.tell(&broadcast, now).await?;
    }
    Ok(())
}

/// Somebody has looked at the broadcast. Returns whether there is such a one.
pub async fn tell_standing<S: Store>(store: &mut S, id: BroadcastId, standing: &Standing) -> sqlx::Result<bool> {
    let Some(broadcast) = opened::open_to_plan(store, id).await? else { return Ok(false) };
    if broadcast.notifications.is_some() {
        tell_of(store, broadcast, standing).await?;
    }
    Ok(true)
}

/// Senders have told why they cannot work; a hold that needs a person comes before it, and an ended broadcast has no need.
pub async fn tell_trouble<S: Store>(store: &mut S, id: BroadcastId) -> sqlx::Result<()> {
    let Some(broadcast) = opened::open_to_plan(store, id).await? else { return Ok(()) };
    let now = store.now().await?;
    let closed = broadcast.gate().closed(now);
    let is_open = broadcast.finished_at.is_none() && broadcast.gate().ended(now).is_none();
    let trouble = broadcast.trouble().filter(|_| is_open && closed.is_none_or(|closed| !closed.needs_person()));
    let Some(told) = trouble.filter(|_| broadcast.notifications.is_some()) else { return Ok(()) };
    let standing = Standing {
        started: broadcast.first_attempt_at.is_some(),
        suspended: Sight::Unseen,
        stalled: Sight::Is(Cause::new(&told.trouble.reason, &told.trouble.message)),
        finished: Sight::IsNot,
    };
    tell_of(store, broadcast, &standing).await
}

/// Follows a declaration: what waits for an endpoint that is named no more, or for an event that it wants no more, goes;
/// what waits for one that was changed is due at once.
pub async fn follow_declaration<S: Store>(
    store: &mut S,
    wanted: &[NotificationEndpoint],
    is_new: bool,
    snapshot: &mut BroadcastSnapshot,
) -> sqlx::Result<()> {
    let Some(mut broadcast) = opened::open_to_plan(store, snapshot.id).await? else { return Ok(()) };
    let (before, told_anybody) = (broadcast.endpoints()?, broadcast.notifications.is_some());
    if before != wanted {
        replace_endpoints(store, &mut broadcast, &before, wanted).await?;
    }
    let mut standing = status::standing(snapshot, None);
    if !wanted.is_empty() && !is_new && !told_anybody {
        // What happened before anybody was to be told is not told.
        let mut told = broadcast.told()?;
        told.step(&standing);
        store.run("UPDATE broadcast SET notified = $2 WHERE id = $1", args![broadcast.id, json(&told)?]).await?;
    } else if !wanted.is_empty() {
        if standing.stalled == Sight::IsNot {
            // What keeps senders from working is seen by others.
            standing.stalled = Sight::Unseen;
        }
        tell_of(store, broadcast, &standing).await?;
    }
    snapshot.outbox = read(store, snapshot.id.0, snapshot.now).await?;
    Ok(())
}

async fn replace_endpoints<S: Store>(
    store: &mut S,
    broadcast: &mut BroadcastRow,
    before: &[NotificationEndpoint],
    after: &[NotificationEndpoint],
) -> sqlx::Result<()> {
    for old in before {
        let new = after.iter().find(|new| new.name == old.name);
        for event in old.events.iter().filter(|event| new.is_none_or(|new| !new.wants(**event))) {
            store
                .run(
                    "DELETE FROM outbox WHERE broadcast_id = $1 AND endpoint = $2 AND event = $3 AND settled_at IS NULL",
                    args![broadcast.id, &old.name, event.as_str()],
                )
                .await?;
        }
        let is_another = |new: &NotificationEndpoint| {
            (&new.url, &new.signing_secret_key_ref) != (&old.url, &old.signing_secret_key_ref)
        };
        if new.is_some_and(is_another) {
            store
                .run(
                    "UPDATE outbox SET not_before = 0, attempts = 0 \
                     WHERE broadcast_id = $1 AND endpoint = $2 AND settled_at IS NULL",
                    args![broadcast.id, &old.name],
                )
                .await?;
        }
    }
    let mut told = broadcast.told()?;
    told.keep_endpoints(|name, url| after.iter().any(|one| one.name == name && digest(&one.url) == url));
    broadcast.notified = json(&told)?;
    broadcast.notifications = if after.is_empty() { None } else { Some(json(after)?) };
    store
        .run(
            "UPDATE broadcast SET notifications = $2, notified = $3 WHERE id = $1",
            args![broadcast.id, &broadcast.notifications, &broadcast.notified],
        )
        .await?;
    Ok(())
}

pub async fn totals<S: Store>(store: &mut S) -> sqlx::Result<NotificationTotals> {
    let (delivered, failed, pending): (i64, i64, i64) = store
        .one(
            "SELECT notifications_delivered, notifications_failed, \
             (SELECT count(*) FROM outbox WHERE settled_at IS NULL) FROM ledger",
            args![],
        )
        .await?;
    Ok(NotificationTotals { pending, delivered, failed })
}

#[derive(FromRow)]
struct SumsRow {
    notified: String,
    pending: i64,
    delivered: i64,
    failed: i64,
    due_at: Option<i64>,
}

/// The outbox of a broadcast, where it has endpoints.
pub async fn read<S: Store>(store: &mut S, broadcast: i64, now: Timestamp) -> sqlx::Result<Option<Outbox>> {
    let sums: Option<SumsRow> = store
        .optional(
            "SELECT notified, sums.pending, sums.delivered, sums.failed, sums.due_at FROM broadcast CROSS JOIN (SELECT \
             count(*) FILTER (WHERE settled_at IS NULL) AS pending, count(*) FILTER (WHERE delivered) AS delivered, \
             count(*) FILTER (WHERE settled_at IS NOT NULL AND NOT delivered) AS failed, \
             min(CASE WHEN lease_until > not_before THEN lease_until ELSE not_before END) \
                 FILTER (WHERE settled_at IS NULL AND at > $2) AS due_at \
             FROM outbox WHERE broadcast_id = $1) AS sums WHERE id = $1 AND notifications IS NOT NULL",
            args![broadcast, now - FORGOTTEN_AFTER],
        )
        .await?;
    let Some(sums) = sums else { return Ok(None) };
    let last: Option<(String, String, Option<String>)> = store
        .optional(
            "SELECT endpoint, error, error_code FROM outbox \
             WHERE broadcast_id = $1 AND NOT delivered AND error IS NOT NULL \
             ORDER BY error_at DESC, event, occurrence, endpoint LIMIT 1",
            args![broadcast],
        )
        .await?;
    let error = |(endpoint, reason, code)| NotificationError { endpoint, reason, code };
    Ok(Some(Outbox {
        told: rows::parsed(&sums.notified)?,
        pending: sums.pending,
        delivered: sums.delivered,
        failed: sums.failed,
        last_error: last.map(error),
        due_at: sums.due_at.map(Timestamp),
    }))
}
