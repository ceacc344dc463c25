//! Who posts what waits in the outbox: events are given to one sender at a time, and tried until their endpoint has them or
//! three days have passed; a day later what nobody could tell anything of is given up as well. Whoever writes here has locked
//! the broadcast.

use std::collections::BTreeSet;

use sqlx::FromRow;

use super::maintain::LOCKED;
use super::opened;
use super::rows::{CountColumns, json};
use super::store::Store;
use super::value::args;
use crate::api::{NotificationEndpoint, NotificationEvent};
use crate::delivery::backoff::scatter;
use crate::delivery::counts::Counts;
use crate::delivery::notification::{self, FORGOTTEN_AFTER, GIVE_UP_AFTER, LONGEST_BACKOFF, Told, is_given_up};
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::declaration::digest;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::notification::{
    ENDPOINT_GONE, LONGEST_RETRY_AFTER, MAX_NOTIFICATIONS_PAGE, NOTIFICATION_FORGOTTEN, NOTIFICATION_LEASE,
    Notification, NotificationKey, NotificationPage, NotificationReport, Posted, ReportNotifications,
    TakeNotifications,
};

/// What may be taken: `$1` the broadcast, `$2` now, `$3` and `$4` the latest instants that a clock which was not set back
/// has stored.
pub const DUE: &str = "broadcast_id = $1 AND settled_at IS NULL AND (not_before <= $2 OR not_before > $3) \
     AND (lease_until <= $2 OR lease_until > $4)";

/// The latest wait and the latest lease that can have been stored by now.
pub fn latest(now: Timestamp) -> (Timestamp, Timestamp) {
    (now + LONGEST_BACKOFF, now + NOTIFICATION_LEASE)
}

#[derive(FromRow)]
struct OutboxRow {
    event: String,
    occurrence: i64,
    endpoint: String,
    at: i64,
    reason: Option<String>,
    message: Option<String>,
    /// With this one.
    attempts: i64,
    #[sqlx(flatten)]
    counts: CountColumns,
}

/// What its holder has taken before and not told of is given to it again: the answer may have been lost. Those most often
/// tried come first: where an endpoint is away, one page of them finds it out, and the others wait with it. Taking is a try:
/// a sender that ends each time over one event tells of none, and comes back to it ever later.
pub async fn take<S: Store>(
    store: &mut S,
    request: &TakeNotifications,
) -> sqlx::Result<Result<NotificationPage, LedgerError>> {
    let Some(broadcast) = opened::open_to_plan(store, request.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    let endpoints = broadcast.endpoints()?;
    let now = store.now().await?;
    let (latest_wait, latest_lease) = latest(now);
    let statement = format!(
        "UPDATE outbox SET holder = $5, lease_until = $4, \
             attempts = CASE WHEN holder = $5 THEN attempts ELSE attempts + 1 END WHERE (broadcast_id, event, occurrence, endpoint) IN \
         (SELECT broadcast_id, event, occurrence, endpoint FROM outbox \
          WHERE {DUE} OR broadcast_id = $1 AND settled_at IS NULL AND holder = $5 \
          ORDER BY attempts DESC, at, event, occurrence, endpoint LIMIT $6) \
         RETURNING event, occurrence, endpoint, at, reason, message, attempts, pending, inflight, sent, failed, skipped, \
         unknown"
    );
    let page = MAX_NOTIFICATIONS_PAGE as i64;
    let arguments = args![broadcast.id, now, latest_wait, latest_lease, &request.holder, page];
    let mut taken: Vec<OutboxRow> = store.all(&statement, arguments).await?;
    for row in taken.iter().filter(|row| row.attempts > 1) {
        row.put_off(store, broadcast.id, now).await?;
    }
    taken.sort_by(|one, other| (one.at, &one.event, one.occurrence).cmp(&(other.at, &other.event, other.occurrence)));
    let next_at = next_at(store, broadcast.id, &request.holder).await?;
    Ok(Ok(NotificationPage {
        now,
        notifications: taken.into_iter().filter_map(|row| row.notification(&endpoints)).collect(),
        next_at,
        namespace: broadcast.namespace,
        name: broadcast.name,
        idempotency_key: broadcast.idempotency_key,
    }))
}

impl OutboxRow {
    /// What becomes of it says when it is due again; where nobody tells, this does.
    async fn put_off<S: Store>(&self, store: &mut S, broadcast: i64, now: Timestamp) -> sqlx::Result<()> {
        let until = now + backoff(broadcast, self.occurrence, &self.endpoint, self.attempts, now);
        store
            .run(
                "UPDATE outbox SET not_before = $5 \
                 WHERE broadcast_id = $1 AND event = $2 AND occurrence = $3 AND endpoint = $4",
                args![broadcast, &self.event, self.occurrence, &self.endpoint, until],
            )
            .await?;
        Ok(())
    }

    fn notification(self, endpoints: &[NotificationEndpoint]) -> Option<Notification> {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.name == self.endpoint)?;
        let event = NotificationEvent::from_name(&self.event)?;
        Some(Notification {
            key: NotificationKey { event, occurrence: self.occurrence, endpoint: self.endpoint },
            url: endpoint.url.clone(),
            secret: endpoint.signing_secret_key_ref.clone(),
            happened_at: Timestamp(self.at),
            reason: self.reason,
            message: self.message,
            counts: Counts::from(&self.counts),
        })
    }
}

