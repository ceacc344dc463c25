//! Making a broadcast known, and keeping its changeable settings up to date.

use sqlx::{FromRow, SqliteConnection};

use super::{plan, rows};
use crate::delivery::brake;
use crate::delivery::time::Timestamp;
use crate::ledger::declaration::Declaration;
use crate::ledger::error::LedgerError;
use crate::ledger::exchange::BroadcastId;

/// Why a key does not stand for what is declared.
pub enum Refused {
    /// It stands for something else and people were messaged under it.
    Reused,
    /// Another owner has it.
    InUse { owner: String, owner_uid: String },
}

impl Refused {
    pub fn into_error(self, key: &str) -> LedgerError {
        let key = key.to_owned();
        match self {
            Refused::Reused => LedgerError::KeyReused { key },
            Refused::InUse { owner, owner_uid } => LedgerError::KeyInUse { key, owner, owner_uid },
        }
    }
}

#[derive(FromRow)]
struct Known {
    id: i64,
    identity_hash: String,
    first_attempt_at: Option<i64>,
    owner_uid: String,
    name: String,
    generation: i64,
    released: bool,
}

impl Known {
    /// What belongs to nobody may be taken over by anybody.
    fn belongs_to_another(&self, wanted: &Declaration) -> bool {
        !self.released && !self.owner_uid.is_empty() && self.owner_uid != wanted.owner_uid
    }

    fn is_newer(&self, wanted: &Declaration) -> bool {
        self.owner_uid == wanted.owner_uid && self.generation > wanted.generation
    }
}

/// What a declaration of an older generation may still do: a leader that was frozen opens no gate, but a cancel is
/// latched whenever it comes.
async fn cancel_if_wanted(connection: &mut SqliteConnection, wanted: &Declaration, id: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE broadcast SET cancelled = cancelled OR ?2 WHERE id = ?1")
        .bind(id)
        .bind(wanted.cancelled)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn declare(
    connection: &mut SqliteConnection,
    wanted: &Declaration,
    now: Timestamp,
) -> sqlx::Result<Result<BroadcastId, Refused>> {
    let known: Option<Known> = sqlx::query_as(
        "SELECT id, identity_hash, first_attempt_at, owner_uid, name, generation, released FROM broadcast \
         WHERE namespace = ? AND idempotency_key = ?",
    )
    .bind(&wanted.namespace)
    .bind(&wanted.idempotency_key)
    .fetch_optional(&mut *connection)
    .await?;
    let account = account(connection, wanted).await?;
    let id = match known {
        None => insert(connection, wanted, account).await?,
        Some(known) if known.belongs_to_another(wanted) => {
            return Ok(Err(Refused::InUse { owner: known.name, owner_uid: known.owner_uid }));
        }
        Some(known) if known.is_newer(wanted) => {
            cancel_if_wanted(connection, wanted, known.id).await?;
            return Ok(Ok(BroadcastId(known.id)));
        }
        Some(known) => {
            if known.identity_hash != wanted.identity_hash {
                if known.first_attempt_at.is_some() {
                    return Ok(Err(Refused::Reused));
                }
                plan::unseal(connection, known.id).await?;
            }
            known.id
        }
    };
    update(connection, wanted, id, account).await?;
    sqlx::query("UPDATE ledger SET revision = revision + 1, seen_at = max(seen_at, ?)")
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(Ok(BroadcastId(id)))
}

async fn account(connection: &mut SqliteConnection, wanted: &Declaration) -> sqlx::Result<i64> {
    let (id,): (i64,) = sqlx::query_as(
        "INSERT INTO account (namespace, provider, account, host, rate_messages, rate_period_seconds, brake_factor) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT DO UPDATE SET rate_messages = ?5, rate_period_seconds = ?6 RETURNING id",
    )
    .bind(&wanted.account.namespace)
    .bind(&wanted.account.provider)
    .bind(&wanted.account.account)
    .bind(&wanted.account.host)
    .bind(wanted.account_rate.messages)
    .bind(wanted.account_rate.period_seconds)
    .bind(brake::FULL)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn insert(connection: &mut SqliteConnection, wanted: &Declaration, account: i64) -> sqlx::Result<i64> {
    let (id,): (i64,) = sqlx::query_as(
        // The id is part of what providers are told with each message, so it differs from ledger to ledger: 52 random
        // bits, which a double and so every JSON reader holds.
        "INSERT INTO broadcast (id, namespace, idempotency_key, name, owner_uid, generation, account_id, identity_hash, \
         content, request_timeout, suspended, cancelled, flow_weight) \
         VALUES (random() & 0xfffffffffffff, ?1, ?2, ?3, ?4, ?5, ?6, ?7, '{}', 0, 1, 0, ?8) RETURNING id",
    )
    .bind(&wanted.namespace)
    .bind(&wanted.idempotency_key)
    .bind(&wanted.name)
    .bind(&wanted.owner_uid)
    .bind(wanted.generation)
    .bind(account)
    .bind(&wanted.identity_hash)
    .bind(wanted.weight)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn update(connection: &mut SqliteConnection, wanted: &Declaration, id: i64, account: i64) -> sqlx::Result<()> {
    let content = rows::json(&wanted.content)?;
    let orders = wanted.orders.as_ref().map(rows::json).transpose()?;
    sqlx::query(
        "UPDATE broadcast SET name = ?2, owner_uid = ?3, generation = ?4, account_id = ?5, identity_hash = ?6, \
         trouble_reason = CASE WHEN generation = ?4 AND identity_hash = ?6 THEN trouble_reason END, released = 0, \
         orders = ?16, flow_weight = ?17, retry_max_tries = ?18, retry_initial_backoff = ?19, \
         retry_max_backoff = ?20, content = ?7, request_timeout = ?8, rate_messages = ?9, rate_period_seconds = ?10, batch_size_wish = ?11, \
         start_at = CASE WHEN first_attempt_at IS NULL THEN ?12 ELSE start_at END, end_at = ?13, start_by = ?21, suspended = ?14, cancelled = cancelled OR ?15 WHERE id = ?1",
    )
    .bind(id)
    .bind(&wanted.name)
    .bind(&wanted.owner_uid)
    .bind(wanted.generation)
    .bind(account)
    .bind(&wanted.identity_hash)
    .bind(content)
    .bind(wanted.request_timeout.0)
    .bind(wanted.rate.map(|rate| rate.messages))
    .bind(wanted.rate.map(|rate| rate.period_seconds))
    .bind(wanted.batch_size)
    .bind(wanted.start_at.map(|at| at.0))
    .bind(wanted.end_at.map(|at| at.0))
    .bind(wanted.suspended)
    .bind(wanted.cancelled)
    .bind(orders)
    .bind(wanted.weight)
    .bind(wanted.retry.max_tries)
    .bind(wanted.retry.initial_backoff.0)
    .bind(wanted.retry.max_backoff.0)
    .bind(wanted.start_by.map(|at| at.0))
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn lift_credential_stop(connection: &mut SqliteConnection, broadcast: BroadcastId) -> sqlx::Result<()> {
    sqlx::query("UPDATE account SET stopped_message = NULL WHERE id = (SELECT account_id FROM broadcast WHERE id = ?)")
        .bind(broadcast.0)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn lift_block(connection: &mut SqliteConnection, broadcast: BroadcastId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE broadcast SET block_reason = NULL, block_message = NULL, refused_fault = NULL, refused_in_a_row = 0 \
         WHERE id = ?",
    )
    .bind(broadcast.0)
    .execute(connection)
    .await?;
    Ok(())
}
