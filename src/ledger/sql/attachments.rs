//! Attachments that providers keep for accounts.

use super::store::Store;
use super::value::args;
use crate::ledger::attachments::{AttachmentsRequest, HANDLE_MARGIN, KeptAttachment, MAX_HANDLE};
use crate::ledger::error::LedgerError;

/// Takes in what was uploaded and what is gone, and tells what is kept of that which was asked for. What has run out goes
/// with the next upload, so there are as many rows as the account had links within the life of one.
pub async fn exchange<S: Store>(
    store: &mut S,
    request: &AttachmentsRequest,
) -> sqlx::Result<Result<Vec<KeptAttachment>, LedgerError>> {
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
        store
            .run(
                "INSERT INTO kept_attachment (account_id, attachment, handle, ends_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (account_id, attachment) DO UPDATE SET handle = excluded.handle, ends_at = excluded.ends_at",
                args![account, &one.attachment, &one.handle, now + one.lives],
            )
            .await?;
    }
    let mut kept = Vec::new();
    for attachment in &request.asked {
        let found: Option<(String,)> = store
            .optional(
                "SELECT handle FROM kept_attachment WHERE account_id = $1 AND attachment = $2 AND ends_at > $3",
                args![account, attachment, now + HANDLE_MARGIN],
            )
            .await?;
        kept.extend(found.map(|(handle,)| KeptAttachment { attachment: attachment.clone(), handle }));
    }
    Ok(Ok(kept))
}
