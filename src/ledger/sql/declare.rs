//! Making a broadcast known, and keeping its changeable settings up to date.

use sqlx::FromRow;

use super::store::Store;
use super::value::args;
use super::{duplicate, loss, outbox, owed, owner, plan, read, rows, unanswered};
use crate::api::channel::ChannelProvider;
use crate::content;
use crate::delivery::brake;
use crate::delivery::rate::Rate;
use crate::delivery::rate_class::RateClass;
use crate::delivery::time::Timestamp;
use crate::ledger::declaration::{AccountKey, Declaration, digest};
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;
use crate::ledger::random;
use crate::ledger::snapshot::BroadcastSnapshot;
use crate::provider::rate_class::{class_rate, rate_class};

/// Why a key does not stand for what is declared.
enum Refused {
    /// It stands for something else, which differs in this, and people were messaged under it.
    Reused { changed: String },
    /// Another owner has it.
    InUse { owner: String, owner_uid: String },
    /// Its owner is gone.
    Gone { owner_uid: String },
}

impl Refused {
    fn into_error(self, key: &str) -> LedgerError {
        let key = key.to_owned();
        match self {
            Refused::Reused { changed } => LedgerError::KeyReused { key, changed },
            Refused::Gone { owner_uid } => LedgerError::OwnerGone { owner_uid },
            Refused::InUse { owner, owner_uid } => LedgerError::KeyInUse { key, owner, owner_uid },
        }
    }
}

#[derive(FromRow)]
struct KnownRow {
    id: i64,
    account_id: i64,
    identity_hash: String,
    content_hash: String,
    audience_hash: String,
    suppression_hash: String,
    sent_tags: String,
    first_attempt_at: Option<i64>,
    finished_at: Option<i64>,
    cancelled: bool,
    end_at: Option<i64>,
    start_by: Option<i64>,
    owner_uid: String,
    name: String,
    generation: i64,
    released: bool,
    resend_unknown: bool,
    retry_max_tries: i64,
    #[sqlx(flatten)]
    memory: loss::Memory,
}

impl KnownRow {
    /// What belongs to nobody may be taken over by anybody.
    fn belongs_to_another(&self, wanted: &Declaration) -> bool {
        !self.released && !self.owner_uid.is_empty() && self.owner_uid != wanted.owner_uid
    }

    fn resends_otherwise(&self, wanted: &Declaration) -> bool {
        self.resend_unknown != wanted.retry.after_unknown || self.retry_max_tries != i64::from(wanted.retry.max_tries)
    }

    /// What a key that is reused would stand for, where that differs from what it stands for.
    fn changed(&self, wanted: &Declaration, account: i64) -> sqlx::Result<String> {
        let differs = [
            ("account", self.account_id != account),
            ("content", self.content_hash != content_hash(wanted)?),
            ("audience", self.audience_hash != wanted.audience_hash),
            ("list of tags", self.sent_tags != rows::json(&wanted.sent_tags)?),
        ];
        let changed: Vec<&str> = differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect();
        Ok(changed.join(" and "))
    }

    /// Whether its plan was made by other lists and can still follow them: what has ended stays as it ended.
    fn is_suppressed_otherwise(&self, wanted: &Declaration, now: Timestamp) -> sqlx::Result<bool> {
        let is_past = |instant: Option<i64>| instant.is_some_and(|at| at <= now.0);
        let has_ended = self.finished_at.is_some() || self.cancelled || is_past(self.end_at) || is_past(self.start_by);
        let is_open = self.first_attempt_at.is_none() && !has_ended;
        Ok(is_open && self.suppression_hash != suppression_hash(wanted)?)
    }

    fn is_newer(&self, wanted: &Declaration) -> bool {
        self.owner_uid == wanted.owner_uid && self.generation > wanted.generation
    }
}

/// Of the lists that the plan was made by, not of who is on them. They belong to the account, so the key does not stand for
/// them.
fn suppression_hash(wanted: &Declaration) -> sqlx::Result<String> {
    let lists = wanted.orders.as_ref().map_or(&[][..], |orders| &orders.suppression);
    Ok(digest(&rows::json(lists)?))
}

fn content_hash(wanted: &Declaration) -> sqlx::Result<String> {
    Ok(digest(&rows::json(&wanted.content)?))
}

/// In how many parts its message is sent. From the first attempt on that stays: the parts that were taken are counted by it.
fn parts(wanted: &Declaration) -> u32 {
    ChannelProvider::from_member(&wanted.account.provider)
        .map_or(1, |provider| content::parts(&wanted.content, provider))
}

/// Which of them have a ceiling of their own.
fn class_of(wanted: &Declaration) -> Option<RateClass> {
    rate_class(ChannelProvider::from_member(&wanted.account.provider)?, &wanted.content)
}

/// What a declaration of an older generation may still do: a leader that was frozen opens no gate, but a cancel is
/// latched whenever it comes.
async fn cancel_if_wanted<S: Store>(store: &mut S, wanted: &Declaration, id: i64) -> sqlx::Result<()> {
    store.run("UPDATE broadcast SET cancelled = cancelled OR $2 WHERE id = $1", args![id, wanted.cancelled]).await?;
    Ok(())
}

