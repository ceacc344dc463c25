//! Attachments that providers keep for accounts.

use super::store::Store;
use super::value::args;
use crate::delivery::time::{Span, Timestamp};
use crate::ledger::attachments::{
    AttachmentPlace, AttachmentStanding, AttachmentsRequest, GIVEN_UP_FOR, HANDLE_MARGIN, MAX_HANDLE, UPLOAD_LEASE,
};
use crate::ledger::error::LedgerError;

/// What ends later than this from now was written by a clock that has been set back since. Who asks at the same moment reads the
/// clock a little earlier or later: that is no sign of it.
const BELIEVED: Span = Span(2 * UPLOAD_LEASE.0);

/// Takes in what was uploaded and what is gone, and tells how that stands which was asked for. What has run out goes
/// with the next upload, so there are as many rows as the account had links within the life of one.
pub async fn exchange<S: Store>(
    store: &mut S,
    request: &AttachmentsRequest,
) -> sqlx::Result<Result<Vec<AttachmentStanding>, LedgerError>> {
    let account: Option<(i64,)> =
        store.optional("SELECT account_id FROM broadcast WHERE id = $1", args![request.broadcast.0]).await?;
    let Some((account,)) = account else { return Ok(Err(LedgerError::UnknownBroadcast)) };
    let now = store.now().await?;
    for handle in &request.gone {
        let statement = "DELETE FROM kept_attachment WHERE account_id = $1 AND handle = $2";
        store.run(statement, args![account, handle]).await?;
    }
    for one in request.uploaded.iter().filter(|one| one.handle.len() <= MAX_HANDLE) {
        let statement = "DELETE FROM kept_attachment WHERE account_id = $1 AND ends_at <= $2";
        store.run(statement, args![account, now]).await?;
        // Whoever else is at it may as well stop.
        let statement = "DELETE FROM attachment_upload WHERE account_id = $1 AND (ends_at <= $2 OR attachment = $3)";
        store.run(statement, args![account, now, &one.attachment]).await?;
        store
            .run(
                "INSERT INTO kept_attachment (account_id, attachment, handle, ends_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (account_id, attachment) DO UPDATE SET handle = excluded.handle, ends_at = excluded.ends_at",
                args![account, &one.attachment, &one.handle, now + one.lives],
            )
            .await?;
    }
    for attachment in &request.given_up {
        let statement = "UPDATE attachment_upload SET holder = NULL, ends_at = $4 \
                         WHERE account_id = $1 AND attachment = $2 AND holder = $3";
        store.run(statement, args![account, attachment, &request.holder, now + GIVEN_UP_FOR]).await?;
    }
    let mut standings = Vec::new();
    for asked in &request.asked {
        let place = match handle(store, account, &asked.attachment, now).await? {
            Some(handle) => Some(AttachmentPlace::Kept { handle }),
            None if asked.uploads => Some(lease(store, account, &asked.attachment, &request.holder, now).await?),
            None => None,
        };
        standings.extend(place.map(|place| AttachmentStanding { attachment: asked.attachment.clone(), place }));
    }
    Ok(Ok(standings))
}

async fn handle<S: Store>(
    store: &mut S,
    account: i64,
    attachment: &str,
    now: Timestamp,
) -> sqlx::Result<Option<String>> {
    let found: Option<(String,)> = store
        .optional(
            "SELECT handle FROM kept_attachment WHERE account_id = $1 AND attachment = $2 AND ends_at > $3",
            args![account, attachment, now + HANDLE_MARGIN],
        )
        .await?;
    Ok(found.map(|(handle,)| handle))
}

/// The upload is the asker's if it is nobody else's. Whoever had it may have told its handle while this waited for the row: so
/// that is looked for again.
async fn lease<S: Store>(
    store: &mut S,
    account: i64,
    attachment: &str,
    holder: &str,
    now: Timestamp,
) -> sqlx::Result<AttachmentPlace> {
    let granted = store
        .run(
            "INSERT INTO attachment_upload (account_id, attachment, holder, ends_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account_id, attachment) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at \
             WHERE attachment_upload.holder = excluded.holder \
             OR attachment_upload.ends_at <= $5 OR attachment_upload.ends_at > $6",
            args![account, attachment, holder, now + UPLOAD_LEASE, now, now + BELIEVED],
        )
        .await?;
    if let Some(handle) = self::handle(store, account, attachment, now).await? {
        release(store, account, attachment, holder).await?;
        return Ok(AttachmentPlace::Kept { handle });
    }
    if granted > 0 {
        return Ok(AttachmentPlace::Granted);
    }
    let found: Option<(Option<String>, i64)> = store
        .optional(
            "SELECT holder, ends_at FROM attachment_upload WHERE account_id = $1 AND attachment = $2",
            args![account, attachment],
        )
        .await?;
    Ok(match found {
        Some((None, _)) => AttachmentPlace::GivenUp,
        Some((Some(_), ends_at)) => {
            let lease_left = (Timestamp(ends_at) - now).clamp(Span::ZERO, UPLOAD_LEASE);
            AttachmentPlace::Uploading { lease_left }
        }
        None => AttachmentPlace::Uploading { lease_left: Span::ZERO },
    })
}

/// Only what is the holder's: who was too slow takes nothing from who came after.
async fn release<S: Store>(store: &mut S, account: i64, attachment: &str, holder: &str) -> sqlx::Result<()> {
    let statement = "DELETE FROM attachment_upload WHERE account_id = $1 AND attachment = $2 AND holder = $3";
    store.run(statement, args![account, attachment, holder]).await?;
    Ok(())
}

/// Makes every upload anybody's: none lives that was at one.
pub async fn void_leases<S: Store>(store: &mut S) -> sqlx::Result<()> {
    store.run("DELETE FROM attachment_upload", args![]).await?;
    Ok(())
}
