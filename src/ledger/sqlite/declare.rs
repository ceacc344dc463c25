//! Making a broadcast known, and keeping its changeable settings up to date.

use sqlx::{FromRow, SqliteConnection};

use super::plan;
use crate::delivery::brake;
use crate::delivery::pacing::NORMAL_WEIGHT;
use crate::delivery::time::Timestamp;
use crate::ledger::declaration::Declaration;
use crate::ledger::exchange::BroadcastId;

/// The key stands for something else and people were messaged under it.
pub struct Reused;

#[derive(FromRow)]
struct Known {
    id: i64,
    identity_hash: String,
    first_attempt_at: Option<i64>,
    owner_uid: String,
    generation: i64,
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
) -> sqlx::Result<Result<BroadcastId, Reused>> {
    let known: Option<Known> = sqlx::query_as(
        "SELECT id, identity_hash, first_attempt_at, owner_uid, generation FROM broadcast \
         WHERE namespace = ? AND idempotency_key = ?",
    )
    .bind(&wanted.namespace)
    .bind(&wanted.idempotency_key)
    .fetch_optional(&mut *connection)
    .await?;
    let id = match known {
        None => {
            let account = account(connection, wanted).await?;
            insert(connection, wanted, account).await?
        }
        Some(known) if known.owner_uid == wanted.owner_uid && known.generation > wanted.generation => {
            cancel_if_wanted(connection, wanted, known.id).await?;
            return Ok(Ok(BroadcastId(known.id)));
        }
        Some(known) => {
            if known.identity_hash != wanted.identity_hash {
                if known.first_attempt_at.is_some() {
                    return Ok(Err(Reused));
                }
                plan::unseal(connection, known.id).await?;
            }
            known.id
        }
    };
    let account = account(connection, wanted).await?;
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
    .bind(NORMAL_WEIGHT)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

async fn update(connection: &mut SqliteConnection, wanted: &Declaration, id: i64, account: i64) -> sqlx::Result<()> {
    let content = serde_json::to_string(&wanted.content).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "UPDATE broadcast SET name = ?2, owner_uid = ?3, generation = ?4, account_id = ?5, identity_hash = ?6, \
         content = ?7, request_timeout = ?8, rate_messages = ?9, rate_period_seconds = ?10, batch_size_wish = ?11, \
         start_at = CASE WHEN first_attempt_at IS NULL THEN ?12 ELSE start_at END, end_at = ?13, suspended = ?14, cancelled = cancelled OR ?15 WHERE id = ?1",
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
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn lift_stops(connection: &mut SqliteConnection, broadcast: BroadcastId) -> sqlx::Result<()> {
    sqlx::query("UPDATE account SET stopped_message = NULL WHERE id = (SELECT account_id FROM broadcast WHERE id = ?)")
        .bind(broadcast.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE broadcast SET blocked_message = NULL WHERE id = ?")
        .bind(broadcast.0)
        .execute(connection)
        .await?;
    Ok(())
}