/// Gives every event free that a sender has taken: none lives.
pub async fn void_leases<S: Store>(store: &mut S) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE outbox SET holder = NULL, lease_until = 0 WHERE settled_at IS NULL AND holder IS NOT NULL",
            args![],
        )
        .await?;
    Ok(())
}

/// When the first of those may be taken that are not this holder's.
async fn next_at<S: Store>(store: &mut S, broadcast: i64, holder: &str) -> sqlx::Result<Option<Timestamp>> {
    let (next,): (Option<i64>,) = store
        .one(
            "SELECT min(CASE WHEN lease_until > not_before THEN lease_until ELSE not_before END) FROM outbox \
             WHERE broadcast_id = $1 AND settled_at IS NULL AND (holder IS NULL OR holder <> $2)",
            args![broadcast, holder],
        )
        .await?;
    Ok(next.map(Timestamp))
}

pub async fn report<S: Store>(store: &mut S, told: &ReportNotifications) -> sqlx::Result<Result<(), LedgerError>> {
    if told.reports.len() > MAX_NOTIFICATIONS_PAGE {
        return Ok(Err(LedgerError::RequestTooLarge { limit: MAX_NOTIFICATIONS_PAGE }));
    }
    let Some(broadcast) = opened::open_to_plan(store, told.broadcast).await? else {
        return Ok(Err(LedgerError::UnknownBroadcast));
    };
    let now = store.now().await?;
    let mut post = Post {
        id: broadcast.id,
        holder: &told.holder,
        now,
        endpoints: broadcast.endpoints()?,
        told: broadcast.told()?,
    };
    let (mut delivered, mut failed) = (0, 0);
    let mut away: BTreeSet<&str> = BTreeSet::new();
    for report in &told.reports {
        match &report.posted {
            Posted::Taken => delivered += post.taken(store, &report.key).await?,
            Posted::Gone if post.is_current(report) => failed += post.gone(store, report).await?,
            Posted::Gone => failed += post.failed(store, report, ENDPOINT_GONE, None, None).await?,
            Posted::Failed { reason, code, retry_after_ms } => {
                failed += post.failed(store, report, reason, code.as_deref(), *retry_after_ms).await?;
                away.insert(&report.key.endpoint);
            }
        }
    }
    let takes = |endpoint: &&str| {
        let of = |report: &&NotificationReport| report.key.endpoint == *endpoint && report.posted == Posted::Taken;
        told.reports.iter().any(|report| of(&report))
    };
    for endpoint in away.into_iter().filter(|endpoint| !takes(endpoint)) {
        failed += post.leave_alone(store, endpoint).await?;
    }
    count(store, delivered, failed).await?;
    Ok(Ok(()))
}

/// What is entered of one report.
struct Post<'a> {
    id: i64,
    holder: &'a str,
    now: Timestamp,
    endpoints: Vec<NotificationEndpoint>,
    told: Told,
}