pub async fn declare<S: Store>(
    store: &mut S,
    wanted: &Declaration,
) -> sqlx::Result<Result<BroadcastSnapshot, LedgerError>> {
    let (id, known) = match make_known(store, wanted).await? {
        Ok(known) => known,
        Err(refused) => return Ok(Err(refused.into_error(&wanted.idempotency_key))),
    };
    if known != Known::Newer && !wanted.write_backs.is_empty() {
        let now = store.now().await?;
        owed::follow_declaration(store, id.0, &wanted.write_backs, now).await?;
    }
    let Some(mut snapshot) = read::snapshot(store, id).await? else { return Ok(Err(LedgerError::UnknownBroadcast)) };
    let tells = !wanted.notifications.is_empty() || snapshot.outbox.is_some();
    if tells && known != Known::Newer {
        outbox::follow_declaration(store, &wanted.notifications, known == Known::New, &mut snapshot).await?;
    }
    Ok(Ok(snapshot))
}

/// What the ledger knew of a broadcast that is declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    New,
    Before,
    /// A wish of a later generation, which stands.
    Newer,
}

async fn make_known<S: Store>(
    store: &mut S,
    wanted: &Declaration,
) -> sqlx::Result<Result<(BroadcastId, Known), Refused>> {
    if owner::has_departed(store, &wanted.owner_uid).await? {
        return Ok(Err(Refused::Gone { owner_uid: wanted.owner_uid.clone() }));
    }
    let account = lock_account(store, &wanted.account, wanted.account_rate).await?;
    let known = lock_known(store, wanted).await?;
    let is_new = known.is_none();
    let follows = known.as_ref().is_some_and(|known| known.resends_otherwise(wanted));
    let (id, memory) = match known {
        None => (insert(store, wanted, account).await?, loss::Memory::default()),
        Some(known) if known.belongs_to_another(wanted) => {
            return Ok(Err(Refused::InUse { owner: known.name, owner_uid: known.owner_uid }));
        }
        Some(known) if known.is_newer(wanted) => {
            cancel_if_wanted(store, wanted, known.id).await?;
            return Ok(Ok((BroadcastId(known.id), Known::Newer)));
        }
        Some(known) => {
            if known.identity_hash != wanted.identity_hash {
                if known.first_attempt_at.is_some() {
                    return Ok(Err(Refused::Reused { changed: known.changed(wanted, account)? }));
                }
                plan::unseal(store, known.id).await?;
            } else if known.is_suppressed_otherwise(wanted, store.now().await?)? {
                plan::unseal(store, known.id).await?;
            }
            (known.id, known.memory)
        }
    };
    set_account_rate(store, wanted, account).await?;
    if !is_new && !wanted.suspended {
        let now = store.now().await?;
        owed::resume(store, id, now).await?;
    }
    update(store, wanted, id, account).await?;
    loss::weigh(store, id, &memory, &wanted.recollection).await?;
    if follows {
        // So that a broadcast which had ended is seen to go on at once; upkeep does the rest.
        unanswered::follow(store, BroadcastId(id)).await?;
    }
    duplicate::judge(store, id).await?;
    Ok(Ok((BroadcastId(id), if is_new { Known::New } else { Known::Before })))
}

/// Locks the account, which is made where it is new: in every transaction before the broadcast. Its rate stays until it is
/// known that the declaration counts.
pub async fn lock_account<S: Store>(store: &mut S, key: &AccountKey, rate: Rate) -> sqlx::Result<i64> {
    let (id,): (i64,) = store
        .one(
            "INSERT INTO account (namespace, provider, account, host, rate_messages, rate_period_seconds, brake_factor) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (namespace, provider, account, host) \
             DO UPDATE SET rate_messages = account.rate_messages RETURNING id",
            args![
                &key.namespace,
                &key.provider,
                &key.account,
                &key.host,
                rate.messages,
                rate.period_seconds,
                brake::FULL
            ],
        )
        .await?;
    Ok(id)
}

async fn lock_known<S: Store>(store: &mut S, wanted: &Declaration) -> sqlx::Result<Option<KnownRow>> {
    store
        .optional(
            &format!(
                "SELECT id, account_id, identity_hash, content_hash, audience_hash, suppression_hash, sent_tags, first_attempt_at, \
                 finished_at, cancelled, end_at, start_by, owner_uid, name, generation, \
                 released, resend_unknown, retry_max_tries, {} FROM broadcast WHERE namespace = $1 AND idempotency_key = $2{}",
                loss::MEMORY,
                S::FOR_UPDATE
            ),
            args![&wanted.namespace, &wanted.idempotency_key],
        )
        .await
}

