//! The loop that keeps a ledger up, in whichever process holds it.

use std::sync::Arc;
use std::time::Duration;

use super::Ledger;

/// Between two slices of upkeep when there is nothing more to do at once.
const INTERVAL: Duration = Duration::from_millis(500);

/// Keeps the ledger up until it is dropped. A failure is logged and tried again.
pub async fn keep_up(ledger: Arc<impl Ledger>) {
    loop {
        match ledger.maintain().await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(INTERVAL).await,
            Err(error) => {
                tracing::warn!(reason = error.reason(), %error, "upkeep of the ledger failed");
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}