impl Post<'_> {
    /// Whether the endpoint is still where it was asked.
    fn is_current(&self, report: &NotificationReport) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.name == report.key.endpoint && endpoint.url == report.url)
    }

    /// Whoever brings it: it was taken.
    async fn taken<S: Store>(&self, store: &mut S, key: &NotificationKey) -> sqlx::Result<u64> {
        store
            .run(
                "UPDATE outbox SET settled_at = $5, delivered = TRUE, holder = NULL, lease_until = 0 \
                 WHERE broadcast_id = $1 AND event = $2 AND occurrence = $3 AND endpoint = $4 AND settled_at IS NULL",
                args![self.id, key.event.as_str(), key.occurrence, &key.endpoint, self.now],
            )
            .await
    }

    /// Everything that waits for it is given up, and nothing more is written for it.
    async fn gone<S: Store>(&mut self, store: &mut S, report: &NotificationReport) -> sqlx::Result<u64> {
        self.told.end_endpoint(&report.key.endpoint, &digest(&report.url));
        store.run("UPDATE broadcast SET notified = $2 WHERE id = $1", args![self.id, json(&self.told)?]).await?;
        store
            .run(
                "UPDATE outbox SET settled_at = $3, holder = NULL, lease_until = 0, error = $4, error_code = '410', \
                 error_at = $3 WHERE broadcast_id = $1 AND endpoint = $2 AND settled_at IS NULL",
                args![self.id, &report.key.endpoint, self.now, ENDPOINT_GONE],
            )
            .await
    }

    /// Only of who holds it: another sender may have it by now. Returns how many were given up.
    async fn failed<S: Store>(
        &self,
        store: &mut S,
        report: &NotificationReport,
        reason: &str,
        code: Option<&str>,
        retry_after_ms: Option<u64>,
    ) -> sqlx::Result<u64> {
        let key = &report.key;
        let found: Option<(i64, i64)> = store
            .optional(
                "SELECT attempts, at FROM outbox WHERE broadcast_id = $1 AND event = $2 AND occurrence = $3 \
                 AND endpoint = $4 AND settled_at IS NULL AND holder = $5",
                args![self.id, key.event.as_str(), key.occurrence, &key.endpoint, self.holder],
            )
            .await?;
        let Some((attempts, at)) = found else { return Ok(0) };
        let given_up = is_given_up(Timestamp(at), self.now);
        let until = self.now + self.wait(attempts, key, retry_after_ms);
        store
            .run(
                "UPDATE outbox SET not_before = $5, holder = NULL, lease_until = 0, error = $6, \
                 error_code = $7, error_at = $8, settled_at = $9 \
                 WHERE broadcast_id = $1 AND event = $2 AND occurrence = $3 AND endpoint = $4",
                args![
                    self.id,
                    key.event.as_str(),
                    key.occurrence,
                    &key.endpoint,
                    until,
                    reason,
                    code.map(str::to_owned),
                    self.now,
                    Some(self.now).filter(|_| given_up)
                ],
            )
            .await?;
        Ok(u64::from(given_up))
    }

    fn wait(&self, attempts: i64, key: &NotificationKey, retry_after_ms: Option<u64>) -> Span {
        let wish = Span::from_millis(retry_after_ms.unwrap_or_default().min(i64::MAX as u64 / 1_000_000) as i64);
        backoff(self.id, key.occurrence, &key.endpoint, attempts, self.now).max(wish.min(LONGEST_RETRY_AFTER))
    }

    /// Nothing gets through to an endpoint: whatever waits for it waits as long as those that were tried, and what has waited
    /// for too long is given up with them. Returns how many were.
    async fn leave_alone<S: Store>(&self, store: &mut S, endpoint: &str) -> sqlx::Result<u64> {
        store
            .run(
                "UPDATE outbox SET not_before = (SELECT max(tried.not_before) FROM outbox AS tried \
                 WHERE tried.broadcast_id = $1 AND tried.endpoint = $2 AND tried.settled_at IS NULL) \
                 WHERE broadcast_id = $1 AND endpoint = $2 AND settled_at IS NULL AND holder IS NULL",
                args![self.id, endpoint],
            )
            .await?;
        store
            .run(
                "UPDATE outbox SET settled_at = $3, error_at = $3, error = (SELECT tried.error FROM outbox AS tried \
                 WHERE tried.broadcast_id = $1 AND tried.endpoint = $2 AND tried.error IS NOT NULL \
                 ORDER BY tried.error_at DESC LIMIT 1) \
                 WHERE broadcast_id = $1 AND endpoint = $2 AND settled_at IS NULL AND holder IS NULL AND at <= $4",
                args![self.id, endpoint, self.now, self.now - GIVE_UP_AFTER],
            )
            .await
    }
}

/// The wait after so many tries.
fn backoff(broadcast: i64, occurrence: i64, endpoint: &str, attempts: i64, now: Timestamp) -> Span {
    let part = |seed: u64, byte: u8| seed.wrapping_mul(31).wrapping_add(u64::from(byte));
    let seed = endpoint.bytes().fold(scatter(broadcast as u64) ^ occurrence as u64, part);
    let earlier = u32::try_from(attempts - 1).unwrap_or_default();
    notification::wait(earlier, scatter(seed ^ now.0 as u64))
}

/// Gives up what nobody has told anything of for too long, of one broadcast; returns how many events, and at least one for the
/// lock.
pub async fn give_up_forgotten<S: Store>(store: &mut S, now: Timestamp) -> sqlx::Result<u64> {
    let (_, latest_lease) = latest(now);
    let is_forgotten = "settled_at IS NULL AND at <= $1 AND (lease_until <= $2 OR lease_until > $3)";
    let limits = args![now - FORGOTTEN_AFTER, now, latest_lease];
    let statement = format!("SELECT broadcast_id FROM outbox WHERE {is_forgotten} LIMIT 1");
    let Some((id,)) = store.optional::<(i64,)>(&statement, limits.clone()).await? else { return Ok(0) };
    let Some(broadcast) = opened::open_to_plan(store, BroadcastId(id)).await? else { return Ok(LOCKED) };
    let statement = format!(
        "UPDATE outbox SET settled_at = $2, holder = NULL, lease_until = 0, error = coalesce(error, $5), error_at = $2 \
         WHERE broadcast_id = $4 AND {is_forgotten}"
    );
    let values = limits.into_iter().chain(args![broadcast.id, NOTIFICATION_FORGOTTEN]).collect();
    let given_up = store.run(&statement, values).await?;
    count(store, 0, given_up).await?;
    Ok(given_up.max(LOCKED))
}

/// The sums over all broadcasts: nobody walks over what was told long ago.
async fn count<S: Store>(store: &mut S, delivered: u64, failed: u64) -> sqlx::Result<()> {
    if delivered + failed == 0 {
        return Ok(());
    }
    store
        .run(
            "UPDATE ledger SET notifications_delivered = notifications_delivered + $1, \
             notifications_failed = notifications_failed + $2",
            args![delivered as i64, failed as i64],
        )
        .await?;
    Ok(())
}