async fn set_account_rate<S: Store>(store: &mut S, wanted: &Declaration, account: i64) -> sqlx::Result<()> {
    let class = ChannelProvider::from_member(&wanted.account.provider).and_then(class_rate);
    store
        .run(
            "UPDATE account SET rate_messages = $2, rate_period_seconds = $3, class_rate_messages = $4, \
             class_rate_period_seconds = $5 WHERE id = $1",
            args![
                account,
                wanted.account_rate.messages,
                wanted.account_rate.period_seconds,
                class.map(|rate| rate.messages),
                class.map(|rate| rate.period_seconds)
            ],
        )
        .await?;
    Ok(())
}

async fn insert<S: Store>(store: &mut S, wanted: &Declaration, account: i64) -> sqlx::Result<i64> {
    // The id is part of what providers are told with each message, so it differs from ledger to ledger.
    let id = random::broadcast_id();
    let now = store.now().await?;
    store
        .run(
            "INSERT INTO broadcast (id, namespace, idempotency_key, name, owner_uid, generation, account_id, \
             identity_hash, content, request_timeout, suspended, cancelled, flow_weight, declared_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', 0, TRUE, FALSE, $9, $10)",
            args![
                id,
                &wanted.namespace,
                &wanted.idempotency_key,
                &wanted.name,
                &wanted.owner_uid,
                wanted.generation,
                account,
                &wanted.identity_hash,
                wanted.weight,
                now
            ],
        )
        .await?;
    Ok(id)
}

/// What planners died over is what they would work by now: the object as it is, its channel, and the lists of its account.
const SAME_PLANNING: &str = "generation = $4 AND owner_uid = $3 AND orders IS NOT DISTINCT FROM $16";

async fn update<S: Store>(store: &mut S, wanted: &Declaration, id: i64, account: i64) -> sqlx::Result<()> {
    let content = rows::json(&wanted.content)?;
    let orders = wanted.orders.as_ref().map(rows::json).transpose()?;
    let quiet_hours = Some(&wanted.quiet_hours).filter(|hours| !hours.is_empty()).map(rows::json).transpose()?;
    let statement = format!(
        "UPDATE broadcast SET name = $2, owner_uid = $3, generation = $4, account_id = $5, identity_hash = $6, \
             trouble_reason = CASE WHEN generation = $4 AND identity_hash = $6 AND suppression_hash = $31 THEN trouble_reason END, \
             released = FALSE, content = $7, request_timeout = $8, rate_messages = $9, rate_period_seconds = $10, \
             batch_size_wish = $11, start_at = CASE WHEN first_attempt_at IS NULL THEN $12 ELSE start_at END, \
             end_at = $13, suspended = $14, cancelled = cancelled OR $15, orders = $16, flow_weight = $17, \
             retry_max_tries = $18, retry_initial_backoff = $19, retry_max_backoff = $20, start_by = $21, \
             resend_unknown = $22, key_is_given = $23, plan_limit = $24, quiet_hours = $25, content_hash = $26, \
             audience_hash = $27, parts = CASE WHEN first_attempt_at IS NULL THEN $28 ELSE parts END, \
             dead_planners = CASE WHEN {SAME_PLANNING} THEN dead_planners ELSE 0 END, \
             plan_failed_at = CASE WHEN {SAME_PLANNING} THEN plan_failed_at END, \
             sent_tags = $29, reply_window = $30, suppression_hash = $31, write_backs = $32, class_parts = $33, \
             revision = revision + 1 WHERE id = $1"
    );
    store
        .run(
            &statement,
            args![
                id,
                &wanted.name,
                &wanted.owner_uid,
                wanted.generation,
                account,
                &wanted.identity_hash,
                content,
                wanted.request_timeout,
                wanted.rate.map(|rate| rate.messages),
                wanted.rate.map(|rate| rate.period_seconds),
                wanted.batch_size,
                wanted.start_at,
                wanted.end_at,
                wanted.suspended,
                wanted.cancelled,
                orders,
                wanted.weight,
                wanted.retry.max_tries,
                wanted.retry.initial_backoff,
                wanted.retry.max_backoff,
                wanted.start_by,
                wanted.retry.after_unknown,
                wanted.key_is_given,
                wanted.plan_limit,
                quiet_hours,
                content_hash(wanted)?,
                &wanted.audience_hash,
                parts(wanted),
                rows::json(&wanted.sent_tags)?,
                wanted.reply_window.map(|window| window.0),
                suppression_hash(wanted)?,
                owed::names(&wanted.write_backs)?,
                class_of(wanted).map(|class| rows::json(&class.parts)).transpose()?
            ],
        )
        .await?;
    Ok(())
}

pub async fn lift_credential_stop<S: Store>(store: &mut S, broadcast: BroadcastId) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE account SET stopped_message = NULL \
             WHERE id = (SELECT account_id FROM broadcast WHERE id = $1)",
            args![broadcast.0],
        )
        .await?;
    Ok(())
}

pub async fn lift_block<S: Store>(store: &mut S, broadcast: BroadcastId, generation: i64) -> sqlx::Result<()> {
    store
        .run(
            "UPDATE broadcast SET block_reason = NULL, block_message = NULL, block_generation = NULL, \
             refusals = NULL \
             WHERE id = $1 AND (block_generation IS NULL OR block_generation < $2)",
            args![broadcast.0, generation],
        )
        .await?;
    Ok(())
}
